# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab, one site per shape, and the playbook's runs over all of them. Run by `scripts/test shapes`."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from sitelab.shapes import SUDO_PASSWORD, SUDO_USER

from lab_tests import INVENTORY, SECRETS, STATE, lab, recap, run, wait_for

SITES = {"sudo": "site-a", "bare": "site-b", "cloud": "site-c", "networkmanager": "site-d"}
OVERLAY = {shape: f"192.168.11.{number}" for number, shape in enumerate(SITES, 1)}
# What an operator fills in for these sites, beside what inventories/lab says of the first three.
HOST_VARS = {
    "sudo": {"ansible_user": SUDO_USER, "ansible_become": True},
    "networkmanager": {
        "ansible_host": "192.168.4.2",
        "wireguard_mesh_lan_subnets": ["192.168.4.0/24"],
        "wireguard_mesh_lan_gateway": True,
    },
}
# What makes each of them one: a command, and what it prints there before the first run.
SIGNS = {
    "sudo": ("ls -A /root/.ssh 2>&1; sudo -l -U admin | tail -n 1", ["cannot access", "(ALL : ALL) ALL"]),
    "bare": (
        "ls /var/lib/apt/lists | grep -c _Packages; dpkg-query -W nftables wireguard-tools wireguard-go 2>&1",
        ["0\n", "no packages found matching nftables", "wireguard-tools", "wireguard-go"],
    ),
    "cloud": (
        "networkctl status eth0 eth1 | grep 'Network File'; ip route show default",
        ["10-netplan-all-eth.network", "default via 192.168.3.1 dev eth0 proto dhcp", "dev eth1 proto dhcp"],
    ),
    "networkmanager": ("nmcli -t -f DEVICE,STATE device", ["eth0:connected\n"]),
}
Seen = collections.namedtuple("Seen", "inventory fresh first applied second rebooted")
Slip = collections.namedtuple("Slip", "first table second after file")


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
    counts = recap(done).get(site)
    assert counts, done.stdout[-3000:]
    if counts["failed"] == counts["unreachable"] == 0:
        return ""
    said = re.findall(rf"^(?:fatal|failed): \[{site}\].*(?:\n .*)*", done.stdout, re.MULTILINE)
    return "\n".join(said)[-3000:] or done.stdout[-3000:]


def changed(done, shape):
    """The tasks of a run that changed something at a site."""
    tasks = re.findall(
        r"^TASK \[(.*?)\] \*+\n(.*?)(?=^(?:TASK|PLAY|RUNNING) |\Z)", done.stdout, re.MULTILINE | re.DOTALL
    )
    found = [name for name, said in tasks if f"changed: [{SITES[shape]}]" in said]
    return found or ["a handler"] * recap(done)[SITES[shape]]["changed"]


def published(shape):
    """Has the last run of the DDNS client ended well? The playbook would try again."""
    command = "systemctl show --property=Result,ActiveState --value sitelink-ddns.service"
    return inside(shape, command).split() == ["success", "inactive"]


