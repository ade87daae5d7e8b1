# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from sitelink import config, peers, wg

WALL = 1700000000


def plan(name, host="site.lab.test", port=22000):
    return config.MeshPeer(name, "key-" + name, "192.168.11.9", [], (host, port) if host else None)


class Mesh:
    """Peers with a device that does as it is told."""

    def __init__(self, *plans):
        self.cfg = config.MeshConfig(
            "m", "site-a", "wg0", "eth1", config.networks(["10.0.0.0/7"]), 22000, 305, 1420, 25, [], [], "", list(plans)
        )
        self.peers = peers.Peers(self.cfg)
        self.device = wg.Device()
        self.device.peers = {item.public_key: wg.Peer() for item in plans}
        self.now = 1000.0

    def state(self, name="b"):
        return self.peers.states["key-" + name]

    def running(self, name="b"):
        return self.device.peers["key-" + name]

    def set(self, endpoints):
        for key, endpoint in endpoints.items():
            self.device.peers[key].endpoint = endpoint
            self.device.peers[key].keepalive = 25
        return endpoints

    def observe(self, seconds=0.0):
        self.now += seconds
        return self.set(self.peers.observe(self.device, self.now, WALL + self.now))

    def attempt(self):
        endpoints, lookups = self.peers.attempt(self.now)
        return self.set(endpoints), [state.plan.name for state in lookups]

    def answer(self, *addresses, name="b", reason=""):
        state = self.state(name)
        state.busy = False
        endpoint = self.peers.offer(state, list(addresses), "dns", reason)
        return self.set({state.plan.public_key: endpoint}) if endpoint else {}

    def hear(self, name="b", handshake=True):
        running = self.running(name)
        running.rx += 92
        if handshake:
            running.handshake = int(WALL + self.now)

    def bring_up(self, address="10.1.1.1"):
        self.observe()
        self.attempt()
        self.answer(address)
        self.hear()
        self.observe(1)
        assert self.state().alive


def test_from_name_to_life():
    mesh = Mesh(plan("b"))
    assert mesh.observe() == {} and mesh.state().reason == "no endpoint is known yet"
    assert mesh.attempt() == ({}, ["b"])
    assert mesh.attempt() == ({}, [])  # one lookup at a time
    assert mesh.answer("10.1.1.1") == {"key-b": "10.1.1.1:22000"}
    mesh.observe(1)
    assert not mesh.state().alive and "no answer from 10.1.1.1:22000" in mesh.state().reason
    mesh.hear()
    mesh.observe(1)
    assert mesh.state().alive and mesh.state().source == "dns" and mesh.state().reason == ""
    assert mesh.attempt() == ({}, [])


def test_a_live_peer_is_never_touched():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    for _ in range(100):
        mesh.hear(handshake=_ % 20 == 0)
        assert mesh.observe(5) == {} and mesh.attempt() == ({}, [])
        assert mesh.state().alive
    assert mesh.answer("10.9.9.9") == {}


def test_silence_is_death():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    mesh.observe(45)
    assert mesh.state().alive and mesh.peers.quiet(mesh.now) == []
    mesh.observe(1)
    assert mesh.state().alive and mesh.peers.quiet(mesh.now) == ["key-b"]  # it is asked for an echo
    mesh.observe(9)
    assert mesh.state().alive
    mesh.observe(1)
    assert not mesh.state().alive and mesh.attempt() == ({}, ["b"])
    assert mesh.peers.quiet(mesh.now) == []


def test_handshake_attempts_of_the_peer_alone_are_no_life():
    """It calls, and our answer does not arrive: bytes come in, but no session."""
    mesh = Mesh(plan("b"))
    mesh.observe()
    mesh.attempt()
    mesh.answer("10.1.1.1")
    for _ in range(30):
        mesh.hear(handshake=False)
        mesh.observe(5)
        assert not mesh.state().alive
    mesh.hear()
    mesh.observe(5)
    assert mesh.state().alive
    for _ in range(45):
        mesh.hear(handshake=False)
        mesh.observe(5)
    assert not mesh.state().alive


def test_a_tunnel_that_lived_before_the_daemon_is_given_time():
    for age, alive in ((10, True), (-400000, True), (1000, False)):  # the clock may have been set meanwhile
        mesh = Mesh(plan("b"))
        mesh.set({"key-b": "10.1.1.1:22000"})
        mesh.running().rx, mesh.running().handshake = 100, int(WALL + mesh.now - age)
        mesh.observe()
        assert mesh.state().alive == alive, age
        mesh.observe(56)
        assert not mesh.state().alive


