# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests to many addresses at once, from one socket. Needs CAP_NET_RAW."""

import os
import select
import socket
import struct
import time

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
_HEADER = struct.Struct("!BBHHH")
_TOKEN = 16  # bytes of payload by which an answer to us is known


class Echo:
    """A socket that sends echo requests through one interface."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)
        self.socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        self._token = os.urandom(_TOKEN)
        self._id = struct.unpack("!H", self._token[:2])[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, address, sequence=0):
        """Send one echo request. Returns whether the kernel took it."""
        packet = _HEADER.pack(_ECHO_REQUEST, 0, 0, self._id, sequence) + self._token
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        try:
            self.socket.sendto(packet, (address, 0))
        except OSError:  # no route, no tunnel key for it yet, queue full
            return False
        return True

    def receive(self):
        """The (address, sequence) of an answer to this socket, or None for anything else."""
        try:
            data, sender = self.socket.recvfrom(2048)
        except OSError:
            return None
        return self.parse(data, sender[0])

    def parse(self, data, sender):
        offset = (data[0] & 0xF) * 4 if data else 0
        if len(data) < offset + _HEADER.size or offset < 20:
            return None
        kind, _, _, identifier, sequence = _HEADER.unpack_from(data, offset)
        payload = data[offset + _HEADER.size :]
        if (kind, identifier, payload) != (_ECHO_REPLY, self._id, self._token):
            return None
        return sender, sequence


def ping(addresses, interface, timeout=1.0):
    """Ask every address once. Returns {address: milliseconds or None}. Raises OSError without the privilege."""
    result = dict.fromkeys(addresses)
    with Echo(interface) as echo:
        sent = {}
        for sequence, address in enumerate(result):
            sent[address, sequence & 0xFFFF] = time.monotonic()
            echo.send(address, sequence & 0xFFFF)
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


def checksum(data):
    """The Internet checksum of RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
