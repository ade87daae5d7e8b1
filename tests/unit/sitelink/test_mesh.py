# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mesh daemon makes of messages and of answers of DNS, honest and not. The device and the network are of straw."""

import base64
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_peers import A, B, C, D, Mesh, plan

from sitelink import dns, handover, mesh, peers, tell, wg

PHONE = "192.168.11.9"
ASK, ANSWER = tell.build(tell.ASK)[0], tell.build(tell.ANSWER)[0]


class Wire:
    """The socket of a Post."""

    def __init__(self):
        self.waiting, self.sent = [], []

    def recvfrom(self, size):
        if not self.waiting:
            raise BlockingIOError
        data, sender = self.waiting.pop(0)
        return data[:size], sender

    def sendto(self, data, address):
        self.sent.append((data, address))


class Keys:
    """A handover with nothing to hand over."""

    @staticmethod
    def pending(peer):
        return False

    @staticmethod
    def knows(*about):
        return False


class Daemon(mesh.Daemon):
    """site-a with a live site-b and site-c, a dead site-d and a phone."""

    def __init__(self):
        self.mesh = Mesh(plan("b"), plan("c"), plan("d"), plan("phone", external=True)._replace(address=PHONE))
        for name, address in (("b", "10.1.1.1"), ("c", "10.1.1.2"), ("phone", "10.1.1.9")):
            self.mesh.bring_up(name, address)
        self.cfg = self.plan = self.mesh.cfg
        self.peers, self.conf, self.handover = self.mesh.peers, None, Keys()
        self.limit = tell.Limit()
        self.post = tell.Post.__new__(tell.Post)
        self.wire = self.post.socket = Wire()
        self.calls = []

    def take(self, *packets):
        """[(bytes, sender's address, its port)] arrive together. Returns what the daemon did for them."""
        self.calls = []
        self.wire.waiting = [(data, (address, port)) for data, address, port in packets]
        while self.wire.waiting:
            self.on_post()
        return self.calls

    def question(self, address):
        return None

    def poll(self):
        self.calls.append("look")

    def hurry(self):
        self.calls.append("hurry")

    def after_answer(self):
        self.calls.append("after")

    def set_endpoints(self, endpoints):
        raise AssertionError("no message sets an endpoint")

    def judged(self):
        """What is believed of all peers."""
        return {key: (state.alive, state.endpoint, state.source) for key, state in self.peers.states.items()}

    def doubt(self, name="b"):
        self.peers.moved(self.mesh.now)
        return self.mesh.state(name)


@pytest.fixture
def daemon():
    return Daemon()


def test_who_asks_is_answered_once_and_nobody_else(daemon):
    assert daemon.take((ASK, B, tell.PORT)) == []  # it costs no look at the device
    assert daemon.wire.sent == [(ANSWER, (B, tell.PORT))]
    assert len(ANSWER) <= len(ASK)  # nobody gets more out than he puts in


def test_after_a_reload_that_failed_nothing_is_promised_by_the_configuration_of_before(daemon, monkeypatch):
    """The plan is new, and wg could not be asked yet: a peer that asks whether its new key is known hears nothing."""
    key = base64.b64encode(bytes(range(32))).decode()
    new = daemon.plan._replace(peers=[each._replace(public_key=key) if each.address == B else each for each in daemon.plan.peers])
    nothing = types.SimpleNamespace(found={"files": {}}, configure=lambda cfg: None, name="")
    monkeypatch.setattr(mesh.loaded, "Record", lambda name: nothing)
    monkeypatch.setattr(mesh.config, "load_mesh", lambda interface: new)
    monkeypatch.setattr(mesh.state, "publish", lambda *about: None)
    daemon.record = daemon.exits = nothing
    daemon.handover, daemon.conf = handover.Handover({}), wg.Device()
    daemon.conf.peers = {each.public_key: wg.Peer() for each in daemon.plan.peers}
    monkeypatch.setattr(daemon, "close_post", lambda: None)
    monkeypatch.setattr(daemon, "reconcile", lambda: None)  # it failed
    daemon.reload()
    daemon.take((tell.build(tell.KEYS, [bytes(range(32)) + bytes(32)])[0], B, tell.PORT))
    assert daemon.wire.sent == []


