# SPDX-License-Identifier: GPL-3.0-or-later
"""Who talks to whom in a plan, and what each has to know of the other."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from operator import itemgetter

from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPNetwork


def external_end(name: str) -> str:
    """What the keys of an external peer are derived from. No site can have this name, because of the space."""
    return f"external peer {name}"


def _peer(name: str, entry: Mapping[str, t.Any]) -> dict[str, t.Any]:
    external = "sites" in entry
    return {
        "name": name,
        "address": entry["address"],
        "public_key": entry["public_key"],
        "allowed_ips": entry["allowed_ips"],
        "endpoint": entry["endpoint"],
        "seeds": [] if external else entry["endpoint_seeds"],
        "external": external,
        "at_once": external or entry["key_at_once"],
    }


def peers(plan: Mapping[str, t.Any], site: str, secret: str | None = None) -> list[dict[str, t.Any]]:
    """The WireGuard peers of a site, sorted by name: the other sites that it talks to, and external peers.

    :param plan: a plan of :func:`build` without problems that holds the site.
    :param secret: the mesh secret; given, and the plan wanting preshared keys, peers have their ``preshared_key``.
    """
    sites, external = plan["sites"], plan["external_peers"]
    own = sites[site]
    only = own["peers_only"]
    found = [
        _peer(name, entry)
        for name, entry in sites.items()
        if name != site and (not only or name in only) and (not entry["peers_only"] or site in entry["peers_only"])
    ]
    found += [_peer(name, entry) for name, entry in external.items() if site in entry["sites"]]
    found.sort(key=itemgetter("name"))
    if secret is not None and plan["preshared_keys"]:
        sealed = [peer for peer in found if not peer["external"] or external[peer["name"]]["preshared_key"]]
        ends = [
            (external_end(peer["name"]), external[peer["name"]]["key_generation"])
            if peer["external"]
            else (peer["name"], sites[peer["name"]]["key_generation"])
            for peer in sealed
        ]
        keys = MeshKeys(secret, plan["mesh"]).preshared_keys((site, own["key_generation"]), ends)
        for peer, key in zip(sealed, keys, strict=True):
            peer["preshared_key"] = key
    return found


def client(plan: Mapping[str, t.Any], name: str, secret: str | None = None) -> dict[str, t.Any]:
    """What an external peer needs to know to talk to the sites that carry it.

    :param secret: the mesh secret; without it there are neither a derived private key nor preshared keys.
    """
    entry = plan["external_peers"][name]
    keys = MeshKeys(secret, plan["mesh"]) if secret is not None else None
    ends = (external_end(name), entry["key_generation"])
    sites = [plan["sites"][site] for site in entry["sites"]]
    found = [
        {
            "name": site,
            "public_key": item["public_key"],
            "allowed_ips": item["allowed_ips"],
            "endpoint": item["external_endpoint"] or item["endpoint"],
        }
        for site, item in zip(entry["sites"], sites, strict=True)
    ]
    if keys and plan["preshared_keys"] and entry["preshared_key"]:
        others = [(site, item["key_generation"]) for site, item in zip(entry["sites"], sites, strict=True)]
        for peer, key in zip(found, keys.preshared_keys(ends, others), strict=True):
            peer["preshared_key"] = key
    return {
        "address": entry["address"],
        "addresses": [str(IPNetwork(item)) for item in (entry["address"], entry["address6"]) if item],
        "mtu": min((item["mtu"] for item in sites), default=1420),
        "private_key": keys.private_key(*ends) if keys and entry["key_source"] == "secret" else None,
        "peers": found,
    }
