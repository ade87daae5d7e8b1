# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites with gateway and mesh daemons, wireguard-go and a carrier between them; nothing else knows their endpoints.

A third peer has a name that does not resolve, a fourth one whose name leads outside the underlay.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from sitelink import icmp

from throwaway import connect, wait_for

NAMES = {"site-a": "10.23.64.5", "site-c": "203.0.113.7"}  # what /etc/hosts says; site-b is a literal address


def wg(*arguments, text=None):
    return subprocess.run(
        ["wg"] + list(arguments), input=text, stdout=subprocess.PIPE, check=True, universal_newlines=True
    ).stdout.strip()


def key():
    private = wg("genkey")
    return private, wg("pubkey", text=private + "\n")


class Site:
    """A site of the pair, with its files as the roles render them."""

    def __init__(self, namespace, letter, number, address, gateway_json):
        self.ns = namespace
        self.name = "site-" + letter
        # not wg0 twice: the control sockets of all wireguard-go are in one directory
        self.wg = "slt%d%s" % (os.getpid() % 1000000, letter)
        self.overlay = "192.168.11.%d" % number
        self.private, self.public = key()
        self.address = address
        self.lan = "192.168.%d.0/24" % (100 + number)
        namespace.write("gateway-eth1.json", gateway_json)

    def plan(self, peers, keepalive=25):
        return {
            "mesh": "sitelink", "site": self.name, "interface": self.wg, "underlay_interface": "eth1",
            "networks": ["10.0.0.0/7"], "port": 22000, "fwmark": 305, "mtu": 1420, "keepalive": keepalive,
            "addresses": [self.overlay + "/24"], "lan_subnets": [self.lan], "public_key": self.public,
            "peers": [
                {
                    "name": peer["name"], "public_key": peer["key"], "address": peer["overlay"],
                    "allowed_ips": [peer["overlay"] + "/32", peer["lan"]], "endpoint": peer["endpoint"],
                }
                for peer in peers
            ],
        }  # fmt: skip

    def conf(self, peers, mtu=1420):
        lines = ["[Interface]", "Address = %s/24" % self.overlay, "PrivateKey = " + self.private, "ListenPort = 22000"]
        lines += ["FwMark = 0x131", "MTU = %d" % mtu, "Table = off"]
        for peer in peers:
            lines += ["", "[Peer]", "# friendly_name=" + peer["name"], "PublicKey = " + peer["key"]]
            if peer.get("psk"):
                lines.append("PresharedKey = " + peer["psk"])
            lines.append("AllowedIPs = %s/32, %s" % (peer["overlay"], peer["lan"]))
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

    def alive(self, name):
        return self.status()["peers"][name]["alive"]

    def reaches(self, other, seconds=1):
        with self.ns.entered():
            return icmp.ping([other.overlay], self.wg, seconds)[other.overlay] is not None

    def log(self):
        return "".join(open(process.log).read() for process in self.ns.processes)


@pytest.fixture(scope="module")
def pair(namespaces):
    for tool in ("wg", "wg-quick", "wireguard-go"):
        if shutil.which(tool) is None:
            pytest.skip("needs %s" % tool)
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun for wireguard-go")
    gateway_json = {
        "interface": "eth1", "networks": ["10.0.0.0/7"], "table": 305, "fwmark": 305, "priority": 305,
        "gateway": "first_host",
    }  # fmt: skip
    carrier = namespaces()
    sites = []
    for letter, number, address in (("a", 1, "10.23.64.5/20"), ("b", 2, "10.140.16.9/21")):
        namespace = namespaces()
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
        wait_for(lambda site=site: "via" in site.ns.sh("ip route show table 305", check=False), 5)
    for site in sites:
        assert "Endpoint" not in site.conf(site.peers)
        site.daemon = site.start()  # before its interface exists
        site.up()
    yield a, b
    for site in sites:
        site.ns.sh("ip link del %s" % site.wg, check=False)


