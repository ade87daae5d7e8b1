# SPDX-License-Identifier: GPL-3.0-or-later
import random
import socket
import struct

import pytest

from sitelink import netlink


def message(kind, payload, flags=0):
    length = 16 + len(payload)
    return struct.pack("=IHHII", length, kind, flags, 1, 0) + payload + b"\0" * (-length % 4)


ROUTES = [
    netlink.Route("0.0.0.0/0", 305, 131, netlink.UNREACHABLE, 0, 4278198272, None, None, None, 0, 0),
    netlink.Route("0.0.0.0/0", 305, 131, netlink.UNICAST, 0, 0, "10.23.64.1", 3, "10.23.64.5", netlink.ONLINK, 0),
    netlink.Route("192.168.1.0/24", 254, 131, netlink.UNICAST, netlink.SCOPE_LINK, 0, None, 7, None, 0, 0),
]
RULES = [
    netlink.Rule(305, "0.0.0.0/0", "10.0.0.0/7", 0x131, 0xFFFFFFFF, 305, 131, 1, ()),
    netlink.Rule(305, "10.1.2.3/32", "10.0.0.0/7", 0, 0, 305, 131, 1, ()),
    netlink.Rule(32766, "0.0.0.0/0", "0.0.0.0/0", 0, 0, 254, None, 1, ()),
]


@pytest.mark.parametrize("route", ROUTES)
def test_routes_survive_packing(route):
    assert netlink._parse_route(netlink._pack_route(route)) == route


@pytest.mark.parametrize("rule", RULES)
def test_rules_survive_packing(rule):
    assert netlink._parse_rule(netlink._pack_rule(rule)) == rule


def test_a_rule_with_conditions_of_others_is_no_equal_of_ours():
    base = netlink._pack_rule(RULES[0])
    assert netlink._parse_rule(base + netlink._attribute(14, b"\xff\xff\xff\xff")) == RULES[0]  # suppress: unset
    for kind, value in ((3, b"eth0\0"), (14, struct.pack("=I", 0)), (20, b"\0" * 8)):
        assert netlink._parse_rule(base + netlink._attribute(kind, value)) != RULES[0]
    inverted = base[:8] + struct.pack("=I", netlink.INVERT) + base[12:]
    assert netlink._parse_rule(inverted) != RULES[0]


def test_events_of_all_kinds():
    local = netlink._attribute(2, socket.inet_aton("10.1.2.3"))
    address = struct.pack("=BBBBi", socket.AF_INET, 20, 0x80, 0, 3) + local
    link = struct.pack("=BxHiII", 0, 1, 3, 0x10001, 0) + netlink._attribute(3, b"eth1\0")
    bridge_port = struct.pack("=BxHiII", 7, 1, 3, 0x10001, 0)
    data = message(20, address) + message(16, link) + message(17, link) + message(16, bridge_port)
    data += message(24, netlink._pack_route(ROUTES[1])) + message(33, netlink._pack_rule(RULES[0])) + message(99, b"")
    assert [(event.kind, event.deleted) for event in netlink._parse_events(data)] == [
        ("address", False), ("link", False), ("link", True), ("route", False), ("rule", True),
    ]  # fmt: skip
    first = next(iter(netlink._parse_events(data)))
    assert first.item == netlink.Address(3, "10.1.2.3", 20, 0x80)


def test_damaged_messages_never_do_worse_than_an_error():
    whole = b"".join(message(24, netlink._pack_route(route)) for route in ROUTES)
    chance = random.Random(305)
    for _ in range(3000):
        data = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            list(netlink._parse_events(bytes(data)))
        except (OSError, struct.error):
            pass


def test_a_big_table(namespaces):
    """More routes than one datagram holds, and only those that were asked for."""
    namespace = namespaces()
    namespace.sh(
        "ip link add v0 type veth peer name v1; ip link set v0 up; ip addr add 10.1.0.1/16 dev v0;"
        "for i in $(seq 0 2999); do echo route add 11.$((i / 250)).$((i % 250)).0/24 via 10.1.0.2 table 400;"
        "echo rule add pref $((1000 + i)) from 11.0.0.1 lookup 400; done | ip -batch -"
    )
    kernel = namespace.kernel()
    assert len({route.dst for route in kernel.routes(400)}) == 3000
    assert kernel.routes(400, protocol=131) == [] and kernel.routes(401) == []
    assert sum(1 for rule in kernel.rules() if rule.table == 400) == 3000


def test_lost_events_are_told(namespaces):
    namespace = namespaces()
    namespace.sh("ip link add v0 type veth peer name v1; ip link set v0 up")
    kernel = namespace.kernel()
    with namespace.entered():
        events = netlink.Events(["address"])
    events._socket.setsockopt(socket.SOL_SOCKET, 33, 4096)  # SO_RCVBUFFORCE
    index = kernel.link("v0").index
    for number in range(200):
        kernel.add_address(index, "10.1.%d.1" % number, 24)
    assert events.read()[1] is True
    kernel.add_address(index, "10.2.0.1", 24)
    found, lost = events.read()
    assert (found[0].item.address, lost) == ("10.2.0.1", False)


def test_requests_that_fail(namespaces):
    kernel = namespaces().kernel()
    assert kernel.link("nothere") is None
    with pytest.raises(OSError):
        kernel.replace_route(ROUTES[1])  # no such link
    kernel.delete_route(ROUTES[1])
    kernel.delete_rule(RULES[0])
    assert kernel.lookup("10.1.1.1") is None


def test_what_has_gone_has_no_addresses_and_no_routes(namespaces):
    kernel = namespaces().kernel()
    assert kernel.addresses(9999) == [] and kernel.routes(netlink.MAIN_TABLE, oif=9999) == []


def test_a_nic_is_known_by_its_name_and_not_by_its_further_ones(namespaces):
    """nftables and /proc know it by that one only: a firewall of the old name would not hold it."""
    namespace = namespaces()
    namespace.sh("ip link add eno1 type veth peer name other; ip link property add dev eno1 altname enp3s0")
    kernel = namespace.kernel()
    assert kernel.link("enp3s0") is None and kernel.link("eno1").name == "eno1"
