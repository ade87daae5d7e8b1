# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible reaches the sites."""

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import addresses
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault


def check_way_by_overlay(mesh: Mesh) -> None:
    """Whom Ansible reaches at an address of the overlay is in a LAN that has its prefix, unless that is the site's own."""
    overlay = mesh.overlay
    for site in mesh.sites:
        variable, given = _reached_at(site)
        try:
            host = addresses.address((given or "").rpartition("@")[2])
        except Fault:  # a name, perhaps
            continue
        if overlay and host in overlay and host != site.get("wireguard_mesh_address"):
            site.fault(
                variable,
                f"{_is(site, variable)} {host}, in the overlay {overlay} (wireguard_mesh_network), and not this site's own address there. If its LAN "
                "has that prefix, the firewall would cut it off: write another wireguard_mesh_network, which no site's LAN uses, "
                "in group_vars/all, and addresses of it for all sites. Otherwise correct the address.",
            )


def _reached_at(site: Site) -> tuple[str, str | None]:
    """The variable that says where Ansible goes, and its value; without one it goes by the site's name. As Ansible does, the older
    name of the variable first."""
    for variable in ("ansible_ssh_host", "ansible_host"):
        if site.gave(variable):
            return variable, site.get(variable)
    return "ansible_host", site.name


def _is(site: Site, variable: str) -> str:
    return "is" if site.gave(variable) else "is missing, so that Ansible goes by the site's name, to"


def check_one_machine_each(mesh: Mesh) -> None:
    """Two sites of one ansible_host are one machine, set up as both in turn."""
    owners: dict[tuple[t.Any, ...], str] = {}
    names = {site.get("ddns_hostname"): site.name for site in mesh.sites if site.get("ddns_hostname")}
    for site in mesh.sites:
        variable, host = _reached_at(site)
        if host is None:
            continue
        host = host.rpartition("@")[2].lower().strip("[]")
        if names.get(host, site.name) != site.name:
            site.fault(
                variable,
                f"{_is(site, variable)} {host}, which is ddns_hostname of {shown(names[host])}. Write this site's own.",
            )
            continue
        if site.way is None:
            continue
        owner = owners.setdefault((host, *site.way), site.name)
        if owner != site.name:
            site.fault(
                variable,
                f"{_is(site, variable)} {host}, by which Ansible reaches {shown(owner)} already. Write this site's own address, or where the two are "
                "behind one address, the port of each as ansible_port.",
            )
