# SPDX-License-Identifier: GPL-3.0-or-later
"""A small rtnetlink client for IPv4: links, addresses, routes, rules (all three of IPv6 too), neighbours, route lookups and events.

Spoken directly because the iproute2 of CentOS 7 prints no JSON, and because a route is in place some milliseconds
sooner. Constants are from linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h, fib_rules.h and neighbour.h.
"""

import errno
import os
import socket
import struct
from collections import namedtuple

MAIN_TABLE, LOCAL_TABLE = 254, 255
SCOPE_LINK = 253
UNICAST, LOCAL, BROADCAST, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW = 1, 2, 3, 6, 7, 8, 9  # rtm_type
ONLINK = 4  # RTNH_F_ONLINK: the gateway is on this link whatever the other routes say
PROTOCOL_KERNEL, PROTOCOL_DHCP = 2, 16
SECONDARY, DEPRECATED, TENTATIVE = 0x01, 0x20, 0x40  # ifa_flags
INVERT = 2  # FIB_RULE_INVERT
# ndm_state: being asked for the first time, or again; did not answer; everything that has a hardware address
PROBE = 0x10
INCOMPLETE, REACHABLE, FAILED, LEARNED = 0x01, 0x02, 0x20, 0x02 | 0x04 | 0x08  # learned by ARP, and not being asked again yet
KNOWN = LEARNED | PROBE | 0x80  # not NOARP: nobody was asked, as for a broadcast address

Link = namedtuple("Link", "index name up carrier mtu")
Address = namedtuple("Address", "index address prefixlen flags")
# dst: "10.0.0.0/7"; oif: index of a link; metric: rtm priority; nexthop: the number of a nexthop object (ip nexthop), 0 without
Route = namedtuple("Route", "dst table protocol type scope metric gateway oif prefsrc flags tos nexthop")
Route.__new__.__defaults__ = (0,)
# extra: everything about a rule that is not in the other fields, comparable
Rule = namedtuple("Rule", "priority src dst mark mask table protocol action extra")
# kind: "link", "address", "route", "rule" or, of IPv6, "rule6"
Event = namedtuple("Event", "kind deleted item")

_GROUPS = {"link": 0x1, "address": 0x10, "route": 0x40, "rule": 0x80, "rule6": 1 << 18}
# RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE and the bit of RTNLGRP_IPV6_RULE
_NEWLINK, _GETLINK, _NEWADDR, _DELADDR, _GETADDR = 16, 18, 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE, _NEWRULE, _DELRULE, _GETRULE = 24, 25, 26, 32, 33, 34
_NEWNEIGH, _GETNEIGH = 28, 30
_NTF_USE = 0x01
_REQUEST, _ACK, _DUMP, _DUMP_INTR = 0x1, 0x4, 0x300, 0x10
_REPLACE, _EXCL, _CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_RTM_F_CLONED = 0x200

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBi")
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg; fib_rule_hdr has the same shape
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_U32 = struct.Struct("=I")

# What the extra of a rule may hold, beside bound_to(): the table's default routes do not count; all but the mark.
NO_DEFAULT = ((14, struct.pack("=I", 0)),)  # FRA_SUPPRESS_PREFIXLEN
NOT = ((-1, struct.pack("=BI", 0, INVERT)),)


def bound_to(interface):
    """The extra of a rule for sockets that are bound to an interface."""
    return ((17, interface.encode() + b"\0"),)  # FRA_OIFNAME


