# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh daemon on a real kernel: three sites in network namespaces, a carrier, a DNS server, and what disturbs them.

Runs as root where `ip link add type wireguard` may or may not work; `wg-quick` then takes wireguard-go. Prints one row per
event: seconds from the moment in which eth1 has its new address to the first packet through, p50 and worst of the pairs.
Exits with 1 when something did not heal at all. scripts/kernel runs it in a guest; with --far the third site is in a second
guest, with a kernel and a clock of its own, which far.py serves.
"""

import argparse
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kernel"))
sys.dont_write_bytecode = True

from far import Host, connect_far

from throwaway import connect, wait_for

LIMIT = 120  # seconds after which a pair counts as not healed
DNS = "192.0.2.53"
YEAR = 365 * 86400


def wg(*arguments, text=None):
    return subprocess.run(["wg", *arguments], input=text, capture_output=True, check=True, text=True).stdout.strip()


class Carrier:
    """Routes between the segments of the sites, and serves their names beside that."""

    def __init__(self, directory):
        self.ns = Host(directory)
        self.ns.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.hosts = os.path.join(str(directory), "hosts")
        self.dns = None
        self.names = {}

    def publish(self, **names):
        self.names.update(names)
        with open(self.hosts, "w") as file:
            file.writelines(f"{address} {name}.lab.test\n" for name, address in self.names.items())
        if self.dns is not None:
            self.dns.send_signal(1)  # SIGHUP: read the names anew

    def serve(self, on):
        if on:
            self.dns = subprocess.Popen(
                ["ip", "netns", "exec", self.ns.name, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv",
                 "--no-hosts", f"--addn-hosts={self.hosts}", "--bind-interfaces", f"--listen-address={DNS}", "--user=root",
                 "--local=/lab.test/", "--pid-file="],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        elif self.dns is not None:
            self.dns.kill()
            self.dns.wait()
            self.dns = None


class Site:
    """far: the Host of another guest to be in, or None."""

    def __init__(self, directory, letter, number, carrier, far=None):
        self.name, self.number, self.carrier = "site-" + letter, number, carrier
        self.ns = far or Host(directory)
        self.wg = "slt" + letter  # not wg0 twice: the control sockets of all wireguard-go are in one directory
        self.overlay = f"192.168.11.{number}"
        self.private = wg("genkey")
        self.public = wg("pubkey", text=self.private + "\n")
        self.generation, self.address, self.daemons = 0, None, []
        for nic, other in (("eth1", "ont-" + letter), ("eth0", "home-" + letter)):
            if far:
                far.take(nic, nic)
                carrier.ns.take(nic, other)
            else:
                connect(self.ns, nic, carrier.ns, other)
        self.ns.sh(
            f"ip addr add 192.0.2.{100 + 4 * number + 1}/30 dev eth0; ip route add default via 192.0.2.{102 + 4 * number}"
        )
        carrier.ns.sh(f"ip addr add 192.0.2.{102 + 4 * number}/30 dev home-{letter}; ip addr replace {DNS}/32 dev lo")
        self.ns.resolver(DNS)
        self.ns.write(
            "gateway-eth1.json",
            {"interface": "eth1", "networks": ["10.0.0.0/7"], "table": 305, "fwmark": 305, "priority": 305,
             "gateway": "first_host"},
        )  # fmt: skip
        self.ont = "ont-" + letter

    def install(self, sites, wrong=None):
        """wrong: the site whose name in this one's plan does not resolve."""
        peers = [site for site in sites if site is not self]
        self.ns.write(
            f"mesh-{self.wg}.json",
            {
                "mesh": "kernel", "site": self.name, "interface": self.wg, "underlay_interface": "eth1",
                "networks": ["10.0.0.0/7"], "port": 22000, "fwmark": 305, "mtu": 1420, "keepalive": 25,
                "addresses": [self.overlay + "/24"], "lan_subnets": [], "public_key": self.public,
                "peers": [
                    {"name": peer.name, "public_key": peer.public, "address": peer.overlay,
                     "allowed_ips": [peer.overlay + "/32"], "seeds": [],
                     "endpoint": {"host": ("no-" if peer is wrong else "") + peer.name + ".lab.test", "port": 22000}}
                    for peer in peers
                ],
            },
        )  # fmt: skip
        lines = ["[Interface]", f"Address = {self.overlay}/24", f"PrivateKey = {self.private}", "ListenPort = 22000"]
        lines += ["FwMark = 0x131", "MTU = 1420", "Table = off"]
        for peer in peers:
            lines += ["", "[Peer]", f"PublicKey = {peer.public}", f"AllowedIPs = {peer.overlay}/32"]
        self.ns.write(self.wg + ".conf", "\n".join(lines) + "\n", 0o600)

    def start(self):
        self.daemons = [self.ns.begin("gateway", "eth1"), self.ns.begin("mesh", self.wg)]
        place = self.ns.place("wireguard")
        self.ns.sh(f"wg-quick up {place}/{self.wg}.conf >{place}/../up.log 2>&1")

    def stop(self):
        """As a power cut leaves it."""
        for daemon in self.daemons:
            self.ns.end(daemon)
        self.daemons = []
        self.ns.sh(f"ip link del {self.wg}", check=False)

    def renumber(self):
        """Another segment; returns the time at which eth1 has its new address. The name follows by publish()."""
        old, gateway = self.address, None
        self.generation += 1
        net = f"10.{20 + 4 * self.number + self.generation % 4}"
        host = 5 + self.generation % 200
        self.address, gateway = f"{net}.64.{host}", f"{net}.64.1"
        self.carrier.ns.sh(f"ip addr flush dev {self.ont}; ip addr add {gateway}/20 dev {self.ont}")
        remove = f"ip addr del {old}/20 dev eth1; " if old else ""
        self.ns.sh(f"{remove}ip addr add {self.address}/20 dev eth1")
        return time.monotonic()

    def received(self):
        """{public key: bytes}"""
        text = self.ns.sh(f"wg show {self.wg} transfer", check=False)
        rows = [line.split("\t") for line in text.splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 3}

    def reaches(self, other):
        return self.ns.pings(other.overlay, self.wg)


