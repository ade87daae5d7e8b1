# SPDX-License-Identifier: GPL-3.0-or-later
"""Three sites with gateway and mesh daemons, wireguard-go, a carrier and an internet: one of them loses its broadband."""

import os
import shutil
import signal

import pytest
from test_mesh_kernel import Site

from sitelink import icmp

from throwaway import LIMIT, connect, wait_for

TARGETS = ["203.0.113.1", "203.0.113.2"]
FIREWALL = """\
table ip internet { set dead { type ifname; }; chain in { type filter hook prerouting priority -300; iifname @dead drop; }; }
"""
MASQUERADE = 'table ip exit { chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }; }'


class Mesh:
    def __init__(self, sites, internet, carrier):
        self.a, self.b, self.c = self.sites = sites
        self.internet, self.carrier = internet, carrier

    def suspend(self, site, dead=True):
        verb = "add" if dead else "delete"
        self.internet.sh("nft %s element ip internet dead '{ \"home-%s\" }'" % (verb, site.name[-1]))

    def used(self):
        return self.b.ns.status()["exit"][0]["used"]

    def way(self):
        """The interface by which site-b would send to the internet."""
        text = self.b.ns.sh("ip route get %s || :" % TARGETS[0])
        return text.split("dev ")[1].split()[0] if "dev " in text else ""

    def online(self, seconds=LIMIT):
        """Whether one echo request is answered in time."""
        with self.b.ns.entered():
            return icmp.ping([TARGETS[1]], self.way() or "lo", seconds)[TARGETS[1]] is not None

    def carriers_of_the_internet(self):
        dump = self.b.dump()
        return [site.name for site in (self.a, self.c) if "0.0.0.0/0" in dump[site.public][3].split(",")]

    def traces(self):
        return self.b.ns.sh("ip rule | grep -E '^30[67]:' || :; ip route show table 306 2>/dev/null || :")


@pytest.fixture(scope="module")
def mesh(namespaces):
    for tool in ("wg", "wg-quick", "wireguard-go", "nft"):
        if shutil.which(tool) is None:
            pytest.skip("needs %s" % tool)
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun for wireguard-go")
    gateway_json = {
        "interface": "eth1", "networks": ["10.0.0.0/7"], "table": 305, "fwmark": 305, "priority": 305,
        "gateway": "first_host",
    }  # fmt: skip
    carrier, internet = namespaces(), namespaces()
    carrier.sh("sysctl -qw net.ipv4.ip_forward=1")
    internet.sh("".join("ip address add %s/32 dev lo;" % target for target in TARGETS) + "nft '%s'" % FIREWALL)
    sites = []
    for number, letter in enumerate("abc", 1):
        namespace = namespaces()
        site = Site(namespace, letter, number, "10.2%d.0.5/16" % number, gateway_json)
        connect(namespace, "eth1", carrier, "ont-" + letter)
        connect(namespace, "eth0", internet, "home-" + letter)
        carrier.sh("ip address add 10.2%d.0.1/16 dev ont-%s" % (number, letter))
        internet.sh("ip address add 192.168.%d.1/24 dev home-%s" % (100 + number, letter))
        namespace.sh(
            "ip address add 192.168.%d.2/24 dev eth0; ip route add default via 192.168.%d.1" % ((100 + number,) * 2)
        )
        namespace.sh("sysctl -qw net.ipv4.ip_forward=1; nft '%s'" % MASQUERADE)
        sites.append(site)
    for site in sites:
        peers = [
            {"name": other.name, "key": other.public, "overlay": other.overlay, "lan": other.lan,
             "endpoint": {"host": other.address.split("/")[0], "port": 22000}}
            for other in sites if other is not site
        ]  # fmt: skip
        site.install(peers)
        plan = site.plan(peers)
        plan.update(uplink="eth0", exit_for=[] if site.name == "site-b" else ["site-b"])
        if site.name == "site-b":
            plan["exit"] = {
                "when": "broadband_down", "sites": ["site-a", "site-c"], "targets": TARGETS, "resolvers": ["203.0.113.2"],
                "return_after": 6, "table": 306, "priority": 306,
            }  # fmt: skip
        site.plan_now = plan
        site.ns.write("mesh-%s.json" % site.wg, plan)
        site.ns.daemon("gateway", "eth1")
        site.ns.sh("ip address add %s dev eth1" % site.address)
        site.up()
        site.daemon = site.start()
    found = Mesh(sites, internet, carrier)
    wait_for(lambda: found.b.alive("site-a") and found.b.alive("site-c"))
    yield found
    for site in sites:
        site.ns.sh("ip link del %s" % site.wg, check=False)