class Kernel:
    """Requests to the kernel. Every method raises OSError with the kernel's errno."""

    def __init__(self):
        self._socket = _open()
        self._sequence = 0

    def link(self, name):
        """The link of that name, or None. One that has it as a further name only (Linux 5.5) is known by its own to all else, to nftables
        for one."""
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(3, name.encode() + b"\0")
        try:
            replies = self._request(_GETLINK, _REQUEST, body)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        found = _parse_link(replies[0][1])
        return found if found is not None and found.name == name else None

    def links(self):
        return self._dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0), _parse_link)

    def addresses(self, index, family=socket.AF_INET):
        """The addresses of a link, of IPv4 unless said otherwise."""
        try:
            found = self._dump(_GETADDR, _ADDRESS.pack(family, 0, 0, 0, index), _parse_address)
        except OSError as error:
            if error.errno == errno.ENODEV:  # it has just gone
                return []
            raise
        return [item for item in found if item.index == index]

    def overlay_addresses(self, index):
        """The addresses of both kinds that somebody gave a link; not the link-local one that the kernel makes."""
        found = self.addresses(index, socket.AF_INET6)
        return self.addresses(index) + [item for item in found if not item.address.startswith("fe80:")]

    def routes(self, table, protocol=0, oif=0):
        """The IPv4 routes of a table, of one origin or through one link only where that is given."""
        body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, protocol, 0, 0, 0) + _attribute(15, _U32.pack(table))
        if oif:
            body += _attribute(4, _U32.pack(oif))
        try:
            found = self._dump(_GETROUTE, body, _parse_route)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):  # no such table yet, a link that has just gone
                return []
            raise
        # kernels before 4.20 ignore the filter
        return [
            route
            for route in found
            if route.table == table and protocol in (0, route.protocol) and oif in (0, route.oif)
        ]

    def routes6(self, table):
        """The IPv6 routes of a table."""
        body = _ROUTE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0) + _attribute(15, _U32.pack(table))
        found = self._dump6(_GETROUTE, body, lambda payload: _parse_route(payload, socket.AF_INET6))
        return [route for route in found if route.table == table]

    def rules(self):
        return self._dump(_GETRULE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), _parse_rule)

    def rules6(self):
        body = _ROUTE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
        return self._dump6(_GETRULE, body, lambda payload: _parse_rule(payload, socket.AF_INET6))

    def lookup(self, address, mark=0, source=None, protocol=0, sport=None, dport=None):
        """The route that a packet with this mark to this IPv4 address takes, or None when there is none.

        source: an address of the site that the packet has already; protocol and ports: where a rule may ask for them."""
        if ":" in address:  # what somebody set by hand: it does not leave by the underlay
            return None
        body = _ROUTE.pack(socket.AF_INET, 32, 32 if source else 0, 0, 0, 0, 0, 0, 0)
        body += _attribute(1, socket.inet_aton(address)) + _attribute(16, _U32.pack(mark))
        if source:
            body += _attribute(2, socket.inet_aton(source))
        if protocol:  # RTA_IP_PROTO, SPORT, DPORT; rules ask for them since 4.17
            body += _attribute(27, struct.pack("=B", protocol))
        for kind, port in ((28, sport), (29, dport)):
            if port is not None:
                body += _attribute(kind, struct.pack("!H", port))
        try:
            replies = self._request(_GETROUTE, _REQUEST, body)
        except OSError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EINVAL):
                return None
            raise
        return _parse_route(replies[0][1])

    def neighbours(self, index):
        """{address: ndm_state} of the IPv4 neighbours of a link that the kernel knows."""
        body = _NEIGHBOUR.pack(socket.AF_INET, 0, 0, 0, 0) + _attribute(8, _U32.pack(index))  # NDA_IFINDEX
        found = self._dump(_GETNEIGH, body, _parse_neighbour)
        return {address: state for other, address, state in found if other == index}

    def ask_neighbour(self, index, address, known=False):
        """Let the kernel ask by ARP; neighbours() tells later. known: the kernel has its MAC address. It is asked all the same,
        and used until it does not answer; without, the kernel believes for up to 45 s what it has heard."""
        state, flags, how = (PROBE, 0, _REPLACE) if known else (0, _NTF_USE, _CREATE)
        body = _NEIGHBOUR.pack(socket.AF_INET, index, state, flags, 0) + _attribute(1, socket.inet_aton(address))
        self._request(_NEWNEIGH, _REQUEST | _ACK | how, body)

    def refuses(self, source, address, index, mark=0):
        """What the kernel says of a packet that arrives through a link: "" when it takes or forwards it, else the error's
        name. EXDEV or, by kernel, EINVAL: the reverse path filter; EHOSTUNREACH: no forwarding, or no route."""
        body = _ROUTE.pack(socket.AF_INET, 32, 32, 0, 0, 0, 0, 0, 0)
        body += _attribute(1, socket.inet_aton(address)) + _attribute(2, socket.inet_aton(source))
        body += _attribute(3, _U32.pack(index)) + _attribute(16, _U32.pack(mark))
        try:
            self._request(_GETROUTE, _REQUEST, body)
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error.errno))
        return ""

    def replace_route(self, route):
        self._request(_NEWROUTE, _REQUEST | _ACK | _CREATE | _REPLACE, _pack_route(route))

    def add_route(self, route):
        """Raises FileExistsError when the table has a route of that destination, tos and metric."""
        self._request(_NEWROUTE, _REQUEST | _ACK | _CREATE | _EXCL, _pack_route(route))

    def delete_route(self, route):
        """A route that is gone already is no error."""
        self._gone(_DELROUTE, _pack_route(route))

    def add_rule(self, rule):
        """A rule that is there already is no error."""
        try:
            self._request(_NEWRULE, _REQUEST | _ACK | _CREATE | _EXCL, _pack_rule(rule))
        except FileExistsError:
            pass

    def delete_rule(self, rule):
        """A rule that is gone already is no error."""
        self._gone(_DELRULE, _pack_rule(rule))

    def add_address(self, index, address, prefixlen, metric=0):
        """metric: of the route that the kernel makes of the prefix."""
        self._request(_NEWADDR, _REQUEST | _ACK | _CREATE | _REPLACE, _pack_address(index, address, prefixlen, metric))

    def delete_address(self, index, address, prefixlen):
        self._gone(_DELADDR, _pack_address(index, address, prefixlen))

    def set_mtu(self, index, mtu):
        self._request(_NEWLINK, _REQUEST | _ACK, _LINK.pack(0, 0, index, 0, 0) + _attribute(4, _U32.pack(mtu)))

    def _gone(self, kind, body):
        try:
            self._request(kind, _REQUEST | _ACK, body)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    def _dump(self, kind, body, parse):
        for _ in range(5):
            replies = self._request(kind, _REQUEST | _DUMP, body)
            if not any(flags & _DUMP_INTR for flags, _ in replies):
                break  # otherwise something changed meanwhile, and an entry may be missing
        return [item for item in (parse(payload) for _, payload in replies) if item is not None]

    def _dump6(self, kind, body, parse):
        """Nothing where there is no such table, or no IPv6 at all."""
        try:
            return self._dump(kind, body, parse)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                return []
            raise

    def _request(self, kind, flags, body):
        """Send one request; return [(flags, payload)] of the answer."""
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        replies = []
        while True:
            for kind_, flags_, sequence, payload in _messages(self._socket.recv(1 << 17)):
                if sequence != self._sequence:
                    continue  # the rest of an answer that was given up
                if kind_ in (_NLMSG_ERROR, _NLMSG_DONE):
                    code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
                    if code:
                        raise OSError(code, os.strerror(code))
                    return replies
                replies.append((flags_, payload))
                if not flags & (_ACK | _DUMP):
                    return replies


