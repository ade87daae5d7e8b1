# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's parts that need no kernel."""

import struct

import pytest

from sitelink import config, firewall, nftables

TEXT = """\
# a comment
table inet sitelink_eth1
delete table inet sitelink_eth1
table inet sitelink_eth1 {
    chain a {
        type filter hook prerouting priority -310; policy accept;
    }
}
"""


def message(kind, family, *attributes):
    body = struct.pack("=BBH", family, 0, 0)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), 10 << 8 | kind, 0, 0, 0) + body


def test_the_held_table_has_the_same_rules_and_an_owner():
    held = firewall.held_ruleset(TEXT, "eth1", exists=False)
    assert held == TEXT[TEXT.index("table inet sitelink_eth1 {") :].replace(
        "sitelink_eth1 {\n", "sitelink_eth1_held {\n    flags owner\n"
    ).replace("-310", "-311")
    assert firewall.held_ruleset(TEXT, "eth1", exists=True) == "delete table inet sitelink_eth1_held\n" + held
    with pytest.raises(config.ConfigError):
        firewall.held_ruleset(TEXT, "eth2", exists=False)


def test_events_name_the_table_and_who_changed_it():
    data = message(2, 1, (1, b"sitelink_eth1\0")) + message(6, 2, (1, b"filter\0"), (2, b"INPUT\0"))
    data += message(15, 0, (1, b"\0\0\0\1"), (3, b"nft\0"))
    removed, rule, end = nftables.parse(data)
    assert removed == nftables.Change(1, "sitelink_eth1", False, True, "")
    assert rule == nftables.Change(2, "filter", False, False, "")
    assert end == nftables.Change(0, None, False, False, "nft")
    assert nftables.parse(message(0, 1, (1, b"x\0"))) == [nftables.Change(1, "x", True, False, "")]


def test_what_is_no_event_of_nftables_is_passed_over_and_damage_is_an_error():
    other = bytearray(message(0, 1, (1, b"x\0")))
    other[5] = 1  # another subsystem of netfilter
    assert nftables.parse(bytes(other)) == []
    with pytest.raises(OSError):
        nftables.parse(message(0, 1, (1, b"sitelink_eth1\0"))[:-6])


def test_docker_is_told_only_where_that_is_wanted():
    cfg = config.FirewallConfig("eth1", "wg0", ["192.168.1.0/24", "fd00::/64"], ["docker"])
    tail = ["-m", "comment", "--comment", "sitelink", "-j", "ACCEPT"]
    assert firewall.docker_rules(cfg) == [
        ["DOCKER-USER", "-d", "192.168.1.0/24", "-i", "wg0"] + tail,
        ["DOCKER-USER", "-s", "192.168.1.0/24", "-o", "wg0"] + tail,
    ]
    assert firewall.docker_rules(cfg._replace(adapt=[])) == []
