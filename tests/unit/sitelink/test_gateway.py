# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import os

import pytest

from sitelink import config, gateway, lease, netlink

LINK = netlink.Link(3, "eth1", True, True, 1500)
CFG = config.GatewayConfig("eth1", config.networks(["10.0.0.0/8", "11.0.0.0/8"]), 305, 0x131, 305, config.FIRST_HOST)


def present(text):
    ip, length = text.split("/")
    return netlink.Address(3, ip, int(length), 0)


def wanted(*addresses, cfg=CFG, link=LINK):
    return gateway.desired(cfg, link, [present(item) for item in addresses])


class Loop:
    @staticmethod
    def now():
        return 0.0

    @staticmethod
    def after(seconds, action):
        return None


class Kernel:
    """Keeps routes and rules, and writes down what is asked of it. refuse: names of methods that fail."""

    def __init__(self, routes=(), rules=(), addresses=(), refuse=()):
        self.table, self.all_rules, self.done, self.refuse = list(routes), list(rules), [], refuse
        self.present = [present(item) for item in addresses]
        self.local = []

    def link(self, _):
        return LINK

    def addresses(self, _):
        return self.present

    def routes(self, table, protocol=0, oif=0):
        if table == netlink.LOCAL_TABLE:
            return [item for item in self.local if item.oif == oif]
        return [item for item in self.table if protocol in (0, item.protocol)]

    def rules(self):
        return list(self.all_rules)

    def rules6(self):
        return []

    def lookup(self, _, mark):
        return next((item for item in self.table if item.type == netlink.UNICAST), None)

    def _call(self, name, item):
        if name in self.refuse:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        self.done.append((name, item))

    def replace_route(self, item):
        self._call("replace_route", item)
        same = [other for other in self.table if (other.dst, other.metric) == (item.dst, item.metric)]
        self.table = [other for other in self.table if other not in same] + [item]

    def delete_route(self, item):
        self._call("delete_route", item)
        (self.local if item in self.local else self.table).remove(item)

    def add_rule(self, item):
        self._call("add_rule", item)
        self.all_rules.append(item)

    def delete_rule(self, item):
        self._call("delete_rule", item)
        self.all_rules.remove(item)


@pytest.mark.parametrize(
    "address, length, host",
    [
        ("10.23.70.9", 20, "10.23.64.1"),
        ("10.0.0.2", 30, "10.0.0.1"),
        ("10.0.0.0", 31, "10.0.0.1"),
        ("10.0.0.1", 31, "10.0.0.0"),
        ("11.34.159.254", 19, "11.34.128.1"),
    ],
)
def test_first_host(address, length, host):
    assert gateway.first_host(address, length) == host


def test_desired():
    state = wanted("10.23.70.9/20")
    assert (state.gateway, state.reason) == ("10.23.64.1", "")
    assert (state.route.oif, state.route.prefsrc, state.route.flags) == (3, "10.23.70.9", netlink.ONLINK)
    assert [(rule.src, rule.dst, rule.mark) for rule in state.rules] == [
        ("0.0.0.0/0", "10.0.0.0/8", 0x131),
        ("0.0.0.0/0", "11.0.0.0/8", 0x131),
        ("10.23.70.9/32", "10.0.0.0/8", 0),
        ("10.23.70.9/32", "11.0.0.0/8", 0),
    ]


def test_an_explicit_gateway_wins_but_never_is_ourselves():
    cfg = CFG._replace(gateway="10.23.64.254")
    assert wanted("10.23.70.9/32", cfg=cfg).gateway == "10.23.64.254"
    state = wanted("10.23.64.254/20", cfg=cfg)
    assert state.route is None and "own address" in state.reason and state.layer == "gateway"