def test_nothing_is_there_before(mesh):
    wait_for(lambda: mesh.b.ns.status()["exit"][0]["broadband"] == "up")
    assert mesh.used() is None and mesh.way() == "eth0" and mesh.online()
    assert mesh.traces() == "" and mesh.carriers_of_the_internet() == []
    assert mesh.b.ns.sitelink("mesh", mesh.b.wg, "--check", mesh.b.ns.etc + "/mesh-%s.json" % mesh.b.wg)[0] == 0


def test_away_to_the_next_and_back(mesh, monkeypatch):
    mesh.suspend(mesh.b)
    wait_for(lambda: mesh.way() == mesh.b.wg and mesh.online(1))
    assert mesh.used() == "site-a" and mesh.carriers_of_the_internet() == ["site-a"]
    assert mesh.b.reaches(mesh.a) and mesh.b.reaches(mesh.c)
    # what `sitelink service` compares is as it is to be
    assert mesh.b.drift(monkeypatch) == []
    # the exit has no internet itself
    mesh.suspend(mesh.a)
    wait_for(lambda: mesh.used() == "site-c" and mesh.online(1))
    assert mesh.carriers_of_the_internet() == ["site-c"] and mesh.b.reaches(mesh.a)
    mesh.suspend(mesh.a, False)
    mesh.suspend(mesh.b, False)
    wait_for(lambda: mesh.way() == "eth0" and mesh.traces() == "")
    wait_for(lambda: mesh.carriers_of_the_internet() == [])
    assert mesh.online()


def test_the_daemon_is_killed_and_rules_are_flushed_while_away(mesh):
    mesh.suspend(mesh.b)
    wait_for(lambda: mesh.way() == mesh.b.wg and mesh.online(1))
    mesh.b.ns.stop(mesh.b.daemon, signal.SIGKILL)
    assert mesh.way() == mesh.b.wg and mesh.online()
    mesh.b.daemon = mesh.b.start()
    for _ in range(10):
        assert mesh.way() == mesh.b.wg and len(mesh.carriers_of_the_internet()) == 1
        assert mesh.online()
    mesh.b.ns.sh("ip rule del pref 307; ip rule del pref 306; ip route flush table 306")
    wait_for(lambda: mesh.way() == mesh.b.wg and mesh.online(1))
    assert mesh.b.ns.sh("ip rule").count("306:") == 3
    # WireGuard is made anew: closed meanwhile, rather than by the broadband
    mesh.b.ns.sh("ip link del " + mesh.b.wg)
    assert mesh.way() in ("", "lo")
    mesh.b.up()
    wait_for(lambda: mesh.way() == mesh.b.wg and mesh.online(1))


def test_switched_off_and_removed_while_away(mesh):
    assert mesh.way() == mesh.b.wg
    mesh.b.ns.write("mesh-%s.json" % mesh.b.wg, dict(mesh.b.plan_now, exit=None))
    mesh.b.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: mesh.traces() == "" and mesh.carriers_of_the_internet() == [])
    mesh.b.ns.write("mesh-%s.json" % mesh.b.wg, mesh.b.plan_now)
    mesh.b.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: mesh.way() == mesh.b.wg and mesh.online(1))
    code, _, error = mesh.b.ns.sitelink("mesh", mesh.b.wg, "--remove")
    assert code == 1 and "stop it first" in error
    mesh.b.ns.stop(mesh.b.daemon)
    assert mesh.traces() != ""  # stopping the daemon cuts nobody off
    assert mesh.b.ns.sitelink("mesh", mesh.b.wg, "--remove")[0] == 0
    assert mesh.traces() == "" and mesh.way() == "eth0"
    mesh.b.daemon = mesh.b.start()
