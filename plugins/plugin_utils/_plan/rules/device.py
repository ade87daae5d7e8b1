# SPDX-License-Identifier: GPL-3.0-or-later
"""The WireGuard device of a site: its port and the size of its packets."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import (
    LEAST_UNDERLAY_MTU,
    OVERHEAD,
    OVERHEAD_IPV4,
    default,
)

# The UDP port on which the daemons of the sites talk to each other inside the mesh (sitelink/tell.py).
DAEMON_PORT = 22069


def check_ports_and_mtus(mesh: Mesh) -> None:
    """The port is not the daemons', and a packet fits into one of the underlay."""
    for site in mesh.sites:
        if site.get("wireguard_mesh_port") == DAEMON_PORT:
            site.fault(
                "wireguard_mesh_port",
                f"is {DAEMON_PORT}, on which the sites talk to each other inside the mesh. Write another, such as 22000.",
            )
        mtu, underlay = site.get("wireguard_mesh_mtu"), site.get("wireguard_mesh_underlay_mtu")
        if mtu and underlay and mtu > underlay - OVERHEAD_IPV4:
            site.fault(
                "wireguard_mesh_mtu",
                f"is {mtu}, which does not fit into the underlay's {underlay} (wireguard_mesh_underlay_mtu). Leave it "
                f"out: {underlay - OVERHEAD} follows from the underlay's.",
            )

        if site.get("nic_dhcp_state") != "absent":
            _check_nic(site)


def _check_nic(site: Site) -> None:
    """The NIC takes what the mesh sends by it, where its size is the role's. Of one that somebody else sets up nobody knows it."""
    given, nic = site.get("wireguard_mesh_underlay_mtu"), site.get("nic_dhcp_mtu")
    if not nic:
        return
    if site.gave("wireguard_mesh_underlay_mtu") and given and given > nic:
        site.fault(
            "wireguard_mesh_underlay_mtu",
            f"is {given}, and the NIC has {nic} (nic_dhcp_mtu). Write what passes between the sites, at most {nic}, or nic_dhcp_mtu: "
            f"{given}.",
        )
    elif mtu_of(site) > nic - OVERHEAD_IPV4:
        site.fault(
            "nic_dhcp_mtu",
            f"is {nic}, and packets of the mesh are larger ({mtu_of(site)} and {OVERHEAD_IPV4} of WireGuard). "
            + (
                f"Write wireguard_mesh_underlay_mtu: {nic} as well."
                if nic >= LEAST_UNDERLAY_MTU
                else f"Write at least {LEAST_UNDERLAY_MTU}, and the same as wireguard_mesh_underlay_mtu."
            ),
        )


def mtu_of(site: Site) -> int:
    """The MTU that is given, or what follows from the underlay's."""
    variable = "wireguard_mesh_underlay_mtu"
    return site.get("wireguard_mesh_mtu") or (site.get(variable) or default(variable)) - OVERHEAD