def test_the_leases_router_comes_first_and_never_is_ourselves():
    cfg = CFG._replace(gateway=config.LEASE)

    def candidates(text, *routers, of="10.23.70.9"):
        leased = lease.Lease(of, list(routers), [])
        return gateway.desired(cfg, LINK, [present(text)], (), leased).candidates

    assert candidates("10.23.70.9/20", "10.23.79.254", "10.23.64.1") == ["10.23.79.254", "10.23.64.1"]
    assert candidates("10.23.70.9/20", "10.23.70.9") == ["10.23.64.1"]
    assert candidates("10.23.70.9/20", "10.23.79.254", of="10.99.0.1") == ["10.23.64.1"]  # another lease's
    assert candidates("10.23.70.9/32", "10.23.79.254") == ["10.23.79.254"]
    assert candidates("10.23.64.1/20", "10.23.79.254", of="10.23.64.1") == ["10.23.79.254"]
    assert candidates("10.23.70.9/32") == []
    state = gateway.desired(cfg, LINK, [present("10.23.70.9/20")], (), None, "10.23.64.1")
    assert state.route.gateway == "10.23.64.1"
    state = gateway.desired(CFG, LINK, [present("10.23.70.9/20")], (), lease.Lease("10.23.70.9", ["10.9.9.9"], []))
    assert state.candidates == ["10.23.64.1"]


@pytest.mark.parametrize(
    "router",
    [
        "10.23.79.255",
        "10.23.64.0",
        "10.23.70.9",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "10.24.0.1",
    ],
)
def test_a_router_that_can_be_none_is_passed_over(router):
    cfg = CFG._replace(gateway=config.LEASE)
    for others, expected in (([], ["10.23.64.1"]), (["10.23.79.254"], ["10.23.79.254", "10.23.64.1"])):
        leased = lease.Lease("10.23.70.9", [router] + others, [])
        state = gateway.desired(cfg, LINK, [present("10.23.70.9/20")], (), leased)
        assert state.candidates == expected and state.reason == ""


def test_at_the_edge_every_other_host_can_be_the_router():
    cfg = CFG._replace(gateway=config.LEASE)
    for address, router in (("10.0.0.0/31", "10.0.0.1"), ("10.0.0.1/31", "10.0.0.0"), ("10.0.0.2/32", "10.9.9.9")):
        leased = lease.Lease(address.split("/")[0], [router], [])
        assert gateway.desired(cfg, LINK, [present(address)], (), leased).candidates == [router]


@pytest.mark.parametrize("gate", ["10.23.79.255", "10.23.64.0", "224.0.0.1", "0.0.0.0"])
def test_a_gateway_that_was_set_and_can_be_none_is_named(gate):
    state = wanted("10.23.70.9/20", cfg=CFG._replace(gateway=gate))
    assert state.route is None and state.layer == "gateway"
    assert gate in state.reason and "correct tr069_gateway_source" in state.reason


@pytest.mark.parametrize(
    "addresses, dst, wrong",
    [
        (["10.23.64.5/20"], "192.168.1.1/32", True),  # the site's own router
        (["10.23.64.5/20"], "10.23.64.1/32", True),
        (["10.23.64.5/20"], "10.23.79.255/32", False),
        (["10.23.64.5/20"], "10.23.64.0/32", False),
        (["10.23.64.5/24", "10.23.64.5/20"], "10.23.64.255/32", False),
        (["10.23.64.5/31"], "10.23.64.5/32", True),
        (["10.23.64.4/31"], "10.23.64.5/32", True),
        (["10.23.64.5/32"], "10.23.64.5/32", True),
        (["10.23.64.5/20", "192.168.1.9/24"], "192.168.1.255/32", False),  # for the web page of the ONT
        ([], "192.168.1.255/32", True),
    ],
)
def test_a_broadcast_that_no_prefix_of_the_nic_makes_goes(addresses, dst, wrong):
    kernel = Kernel(addresses=addresses)
    gateway.reconcile(kernel, CFG)
    kernel.done = []
    route = netlink.Route(dst, 255, 2, netlink.BROADCAST, netlink.SCOPE_LINK, 0, None, 3, None, 0, 0)
    other = route._replace(oif=2)  # of another NIC
    kernel.local = [route, other, route._replace(type=2)]
    gateway.reconcile(kernel, CFG)
    assert kernel.done == ([("delete_route", route)] if wrong else [])
    assert gateway.describe_route(route).startswith("broadcast " + dst)


