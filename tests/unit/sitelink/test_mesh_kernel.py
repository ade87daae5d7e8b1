# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites with gateway and mesh daemons, wireguard-go and a carrier between them; nothing else knows their endpoints.

A third peer has a name that does not resolve, a fourth one whose name leads outside the underlay.
"""

import base64
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from sitelink import config, icmp, netlink, overlay, settle, tell

from throwaway import LIMIT, connect, wait_for

NAMES = {"site-a": "10.23.64.5", "site-c": "203.0.113.7"}  # what /etc/hosts says; site-b is a literal address


def wg(*arguments, text=None):
    return subprocess.run(
        ["wg"] + list(arguments), input=text, stdout=subprocess.PIPE, check=True, universal_newlines=True
    ).stdout.strip()


def key():
    private = wg("genkey")
    return private, wg("pubkey", text=private + "\n")


def children_faults(process):
    """Grows with every program that a process has run: of the daemon, with every look at the device."""
    with open("/proc/%d/stat" % process.pid) as file:
        return int(file.read().rpartition(")")[2].split()[8])


class Site:
    """A site of the pair, with its files as the roles render them."""

    def __init__(self, namespace, letter, number, address, gateway_json):
        self.ns = namespace
        self.name = "site-" + letter
        # not wg0 twice: the control sockets of all wireguard-go are in one directory
        self.wg = "slt%d%s" % (os.getpid() % 1000000, letter)
        self.overlay = "192.168.11.%d" % number
        self.overlay6 = None
        self.private, self.public = key()
        self.address = address
        self.lan = "192.168.%d.0/24" % (100 + number)
        namespace.write("gateway-eth1.json", gateway_json)

    def plan(self, peers, keepalive=25, at_once=False):
        return {
            "mesh": "sitelink", "site": self.name, "interface": self.wg, "underlay_interface": "eth1",
            "networks": ["10.0.0.0/7"], "port": 22000, "fwmark": 305, "mtu": 1420, "keepalive": keepalive,
            "addresses": self.addresses(), "lan_subnets": [self.lan], "public_key": self.public,
            "at_once": at_once,
            "peers": [
                {
                    "name": peer["name"], "public_key": peer["key"], "address": peer["overlay"],
                    "allowed_ips": self.allowed_ips(peer), "endpoint": peer["endpoint"],
                    "seeds": [], "at_once": peer.get("at_once", False),
                }
                for peer in peers
            ],
        }  # fmt: skip

    def addresses(self):
        return [self.overlay + "/24"] + (["%s/64" % self.overlay6] if self.overlay6 else [])

    @staticmethod
    def allowed_ips(peer):
        own6 = ["%s/128" % peer["overlay6"]] if "overlay6" in peer else []
        return [peer["overlay"] + "/32"] + own6 + [peer["lan"]]

    def conf(self, peers, mtu=1420):
        lines = [
            "[Interface]",
            "Address = " + ", ".join(self.addresses()),
            "PrivateKey = " + self.private,
            "ListenPort = 22000",
        ]
        lines += ["FwMark = 0x131", "MTU = %d" % mtu, "Table = off"]
        for peer in peers:
            lines += ["", "[Peer]", "# friendly_name=" + peer["name"], "PublicKey = " + peer["key"]]
            if peer.get("psk"):
                lines.append("PresharedKey = " + peer["psk"])
            lines.append("AllowedIPs = " + ", ".join(self.allowed_ips(peer)))
        return "\n".join(lines) + "\n"

    def install(self, peers, **options):
        self.peers = peers
        self.ns.write("mesh-%s.json" % self.wg, self.plan(peers))
        self.ns.write(self.wg + ".conf", self.conf(peers, **options), 0o600)

    def up(self):
        self.ns.sh("wg-quick up %s/%s.conf >%s/../up.log 2>&1" % (self.ns.wireguard, self.wg, self.ns.wireguard))

    def start(self):
        return self.ns.daemon("mesh", self.wg)

    def status(self, *arguments):
        mesh = self.ns.status(*arguments)["mesh"][0]
        mesh["peers"] = {peer["name"]: peer for peer in mesh["peers"]}
        return mesh

    def dump(self):
        lines = [line.split("\t") for line in wg("show", self.wg, "dump").splitlines()[1:]]
        return {line[0]: line for line in lines}

    def drift(self, monkeypatch):
        """In what the running interface differs from the files, as `sitelink service` asks."""
        places = {"ETC": self.ns.etc, "RUN": self.ns.run_dir, "WIREGUARD": self.ns.wireguard, "LIB": self.ns.lib}
        with monkeypatch.context() as patch, self.ns.entered():
            for name, path in places.items():
                patch.setattr(config, name, path)
            return settle.drift(self.wg)

    def alive(self, name):
        return self.status()["peers"][name]["alive"]

    def reaches(self, other, seconds=LIMIT):
        """One echo request is answered, which nothing repeats."""
        with self.ns.entered():
            return icmp.ping([other.overlay], self.wg, seconds)[other.overlay] is not None

    def hears(self, other):
        """For a wait: an echo request is answered by now."""
        return self.reaches(other, 1)

    def looks_again(self, times=10):
        """Wait until the daemon has looked at its device so many times more."""
        for _ in range(times):
            before = children_faults(self.daemon)
            wait_for(lambda before=before: children_faults(self.daemon) > before)

    def log(self):
        return "".join(open(process.log).read() for process in self.ns.processes)


@pytest.fixture(scope="module")
def net_carrier(namespaces):
    return namespaces()


@pytest.fixture(scope="module")
def pair(namespaces, net_carrier):
    for tool in ("wg", "wg-quick", "wireguard-go"):
        if shutil.which(tool) is None:
            pytest.skip("needs %s" % tool)
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun for wireguard-go")
    gateway_json = {
        "interface": "eth1", "networks": ["10.0.0.0/7"], "table": 305, "fwmark": 305, "priority": 305,
        "gateway": "first_host",
    }  # fmt: skip
    carrier = net_carrier
    sites = []
    for letter, number, address in (("a", 1, "10.23.64.5/20"), ("b", 2, "10.140.16.9/21")):
        namespace = namespaces()
        namespace.constants["mesh.FAST_FOR_SECONDS"] = 4  # instead of 15: calm() waits for its end
        connect(namespace, "eth1", carrier, "ont-" + letter)
        directory = "/etc/netns/" + namespace.name  # ip netns exec puts these over /etc
        os.makedirs(directory)
        with open(directory + "/hosts", "w") as file:
            file.writelines("%s %s.lab.test\n" % (NAMES[name], name) for name in sorted(NAMES))
        with open(directory + "/resolv.conf", "w") as file:
            file.write("nameserver 127.0.0.1\n")  # where nobody listens
        sites.append(Site(namespace, letter, number, address, gateway_json))
    carrier.sh(
        "echo 1 > /proc/sys/net/ipv4/ip_forward; ip addr add 10.23.64.1/20 dev ont-a; ip addr add 10.24.96.1/20 dev ont-a;"
        "ip addr add 10.140.16.1/21 dev ont-b"
    )
    a, b = sites
    psk = wg("genpsk")
    others = [
        {"name": name, "key": key()[1], "overlay": "192.168.11.%d" % number, "lan": "192.168.%d.0/24" % (100 + number),
         "endpoint": {"host": name + ".lab.test", "port": 22000}}
        for name, number in (("site-c", 3), ("site-d", 4))
    ]  # fmt: skip
    b_for_a = {"name": "site-b", "key": b.public, "overlay": b.overlay, "lan": b.lan, "psk": psk,
               "endpoint": {"host": "10.140.16.9", "port": 22000}}  # fmt: skip
    a_for_b = {"name": "site-a", "key": a.public, "overlay": a.overlay, "lan": a.lan, "psk": psk,
               "endpoint": {"host": "site-a.lab.test", "port": 22000}}  # fmt: skip
    a.install([b_for_a] + others)
    b.install([a_for_b])
    for site in sites:
        site.ns.daemon("gateway", "eth1")
        site.ns.sh("ip addr add %s dev eth1" % site.address)
        wait_for(lambda site=site: "via" in site.ns.sh("ip route show table 305", check=False))
    for site in sites:
        assert "Endpoint" not in site.conf(site.peers)
        site.daemon = site.start()  # before its interface exists
        site.up()
    yield a, b
    for site in sites:
        site.ns.sh("ip link del %s" % site.wg, check=False)


def test_the_tunnel_comes_up_whatever_other_names_do(pair):
    a, b = pair
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    assert a.reaches(b) and b.reaches(a)
    mesh = a.status("--probe")
    peer = mesh["peers"]["site-b"]
    assert peer["endpoint"] == "10.140.16.9:22000" and peer["nic"] == "eth1"
    assert peer["endpoint_source"] in ("seed", "roamed")  # whoever called first
    assert peer["latency"] > 0 and peer["reason"] == "" and peer["handshake_age"] >= 0 and peer["rx_bytes"] > 0
    assert b.status()["peers"]["site-a"]["endpoint_source"] in ("dns", "roamed")
    assert a.dump()[b.public][7] == "25" and b.dump()[a.public][7] == "25"
    wait_for(lambda: "no IPv4 address" in a.status()["peers"]["site-d"]["reason"])
    assert "203.0.113.7, which is outside the underlay" in a.status()["peers"]["site-c"]["reason"]
    assert a.dump()[a.peers[1]["key"]][2] == "(none)" and a.dump()[a.peers[1]["key"]][7] == "off"
    text = a.ns.sitelink("status")[1]
    assert re.search(r"site-b +192\.168\.11\.2 +alive +\d+ s +10\.140\.16\.9:22000 +(seed|roamed) +- +eth1", text)
    assert "[peer] site-d" in text


def test_overlay_routes(pair):
    a, b = pair
    routes = a.ns.sh("ip route show dev %s proto 131" % a.wg).split("\n")
    assert [line.split()[0] for line in routes if line] == [peer["lan"] for peer in a.peers]
    a.ns.sh("ip route del %s dev %s" % (b.lan, a.wg))
    wait_for(lambda: b.lan in a.ns.sh("ip route show proto 131"))
    # a network that this site itself is connected to is not given away, nor is the way back lost
    a.ns.sh("ip link add home type veth peer name lan; ip link set home up; ip addr add 192.168.103.1/24 dev home")
    a.ns.sh("ip route del 192.168.103.0/24 dev %s" % a.wg)
    wait_for(lambda: "connected directly" in a.status()["peers"]["site-c"]["reason"])
    a.ns.sh("ip link del home")
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "192.168.103.0/24" in a.ns.sh("ip route show proto 131"))


def test_renumbering_is_heard_at_once(pair):
    a, b = pair
    assert a.reaches(b)
    a.ns.sh("ip addr del 10.23.64.5/20 dev eth1; ip addr add 10.24.96.7/20 dev eth1")
    wait_for(lambda: b.dump()[a.public][2] == "10.24.96.7:22000")
    assert a.reaches(b) and b.reaches(a)
    wait_for(lambda: b.status()["peers"]["site-a"]["endpoint_source"] == "roamed")


def test_the_link_is_made_anew(pair):
    a, b = pair
    a.ns.sh("ip link del %s" % a.wg)
    wait_for(lambda: "does not exist" in a.status()["reason"])
    a.up()
    wait_for(lambda: a.dump()[b.public][2] == "10.140.16.9:22000" and a.dump()[b.public][7] == "25")
    wait_for(lambda: b.lan in a.ns.sh("ip route show proto 131"))
    wait_for(lambda: a.hears(b))


def outdated(site):
    return [(item["unit"], item["files"]) for item in site.ns.status()["outdated"]]


def test_a_plan_that_nobody_told_the_daemon_of_is_named_until_it_is_told(pair):
    """What a run of the playbook leaves that breaks off between the file and the reload."""
    a, _ = pair
    plan = a.plan(a.peers)
    path = os.path.join(a.ns.etc, "mesh-%s.json" % a.wg)
    unit = "sitelink-mesh@%s.service" % a.wg
    assert outdated(a) == []
    a.ns.write("mesh-%s.json" % a.wg, dict(plan, keepalive=24))
    assert outdated(a) == [(unit, [path])]
    assert any(
        fault["layer"] == "mesh" and "sitelink service " + unit in fault["message"] for fault in a.ns.status()["faults"]
    )
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: outdated(a) == [])
    a.ns.write("mesh-%s.json" % a.wg, "{")
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "is not JSON" in a.log() or outdated(a))
    assert outdated(a) == [(unit, [path])], "it goes on with what it had"
    a.ns.write("mesh-%s.json" % a.wg, plan)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: outdated(a) == [])


def test_changed_files_are_applied_without_touching_the_tunnel(pair):
    a, b = pair
    wait_for(lambda: a.alive("site-b"))
    before = a.dump()[b.public]
    new = {"name": "site-e", "key": key()[1], "overlay": "192.168.11.5", "lan": "192.168.105.0/24", "psk": wg("genpsk"),
           "endpoint": None}  # fmt: skip
    kept = [a.peers[0], dict(a.peers[1], lan="192.168.203.0/24"), new]  # site-d is gone
    a.ns.write(a.wg + ".conf", a.conf(kept), 0o600)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "name different peers" in a.status()["reason"])  # half of a change is no change
    assert len(a.dump()) == 3 and new["key"] not in a.dump()
    a.install(kept, mtu=1400)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: set(a.dump()) == {peer["key"] for peer in kept} and a.status()["reason"] == "")
    after = a.dump()[b.public]
    assert (after[2], after[7]) == (before[2], "25") and is_left_alone(before, after)  # endpoint, keepalive
    assert a.dump()[new["key"]][1] == new["psk"]
    routes = a.ns.sh("ip route show proto 131")
    assert "192.168.203.0/24" in routes and "192.168.103.0/24" not in routes and "192.168.105.0/24" in routes
    assert "mtu 1400" in a.ns.sh("ip link show " + a.wg)
    assert a.reaches(b)
    assert "it has to call this site" in a.status()["peers"]["site-e"]["reason"]
    # drift of the running device and of its addresses
    wg("set", a.wg, "peer", new["key"], "remove")
    a.ns.sh("ip addr add 192.168.11.77/24 dev %s; ip addr del %s/24 dev %s" % (a.wg, a.overlay, a.wg))
    wait_for(lambda: new["key"] in a.dump())
    wait_for(lambda: "192.168.11.77" not in a.ns.sh("ip addr") and a.overlay in a.ns.sh("ip addr"))
    assert a.reaches(b)


def test_a_peer_that_was_removed_and_is_nothing_but_an_endpoint_is_made_whole(pair):
    """What remains where somebody removes a peer between the daemon's look and its setting an endpoint."""
    a, b = pair
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    before = a.dump()[b.public]
    begun = len(a.log())
    assert before[1] != "(none)" and before[3] != "(none)"
    wg("set", a.wg, "peer", b.public, "remove", "peer", b.public, "endpoint", before[2], "persistent-keepalive", "25")
    wait_for(lambda: a.dump()[b.public][1:4:2] == before[1:4:2])  # its preshared key and its allowed IPs
    assert "site-b was removed from %s by hand; it is put back" % a.wg in a.log()[begun:]
    wait_for(lambda: a.hears(b) and b.hears(a))
    a.looks_again(3)
    assert a.log()[begun:].count("put back") == 1


