# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible reaches the sites."""

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import addresses
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault


def check_way_by_overlay(mesh: Mesh) -> None:
    """Whom Ansible reaches at an address of the overlay is in a LAN that has its prefix, unless that is the site's own."""
    overlay = mesh.overlay
    for site in mesh.sites:
        try:
            host = addresses.address((site.get("ansible_host") or "").rpartition("@")[2])
        except Fault:  # a name, perhaps
            continue
        if overlay and host in overlay and host != site.get("wireguard_mesh_address"):
            site.fault(
                "ansible_host",
                f"is {host}, in the overlay {overlay} (wireguard_mesh_network), and not this site's own address there. If its LAN "
                "has that prefix, the firewall would cut it off: write another wireguard_mesh_network, which no site's LAN uses, "
                "in group_vars/all, and addresses of it for all sites. Otherwise correct ansible_host.",
            )


def check_one_machine_each(mesh: Mesh) -> None:
    """Two sites of one ansible_host are one machine, set up as both in turn."""
    owners: dict[tuple[t.Any, ...], str] = {}
    names = {site.get("ddns_hostname"): site.name for site in mesh.sites if site.get("ddns_hostname")}
    for site in mesh.sites:
        host = site.get("ansible_host")
        if host is None:
            continue
        host = host.rpartition("@")[2].lower().strip("[]")
        if names.get(host, site.name) != site.name:
            site.fault(
                "ansible_host", f"is {host}, which is ddns_hostname of {shown(names[host])}. Write this site's own."
            )
            continue
        if site.way is None:
            continue
        owner = owners.setdefault((host, *site.way), site.name)
        if owner != site.name:
            site.fault(
                "ansible_host",
                f"is {host}, by which Ansible reaches {shown(owner)} already. Write this site's own address, or where the two are "
                "behind one address, the port of each as ansible_port.",
            )
