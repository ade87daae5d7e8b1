# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are in use while those of the files change, at both ends of a pair and in every order."""

import base64
import itertools
import random

import pytest

from sitelink import config, handover, tell, wg

ADDRESS = {"a": "192.168.11.1", "b": "192.168.11.2", "c": "192.168.11.3"}


def key(name, generation):
    return base64.b64encode((name + str(generation)).encode().ljust(32, b".")).decode()


def preshared(generations, one, other):
    ends = sorted((name, generations[name]) for name in (one, other))
    return base64.b64encode(repr(ends).encode().ljust(32, b".")[-32:]).decode()


class Site:
    """A site with the files of some generations, a device that is what the handover says, and no network."""

    def __init__(self, name, generations):
        self.name = name
        self.handover = handover.Handover({})
        self.give(generations)
        self.device = self.conf
        self.device.public_key = self.plan.public_key
        self.settle()

    def give(self, generations):
        peers = [
            config.MeshPeer(other, key(other, generations[other]), ADDRESS[other], [], None, [], False)
            for other in ADDRESS
            if other != self.name
        ]
        self.plan = config.MeshConfig(
            "m", self.name, "wg0", "eth1", [], 22000, 305, 1420, 25, [ADDRESS[self.name] + "/24"], [],
            key(self.name, generations[self.name]), peers,
        )  # fmt: skip
        self.conf = wg.Device()
        self.conf.private_key = "private of " + self.plan.public_key
        for peer in peers:
            self.conf.peers[peer.public_key] = wg.Peer()
            self.conf.peers[peer.public_key].preshared_key = preshared(generations, self.name, peer.name)

    def settle(self):
        self.handover.settle(self.plan, self.conf, self.device)
        self.apply()

    def apply(self):
        self.device = self.handover.conf_in_use(self.plan, self.conf)
        self.device.public_key = self.handover.own
        assert self.device.private_key == "private of " + self.handover.own

    def restart(self, device):
        """The daemon starts anew, and maybe the device."""
        self.handover = handover.Handover(self.handover.to_save())
        if device:
            self.device = self.conf
            self.device.public_key = self.plan.public_key
        self.settle()

    def peer(self, name):
        return next(peer for peer in self.plan.peers if peer.name == name)


def talk(one, other):
    """Whether a handshake between two sites succeeds."""
    seen = [site.handover.key(site.peer(peer.name)) for site, peer in ((one, other), (other, one))]
    psk = [site.device.peers[used].preshared_key for site, used in zip((one, other), seen)]
    return seen == [other.handover.own, one.handover.own] and psk[0] == psk[1]


def steps(sites, now):
    """One round of questions; whoever may, uses its new key."""
    for site in sites:
        if not site.handover.own_pending(site.plan):
            continue
        for other in sites:
            if other is not site and ADDRESS[other.name] in site.handover.waits:
                psk = handover.digest(site.conf.peers[site.peer(other.name).public_key].preshared_key)
                if other.handover.knows(other.plan, other.conf, ADDRESS[site.name], site.plan.public_key, psk):
                    site.handover.ready[ADDRESS[other.name]] = now
        if not site.handover.lacking(now):
            site.handover.use_own(site.plan)
            site.apply()
            for other in sites:
                if other is not site and other.handover.pending(other.peer(site.name)):
                    other.handover.use_peer(other.plan, other.peer(site.name), site.handover.own)
                    other.apply()


@pytest.mark.parametrize("seed", range(60))
def test_every_pair_always_talks_and_all_end_with_the_new_keys(seed):
    chance = random.Random(seed)
    generations = dict.fromkeys(ADDRESS, 1)
    sites = [Site(name, generations) for name in ADDRESS]
    pairs = list(itertools.combinations(sites, 2))
    now = 0.0
    for _ in range(3):
        rotated = chance.sample(sorted(ADDRESS), chance.randint(1, 3))
        generations = {name: number + (name in rotated) for name, number in generations.items()}
        order = chance.sample(sites, 3)
        if chance.random() < 0.3:  # a run that ends half-way; the next one brings newer keys still
            order = order[:-1]
        for site in order:
            site.give(generations)
            site.settle()
            for _ in range(chance.randint(0, 2)):
                now += 1
                steps(sites, now)
                assert all(talk(*pair) for pair in pairs)
            if chance.random() < 0.3:
                chance.choice(sites).restart(device=chance.random() < 0.5)
                assert all(talk(*pair) for pair in pairs)
    for site in sites:
        site.give(generations)
        site.settle()
        assert all(talk(*pair) for pair in pairs)
    for _ in range(10):
        now += 1
        steps(sites, now)
        assert all(talk(*pair) for pair in pairs)
    for site in sites:
        site.settle()
        assert site.handover.own == key(site.name, generations[site.name])
        assert site.device.peers.keys() == site.conf.peers.keys()
        assert all(
            site.device.peers[used].preshared_key == site.conf.peers[used].preshared_key for used in site.conf.peers
        )
        assert site.handover.to_save()["private"] is None and all(
            len(item) == 1 for item in site.handover.peers.values()
        )


def test_a_site_that_does_not_know_keeps_the_others_waiting():
    sites = {name: Site(name, dict.fromkeys(ADDRESS, 1)) for name in ADDRESS}
    new = {"a": 1, "b": 2, "c": 1}
    for name in "ab":
        sites[name].give(new)
        sites[name].settle()
    for now in range(5):
        steps(list(sites.values()), now)
    assert sites["b"].handover.own == key("b", 1)
    assert sites["b"].handover.lacking(4) == [ADDRESS["c"]]
    # What was answered once does not count for ever.
    assert sites["b"].handover.lacking(4 + handover.FRESH_SECONDS) == [ADDRESS["a"], ADDRESS["c"]]


def test_a_silent_peer_is_looked_for_by_both_keys_in_turn():
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 1, "b": 2, "c": 1})
    site.settle()
    peer, step = site.peer("b"), handover.OTHER_KEY_SECONDS
    used = []
    for now in (0, step - 1, step, step + 1, 2 * step, 3 * step):
        site.handover.try_other(peer, now)
        used.append(site.handover.key(peer))
    assert used == [key("b", 1)] * 2 + [key("b", 2)] * 2 + [key("b", 1), key("b", 2)]
    assert site.handover.heard(site.plan, peer) and not site.handover.pending(peer)


def test_messages_about_keys():
    data = bytes(range(32))
    for kind, record in ((tell.KEYS, data * 2), (tell.READY, data * 2), (tell.SWITCH, data)):
        (message,) = tell.build(kind, [record])
        assert tell.parse(message) == (kind, [record])
        assert tell.parse(message[:-1]) is None and tell.parse(message + b"x") is None
        assert tell.parse(message[:5] + b"\2" + record * 2) is None and tell.parse(message[:5] + b"\0") is None


@pytest.mark.parametrize("wrong", [[], 5, "text", {"192.168.11.2": 5}, {"192.168.11.2": []}])
def test_a_damaged_file_is_passed_over(wrong):
    found = handover.Handover({"peers": wrong, "promised": wrong, "waits": wrong})
    assert (found.peers, found.promised, found.waits) == ({}, {}, [])
