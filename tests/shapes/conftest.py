# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab, one site per shape, and the playbook's runs over all of them. Run by `scripts/test shapes`."""

import collections
import json
import os
import pathlib
import re
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from sitelab.shapes import SUDO_PASSWORD, SUDO_USER

from lab_tests import INVENTORY, STATE, lab, playbook, recap, wait_for

SITES = {"sudo": "site-a", "bare": "site-b", "cloud": "site-c", "networkmanager": "site-d"}
OVERLAY = {shape: f"192.168.11.{number}" for number, shape in enumerate(SITES, 1)}
# What an operator writes for these sites, beside what inventories/lab says of them.
HOST_VARS = {
    "sudo": f"ansible_user: {SUDO_USER}\nansible_become_password: {SUDO_PASSWORD}\n",
    "networkmanager": """\
---
ansible_host: 192.168.4.2
wireguard_mesh_address: 192.168.11.4
wireguard_mesh_lan_subnets: [192.168.4.0/24]
wireguard_mesh_lan_gateway: true
ddns_hostname: site-d.lab.test
""",
}
Seen = collections.namedtuple("Seen", "first applied second rebooted")


def inside(shape, command, check=True):
    """Run a shell command at the site of this shape, without its network; returns what it printed."""
    return lab("exec", SITES[shape], "--", "sh", "-c", command, check=check)


def snapshot(shape):
    return json.loads(lab("snapshot", SITES[shape]))


def before(shape):
    """What stood there before the cable was in eth1."""
    return json.loads((STATE / "before" / f"{SITES[shape]}.json").read_text())


def told(done, shape):
    """What a run said of a site that it could not finish."""
    site = SITES[shape]
    counts = recap(done)[site]
    if counts["failed"] == counts["unreachable"] == 0:
        return ""
    said = re.findall(rf"^(?:fatal|failed): \[{site}\].*(?:\n .*)*", done.stdout, re.MULTILINE)
    return "\n".join(said)[-3000:] or done.stdout[-3000:]


def strays(routes):
    """The routes of the main table that the carrier asked for: an address brings that of its own prefix alone."""
    return [route for route in routes if " dev eth1 " in route and " proto kernel " not in route]


def not_served(seen, shape):
    """Why the first run did not do for this site what it is for; empty where it did."""
    return told(seen.first, shape) or "\n".join(strays(seen.applied[shape]["routes4"]))


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """What all tests look at: a first run, a second one, and all sites booted again; with the sites' states between."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    inventory = shutil.copytree(INVENTORY, tmp_path_factory.mktemp("shapes") / "inventory")
    (inventory / "hosts.yml").write_text(json.dumps({"sites": {"hosts": dict.fromkeys(SITES.values())}}))
    for shape, text in HOST_VARS.items():
        with (inventory / "host_vars" / f"{SITES[shape]}.yml").open("a") as file:
            file.write(text)
    try:
        for shape, site in SITES.items():
            lab("reinstall", site, "--shape", shape)
        first = playbook("site", inventory=inventory, check=False, timeout=1800)
        applied = {shape: snapshot(shape) for shape in SITES}
        second = playbook("site", "-vvv", "--diff", inventory=inventory, check=False, timeout=1800)
        lab("reboot", *SITES.values(), "--may-fail", "sitelink-ddns.service")
        wait_for(lambda: all(snapshot(shape)["routes4"] for shape in SITES))
        rebooted = {shape: snapshot(shape) for shape in SITES}
    except AssertionError as error:
        # An expected failure is none of the lab's.
        raise RuntimeError(str(error)) from error
    return Seen(first, applied, second, rebooted)
