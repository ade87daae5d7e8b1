# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh daemon on a real kernel: three sites in network namespaces, a carrier, a DNS server, and what disturbs them.

Runs as root where `ip link add type wireguard` may or may not work; `wg-quick` then takes wireguard-go. Prints one row per
event: seconds from the moment in which eth1 has its new address to the first packet through, p50, p95 and worst of the pairs.
Exits with 1 when something did not heal at all, or nothing was measured. scripts/kernel runs it in a guest; with --far the
third site is in a second guest, with a kernel and a clock of its own, which far.py serves. With --article the sites are as the
article's reader has them: names in wg0.conf, the gateway by cron each minute; what never heals there is helped by hand.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kernel"))
sys.dont_write_bytecode = True

from far import Host, connect_far

from throwaway import connect, wait_for

LIMIT = 120  # seconds after which a pair counts as not healed
DNS = "192.0.2.53"
YEAR = 365 * 86400
HOLE = 70  # seconds in which the carrier forwards nothing
PULLED = 90  # seconds that a cable is out
PORTAL = "10.99.99.99"  # where a captive portal says that every name leads
APART = (0.3, 2, 7)  # seconds between two renumberings
WATCHED = 30  # seconds in which nobody may take a live peer for dead

# What a daemon asks of systemd, which is not here: the unit of an interface that was started counts as active, and can be
# restarted. $here/INTERFACE says where its file is.
SYSTEMCTL = """#!/bin/sh
here=${0%/*} unit=
for unit; do :; done
unit=${unit#wg-quick@}
unit=${unit%.service}
case $1 in
  show) if [ -e "$here/$unit" ]; then echo ActiveState=active; else echo ActiveState=inactive; fi; echo Job=0 ;;
  restart) wg-quick up "$(cat "$here/$unit")" >/dev/null 2>&1 & ;;
esac
"""


def wg(*arguments, text=None):
    return subprocess.run(["wg", *arguments], input=text, capture_output=True, check=True, text=True).stdout.strip()