class Events:
    """Changes as they happen. read() is to be called when the file descriptor is readable."""

    def __init__(self, kinds):
        groups = 0
        for kind in kinds:
            groups |= _GROUPS[kind]
        self._socket = _open(groups)
        self._socket.setblocking(False)

    def fileno(self):
        return self._socket.fileno()

    def read(self):
        """Return (events, lost): what has arrived, and whether the kernel had to drop some (look at everything)."""
        events, lost = [], False
        for _ in range(1000):  # a storm must not keep the caller from acting
            try:
                data, sender = self._socket.recvfrom(1 << 17)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            if sender[0] == 0:  # from the kernel
                events += _parse_events(data)
        return events, lost


def _open(groups=0):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)  # SO_RCVBUFFORCE
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        sock.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)  # the kernel filters dumps (4.20)
    except OSError:
        pass
    sock.bind((0, groups))
    return sock


def _messages(data):
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            raise OSError(errno.EBADMSG, "truncated netlink message")
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _parse_events(data):
    parsers = {
        16: ("link", False, _parse_link),
        17: ("link", True, _parse_link),
        20: ("address", False, _parse_address),
        21: ("address", True, _parse_address),
        24: ("route", False, _parse_route),
        25: ("route", True, _parse_route),
        32: ("rule", False, _parse_rule),
        33: ("rule", True, _parse_rule),
    }
    for kind, _, _, payload in _messages(data):
        if kind in parsers:
            name, deleted, parse = parsers[kind]
            item = parse(payload)
            if item is None and name == "rule":
                name, item = "rule6", _parse_rule(payload, socket.AF_INET6)
            if item is not None:
                yield Event(name, deleted, item)


def _attribute(kind, value):
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(payload, offset):
    found = {}
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _u32(attributes, kind, default=None):
    value = attributes.get(kind)
    return default if value is None or len(value) < 4 else _U32.unpack_from(value)[0]


def _ip(attributes, kind):
    value = attributes.get(kind)
    families = {4: socket.AF_INET, 16: socket.AF_INET6}
    return socket.inet_ntop(families[len(value)], value) if value is not None and len(value) in families else None


