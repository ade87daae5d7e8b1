# SPDX-License-Identifier: GPL-3.0-or-later
"""Internet through another site: both ends want it, and can do it."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown, write_one_of
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import EXIT_PRIORITIES
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

# What is never the internet (RFC 6890): no exit forwards a packet to there.
_INSIDE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3",
)  # fmt: skip

# What a site names, and what the other has to say for it.
_ENDS = (("wireguard_mesh_exits", "wireguard_mesh_exit_for"), ("wireguard_mesh_exit_for", "wireguard_mesh_exits"))


def inside(mesh: Mesh) -> list[IPNetwork]:
    """The networks that are never the internet: what nobody's is, the carrier's, the overlay, and every LAN."""
    found = {*map(IPNetwork, _INSIDE), *mesh.underlay, *([mesh.overlay] if mesh.overlay else [])}
    for site in mesh.sites:
        found.update(site.get("wireguard_mesh_lan_subnets") or [])
        for entry in site.get("wireguard_mesh_external_peers") or []:
            found.update(entry["lan_subnets"])
    return sorted(found)


def uses_exits(site: Site) -> bool:
    return site.get("wireguard_mesh_exit_when") in ("broadband_down", "always")


def check_exits(mesh: Mesh) -> None:
    """Who uses an exit, and who is one, can do so, and both name each other."""
    never_outside = [*map(IPNetwork, _INSIDE), *mesh.underlay]
    known = {site.name: site for site in mesh.sites}
    for site in mesh.sites:
        for variable, other_variable in _ENDS:
            _check_ends(site, variable, other_variable, known, mesh.states)
        if site.get("wireguard_mesh_exit_for"):
            _check_exit(site)
        if uses_exits(site):
            _check_use(site)
            _check_targets(site, never_outside)
            _check_table(site)


def _check_ends(site: Site, variable: str, other_variable: str, known: dict[str, Site], states: dict[str, str]) -> None:
    for name in dict.fromkeys(site.get(variable) or []):
        if name in states and name not in known:  # planned or absent
            continue
        if name not in known or name == site.name:
            what = "the site itself" if name == site.name else "no site of the inventory"
            others = [other for other in known if other != site.name]
            site.fault(variable, f"names {quote(name)}, which is {what}. {write_one_of(others)}")
            continue
        other = known[name]
        lists = [item.get("wireguard_mesh_peers_only") or [] for item in (site, other)]
        if (lists[0] and name not in lists[0]) or (lists[1] and site.name not in lists[1]):
            site.fault(
                variable,
                f"names {shown(name)}, with which this site has no tunnel (wireguard_mesh_peers_only). Add each of "
                "the two to the other's wireguard_mesh_peers_only, or leave it out here.",
            )
        elif site.name not in (other.get(other_variable) or []) and not other.is_faulty(other_variable):
            site.fault(
                variable,
                f"names {shown(name)}, whose {other_variable} does not name this site. Both sides have to want it: "
                f"write {shown(site.name)} into {other_variable} of {shown(name)}, or leave it out here.",
            )


def _check_exit(site: Site) -> None:
    """A site whose broadband others use."""
    if site.get("tr069_firewall_state") == "absent":
        site.fault(
            "wireguard_mesh_exit_for",
            "is set, but tr069_firewall_state is absent: nothing would keep the others' packets to the internet alone. Write "
            "present there, or leave this out.",
        )
    if site.get("wireguard_mesh_exit_when") == "always":
        site.fault(
            "wireguard_mesh_exit_when",
            "is always, but others use this site's own broadband (wireguard_mesh_exit_for). Write broadband_down, or empty "
            "wireguard_mesh_exit_for.",
        )
    _check_uplink(site)


def _check_uplink(site: Site) -> None:
    for variable in ("tr069_interface", "wireguard_mesh_interface"):
        if site.get(variable) is not None and site.get("wireguard_mesh_uplink") == site.get(variable):
            site.fault(
                "wireguard_mesh_uplink",
                f"is also {variable}. Write the NIC of this site's own broadband, which `ip route show default` names.",
            )


def _check_use(site: Site) -> None:
    """A site that uses others' broadband."""
    _check_uplink(site)
    if not site.get("wireguard_mesh_exits") and not site.is_faulty("wireguard_mesh_exits"):
        site.fault(
            "wireguard_mesh_exit_when",
            f"is {site.get('wireguard_mesh_exit_when')}, but wireguard_mesh_exits names no site. Write the sites whose internet "
            "this one may use, or never.",
        )


def _check_targets(site: Site, never_outside: list[IPNetwork]) -> None:
    """What shows whether the internet is there is on the internet."""
    for variable in ("wireguard_mesh_exit_targets", "wireguard_mesh_exit_resolvers"):
        for address in site.get(variable) or []:
            if any(address in item for item in never_outside):
                site.fault(
                    variable,
                    f"holds {address}, which is not on the internet. Write public addresses, such as 223.5.5.5.",
                )
    if site.get("wireguard_mesh_exit_targets") == []:
        site.fault(
            "wireguard_mesh_exit_targets",
            "is empty, so that nothing shows whether the internet is there. Write some public addresses, such as "
            "[223.5.5.5, 119.29.29.29].",
        )


def _check_table(site: Site) -> None:
    """The way out has a table of its own, behind the underlay's."""
    table = site.get("tr069_table")
    if table is not None and site.get("wireguard_mesh_exit_table") == table:
        site.fault(
            "wireguard_mesh_exit_table",
            f"is {table}, the table of the way into the underlay (tr069_table). Write another, such as {306 if table != 306 else 307}.",
        )
    first, own = site.get("wireguard_mesh_exit_rule_priority"), site.get("tr069_rule_priority")
    if first and own and first <= own:
        site.fault(
            "wireguard_mesh_exit_rule_priority",
            f"is {first}, which comes before the rules of the underlay (tr069_rule_priority: {own}). "
            + (
                f"Write a larger number, such as {own + 1}."
                if own < EXIT_PRIORITIES[1]
                else "Write a smaller tr069_rule_priority."
            ),
        )
