# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of two sites, of which the first one's runs break off. Run by `scripts/test broken`."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from lab_tests import INVENTORY, lab, wait_for

SITE, OTHER = "site-a", "site-b"
# Two ways to set up the site, which differ in as many files and loaded things as can be.
ONE = {"ddns_publish_for": []}
TWO = {
    "ddns_publish_for": [],
    "tr069_table": 306,
    "tr069_rule_priority": 307,
    "tr069_firewall_allow": [{"protocol": "tcp", "ports": ["7547"]}],
    "wireguard_mesh_underlay_mtu": 1400,
    "wireguard_mesh_keepalive": 20,
    "wireguard_mesh_lan_gateway": False,
    "wireguard_mesh_external_peers": [
        {"name": "phone", "address": "192.168.11.99", "public_key": "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="}
    ],
    "ddns_interval": 47,
    "ddns_ttl": 120,
}
BROKEN = -9


class Site:
    def __init__(self, directory):
        self.directory = directory
        self.inventory = shutil.copytree(INVENTORY, directory / "inventory")
        hosts = {"sites": {"hosts": dict.fromkeys([SITE, OTHER])}}
        (self.inventory / "hosts.yml").write_text(json.dumps(hosts))
        (self.inventory / "host_vars" / "site-c.yml").unlink()
        for number, variables in enumerate((ONE, TWO)):
            (directory / f"{number}.json").write_text(json.dumps(variables))
        self.log = directory / "task"

    def play(self, variables, after=0, site=SITE, but=()):
        """One run; returns what it printed, or None when it broke off behind its `after`-th change, those of the tasks `but` not counted."""
        number = (ONE, TWO).index(variables)
        environ = dict(os.environ, SITELINK_BREAK_AFTER=str(int(after)), SITELINK_BREAK_LOG=str(self.log))
        environ.update(SITELINK_BREAK_BUT="\n".join(but))
        environ.update(ANSIBLE_CALLBACK_PLUGINS=str(HERE / "callback"), ANSIBLE_CALLBACKS_ENABLED="broken")
        words = [
            "ansible-playbook",
            "-i",
            self.inventory,
            "--limit",
            site,
            "-e",
            f"@{self.directory / f'{number}.json'}",
        ]
        done = subprocess.run(
            [*words, "sitelink.tr069.site"], env=environ, cwd=ROOT, text=True, capture_output=True, timeout=900
        )
        if after and done.returncode == BROKEN:
            return None
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done.stdout

    def looks(self):
        """What is written and loaded at the site."""
        code = (HERE / "looks.py").read_text()
        # By chance, for each system that was installed, and of no use to anybody.
        said = re.sub(
            r"fe80::[0-9a-f:]+(?=[/ ][^\"]*\b(?:stable-privacy|dev wg0))",
            "fe80::CHANCE",
            lab("exec", SITE, "--", "python3", "-c", code),
        )
        # A system that was installed anew gets another address, as long as the lease of the old one lasts.
        leased = re.search(r"local (\S+) dev eth1 table local", said)
        found = json.loads(re.sub(rf"\b{re.escape(leased.group(1))}\b", "LEASED", said) if leased else said)
        for name in ("routes", "addresses"):  # whose order was that of the addresses of this system
            found[name].sort()
        return found

    def settled(self):
        """The same once nothing is under way any more: the name is published, and no fault is left."""
        return wait_for(lambda: self.settled_now(self.looks()), lambda: self.looks())

    @staticmethod
    def settled_now(found):
        return found if not found["faults"] and "Result=success" in found["ddns"] else None


def differences(found, wanted, at=""):
    """Where two objects differ, as lines."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            line
            for key in sorted(found.keys() | wanted.keys())
            for line in differences(found.get(key), wanted.get(key), f"{at} / {key}")
        ]
    if found == wanted:
        return []
    if isinstance(found, list) and isinstance(wanted, list):
        return [f"{at}: {[i for i in found if i not in wanted]} instead of {[i for i in wanted if i not in found]}"]
    return [f"{at}: {found} instead of {wanted}"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    made = Site(tmp_path_factory.mktemp("broken"))
    made.play(ONE, site=f"{SITE},{OTHER}")
    return made