def _packed(address):
    """The family of an address, and its bytes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _prefix(attributes, kind, length, family=socket.AF_INET):
    return "%s/%d" % (_ip(attributes, kind) or ("0.0.0.0" if family == socket.AF_INET else "::"), length)


def _parse_link(payload):
    family, _, index, flags, _ = _LINK.unpack_from(payload)
    if family != socket.AF_UNSPEC:  # a bridge telling about its port
        return None
    attributes = _attributes(payload, _LINK.size)
    name = attributes.get(3, b"").rstrip(b"\0").decode(errors="replace")
    return Link(index, name, bool(flags & 0x1), bool(flags & 0x10000), _u32(attributes, 4, 0))  # IFF_UP, IFF_LOWER_UP


def _parse_address(payload):
    family, prefixlen, flags, _, index = _ADDRESS.unpack_from(payload)
    attributes = _attributes(payload, _ADDRESS.size)
    address = _ip(attributes, 2) or _ip(attributes, 1)  # IFA_LOCAL, IFA_ADDRESS
    if family not in (socket.AF_INET, socket.AF_INET6) or address is None:
        return None
    return Address(index, address, prefixlen, _u32(attributes, 8, flags))


def _parse_neighbour(payload):
    family, index, state, _, _ = _NEIGHBOUR.unpack_from(payload)
    address = _ip(_attributes(payload, _NEIGHBOUR.size), 1)
    return (index, address, state) if family == socket.AF_INET and address is not None else None


def _pack_address(index, address, prefixlen, metric=0):
    family, packed = _packed(address)
    attributes = _attribute(2, packed) + _attribute(1, packed) + (_attribute(9, _U32.pack(metric)) if metric else b"")
    return _ADDRESS.pack(family, prefixlen, 0, 0, index) + attributes


def _parse_route(payload, wanted=socket.AF_INET):
    family, dst_len, _, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(payload)
    if family != wanted:
        return None
    attributes = _attributes(payload, _ROUTE.size)
    return Route(
        dst=_prefix(attributes, 1, dst_len, family),
        table=_u32(attributes, 15, table),
        protocol=protocol,
        type=kind,
        scope=scope,
        metric=_u32(attributes, 6, 0),
        gateway=_ip(attributes, 5),
        oif=_u32(attributes, 4),
        prefsrc=_ip(attributes, 7),
        flags=flags & ONLINK,  # the others tell the state of the link
        tos=tos,
        nexthop=_u32(attributes, 30, 0),
    )


def _pack_route(route):
    address, length = route.dst.split("/")
    table = route.table if route.table < 256 else 0
    body = _ROUTE.pack(
        socket.AF_INET, int(length), 0, route.tos, table, route.protocol, route.scope, route.type, route.flags
    )
    body += _attribute(1, socket.inet_aton(address)) + _attribute(15, _U32.pack(route.table))
    body += _attribute(6, _U32.pack(route.metric))
    if route.nexthop:  # the kernel tells of its link and gateway too, but finds the route by the number alone
        return body + _attribute(30, _U32.pack(route.nexthop))
    if route.oif is not None:
        body += _attribute(4, _U32.pack(route.oif))
    if route.gateway is not None:
        body += _attribute(5, socket.inet_aton(route.gateway))
    if route.prefsrc is not None:
        body += _attribute(7, socket.inet_aton(route.prefsrc))
    return body


_RULE_FIELDS = {1, 2, 6, 10, 15, 16, 21}  # FRA_DST, SRC, PRIORITY, FWMARK, TABLE, FWMASK, PROTOCOL
_RULE_NOISE = {14: b"\xff\xff\xff\xff", 18: b""}  # FRA_SUPPRESS_PREFIXLEN when unset, FRA_PAD


def _parse_rule(payload, wanted=socket.AF_INET):
    family, dst_len, src_len, tos, table, _, _, action, flags = _ROUTE.unpack_from(payload)
    if family != wanted:
        return None
    attributes = _attributes(payload, _ROUTE.size)
    extra = tuple(
        sorted(
            (kind, value)
            for kind, value in attributes.items()
            if kind not in _RULE_FIELDS and _RULE_NOISE.get(kind) != value
        )
    )
    if tos or flags & INVERT:
        extra = ((-1, struct.pack("=BI", tos, flags & INVERT)),) + extra
    mark = _u32(attributes, 10, 0)
    protocol = attributes.get(21)
    return Rule(
        priority=_u32(attributes, 6, 0),
        src=_prefix(attributes, 2, src_len, family),
        dst=_prefix(attributes, 1, dst_len, family),
        mark=mark,
        mask=_u32(attributes, 16, 0xFFFFFFFF if mark else 0),
        table=_u32(attributes, 15, table),
        protocol=protocol[0] if protocol else None,  # None: a kernel before 4.17
        action=action,
        extra=extra,
    )


def _pack_rule(rule):
    source, source_length = rule.src.split("/")
    target, target_length = rule.dst.split("/")
    table = rule.table if rule.table < 256 else 0
    tos, flags = next((struct.unpack("=BI", value) for kind, value in rule.extra if kind == -1), (0, 0))
    body = _ROUTE.pack(socket.AF_INET, int(target_length), int(source_length), tos, table, 0, 0, rule.action, flags)
    if int(target_length):
        body += _attribute(1, socket.inet_aton(target))
    if int(source_length):
        body += _attribute(2, socket.inet_aton(source))
    body += _attribute(6, _U32.pack(rule.priority)) + _attribute(15, _U32.pack(rule.table))
    if rule.mark:
        body += _attribute(10, _U32.pack(rule.mark)) + _attribute(16, _U32.pack(rule.mask))
    if rule.protocol is not None:
        body += _attribute(21, struct.pack("=B", rule.protocol))
    for kind, value in rule.extra:
        if kind >= 0:
            body += _attribute(kind, value)
    return body
