# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that are no sites, such as a phone: each is one, with an address and a key that nobody else has."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys, public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPAddress, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import external_end
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.addresses import same_host
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.keys import Keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.networks import overlap, swallows
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.addresses import free_addresses
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

_VARIABLE = "wireguard_mesh_external_peers"


def external_peers(
    mesh: Mesh, keys: Keys, addresses6: dict[str, IPAddress], found_at: dict[str, dict[str, t.Any] | None]
) -> dict[str, dict[str, t.Any]]:
    """The peers that are no sites, by name, each with the sites that carry it.

    :param found_at: each site's host and port, see rules.endpoints.
    """
    taken = _Taken(mesh, keys, addresses6, found_at)
    found: dict[str, _Peer] = {}
    for site in mesh.sites:
        for entry in site.get(_VARIABLE) or []:
            name = entry["name"]
            for other in entry["sites"]:
                if other not in mesh.states:
                    site.fault(
                        _VARIABLE,
                        f"holds {name} on {quote(other)}, which is no site of the inventory. Correct its sites.",
                    )
            if entry["sites"] and site.name not in entry["sites"]:
                continue
            if name not in found:
                found[name] = taken.add(site, entry)
                continue
            if found[name].entry != entry:
                site.fault(
                    _VARIABLE,
                    f"holds {name} otherwise than on {shown(found[name].sites[0])}. Write each external peer once, in "
                    "group_vars/all, and the sites that carry it into its sites.",
                )
            found[name].sites.append(site.name)
    return {name: peer.planned() for name, peer in sorted(found.items())}


@dataclasses.dataclass
class _Peer:
    """An external peer, as the first site has it that carries it."""

    entry: dict[str, t.Any]
    sites: list[str]
    address6: IPAddress | None
    public_key: str | None

    def planned(self) -> dict[str, t.Any]:
        entry = self.entry
        return {
            "address": str(entry["address"]),
            "address6": str(self.address6) if self.address6 else None,
            "allowed_ips": [
                *(str(IPNetwork(each)) for each in (entry["address"], self.address6) if each),
                *map(str, entry["lan_subnets"]),
            ],
            "endpoint": entry["endpoint"],
            "key_generation": entry["key_generation"],
            "key_source": "public_key" if entry["public_key"] else "secret",
            "preshared_key": entry["preshared_key"],
            "public_key": self.public_key,
            "sites": sorted(self.sites),
        }