def test_an_answer_of_a_suspect_peer_makes_us_look_and_proves_nothing_itself(daemon):
    state = daemon.doubt()
    assert daemon.take((ANSWER, B, tell.PORT)) == ["look"]
    daemon.mesh.observe(0.5)
    assert state.suspect is not None  # WireGuard has counted nothing: it may be of before
    daemon.mesh.hear("b", handshake=False)
    daemon.mesh.observe(0.1)
    assert state.suspect is None and state.alive
    assert daemon.wire.sent == []


def test_answers_do_not_keep_a_suspect_peer_alive_that_wireguard_does_not_hear(daemon):
    state = daemon.doubt()
    for _ in range(20):
        daemon.take((ANSWER, B, tell.PORT))
        daemon.mesh.observe(0.1)
    assert not state.alive


@pytest.mark.parametrize("who", [B, D], ids=["alive", "dead"])
def test_an_answer_that_nobody_waits_for_is_nothing(daemon, who):
    before = daemon.judged()
    assert daemon.take(*[(ANSWER, who, tell.PORT)] * 50) == []
    assert daemon.judged() == before and daemon.wire.sent == []


def test_an_answer_of_one_peer_is_none_of_another(daemon):
    daemon.doubt("b")
    daemon.mesh.state("c").suspect = None
    assert daemon.take((ANSWER, C, tell.PORT)) == []


@pytest.mark.parametrize(
    "sender",
    [(A, tell.PORT), ("192.168.11.77", tell.PORT), (PHONE, tell.PORT), ("10.1.1.1", tell.PORT), (B, 22000), (B, 0)],
    ids=["ourselves", "unknown", "a client", "the underlay", "another port", "no port"],
)
@pytest.mark.parametrize("data", [ASK, ANSWER, tell.build(tell.MOVED)[0]], ids=["ask", "answer", "moved"])
def test_who_may_not_speak_is_not_heard(daemon, sender, data):
    daemon.doubt()
    before = daemon.judged()
    assert daemon.take((data,) + sender) == []
    assert daemon.wire.sent == [] and daemon.judged() == before


@pytest.mark.parametrize("size", [0, 1, 5, 7, 9, 904, 905, 1500, 65000])
@pytest.mark.parametrize("data", [ASK, ANSWER], ids=["ask", "answer"])
def test_truncated_and_oversized_ones_are_nothing(daemon, data, size):
    daemon.doubt()
    assert daemon.take(((data + bytes(size))[:size], B, tell.PORT)) == []
    assert daemon.wire.sent == []


@pytest.mark.parametrize("count", [1, 64, 65, 255])
def test_an_ask_or_answer_that_claims_records_is_nothing(daemon, count):
    daemon.doubt()
    for data in (ASK, ANSWER):
        for body in (b"", bytes(4 * count)):
            assert daemon.take((data[:5] + bytes([count]) + body, B, tell.PORT)) == []
    assert daemon.wire.sent == []


def test_replayed_ones_cost_little_and_silence_nobody_else(daemon):
    daemon.doubt()
    calls = daemon.take(*[(data, B, tell.PORT) for data in (ASK, ANSWER) * 5000])
    assert len(daemon.wire.sent) + calls.count("look") <= 50  # at most so many of one peer are heeded at once
    assert {address for _, address in daemon.wire.sent} == {(B, tell.PORT)}
    daemon.wire.sent = []
    daemon.take((ASK, C, tell.PORT))
    assert daemon.wire.sent == [(ANSWER, (C, tell.PORT))]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=1200),
                st.builds(lambda head, tail: b"SLT1" + head + tail, st.binary(min_size=2, max_size=2), st.binary()),
                st.sampled_from([ASK, ANSWER]),
            ),
            st.sampled_from([A, B, C, D, PHONE, "10.1.1.1", "0.0.0.0"]),
            st.sampled_from([tell.PORT, 22000]),
        ),
        max_size=20,
    )
)
def test_whatever_arrives_nobody_is_believed_more_or_less_for_it(packets):
    daemon = Daemon()
    before = daemon.judged()
    daemon.take(*packets)
    assert daemon.judged() == before
    assert all(address in ((B, tell.PORT), (C, tell.PORT), (D, tell.PORT)) for _, address in daemon.wire.sent)


