# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that follow the sites' addresses."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.hostvars import of_site, states
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import Report, shown, write_one_of
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.published import check_published
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import default
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

# The settings that are judged together, where their configuration is made.
_SETTINGS = ("hostname", "provider", "id", "token", "ttl", "line", "extra", "endpoint", "ipv6_hostname", "ipv6_networks",
             "providers", "interval")  # fmt: skip
# Those that the site's own checks judge one by one: here they are always right.
_OTHERS = ("ca_file", "interface", "ipv6_interface", "networks")


def check_ddns(mesh: Mesh) -> None:
    """What is to be published can be, by the site's own account, and is no other site's."""
    owners = {site.get("ddns_hostname"): site.name for site in reversed(mesh.sites) if site.get("ddns_hostname")}
    for site in mesh.sites:
        check_published(site, "ddns_token")
        if site.get("ddns_state") == "absent":
            continue
        given = {key: site.get(f"ddns_{key}") for key in _SETTINGS}
        options = {key: default(f"ddns_{key}") if value is None else value for key, value in given.items()}
        options.update({key: default(f"ddns_{key}") for key in _OTHERS})
        for key in ("hostname", "ipv6_hostname"):  # a name that cannot be read is one: its account is judged too
            if site.is_faulty(f"ddns_{key}"):
                options[key] = "?"
        if not (options["hostname"] or options["ipv6_hostname"] or options["providers"]):
            continue
        _check_files(site)
        settings = _ddns.settings(options)
        # What could not even be read was told already.
        for variable, predicate in [problem for problem in settings["problems"] if not site.is_faulty(problem[0])]:
            site.fault(variable, predicate)
        _check_owners(site, settings["names"], owners)


def _check_files(site: Site) -> None:
    """A file that is to be copied to the site is on this computer."""
    wheel = ["ddns_wheel_file"] if site.get("ddns_install_method") != "none" else []
    for variable in ("ddns_ca_file", *wheel):
        path = site.get(variable)
        if path and not os.access(os.path.expanduser(path), os.R_OK):
            site.fault(
                variable,
                f"is {quote(path)}, and there is no such file on this computer that you may read. Correct the path.",
            )


def _check_owners(site: Site, names: list[dict[str, t.Any]], owners: dict[str, str]) -> None:
    """Each would put its own address into the record of the other, to and fro."""
    for name in dict.fromkeys(name["name"] for name in names):
        owner = owners.setdefault(name, site.name)
        if owner == site.name or name == site.get("ddns_hostname"):  # the endpoints are looked at for those
            continue
        own6 = str(site.get("ddns_ipv6_hostname") or "").strip().lower() == name
        variable, verb = ("ddns_ipv6_hostname", "is") if own6 else ("ddns_providers", "holds")
        site.fault(variable, f"{verb} {name}, which {shown(owner)} publishes already. Give each site names of its own.")


def check_publish_for(mesh: Mesh) -> None:
    """Whom a site publishes for is a site that has a name."""
    known = {site.name: site for site in mesh.sites}
    for site in mesh.sites:
        for name in site.get("ddns_publish_for") or []:
            if name in mesh.states and name not in known:  # planned or absent: nothing is published for it
                continue
            if name not in known:
                site.fault(
                    "ddns_publish_for",
                    f"names {quote(name)}, which is no site of the group sites. {write_one_of(known)}",
                )
            elif not known[name].get("ddns_hostname") and not known[name].is_faulty("ddns_hostname"):
                site.fault(
                    "ddns_publish_for",
                    f"names {shown(name)}, which has no ddns_hostname. Give it a name, or leave it out of the list.",
                )


def names_to_publish(names: Iterable[str], hostvars: Mapping[str, t.Any], own: str) -> list[dict[str, t.Any]]:
    """The DDNS options, with ``site``, of the sites that another one publishes for; what is wrong there the plan told.

    Holds their tokens.
    """
    found = []
    for name in names:
        if name == own or name not in hostvars:
            continue
        variables = {name: of_site(hostvars, name)}
        if states(variables)[0][name] != "present":
            continue
        site = Site(name, hostvars, variables[name], Report([name]))
        options = {key: site.get(f"ddns_{key}") or default(f"ddns_{key}") for key in _SETTINGS}
        if options["hostname"]:
            found.append({**options, "site": name})
    return found
