# SPDX-License-Identifier: GPL-3.0-or-later
"""The sites' addresses in the overlay."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPAddress, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import SET_ONCE, shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.addresses import free_addresses


def check_addresses(mesh: Mesh) -> None:
    """Each site has an address of the overlay for itself."""
    overlay = mesh.overlay
    taken: set[IPAddress] = {site.get("wireguard_mesh_address") for site in mesh.sites}
    taken |= {entry["address"] for site in mesh.sites for entry in site.get("wireguard_mesh_external_peers") or []}
    free = free_addresses(overlay, taken) if overlay else iter(())

    def another(verb: str) -> str:
        address = next(free, None)
        return f"{verb} a free address of {overlay}, such as {address}." if address else f"{verb} a free address."

    owners: dict[IPAddress, str] = {}
    for site in mesh.sites:
        address = site.get("wireguard_mesh_address")
        if address is None:
            if not site.gave("wireguard_mesh_address"):
                site.fault("wireguard_mesh_address", f"is missing. {another('Give this site')}")
            continue
        if overlay and address not in overlay:
            site.drop(
                "wireguard_mesh_address",
                f"is {address}, which is outside the overlay {overlay} (wireguard_mesh_network). {another('Write')}",
            )
        elif overlay and address in (overlay.network, overlay.broadcast):
            kind = "network" if address == overlay.network else "broadcast"
            site.drop("wireguard_mesh_address", f"is {address}, the {kind} address of {overlay}. {another('Write')}")
        elif address in owners:
            site.drop(
                "wireguard_mesh_address",
                f"is {address}, which {shown(owners[address])} already has. {another('Write')}",
            )
        else:
            owners[address] = site.name


def same_host(address: IPAddress | None, overlay: IPNetwork | None, overlay6: IPNetwork | None) -> IPAddress | None:
    """The IPv6 address with the host number of an IPv4 one: 192.168.11.3 gives fd5c:1d2e:3f40::3."""
    if address is None or overlay is None or overlay6 is None or address not in overlay or overlay6.size < overlay.size:
        return None
    return IPAddress(overlay6.first + int(address) - overlay.first, version=6)


def addresses6(mesh: Mesh) -> dict[str, IPAddress]:
    """Each site's IPv6 address in the overlay; empty where there is no wireguard_mesh_network6."""
    overlay, overlay6 = mesh.overlay, mesh.overlay6
    if overlay and overlay6 and overlay6.size < overlay.size:
        mesh.report.add_for_mesh(
            "wireguard_mesh_network6",
            f"is {overlay6}, which is smaller than {overlay} (wireguard_mesh_network): each site has the same number in "
            "both. Write a network of prefix length /64.",
        )
        return {}
    found: dict[str, IPAddress] = {}
    owners: dict[IPAddress, str] = {}
    for site in mesh.sites:
        given = site.get("wireguard_mesh_address6")
        if overlay6 is None:
            if site.gave("wireguard_mesh_address6") and not any(
                item.gave("wireguard_mesh_network6") for item in mesh.sites
            ):
                site.fault(
                    "wireguard_mesh_address6",
                    f"is set, but wireguard_mesh_network6 is not. {SET_ONCE}, or leave both out.",
                )
            continue
        if given is not None and (given not in overlay6 or given.value == overlay6.first):
            site.fault(
                "wireguard_mesh_address6",
                f"is {given}, which no host of {overlay6} (wireguard_mesh_network6) can have. Leave it out, or write one in it.",
            )
            continue
        address = given or same_host(site.get("wireguard_mesh_address"), overlay, overlay6)
        if address is None:
            continue
        if owners.setdefault(address, site.name) != site.name:
            site.fault(
                "wireguard_mesh_address6",
                f"is {address}, which {shown(owners[address])} already has. Leave it out on both: it follows from "
                "wireguard_mesh_address.",
            )
            continue
        found[site.name] = address
    return found
