# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of others in front of ours: which of them takes packets with our mark to the underlay somewhere else.

Such a rule may be about a part of the underlay only, so no single address shows it. Of every rule in front is worked out to which
part of the underlay it applies, and, by the routes of its table, to which part of that it has an answer. The kernel is then asked about
an address of each such part: it has the last word, where our own rules are in place already.
"""

import ipaddress
import itertools
import socket
import struct
from collections import namedtuple

from . import config, netlink

TO_TABLE, GOTO = 1, 2  # actions of a rule, FR_ACT_*; those that refuse have the numbers of the routes' types
REFUSING = (netlink.BLACKHOLE, netlink.UNREACHABLE, netlink.PROHIBIT)
UDP = 17
ROUTES = 300  # of a table that are looked at, the widest ones: some table is the whole internet's
GAPS = 16  # between the routes within a route of which an address is asked about
# FRA_*: what a rule may ask for beside its source, destination and mark
_IIF, _GOTO, _SUPPRESS, _OIF, _UIDS, _PROTOCOL, _SPORTS, _DPORTS, _DSCP = 3, 4, 14, 17, 20, 22, 23, 24, 25
_NO_SELECTORS = (_GOTO, 11, 13, _SUPPRESS, 28, 29, 30)  # realm, interface group, the masks of ports and DSCP
_TOS = -1  # of netlink.Rule

# What a packet of ours may be. source: of those that have one before they are routed; protocol 0: any of them
Flow = namedtuple("Flow", "source protocol sport dport")
# A part of the underlay that a rule takes elsewhere (or refuses); address: one of it; oif: where to, None where that is not known
Way = namedtuple("Way", "rule network part address flow refused oif")


def ahead(cfg, rules):
    """The rules of others that the kernel asks before the last one of ours about marked packets."""
    own = [number for number, rule in enumerate(rules) if _is_own(cfg, rule)]
    last = own[-1] if own else -1
    return [
        rule
        for number, rule in enumerate(rules)
        if (rule.priority < cfg.priority or (rule.priority == cfg.priority and number < last))
        and not (rule.action == TO_TABLE and rule.table in (cfg.table, netlink.LOCAL_TABLE))
    ]


def _is_own(cfg, rule):
    return (rule.priority, rule.table, rule.mark, rule.extra) == (cfg.priority, cfg.table, cfg.fwmark, ())


def tables(cfg, rules, own):
    """The tables to which rules in front lead packets of ours."""
    ports = _ports(cfg, rules)
    return {
        rule.table
        for rule in ahead(cfg, rules)
        if rule.action == TO_TABLE
        and any(_regions(cfg, rule, flow, network) for flow in _flows(rule, own, ports) for network in cfg.networks)
    }


def ways(cfg, rules, routes, index, own=None):
    """The Ways of the rules in front. routes: a function that gives those of a table; index: of the NIC; own: its Address."""
    found, known = [], {}
    ports = _ports(cfg, rules)
    priorities = {rule.priority for rule in rules}
    for rule in ahead(cfg, rules):
        for flow, network in itertools.product(_flows(rule, own, ports), cfg.networks):
            for region in _regions(cfg, rule, flow, network):
                address = config.probe_address(region)
                if rule.action in REFUSING:
                    found.append(Way(rule, network, region, address, flow, True, None))
                elif rule.action == GOTO and cfg.priority < _number(rule, _GOTO) in priorities:
                    found.append(Way(rule, network, region, address, flow, False, None))
                elif rule.action == TO_TABLE:
                    if rule.table not in known:
                        known[rule.table] = _by_length(routes(rule.table), cfg.networks)
                    for part, address, route in _parts(rule, region, known[rule.table]):
                        astray = route.type != netlink.UNICAST or index is None or route.oif != index
                        if astray and not _is_neighbours(part, route, own):
                            found.append(Way(rule, network, part, address, flow, route.type in REFUSING, route.oif))
    return found


def probe(kernel, cfg, way):
    """What the kernel does with a packet of a Way: a Route or None."""
    return kernel.lookup(way.address, cfg.fwmark, *way.flow)


def asked(kernel, network, mark, index):
    """(address, Route or None): where the kernel would send a packet to a network, asked about an address that is neither the site's own
    nor one of what another NIC than ours, whose index that is, is connected to."""
    for probe in config.probe_addresses(network):
        taken = kernel.lookup(probe, mark)
        if taken is None or not (taken.type == netlink.LOCAL or (taken.oif != index and taken.oif and not taken.gateway)):
            break
    return probe, taken


def _is_neighbours(part, route, own):
    """Whether it is what another NIC is connected to, a LAN or a VPN of the site within the carrier's range, whose rule that is."""
    connected = route.protocol in (netlink.PROTOCOL_KERNEL, netlink.PROTOCOL_DHCP) and not route.gateway
    if not connected or route.type != netlink.UNICAST or route.scope != netlink.SCOPE_LINK:
        return False
    return own is None or not part.overlaps(_network("%s/%d" % (own.address, own.prefixlen)))


def _ports(cfg, rules):
    """(from which, to which) WireGuard sends through the NIC, where a rule asks for ports."""
    found = set(), set()
    if not any(kind in (_SPORTS, _DPORTS) for rule in rules for kind, _ in rule.extra):
        return found
    for mesh in config.configured("mesh"):
        try:
            loaded = config.load_mesh(mesh)
        except config.ConfigError:
            continue  # its own daemon says so
        if loaded.underlay_interface == cfg.interface:
            found[0].add(loaded.port)
            sites = [peer for peer in loaded.peers if not peer.external]  # the others are elsewhere
            seeds = [int(seed.rpartition(":")[2]) for peer in sites for seed in peer.seeds]
            found[1].update([loaded.port] + seeds + [peer.endpoint[1] for peer in sites if peer.endpoint])
    return found