def test_the_candidate_that_answers_is_chosen():
    one, two = "10.0.0.1", "10.0.0.2"
    known, failed, asked = 0x02, netlink.FAILED, netlink.INCOMPLETE
    for states, silent, expected in (
        ({}, (), {one: one, two: two}),
        ({one: known, two: known}, (), {one: one, two: two}),  # no change without need
        ({one: asked, two: known}, (), {one: two, two: two}),
        ({one: failed, two: asked}, (), {one: two, two: two}),
        ({one: asked, two: asked}, (one,), {one: two, two: two}),
        ({one: 0x04, two: failed}, (), {one: one, two: one}),  # NUD_STALE answered once
        ({one: 0x40, two: known}, (), {one: two, two: two}),  # NUD_NOARP: nobody was asked
        ({one: failed, two: failed}, (), {one: one, two: two}),
    ):
        for chosen, wish in expected.items():
            assert gateway.choose([one, two], chosen, states, silent) == wish, (states, silent, chosen)
    assert gateway.choose([one, two], None, {}, ()) == one
    # The first one answers time and again: it was only late.
    assert gateway.choose([one, two], two, {one: known, two: known}, (), {one}) == one
    assert gateway.choose([one, two], one, {one: known, two: known}, (), {two}) == one
    assert gateway.choose([one, two], two, {one: failed, two: known}, (), {one, two}) == two


@pytest.mark.parametrize("addresses", [(), ("10.1.1.1/32",), ("10.23.64.1/20",), ("10.1.1.1/24", "11.1.1.1/24")])
def test_a_fault_leaves_backstop_and_marked_rules_only(addresses):
    state = wanted(*addresses)
    assert state.reason and state.route is None
    assert state.backstop.type == netlink.UNREACHABLE
    assert sum(1 for rule in state.rules if rule.mark) == 2


def test_without_carrier_the_route_stays():
    state = wanted("10.23.70.9/20", link=LINK._replace(carrier=False))
    assert state.route is not None and "no carrier" in state.reason and state.layer == "address"


def test_the_order_opens_no_gap():
    old = wanted("10.23.70.9/20")
    kernel = Kernel([old.route, old.backstop], old.rules, ["10.24.97.1/20"])
    view, errors = gateway.reconcile(kernel, CFG)
    assert not errors and not view.wanted.reason
    assert [(name, item.dst, getattr(item, "src", "")) for name, item in kernel.done] == [
        ("replace_route", "0.0.0.0/0", ""),
        ("add_rule", "10.0.0.0/8", "10.24.97.1/32"),
        ("add_rule", "11.0.0.0/8", "10.24.97.1/32"),
        ("delete_rule", "10.0.0.0/8", "10.23.70.9/32"),
        ("delete_rule", "11.0.0.0/8", "10.23.70.9/32"),
    ]
    kernel = Kernel(addresses=["10.24.97.1/20"])
    gateway.reconcile(kernel, CFG)
    assert [name for name, _ in kernel.done] == ["replace_route", "add_rule", "add_rule", "replace_route"] + [
        "add_rule"
    ] * 2
    assert kernel.done[0][1].type == netlink.UNREACHABLE


def test_what_is_right_is_left_alone():
    kernel = Kernel(addresses=["10.24.97.1/20"])
    gateway.reconcile(kernel, CFG)
    kernel.done = []
    gateway.reconcile(kernel, CFG)
    assert kernel.done == []


