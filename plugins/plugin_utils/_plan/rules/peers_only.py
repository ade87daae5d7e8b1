# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites that talk to some of the others only."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote


def check_peers_only(mesh: Mesh) -> None:
    """Both ends name each other, where both name any."""
    wanted = {site.name: site.get("wireguard_mesh_peers_only") or [] for site in mesh.sites}
    for site in mesh.sites:
        for name in wanted[site.name]:
            if name == site.name or name not in mesh.states:
                what = "the site itself" if name == site.name else "no site of the inventory"
                site.fault(
                    "wireguard_mesh_peers_only",
                    f"names {quote(name)}, which is {what}. Write the names of the sites that this one talks to.",
                )
            elif wanted.get(name) and site.name not in wanted[name]:
                site.fault(
                    "wireguard_mesh_peers_only",
                    f"names {shown(name)}, whose own wireguard_mesh_peers_only does not name this site. Write each of the "
                    "two into the other's, or leave it out here.",
                )
