# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS questions to chosen servers (RFC 1035): what does this server, and no other, say about a name?

The system's resolver is no witness: it caches, and a home router drops answers with private addresses. ask() and
ask_all() wait for answers; Question suits a daemon's loop. Nothing that a server sends raises.
"""

import ipaddress
import os
import selectors
import socket
import struct
import time
from collections import namedtuple

PORT = 53
TIMEOUT = 2.0  # seconds for one server, with the question repeated once halfway
RESOLV_CONF = "/etc/resolv.conf"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "AAAA": 28}

# Outcomes. FOUND: records is not empty. NODATA: the name exists, without records of this type. STRIPPED: an empty answer
# that does not even name its zone, as resolvers give that took private addresses out. TRUNCATED: only over TCP.
FOUND, NXDOMAIN, NODATA, STRIPPED = "found", "nxdomain", "nodata", "stripped"
REFUSED, FAILED, MALFORMED, TRUNCATED = "refused", "failed", "malformed", "truncated"
TIMED_OUT, UNREACHABLE = "timeout", "unreachable"

# records: texts, addresses for A and AAAA, names without the final dot for NS, the first server for SOA; ttl: seconds,
# the smallest; authoritative: the server answers for the zone itself; zone: owner of the SOA, of an empty answer too.
Answer = namedtuple("Answer", "outcome records ttl authoritative zone server")

_RCODES = {0: None, 2: FAILED, 3: NXDOMAIN, 5: REFUSED}
_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")  # type, class, TTL, length of a record
_QR, _AA, _TC, _RD, _OPCODE = 0x8000, 0x0400, 0x0200, 0x0100, 0x7800
_IN = 1
_SO_BINDTODEVICE, _SO_MARK = 25, 36  # asm-generic/socket.h; not every Python names both
_MAX_NAME = 255
_MAX_CHAIN = 8  # CNAMEs


class _Malformed(Exception):
    pass


def ask(server, name, kind, timeout=TIMEOUT, **way):
    """Ask one server, (address, port) or an address; see ask_all()."""
    return ask_all([server], name, kind, timeout, **way)[0]


def ask_all(servers, name, kind, timeout=TIMEOUT, **way):
    """Ask servers at the same time. Returns their Answers in the same order, within about `timeout` seconds.

    way: source (an own address), interface (name; needs CAP_NET_RAW before Linux 5.7), mark (SO_MARK; needs
    CAP_NET_ADMIN), recursive (whether the server may ask others, default yes). ValueError for a name that is none.
    """
    answers = [None] * len(servers)
    selector = selectors.DefaultSelector()
    start = time.monotonic()
    try:
        for index, server in enumerate(servers):
            question = Question(server, name, kind, **way)
            answers[index] = question.send()
            selector.register(question, selectors.EVENT_READ, index)
        repeat_at, end = start + timeout / 2, start + timeout
        while None in answers:
            now = time.monotonic()
            if now >= end:
                break
            if now >= repeat_at:
                repeat_at = end
                for key in selector.get_map().values():
                    if answers[key.data] is None:
                        answers[key.data] = key.fileobj.send()
            for key, _ in selector.select(max(0.0, min(repeat_at, end) - now)):
                if answers[key.data] is None:
                    answers[key.data] = key.fileobj.read()
        for key in list(selector.get_map().values()):
            answer = answers[key.data]
            if answer is None:
                answers[key.data] = key.fileobj.answer(TIMED_OUT)
            elif answer.outcome == TRUNCATED:
                answers[key.data] = key.fileobj.over_tcp(timeout)
    finally:
        for key in list(selector.get_map().values()):
            selector.unregister(key.fileobj)
            key.fileobj.close()
        selector.close()
    return answers


class Question:
    """One question to one server, over a UDP socket of its own (a new port and a random id each time)."""

    def __init__(self, server, name, kind, source=None, interface=None, mark=None, recursive=True):
        self.server = (server, PORT) if isinstance(server, str) else (server[0], server[1])
        self.name, self.kind = name.rstrip(".").lower(), kind
        self._way = (source, interface, mark)
        self._id = struct.unpack("!H", os.urandom(2))[0]
        self.packet = build(self._id, name, kind, recursive)
        self._error = self._socket = None
        try:
            self._socket = self._new_socket(self._family())
            self._prepare(self._socket)
            self._socket.connect(self.server)
        except OSError:  # a resolver with an IPv6 address on a host without IPv6 is one of these
            self._error = UNREACHABLE
            if self._socket is None:
                self._socket = self._new_socket(socket.AF_INET)  # there is something to watch and to close

    @staticmethod
    def _new_socket(family):
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        made.setblocking(False)
        return made

    def _family(self):
        return socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET

    def _prepare(self, sock):
        source, interface, mark = self._way
        if interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
        if mark is not None:
            sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
        if source is not None:
            sock.bind((source, 0))

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def answer(self, outcome):
        """An Answer without records."""
        return Answer(outcome, [], 0, False, None, self.server)

    def send(self):
        """Send, or send again. Returns an Answer when that is impossible, else None."""
        try:
            if self._error is None:
                self._socket.send(self.packet)
                return None
        except BlockingIOError:
            return None
        except OSError:
            pass
        return self.answer(UNREACHABLE)

    def read(self):
        """To be called when readable. Returns the Answer, or None when this was none: go on waiting."""
        for _ in range(64):
            try:
                data = self._socket.recv(65535)
            except BlockingIOError:
                return None
            except OSError:  # an ICMP error, such as port unreachable
                return self.answer(UNREACHABLE)
            answer = self.parse(data)
            if answer is not None:
                return answer
        return None

    def parse(self, data):
        return parse(data, self._id, self.name, self.kind, self.server)

    def over_tcp(self, timeout=TIMEOUT):
        """Ask the same over TCP, waiting for the answer."""
        end = time.monotonic() + timeout
        try:
            with socket.socket(self._family(), socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
                self._prepare(sock)
                sock.settimeout(timeout)
                sock.connect(self.server)
                sock.sendall(struct.pack("!H", len(self.packet)) + self.packet)
                length = struct.unpack("!H", _receive(sock, 2, end))[0]
                data = _receive(sock, length, end)
        except socket.timeout:
            return self.answer(TIMED_OUT)
        except (OSError, EOFError):
            return self.answer(UNREACHABLE)
        answer = self.parse(data)
        return self.answer(MALFORMED) if answer is None or answer.outcome == TRUNCATED else answer


def _receive(sock, count, end):
    data = b""
    while len(data) < count:
        left = end - time.monotonic()
        if left <= 0:
            raise socket.timeout
        sock.settimeout(left)
        part = sock.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def build(identity, name, kind, recursive=True):
    """The packet of a question. ValueError for a name that is none."""
    labels = name.rstrip(".").split(".")
    try:
        encoded = [label.encode("ascii") for label in labels]
    except UnicodeEncodeError:
        raise ValueError("not a name in ASCII: %r" % name) from None
    if not all(0 < len(label) < 64 for label in encoded) or sum(len(label) + 1 for label in encoded) >= _MAX_NAME:
        raise ValueError("not a DNS name: %r" % name)
    packed = b"".join(bytes([len(label)]) + label for label in encoded) + b"\0"
    return _HEADER.pack(identity, _RD if recursive else 0, 1, 0, 0, 0) + packed + struct.pack("!HH", TYPES[kind], _IN)


def parse(data, identity, name, kind, server):
    """The Answer in a packet; None when it answers another question (somebody else's, or a forgery)."""
    try:
        return _parse(data, identity, name.rstrip(".").lower(), kind, server)
    except _Malformed:
        return Answer(MALFORMED, [], 0, False, None, server)


def _parse(data, identity, name, kind, server):
    if len(data) < _HEADER.size:
        return None
    found, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if found != identity or not flags & _QR or flags & _OPCODE:
        return None
    offset = _HEADER.size
    rcode = flags & 0xF
    if questions == 0 and rcode not in (0, 3):  # a server that did not understand need not repeat the question
        return Answer(_RCODES.get(rcode, FAILED), [], 0, False, None, server)
    if questions != 1:
        raise _Malformed
    owner, offset = _name(data, offset)
    if offset + 4 > len(data):
        raise _Malformed
    if (owner,) + struct.unpack_from("!HH", data, offset) != (name, TYPES[kind], _IN):
        return None
    offset += 4
    if flags & _TC:
        return Answer(TRUNCATED, [], 0, False, None, server)
    authoritative = bool(flags & _AA)
    sections = []
    for count in (answers, authorities):
        section = []
        for _ in range(count):
            record, offset = _record(data, offset)
            section.append(record)
        sections.append(section)
    zone = next((owner for section in sections for owner, what, _, _ in section if what == "SOA"), None)
    outcome = _RCODES.get(rcode, FAILED)
    if outcome is not None:
        return Answer(outcome, [], 0, authoritative, zone, server)
    records, ttls = _chosen(sections[0], name, kind)
    if records:
        return Answer(FOUND, records, min(ttls), authoritative, zone, server)
    # An honest empty answer names its zone by the SOA (RFC 2308), a referral the servers to ask instead. The flag AA says
    # nothing here: dnsmasq passes it on with the answer that it emptied.
    honest = sections[0] or any(what in ("SOA", "NS") for _, what, _, _ in sections[1])
    return Answer(NODATA if honest else STRIPPED, [], 0, authoritative, zone, server)


def _chosen(section, name, kind):
    """The values of a type, at the end of the chain of CNAMEs that begins with the name; each once."""
    ttls = []
    for _ in range(_MAX_CHAIN):
        found = [(value, ttl) for owner, what, ttl, value in section if (owner, what) == (name, kind)]
        if found:
            return list(dict.fromkeys(value for value, _ in found)), ttls + [ttl for _, ttl in found]
        alias = next(((value, ttl) for owner, what, ttl, value in section if (owner, what) == (name, "CNAME")), None)
        if alias is None:
            break
        name = alias[0]
        ttls.append(alias[1])
    return [], ttls


def _record(data, offset):
    """((owner, type or None when it is of no interest, ttl, value), next offset)"""
    owner, offset = _name(data, offset)
    if offset + _FIXED.size > len(data):
        raise _Malformed
    number, network, ttl, length = _FIXED.unpack_from(data, offset)
    offset += _FIXED.size
    end = offset + length
    if end > len(data):
        raise _Malformed
    kind = next((kind for kind, value in TYPES.items() if (value, _IN) == (number, network)), None)
    value = None
    if kind in ("A", "AAAA"):
        if length != (4 if kind == "A" else 16):
            raise _Malformed
        value = str(ipaddress.ip_address(data[offset:end]))
    elif kind is not None:
        value, after = _name(data, offset)
        if after > end or (kind != "SOA" and after != end):
            raise _Malformed
    return (owner, kind, ttl if ttl < 1 << 31 else 0, value), end


def _name(data, offset):
    """(name in lower case without the final dot, offset behind it)"""
    labels, length, behind, limit = [], 0, None, offset
    while True:
        if offset >= len(data):
            raise _Malformed
        size = data[offset]
        if size >= 0xC0:
            if offset + 2 > len(data):
                raise _Malformed
            behind = offset + 2 if behind is None else behind
            offset = (size & 0x3F) << 8 | data[offset + 1]
            if offset >= limit:  # only ever backwards, so that it ends
                raise _Malformed
            limit = offset
            continue
        if size >= 0x40 or offset + 1 + size > len(data):
            raise _Malformed
        length += size + 1
        if length > _MAX_NAME:
            raise _Malformed
        offset += 1
        if size == 0:
            break
        label = data[offset : offset + size].decode("latin-1").lower()
        # A dot or an unprintable character inside a label must not pass for a name in a message.
        labels.append("".join(c if "!" <= c <= "~" and c not in ".\\" else "\\%03d" % ord(c) for c in label))
        offset += size
    return ".".join(labels), offset if behind is None else behind


def system_servers(path=None):
    """The addresses of the system's resolvers, from resolv.conf; what the C library takes when there are none."""
    found = []
    try:
        with open(path or RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["nameserver"] and len(words) > 1:
                    try:
                        ipaddress.ip_address(words[1].partition("%")[0])
                    except ValueError:
                        continue
                    found.append(words[1])
    except OSError:
        pass
    return found[:3] or ["127.0.0.1"]  # MAXNS of resolv.h


def authorities(name, resolvers, limit=4, **way):
    """The servers that answer for the zone of a name: (zone, addresses, reason).

    Asks the resolvers, one after the other, for the NS records of the name and of what is above it. At most `limit`
    IPv4 addresses, one per server first. reason: a sentence when there are none.
    """
    labels = name.rstrip(".").lower().split(".")
    outcomes = []
    for resolver in resolvers:
        where = resolver if isinstance(resolver, str) else resolver[0]
        for start in range(len(labels) - 1):  # no zone of interest is a top-level domain
            zone = ".".join(labels[start:])
            answer = ask(resolver, zone, "NS", **way)
            if answer.outcome == FOUND:
                servers = _addresses(answer.records, resolver, limit, way)
                if servers:
                    return zone, servers, ""
                outcomes.append("the servers of %s have no address by %s" % (zone, where))
                break
            if answer.outcome not in (NODATA, NXDOMAIN, STRIPPED):
                outcomes.append("the resolver %s: %s" % (where, describe(answer)))
                break
        else:
            outcomes.append("the resolver %s knows no zone that holds it" % where)
    return None, [], "the servers of the zone of %s cannot be found: %s" % (name, "; ".join(outcomes))


def _addresses(names, resolver, limit, way):
    found = [ask(resolver, name, "A", **way).records for name in sorted(names)[:limit]]
    first = [addresses[0] for addresses in found if addresses]
    more = [address for addresses in found for address in addresses[1:]]
    return list(dict.fromkeys(first + more))[:limit]


def describe(answer):
    """An Answer in words, for reasons."""
    return {
        FOUND: "it has " + ", ".join(answer.records),
        NXDOMAIN: "there is no such name",
        NODATA: "the name has no such record",
        STRIPPED: "the answer came without its addresses",
        REFUSED: "it refuses to answer",
        FAILED: "it cannot answer (SERVFAIL)",
        MALFORMED: "its answer is malformed",
        TRUNCATED: "its answer is cut off",
        TIMED_OUT: "no answer",
        UNREACHABLE: "it cannot be reached",
    }[answer.outcome]