def test_stale_foreign_and_doubled_entries():
    state = wanted("10.23.70.9/20")
    own_stale = state.backstop._replace(dst="10.9.0.0/16", metric=0)
    second_default = state.route._replace(gateway="10.23.64.77", protocol=3)
    foreign_route = state.route._replace(dst="10.77.0.0/16", protocol=4)
    own_rule = state.rules[0]._replace(dst="10.1.0.0/16")
    nameless = state.rules[0]._replace(dst="10.2.0.0/16", protocol=None)  # a kernel that keeps no protocol of rules
    foreign_rule = state.rules[0]._replace(dst="10.3.0.0/16", protocol=3)
    trap = netlink.Rule(99, "0.0.0.0/0", "0.0.0.0/0", 0x132, 0xFFFFFFFF, 305, 3, 1, netlink.NOT)
    elsewhere = trap._replace(table=51820)
    native = state.rules[1]._replace(protocol=4)
    rules = [native, own_rule, nameless, foreign_rule, trap, elsewhere, state.rules[2], state.rules[2]]
    routes = [second_default, own_stale, foreign_route, state.backstop]
    view = gateway.compare(CFG, state, routes, rules, state.route.oif)
    assert view.missing_routes == [state.route]
    assert view.stale_routes == [second_default, own_stale]
    assert view.missing_rules == [state.rules[0], state.rules[3]]
    assert view.stale_rules == [own_rule, nameless, state.rules[2]]
    assert len(view.faults) == 3
    assert "10.77.0.0/16 via 10.23.64.1" in view.faults[0]
    assert "pref 305 from all to 10.3.0.0/16 fwmark 0x131 lookup 305" in view.faults[1]
    assert "pref 99 not from all" in view.faults[2]


@pytest.mark.parametrize("address", [["10.23.70.9/20"], []], ids=["", "without a lease"])
@pytest.mark.parametrize("dst", ["10.77.0.0/16", "11.0.0.0/8", "8.0.0.0/6", "10.23.64.9/32", "0.0.0.0/0"])
def test_what_would_lead_packets_to_the_underlay_out_of_anything_else_goes(address, dst):
    state = wanted(*address)
    nic = 7
    astray = wanted("10.23.70.9/20").route._replace(dst=dst, gateway=None, oif=nic + 1, metric=9, protocol=3)
    view = gateway.compare(CFG, state, [astray], [], nic)
    assert view.stale_routes == [astray] and view.faults == []
    for way in (
        astray._replace(type=netlink.THROW, oif=None),  # on to the next rule, and so to the broadband
        astray._replace(type=netlink.THROW, oif=None, metric=0, tos=16),
        astray._replace(type=2, oif=1),  # to the site itself
        astray._replace(oif=None),  # by several NICs
        astray._replace(nexthop=7),
    ):
        assert gateway.compare(CFG, state, [way], [], nic).stale_routes == [way]
    for other in (
        astray._replace(oif=nic),
        astray._replace(dst="192.168.11.2/32"),
        astray._replace(type=netlink.UNREACHABLE, oif=None),
        astray._replace(type=netlink.BLACKHOLE, oif=None),
        astray._replace(type=netlink.PROHIBIT, oif=None),
        astray._replace(type=netlink.THROW, oif=None, dst="192.168.11.0/24"),
    ):
        view = gateway.compare(CFG, state, [other], [], nic)
        assert view.stale_routes == [] and len(view.faults) == 1


def test_wg_quicks_rule_for_the_whole_internet_goes_and_the_like_of_it_is_named():
    state = wanted("10.23.70.9/20")
    trap = netlink.Rule(32765, "0.0.0.0/0", "0.0.0.0/0", 0x131, 0xFFFFFFFF, 305, 3, 1, netlink.NOT)
    assert gateway.compare(CFG, state, [], [trap], 7).stale_rules == [trap]
    for other in (trap._replace(extra=()), trap._replace(mark=0x132), trap._replace(dst="192.168.9.0/24")):
        view = gateway.compare(CFG, state, [], [other], 7)
        assert view.stale_rules == [] and len(view.faults) == 1
    assert gateway.compare(CFG, state, [], [trap._replace(table=51820)], 7).stale_rules == []