class Carrier:
    """Routes between the segments of the sites, and serves their names beside that."""

    def __init__(self, directory, article=False):
        self.ns = Host(directory)
        self.article = article
        self.forward(True)
        self.hosts = os.path.join(str(directory), "hosts")
        self.dns = None
        self.names = {}

    def forward(self, on):
        self.ns.sh(f"echo {on:d} > /proc/sys/net/ipv4/ip_forward")

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
            # Not before it serves does it know what SIGHUP means.
            wait_for(lambda: ":0035 " in self.ns.sh("cat /proc/net/udp"), "dnsmasq")
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
        self.generation, self.address, self.gateway, self.daemons = 0, None, None, []
        for nic, other in (("eth1", "ont-" + letter), ("eth0", "home-" + letter)):
            if far:
                far.take(nic, nic)
                carrier.ns.take(nic, other)
            else:
                connect(self.ns, nic, carrier.ns, other)
        self.ns.sh(f"ip addr add 192.0.2.{100 + 4 * number + 1}/30 dev eth0")
        self.suspend(False)
        carrier.ns.sh(f"ip addr add 192.0.2.{102 + 4 * number}/30 dev home-{letter}; ip addr replace {DNS}/32 dev lo")
        # The carrier's network and the internet are one namespace here, but no way leads from the one to the other.
        for nic, network in ((f"home-{letter}", "10.0.0.0/7"), (f"ont-{letter}", "192.0.2.0/24")):
            carrier.ns.sh(f"ip rule add iif {nic} to {network} prohibit")
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
        lines += ["FwMark = 0x131", "MTU = 1420"]
        article = self.carrier.article
        lines.append(
            "PostUp = ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305" if article else "Table = off"
        )
        for peer in peers:
            lines += ["", "[Peer]", f"PublicKey = {peer.public}", f"AllowedIPs = {peer.overlay}/32"]
            if article:
                name = ("no-" if peer is wrong else "") + peer.name
                lines += [f"Endpoint = {name}.lab.test:22000", "PersistentKeepalive = 25"]
        self.ns.write(self.wg + ".conf", "\n".join(lines) + "\n", 0o600)

    def start(self):
        up = f"wg-quick up {self.ns.place('wireguard')}/{self.wg}.conf >{self.ns.place('wireguard')}/../up.log 2>&1"
        if self.carrier.article:  # as its unit does; without DNS it waits, and for good where there is none
            self.ns.sh(f"WG_ENDPOINT_RESOLUTION_RETRIES=infinity setsid {up} </dev/null &")
        else:
            self.daemons = [self.ns.begin("gateway", "eth1"), self.ns.begin("mesh", self.wg)]
            self.ns.sh(up)
            self.unit().write_text(f"{self.ns.place('wireguard')}/{self.wg}.conf")

    def unit(self):
        """Is there while wg-quick@.service would be active."""
        return self.carrier.commands / self.wg

    def stop(self):
        """As a power cut leaves it: what is on the disk is left."""
        for daemon in self.daemons:
            self.ns.end(daemon)
        self.daemons = []
        self.unit().unlink(missing_ok=True)
        self.kill("wg-quick", "wg", "sleep")
        self.ns.sh(
            f"ip link del {self.wg} || true; rm -f {self.ns.place('run_dir')}/*.json; ip route flush table 305 || true;"
            "while ip rule del pref 305; do :; done"
        )

    def kill(self, *names):
        """These programs in this namespace."""
        self.ns.sh(
            f"for pid in $(ip netns pids {self.ns.place('name')}); do"
            f' case "$(cat /proc/$pid/comm)" in {"|".join(names)}) kill -KILL $pid ;; esac; done',
            check=False,
        )

    def cron(self):
        """What the article's reader has done each minute."""
        if self.address:
            self.ns.sh(f"ip route replace default via {self.gateway} dev eth1 table 305", check=False)

    def suspend(self, on):
        """No broadband, and so no DNS."""
        self.ns.sh(f"ip route {'del' if on else 'replace'} default via 192.0.2.{102 + 4 * self.number}")

    def plug(self, on):
        """The cable between eth1 and the carrier."""
        self.carrier.ns.sh(f"ip link set {self.ont} {'up' if on else 'down'}")

    def off(self):
        """eth1 has no address."""
        self.ns.sh("ip addr flush dev eth1")

    def lease(self):
        """eth1 has the address that it had; returns the time."""
        self.ns.sh(f"ip addr add {self.address}/20 dev eth1")
        return time.monotonic()

    def renumber(self):
        """Another segment; returns the time at which eth1 has its new address. The name follows by publish()."""
        self.generation += 1
        net = f"10.{20 + 4 * self.number + self.generation % 4}"
        host = 5 + self.generation % 200
        self.address, self.gateway = f"{net}.64.{host}", f"{net}.64.1"
        self.carrier.ns.sh(f"ip addr flush dev {self.ont}; ip addr add {self.gateway}/20 dev {self.ont}")
        self.off()
        return self.lease()

    def alive(self, other):
        """Whether the daemon says so."""
        text = self.ns.sh(f"cat {self.ns.place('run_dir')}/mesh-{self.wg}.json", check=False)
        try:
            return json.loads(text)["peers"][other.public]["alive"]
        except (ValueError, KeyError):
            return None

    def endpoint(self, other):
        """Where WireGuard has another site."""
        rows = [line.split("\t") for line in self.ns.sh(f"wg show {self.wg} endpoints", check=False).splitlines()]
        return dict(row for row in rows if len(row) == 2).get(other.public)

    def received(self):
        """{public key: (bytes, when the last handshake was)} of peers that were heard: made anew, one may count to where it was."""
        text = self.ns.sh(f"wg show {self.wg} dump", check=False)
        rows = [line.split("\t") for line in text.splitlines()]
        return {row[0]: (int(row[5]), row[4]) for row in rows if len(row) == 8 and row[5] != "0"}

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
            heard = [seen[at].get(of.public) not in (None, begun[at].get(of.public)) for at, of in (pair, pair[::-1])]
            if all(heard) and pair[0].reaches(pair[1]):
                found[pair] = now
        time.sleep(0.5 if pairs[0][0].carrier.article else 0.02)  # a look costs much, and there is another guest
    return found


def counters(sites):
    return {site: site.received() for site in sites}


def broken(sites, changed):
    return [pair for pair in itertools.combinations(sites, 2) if set(pair) & set(changed)]


def recover(sites):
    """What the article's reader does by hand: the tunnels start anew."""
    for site in sites:
        site.stop()
    for site in sites:
        site.start()
        site.cron()