def test_the_tunnel_comes_up_whatever_other_names_do(pair):
    a, b = pair
    took = wait_for(lambda: a.alive("site-b") and b.alive("site-a"), 8)
    assert took < 4, a.log() + b.log()
    assert a.reaches(b) and b.reaches(a)
    mesh = a.status("--probe")
    peer = mesh["peers"]["site-b"]
    assert peer["endpoint"] == "10.140.16.9:22000" and peer["endpoint_source"] == "seed" and peer["nic"] == "eth1"
    assert 0 < peer["latency"] < 1000 and peer["reason"] == "" and peer["handshake_age"] < 60 and peer["rx_bytes"] > 0
    assert b.status()["peers"]["site-a"]["endpoint_source"] in ("dns", "roamed")
    assert a.dump()[b.public][7] == "25" and b.dump()[a.public][7] == "25"
    wait_for(lambda: "no IPv4 address" in a.status()["peers"]["site-d"]["reason"], 3)
    assert "203.0.113.7, which is outside the underlay" in a.status()["peers"]["site-c"]["reason"]
    assert a.dump()[a.peers[1]["key"]][2] == "(none)" and a.dump()[a.peers[1]["key"]][7] == "off"
    text = a.ns.sitelink("status")[1]
    assert re.search(r"site-b +192\.168\.11\.2 +alive +10\.140\.16\.9:22000 +seed +eth1", text)
    assert "[peer] site-d" in text


def test_overlay_routes(pair):
    a, b = pair
    routes = a.ns.sh("ip route show dev %s proto 131" % a.wg).split("\n")
    assert [line.split()[0] for line in routes if line] == [peer["lan"] for peer in a.peers]
    a.ns.sh("ip route del %s dev %s" % (b.lan, a.wg))
    wait_for(lambda: b.lan in a.ns.sh("ip route show proto 131"), 1)
    # a network that this site itself is connected to is not given away, nor is the way back lost
    a.ns.sh("ip link add home type veth peer name lan; ip link set home up; ip addr add 192.168.103.1/24 dev home")
    a.ns.sh("ip route del 192.168.103.0/24 dev %s" % a.wg)
    wait_for(lambda: "connected directly" in a.status()["peers"]["site-c"]["reason"], 2)
    a.ns.sh("ip link del home")
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "192.168.103.0/24" in a.ns.sh("ip route show proto 131"), 2)


def test_renumbering_is_heard_at_once(pair):
    a, b = pair
    assert a.reaches(b)
    a.ns.sh("ip addr del 10.23.64.5/20 dev eth1; ip addr add 10.24.96.7/20 dev eth1")
    took = wait_for(lambda: b.dump()[a.public][2] == "10.24.96.7:22000", 3)
    assert took < 1.5
    assert a.reaches(b) and b.reaches(a)
    wait_for(lambda: b.status()["peers"]["site-a"]["endpoint_source"] == "roamed", 7)


def test_the_link_is_made_anew(pair):
    a, b = pair
    a.ns.sh("ip link del %s" % a.wg)
    wait_for(lambda: "does not exist" in a.status()["reason"], 2)
    a.up()
    start = time.monotonic()
    wait_for(lambda: a.dump()[b.public][2] == "10.140.16.9:22000" and a.dump()[b.public][7] == "25", 1)
    wait_for(lambda: b.lan in a.ns.sh("ip route show proto 131"), 1)
    wait_for(lambda: a.reaches(b), 1)
    assert time.monotonic() - start < 1.5


