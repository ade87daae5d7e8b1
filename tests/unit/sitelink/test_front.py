# SPDX-License-Identifier: GPL-3.0-or-later
import struct

from sitelink import config, front, netlink

CFG = config.GatewayConfig("eth1", config.networks(["10.0.0.0/7"]), 305, 0x131, 305, config.FIRST_HOST)
NIC, ELSEWHERE = 3, 2
RULE = netlink.Rule(100, "0.0.0.0/0", "0.0.0.0/0", 0, 0, 220, 3, 1, ())


def route(dst, oif=ELSEWHERE, kind=netlink.UNICAST, metric=0):
    return netlink.Route(dst, 220, 3, kind, 0, metric, None, oif, None, 0, 0)


def ways(*routes, rule=RULE):
    return [(str(way.part), way.address) for way in front.ways(CFG, [rule], lambda table: list(routes), NIC)]


def test_an_address_is_asked_about_in_each_gap_between_longer_prefixes():
    assert ways(route("10.0.0.0/8")) == [("10.0.0.0/8", "10.255.255.254")]
    assert ways(route("10.0.0.0/8"), route("10.128.0.0/9", NIC)) == [("10.0.0.0/8", "10.127.255.254")]
    assert ways(route("10.0.0.0/8"), route("10.64.0.0/10", NIC)) == [
        ("10.0.0.0/8", "10.63.255.254"),
        ("10.0.0.0/8", "10.255.255.254"),
    ]
    assert ways(route("10.0.0.0/8"), route("10.0.0.0/9", NIC), route("10.128.0.0/9", NIC)) == []
    assert ways(route("10.0.0.0/8", NIC), route("10.7.7.7/32")) == [("10.7.7.7/32", "10.7.7.7")]
    assert ways(route("10.0.0.0/8"), route("10.0.0.0/8", NIC, metric=5)) == [("10.0.0.0/8", "10.255.255.254")]
    assert ways(route("10.0.0.0/8", metric=5), route("10.0.0.0/8", NIC)) == []
    assert ways(route("0.0.0.0/0"), route("10.0.0.0/7", None, netlink.THROW)) == []
    assert ways(route("0.0.0.0/0"), rule=RULE._replace(extra=netlink.NO_DEFAULT)) == []
    assert ways(route("8.0.0.0/5"), rule=RULE._replace(extra=netlink.NO_DEFAULT)) == [("10.0.0.0/7", "11.255.255.254")]


def test_of_a_table_of_the_whole_internet_a_part_is_asked_about():
    inside = [route("10.%d.%d.0/24" % (number // 250, number % 250), NIC) for number in range(2000)]
    outside = [route("12.%d.%d.0/24" % (number // 250, number % 250)) for number in range(2000)]
    found = ways(*outside, *inside, route("0.0.0.0/0"))
    assert 0 < len(found) <= front.GAPS and ("10.0.0.0/7", "11.255.255.254") in found
    assert ways(*outside, *inside, route("12.0.0.0/6"), route("0.0.0.0/1", NIC)) == []


def test_a_rule_for_bits_of_the_mark_and_a_goto_over_ours():
    only = RULE._replace(mark=0x31, mask=0xFF)
    assert ways(route("10.0.0.0/8"), rule=only) and not ways(route("10.0.0.0/8"), rule=only._replace(mark=0x32))
    goto = RULE._replace(action=front.GOTO, table=0, extra=((4, struct.pack("=I", 400)),))
    assert front.ways(CFG, [goto], None, NIC) == []  # a jump to nowhere is none
    assert front.ways(CFG, [goto, RULE._replace(priority=400)], None, NIC)


def test_what_is_asked_about_is_neither_the_sites_own_nor_a_neighbours():
    """The last address of the network is the site's own, the next one in a LAN within the carrier's range."""
    own = netlink.Route("x", 255, 2, netlink.LOCAL, 0, 0, None, 1, None, 0, 0)
    lan = own._replace(table=254, type=netlink.UNICAST, scope=netlink.SCOPE_LINK, oif=NIC + 1)
    out = lan._replace(table=305, scope=0, gateway="10.0.0.1", oif=NIC)

    class Kernel:
        def __init__(self, answers):
            self.answers = answers

        def lookup(self, address, mark):
            return self.answers.get(address, out)

    def asked(answers):
        return front.asked(Kernel(answers), CFG.networks[0], 305, NIC)

    assert asked({"11.255.255.254": own, "11.255.255.253": lan}) == ("10.0.0.1", out)
    router = lan._replace(gateway="192.168.1.1")  # of somebody else: that is a leak
    assert asked({"11.255.255.254": router}) == ("11.255.255.254", router)
    assert asked({"11.255.255.254": None}) == ("11.255.255.254", None)
    modem = lan._replace(dst="0.0.0.0/0")  # a way to everywhere without a gateway
    assert asked(dict.fromkeys(config.probe_addresses(CFG.networks[0]), modem))[1] is modem