def test_an_overlay_of_both_kinds(pair):
    a, b = pair
    kept = [(site, site.peers) for site in pair]
    before = a.dump()[b.public]
    a.overlay6, b.overlay6 = "fd5c:1d2e:3f40::1", "fd5c:1d2e:3f40::2"
    for site, other in ((a, b), (b, a)):
        site.install([dict(site.peers[0], overlay6=other.overlay6)] + site.peers[1:])
        site.daemon.send_signal(signal.SIGHUP)
    with b.ns.entered():
        there = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        there.settimeout(1)

    def arrives():
        with a.ns.entered():
            here = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            here.bind((a.overlay6, 0))
            here.sendto(b"by IPv6", (b.overlay6, 5353))
            return there.recvfrom(100)[1][0] == a.overlay6
        except OSError:
            return False
        finally:
            here.close()

    def bound():
        try:
            there.bind((b.overlay6, 5353))
        except OSError:
            return False
        return True

    wait_for(bound)
    wait_for(arrives)
    assert is_left_alone(before, a.dump()[b.public]) and a.status()["reason"] == ""
    a.ns.sh("ip addr add fd5c:1d2e:3f40::9/64 dev %s; ip addr del %s/64 dev %s" % (a.wg, a.overlay6, a.wg))
    with a.ns.entered():
        plan = config.load_mesh(a.wg, os.path.join(a.ns.etc, "mesh-%s.json" % a.wg))
        kernel = netlink.Kernel()
        present = kernel.overlay_addresses(kernel.link(a.wg).index)
        assert overlay.address_changes(plan.addresses, present) == ([(a.overlay6, 64)], [("fd5c:1d2e:3f40::9", 64)])
    a.daemon.send_signal(signal.SIGHUP)  # or within a minute
    wait_for(arrives)
    assert "3f40::9" not in a.ns.sh("ip -6 addr")
    there.close()
    a.overlay6 = b.overlay6 = None
    for site, peers in kept:
        give(site, peers)
    wait_for(lambda: "fd5c" not in a.ns.sh("ip -6 addr"))
    assert a.reaches(b)


