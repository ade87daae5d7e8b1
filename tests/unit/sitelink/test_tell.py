# SPDX-License-Identifier: GPL-3.0-or-later
"""What peers tell each other: the parser takes what build() makes, and nothing else."""

import ipaddress
import random
import socket
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sitelink import mesh, peers, tell

addresses = st.ip_addresses(v=4).map(str)
endpoints = st.tuples(addresses, st.integers(1, 65535)).map("%s:%d".__mod__)
told = st.lists(st.tuples(addresses, endpoints, st.integers(0, 0xFFFFFFFF)), min_size=1, max_size=200)


@given(told)
def test_round_trip(records):
    messages = tell.build(tell.TOLD, records)
    assert all(len(message) <= tell.MAX_SIZE for message in messages)
    parsed = [tell.parse(message) for message in messages]
    assert [kind for kind, _ in parsed] == [tell.TOLD] * len(messages)
    assert [record for _, part in parsed for record in part] == records


@given(st.lists(addresses, min_size=1, max_size=200))
def test_questions(records):
    messages = tell.build(tell.QUESTION, records)
    assert [record for message in messages for record in tell.parse(message)[1]] == records


def test_moved():
    assert [tell.parse(message) for message in tell.build(tell.MOVED)] == [(tell.MOVED, [])]


GOOD = tell.build(tell.TOLD, [("192.168.11.2", "10.1.1.1:22000", 5)])[0]


@given(st.binary(max_size=2000))
@example(b"")
@example(GOOD + b"\0")
@example(GOOD[:-1])
@example(GOOD[:6])
@example(b"SLT2" + GOOD[4:])
@example(GOOD[:4] + b"\x04" + GOOD[5:])
@example(GOOD[:4] + b"\x02" + GOOD[5:])
@example(GOOD[:5] + b"\0" + GOOD[6:])
@example(GOOD[:14] + b"\0\0" + GOOD[16:])
@example(b"SLT1\x02\0")
@example(b"SLT1\x01\x01")
@example(b"SLT1\x03\xff" + 255 * GOOD[6:])
def test_anything_else_is_nothing(data):
    assert tell.parse(data) is None or data[:4] == b"SLT1"


def test_examples_above_are_refused():
    for data in (GOOD + b"\0", GOOD[:-1], GOOD[:6], b"SLT2" + GOOD[4:], GOOD[:4] + b"\x02" + GOOD[5:],
                 GOOD[:5] + b"\0" + GOOD[6:], GOOD[:14] + b"\0\0" + GOOD[16:], b"SLT1\x01\x01",
                 b"SLT1\x03\xff" + 255 * GOOD[6:]):  # fmt: skip
        assert tell.parse(data) is None


@pytest.mark.long
def test_a_hundred_thousand_inputs():
    """Truncated, extended, mutated, random: each is refused or gives only well-formed records, and is parsed again."""
    chance = random.Random(69)
    seeds = [GOOD, tell.build(tell.MOVED)[0], tell.build(tell.QUESTION, ["192.168.11.2"] * 64)[0]]
    seeds.append(tell.build(tell.TOLD, [("192.168.11.2", "10.1.1.1:22000", 5)] * 64)[0])
    seeds += [
        tell.build(tell.KEYS, [bytes(range(64))])[0],
        tell.build(tell.SWITCH, [bytes(32)])[0],
        tell.build(tell.ASK)[0],
    ]
    taken = 0
    for number in range(100000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        way = number % 4
        if way == 1:
            del data[chance.randrange(len(data)) :]
        elif way == 2:
            data += bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
        elif way == 3:
            data = bytearray(struct.pack("!4sBB", b"SLT1", chance.randrange(10), chance.randrange(256)))
            data += bytes(chance.randrange(256) for _ in range(chance.randrange(120)))
        found = tell.parse(bytes(data))
        if found is None:
            continue
        taken += 1
        kind, records = found
        assert len(records) <= tell.MAX_RECORDS
        for record in records:
            if kind in (tell.KEYS, tell.READY, tell.SWITCH):
                assert len(record) == (32 if kind == tell.SWITCH else 64)
                continue
            ipaddress.IPv4Address(record if kind == tell.QUESTION else record[0])
            assert kind == tell.QUESTION or (peers.parse_endpoint(record[1]) and 0 <= record[2] <= 0xFFFFFFFF)
        assert b"".join(tell.build(kind, records)) == bytes(data)
    assert taken > 10000


def test_a_peer_that_floods_is_heard_a_little_and_the_others_as_ever():
    limit = tell.Limit(burst=20, per_second=5)
    heard = sum(limit.allows("192.168.11.2", 100 + number / 1000) for number in range(10000))
    assert 60 <= heard <= 72
    assert limit.allows("192.168.11.3", 110)
    assert limit.allows("192.168.11.2", 111)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=1500), max_size=10))
def test_post_takes_from_known_peers_and_the_fixed_port_only(packets):
    right, wrong = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with right, wrong:
        post = tell.Post("lo", "127.0.0.1")
        try:
            right.bind(("127.0.0.2", tell.PORT))
            wrong.bind(("127.0.0.2", 0))
            for data in packets + [GOOD]:
                right.sendto(data, ("127.0.0.1", tell.PORT))
                wrong.sendto(GOOD, ("127.0.0.1", tell.PORT))
            found = post.receive({"127.0.0.2"}, tell.Limit(), 0)
            assert found[-1] == ("127.0.0.2", tell.TOLD, [("192.168.11.2", "10.1.1.1:22000", 5)])
            assert len(found) <= len(packets) + 1
            right.sendto(GOOD, ("127.0.0.1", tell.PORT))
            assert post.receive({"127.0.0.3"}, tell.Limit(), 0) == []
        finally:
            post.close()


def test_questions_do_not_keep_a_daemon_awake():
    """A site that is off is asked for by all others, for as long as it is off."""

    class Daemon(mesh.Daemon):
        def __init__(self, *messages):
            self.peers = peers.Peers.__new__(peers.Peers)
            self.peers.by_address, self.peers.told = {"192.168.11.2": "b"}, lambda *told: False
            self.peers.news = lambda now: []
            self.post, self.limit, self.calls = self, None, []
            self.receive = lambda *limits: [("192.168.11.2",) + tell.parse(message) for message in messages]
            self.on_post()

        def hurry(self):
            self.calls.append("hurry")

        def poll(self):
            self.calls.append("poll")

        def tell_of(self, keys, listeners):
            self.calls.append("answer")

    question, moved = tell.build(tell.QUESTION, ["192.168.11.3"])[0], tell.build(tell.MOVED)[0]
    assert Daemon(question, question).calls == ["poll", "answer", "answer"]
    assert Daemon(question, moved).calls == ["hurry", "poll", "answer", "answer"]
