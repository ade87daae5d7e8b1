# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers tell each other inside the tunnel: where they hear others.

UDP from and to the peers' overlay addresses at PORT, over the WireGuard interface only, so that a packet's source
address is that of the peer whose key sealed it. A message is a header, MAGIC, kind and count, then `count` records:

    MOVED     none                                                    I have a new address; what is news?
    QUESTION  overlay address (4 bytes)                               where do you hear these?
    TOLD      overlay address (4), endpoint address (4), port (2),    here, and so many seconds ago (an age, since
              age in seconds (4)                                      clocks may be wrong)
    KEYS      new public key (32), digest of the preshared key (32)   do you know my new key?
    READY     the same                                                I do
    SWITCH    that public key (32)                                    I use it from now on
    ASK       none                                                    are you there?
    ANSWER    none                                                    yes

Numbers are in network byte order. Anything else is dropped whole.
"""

import socket
import struct

from .sockets import Held

PORT = 22069
MOVED, QUESTION, TOLD, KEYS, READY, SWITCH, ASK, ANSWER = 1, 2, 3, 4, 5, 6, 7, 8
MAX_RECORDS = 64  # 904 bytes: below every MTU
MAX_SIZE = 6 + 14 * MAX_RECORDS

_MAGIC = b"SLT1"
_HEADER = struct.Struct("!4sBB")
_TOLD = struct.Struct("!4s4sHI")
_SIZES = {MOVED: 0, QUESTION: 4, TOLD: _TOLD.size, KEYS: 64, READY: 64, SWITCH: 32, ASK: 0, ANSWER: 0}
_ABOUT_KEYS = (KEYS, READY, SWITCH)
_IP_FREEBIND, _SO_BINDTODEVICE = 15, 25  # linux/in.h, asm-generic/socket.h
_BURST, _PER_SECOND = 20, 5  # messages of one peer that are heeded
_AT_ONCE = 200  # datagrams read before the loop may do something else


def parse(data):
    """(kind, records) of a message: addresses for QUESTION, (address, "ip:port", age) for TOLD, bytes for the kinds
    about keys; None for anything else."""
    if not _HEADER.size <= len(data) <= MAX_SIZE:
        return None
    magic, kind, count = _HEADER.unpack_from(data)
    size = _SIZES.get(kind)
    if magic != _MAGIC or size is None or count > MAX_RECORDS or len(data) != _HEADER.size + count * size:
        return None
    if (count == 0) != (size == 0) or (kind in _ABOUT_KEYS and count != 1):
        return None
    if kind in _ABOUT_KEYS:
        return kind, [data[_HEADER.size :]]
    records = []
    for offset in range(_HEADER.size, len(data), size or 1):
        if kind == QUESTION:
            records.append(socket.inet_ntoa(data[offset : offset + 4]))
            continue
        address, host, port, age = _TOLD.unpack_from(data, offset)
        if port == 0:
            return None
        records.append((socket.inet_ntoa(address), "%s:%d" % (socket.inet_ntoa(host), port), age))
    return kind, records


def build(kind, records=()):
    """The messages, at least one, that say this; records as parse() gives them."""
    packed = []
    for record in records:
        if kind == QUESTION:
            packed.append(socket.inet_aton(record))
        elif kind in _ABOUT_KEYS:
            packed.append(record)
        else:
            address, endpoint, age = record
            host, _, port = endpoint.rpartition(":")
            packed.append(
                _TOLD.pack(socket.inet_aton(address), socket.inet_aton(host), int(port), min(age, 0xFFFFFFFF))
            )
    parts = [packed[start : start + MAX_RECORDS] for start in range(0, len(packed), MAX_RECORDS)] or [[]]
    return [_HEADER.pack(_MAGIC, kind, len(part)) + b"".join(part) for part in parts]


class Limit:
    """A bucket of tokens per sender."""

    def __init__(self, burst=_BURST, per_second=_PER_SECOND):
        self._burst, self._per_second = burst, per_second
        self._buckets = {}

    def allows(self, sender, now):
        tokens, last = self._buckets.get(sender, (self._burst, now))
        tokens = min(self._burst, tokens + (now - last) * self._per_second)
        self._buckets[sender] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


class Post(Held):
    """The socket. Raises OSError when it cannot be made."""

    def __init__(self, interface, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            self.socket.bind((address, PORT))
        except OSError:
            self.socket.close()
            raise

    def send(self, address, messages):
        for message in messages:
            try:
                self.socket.sendto(message, (address, PORT))
            except OSError:  # no route or no key yet; who asks will ask again
                return

    def receive(self, known, limit, now):
        """The messages that wait, [(sender's overlay address, kind, records)]; known: addresses that may speak."""
        found = []
        for _ in range(_AT_ONCE):
            try:
                data, (address, port) = self.socket.recvfrom(MAX_SIZE + 1)
            except OSError:
                break
            if port != PORT or address not in known or not limit.allows(address, now):
                continue
            message = parse(data)
            if message is not None:
                found.append((address,) + message)
        return found