def test_ipv6_that_is_switched_off_is_told_before_it_is_needed(pair, tmp_path, monkeypatch):
    a, _ = pair
    with a.ns.entered():
        plan = config.load_mesh(a.wg, os.path.join(a.ns.etc, "mesh-%s.json" % a.wg))
        plan = plan._replace(addresses=plan.addresses + ["fd5c:1d2e:3f40::1/64"])
        for text, refused in (("0\n", False), ("1\n", True)):
            (tmp_path / "switch").write_text(text)
            monkeypatch.setattr(config, "IPV6_SWITCH", str(tmp_path / "switch"))
            found = overlay.refusals(netlink.Kernel(), plan)
            assert any("wireguard_mesh_network6" in sentence for sentence in found) == refused


def is_left_alone(before, after):
    """Whether nobody took a peer out meanwhile, by two lines of the dump: its counters would begin anew. A handshake says nothing,
    for WireGuard begins one by itself every two minutes."""
    return all(int(after[number]) >= int(before[number]) > 0 for number in (5, 6))


def give(site, peers):
    site.install(peers)
    site.daemon.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("first", ["owner", "peer"])
def test_a_new_key_is_used_when_the_peer_knows_it(pair, first):
    """site-b gets a new key, and the files of the two sites arrive one after the other."""
    a, b = pair
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    old, psk = b.public, wg("genpsk")
    b.private, b.public = key()
    for_a = [dict(a.peers[0], key=b.public, psk=psk)] + a.peers[1:]
    for_b = [dict(b.peers[0], psk=psk)]
    give(b, for_b) if first == "owner" else give(a, for_a)
    wait_for(lambda: old in a.dump() and b.status()["public_key"] == old and a.hears(b) and b.hears(a))
    a.looks_again()  # there would have been time for it
    b.looks_again()
    assert old in a.dump() and b.public not in a.dump() and b.status()["public_key"] == old
    assert a.reaches(b) and b.reaches(a)
    # The device starts anew, with what its file says, and gets what is in use again.
    site = b if first == "owner" else a
    site.ns.sh("ip link del %s" % site.wg)
    wait_for(lambda: "does not exist" in site.status()["reason"])
    site.up()
    wait_for(lambda: a.hears(b) and b.status()["public_key"] == old)
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    give(a, for_a) if first == "owner" else give(b, for_b)
    wait_for(lambda: b.status()["public_key"] == b.public and b.public in a.dump() and old not in a.dump())
    wait_for(lambda: a.hears(b) and b.hears(a))
    assert a.dump()[b.public][1] == psk and b.dump()[a.public][1] == psk
    wait_for(lambda: not b.status()["reason"] and a.alive("site-b"))


