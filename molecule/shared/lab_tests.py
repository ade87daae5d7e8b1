# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of every scenario use: the lab's command, its sites, and runs of the playbooks."""

import ipaddress
import itertools
import json
import pathlib
import subprocess

import testinfra

ROOT = pathlib.Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab"
SITES = ["site-a", "site-b", "site-c"]
PAIRS = list(itertools.permutations(SITES, 2))
ADDRESS = {"site-a": "192.168.1.2", "site-b": "10.66.2.2", "site-c": "192.168.3.2"}
OVERLAY = {"site-a": "192.168.11.1", "site-b": "192.168.11.2", "site-c": "192.168.11.3"}
LAN_HOST = {"site-a": "192.168.1.10", "site-b": "10.66.2.10", "site-c": "192.168.3.10"}


def run(*argv, check=True, timeout=300):
    """Run a command; returns the finished process with its output as text."""
    done = subprocess.run([str(word) for word in argv], text=True, capture_output=True, timeout=timeout, cwd=ROOT)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def lab(*argv, **options):
    """Run a command of the lab; returns what it printed."""
    return run(ROOT / "lab" / "lab", *argv, **options).stdout


def on(site, command):
    """Run a shell command on a site over SSH, as Ansible does; returns testinfra's result."""
    host = testinfra.get_host(
        f"ssh://root@{ADDRESS[site]}",
        ssh_identity_file=str(ROOT / ".lab" / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={ROOT / '.lab' / 'known_hosts'}",
    )
    return host.run(command)


def playbook(name, *argv, inventory=INVENTORY, **options):
    """Run one of the collection's playbooks; returns the finished process."""
    return run("ansible-playbook", "-i", inventory, *argv, f"sitelink.tr069.{name}", **options)


def recap(done):
    """The counts of a play recap: {site: {"ok": 3, "changed": 0, ...}}."""
    counts = {}
    for line in done.stdout.rpartition("PLAY RECAP")[2].splitlines():
        name, colon, rest = line.partition(" : ")
        if colon:
            counts[name.strip()] = {key: int(value) for key, value in (pair.split("=") for pair in rest.split())}
    return counts


def status(site, *argv):
    """What `sitelink status --json` says on a site."""
    return json.loads(on(site, " ".join(["/usr/local/sbin/sitelink", "status", "--json", *argv])).stdout)


def leased_prefix(site):
    """The prefix that a site's eth1 was leased an address in."""
    found = status(site)["gateway"][0]
    return ipaddress.ip_interface(f"{found['address']}/{found['prefix']}").network


def underlay_address(site):
    """The address that a site's eth1 has now."""
    return on(site, "/usr/local/sbin/sitelink address eth1").stdout.strip()