def test_a_refusing_kernel_does_not_stop_the_other_steps():
    kernel = Kernel(addresses=["10.24.97.1/20"], refuse=("replace_route",))
    view, errors = gateway.reconcile(kernel, CFG)
    assert len(errors) == 2 and all("Operation not permitted" in text for text in errors)
    assert len(kernel.all_rules) == 4
    found = gateway.report(CFG, view, errors)
    assert (found["state"], found["rules"], found["route"], found["backstop"]) == ("fault", True, False, False)
    assert "refused" in found["reason"]


def test_remove_takes_only_our_own():
    kernel = Kernel(addresses=["10.24.97.1/20"])
    gateway.reconcile(kernel, CFG)
    foreign = kernel.table[0]._replace(dst="10.9.0.0/16", metric=5, protocol=3)
    trap = netlink.Rule(99, "0.0.0.0/0", "0.0.0.0/0", 0, 0, 305, 3, 1, ())
    kernel.table.append(foreign)
    kernel.all_rules.append(trap)
    gateway.remove(kernel, CFG)
    assert (kernel.table, kernel.all_rules) == ([foreign], [trap])


def test_a_route_that_something_refuses_in_front_of_it_is_a_fault():
    kernel = Kernel(addresses=["10.24.97.1/20"])
    gateway.reconcile(kernel, CFG)
    kernel.lookup = lambda address, mark: None
    faults = gateway.inspect(kernel, CFG).faults
    assert len(faults) == 2 and all("do not leave at all" in text and "ip route get" in text for text in faults)
    kernel.present = []  # without an address nothing is to leave
    gateway.reconcile(kernel, CFG)
    assert gateway.inspect(kernel, CFG).faults == []


def quarrel(times, missed=("rule",), taken_away=True):
    found = gateway.Quarrel()
    for time in times:
        found.seen(time, list(missed), taken_away)
    return found


def test_who_takes_our_entries_away_again_and_again_is_given_way_more_and_more():
    often = [index * 0.1 for index in range(gateway.QUARREL)]
    assert quarrel(often[:-1]).pause == 0
    found = quarrel(often)
    assert found.pause == gateway.QUARREL_PAUSES[0] and "rule" in found.faults()[0]
    pauses = []
    for time in (10, 20, 30, 40, 50):
        found.seen(time, ["rule"], True)
        pauses.append(found.pause)
    assert pauses == [2, 4, 8, 8, 8]
    found.seen(60, [], False)  # something happened to the NIC: no look of its own
    assert found.pause == 8
    found.seen(70, [], True)
    assert found.pause == 0 and found.faults() == []


def test_what_a_nic_that_comes_and_goes_takes_away_is_no_quarrel():
    assert quarrel(range(0, 10 * gateway.QUARREL, 10)).pause == 0
    assert quarrel([index * 0.01 for index in range(100)], taken_away=False).pause == 0


def test_an_address_that_comes_between_two_looks_does_not_end_the_daemon(monkeypatch):
    """The first look finds none and so no candidates; by the next one it is there, and the kernel refuses the route."""
    bare, leased = gateway.inspect(Kernel(), CFG), gateway.inspect(Kernel(addresses=["10.23.64.5/20"]), CFG)
    assert bare.wanted.candidates == [] and leased.wanted.route in leased.missing_routes
    looks, told = [(bare, []), (leased, ["refused"]), (leased, ["refused"])], []
    monkeypatch.setattr(gateway, "reconcile", lambda *about: looks.pop(0))
    daemon = gateway.Daemon.__new__(gateway.Daemon)
    daemon.cfg, daemon.kernel, daemon.quarrel, daemon.loop = CFG, Kernel(), gateway.Quarrel(), Loop()
    daemon.retry = daemon.leased = daemon.chosen = daemon.bare = daemon.situation = None
    daemon.candidates, daemon.silent, daemon.refused, daemon.cures = [], set(), set(), 0
    daemon.look_out = lambda: None
    daemon.tell = lambda view, errors: told.append((view.wanted.gateway, errors))
    daemon.reconcile()
    assert told == [("10.23.64.1", ["refused"])] and looks == []
