# SPDX-License-Identifier: GPL-3.0-or-later
"""The NICs of a site, and what the roles have to agree about."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.exits import uses_exits
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.settings import as_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import followers


def check_interfaces(mesh: Mesh) -> None:
    """All roles go by the same NIC, table and mark, and no NIC is two things."""
    _check_identities(mesh)
    for site in mesh.sites:
        _check_followers(site)
        _check_device(site)
        _check_vlan(site)


def _check_identities(mesh: Mesh) -> None:
    """No two ONTs of a carrier show it the same NIC, or the same DHCP client."""
    for variable in ("nic_dhcp_mac", "nic_dhcp_client_id"):
        owners: dict[str, str] = {}
        for site in mesh.sites:
            value = str(site.get(variable) or "").lower()
            if not value or value == "mac" or site.get("nic_dhcp_state") == "absent":  # the NIC's own, or nobody's
                continue
            owner = owners.setdefault(value, site.name)
            if owner != site.name:
                site.fault(
                    variable,
                    f"is {value}, which {shown(owner)} has as well. Each site needs its own, in its host_vars file, or none.",
                )


def _check_followers(site: Site) -> None:
    for shared, options in followers().items():
        value = site.get(shared)
        for option in options:
            own = site.get(option)
            if value is not None and own is not None and own != value:
                site.fault(
                    option,
                    f"is {as_text(own)}, but the other roles go by {as_text(value)} ({shared}). Leave this out, and write {shared} "
                    "as it shall be for all of them.",
                )


def _check_device(site: Site) -> None:
    """WireGuard's own interface is none of the NICs."""
    mesh, nic = site.get("wireguard_mesh_interface"), site.get("tr069_interface")
    if mesh is not None and mesh == nic:
        if site.gave("wireguard_mesh_interface") or not site.gave("tr069_interface"):
            site.fault("wireguard_mesh_interface", "is also tr069_interface. Write another name, such as wg0.")
        else:
            site.fault(
                "tr069_interface",
                f"is {nic}, which is WireGuard's own interface (wireguard_mesh_interface). Write the NIC that is plugged into the "
                "ONT, such as eth1.",
            )
    # Where the uplink is used, it is told of that (rules.exits).
    uplink = [] if uses_exits(site) or site.get("wireguard_mesh_exit_for") else ["wireguard_mesh_uplink"]
    for variable in (*uplink, "nic_dhcp_vlan_parent"):
        if mesh is not None and mesh == site.get(variable):
            if site.gave("wireguard_mesh_interface"):
                site.fault(
                    "wireguard_mesh_interface", f"is also {variable}, which is a NIC. Write another name, such as wg0."
                )
            else:
                site.fault(
                    variable,
                    f"is {mesh}, which is WireGuard's own interface (wireguard_mesh_interface). Write the NIC's name.",
                )
    for further in site.get("tr069_gateway_further_interfaces") or []:
        if further in (mesh, nic):
            what = "wireguard_mesh_interface" if further == mesh else "tr069_interface"
            site.fault(
                "tr069_gateway_further_interfaces", f"holds {further}, which is {what}. Leave it out of the list."
            )


def _check_vlan(site: Site) -> None:
    """A VLAN has a number and a parent, and the parent is another NIC."""
    vlan, parent, nic = site.get("nic_dhcp_vlan_id"), site.get("nic_dhcp_vlan_parent"), site.get("tr069_interface")
    faulty = site.is_faulty("nic_dhcp_vlan_id") or site.is_faulty("nic_dhcp_vlan_parent")
    if not faulty and bool(vlan) != bool(parent):
        given, missing = ("id", "parent") if vlan else ("parent", "id")
        site.fault(
            f"nic_dhcp_vlan_{given}",
            f"is set, but nic_dhcp_vlan_{missing} is not. Write both, or leave both out for an untagged port.",
        )
    elif parent and parent == nic:
        site.fault(
            "nic_dhcp_vlan_parent",
            f"is {parent}, and so is tr069_interface. Write the NIC that is plugged into the ONT here, and a name of its own, such as "
            f"vlan{vlan}, into tr069_interface.",
        )