def quiet(lab, sites):
    """All pairs work, and the daemons' fast polls are over."""
    lab.publish(**{site.name: site.address for site in sites})
    pairs = list(itertools.permutations(sites, 2))
    if lab.article and not all(one.reaches(other) for one, other in pairs):
        recover(sites)
    for one, other in pairs:
        wait_for(lambda one=one, other=other: one.reaches(other), "a mesh between two runs", LIMIT)
    time.sleep(6)


def since(start, found):
    """Seconds per pair, None where it did not heal."""
    return [at and max(0.0, at - start) for at in found.values()]


def renumber(lab, sites, changed, publish):
    """publish: the names follow, and time counts from then."""
    begun = counters(sites)
    times = {site: site.renumber() for site in changed}
    if publish:
        lab.publish(**{site.name: site.address for site in changed})
        times = dict.fromkeys(changed, time.monotonic())
    found = through(broken(sites, changed), begun)
    return [at and max(0.0, at - max(times[site] for site in pair if site in times)) for pair, at in found.items()]


def leases(lab, sites, number):
    """The power comes back everywhere, there is no DNS, and the carrier gives all sites their addresses at once."""
    time.sleep(12)  # what worked is on the disk
    lab.serve(False)
    try:
        for site in sites:
            site.off()
            site.stop()
        for site in sites:
            site.start()
        time.sleep(2)
        start = max([site.lease() for site in sites])
        return since(start, through(broken(sites, sites), {site: {} for site in sites}))
    finally:
        lab.serve(True)


def one(lab, sites, number):
    return renumber(lab, sites, [sites[number % 3]], False)


def two(lab, sites, number):
    lab.serve(False)
    try:
        return renumber(lab, sites, [site for index, site in enumerate(sites) if index != number % 3], False)
    finally:
        lab.serve(True)


def boot(lab, sites, number, new=False, moved=False):
    """A site without broadband boots; new: with another address; moved: another site has moved while it was off."""
    booting, other, third = (sites[(number + index) % 3] for index in range(3))
    time.sleep(12)  # what worked is on the disk
    booting.suspend(True)
    try:
        booting.off()
        booting.stop()
        if moved:
            begun = counters([other, third])
            other.renumber()
            lab.publish(**{other.name: other.address})
            through([(other, third)], begun, 60)
        begun = counters([other, third])
        begun[booting] = {}
        booting.start()
        time.sleep(2)
        start = booting.renumber() if new else booting.lease()
        return since(start, through(broken(sites, [booting]), begun))
    finally:
        booting.suspend(False)


def boot_new(lab, sites, number):
    return boot(lab, sites, number, new=True)


def boot_moved(lab, sites, number):
    return boot(lab, sites, number, moved=True)


def cable(lab, sites, number):
    """No DNS anywhere; a cable is out and the site comes back with another address."""
    away = sites[number % 3]
    lab.serve(False)
    try:
        away.plug(False)
        time.sleep(PULLED)
        begun = counters(sites)
        away.plug(True)
        start = away.renumber()
        return since(start, through(broken(sites, [away]), begun))
    finally:
        lab.serve(True)


def hole(lab, sites, number, name=None):
    """Of two sites one has no DNS, moves, and tells the other; its name stays behind, or everything leads to a portal. Then
    the carrier has a hole, and the other one moves as well."""
    here, there, away = (sites[(number + index) % 3] for index in range(3))
    away.stop()
    there.suspend(True)
    try:
        begun = counters([here, there])
        there.renumber()
        if name:
            lab.publish(**{site.name: name for site in sites})
        if None in through([(here, there)], begun).values():
            return [None]
        time.sleep(12)  # what worked is on the disk
        lab.forward(False)
        time.sleep(HOLE)
        begun = counters([here, there])
        here.renumber()
        lab.forward(True)
        start = time.monotonic()
        return since(start, through([(here, there)], begun))
    finally:
        lab.forward(True)
        there.suspend(False)
        away.start()


def portal(lab, sites, number):
    return hole(lab, sites, number, PORTAL)


def apart(lab, sites, number):
    """Of two sites each moves, one shortly after the other, and the names stay behind."""
    one, other, away = (sites[(number + index) % 3] for index in range(3))
    away.stop()
    try:
        one.renumber()
        time.sleep(APART[number % len(APART)])
        begun = counters([one, other])  # packets of the time in between prove nothing
        start = other.renumber()
        return since(start, through([(one, other)], begun))
    finally:
        away.start()