def test_keys_that_change_while_the_device_is_looked_at_do_not_end_the_daemon(daemon):
    """site-d is dead and has a new key in the files: the look after a question may turn to the other key."""
    old = daemon.mesh.state("d").plan

    def look():
        peers = [peer._replace(public_key="key-new") if peer == old else peer for peer in daemon.cfg.peers]
        daemon.cfg = daemon.cfg._replace(peers=peers)
        daemon.peers.update(daemon.cfg)
        daemon.calls.append("look")

    daemon.poll = look
    assert daemon.take((tell.build(tell.QUESTION, [D, C])[0], B, tell.PORT)) == ["look"]
    told = [tell.parse(data) for data, address in daemon.wire.sent if address == (B, tell.PORT)]
    assert [(kind, [record[0] for record in records]) for kind, records in told] == [(tell.TOLD, [C])]


def test_a_move_of_the_site_wakes_no_phone_for_good(daemon, monkeypatch):
    """Every live peer is to hear from the new address. A phone that got a keepalive for that would never sleep again."""
    phone = daemon.mesh.state("phone")
    phone.plan = phone.plan._replace(endpoint=None)
    sets = []
    monkeypatch.setattr(mesh.wg, "_run", lambda arguments, **_: sets.append(arguments))
    monkeypatch.setattr(daemon, "set_endpoints", lambda endpoints: mesh.Daemon.set_endpoints(daemon, endpoints))
    monkeypatch.setattr(daemon, "echo", lambda keys: None)
    daemon.announce()
    (words,) = sets
    given = {words[at + 1]: words[at + 5] for at, word in enumerate(words) if word == "peer"}
    assert given == {"key-b": "25", "key-c": "25", "key-phone": "0"}


def test_keys_that_are_late_stand_in_what_is_published(daemon, monkeypatch):
    """The new one of this site, which site-c does not know, and that of site-b, which still uses its old one."""
    published, said = [], []
    monkeypatch.setattr(mesh.state, "publish", lambda path, report: published.append(report))
    monkeypatch.setattr(mesh.time, "monotonic", lambda: daemon.mesh.now)
    daemon.loop = types.SimpleNamespace(notifier=types.SimpleNamespace(status=said.append))
    daemon.exits = types.SimpleNamespace(report=lambda: None)
    daemon.config_fault, daemon.faults, daemon.peer_faults, daemon.post_fault, daemon.way = "", [], {}, "", None
    daemon.handover = handover.Handover({"peers": {B: ["key-before"]}, "waits": [C]})
    daemon.asking_since = daemon.mesh.now
    daemon.report()
    daemon.mesh.now += handover.WAIT_SECONDS
    daemon.report()
    assert [(report["state"], report["reason"] == "") for report in published] == [("ok", True), ("fault", False)]
    assert "the new key of this site is not in use yet, because not all know it: c;" in published[1]["reason"]
    assert "the old key of b is still in use" in published[1]["reason"] and said[1] == published[1]["reason"]


def found(*addresses, server="198.18.0.53"):
    return dns.Answer(dns.FOUND, list(addresses), 5, False, None, (server, 53))


def empty(outcome, server="198.18.0.53"):
    return dns.Answer(outcome, [], 0, False, None, (server, 53))


