# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out of a site through its NIC."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPAddress
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.settings import as_text


def check_gateways(mesh: Mesh) -> None:
    """A gateway that is named is a router of the carrier's network: no other answers on that NIC."""
    underlay = mesh.underlay
    for site in mesh.sites:
        source = site.get("tr069_gateway_source")
        if source in (None, "first_host", "lease") or not underlay:
            continue
        if not any(IPAddress(source) in item for item in underlay):
            site.fault(
                "tr069_gateway_source",
                f"is {source}, which is outside the carrier's network {as_text(underlay)} (tr069_networks). Write the carrier's "
                "router, or first_host, or lease.",
            )