def restart(lab, sites, number):
    """A site moves while its daemon is away for a second. Who has heard of it is seen by WireGuard's endpoint; the seconds are those
    since the daemon is back."""
    moving = sites[number % 3]
    others = [site for site in sites if site is not moving]
    moving.ns.end(moving.daemons[1])
    moving.renumber()
    time.sleep(1)
    moving.daemons[1] = moving.ns.begin("mesh", moving.wg)
    start = time.monotonic()
    told = dict.fromkeys(others)
    while None in told.values() and time.monotonic() < start + LIMIT:
        for site in others:
            if told[site] is None and site.endpoint(moving) == f"{moving.address}:22000":
                told[site] = time.monotonic()
        time.sleep(0.02)
    return since(start, told)


def deaf(lab, sites, number):
    """A site drops every echo request, and another one moves: none of them may take a tunnel for dead, then or later.
    The seconds are those until WireGuard has the new endpoint."""
    silent, moving = sites[number % 3], sites[(number + 1) % 3]
    silent.ns.sh(
        "nft 'table inet deaf { chain input { type filter hook input priority 0; meta l4proto icmp drop; }; }'"
    )
    try:
        start, told = moving.renumber(), None
        while time.monotonic() < start + WATCHED:
            if told is None and silent.endpoint(moving) == f"{moving.address}:22000":
                told = time.monotonic()
            if not (silent.alive(moving) and moving.alive(silent)):
                return [None]
            time.sleep(0.1)
        return since(start, {silent: told})
    finally:
        silent.ns.sh("nft delete table inet deaf")


def lost(lab, sites, number):
    """The interface is gone, or its wireguard-go; nobody helps."""
    site = sites[number % 3]
    go = not lab.in_kernel and number % 2
    begun = counters(sites)
    begun[site] = {}
    start = time.monotonic()
    site.kill("wireguard-go") if go else site.ns.sh(f"ip link del {site.wg}")
    return since(start, through(broken(sites, [site]), begun))


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
    booting.ns.sh(f"rm -f {booting.ns.place('lib')}/*")
    booting.install(sites, wrong=nameless)
    booting.off()
    begun = counters(sites)
    begun[booting] = {}
    booting.start()
    time.sleep(2)
    start = booting.lease()
    found = through([(booting, other)], begun)
    booting.install(sites)
    for daemon in booting.daemons[1:]:
        booting.ns.reload(daemon)
    return since(start, found)


