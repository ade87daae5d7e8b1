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

    def give(self, generations, address=ADDRESS, at_once=()):
        """The files of a plan: {site: generation of its keys}, {site: address}, and the sites whose keys change at once."""
        peers = [
            config.MeshPeer(
                other, key(other, generations[other]), address[other], [], None, [], False, other in at_once
            )
            for other in generations
            if other != self.name
        ]
        self.plan = config.MeshConfig(
            "m", self.name, "wg0", "eth1", [], 22000, 305, 1420, 25, [address[self.name] + "/24"], [],
            key(self.name, generations[self.name]), peers, at_once=self.name in at_once,
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
            if other is site or site.peer(other.name).address not in site.handover.waits or not talk(site, other):
                continue
            psk = handover.digest(site.conf.peers[site.peer(other.name).public_key].preshared_key)
            own = site.plan.addresses[0].split("/")[0]
            if other.handover.knows(other.plan, other.conf, own, site.plan.public_key, psk):
                site.handover.ready[site.peer(other.name).address] = now
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


def test_the_old_key_of_a_site_that_was_stolen_goes_at_once():
    """Whoever has it goes on talking, and must not keep it valid."""
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 1, "b": 2, "c": 1})
    site.settle()
    assert key("b", 1) in site.device.peers
    for _ in range(2):  # also where the change began without a word about it
        site.give({"a": 1, "b": 2, "c": 1}, at_once="b")
        site.settle()
        assert site.device.peers.keys() == {key("b", 2), key("c", 1)}
    assert site.handover.overdue(site.plan, 10**6) == []


@pytest.mark.parametrize("seed", range(40))
def test_keys_that_change_at_once_beside_others_that_wait(seed):
    chance = random.Random(seed)
    generations = dict.fromkeys(ADDRESS, 1)
    sites = [Site(name, generations) for name in ADDRESS]
    rotated = chance.sample(sorted(ADDRESS), chance.randint(1, 3))
    at_once = chance.sample(rotated, chance.randint(1, len(rotated)))
    generations = {name: number + (name in rotated) for name, number in generations.items()}
    now = 0.0
    for site in chance.sample(sites, 3):
        site.give(generations, at_once=at_once)
        site.settle()
        assert not {key(name, 1) for name in at_once} & ({site.handover.own} | site.device.peers.keys())
        for _ in range(chance.randint(0, 2)):
            now += 1
            steps(sites, now)
    for _ in range(10):
        assert all(talk(*pair) for pair in itertools.combinations(sites, 2))
        now += 1
        steps(sites, now)
    for site in sites:
        assert site.handover.own == key(site.name, generations[site.name])
        assert site.device.peers.keys() == site.conf.peers.keys()


def test_another_peer_with_the_address_of_one_that_left_has_its_own_key():
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 1, "x": 1, "c": 1}, {"a": ADDRESS["a"], "x": ADDRESS["b"], "c": ADDRESS["c"]})
    site.settle()
    assert site.device.peers.keys() == {key("x", 1), key("c", 1)}


def test_a_site_with_another_name_is_another_site():
    """Its key is derived from its name, and the others take it for a new one."""
    site = Site("b", dict.fromkeys(ADDRESS, 1))
    site.name = "x"
    site.give({"a": 1, "x": 1, "c": 1}, {"a": ADDRESS["a"], "x": ADDRESS["b"], "c": ADDRESS["c"]})
    site.settle()
    assert site.handover.own == key("x", 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("address", ["192.168.11.22", "192.168.11.3"], ids=["new", "of another"])
def test_an_address_changes_with_the_key(order, address):
    """A site's overlay address, in one case in exchange with another site's, and its key, by one plan."""
    sites = [Site(name, dict.fromkeys(ADDRESS, 1)) for name in ADDRESS]
    addresses = {**ADDRESS, "b": address, "c": "192.168.11.2" if address == ADDRESS["c"] else ADDRESS["c"]}
    generations = {"a": 1, "b": 2, "c": 1}
    for number in order:
        sites[number].give(generations, addresses)
        sites[number].settle()
        assert all(talk(*pair) for pair in itertools.combinations(sites, 2))
    for now in range(5):
        steps(sites, float(now))
        assert all(talk(*pair) for pair in itertools.combinations(sites, 2))
    assert sites[1].handover.own == key("b", 2) and not any(site.handover.overdue(site.plan, 1e6) for site in sites)


def test_a_half_finished_change_of_keys_goes_on_at_another_address():
    """What site-a promised site-b, when b's other key has its turn, and with which it is tried, stay b's."""
    one = {"a": 1, "b": 2, "c": 1}
    away, swapped = {**ADDRESS, "b": "192.168.11.22"}, {**ADDRESS, "b": ADDRESS["c"], "c": ADDRESS["b"]}
    for address in (away, swapped):
        site = Site("a", dict.fromkeys(ADDRESS, 1))
        site.give(one)
        site.settle()
        assert site.handover.knows(
            site.plan, site.conf, ADDRESS["b"], key("b", 2), handover.digest(preshared(one, "a", "b"))
        )
        assert not site.handover.try_other(site.peer("b"), 0)
        site.give(one, address)
        site.settle()
        assert site.handover.key(site.peer("b")) == key("b", 1)
        assert site.handover.try_other(site.peer("b"), handover.OTHER_KEY_SECONDS)
        site.give(one, ADDRESS)
        site.settle()
        assert site.handover.key(site.peer("b")) == key("b", 2)  # it is still tried with this one
        site.give({"a": 1, "b": 3, "c": 1}, address)
        site.settle()
        assert site.handover.use_peer(site.plan, site.peer("b"), key("b", 2))  # as it was promised
        assert site.handover.peers[address["b"]] == [key("b", 2), preshared(one, "a", "b")]


@pytest.mark.parametrize("address", ["192.168.11.22", "192.168.11.3"], ids=["new", "of another"])
def test_a_new_key_waits_for_a_site_whose_address_changes_meanwhile(address):
    addresses = {**ADDRESS, "b": address, "c": "192.168.11.33"}
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 2, "b": 1, "c": 1})
    site.settle()
    site.give({"a": 2, "b": 1, "c": 1}, addresses)
    site.settle()
    assert set(site.handover.lacking(0)) == {addresses["b"], addresses["c"]}
    assert site.handover.own == key("a", 1)