class TestOtherResolvers:
    """Who is asked for the name of site-d besides the system's resolver, and when. site-b and site-c live."""

    @pytest.fixture
    def asked(self, daemon, monkeypatch):
        """The questions: (servers, what to call with their answers)."""
        found = []
        daemon.loop = daemon.kernel = None
        monkeypatch.setattr(mesh.time, "monotonic", lambda: daemon.mesh.now)
        monkeypatch.setattr(mesh, "Questions", lambda loop, host, servers, callback: found.append((servers, callback)))
        monkeypatch.setattr(mesh.dns, "system_servers", lambda: ["192.168.1.1"])
        monkeypatch.setattr(mesh.lease, "dns_servers", lambda kernel, interface: ["10.53.53.53"])
        return found

    def look_up(self, daemon, *addresses, reason=""):
        """Time passes until site-d is looked up again; the system's resolver answers. Returns the turns meanwhile."""
        turns = []
        for _ in range(1000):
            for name in "bc":
                daemon.mesh.hear(name)
            actions = daemon.mesh.step(0.1)
            turns += [actions.tries["key-d"]] if "key-d" in actions.tries else []
            if any(state.plan.name == "d" for state in actions.lookups):
                break
        daemon.calls = []
        daemon.on_answer(daemon.mesh.state("d"), "site.lab.test", list(addresses), reason)
        return turns

    def test_no_answer_of_the_system_has_them_asked_at_once(self, daemon, asked):
        phone = daemon.mesh.state("phone")
        phone.plan = phone.plan._replace(endpoint=None)  # it sleeps
        self.look_up(daemon, reason="DNS is silent")
        servers = [address for address, _ in asked[0][0]]
        assert servers[0] == "192.168.1.1" and sorted(servers[1:3]) == [B, C] and servers[3:] == ["10.53.53.53"]
        assert daemon.mesh.state("d").busy

    def test_an_answer_has_its_turn_before_they_are_asked(self, daemon, asked):
        self.look_up(daemon, "10.3.3.3")
        assert asked == [] and not daemon.mesh.state("d").busy and daemon.calls == ["after"]
        assert daemon.mesh.tries(1, name="d") == [(0, "10.3.3.3:22000")]

    @pytest.mark.parametrize("portal", [["10.200.200.1"], ["10.200.200.%d" % number for number in range(1, 10)]])
    @pytest.mark.parametrize("rotates", [False, True], ids=["the same", "ever others"])
    def test_a_portal_in_the_underlay_keeps_nobody_from_being_asked(self, daemon, asked, portal, rotates):
        """Neither what it says nor what the others say takes the other's place: all have their turns."""
        turns = []
        for number in range(7):
            says = [address.replace(".200.200.", ".200.%d." % number) for address in portal] if rotates else portal
            turns += self.look_up(daemon, *says)
            assert len(asked) == number  # from the second time on
            assert set(daemon.mesh.state("d").candidates) >= {address + ":22000" for address in says[:4]}
            assert daemon.calls == ["after"]  # it does not wait for the others
            if asked:
                asked[-1][1]([found(*says, server="192.168.1.1"), empty(dns.TIMED_OUT), found("10.3.3.3", server=C)])
                assert "10.3.3.3:22000" in daemon.mesh.state("d").candidates
            assert not daemon.mesh.state("d").busy
        assert turns.count("10.3.3.3:22000") >= 2 and any(turn.startswith("10.200.") for turn in turns)

    def test_they_are_asked_anew_after_each_loss_only_when_the_systems_answer_was_in_vain(self, daemon, asked):
        self.look_up(daemon, "10.3.3.3")
        self.look_up(daemon, "10.3.3.3")
        assert len(asked) == 1
        asked[0][1]([found("10.4.4.4")])
        daemon.mesh.bring_up("d", "10.3.3.3")
        assert set(daemon.mesh.state("d").candidates) == {"10.3.3.3:22000"}
        daemon.mesh.silence("d")
        self.look_up(daemon, "10.3.3.3")
        assert len(asked) == 1

    def test_of_one_that_lives_by_now_nobody_is_asked(self, daemon, asked):
        self.look_up(daemon, "10.3.3.3")
        daemon.mesh.bring_up("d", "10.3.3.3")
        daemon.mesh.state("d").lookups, daemon.mesh.state("d").busy = 7, True
        daemon.on_answer(daemon.mesh.state("d"), "site.lab.test", ["10.3.3.3"], "")
        assert asked == [] and not daemon.mesh.state("d").busy

    @pytest.mark.parametrize(
        "said", [empty(dns.STRIPPED), empty(dns.NXDOMAIN), found("203.0.113.9"), found("10.7.7.7")],
        ids=["stripped", "nothing", "outside", "ourselves"],
    )  # fmt: skip
    def test_what_is_wrong_with_their_answers_is_no_reason_where_the_systems_was_good(self, daemon, asked, said):
        self.look_up(daemon, "10.3.3.3")
        self.look_up(daemon, "10.3.3.3")
        asked[0][1]([said])
        assert daemon.mesh.state("d").note == "" and set(daemon.mesh.state("d").candidates) == {"10.3.3.3:22000"}

    def test_one_resolver_with_many_addresses_leaves_room_for_the_others(self, daemon, asked):
        self.look_up(daemon, reason="DNS is silent")
        many = found(*("10.66.6.%d" % number for number in range(1, 65)), server=B)
        asked[0][1]([many, found("10.3.3.3", server=C), found("10.4.4.4", server="10.53.53.53")])
        assert {"10.3.3.3:22000", "10.4.4.4:22000"} <= set(daemon.mesh.state("d").candidates)
        assert len(daemon.mesh.state("d").candidates) == peers.REMEMBERED


