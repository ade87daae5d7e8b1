# SPDX-License-Identifier: GPL-3.0-or-later
"""300 peers: what WireGuard's own tools read out of the role's file, and give back, is the plan and nothing else."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.build import build
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import peers

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]

from sitelink import wg

from throwaway import Namespace

SECRET = "a-mesh-secret-for-tests-that-is-long-enough"
SITES = 301
OWN = "site-000"
PLAY = f"""
- hosts: sites
  gather_facts: false
  tasks:
    - ansible.builtin.import_tasks: {ROOT}/roles/wireguard_mesh/tasks/preflight.yml
    - ansible.builtin.template:
        src: {ROOT}/roles/wireguard_mesh/templates/wg.conf.j2
        dest: "{{{{ playbook_dir }}}}/{{{{ wireguard_mesh_interface }}}}.conf"
        mode: "0600"
"""


def render(directory, name, hostvars):
    """The role's template for one site of them."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "wireguard_mesh_interface": name,
        "wireguard_mesh_fwmark": "0x131",
    }
    inventory = {"sites": {"vars": common, "hosts": hostvars}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (directory / "play.yml").write_text(PLAY)
    subprocess.run(
        ["ansible-playbook", "-i", directory / "hosts.yml", f"--limit={OWN}", directory / "play.yml"],
        check=True, cwd=ROOT, stdout=subprocess.PIPE,
    )  # fmt: skip
    return directory / f"{name}.conf"


@pytest.fixture
def namespace(tmp_path):
    for tool in ("wg", "wg-quick", "wireguard-go"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        pytest.skip("needs root and /dev/net/tun")
    made = Namespace(tmp_path / "namespace")
    yield made
    made.destroy()


@pytest.mark.long
def test_three_hundred_peers_are_read_back_as_planned(namespace, tmp_path):
    name = f"sltm{os.getpid() % 1000000}"
    hostvars = {
        f"site-{number:03d}": {
            "ddns_hostname": f"site-{number}.example.com",
            "ddns_token": "a-token-for-tests",
            "wireguard_mesh_network": "192.168.0.0/16",
            "wireguard_mesh_network6": "fd5c:1d2e:3f40::/64",
            "wireguard_mesh_secret": SECRET,
            "wireguard_mesh_address": f"192.168.{number // 250}.{number % 250 + 1}",
            "wireguard_mesh_lan_subnets": [f"172.{16 + number // 250}.{number % 250}.0/24"],
        }
        for number in range(SITES)
    }
    plan = build(hostvars, hostvars)
    assert plan["problems"] == []
    planned = {
        peer["public_key"]: (peer["preshared_key"], frozenset(peer["allowed_ips"])) for peer in peers(plan, OWN, SECRET)
    }
    assert len(planned) == SITES - 1
    path = render(tmp_path, name, hostvars)

    def read(device):
        assert (device.port, device.fwmark) == (22000, 0x131)
        return {key: (peer.preshared_key, peer.allowed_ips) for key, peer in device.peers.items()}

    conf = wg.load_conf(str(path))
    assert read(conf) == planned
    namespace.sh(f"wg-quick up {path} >/dev/null 2>&1")
    # wg-quick would take the FwMark's number for a table of routes.
    routes = namespace.sh(f"ip route show table all dev {name}").splitlines()
    assert routes and all(" proto kernel " in route for route in routes), routes
    own = plan["sites"][OWN]
    with namespace.entered():
        running = wg.show(name)
        assert read(running) == planned and running.public_key == own["public_key"]
        assert read(wg.parse_conf(namespace.sh(f"wg showconf {name}"))) == planned
        addresses = namespace.sh(f"ip -o address show dev {name}")
        assert all(address in addresses for address in own["addresses"]) and len(own["addresses"]) == 2
        # Spoiled in many places, and put right from the file.
        keys = sorted(planned)
        for start in range(0, 200, 50):
            words = " ".join(f"peer {key} remove" for key in keys[start : start + 50])
            namespace.sh(f"wg set {name} {words}")
        namespace.sh(
            f"wg set {name} peer {keys[250]} allowed-ips 192.0.2.1/32 peer {keys[251]} preshared-key /dev/null"
        )
        assert len(wg.show(name).peers) == 100 and wg.differences(conf, wg.show(name))
        wg.apply(name, conf, wg.show(name))
        assert read(wg.show(name)) == planned and wg.differences(conf, wg.show(name)) == []