def through(pairs, begun, seconds=LIMIT):
    """{pair: monotonic time of the first packet through, both ways, or None}; nothing is sent that could heal a pair.

    begun: the counters from which on a packet counts.
    """
    found = dict.fromkeys(pairs)
    deadline = time.monotonic() + seconds
    while None in found.values() and time.monotonic() < deadline:
        seen = {site: site.received() for site in {site for pair in pairs if found[pair] is None for site in pair}}
        now = time.monotonic()
        for pair in [pair for pair in pairs if found[pair] is None]:
            heard = []
            for at, of in (pair, pair[::-1]):
                if seen[at].get(of.public, 0) < begun[at].get(of.public, 0):
                    begun[at][of.public] = 0  # the peer was made anew
                heard.append(seen[at].get(of.public, 0) > begun[at].get(of.public, 0))
            if all(heard) and pair[0].reaches(pair[1]):
                found[pair] = now
        time.sleep(0.02)
    return found


def counters(sites):
    return {site: site.received() for site in sites}


def broken(sites, changed):
    return [pair for pair in itertools.combinations(sites, 2) if set(pair) & set(changed)]


def quiet(sites):
    """All pairs work, and the daemons' fast polls are over."""
    for pair in itertools.combinations(sites, 2):
        wait_for(
            lambda pair=pair: pair[0].reaches(pair[1]) and pair[1].reaches(pair[0]), "a mesh between two runs", LIMIT
        )
    time.sleep(6)


def renumber(lab, sites, changed, publish):
    """publish: the names follow, and time counts from then."""
    begun = counters(sites)
    times = {site: site.renumber() for site in changed}
    if publish:
        lab.publish(**{site.name: site.address for site in changed})
        times = dict.fromkeys(changed, time.monotonic())
    found = through(broken(sites, changed), begun)
    lab.publish(**{site.name: site.address for site in changed})
    return [at and max(0.0, at - max(times[site] for site in pair if site in times)) for pair, at in found.items()]


def one(lab, sites, number):
    return renumber(lab, sites, [sites[number % 3]], False)


def two(lab, sites, number):
    lab.serve(False)
    try:
        return renumber(lab, sites, [site for index, site in enumerate(sites) if index != number % 3], False)
    finally:
        lab.serve(True)


def everybody(lab, sites, number):
    return renumber(lab, sites, sites, True)


