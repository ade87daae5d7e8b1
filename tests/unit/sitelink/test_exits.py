# SPDX-License-Identifier: GPL-3.0-or-later
"""When another site's internet is used and which one's, and that the routes to it lead nothing else astray."""

import random

import pytest

from sitelink import config, exits, icmp
from sitelink.state import read_json, write_json

from throwaway import connect


def line(results, return_after=20, step=1):
    """The Line after a round per step, each as (seconds, good), and the times at which it changed."""
    found, changes, now = exits.Line(), [], 0
    for seconds, good in results:
        for _ in range(0, seconds, step):
            before = found.up
            found.heard(good, now, return_after)
            if found.up != before:
                changes.append(now)
            now += step
    return found, changes


def test_one_lost_round_is_nothing_and_three_are_the_end():
    assert line([(5, True), (2, False), (5, True)])[0].up
    found, changes = line([(5, True), (3, False)])
    assert not found.up and changes == [7]


def test_it_comes_back_only_after_a_time_without_a_gap():
    found, changes = line([(3, False), (19, True), (1, False), (20, True)])
    assert not found.up and len(changes) == 1
    found, changes = line([(3, False), (21, True)])
    assert found.up and changes == [2, 23]


def test_a_line_that_flaps_is_left_once():
    found, changes = line([(7, True), (8, False)] * 20)
    assert changes == [9]  # and never back in between
    found, changes = line([(7, True), (8, False)] * 20 + [(30, True)])
    assert found.up and len(changes) == 2


def test_rounds_are_close_together_only_while_it_matters():
    found = exits.Line()
    assert found.pause() == exits.GOOD_SECONDS
    found.heard(False, 0, 20)
    assert found.pause() == exits.BAD_SECONDS
    found.heard(False, 1, 20)
    found.heard(False, 2, 20)
    assert found.pause() == exits.DOWN_SECONDS


SITES = ["a", "b", "c"]


@pytest.mark.parametrize(
    "alive, current, failed, wanted",
    [
        ("abc", None, {}, "a"),
        ("bc", None, {}, "b"),  # in order
        ("abc", "b", {}, "b"),  # no change without a reason
        ("ac", "b", {}, "a"),  # it went away
        ("abc", "a", {"a": 99}, "b"),  # it just failed
        ("abc", None, {"a": 99 - exits.FAILED_SECONDS}, "a"),  # it failed long ago
        ("ab", "b", {"a": 50, "b": 99}, "a"),  # both did: they take turns
        ("a", "a", {"a": 99}, "a"),
        ("xyz", "a", {}, None),
        ("", None, {}, None),
    ],
)
def test_which_exit(alive, current, failed, wanted):
    assert exits.choose(SITES, set(alive), current, failed, 100) == wanted


class Loop:
    """Time by hand."""

    def __init__(self):
        self.now, self.timers = 0.0, []

    def clock(self):
        return self.now

    def after(self, seconds, callback):
        timer = [self.now + seconds, callback]
        timer.append(lambda: timer.__setitem__(1, None))
        self.timers.append(timer)
        return type("Timer", (), {"cancel": staticmethod(timer[2])})

    def watch(self, file, callback):
        pass

    def unwatch(self, file):
        pass

    def run(self, seconds):
        end = self.now + seconds
        while True:
            due = [timer for timer in self.timers if timer[1] is not None and timer[0] <= end]
            if not due:
                break
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = end


