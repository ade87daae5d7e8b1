# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sites find each other."""

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.settings import as_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site


def endpoints(mesh: Mesh) -> dict[str, dict[str, t.Any] | None]:
    """Each site's host and port, its own and nobody else's; None for the one that has none."""
    found: dict[str, dict[str, t.Any] | None] = {}
    names: dict[str, str] = {}
    owners: dict[tuple[str, int | None], str] = {}
    unknown = []
    _check_external(mesh)
    for site in mesh.sites:
        name = site.get("ddns_hostname")
        twice = name is not None and names.setdefault(name, site.name) != site.name
        if twice:
            site.fault(
                "ddns_hostname", f"is {name}, which {shown(names[name])} already has. Give each site its own name."
            )
        host = site.get("wireguard_mesh_endpoint")
        _check_underlay(site, host, mesh)
        port = site.get("wireguard_mesh_port")
        if host or name:
            owner = owners.setdefault((host or name, port), site.name)
            if owner != site.name and not (twice and not host):
                site.fault(
                    "wireguard_mesh_endpoint",
                    f"is {host or name}, where {shown(owner)} is already found. Write this site's own address or name.",
                )
        elif not site.gave("wireguard_mesh_endpoint") and not site.gave("ddns_hostname"):
            unknown.append(site)
        found[site.name] = {"host": host or name, "port": port} if host or name else None
    _check_unknown(unknown, mesh)
    return found


def _check_external(mesh: Mesh) -> None:
    """A port of a router leads to one site."""
    owners: dict[tuple[str, int], str] = {}
    for site in mesh.sites:
        endpoint = site.get("wireguard_mesh_external_endpoint")
        if not endpoint:
            continue
        owner = owners.setdefault((endpoint["host"], endpoint["port"]), site.name)
        if owner != site.name:
            site.fault(
                "wireguard_mesh_external_endpoint",
                f"is {endpoint['host']}:{endpoint['port']}, where {shown(owner)} is already found. Write the address of this site's own "
                "router, or where the two share one, a port for each.",
            )


def _check_underlay(site: Site, host: str | None, mesh: Mesh) -> None:
    """What is an address is one of the carrier's network."""
    underlay = mesh.underlay
    if host and _is_address(host) and underlay and not any(host in item for item in underlay):
        site.fault(
            "wireguard_mesh_endpoint",
            f"is {host}, which is outside the carrier's network {as_text(underlay)} (tr069_networks). "
            "Write the site's underlay address, or leave it out and use ddns_hostname.",
        )
    for seed in site.get("wireguard_mesh_endpoint_seeds") or []:
        if underlay and not any(seed in item for item in underlay):
            site.fault(
                "wireguard_mesh_endpoint_seeds",
                f"holds {seed}, which is outside the carrier's network {as_text(underlay)} (tr069_networks). "
                "Write underlay addresses that the site had or is likely to have.",
            )


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _check_unknown(unknown: list[Site], mesh: Mesh) -> None:
    """One site without a name finds the others. Two do not find each other."""
    if len(unknown) > 1:
        for site in unknown:
            site.fault(
                "ddns_hostname",
                f"is missing, and so it is on {len(unknown) - 1} other site(s): two sites without a name never find "
                "each other. Write a name such as shenzhen.example.com.",
            )
    elif unknown and len(mesh.sites) > 1:
        mesh.warnings.append(
            f"{shown(unknown[0].name)}: neither ddns_hostname nor wireguard_mesh_endpoint is set, so the others wait "
            "until this site finds them."
        )
