# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of the lab, each with a network manager of its own: what tests and benchmarks of more than one of them share."""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import sys
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab")]

from sitelab import carrier, cli, image, internet, podman, topology
from sitelab import site as sites

from lab_tests import LIMIT, STATE, recap, run

# What a site is: the role's backend, its image, who manages its eth0, what makes eth1 ask for its address again, and what
# starts it all anew.
Stack = collections.namedtuple("Stack", "backend image manager renew restart")
NETPLAN = ("netplan", "networkctl renew eth1", "netplan apply")
NETWORKD = ("networkd", "networkctl reconfigure eth1", "systemctl restart systemd-networkd")
NETWORKMANAGER = ("networkmanager", "nmcli connection up sitelink-eth1", "systemctl restart NetworkManager")
DHCLIENT = ("ifupdown", "ifdown eth1; ifup eth1", "systemctl restart networking")
DHCPCD = ("ifupdown", "dhcpcd -4 -N eth1", "systemctl restart networking")
STACKS = {
    "netplan": Stack("netplan", "bookworm-nics", *NETPLAN),
    "networkd": Stack("networkd", "bookworm-nics", *NETWORKD),
    "networkmanager": Stack("networkmanager", "bookworm-nics", *NETWORKMANAGER),
    "networkmanager-ifcfg": Stack("networkmanager-ifcfg", "bookworm-ifcfg", "ifcfg", *NETWORKMANAGER[1:]),
    "ifupdown-dhclient": Stack("ifupdown-dhclient", "bookworm-nics", *DHCLIENT),
    "ifupdown-dhcpcd": Stack("ifupdown-dhcpcd", "bookworm-nics", *DHCPCD),
    "bullseye-netplan": Stack("netplan", "bullseye-nics", *NETPLAN),
    "trixie-netplan": Stack("netplan", "trixie-nics", *NETPLAN),
    "trixie-dhcpcd": Stack("ifupdown-dhcpcd", "trixie-nics", *DHCPCD),
    "network-scripts": Stack(
        "network-scripts", "bookworm-scripts", "network-scripts", "ifdown eth1; ifup eth1", "systemctl restart network"
    ),
}
# What cannot be made here, and why; tests skip it by that reason.
MISSING = {}
if not (ROOT / ".cache" / "network-scripts").is_dir():
    MISSING["network-scripts"] = (
        "network-scripts: no .cache/network-scripts (lab/image/scripts.sh says what has to be there)"
    )


def wanted(names):
    """Of these stacks those that SITELINK_STACKS names, with blanks between, or all: while working on some of them."""
    only = os.environ.get("SITELINK_STACKS", "").split()
    return [name for name in names if name not in MISSING and (not only or name in only)]


# Where the old server is gone; with a renewal these would wait for its answer.
ANEW = {"ifupdown-dhcpcd": "ifdown eth1; ifup eth1", "netplan": "networkctl reconfigure eth1"}
# bookworm has dhclient as well there, which `auto` prefers.
VARIABLES = {"ifupdown-dhcpcd": {"nic_dhcp_backend": "ifupdown-dhcpcd"}}
COMMON = {"nic_dhcp_revert_after": 300}  # so many sites at once are slow
OWN = re.compile(r"sitelink|/ssh/|/machine-id$|/resolv\.conf$|/adjtime$|/\.pwd\.lock$|/systemd/system/.*wants/")


class Site:
    def __init__(self, name, member):
        self.stack = name
        self.backend, self.image, self.manager, self.renew, self.restart = STACKS[name]
        self.anew = ANEW.get(self.backend, self.renew)
        self.lab = member
        self.name = self.lab.name
        self.before = None  # what stood there before the role ever ran

    def run(self, script, check=True):
        """Run a shell script on the site, by the side of its network."""
        return podman.execute(self.name, script, check=check).stdout

    def snapshot(self):
        """The lab's, with all that is written below /etc and what the kernel routes by."""
        found = sites.snapshot(self.lab)
        found["rules"] = podman.in_container(self.name, "ip", "rule").stdout.splitlines()
        routes = podman.in_container(
            self.name, "ip", "-4", "route", "show", "table", "local", "dev", "eth1", "type", "broadcast"
        ).stdout
        found["broadcasts"] = sorted(route.split()[1] for route in routes.splitlines())
        sums = self.run("find /etc -type f -exec sha256sum {} +").splitlines()
        found["etc"] = {path: digest for digest, path in (line.split(None, 1) for line in sums) if not OWN.search(path)}
        return found

    def lease(self):
        """Wait until eth1 has one address, of the prefix that the carrier serves now."""
        network = self.lab.underlay(carrier.generation(self.lab))
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            found = carrier.addresses(self.name, "eth1")
            if len(found) == 1 and found[0].ip in network:
                return network
            time.sleep(0.5)
        raise AssertionError(f"{self.name} ({self.stack}): {found} on eth1, not one address of {network}")

    def log(self):
        """What the carrier's DHCP server wrote about the site."""
        return podman.execute(carrier.NAME, f"cat /var/log/{self.lab.ont}.log").stdout