def in_the_inventory(inventory, *argv, check=False, **environment):
    """Run a command as an operator does: in the inventory's directory, with its ansible.cfg; returns the finished process."""
    kept = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
    done = subprocess.run(
        argv, cwd=inventory, env={**kept, "PWD": str(inventory), **environment},
        text=True, capture_output=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def site_yml(inventory, *argv):
    return in_the_inventory(inventory, "ansible-playbook", "sitelink.tr069.site", *argv)


def fill_in(path, values):
    """Give each variable its value: in the place of its line where the file has one."""
    lines = path.read_text().splitlines()
    for name, value in values.items():
        found = [number for number, text in enumerate(lines) if text.startswith(f"{name}:")]
        place = slice(found[0], found[0] + 1) if found else slice(len(lines), None)
        lines[place] = [f"{name}: {json.dumps(value)}"]
    path.write_text("\n".join(lines) + "\n")


def new_inventory(directory):
    """By the READMEs' own words: made by its playbook, filled in, the vault edited. Beside that only what is the lab's own."""
    inventory = directory / "my-mesh"
    run("ansible-playbook", "sitelink.tr069.new_inventory", "-e", f"sites={','.join(SITES.values())}", "-e", "domain=lab.test",
        "-e", f"directory={inventory}")  # fmt: skip
    for shape, site in SITES.items():
        of_the_lab = INVENTORY / "host_vars" / f"{site}.yml"
        known = yaml.safe_load(of_the_lab.read_text()) if of_the_lab.exists() else {}
        fill_in(inventory / "host_vars" / f"{site}.yml", {**known, **HOST_VARS.get(shape, {})})
    editor = directory / "editor"
    editor.write_text(
        f"sed -i 's/^ddns_token: .*/ddns_token: {SECRETS[1]}/; $a ansible_become_password: {SUDO_PASSWORD}' \"$1\"\n"
    )
    vault = inventory / "group_vars" / "all" / "vault.yml"
    in_the_inventory(inventory, "ansible-vault", "edit", str(vault), check=True, EDITOR=f"sh {editor}")
    connection = yaml.safe_load((INVENTORY / "group_vars" / "sites" / "connection.yml").read_text())
    fill_in(inventory / "group_vars" / "sites" / "connection.yml", connection)
    services = yaml.safe_load((INVENTORY / "group_vars" / "all" / "ddns.yml").read_text())
    fill_in(
        inventory / "group_vars" / "all" / "ddns.yml",
        {name: services[name] for name in ("ddns_endpoint", "ddns_ca_file")},
    )
    # The lab's tokens stand in a public repository.
    fill_in(inventory / "group_vars" / "all" / "mesh.yml", {"wireguard_mesh_accept_published_secrets": True})
    return inventory


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """What all tests look at: a first run, a second one, and all sites booted again; with the sites' states between."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    inventory = new_inventory(tmp_path_factory.mktemp("shapes"))
    for shape, site in SITES.items():
        lab("reinstall", site, "--shape", shape)
    # What its system makes of eth1 by itself is there before the first run, as where both NICs were plugged in at boot.
    wait_for(lambda: inside("cloud", "ip -o -4 address show dev eth1"))
    fresh = {shape: inside(shape, command, check=False) for shape, (command, _) in SIGNS.items()}
    first = site_yml(inventory)
    applied = {shape: snapshot(shape) for shape in SITES}
    wait_for(lambda: all(published(shape) for shape in SITES if not told(first, shape)))
    second = site_yml(inventory, "-vvv", "--diff")
    lab("reboot", *SITES.values(), "--may-fail", "sitelink-ddns.service")
    wait_for(lambda: all(" dev eth1 " in " ".join(snapshot(shape)["routes4"]) for shape in SITES))
    rebooted = {shape: snapshot(shape) for shape in SITES}
    return Seen(inventory, fresh, first, applied, second, rebooted)


@pytest.fixture(scope="session")
def slipped(seen):
    """A first run beside a netplan file with a slip, another one once that is mended, and what stands after each."""
    lab("reinstall", SITES["cloud"], "--shape", "cloud")
    path = "/etc/netplan/90-third-nic.yaml"
    slip = r"network:\n  ethernets:\n    eth9:\n      adresses: [192.0.2.1/24]\n"
    inside("cloud", f"umask 077; printf '{slip}' > {path}")
    limit = f"--limit={SITES['cloud']}"
    first = site_yml(seen.inventory, limit)
    table = inside("cloud", "nft list table inet sitelink_eth1", check=False)
    inside("cloud", f"sed -i s/adresses/addresses/ {path}")
    second = site_yml(seen.inventory, limit)
    file = inside("cloud", "networkctl status eth1 | grep 'Network File'", check=False)
    return Slip(first, table, second, snapshot("cloud"), file)
