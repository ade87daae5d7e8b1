# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked packets without pause, while a network manager flushes what is not its own: with the firewall and without it, not one leaves
by the broadband. Counted where it would arrive."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
import time

import firewall_rendered
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]

from throwaway import NO_SLOW_PASS, Namespace, connect, wait_for

PEER = "10.77.3.9"  # a site in another subnet of the underlay
MARK = 0x131
SO_MARK = 36
GATEWAY = {
    "interface": "eth1", "networks": ["10.0.0.0/7"], "table": 305, "fwmark": MARK, "priority": 305, "gateway": "first_host",
}  # fmt: skip
COUNT = (
    "nft 'table inet count { chain in { type filter hook prerouting priority -400; ip daddr 10.0.0.0/7 counter; }; }'"
)

# What is not the kernel's goes, as systemd-networkd does it when it starts anew or is told to configure a link.
FLUSH = "ip route flush table 305 protocol 131 || true; for i in 131 static boot dhcp; do ip rule flush protocol $i || true; done;"
EVENTS = {
    "a restart of the manager": FLUSH,
    "the link is configured anew": FLUSH + "ip addr flush dev eth1; ip addr add 10.23.64.5/20 dev eth1",
    "the link goes down and up": "ip link set eth1 down;" + FLUSH + "ip link set eth1 up",
    "another lease": "ip addr flush dev eth1; ip addr add 10.24.96.7/20 dev eth1",
    "the first lease again": "ip addr add 10.23.64.5/20 dev eth1; ip addr del 10.24.96.7/20 dev eth1",
}
EVERYTHING = "ip route flush table 305 2>/dev/null || true; while ip rule del pref 305 2>/dev/null; do :; done"


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """(site, carrier, internet, the site's firewall as the role writes it)"""
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("needs root and nftables")
    directory = tmp_path_factory.mktemp("gap")
    firewall_rendered.render(directory, {"site-a": firewall_rendered.site(1), "site-b": firewall_rendered.site(2)})
    site = Namespace(directory / "site", NO_SLOW_PASS)
    carrier, internet = Namespace(directory / "carrier"), Namespace(directory / "internet")
    connect(site, "eth0", internet, "home")
    connect(site, "eth1", carrier, "ont")
    site.sh("ip addr add 192.168.1.2/24 dev eth0; ip route add default via 192.168.1.1")
    carrier.sh(f"ip addr add 10.23.64.1/20 dev ont; ip addr add 10.24.96.1/20 dev ont; ip addr add {PEER}/32 dev lo")
    internet.sh(f"ip addr add 192.168.1.1/24 dev home; ip addr add {PEER}/32 dev lo")
    for each in (carrier, internet):
        each.sh(COUNT)
    site.write("gateway-eth1.json", GATEWAY)
    yield site, carrier, internet, directory / "site-a.nft"
    for each in (site, carrier, internet):
        each.destroy()


def counted(namespace):
    """Packets to the underlay that have arrived."""
    return int(namespace.sh("nft list table inet count").partition("counter packets ")[2].split()[0])


class Flood:
    """Marked packets from WireGuard's port without pause."""

    def __init__(self, site):
        with site.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)
        self.socket.bind(("0.0.0.0", 22000))
        self.tried, self.running = 0, True
        self.thread = threading.Thread(target=self.send)

    def send(self):
        while self.running:
            with contextlib.suppress(OSError):  # the kernel refuses: that is meant
                self.socket.sendto(b"flood", (PEER, 22000))
            self.tried += 1
            time.sleep(0.0002)

    def goes_on(self, packets=200):
        begun = self.tried
        wait_for(lambda: self.tried >= begun + packets)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.socket.close()


@pytest.fixture(params=[False, True], ids=["no firewall", "firewall"])
def site(net, request):
    site, _, _, rules = net
    site.sh(f"ip addr flush dev eth1; ip link set eth1 up; {EVERYTHING}; nft flush ruleset")
    site.firewall = request.param
    if site.firewall:
        site.sh(f"nft -f {rules}")
    yield site
    for process in site.processes:
        if process.poll() is None:
            site.stop(process, signal.SIGKILL)
    site.sh("nft flush ruleset")


def start(site):
    site.daemon("gateway", "eth1")
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: right(site))


def right(site):
    return "dev eth1" in site.sh(f"ip route get {PEER} mark {MARK} 2>&1", check=False)


def test_nothing_leaves_by_the_broadband_whatever_the_network_manager_flushes(net, site):
    _, carrier, internet, _ = net
    start(site)
    leaked = counted(internet)
    with Flood(site) as flood:
        for _ in range(2):
            for event, command in EVENTS.items():
                arrived = counted(carrier)
                site.sh(command)
                wait_for(lambda: right(site), event)
                wait_for(lambda arrived=arrived: counted(carrier) > arrived, event)
                flood.goes_on()
                assert counted(internet) == leaked, event


def test_where_all_is_flushed_the_firewall_alone_stops_them(net, site):
    """The control of the test above, and why there is a firewall: without it they do leave by the broadband."""
    _, _, internet, _ = net
    start(site)
    leaked = counted(internet)
    with Flood(site) as flood:
        site.stop(site.processes[-1], signal.SIGKILL)
        site.sh(EVERYTHING)
        flood.goes_on()
        if site.firewall:
            assert counted(internet) == leaked
        else:
            wait_for(lambda: counted(internet) > leaked)


def test_where_all_is_flushed_it_is_back_and_behind_the_firewall_nothing_left(net, site):
    _, carrier, internet, _ = net
    start(site)
    leaked = counted(internet)
    with Flood(site) as flood:
        for _ in range(3):
            arrived = counted(carrier)
            site.sh(EVERYTHING)
            wait_for(lambda: right(site))
            wait_for(lambda arrived=arrived: counted(carrier) > arrived)
            flood.goes_on()
    if site.firewall:
        assert counted(internet) == leaked