class World:
    """All sites at once, in the first places of the lab. What is kept per site is kept by the name of its stack."""

    def __init__(self, directory, stacks, roles):
        self.directory = directory
        members = topology.sites(len(stacks))
        self.sites = {name: Site(name, member) for name, member in zip(stacks, members, strict=True)}
        self.variables = {name: dict(VARIABLES.get(name, {})) for name in stacks}
        self.roles = roles
        self.seen = {}

    def each(self, function):
        """Call the function for all sites at once."""
        with concurrent.futures.ThreadPoolExecutor(len(self.sites)) as pool:
            return dict(zip(self.sites, pool.map(function, self.sites.values()), strict=True))

    def attempt(self, function):
        """As each(), but where it fails, the error is what it gave: one site is no reason not to look at the others."""

        def one(site):
            try:
                return function(site)
            except (AssertionError, podman.LabError) as error:
                return error

        return self.each(one)

    def make(self):
        old = {site.image for site in self.sites.values() if not image.current(site.image)}
        assert not old, f"run `lab/lab images` for {', '.join(sorted(old))}: the lab itself has no way out"

        cli.each(lambda site: cli.install(site.lab, site.image, site.manager), list(self.sites.values()))

        def look(site):
            site.before = site.snapshot()
            # The cable is in by now, and what manages the site may have gone for it.
            plain = json.loads((STATE / "before" / f"{site.name}.json").read_text())
            site.before.update(plain)

        self.each(look)

    def play(self, *argv, only=None, timeout=1800, **extra):
        """Run the roles; returns the finished process, whatever came of it. extra: variables for all sites."""
        hosts = {
            site.name: {"ansible_host": str(site.lab.address), **COMMON, **self.variables[stack], **extra}
            for stack, site in self.sites.items()
        }
        inventory = self.directory / "hosts.yml"
        common = yaml.safe_load((ROOT / "inventories/lab/group_vars/sites/connection.yml").read_text())
        inventory.write_text(yaml.safe_dump({"sites": {"hosts": hosts, "vars": common}}))
        play = {"hosts": "sites", "gather_facts": False, "become": True, "roles": self.roles}
        (self.directory / "play.yml").write_text(yaml.safe_dump([play]))
        limit = [f"--limit={','.join(self.sites[stack].name for stack in only)}"] if only else []
        return run(
            "ansible-playbook",
            "-i",
            inventory,
            *argv,
            *limit,
            self.directory / "play.yml",
            check=False,
            timeout=timeout,
        )

    def pings(self):
        """20 a second from its router to eth0 of every site, until the function that is returned is called.

        It gives {stack: packets lost}.
        """
        podman.execute(
            internet.NAME,
            "".join(
                f"ping -q -i 0.05 -W 1 {site.lab.address} >/run/ping.{site.name} 2>&1 & echo $! >/run/ping.{site.name}.pid\n"
                for site in self.sites.values()
            ),
        )

        def stop():
            podman.execute(internet.NAME, "kill -INT $(cat /run/ping.*.pid); sleep 1.5; rm /run/ping.*.pid")
            lost = {}
            for stack, site in self.sites.items():
                said = podman.execute(internet.NAME, f"cat /run/ping.{site.name}").stdout
                sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", said).groups()
                assert int(sent) > 20
                # The last one may still be under way.
                lost[stack] = max(0, int(sent) - int(received) - 1)
            return lost

        return stop

    def once(self, name, function):
        """What the function gave the first time; the tests of all sites share what happens to all of them at once."""
        if name not in self.seen:
            try:
                self.seen[name] = function(), None
            except Exception as error:  # noqa: BLE001 - told to each of them, and not tried again
                self.seen[name] = None, error
        found, error = self.seen[name]
        if error:
            raise error
        return found


def changed(done, site):
    """How many tasks of a run changed something on a site where it went well."""
    counts = recap(done)[site.name]
    told = [part for part in done.stdout.split("\n\n") if f"[{site.name}]: F" in part or f"[{site.name}]: U" in part]
    assert counts["failed"] == counts["unreachable"] == 0, "\n".join(told)[-3000:]
    return counts["changed"]


def result(found):
    """What attempt() gave for a site."""
    if isinstance(found, Exception):
        raise found
    return found
