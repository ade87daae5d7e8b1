# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo and timestamp requests to many addresses at once, from one socket. Needs CAP_NET_RAW."""

import os
import select
import socket
import struct
import time

from .sockets import Held

_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
_HEADER = struct.Struct("!BBHHH")
_IP_HEADER = 20
_SO_MARK = 36  # asm-generic/socket.h; Python 3.6 does not name it everywhere
_TOKEN = 4  # bytes of payload by which an answer to us is known
_DAY = 86400


class Echo(Held):
    """A socket that sends echo requests through one interface. mark: needed where rules lead only marked packets there."""

    REQUEST, REPLY = 8, 0  # RFC 792

    def __init__(self, interface, mark=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)
        self.socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << self.REPLY) & 0xFFFFFFFF))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if mark:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
        self._token = os.urandom(_TOKEN)
        self._id = struct.unpack("!H", self._token[:2])[0]

    def send(self, address, sequence=0, length=0):
        """Send one request, as an IP packet of this length at least. Returns whether the kernel took it."""
        packet = _HEADER.pack(self.REQUEST, 0, 0, self._id, sequence) + self._token
        packet += b"\0" * (length - _IP_HEADER - len(packet))
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        try:
            self.socket.sendto(packet, (address, 0))
        except OSError:  # no route, no tunnel key for it yet, queue full
            return False
        return True

    def receive(self):
        """The (address, sequence) of an answer to this socket, or None for anything else."""
        try:
            data, sender = self.socket.recvfrom(65535)
        except OSError:
            return None
        return self.parse(data, sender[0])

    def parse(self, data, sender):
        offset = (data[0] & 0xF) * 4 if data else 0
        if len(data) < offset + _HEADER.size or offset < 20:
            return None
        kind, _, _, identifier, sequence = _HEADER.unpack_from(data, offset)
        payload = data[offset + _HEADER.size :]
        if (kind, identifier, payload[:_TOKEN]) != (self.REPLY, self._id, self._token):
            return None
        return sender, sequence


class Clock(Echo):
    """Asks for the time of day, which the kernel of a peer answers by itself. The token stands where the time of asking
    may, and comes back like it."""

    REQUEST, REPLY = 13, 14
    LENGTH = _IP_HEADER + _HEADER.size + 12

    def parse(self, data, sender):
        """(address, seconds since midnight UTC there), or None."""
        found = super().parse(data, sender)
        payload = data[(data[0] & 0xF) * 4 + _HEADER.size :] if found else b""
        if len(payload) < 12:
            return None
        milliseconds = struct.unpack_from("!I", payload, 8)[0]
        return (sender, milliseconds / 1000.0) if milliseconds < _DAY * 1000 else None  # the high bit: of no standard


def clocks(addresses, interface, timeout=1.0):
    """{address: seconds by which its clock is ahead of this one, between half a day behind and half a day ahead} of those
    that answer. Whole days do not show."""
    result = {}
    with Clock(interface) as clock:
        for address in addresses:
            clock.send(address, length=Clock.LENGTH)
        deadline = time.monotonic() + timeout
        while len(result) < len(addresses):
            if not select.select([clock], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            answer = clock.receive()
            if answer and answer[0] in addresses:
                result[answer[0]] = (answer[1] - time.time() + _DAY / 2) % _DAY - _DAY / 2
    return result


def ping(addresses, interface, timeout=1.0, length=0):
    """Ask every address once. Returns {address: milliseconds or None}. Raises OSError without the privilege."""
    result = dict.fromkeys(addresses)
    with Echo(interface) as echo:
        sent = {}
        for sequence, address in enumerate(result):
            sent[address, sequence & 0xFFFF] = time.monotonic()
            echo.send(address, sequence & 0xFFFF, length)
        deadline = time.monotonic() + timeout
        waiting = len(sent)
        while waiting:
            ready, _, _ = select.select([echo.socket], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            answer = echo.receive()
            if answer in sent and result[answer[0]] is None:
                result[answer[0]] = round((time.monotonic() - sent[answer]) * 1000, 2)
                waiting -= 1
    return result


def measure(addresses, interface, times=3):
    """{address: (the shortest time in milliseconds or None, packets lost in percent)} of some rounds."""
    rounds = []
    for _ in range(times):
        rounds.append(ping(addresses, interface, timeout=0.5 if rounds else 1.0))
    result = {}
    for address in addresses:
        answers = [found[address] for found in rounds if found[address] is not None]
        result[address] = (min(answers) if answers else None, 100 - 100 * len(answers) // times)
    return result


def checksum(data):
    """The Internet checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
