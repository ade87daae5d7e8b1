# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that are no sites of the inventory."""

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.addresses import address
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, Reader, each
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.hosts import endpoint
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.names import site_name, site_names
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.networks import lan_subnets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.numbers import generation
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.secrets import public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import truth


def _preshared_key(value: t.Any) -> bool:
    """Whether there is one. Somebody may write the key itself, and nobody is to see that."""
    try:
        return truth(value)
    except Fault:
        pass
    raise Fault("is neither true nor false. Write one of the two: the key itself follows from the mesh secret.")


_EXAMPLE = "{name: phone, address: 192.168.11.100, sites: [shenzhen]}"
_KEYS: dict[str, Reader] = {
    "name": site_name,
    "address": address,
    "public_key": public_key,
    "lan_subnets": lan_subnets,
    "endpoint": endpoint,
    "sites": site_names,
    "key_generation": generation,
    "preshared_key": _preshared_key,
}


def external_peers(value: t.Any) -> list[dict[str, t.Any]]:
    """Peers that are no sites of the inventory, each with every key it may have.

    :raises Fault: not a list of such peers, or a name twice.
    """
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is not a list. Write a list, such as [{_EXAMPLE}].")  # a private key may stand in it
    found = each(value, _external_peer)
    names = [entry["name"] for entry in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Fault(f"holds {twice} twice. Give each external peer its own name.")
    return found


def _external_peer(entry: t.Any) -> dict[str, t.Any]:
    if not isinstance(entry, dict):
        raise Fault(f"holds an entry that is none. Write each entry like {_EXAMPLE}.")
    # Not even the name of an unknown key: a private key may stand there by a slip of the pen.
    if set(map(str, entry)) - set(_KEYS):
        raise Fault(f"holds an entry with a key that is not known. An entry has some of: {', '.join(_KEYS)}.")
    for key in ("name", "address"):
        if entry.get(key) is None:
            raise Fault(f"holds an entry without {key}. Write each entry like {_EXAMPLE}.")
    found: dict[str, t.Any] = {
        "public_key": None, "lan_subnets": [], "endpoint": None, "sites": [], "key_generation": 1, "preshared_key": True,
    }  # fmt: skip
    for key, item in entry.items():
        if item is None or item == "":
            continue
        fault = None
        try:
            found[key] = _KEYS[key](item)
        except Fault as exc:
            fault = str(exc)
        if fault:
            name = found.get("name") or "an entry"
            raise Fault(f"holds {name}, whose {key} {fault}")
    return found