class _Taken:
    """What sites have, and the external peers so far, each with its owner's name."""

    def __init__(
        self,
        mesh: Mesh,
        keys: Keys,
        addresses6: dict[str, IPAddress],
        found_at: dict[str, dict[str, t.Any] | None],
    ) -> None:
        self._mesh = mesh
        variable = "wireguard_mesh_address"
        self._addresses = {site.get(variable): site.name for site in mesh.sites if site.get(variable)}
        self._addresses6 = {address: name for name, address in addresses6.items()}
        self._lans = [(lan, site.name) for site in mesh.sites for lan in site.get("wireguard_mesh_lan_subnets") or []]
        self._keys = {key: name for name, (_source, key) in keys.items() if key}
        self._endpoints: dict[tuple[str, int], str] = {}
        for site in mesh.sites:
            for endpoint in (found_at.get(site.name), site.get("wireguard_mesh_external_endpoint")):
                if endpoint:
                    self._endpoints.setdefault((endpoint["host"], endpoint["port"]), site.name)
        self._names = {name.casefold(): name for name in mesh.states}
        self._free = free_addresses(mesh.overlay, set(self._addresses)) if mesh.overlay else iter(())

    def add(self, site: Site, entry: dict[str, t.Any]) -> _Peer:
        """A peer that has not been seen before; what it contradicts is told of the site."""
        other = self._names.setdefault(entry["name"].casefold(), entry["name"])
        if entry["name"] in self._mesh.states:
            site.fault(
                _VARIABLE, f"holds {entry['name']}, which is the name of a site. Give the external peer another name."
            )
        elif other != entry["name"]:
            site.fault(
                _VARIABLE,
                f"holds {entry['name']}, which differs from {shown(other)} only by capital letters. Rename one.",
            )
        self._add_endpoint(site, entry)
        self._add_address(site, entry["name"], entry["address"])
        address6 = self._add_address6(site, entry["name"], entry["address"])
        for lan in entry["lan_subnets"]:
            self._add_lan(site, entry["name"], lan)
        return _Peer(entry, [site.name], address6, self._add_key(site, entry))

    def _add_endpoint(self, site: Site, entry: dict[str, t.Any]) -> None:
        if not entry["endpoint"]:
            return
        key = (entry["endpoint"]["host"], entry["endpoint"]["port"])
        if self._endpoints.setdefault(key, entry["name"]) != entry["name"]:
            site.fault(
                _VARIABLE,
                f"holds {entry['name']} with the endpoint {key[0]}:{key[1]}, where {shown(self._endpoints[key])} is already found. Write "
                "another for one of the two, or leave it out.",
            )

    def _add_address(self, site: Site, name: str, address: IPAddress) -> None:
        overlay = self._mesh.overlay
        suggestion = f"a free address of {overlay}, such as {next(self._free, None)}"
        if overlay and (address not in overlay or address in (overlay.network, overlay.broadcast)):
            site.fault(
                _VARIABLE,
                f"holds {name} with {address}, which no host of the overlay {overlay} can have. Write {suggestion}.",
            )
        elif address in self._addresses:
            site.fault(
                _VARIABLE,
                f"holds {name} with {address}, which {shown(self._addresses[address])} already has. Write {suggestion}.",
            )
        self._addresses.setdefault(address, name)

    def _add_address6(self, site: Site, name: str, address: IPAddress) -> IPAddress | None:
        address6 = same_host(address, self._mesh.overlay, self._mesh.overlay6)
        if address6 and self._addresses6.setdefault(address6, name) != name:
            site.fault(
                _VARIABLE,
                f"holds {name}, whose IPv6 address would be {address6}, which {shown(self._addresses6[address6])} already has "
                "(wireguard_mesh_address6). Give one of the two another.",
            )
        return address6

    def _add_lan(self, site: Site, name: str, lan: IPNetwork) -> None:
        others = [(self._mesh.overlay, "the overlay")] if self._mesh.overlay else []
        # As of a site's LAN: one within the carrier's range works, unless the sites themselves may lie in it.
        others += [(item, "the carrier's network") for item in self._mesh.underlay if swallows(lan, item)]
        others += [(item, shown(owner)) for item, owner in self._lans]
        clash = next(((item, whose) for item, whose in others if overlap(lan, item)), None)
        if clash:
            site.fault(
                _VARIABLE,
                f"holds {name} with the network {lan}, which overlaps {clash[0]} ({clash[1]}). Renumber one of the two.",
            )
        self._lans.append((lan, name))

    def _add_key(self, site: Site, entry: dict[str, t.Any]) -> str | None:
        key = entry["public_key"]
        if key is None:
            key = _derived_key(site, entry, self._mesh.settings["wireguard_mesh_name"])
        if key is not None and self._keys.setdefault(key, entry["name"]) != entry["name"]:
            site.fault(
                _VARIABLE,
                f"holds {entry['name']} with the public key that {shown(self._keys[key])} already has. Each needs its own.",
            )
        return key


def _derived_key(site: Site, entry: dict[str, t.Any], mesh: str | None) -> str | None:
    secret = site.get("wireguard_mesh_secret")
    if secret and mesh:
        return public_key(MeshKeys(secret, mesh).private_key(external_end(entry["name"]), entry["key_generation"]))
    if not site.gave("wireguard_mesh_secret"):
        site.fault(
            _VARIABLE,
            f"holds {entry['name']} without public_key, and there is no wireguard_mesh_secret to derive one from. Write its "
            "public_key.",
        )
    return None
