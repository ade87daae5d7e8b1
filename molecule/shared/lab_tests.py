# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of every scenario use: the lab's command, its sites, and runs of the playbooks."""

import ipaddress
import itertools
import json
import os
import pathlib
import subprocess
import time

import testinfra

ROOT = pathlib.Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab"
STATE = pathlib.Path(os.environ["SITELINK_LAB_STATE"])  # of the lab; `lab/lab enter` names it
SITES = ["site-a", "site-b", "site-c"]
PAIRS = list(itertools.permutations(SITES, 2))
ADDRESS = {"site-a": "192.168.1.2", "site-b": "10.66.2.2", "site-c": "192.168.3.2"}
OVERLAY = {"site-a": "192.168.11.1", "site-b": "192.168.11.2", "site-c": "192.168.11.3"}
LAN_HOST = {"site-a": "192.168.1.10", "site-b": "10.66.2.10", "site-c": "192.168.3.10"}
# Everything that is secret in the lab's inventory.
SECRETS = [
    "lab-mesh-secret-published-never-use-outside-the-lab",
    "lab-cloudflare-token-0001",
    "lab-alidns-secret-0001",
]
LIMIT = 300  # seconds: no promise, only the end of a wait that would never end; it costs nothing where a test passes


def wait_for(condition, what=None, limit=LIMIT):
    """Wait until the condition is true and return its value; AssertionError with what `what()` says at the limit."""
    deadline = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, what() if what else condition
        time.sleep(0.5)


def run(*argv, check=True, timeout=900):
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
        ssh_identity_file=str(STATE / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={STATE / 'known_hosts'}",
    )
    return host.run(command)


def playbook(name, *argv, inventory=INVENTORY, **options):
    """Run one of the collection's playbooks; returns the finished process."""
    return run("ansible-playbook", "-i", inventory, *argv, f"sitelink.tr069.{name}", **options)


def recap(done):
    """The counts of a finished run's play recap, or of its output: {site: {"ok": 3, "changed": 0, ...}}."""
    counts = {}
    for line in getattr(done, "stdout", done).rpartition("PLAY RECAP")[2].splitlines():
        name, colon, rest = line.partition(" : ")
        if colon and rest.startswith("ok="):
            counts[name.strip()] = {key: int(value) for key, value in (pair.split("=") for pair in rest.split())}
    return counts


def status(site, *argv):
    """What `sitelink status --json` says on a site."""
    return json.loads(on(site, " ".join(["/usr/local/sbin/sitelink", "status", "--json", *argv])).stdout)


def dead_pairs():
    """The ordered pairs of sites of which the first does not get an answer from the second over the overlay."""
    return [(one, other) for one, other in PAIRS if on(one, f"ping -c 1 -W 2 {OVERLAY[other]}").rc != 0]


def wait_for_the_mesh(limit=LIMIT):
    """Wait until every site reaches every other."""
    wait_for(lambda: not dead_pairs(), lambda: {site: on(site, "sitelink status").stdout for site in SITES}, limit)


def wait_for_the_names(sites=SITES):
    """Wait until the last run of the DDNS client ended well on every site: a run of the playbook would try again."""
    command = "systemctl show --property=Result,ActiveState --value sitelink-ddns.service"
    wait_for(lambda: all(on(site, command).stdout.split() == ["success", "inactive"] for site in sites))


def secrets():
    """The inventory's secrets and every key that the sites hold now."""
    keys = []
    for site in SITES:
        keys += on(site, "wg show wg0 private-key; wg show wg0 preshared-keys | cut -f2").stdout.split()
    assert len(keys) == len(SITES) * len(SITES), keys  # a private key and one for each peer
    return SECRETS + keys


def leased_prefix(site):
    """The prefix that a site's eth1 was leased an address in."""
    found = status(site)["gateway"][0]
    return ipaddress.ip_interface(f"{found['address']}/{found['prefix']}").network


def underlay_address(site):
    """The address that a site's eth1 has now."""
    return on(site, "/usr/local/sbin/sitelink address eth1").stdout.strip()
