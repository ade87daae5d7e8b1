# SPDX-License-Identifier: GPL-3.0-or-later
import ipaddress
import os
import socket
import subprocess
import sys
from unittest import mock

import pytest

from sitelink import config, netlink, overlay, wg


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


class Kernel:
    """A site with these NICs, by index from 1, and these connected prefixes."""

    def __init__(self, names, routes):
        self.names, self.connected = names, routes

    def links(self):
        return [netlink.Link(index, name, True, True, 1500) for index, name in enumerate(self.names, 1)]

    def link(self, name):
        return next((item for item in self.links() if item.name == name), None)

    def lookup(self, address):
        return None

    def routes(self, table, protocol=None, oif=None):
        found = [connected(dst, self.names.index(nic) + 1) for dst, nic in self.connected]
        return [route for route in found if protocol in (None, 0, route.protocol)]


@pytest.mark.parametrize(
    "dst, nic, words",
    [
        ("192.168.11.0/24", "eth0", ["192.168.11.0/24", "eth0", "wireguard_mesh_network"]),
        ("192.168.8.0/21", "docker0", ["192.168.8.0/21", "docker0", "wireguard_mesh_network"]),
        ("192.168.11.128/25", "eth2", ["eth2", "wireguard_mesh_network"]),
        ("192.168.2.0/24", "eth2", ["site-b", "192.168.2.0/24", "wireguard_mesh_lan_subnets"]),
        ("192.168.2.64/26", "eth2", ["site-b", "192.168.2.64/26", "wireguard_mesh_lan_subnets"]),
        ("192.168.2.64/26", "docker0", None),  # told as a warning
        ("192.168.3.0/24", "eth0", None),
        ("192.168.11.0/24", "wg0", None),  # the overlay itself
        ("192.168.11.0/24", "eth1", None),  # not configured yet; a lease like this is refused by another rule
    ],
)
def test_what_the_mesh_would_cut_off(dst, nic, words):
    peers = [config.MeshPeer("site-b", "kb", "192.168.11.2", ["192.168.11.2/32", "192.168.2.0/24"], None, [], False)]
    cfg = config.MeshConfig("m", "site-a", "wg0", "eth1", [], 22000, 305, 1420, 25, ["192.168.11.1/24"], [], "", peers)
    kernel = Kernel(["lo", "eth0", "eth1", "eth2", "docker0", "wg0"], [("192.168.1.0/24", "eth0"), (dst, nic)])
    found = overlay.overlaps(kernel, cfg)
    assert len(found) == (1 if words else 0)
    assert all(word in found[0] for word in words or [])


@pytest.mark.parametrize(
    "client, by, words",
    [
        ("192.168.11.50", "eth0", ["192.168.11.50", "wireguard_mesh_network", "192.168.11.0/24"]),
        ("192.168.2.50", "eth0", ["192.168.2.50", "site-b (wireguard_mesh_lan_subnets)", "192.168.2.0/24"]),
        ("192.168.11.50", "wg0", None),  # the mesh is there
        ("192.168.2.50", "wg0", None),
        ("192.168.1.50", "eth0", None),  # of the LAN
        ("203.0.113.5", "eth0", None),
        ("fe80::1%eth0", "eth0", None),
        (None, "eth0", None),  # at the console
    ],
)
def test_who_runs_it_is_not_cut_off(client, by, words, tmp_path):
    class Routed(Kernel):
        def lookup(self, address):
            return connected("0.0.0.0/0", self.names.index(by) + 1)

    peers = [config.MeshPeer("site-b", "kb", "192.168.11.2", ["192.168.11.2/32", "192.168.2.0/24"], None, [], False)]
    cfg = config.MeshConfig("m", "site-a", "wg0", "eth1", [], 22000, 305, 1420, 25, ["192.168.11.1/24"], [], "", peers)
    kernel = Routed(["lo", "eth0", "eth1", "wg0"], [("192.168.1.0/24", "eth0")])
    with mock.patch.object(overlay, "come_from", lambda: client and "%" not in client and ipaddress.IPv4Address(client) or None):
        found = overlay.overlaps(kernel, cfg)
    assert len(found) == (1 if words else 0)
    assert all(word in found[0] for word in words or [])


def come_from(connection):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.path.dirname(os.path.dirname(overlay.__file__))}
    environment.update({"SSH_CONNECTION": connection} if connection else {})
    program = "from sitelink import overlay; print(overlay.come_from())"
    command = ["sh", "-c", "env -u SSH_CONNECTION %s -B -c '%s'; true" % (sys.executable, program)]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, universal_newlines=True, check=True).stdout.strip()


def test_where_somebody_comes_from_is_seen_in_spite_of_sudo():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        with socket.create_connection(server.getsockname()) as client:
            connection = "%s %d %s %d" % (client.getsockname() + server.getsockname())
            assert come_from(connection) == "127.0.0.1"
            assert come_from(connection.replace("127.0.0.1", "192.168.11.50")) == "None"  # of a session that is gone, in a tmux
    for connection in ("192.168.11.50 50000 192.168.1.2 22", "fe80::1%eth0 50000 fe80::2%eth0 22"):
        assert come_from(connection) == "None"


@pytest.mark.parametrize(
    "dst, gateway, counts",
    [
        ("192.168.2.0/24", None, True),  # as dhcpcd makes it, whose address comes without one
        ("192.168.2.1/32", None, False),  # networkd's, to the DHCP server
        ("0.0.0.0/0", None, False),  # a way out without a gateway
        ("192.168.2.0/24", "192.168.1.1", False),  # what a DHCP server hands out
    ],
)
def test_a_prefix_that_dhcpcd_made_is_connected_too(dst, gateway, counts):
    class Dhcp(Kernel):
        def routes(self, table, protocol=None, oif=None):
            made = connected(dst, 2)._replace(protocol=netlink.PROTOCOL_DHCP, gateway=gateway)
            return [route for route in (made,) if protocol in (None, 0, route.protocol)]

    peers = [config.MeshPeer("site-b", "kb", "192.168.11.2", ["192.168.11.2/32", "192.168.2.0/24"], None, [], False)]
    cfg = config.MeshConfig("m", "site-a", "wg0", "eth1", [], 22000, 305, 1420, 25, ["192.168.11.1/24"], [], "", peers)
    assert len(overlay.overlaps(Dhcp(["lo", "eth0", "eth1", "wg0"], []), cfg)) == counts


def test_an_address_that_is_refused_does_not_keep_the_routes_away(monkeypatch):
    routed = []

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    class Asked:
        def settle(self, *_):
            pass

        plan_in_use = conf_in_use = lambda self, plan, *_: plan

    monkeypatch.setattr(overlay, "load_conf", lambda *_: wg.Device())
    monkeypatch.setattr(wg, "show", lambda _: wg.Device())
    monkeypatch.setattr(wg, "differences", lambda *_: [])
    monkeypatch.setattr(overlay, "_link", refuse)
    monkeypatch.setattr(overlay, "_routes", lambda *_: routed.append(True))
    cfg = config.MeshConfig("m", "site-a", "wg0", "eth1", [], 22000, 305, 1420, 25, ["192.168.11.1/24"], [], "", [])
    faults, _, _ = overlay.reconcile(None, cfg, None, Asked())
    assert routed == [True] and any("Permission denied" in fault for fault in faults)
