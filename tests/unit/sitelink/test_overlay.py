# SPDX-License-Identifier: GPL-3.0-or-later
import ipaddress

import pytest

from sitelink import config, netlink, overlay


def connected(dst, oif):
    return netlink.Route(dst, 254, 2, netlink.UNICAST, netlink.SCOPE_LINK, 0, None, oif, None, 0, 0)


def test_address_changes():
    present = [netlink.Address(7, "192.168.11.1", 24, 0x80), netlink.Address(7, "192.168.11.9", 24, 0x81)]
    assert overlay.address_changes(["192.168.11.1/24"], present) == ([], [("192.168.11.9", 24)])
    present.append(netlink.Address(7, "fd00::1", 64, 0x80))
    assert overlay.address_changes(["192.168.11.1/24", "fd00::2/64"], present) == (
        [("fd00::2", 64)],
        [("192.168.11.9", 24), ("fd00::1", 64)],
    )
    assert overlay.address_changes(["192.168.11.1/25"], present[:1]) == (
        [("192.168.11.1", 25)],
        [("192.168.11.1", 24)],
    )


def test_what_needs_a_route():
    peers = [
        config.MeshPeer("b", "kb", "192.168.11.2", ["192.168.11.2/32", "10.66.2.0/24"], None, [], False),
        config.MeshPeer("c", "kc", "192.168.11.3", ["0.0.0.0/0", "fd00::/64", "192.168.0.0/16"], None, [], False),
    ]
    cfg = config.MeshConfig("m", "a", "wg0", "eth1", [], 22000, 305, 1420, 25, [], [], "", peers)
    found = overlay.wanted_prefixes(cfg, ["192.168.11.1/24"])
    assert {str(net): peer.name for net, peer in found.items()} == {"10.66.2.0/24": "b", "192.168.0.0/16": "c"}


@pytest.mark.parametrize(
    "network, blocking",
    [
        ("192.168.1.0/24", "192.168.1.0/24"),  # the LAN of this site
        ("192.168.1.128/25", "192.168.1.0/24"),  # a part of it
        ("192.168.0.0/16", None),  # the LAN is more specific and stays reachable
        ("10.23.70.0/24", "10.23.64.0/20"),  # inside the leased prefix
        ("10.0.0.0/8", "10.23.64.0/20"),  # around it
        ("10.66.2.0/24", None),  # a LAN in 10.x is fine
    ],
)
def test_what_forbids_a_route(network, blocking):
    routes = [connected("192.168.1.0/24", 2), connected("10.23.64.0/20", 3)]
    found = overlay.conflict(ipaddress.IPv4Network(network), routes, 3)
    assert (found.dst if found else None) == blocking
