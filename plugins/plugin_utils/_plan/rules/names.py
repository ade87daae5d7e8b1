# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is a site, and what it may be called."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.names import site_name


def check_names(mesh: Mesh) -> None:
    """The group has sites, each with a name that files and other sites can have it by."""
    if not mesh.states:
        mesh.report.add_for_mesh("sites", "is a group without a host in this inventory. Put the sites into it.")
    elif set(mesh.states.values()) == {"planned"}:
        mesh.report.add_for_mesh(
            "wireguard_mesh_state",
            "is planned for every site, so that there is nothing to do. Write present for those that are there.",
        )
    folded: dict[str, str] = {}
    for site in mesh.sites:
        try:
            site_name(site.name)
        except Fault as fault:
            site.fault("inventory_hostname", str(fault))
        if site.name in ("sites", "all", "localhost", "ungrouped"):
            site.fault("inventory_hostname", "has a meaning of its own in the inventory. Give the site another name.")
        first = folded.setdefault(site.name.casefold(), site.name)
        if first != site.name:
            site.fault(
                "inventory_hostname", f"differs from {shown(first)} only by capital letters. Rename one of them."
            )