class World:
    """An Exits whose echo requests are answered as the test says, by interface."""

    def __init__(self, monkeypatch, directories, when=config.BROADBAND_DOWN, told=None, alive="ac"):
        self.loop, self.works, self.changes, self.alive = Loop(), {"eth0": True, "wg0": True}, 0, set(alive)
        world, self.doubted = self, []

        class Round:
            def __init__(self, loop, interface, targets, callback):
                good = world.works[interface]
                self.timer = loop.after(0.01 if good else 1, lambda: callback(good))

            def cancel(self):
                self.timer.cancel()

        monkeypatch.setattr(exits, "Round", Round)
        peers = [
            config.MeshPeer(name, "key " + name, "192.168.11.%d" % number, [], None, [], False)
            for number, name in enumerate("abc", 1)
        ]
        use = config.ExitConfig(when, ["a", "c"], ["1.1.1.1"], ["8.8.8.8"], 20, 306, 306)
        self.cfg = config.MeshConfig(
            "m", "b", "wg0", "eth1", [], 22000, 305, 1420, 25, [], [], "", peers, "eth0", use, ()
        )
        kernel = type("Kernel", (), {"link": lambda self, name: None, "addresses": lambda self, index: []})()
        monkeypatch.setattr(exits, "bring", lambda *arguments: None)
        self.exits = exits.Exits(self.loop, kernel, self.loop.clock, self.changed, self.doubted.append, told or {})
        self.exits.configure(self.cfg)
        self.run(0)

    def changed(self):
        self.changes += 1

    def run(self, seconds):
        for _ in range(int(seconds * 5) + 1):
            self.loop.run(0.2)
            self.exits.decide(self.alive)

    @property
    def state(self):
        return self.exits.name, self.exits.routed


@pytest.fixture
def world(monkeypatch, directories):
    return lambda **options: World(monkeypatch, directories, **options)


def test_nothing_moves_while_the_broadband_works(world):
    found = world()
    found.run(60)
    assert found.state == (None, False) and found.changes == 0 and found.exits.reason() == ""


def test_away_and_back(world):
    found = world()
    found.run(10)
    found.works["eth0"] = False
    found.run(7)
    assert found.state == ("a", True) and found.exits.address == "192.168.11.1"
    found.works["eth0"] = True
    found.run(19)
    assert found.state == ("a", True)
    found.run(6)
    assert found.state == (None, False) and found.exits.address is None


def test_the_next_exit_when_nothing_answers_through_the_first(world):
    found = world()
    found.works["eth0"] = False
    found.run(7)
    found.works["wg0"], begun = False, found.loop.now
    while found.exits.name == "a":
        found.run(0.2)
    assert found.exits.name == "c" and found.loop.now - begun < 8
    found.works["wg0"] = True
    found.run(30)
    assert found.exits.name == "c"  # not back without a reason
    assert found.exits.report()["sites"] == {"a": "failed", "c": "used"}
    assert found.doubted == ["a"]


def test_nothing_answers_through_any_exit(world, capsys):
    """They take turns, longer and longer; one that comes back from the dead is taken at once."""
    found = world()
    found.works["eth0"] = found.works["wg0"] = False
    found.run(60)
    assert found.exits.routed and sorted(found.doubted) == ["a", "c"]
    first = found.changes
    found.run(600)
    assert found.changes - first < 600 / 15
    assert "nothing of the internet answers" in found.exits.reason()
    found.run(0.2)
    other = "c" if found.exits.name == "a" else "a"
    found.alive = {found.exits.name}
    found.run(1)
    found.alive, found.works["wg0"] = {"a", "c"}, True
    found.run(1)
    assert found.exits.name == other
    found.run(60)
    assert found.exits.name == other and found.exits.reason() == ""
    assert capsys.readouterr()[1].count("no answer from the internet through a") == 1


def test_all_exits_are_gone(world):
    found = world()
    found.works["eth0"] = False
    found.run(7)
    found.alive = set()
    found.run(5)
    assert found.state == (None, True)  # wg-quick may be at work
    found.run(10)
    assert found.state == (None, False)
    assert "none of the exits is reached" in found.exits.reason() and "a, c" in found.exits.reason()
    found.alive = {"c"}
    found.run(1)
    assert found.state == ("c", True)


def test_where_there_is_never_a_broadband(world):
    found = world(when=config.ALWAYS)
    assert found.state == ("a", True)
    found.alive = set()
    found.run(60)
    assert found.state == (None, True)  # closed rather than by a line that is not to be used


