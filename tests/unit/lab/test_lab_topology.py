# SPDX-License-Identifier: GPL-3.0-or-later
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import combinations

import pytest

from sitelab import carrier, counters, topology

ALL = topology.sites(topology.MAX_SITES)


def test_the_default_sites():
    a, b, c = topology.sites(3)
    assert (a.name, a.lan, a.home, a.ont) == ("site-a", "lan-a", "home-a", "ont-a")
    assert [str(each.home_network) for each in (a, b, c)] == ["192.168.1.0/24", "10.66.2.0/24", "192.168.3.0/24"]
    assert [str(each) for each in (b.router, b.address, b.lan_host, b.controller)] == [
        "10.66.2.1",
        "10.66.2.2",
        "10.66.2.10",
        "10.66.2.254",
    ]
    assert [str(each.underlay(0)) for each in (a, b, c)] == ["10.23.64.0/20", "10.140.16.0/21", "11.34.128.0/19"]
    assert str(a.underlay(1)) == "10.24.96.0/20"


def test_nothing_of_the_lab_overlaps():
    overlay = IPv4Network("192.168.11.0/24")
    found = [overlay] + [each.home_network for each in ALL]
    found += [each.underlay(step) for each in ALL for step in range(topology.GENERATIONS)]
    assert not [pair for pair in combinations(found, 2) if pair[0].overlaps(pair[1])]


def test_every_underlay_prefix_lies_in_the_default_underlay():
    everything = IPv4Network("10.0.0.0/7")
    assert all(each.underlay(step).subnet_of(everything) for each in ALL for step in range(topology.GENERATIONS))


def test_generations_come_round_and_are_known_by_their_gateway():
    for each in ALL:
        for step in range(topology.GENERATIONS):
            assert each.generation(each.underlay(step)[1]) == step
        assert each.underlay(topology.GENERATIONS) == each.underlay(0)
    with pytest.raises(ValueError):
        ALL[0].generation(IPv4Address("10.23.64.2"))


def test_macs_are_local_and_differ():
    macs = [each.mac(role) for each in ALL for role in range(5)]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)


def test_a_site_is_found_by_name_and_letter():
    assert topology.site("b", 3) == topology.site("site-b", 3) == ALL[1]
    for wrong in ("d", "site-", "", "lan-a"):
        with pytest.raises(ValueError, match="site-c"):
            topology.site(wrong, 3)


def test_names_of_cables_fit_the_kernel():
    for each in ALL:
        assert all(len(name) <= 15 for name in (f"{each.name}.eth1", f"internet.{each.home}", f"carrier.{each.ont}"))


def test_all_networks_are_known_to_the_search_for_leaks():
    known = topology.networks()
    for wanted in ("10.140.16.0/21", "192.168.3.0/24", "198.18.0.0/15", "192.168.11.0/24"):
        assert IPv4Network(wanted) in known
    assert IPv6Network("fd77:1::/64") in known


def test_the_carrier_forces_every_harmful_option():
    text = carrier.dnsmasq(ALL[0], 1)
    forced = {
        int(line.split("=")[1].split(",")[0]) for line in text.splitlines() if line.startswith("dhcp-option-force=")
    }
    assert forced == {3, 6, 12, 15, 26, 28, 33, 42, 119, 120, 121, 249}
    assert "dhcp-range=10.24.96.10,10.24.96.200,255.255.240.0,2m" in text
    assert "ra-param=ont-a,mtu:1380,10,1800" in text


@pytest.mark.parametrize(("text", "bits"), [("100mbit", 10**8), ("2gbit", 2 * 10**9), ("64kbit", 64000), ("off", None)])
def test_rates(text, bits):
    assert carrier.parse_rate(text) == bits


@pytest.mark.parametrize("text", ["", "0mbit", "100", "fast", "-1mbit", "1.5mbit"])
def test_wrong_rates(text):
    with pytest.raises(ValueError):
        carrier.parse_rate(text)


def test_every_nic_is_counted_in_both_directions():
    text = counters.ruleset(topology.sites(3))
    assert text.count("add counter ") == 3 * 2 * 2 * 2
    assert 'iifname "site-a.eth1" jump site_a_eth1_out' in text
    assert 'oifname "site-c.eth0" jump site_c_eth0_in' in text