def test_roaming_is_noticed_and_keepalive_completed():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    mesh.running().endpoint = "10.2.2.2:5555"
    mesh.hear()
    mesh.observe(1)
    assert (mesh.state().endpoint, mesh.state().source) == ("10.2.2.2:5555", "roamed")
    mesh.running().keepalive = 0
    assert mesh.observe(1) == {"key-b": "10.2.2.2:5555"}


def test_a_new_device_gets_what_worked_last():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    mesh.peers.forget()
    mesh.device.peers = {"key-b": wg.Peer()}
    assert mesh.observe(1) == {}
    assert mesh.attempt() == ({"key-b": "10.1.1.1:22000"}, [])
    mesh.observe(3)
    assert mesh.state().source == "dns"
    assert mesh.attempt() == ({}, ["b"])  # and if that is not it, DNS


def test_wg_setconf_of_somebody_wiped_the_endpoint():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    mesh.running().endpoint, mesh.running().keepalive = None, 0
    mesh.observe(1)
    assert not mesh.state().alive
    assert mesh.attempt() == ({"key-b": "10.1.1.1:22000"}, [])


def test_sources_survive_a_restart_of_the_daemon():
    mesh = Mesh(plan("b"))
    mesh.peers.restore({"key-b": {"endpoint": "10.1.1.1:22000", "source": "dns"}, "key-x": {}, "key-y": 5})
    mesh.set({"key-b": "10.1.1.1:22000"})
    mesh.observe()
    assert mesh.state().source == "dns"


def test_literal_addresses_need_no_lookup():
    mesh = Mesh(plan("b", "10.5.5.5", 4000), plan("c", "192.0.2.1"), plan("d", None))
    mesh.observe()
    assert mesh.attempt() == ({"key-b": "10.5.5.5:4000"}, [])
    assert mesh.state("b").source == "seed"
    assert "outside the underlay 10.0.0.0/7" in mesh.state("c").reason
    assert "it has to call this site" in mesh.state("d").reason


def test_answers_that_are_refused_have_a_reason():
    mesh = Mesh(plan("b"))
    mesh.observe()
    mesh.attempt()
    mesh.peers.own_address = "10.7.7.7"
    assert mesh.answer("203.0.113.1", "192.168.1.1") == {}
    assert mesh.state().reason == (
        "site.lab.test leads to 203.0.113.1, 192.168.1.1, which is outside the underlay 10.0.0.0/7"
    )
    assert mesh.answer("10.7.7.7") == {} and "this site's own address" in mesh.state().reason
    assert mesh.answer(reason="DNS is silent") == {} and mesh.state().reason == "DNS is silent"
    assert mesh.answer("203.0.113.1", "10.1.1.1") == {"key-b": "10.1.1.1:22000"}
    assert mesh.answer("10.1.1.1") == {}  # it is set already


def test_several_addresses_take_turns():
    mesh = Mesh(plan("b"))
    mesh.observe()
    seen = []
    for _ in range(4):
        mesh.attempt()
        seen += mesh.answer("10.1.1.1", "10.2.2.2").values()
        mesh.observe(100)
    assert seen == ["10.1.1.1:22000", "10.2.2.2:22000"] * 2


def test_attempts_back_off_with_jitter():
    mesh = Mesh(plan("b", "10.5.5.5"))
    mesh.observe()
    times = []
    for _ in range(4000):
        if mesh.state().next_try <= mesh.now:
            mesh.attempt()
            times.append(mesh.now)
        mesh.observe(0.25)
    gaps = [times[number + 1] - times[number] for number in range(len(times) - 1)]
    assert gaps[0] < 3 and gaps[1] < 6 and 44 < gaps[-1] < 76 and max(gaps) < 76
    mesh.peers.retry()
    assert mesh.state().next_try == 0


def test_a_changed_plan_keeps_the_living():
    mesh = Mesh(plan("b"))
    mesh.bring_up()
    state = mesh.state()
    mesh.peers.update(mesh.cfg._replace(peers=[plan("b", "other.lab.test"), plan("c")]))
    assert mesh.state() is state and state.alive and state.plan.endpoint[0] == "other.lab.test"
    mesh.observe(1)  # c is not in the device yet
    assert not mesh.state("c").present and "has no such peer" in mesh.state("c").reason
    assert mesh.attempt() == ({}, [])


@pytest.mark.parametrize("count", [300])
def test_many_peers_are_one_pass(count):
    mesh = Mesh(*[plan("p%d" % number) for number in range(count)])
    mesh.observe()
    assert len(mesh.attempt()[1]) == count