def test_a_daemon_that_starts_anew_moves_nothing(world):
    told = {"site": "c", "routed": True, "table": 306, "priority": 306, "since": 1.0}
    found = world(told=told, alive="")
    found.run(3)
    assert found.state[1]  # the peers are not known yet
    found.alive = {"a", "c"}
    found.run(1)
    assert found.exits.routed and found.exits.since is not None


def test_flaps_move_the_route_once(world):
    """20 in 5 minutes, and some more at random."""
    found = world()
    found.run(5)
    for _ in range(20):
        found.works["eth0"] = False
        found.run(8)
        found.works["eth0"] = True
        found.run(7)
    assert found.changes == 1 and found.exits.routed
    chance = random.Random(3)
    for _ in range(40):
        found.works["eth0"] = not found.works["eth0"]
        found.run(chance.uniform(0.5, 15))
    assert found.changes <= 3


def test_a_route_that_was_refused_is_tried_again_once_a_second_however_often_it_was_refused(world, monkeypatch):
    """As when the uplink goes away and comes back: each event of the kernel's has the routes looked at."""
    found, tries = world(when=config.ALWAYS), []

    def refuse(*arguments):
        tries.append(found.loop.now)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(exits, "bring", refuse)
    found.exits.changed = lambda: (found.changed(), found.exits.apply())
    found.changes = 0
    for _ in range(10):
        found.exits.apply()
        found.run(0)
    assert "the kernel refused" in found.exits.reason()
    found.run(5)
    tries.clear()
    found.changes, begun = 0, found.loop.now
    found.run(20)
    assert 15 <= len(tries) == found.changes <= found.loop.now - begun + 1
    monkeypatch.setattr(exits, "bring", lambda *arguments: tries.append(found.loop.now))
    found.run(2)
    tries.clear()
    found.run(20)
    assert tries == [] and found.exits.reason() == ""


def test_switched_off(world):
    found = world()
    found.works["eth0"] = False
    found.run(7)
    removed = []
    exits.bring = lambda kernel, table, priority, routes, rules: removed.append((table, priority, routes, rules))
    found.exits.configure(found.cfg._replace(exit=None))
    assert found.state == (None, False) and found.exits.report() is None
    assert removed == [(306, 306, [], [])]
    found.works["eth0"] = True
    found.run(60)
    assert found.state == (None, False)


def test_what_the_names_did_not_hear_is_said_again_until_it_is_done(world):
    """systemd loses a change of the file that comes while `sitelink names` runs for the one before it."""
    found = world()
    names, named = (config.run_path(name, "wg0", "json") for name in ("names", "named"))
    for index, resolvers in ((7, ["8.8.8.8"]), (None, [])):
        found.exits.tell_names(index)
        turn = read_json(names).get("turn", 0)
        found.run(4)
        assert read_json(names) == {"resolvers": resolvers, "index": index, "turn": turn}
        found.run(60)
        assert turn + 2 <= read_json(names)["turn"] <= turn + 5
        write_json(named, {"by": "file", "resolvers": resolvers, "reason": ""})
        told = read_json(names)
        found.exits.tell_names(index)
        found.run(300)
        assert read_json(names) == told


def test_names_that_were_refused_are_not_asked_for_without_end(world):
    found = world()
    found.exits.tell_names(7)
    write_json(config.run_path("named", "wg0", "json"), {"by": "", "resolvers": ["8.8.8.8"], "reason": "no resolvectl"})
    found.run(60)
    assert read_json(config.run_path("names", "wg0", "json"))["turn"] == 0