def test_a_word_that_got_lost_costs_a_while_and_no_tunnel(pair):
    """site-a does not hear that site-b uses its new key."""
    a, b = pair
    old = b.public
    b.private, b.public = key()
    give(a, [dict(a.peers[0], key=b.public)] + a.peers[1:])
    wait_for(lambda: a.hears(b) and a.alive("site-b"))
    a.ns.stop(a.daemon, signal.SIGKILL)
    a.ns.write("mesh-%s.json" % a.wg, a.plan(a.peers, keepalive=3))  # silence is noticed sooner
    b.install(b.peers)
    b.ns.write("mesh-%s.json" % b.wg, b.plan(b.peers, at_once=True))
    b.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: b.status()["public_key"] == b.public)
    a.daemon = a.start()
    assert old in a.dump()
    wait_for(lambda: a.hears(b))
    assert b.public in a.dump() and old not in a.dump()
    give(a, a.peers)


def test_the_old_key_of_a_stolen_site_goes_while_it_is_in_use(pair):
    a, b = pair
    wait_for(lambda: a.hears(b) and a.alive("site-b"))
    old = b.public
    b.private, b.public = key()
    give(a, [dict(a.peers[0], key=b.public, at_once=True)] + a.peers[1:])
    wait_for(lambda: b.public in a.dump() and old not in a.dump())
    b.install(b.peers)  # the machine in its place
    b.ns.write("mesh-%s.json" % b.wg, b.plan(b.peers, at_once=True))
    b.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: a.hears(b) and b.hears(a))
    assert b.public in a.dump() and old not in a.dump()


