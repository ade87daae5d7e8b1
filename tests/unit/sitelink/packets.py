# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS packets as servers make them, right and wrong, and a server of one zone."""

import socket
import struct
import threading

from sitelink import dns


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(name, kind, value, ttl=60):
    if kind in ("A", "AAAA"):
        data = socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    elif kind == "SOA":
        data = encoded(value) + encoded("hostmaster." + value) + struct.pack("!5I", 1, 2, 3, 4, 5)
    else:
        data = encoded(value)
    return encoded(name) + struct.pack("!HHIH", dns.TYPES[kind], 1, ttl, len(data)) + data


def reply(question, answers=(), authorities=(), rcode=0, flags=0x8400, identity=None):
    """A packet that answers the question of another packet."""
    head = struct.pack(
        "!HHHHHH",
        identity or struct.unpack_from("!H", question)[0],
        flags | rcode,
        1,
        len(answers),
        len(authorities),
        0,
    )
    return head + question[12:] + b"".join(answers) + b"".join(authorities)


class NameServer:
    """Answers for a zone as its authoritative server does: records is {(name, kind): [values]}, changed at will.

    mode: "right", "silent", "resolver" (not authoritative), or "stripping" (a resolver with rebind protection).
    """

    def __init__(self, address, zone, records=None):
        self.zone, self.records, self.mode = zone, dict(records or {}), "right"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.address = address
        self.records.setdefault((zone, "NS"), ["ns." + zone])
        self.records.setdefault(("ns." + zone, "A"), [address])
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            if question == b"end":
                return
            for packet in self.answer(question):
                self.socket.sendto(packet, client)

    def answer(self, question):
        name, kind = dns._name(question, 12)[0], struct.unpack("!H", question[-4:-2])[0]
        if self.mode == "silent":
            return []
        kinds = {number: text for text, number in dns.TYPES.items()}
        values = self.records.get((name, kinds.get(kind)), [])
        soa = [record(self.zone, "SOA", "ns." + self.zone)]
        if self.mode == "stripping" and kind in (1, 28) and name != "ns." + self.zone:
            return [reply(question, flags=0x8180)]
        flags = 0x8400 if self.mode == "right" else 0x8180
        if values:
            return [reply(question, [record(name, kinds[kind], value) for value in values], flags=flags)]
        exists = any(owner == name for owner, _ in self.records)
        return [reply(question, authorities=soa, rcode=0 if exists else 3, flags=flags)]

    def stop(self):
        self.socket.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()