class TestAnswersOfDns:
    """What other resolvers say of the name of a dead peer, site-d."""

    def say(self, daemon, *answers, name="d"):
        state = daemon.mesh.state(name)
        state.busy, daemon.calls = True, []
        daemon.on_answers(state, "site.lab.test", list(answers))
        assert not state.busy and daemon.calls == ["after"]
        return state

    def test_addresses_of_all_resolvers_are_candidates_each_once(self, daemon):
        state = self.say(daemon, found("10.2.2.2", "10.3.3.3"), empty(dns.TIMED_OUT), found("10.3.3.3"))
        assert {item: each.source for item, each in state.candidates.items()} == {
            "10.2.2.2:22000": "dns",
            "10.3.3.3:22000": "dns",
        }

    @pytest.mark.parametrize(
        "address", ["203.0.113.9", "127.0.0.1", "192.168.11.4", "0.0.0.0", "255.255.255.255", "10.7.7.7"]
    )
    def test_what_is_not_the_underlays_or_is_our_own_is_never_tried(self, daemon, address):
        state = self.say(daemon, found(address))
        assert state.candidates == {} and address in state.note

    def test_a_portals_answer_leaves_what_worked_in_its_place(self, daemon):
        daemon.mesh.silence("b")
        state = daemon.mesh.state("b")
        proven = next(iter(state.candidates))
        self.say(daemon, found("10.99.99.99"), name="b")
        assert proven in state.candidates and state.remembered[0] == proven
        assert "10.99.99.99:22000" not in state.remembered
        assert daemon.mesh.tries(10)[0][1] == proven

    def test_who_lives_by_now_is_not_touched(self, daemon):
        before = daemon.judged()
        self.say(daemon, found("10.99.99.99"), name="b")
        assert daemon.mesh.step(1).tries.get("key-b") is None and daemon.judged()["key-b"] == before["key-b"]

    def test_a_resolver_that_takes_private_addresses_out_is_named(self, daemon):
        state = self.say(daemon, empty(dns.NXDOMAIN), empty(dns.STRIPPED, "192.168.1.1"))
        assert "the resolver 192.168.1.1 takes private addresses out" in state.note and "site.lab.test" in state.note

    @pytest.mark.parametrize("outcome", [dns.NXDOMAIN, dns.NODATA, dns.TIMED_OUT, dns.MALFORMED, dns.TRUNCATED])
    def test_nothing_is_nothing_and_what_was_known_stays(self, daemon, outcome):
        self.say(daemon, found("10.2.2.2"))
        state = self.say(daemon, empty(outcome))
        assert list(state.candidates) == ["10.2.2.2:22000"]
        assert self.say(daemon).candidates == state.candidates  # no resolver at all

    @pytest.mark.parametrize("change", ["another endpoint", "no endpoint", "gone"])
    def test_an_answer_to_a_question_of_an_older_plan_is_nothing(self, daemon, change):
        state = daemon.mesh.state("d")
        peers = [peer for peer in daemon.cfg.peers if peer.name != "d"]
        if change != "gone":
            peers.append(
                state.plan._replace(endpoint=("other.lab.test", 22000) if change == "another endpoint" else None)
            )
        daemon.peers.update(daemon.cfg._replace(peers=peers))
        state.busy = True
        daemon.on_answers(state, "site.lab.test", [found("10.2.2.2")])
        assert not state.busy and state.candidates == {}