def test_a_wiped_configuration_file_is_not_applied(pair):
    a, b = pair
    for text in ("", "[Interface]\nPrivateKey = %s\n" % a.private, "[Interface]\nPrivateKey = short\n"):
        a.ns.write(a.wg + ".conf", text, 0o600)
        a.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: a.status()["reason"])
        assert len(a.dump()) == 3 and a.reaches(b)
        assert "short" not in a.status()["reason"]
    a.install(a.peers)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: not a.status()["reason"])


@pytest.mark.parametrize("line", ["", "Table = 305"])
def test_a_configuration_file_that_lets_wg_quick_make_routes_is_named(pair, line):
    a, b = pair
    a.ns.write(a.wg + ".conf", a.conf(a.peers).replace("Table = off", line), 0o600)
    a.daemon.send_signal(signal.SIGHUP)
    word = line.partition(" = ")[2] or "auto"
    wait_for(lambda: "%s.conf says Table = %s instead of off" % (a.wg, word) in a.status()["reason"])
    assert a.reaches(b)
    a.install(a.peers)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: not a.status()["reason"])


def test_kill_and_restart_touch_no_tunnel(pair):
    a, b = pair
    wait_for(lambda: a.alive("site-b"))
    before = a.dump()[b.public]
    a.ns.stop(a.daemon, signal.SIGKILL)
    assert "does not run" in a.status()["reason"]
    assert a.reaches(b)
    a.daemon = a.start()
    wait_for(lambda: not a.status()["reason"] and a.alive("site-b"))
    after = a.dump()[b.public]
    assert (after[2], after[4], after[7]) == (before[2], before[4], before[7])
    assert a.reaches(b)


