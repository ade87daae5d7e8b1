# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a mesh: every site's public part, and every fault of the inventory, from all sites' variables.

Bad data never raises here: each fault becomes a problem, so that an operator reads all of them at once.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPAddress, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan import hostvars as given
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import Report
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.addresses import addresses6, check_addresses
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.connections import (
    check_one_machine_each,
    check_way_by_overlay,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.ddns import check_ddns, check_publish_for
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.device import check_ports_and_mtus, mtu_of
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.endpoints import endpoints
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.exits import check_exits, inside, uses_exits
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.external import external_peers
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.firewall import check_firewall
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.gateway import check_gateways
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.interfaces import check_interfaces
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.keys import keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.names import check_names
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.networks import (
    check_lans,
    check_overlay,
    warn_of_missing_lans,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.peers_only import check_peers_only
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.settings import common_settings
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site


def build(site_names: Iterable[str], hostvars: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Plans the mesh of the named sites. What the plan holds is documented with the filter wireguard_mesh_plan.

    :param site_names: the members of the inventory group sites, in any order.
    :param hostvars: every site's variables, by name.
    """
    mesh = _read(site_names, hostvars)
    check_names(mesh)
    mesh.settings = common_settings(mesh.sites)
    check_overlay(mesh)
    check_addresses(mesh)
    check_way_by_overlay(mesh)
    check_one_machine_each(mesh)
    of_version_6 = addresses6(mesh)
    check_lans(mesh)
    found_at = endpoints(mesh)
    check_ddns(mesh)
    check_publish_for(mesh)
    check_firewall(mesh)
    check_ports_and_mtus(mesh)
    check_interfaces(mesh)
    check_gateways(mesh)
    check_peers_only(mesh)
    known_keys = keys(mesh)
    external = external_peers(mesh, known_keys, of_version_6, found_at)
    check_exits(mesh)
    warn_of_missing_lans(mesh)
    return {
        "mesh": mesh.settings["wireguard_mesh_name"],
        "network": str(mesh.overlay) if mesh.overlay else None,
        "network6": str(mesh.overlay6) if mesh.overlay6 else None,
        "preshared_keys": bool(mesh.settings["wireguard_mesh_preshared_keys"])
        and any(site.gave("wireguard_mesh_secret") for site in mesh.sites),
        "sites": {
            site.name: _public(site, mesh, of_version_6.get(site.name), known_keys[site.name], found_at[site.name])
            for site in mesh.sites
        },
        "external_peers": external,
        "inside": [str(item) for item in inside(mesh)],
        "corrected": _corrected(mesh, hostvars),
        "states": mesh.states,
        "problems": mesh.report.problems(),
        "warnings": sorted(mesh.warnings),
    }


def _read(site_names: Iterable[str], hostvars: Mapping[str, t.Any]) -> Mesh:
    """The sites as the inventory has them."""
    variables = {name: given.of_site(hostvars, name) for name in sorted({str(name) for name in site_names})}
    states, unknown = given.states(variables)
    names = [name for name, state in states.items() if state == "present"]
    report = Report(names)
    for name, predicate in unknown.items():
        report.add(name, "wireguard_mesh_state", predicate)
    return Mesh(states, [Site(name, hostvars, variables[name], report) for name in names], report)


def _corrected(mesh: Mesh, hostvars: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """What the roles must not read as it stands. Of the other sites as well: what is to go has its name from there."""
    present = {site.name for site in mesh.sites}
    others = [
        Site(name, hostvars, given.of_site(hostvars, name), Report([name]))
        for name in mesh.states
        if name not in present
    ]
    return [
        {"site": site.name, "variable": variable, "value": value}
        for site in sorted([*mesh.sites, *others], key=lambda site: site.name)
        for variable, value in sorted(site.corrected().items())
    ]


def _public(
    site: Site,
    mesh: Mesh,
    address6: IPAddress | None,
    key: tuple[str | None, str | None],
    endpoint: dict[str, t.Any] | None,
) -> dict[str, t.Any]:
    """What every other site may know of a site."""
    address = site.get("wireguard_mesh_address")
    lans = [str(lan) for lan in site.get("wireguard_mesh_lan_subnets") or []]
    return {
        "address": str(address) if address else None,
        "address6": str(address6) if address6 else None,
        "addresses": ([f"{address}/{mesh.overlay.prefixlen}"] if address and mesh.overlay else [])
        + ([f"{address6}/{mesh.overlay6.prefixlen}"] if address6 and mesh.overlay6 else []),
        "allowed_ips": [str(IPNetwork(item)) for item in (address, address6) if item] + lans,
        "endpoint": endpoint,
        "exit": _exit(site),
        "exit_for": sorted(set(site.get("wireguard_mesh_exit_for") or [])),
        "external_endpoint": site.get("wireguard_mesh_external_endpoint"),
        "firewall_allow": [
            {**entry, "sources": [str(source) for source in entry["sources"] or []]}
            for entry in site.get("tr069_firewall_allow") or []
        ],
        "endpoint_seeds": [
            {"host": str(seed), "port": site.get("wireguard_mesh_port")}
            for seed in site.get("wireguard_mesh_endpoint_seeds") or []
        ],
        "interface": site.get("wireguard_mesh_interface"),
        "keepalive": site.get("wireguard_mesh_keepalive"),
        "key_at_once": site.get("wireguard_mesh_key_at_once"),
        "key_generation": site.get("wireguard_mesh_key_generation"),
        "key_source": key[0],
        "lan_gateway": site.get("wireguard_mesh_lan_gateway"),
        "lan_subnets": lans,
        "mtu": mtu_of(site),
        "peers_only": sorted(set(site.get("wireguard_mesh_peers_only") or [])),
        "port": site.get("wireguard_mesh_port"),
        "public_key": key[1],
        "uplink": site.get("wireguard_mesh_uplink"),
    }


def _exit(site: Site) -> dict[str, t.Any] | None:
    """What a site needs to use the internet of others, or None where it never does."""
    if not uses_exits(site):
        return None
    return {
        "when": site.get("wireguard_mesh_exit_when"),
        "sites": list(dict.fromkeys(site.get("wireguard_mesh_exits") or [])),
        "targets": [str(item) for item in site.get("wireguard_mesh_exit_targets") or []],
        "resolvers": [str(item) for item in site.get("wireguard_mesh_exit_resolvers") or []],
        "return_after": site.get("wireguard_mesh_exit_return_after"),
        "table": site.get("wireguard_mesh_exit_table"),
        "priority": site.get("wireguard_mesh_exit_rule_priority"),
    }
