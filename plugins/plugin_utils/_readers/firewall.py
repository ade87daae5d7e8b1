# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewall lets in."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, a_list, each, quote
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.networks import network_list

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_EXAMPLE = "{protocol: tcp, ports: [443], sources: [10.23.64.0/20]}"


def firewall_allow(value: t.Any) -> list[dict[str, t.Any]]:
    """What the carrier's network may reach: a list of protocol, ports and, if not everybody may, sources.

    :raises Fault: anything that nftables would refuse, or that means something else than it says.
    """
    return each(a_list(value, f"Write a list, such as [{_EXAMPLE}]."), _allowed)


def _allowed(entry: t.Any) -> dict[str, t.Any]:
    if not isinstance(entry, dict):
        raise Fault(f"holds {quote(entry)}. Write each entry like {_EXAMPLE}.")
    if unknown := sorted(set(map(str, entry)) - {"protocol", "ports", "sources"}):
        raise Fault(f"holds an entry with {quote(unknown[0])}. An entry has protocol, ports and sources: {_EXAMPLE}.")
    protocol = entry.get("protocol")
    if protocol not in ("tcp", "udp"):
        raise Fault(f"holds the protocol {quote(protocol)}. Write tcp or udp, one entry for each.")
    ports = entry.get("ports")
    if not isinstance(ports, (list, tuple)) or not ports:
        raise Fault(f"holds the ports {quote(ports)}. Write a list of them, such as [443] or [8000-8010].")
    numbers = []
    for port in ports:
        found = _PORTS.fullmatch(str(port)) if not isinstance(port, bool) else None
        bounds = [int(bound) for bound in found.groups() if bound] if found else []
        if not bounds or not 1 <= bounds[0] <= bounds[-1] <= 65535:
            raise Fault(f"holds the port {quote(port)}. Write a number from 1 to 65535, or a range such as 8000-8010.")
        # For nftables 0443 is octal.
        numbers.append("-".join(map(str, bounds)))
    sources = entry.get("sources")
    if sources is not None:
        try:
            sources = network_list(sources)
        except Fault as fault:
            raise Fault(f"has an entry whose sources cannot be used; it {fault}") from None
        if not sources:
            raise Fault("has an entry with empty sources. Leave sources out to let in the whole underlay.")
    return {"protocol": protocol, "ports": numbers, "sources": sources}