def test_a_daemon_that_is_stopped_leaves_on_disk_what_it_learned_last(pair):
    a, b = pair
    old = a.dump()[b.public][2]
    before = b.dump()[a.public][2].split(":")[0]
    gateway = "10.23.64.0/20" if before.startswith("10.23.") else "10.24.96.0/20"
    address = str(ipaddress.IPv4Network(gateway)[99])
    a.ns.sh("ip addr del %s/20 dev eth1; ip addr add %s/20 dev eth1" % (before, address))
    wait_for(lambda: b.status()["peers"]["site-a"]["endpoint"] == address + ":22000" and b.alive("site-a"))
    b.ns.stop(b.daemon)
    with open(os.path.join(b.ns.lib, "mesh-%s.json" % b.wg)) as file:
        assert json.load(file)["peers"][a.public]["endpoints"][0] == address + ":22000"
    b.daemon = b.start()
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    assert a.dump()[b.public][2] == old


def nonsense(chance, overlays):
    """A message of a member that lies, or bytes that look like one."""
    told = [(chance.choice(overlays), "%d.%d.1.1:%d" % (chance.randrange(256), chance.randrange(256), chance.randrange(1, 65536)),
             chance.choice([0, 5, 3600, 3601, 0xFFFFFFFF])) for _ in range(chance.randrange(1, 65))]  # fmt: skip
    asked = [chance.choice(overlays) for _ in range(chance.randrange(1, 65))]
    kind, records = chance.choice([(tell.TOLD, told), (tell.QUESTION, asked), (tell.MOVED, ())])
    data = bytearray(tell.build(kind, records)[0])
    way = chance.randrange(4)
    if way == 1:
        data[chance.randrange(len(data))] = chance.randrange(256)
    elif way == 2:
        del data[chance.randrange(len(data)) :]
    elif way == 3:
        data += bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
    return bytes(data)