def _flows(rule, own, ports):
    sources = [None] if own is None else [None, own.address]
    kinds = dict(rule.extra)
    if not {_PROTOCOL, _SPORTS, _DPORTS} & set(kinds):
        return [Flow(item, 0, None, None) for item in sources]
    packets = itertools.product([UDP], sorted(ports[0]) or [None], sorted(ports[1]) or [None])
    return [Flow(item, *packet) for packet in packets for item in sources]


def _matches(cfg, rule, flow):
    """Whether all that a rule asks for, but for the destination, fits a packet of ours; not heeding its `not`."""
    if cfg.fwmark & rule.mask != rule.mark:
        return False
    if ipaddress.IPv4Address(flow.source or "0.0.0.0") not in _network(rule.src):
        return False
    for kind, value in rule.extra:
        if kind == _IIF:
            fits = value.rstrip(b"\0") == b"lo"  # where the site's own packets come from
        elif kind == _UIDS:
            fits = struct.unpack_from("=I", value)[0] == 0  # WireGuard is the kernel's
        elif kind == _PROTOCOL:
            fits = value[0] == flow.protocol
        elif kind in (_SPORTS, _DPORTS):
            port, span = flow.sport if kind == _SPORTS else flow.dport, _range(value)
            fits = port is not None and span[0] <= port <= span[1]
        elif kind in (_DSCP, _TOS):
            fits = value[0] == 0
        else:
            fits = kind in _NO_SELECTORS  # of no NIC beforehand (oif), of no VRF, out of no tunnel
        if not fits:
            return False
    return True


def _regions(cfg, rule, flow, network):
    """The parts of an underlay network that a rule is about."""
    inner = _overlap(network, _network(rule.dst)) if _matches(cfg, rule, flow) else None
    if not inverted(rule):
        return [] if inner is None else [inner]
    if inner is None:
        return [network]
    return [] if inner == network else list(network.address_exclude(inner))


def inverted(rule):
    return any(kind == _TOS and struct.unpack("=BI", value)[1] & netlink.INVERT for kind, value in rule.extra)


def _by_length(routes, networks):
    """[(network, Route)], the best of each network that has to do with the underlay, the longest prefix first."""
    best = {}
    spans = [(int(network[0]), network.prefixlen) for network in networks]
    for route in routes:
        address, length = route.dst.split("/")
        start = int.from_bytes(socket.inet_aton(address), "big")
        # An IPv4Network for each of many thousands would take too long.
        if not any((start ^ first) >> (32 - min(int(length), other)) == 0 for first, other in spans):
            continue
        if not route.tos and (route.dst not in best or route.metric < best[route.dst].metric):
            best[route.dst] = route
    return sorted(
        ((ipaddress.IPv4Network(dst), route) for dst, route in best.items()), key=lambda item: -item[0].prefixlen
    )


def _parts(rule, region, routes):
    """[(network, address, Route)]: the parts of a region for which a rule's table has an answer that ends the search, with addresses
    in each for which no longer prefix of the table has another."""
    suppressed = _number(rule, _SUPPRESS) if any(kind == _SUPPRESS for kind, _ in rule.extra) else -1
    found, longer = [], []
    for network, route in [item for item in routes if item[0].overlaps(region)][-ROUTES:]:
        part = _overlap(region, network)
        if route.type != netlink.THROW and network.prefixlen > suppressed:
            found += [(part, address, route) for address in _left(part, longer)]
        longer.append((int(part[0]), int(part[-1])))
    return found


def _left(network, taken):
    """Some addresses of a network that are in none of the ranges, one for each gap between them."""
    first, last = int(network[0]), int(network[-1])
    gaps = []
    for start, end in sorted(item for item in taken if first <= item[0] and item[1] <= last) + [(last + 1, last + 1)]:
        if start > first:
            gaps.append((first, start - 1))
        first = max(first, end + 1)
    return [str(ipaddress.IPv4Address(end - 1 if end - start > 1 else start)) for start, end in gaps[-GAPS:]]


def _network(text):
    """The kernel keeps what a rule was told, and heeds only as many bits as it was told."""
    return ipaddress.IPv4Network(text, strict=False)


def _overlap(one, other):
    """What two networks have in common, or None."""
    if not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other


def further(rule):
    """What a rule asks for beside source, destination and mark, and what becomes of it, as `ip rule` prints it."""
    text = ""
    for kind, value in rule.extra:
        if kind == _TOS and value[0]:
            text += " tos 0x%x" % value[0]
        elif kind in (_IIF, _OIF):
            text += " %s %s" % ("iif" if kind == _IIF else "oif", value.rstrip(b"\0").decode(errors="replace"))
        elif kind == _UIDS:
            text += " uidrange %d-%d" % struct.unpack_from("=II", value)
        elif kind == _PROTOCOL:
            text += " ipproto %d" % value[0]
        elif kind in (_SPORTS, _DPORTS):
            text += " %s %d-%d" % (("sport" if kind == _SPORTS else "dport",) + _range(value))
        elif kind == _SUPPRESS:
            text += " suppress_prefixlength %d" % _number(rule, kind)
        elif kind == _GOTO:
            text += " goto %d" % _number(rule, kind)
    return text


def _number(rule, kind):
    return next((struct.unpack("=I", value)[0] for other, value in rule.extra if other == kind), 0)


def _range(value):
    """(first, last) of a range of ports, or None."""
    return None if value is None else struct.unpack_from("=HH", value)
