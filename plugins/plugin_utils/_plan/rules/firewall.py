# SPDX-License-Identifier: GPL-3.0-or-later
"""What the carrier's network may reach."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.settings import as_text


def check_firewall(mesh: Mesh) -> None:
    """What is let in can arrive, and is not WireGuard, which is let in anyway."""
    underlay = mesh.underlay
    for site in mesh.sites:
        for entry in site.get("tr069_firewall_allow") or []:
            for source in entry["sources"] or []:
                if underlay and not any(source in item for item in underlay):
                    site.fault(
                        "tr069_firewall_allow",
                        f"lets in {source}, which is outside the carrier's network {as_text(underlay)} (tr069_networks) and "
                        "never arrives there. Write a part of the carrier's network, or leave sources out.",
                    )
            if entry["protocol"] == "udp" and _holds(entry["ports"], site.get("wireguard_mesh_port")):
                site.fault(
                    "tr069_firewall_allow",
                    f"holds UDP port {site.get('wireguard_mesh_port')}, which is WireGuard's (wireguard_mesh_port) and let "
                    "in anyway. Leave the entry out.",
                )


def _holds(ports: list[str], number: int | None) -> bool:
    """Whether ports and ranges of ports, such as 8000-8010, hold a port."""
    bounds = [[int(bound) for bound in port.split("-")] for port in ports]
    return number is not None and any(found[0] <= number <= found[-1] for found in bounds)