@pytest.mark.parametrize("lies", [20000, pytest.param(100000, marks=pytest.mark.long)])
def test_so_many_lies_of_a_member_move_no_live_tunnel(pair, lies):
    a, b = pair
    wait_for(lambda: a.alive("site-b"))
    before = a.dump()[b.public]
    overlays = [peer["overlay"] for peer in a.peers] + [a.overlay, "10.1.1.1", "0.0.0.0"]
    chance = random.Random(305)
    b.ns.stop(b.daemon)  # whose port the liar takes
    with b.ns.entered():
        post = tell.Post(b.wg, b.overlay)
    try:
        for number in range(lies):
            post.send(a.overlay, [nonsense(chance, overlays)])
            if number % 100 == 0:
                time.sleep(0.005)  # so that most of them arrive
        assert a.daemon.poll() is None
        wait_for(lambda: a.status()["peers"]["site-b"]["alive"] and not a.status()["reason"])
        after = a.dump()
        assert after[b.public][2] == before[2]
        tried = [line[2] for line in after.values() if line[2] != "(none)"]
        assert all(endpoint.split(".")[0] in ("10", "11") for endpoint in tried), tried
        assert a.reaches(b)
    finally:
        post.close()
        b.daemon = b.start()
    wait_for(lambda: b.alive("site-a"))


def echo_requests(site):
    """How many have come to a site."""
    names, values = [line.split() for line in site.ns.sh("grep ^Icmp: /proc/net/snmp").splitlines()]
    return int(values[names.index("InEchos")])


def test_an_end_that_hears_nothing_asks_and_is_content(pair):
    """Where the keepalive timer of one end is always the first to fire, the other end never sends any."""
    a, b = pair
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    b.ns.stop(b.daemon)  # which would set it again
    wg("set", b.wg, "peer", a.public, "persistent-keepalive", "off")
    kept = a.peers
    a.install(kept[:1])  # with dead peers it would ask site-b of them
    a.ns.write("mesh-%s.json" % a.wg, a.plan(a.peers, keepalive=3))  # silence is noticed sooner
    a.daemon.send_signal(signal.SIGHUP)
    begun = len(a.log())
    asked = echo_requests(b)
    wait_for(lambda: echo_requests(b) > asked)
    a.looks_again(2)
    assert a.alive("site-b") and "is silent" not in a.log()[begun:], a.log()
    give(a, kept)
    b.daemon = b.start()
    wait_for(lambda: b.alive("site-a") and b.dump()[a.public][7] == "25")


def move(site):
    """Another address of the prefix that eth1 has. Returns the new endpoint; there is no DNS that would know it."""
    before = site.ns.sh("ip -o -4 addr show dev eth1").split()[3]
    number = ipaddress.IPv4Interface(before)
    after = next(host for host in number.network.hosts() if host > number.ip)
    site.ns.sh("ip addr del %s dev eth1; ip addr add %s/%d dev eth1" % (before, after, number.network.prefixlen))
    wait_for(lambda: "src %s " % after in site.ns.sh("ip route show table 305"))
    return "%s:22000" % after


@pytest.fixture
def calm(pair):
    """Only the two, whose keepalives tell nobody anything for ten minutes; and nothing happened lately."""
    a, b = pair
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    kept = [(site, site.peers) for site in pair]
    for site in pair:
        site.install(site.peers[:1])
        site.ns.write("mesh-%s.json" % site.wg, site.plan(site.peers, keepalive=600))
        site.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: a.dump()[b.public][7] == b.dump()[a.public][7] == "600")
    for site in pair:
        wait_for(lambda site=site: not looked(site, 2))
    yield a, b
    for site, peers in kept:
        if site.daemon.poll() is not None:
            site.daemon = site.start()
        give(site, peers)
    wait_for(lambda: a.dump()[b.public][7] == b.dump()[a.public][7] == "25")
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))


def looked(site, seconds):
    before = children_faults(site.daemon)
    time.sleep(seconds)
    return children_faults(site.daemon) > before