def pair(lab, sites, number):
    """A mesh of two: the third site is away all the time."""
    rest = [site for index, site in enumerate(sites) if index != number % 3]
    away = sites[number % 3]
    away.stop()
    try:
        return renumber(lab, rest, rest, True)
    finally:
        away.start()


def name(lab, sites, number):
    """A site boots with one name in its plan that does not resolve, and nothing on disk: the other peer counts."""
    booting, nameless, other = (sites[(number + index) % 3] for index in range(3))
    booting.stop()
    booting.ns.sh(f"rm -f {booting.ns.place('lib')}/* {booting.ns.place('run_dir')}/*.json")
    booting.install(sites, wrong=nameless)
    old = booting.address
    booting.ns.sh(f"ip addr del {old}/20 dev eth1")
    begun = counters(sites)
    begun[booting] = {}
    booting.start()
    time.sleep(2)
    booting.ns.sh(f"ip addr add {old}/20 dev eth1")
    start = time.monotonic()
    found = through([(booting, other)], begun)
    booting.install(sites)
    booting.ns.reload(booting.daemons[1])
    return [at and max(0.0, at - start) for at in found.values()]


def clock_back(lab, sites, number):
    """The clock goes back by a year after handshakes, then one site renumbers and all sessions end: they have to shake
    hands with a timestamp that is older than the one before. One clock for all sites: they share the kernel."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() - YEAR)
    begun = counters(sites)
    away = sites[number % 3]
    away.stop()
    begun[away] = {}
    away.start()
    start = time.monotonic()
    found = through(broken(sites, [away]), begun)
    time.clock_settime(time.CLOCK_REALTIME, time.time() + YEAR)
    return [at and max(0.0, at - start) for at in found.values()]


EVENTS = {
    "one": ("one site renumbers", 1, one),
    "two": ("two of three renumber, no DNS", 4, two),
    "all": ("all renumber, DNS up (from the last record)", 10, everybody),
    "pair": ("two sites, both renumber, DNS up (from the last record)", 10, pair),
    "name": ("one name does not resolve, at boot, nothing on disk", 2, name),
    "clock": ("clock set back a year after handshakes, one starts anew", 60, clock_back),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--far", action="store_true", help="site-c is in the guest at the other end of the cables")
    parser.add_argument("events", nargs="*", metavar="EVENT", help=f"of {', '.join(EVENTS)} (default: all)")
    options = parser.parse_args()
    probe = subprocess.run(["ip", "link", "add", "sltprobe", "type", "wireguard"], capture_output=True)
    subprocess.run(["ip", "link", "del", "sltprobe"], capture_output=True)
    way = "wireguard-go" if probe.returncode else "the kernel's WireGuard"
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        places = [pathlib.Path(directory, part) for part in ("carrier", "a", "b", "c")]
        for place in places:
            place.mkdir()
        lab = Carrier(places[0])
        far = connect_far() if options.far else None
        if far:
            days = (far.clock() - time.time()) / 86400
            way += f", the clock of site-c {days:+.0f} days off"
        sites = [
            Site(place, place.name, number, lab, far if place.name == "c" else None)
            for number, place in enumerate(places[1:], 1)
        ]
        try:
            for site in sites:
                site.renumber()
            lab.publish(**{site.name: site.address for site in sites})
            lab.serve(True)
            for site in sites:
                site.install(sites)
                site.start()
            rows = []
            for event in options.events or EVENTS:
                text, goal, function = EVENTS[event]
                results = []
                for number in range(options.runs):
                    quiet(sites)
                    results += function(lab, sites, number)
                    print(f"{way}, {text}, run {number + 1}: {results}", flush=True)
                healed = sorted(value for value in results if value is not None)
                failed = failed or len(healed) < len(results)
                shown = f"{statistics.median(healed):7.2f} {healed[-1]:7.2f}" if healed else "  never"
                rows.append(f"{text:<58}<{goal:<3}{shown}  {len(healed)} of {len(results)}")
            print(f"\n{way}, {os.uname().release}; seconds, p50 and worst")
            print("\n".join(rows), flush=True)
        except BaseException:
            for site in sites:
                print(site.name, site.ns.logs())
            raise
        finally:
            lab.serve(False)
            for site in sites:
                site.stop()
                site.ns.destroy()
            lab.ns.destroy()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