@pytest.fixture(scope="module")
def site(namespaces):
    """A site with a broadband, a tunnel (another cable here), a LAN and an underlay; and who is at the other ends."""
    ns, world = namespaces(), namespaces()
    for name, address, other in (
        ("eth0", "192.168.1.2/24", "192.168.1.1/24"), ("wg0", "192.168.11.2/24", "192.168.11.1/24"),
        ("eth1", "10.1.0.2/24", "10.1.0.1/24"),
    ):  # fmt: skip
        connect(ns, name, world, "x" + name)
        ns.sh("ip address add %s dev %s" % (address, name))
        world.sh("ip address add %s dev x%s" % (other, name))
    world.sh("ip address add 203.0.113.1/32 dev lo")
    ns.sh("sysctl -qw net.ipv4.ip_forward=1")
    ns.sh("ip route add default via 192.168.1.1; ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305")
    ns.sh("ip route add default via 10.1.0.1 dev eth1 table 305")
    return ns


def cfg(**changes):
    use = config.ExitConfig(config.BROADBAND_DOWN, [], ["203.0.113.1"], [], 20, 306, 306)
    found = config.MeshConfig("m", "b", "wg0", "eth1", [], 22000, 305, 1420, 25, [], [], "", [], "eth0", use, ())
    return found._replace(**changes)


def way(ns, *words):
    """By which interface, and from where, a packet would go."""
    text = ns.sh("ip route get " + " ".join(words), check=False)
    parts = text.split()
    return parts[parts.index("dev") + 1] if "dev" in parts else text.strip()


def state_of(ns):
    return ns.sh("ip rule; ip route show table main; ip route show table 305; ip route show table 306 2>/dev/null || :")


def test_kernel_the_internet_and_nothing_else_goes_by_the_tunnel(site):
    before, kernel = state_of(site), site.kernel()
    assert way(site, "203.0.113.1") == "eth0"
    for _ in range(2):  # the second time changes nothing
        routes, rules = exits.wanted(kernel, cfg())
        exits.bring(kernel, 306, 306, routes, rules)
        text = state_of(site)
    assert text == state_of(site) and len(exits.own_rules(kernel, 306, 306)) == 4
    assert way(site, "203.0.113.1") == "wg0"
    assert way(site, "203.0.113.1", "from 192.168.1.99 iif eth0") == "wg0"  # the LAN behind it
    assert way(site, "192.168.1.99") == "eth0" and way(site, "192.168.11.9") == "wg0"
    assert way(site, "203.0.113.9", "from 192.168.1.2") == "eth0"  # an operator who came by the broadband
    assert way(site, "203.0.113.9", "oif eth0") == "eth0"  # the echo requests
    assert way(site, "203.0.113.9", "mark 0x131") == "eth0"  # an external peer of WireGuard's
    assert way(site, "10.99.0.1", "mark 0x131") == "eth1"
    with site.entered():
        assert icmp.ping(["203.0.113.1"], "eth0")["203.0.113.1"] is not None
    # wg0 goes away: closed, rather than by the broadband
    site.sh("ip link set wg0 down")
    assert "nreachable" in way(site, "203.0.113.1") or "No route" in way(site, "203.0.113.1")
    with site.entered():
        assert icmp.ping(["203.0.113.1"], "eth0")["203.0.113.1"] is not None
    site.sh("ip link set wg0 up")
    exits.bring(kernel, 306, 306, *exits.wanted(kernel, cfg()))
    assert way(site, "203.0.113.1") == "wg0"
    exits.remove(kernel, 306, 306)
    assert state_of(site) == before


def test_kernel_what_is_not_ours_stays(site):
    kernel = site.kernel()
    site.sh("ip rule add pref 306 to 1.2.3.4 lookup main; ip route add 1.2.3.0/24 dev eth0 table 306")
    before = state_of(site)
    found = exits.refusals(kernel, cfg())
    assert len(found) == 2 and "wireguard_mesh_exit_table" in found[0] and "1.2.3.4" in found[1]
    exits.bring(kernel, 306, 306, *exits.wanted(kernel, cfg()))
    exits.remove(kernel, 306, 306)
    assert state_of(site) == before
    site.sh("ip rule del pref 306 to 1.2.3.4; ip route flush table 306")
    assert exits.refusals(kernel, cfg()) == []
    assert "leads by eth0" in exits.refusals(kernel, cfg(uplink="ens18"))[0]