def test_a_renumbering_while_the_daemon_is_away_is_told_when_it_is_back(calm):
    a, b = calm
    begun = len(a.log())
    a.ns.stop(a.daemon, signal.SIGKILL)
    endpoint = move(a)
    assert b.dump()[a.public][2] != endpoint
    a.daemon = a.start()
    wait_for(lambda: b.dump()[a.public][2] == endpoint)
    assert b.alive("site-a") and "is silent" not in a.log()[begun:]


def test_a_move_of_the_last_second_is_not_written_over(calm):
    """Two ends renumber one after the other, and the second one hears the first by WireGuard alone."""
    a, b = calm
    b.ns.stop(b.daemon)
    endpoint = move(b)
    # Without its daemon wireguard-go may lose a packet to the source address of before.
    wait_for(lambda: b.hears(a))
    assert a.dump()[b.public][2] == endpoint
    move(a)
    a.looks_again(2)
    assert a.dump()[b.public][2] == endpoint
    wait_for(lambda: a.hears(b))


def test_a_peer_that_drops_echo_requests_is_not_taken_for_dead(calm):
    a, b = calm
    b.ns.sh("nft 'table inet deaf { chain input { type filter hook input priority 0; meta l4proto icmp drop; }; }'")
    try:
        begun = len(a.log())
        endpoint = move(a)
        wait_for(lambda: b.dump()[a.public][2] == endpoint)
        before = a.dump()[b.public]
        a.looks_again(15)
        assert not a.reaches(b, 1)  # it is deaf
        assert a.alive("site-b") and "is silent" not in a.log()[begun:], a.log()[begun:]
        assert is_left_alone(before, a.dump()[b.public])
    finally:
        b.ns.sh("nft delete table inet deaf")


@pytest.mark.parametrize("name", ["10.23.64.5", "10.99.99.99"], ids=["of last week", "of a captive portal"])
def test_a_name_that_leads_elsewhere_costs_a_turn_and_not_the_link(pair, net_carrier, name):
    """After a hole in the carrier's network: what worked last is tried before what DNS says, and is not forgotten for it."""
    a, b = pair
    kept = b.peers
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"))
    endpoint = move(a)
    wait_for(lambda: b.dump()[a.public][2] == endpoint)
    hosts = "/etc/netns/%s/hosts" % b.ns.name
    with open(hosts) as file:
        before = file.read()
    with open(hosts, "w") as file:
        file.write("%s site-a.lab.test\n" % name)
    a.ns.stop(a.daemon)  # site-b alone has to find it
    wg("set", a.wg, "peer", b.public, "persistent-keepalive", "off")
    b.ns.write("mesh-%s.json" % b.wg, b.plan(b.peers, keepalive=3))  # silence is noticed sooner
    b.daemon.send_signal(signal.SIGHUP)
    try:
        net_carrier.sh("echo 0 > /proc/sys/net/ipv4/ip_forward")
        tried = set()
        wait_for(lambda: tried.add(b.dump()[a.public][2]) or name + ":22000" in tried)
        net_carrier.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
        wait_for(lambda: b.alive("site-a"))
        assert b.dump()[a.public][2] == endpoint
        with open(os.path.join(b.ns.lib, "mesh-%s.json" % b.wg)) as file:
            assert name + ":22000" not in json.load(file)["peers"][a.public]["endpoints"] or name == "10.23.64.5"
    finally:
        net_carrier.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
        with open(hosts, "w") as file:
            file.write(before)
        a.daemon = a.start()
        give(b, kept)
    wait_for(lambda: a.alive("site-b") and b.alive("site-a") and b.dump()[a.public][7] == "25")


def test_secrets_stay_secret(pair):
    a, b = pair
    secrets = [a.private, b.private] + [peer["psk"] for site in pair for peer in site.peers if peer.get("psk")]
    seen = a.log() + b.log() + a.ns.sitelink("status")[1] + a.ns.sitelink("status", "--json")[1]
    for site in pair:
        for name in os.listdir(site.ns.run_dir):
            with open(os.path.join(site.ns.run_dir, name)) as file:
                seen += file.read()
    assert all(secret not in seen and base64.b64decode(secret).hex() not in seen for secret in secrets)