def clock_back(lab, sites, number):
    """The clock goes back by a year after handshakes, then one site renumbers and all sessions end: they have to shake
    hands with a timestamp that is older than the one before. One clock for all sites: they share the kernel."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() - YEAR)
    try:
        away = sites[number % 3]
        away.stop()
        begun = counters(sites)
        begun[away] = {}
        away.start()
        start = time.monotonic()
        return since(start, through(broken(sites, [away]), begun))
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + YEAR)


# text, goal in seconds, function, whether it is run often, whether the article's way is compared
EVENTS = {
    "leases": ("the leases of all sites arrive at once, at boot, no DNS", 4, leases, True, True),
    "one": ("one site renumbers", 1, one, True, True),
    "two": ("two of three renumber together, no DNS", 4, two, True, True),
    "all": ("all renumber, DNS up (from the last record)", 10, everybody, False, True),
    "boot": ("a suspended site boots", 5, boot, True, True),
    "new": ("the same, with a new lease", 5, boot_new, False, True),
    "moved": ("a suspended site boots, and another moved meanwhile", 10, boot_moved, False, True),
    "name": ("one name does not resolve, at boot, nothing on disk", 2, name, False, True),
    "cable": ("no DNS, cable out 90 s, new address", 6, cable, False, True),
    "pair": ("two sites, both renumber, DNS up (from the last record)", 10, pair, False, True),
    "clock": ("clock set back a year after handshakes, one starts anew", 60, clock_back, False, False),
    "hole": ("two sites, one without DNS moved, 70 s hole, stale name, both moved", 15, hole, False, True),
    "portal": ("the same, and every name leads to a portal", 15, portal, False, True),
    "apart": ("two sites renumber 0.3, 2 and 7 s apart, stale names", 10, apart, False, True),
    "restart": ("a site renumbers while its daemon is away (since it is back)", 5, restart, False, False),
    "deaf": ("a peer drops ICMP, one renumbers, nobody is taken for dead", 5, deaf, False, False),
    "lost": ("the interface is deleted, or wireguard-go is killed", 5, lost, False, False),
}


def row(event, results):
    """A line of the table."""
    text, goal = EVENTS[event][:2]
    healed = sorted(value for value in results if value is not None)
    shown = f"{'never':>23}"
    if healed:
        shown = f"{statistics.median(healed):7.2f} {healed[int(0.95 * (len(healed) - 1) + 0.5)]:7.2f} {healed[-1]:7.2f}"
    return f"{text:<68}<{goal:<3}{shown}  {len(healed)} of {len(results)}"


def pace(site):
    """Milliseconds that one look at a device takes here: an emulated machine is slow, and slower where others are busy."""
    times = []
    for _ in range(10):
        start = time.monotonic()
        site.received()
        times.append(1000 * (time.monotonic() - start))
    return statistics.median(times)


def minutes(sites):
    while True:
        time.sleep(60 - time.time() % 60)
        for site in sites:
            site.cron()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=3, help="of the rows " + ", ".join(e for e in EVENTS if EVENTS[e][3])
    )
    parser.add_argument("--few", type=int, help="runs of the other rows (default: those of --runs, but no more than 5)")
    parser.add_argument("--far", action="store_true", help="site-c is in the guest at the other end of the cables")
    parser.add_argument("--article", action="store_true", help="the sites are as the article's reader has them")
    parser.add_argument("events", nargs="*", metavar="EVENT", help=f"of {', '.join(EVENTS)} (default: all)")
    options = parser.parse_args()
    chosen = options.events or [event for event in EVENTS if EVENTS[event][4] or not options.article]
    for event in chosen:
        if event not in EVENTS or (options.article and not EVENTS[event][4]):
            parser.error(f"{event} is no event here")
    if "clock" in chosen and not pathlib.Path("/lab-init").exists():  # the first process of a guest
        parser.error("clock sets the clock of the whole machine back by a year: only in a guest, see scripts/kernel")
    few = options.few if options.few is not None else min(options.runs, 5)
    probe = subprocess.run(["ip", "link", "add", "sltprobe", "type", "wireguard"], capture_output=True)
    subprocess.run(["ip", "link", "del", "sltprobe"], capture_output=True)
    way = "wireguard-go" if probe.returncode else "the kernel's WireGuard"
    if options.article:
        way += ", the article's way"
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        places = [pathlib.Path(directory, part) for part in ("carrier", "a", "b", "c")]
        for place in places:
            place.mkdir()
        lab = Carrier(places[0], options.article)
        lab.in_kernel, lab.commands = not probe.returncode, pathlib.Path(directory, "bin")
        far = connect_far() if options.far else None
        if far:
            days = (far.clock() - time.time()) / 86400
            way += f", the clock of site-c {days:+.0f} days off"
        sites = [
            Site(place, place.name, number, lab, far if place.name == "c" else None)
            for number, place in enumerate(places[1:], 1)
        ]
        lab.commands.mkdir()
        (lab.commands / "systemctl").write_text(SYSTEMCTL)
        (lab.commands / "systemctl").chmod(0o755)
        os.environ["PATH"] = f"{lab.commands}:{os.environ['PATH']}"
        try:
            for site in sites:
                site.renumber()
            lab.publish(**{site.name: site.address for site in sites})
            lab.serve(True)
            for site in sites:
                site.install(sites)
            for site in sites:
                site.start()
                if options.article:
                    site.cron()
            if options.article:
                threading.Thread(target=minutes, args=[sites], daemon=True).start()
            rows, looks = [], []
            for event in chosen:
                results = []
                for number in range(options.runs if EVENTS[event][3] else few):
                    quiet(lab, sites)
                    looks.append(pace(sites[0]))
                    found = EVENTS[event][2](lab, sites, number)
                    results += found
                    seen = " ".join("-" if value is None else f"{value:.2f}" for value in found)
                    print(f"{way}, {EVENTS[event][0]}, run {number + 1}: {seen}", flush=True)
                failed = failed or not results or None in results
                rows.append(row(event, results))
            print(f"\n{way}, {os.uname().release}; seconds, p50, p95 and worst; healed within {LIMIT} s")
            print(f"one look at a device took {statistics.median(looks):.0f} ms here, {max(looks):.0f} ms at worst")
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
    return int(failed and not options.article)


if __name__ == "__main__":
    sys.exit(main())