def test_changed_files_are_applied_without_touching_the_tunnel(pair):
    a, b = pair
    wait_for(lambda: a.alive("site-b"), 5)
    before = a.dump()[b.public]
    new = {"name": "site-e", "key": key()[1], "overlay": "192.168.11.5", "lan": "192.168.105.0/24", "psk": wg("genpsk"),
           "endpoint": None}  # fmt: skip
    kept = [a.peers[0], dict(a.peers[1], lan="192.168.203.0/24"), new]  # site-d is gone
    a.ns.write(a.wg + ".conf", a.conf(kept), 0o600)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "name different peers" in a.status()["reason"], 2)  # half of a change is no change
    assert len(a.dump()) == 3 and new["key"] not in a.dump()
    a.install(kept, mtu=1400)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: set(a.dump()) == {peer["key"] for peer in kept} and a.status()["reason"] == "", 2)
    after = a.dump()[b.public]
    assert (after[2], after[4], after[7]) == (before[2], before[4], "25")  # endpoint, handshake, keepalive
    assert a.dump()[new["key"]][1] == new["psk"]
    routes = a.ns.sh("ip route show proto 131")
    assert "192.168.203.0/24" in routes and "192.168.103.0/24" not in routes and "192.168.105.0/24" in routes
    assert "mtu 1400" in a.ns.sh("ip link show " + a.wg)
    assert a.reaches(b)
    assert "it has to call this site" in a.status()["peers"]["site-e"]["reason"]
    # drift of the running device and of its addresses
    wg("set", a.wg, "peer", new["key"], "remove")
    a.ns.sh("ip addr add 192.168.11.77/24 dev %s; ip addr del %s/24 dev %s" % (a.wg, a.overlay, a.wg))
    wait_for(lambda: new["key"] in a.dump(), 2)
    wait_for(lambda: "192.168.11.77" not in a.ns.sh("ip addr") and a.overlay in a.ns.sh("ip addr"), 2)
    assert a.reaches(b)


def test_a_wiped_configuration_file_is_not_applied(pair):
    a, b = pair
    for text in ("", "[Interface]\nPrivateKey = %s\n" % a.private, "[Interface]\nPrivateKey = short\n"):
        a.ns.write(a.wg + ".conf", text, 0o600)
        a.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: a.status()["reason"], 2)
        assert len(a.dump()) == 3 and a.reaches(b)
        assert "short" not in a.status()["reason"]
    a.install(a.peers)
    a.daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: not a.status()["reason"], 2)


def test_kill_and_restart_touch_no_tunnel(pair):
    a, b = pair
    wait_for(lambda: a.alive("site-b"), 5)
    before = a.dump()[b.public]
    a.ns.stop(a.daemon, signal.SIGKILL)
    assert "does not run" in a.status()["reason"]
    assert a.reaches(b)
    a.daemon = a.start()
    wait_for(lambda: not a.status()["reason"] and a.alive("site-b"), 5)
    after = a.dump()[b.public]
    assert (after[2], after[4], after[7]) == (before[2], before[4], before[7])
    assert a.reaches(b)


def test_an_idle_pair_stays_alive_at_both_ends(pair):
    """The end whose keepalive timer is the first to fire keeps the other end from sending any."""
    for site in pair:
        site.ns.write("mesh-%s.json" % site.wg, site.plan(site.peers, keepalive=3))
        site.daemon.send_signal(signal.SIGHUP)
    a, b = pair
    wait_for(lambda: a.dump()[b.public][7] == b.dump()[a.public][7] == "3", 10)
    wait_for(lambda: a.alive("site-b") and b.alive("site-a"), 10)
    seen = set()
    for _ in range(40):
        seen.add((a.alive("site-b"), b.alive("site-a")))
        time.sleep(0.5)
    assert seen == {(True, True)}, a.log() + b.log()
    for site in pair:
        site.ns.write("mesh-%s.json" % site.wg, site.plan(site.peers))
        site.daemon.send_signal(signal.SIGHUP)


def test_secrets_stay_secret(pair):
    a, b = pair
    secrets = [a.private, b.private] + [peer["psk"] for site in pair for peer in site.peers if peer.get("psk")]
    seen = a.log() + b.log() + a.ns.sitelink("status")[1] + a.ns.sitelink("status", "--json")[1]
    for site in pair:
        for name in os.listdir(site.ns.run_dir):
            with open(os.path.join(site.ns.run_dir, name)) as file:
                seen += file.read()
    assert all(secret not in seen and base64.b64decode(secret).hex() not in seen for secret in secrets)


def test_cost(pair, capsys):
    a, _ = pair
    with open("/proc/%d/status" % a.daemon.pid) as file:
        resident = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024
    with capsys.disabled():
        print("\n  mesh daemon: resident %.1f MB" % resident)
    assert resident < 40
