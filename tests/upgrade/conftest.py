# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites as an early version left them, a third one from nothing, and one run of the playbook. Run by `scripts/test upgrade`.

34fc4c5.json is what commit 34fc4c5 wrote on two sites of this lab, `both` where it is the same, and the inventory that its
new_inventory made. Keys, tokens and what scripts/setup fetches are filled in here; its program comes from the history.
"""

import collections
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "molecule" / "shared"), str(ROOT / ".build")]

from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys

from lab_tests import INVENTORY, SITES, STATE, lab, on, playbook, run, wait_for, wait_for_the_mesh, wait_for_the_names

OLD, NEW = SITES[:2], SITES[2]
COMMIT = "34fc4c5"
WRITTEN = json.loads(pathlib.Path(__file__).with_name(f"{COMMIT}.json").read_text())
WHEEL = "ddns-4.2.0-py2.py3-none-any.whl"
PASSWORD = "a password of these tests\n"
UNITS = [
    "sitelink-firewall-table@eth1.service",
    "sitelink-firewall@eth1.service",
    "sitelink-gateway@eth1.service",
    "sitelink-mesh@wg0.service",
    "wg-quick@wg0.service",
    "sitelink-ddns.path",
    "sitelink-ddns.timer",
]
# Where a site has what sitelink, old or new, put there: each path, its mode and its owner. What a link to enable wg-quick@wg0 leads to
# depends on which unit files there were at the time; systemd goes by its name.
LOOK = r"""
cd / && find etc usr/local opt lib/systemd var/lib/sitelink* run/sitelink* run/systemd/network -printf '%p %M %u %g %l\n' |
  sed 's,[^ ]*/wg-quick@[^ /]*$,,' | sort
"""
Seen = collections.namedtuple("Seen", "keys first second")


def group_vars(name):
    return yaml.safe_load((INVENTORY / "group_vars" / "all" / name).read_text())


def filled(path, text, site):
    """A file of the archive with the secrets that it is without."""
    if path.endswith("/wg0.conf"):
        keys = MeshKeys(group_vars("mesh.yml")["wireguard_mesh_secret"], "sitelink")
        text = text.replace("@private key@", keys.private_key(site, 1))
        for other in SITES:
            text = text.replace(f"@preshared key with {other}@", keys.preshared_keys((site, 1), [(other, 1)])[0])
    return text.replace("@token@", group_vars("ddns.yml")["ddns_token"])


def written(*tops):
    """(path, text, mode) of what stands below these."""
    for name, file in WRITTEN.items():
        top, _, path = name.partition("/")
        if top in tops:
            yield path, "\n".join(file["lines"]), int(file["mode"], 8)


def program():
    """(path, data) of the early version's program."""
    argv = ["git", "-C", ROOT, "archive", f"{COMMIT}:roles/site_agent/files"]
    done = subprocess.run([*argv, "sitelink"], capture_output=True, timeout=300)
    if done.returncode:
        pytest.skip(f"the history does not reach back to {COMMIT}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            if member.isfile():
                yield f"usr/local/lib/sitelink/{member.name}", archive.extractfile(member).read()


def install(site):
    """The early version's installation on a site, without the run that made it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:

        def add(path, data, mode):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))

        for path, text, mode in written("both", site):
            add(path, filled(path, text, site).encode(), mode)
        for path, data in program():
            add(path, data, 0o644)
        add(f"usr/local/lib/sitelink/{WHEEL}", (ROOT / ".cache" / WHEEL).read_bytes(), 0o644)
        add("etc/sitelink/ddns-ca.pem", (STATE / "ca.pem").read_bytes(), 0o644)
    argv = [ROOT / "lab" / "lab", "exec", site, "--", "tar", "-x", "-C", "/"]
    subprocess.run(argv, input=packed.getvalue(), check=True, timeout=300)
    lab("exec", site, "--", "systemctl", "enable", *UNITS)


def make_inventory(path):
    """The early version's inventory, with what its operator had to write into it."""
    for name, text, _ in written("inventory"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)

    def write(name, values):
        text = (path / name).read_text() if (path / name).exists() else "---\n"
        (path / name).write_text(yaml.safe_dump({**(yaml.safe_load(text) or {}), **values}))

    for site in SITES:
        own = yaml.safe_load((INVENTORY / "host_vars" / f"{site}.yml").read_text())
        own.pop("ddns_publish_for", None)  # it did not know that
        write(f"host_vars/{site}.yml", own)
    connection = yaml.safe_load((INVENTORY / "group_vars" / "sites" / "connection.yml").read_text())
    write("group_vars/all/connection.yml", connection)
    secrets = {"wireguard_mesh_secret": group_vars("mesh.yml")["wireguard_mesh_secret"]}
    ddns = group_vars("ddns.yml")
    secrets["ddns_token"] = ddns.pop("ddns_token")
    write("group_vars/all/ddns.yml", ddns)
    write("group_vars/all/mesh.yml", {"wireguard_mesh_accept_published_secrets": True})
    write("group_vars/all/vault.yml", secrets)
    (path / ".vault-password").write_text(PASSWORD)
    run(
        "ansible-vault", "encrypt", "--vault-password-file", path / ".vault-password", path / "group_vars/all/vault.yml"
    )
    return path


def there(site):
    """What a site has, in names: files, tables and units."""
    tables = "nft list tables; ip rule | sed 's/from [0-9.]* to/from ADDRESS to/'"
    units = "systemctl list-units --all --plain --no-legend 'sitelink*' 'wg-quick*' | awk '{print $1, $2, $3, $4}'"
    return on(site, f"{LOOK}; {tables}; {units}").stdout.splitlines()


@pytest.fixture(scope="session")
def seen(tmp_path_factory):
    """What all tests look at: the old sites at work, a run over all, and another one."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    inventory = make_inventory(tmp_path_factory.mktemp("upgrade") / "inventory")
    for site in OLD:
        install(site)
    lab("reboot", *OLD, "--may-fail", "sitelink-ddns.service")
    wait_for(
        lambda: " 1 received" in on(OLD[0], "ping -c 1 -W 2 192.168.11.2").stdout,
        lambda: "the old sites do not reach each other: " + on(OLD[0], "/usr/local/sbin/sitelink status").stdout,
    )
    keys = {site: json.loads(on(site, "cat /etc/sitelink/mesh-wg0.json").stdout)["public_key"] for site in OLD}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_CONFIG", str(inventory / "ansible.cfg"))
        first = playbook("site", inventory=inventory, check=False, timeout=1800)
        wait_for_the_mesh()
        wait_for_the_names()
        second = playbook("site", "--diff", inventory=inventory, check=False, timeout=1800)
    return Seen(keys, first, second)