def test_a_device_made_anew_keeps_the_preshared_key_when_the_others_key_changes_at_once():
    """site-a's own new key waits; then site-b gets a new one at once, while a boots."""
    a, b = sites = [Site(name, dict.fromkeys(ADDRESS, 1)) for name in "ab"]
    for site in sites:
        site.give({"a": 2, "b": 1, "c": 1})
        site.settle()
    assert talk(a, b)
    for site in sites:
        site.give({"a": 2, "b": 2, "c": 1}, at_once="b")
    b.settle()
    a.restart(device=True)
    assert a.handover.own == key("a", 1) and b.handover.own == key("b", 2) and talk(a, b)


def test_a_record_of_an_early_version_knows_addresses_only():
    sites = [Site(name, dict.fromkeys(ADDRESS, 1)) for name in ADDRESS]
    for site in sites:
        saved = site.handover.to_save()
        del saved["names"], saved["site"]
        site.handover = handover.Handover(saved)
        site.give({"a": 1, "b": 2, "c": 1})
        site.settle()
    assert sites[0].handover.key(sites[0].peer("b")) == key("b", 1) == sites[1].handover.own
    steps(sites, 0.0)
    steps(sites, 1.0)
    assert sites[0].handover.key(sites[0].peer("b")) == key("b", 2) == sites[1].handover.own


def test_an_old_key_that_stays_in_use_is_told():
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 1, "b": 2, "c": 1})
    site.settle()
    assert [site.handover.overdue(site.plan, now) for now in (5.0, 34.0, 35.0)] == [[], [], ["b"]]
    site.handover.use_peer(site.plan, site.peer("b"))
    assert site.handover.overdue(site.plan, 36.0) == [] and site.handover.pending_since == {}


def test_each_old_key_has_its_own_time_before_it_is_told():
    """site-b is away for long when site-c gets a new key; then both exchange their addresses."""
    site = Site("a", dict.fromkeys(ADDRESS, 1))
    site.give({"a": 1, "b": 2, "c": 1})
    site.settle()
    assert [site.handover.overdue(site.plan, now) for now in (0.0, 600.0)] == [[], ["b"]]
    site.give({"a": 1, "b": 2, "c": 2})
    site.settle()
    assert [site.handover.overdue(site.plan, now) for now in (600.1, 620.0)] == [["b"], ["b"]]
    site.give({"a": 1, "b": 2, "c": 2}, {"a": ADDRESS["a"], "b": ADDRESS["c"], "c": ADDRESS["b"]})
    site.settle()
    assert [site.handover.overdue(site.plan, now) for now in (621.0, 631.0)] == [["b"], ["b", "c"]]
    site.give(
        {"a": 1, "b": 2, "c": 2, "d": 1},
        {"a": ADDRESS["a"], "b": "192.168.11.8", "c": ADDRESS["b"], "d": "192.168.11.9"},
    )
    site.settle()
    assert site.handover.overdue(site.plan, 632.0) == ["b", "c"]


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
    found = handover.Handover({"peers": wrong, "promised": wrong, "waits": wrong, "names": wrong})
    assert (found.peers, found.promised, found.waits, found.names) == ({}, {}, [], {})
