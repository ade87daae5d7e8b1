# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay, the carrier's network and the LANs: none is another's."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site


def overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one in other or other in one


def check_overlay(mesh: Mesh) -> None:
    """The overlay is apart from the carrier's network, and has room for all sites."""
    overlay = mesh.overlay
    if overlay is None:
        return
    for underlay in mesh.underlay:
        if overlap(overlay, underlay):
            mesh.report.add_for_mesh(
                "wireguard_mesh_network",
                f"is {overlay}, which overlaps the carrier's network {underlay} (tr069_networks). "
                f"Write a private network outside of it{_such_as(mesh)}.",
            )
    room = overlay.size - 2
    if len(mesh.sites) > room:
        width = overlay.prefixlen + overlay.size.bit_length() - 1
        length = width - (len(mesh.sites) + 1).bit_length()
        mesh.report.add_for_mesh(
            "wireguard_mesh_network",
            f"is {overlay}, which has room for {room} sites, and there are {len(mesh.sites)}. "
            f"Write a network of prefix length /{length} or shorter.",
        )


def _such_as(mesh: Mesh) -> str:
    """A private network that is nobody's, in words."""
    used = [*mesh.underlay, *(lan for site in mesh.sites for lan in site.get("wireguard_mesh_lan_subnets") or [])]
    usual = map(IPNetwork, ("192.168.11.0/24", "172.30.11.0/24", "10.211.11.0/24"))
    free = next((network for network in usual if not any(overlap(network, other) for other in used)), None)
    return f", such as {free}" if free else ""


def check_lans(mesh: Mesh) -> None:
    """Each LAN is a network of its own, and a gateway to LANs has some."""
    lans = [(lan, site) for site in mesh.sites for lan in site.get("wireguard_mesh_lan_subnets") or []]
    for lan, site in lans:
        if mesh.overlay and overlap(lan, mesh.overlay):
            site.fault(
                "wireguard_mesh_lan_subnets",
                f"holds {lan}, which overlaps the overlay {mesh.overlay} (wireguard_mesh_network). "
                "Move the overlay to a network that no site uses.",
            )
        # A LAN within the carrier's range works, routes to it being longer. One that swallows the range does not.
        for underlay in mesh.underlay:
            if underlay in lan:
                site.fault(
                    "wireguard_mesh_lan_subnets",
                    f"holds {lan}, in which the carrier's whole network {underlay} lies (tr069_networks). "
                    "Write the LAN's network only, such as 10.1.2.0/24.",
                )
            elif swallows(lan, underlay):
                site.fault(
                    "wireguard_mesh_lan_subnets",
                    f"holds {lan}, which is half of the carrier's network {underlay} (tr069_networks), so that the addresses of other "
                    "sites lie in it. Write the LAN's network only, such as 10.1.2.0/24.",
                )
    # Prefixes are nested or apart, so in this order everything that holds one stands on the stack before it.
    lans.sort(key=lambda entry: (entry[0].first, entry[0].prefixlen, entry[1].name))
    stack: list[tuple[IPNetwork, Site]] = []
    for lan, site in lans:
        while stack and lan.first > stack[-1][0].last:
            stack.pop()
        if stack:
            other, owner = stack[-1]
            whose = "of this site too" if owner is site else f"behind {shown(owner.name)}"
            site.fault(
                "wireguard_mesh_lan_subnets",
                f"holds {lan}, which overlaps {other} {whose}. Every LAN of the mesh needs a network of its own: "
                "leave one of the two out, or renumber it.",
            )
        stack.append((lan, site))


def swallows(lan: IPNetwork, underlay: IPNetwork) -> bool:
    """Whether the addresses of sites may lie in a LAN: it holds the carrier's network, or half of it."""
    return underlay in lan or (lan in underlay and lan.prefixlen == underlay.prefixlen + 1)


def warn_of_missing_lans(mesh: Mesh) -> None:
    """A gateway to no LAN is no fault, but hardly meant."""
    for site in mesh.sites:
        missing = not site.get("wireguard_mesh_lan_subnets") and not site.is_faulty("wireguard_mesh_lan_subnets")
        if site.get("wireguard_mesh_lan_gateway") and missing:
            mesh.warnings.append(
                f"{shown(site.name)}: wireguard_mesh_lan_gateway is true, but wireguard_mesh_lan_subnets names no LAN."
            )
