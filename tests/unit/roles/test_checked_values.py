# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates go by the value that was checked, not by the words that the inventory has: `no` in an INI file is text."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


def render(*templates):
    """A task that writes SITE.json, {name: text}. The module `template` would take a second of CPU for each."""
    texts = ", ".join(
        f"'{name.rpartition('/')[2]}': lookup('ansible.builtin.template', '{ROOT}/roles/{name}.j2')"
        for name in templates
    )
    return f"""
    - ansible.builtin.copy:
        content: "{{{{ {{{texts}}} | to_json }}}}"
        dest: "{{{{ playbook_dir }}}}/{{{{ inventory_hostname }}}}.json"
        mode: "0600"
"""


PLAY = f"""
- hosts: sites
  gather_facts: false
  vars_files: [{ROOT}/roles/tr069_firewall/defaults/main.yml, {ROOT}/roles/tr069_firewall/vars/main.yml]
  tasks:
    - ansible.builtin.import_tasks: {ROOT}/roles/wireguard_mesh/tasks/preflight.yml
{render("tr069_firewall/templates/firewall.nft", "tr069_firewall/templates/firewall.json", "wireguard_mesh/templates/sysctl.conf")}
"""
INVENTORY = """
[sites]
{lines}
[sites:vars]
ansible_connection=local
ansible_python_interpreter={python}
wireguard_mesh_interface=wg0
wireguard_mesh_secret=a-mesh-secret-for-tests-that-is-long-enough
ddns_token=a-token-for-tests
"""
WORDS = {"a": "true", "b": "yes", "c": "on", "d": "True", "e": "false", "f": "no", "g": "off", "h": "False"}
FORWARDING = {"a", "b", "c", "d"}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """{site: {file: text}} of sites that say the same in the words of an INI inventory."""
    directory = tmp_path_factory.mktemp("rendered")
    lines = [
        f"site-{name} wireguard_mesh_address=192.168.11.{number} ddns_hostname=site-{name}.example.com "
        f"wireguard_mesh_lan_subnets='[\"192.168.{number}.0/24\"]' wireguard_mesh_lan_gateway={word}"
        for number, (name, word) in enumerate(WORDS.items(), 1)
    ]
    (directory / "hosts.ini").write_text(INVENTORY.format(lines="\n".join(lines), python=sys.executable))
    (directory / "play.yml").write_text(PLAY)
    done = subprocess.run(
        ["ansible-playbook", "-i", directory / "hosts.ini", directory / "play.yml"],
        text=True,
        capture_output=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
    return {site: json.loads((directory / f"site-{site}.json").read_text()) for site in WORDS}


@pytest.mark.parametrize("site", WORDS)
def test_a_site_that_says_no_does_not_forward(rendered, site):
    files = rendered[site]
    forwards = site in FORWARDING
    assert ("net.ipv4.ip_forward = 1" in files["sysctl.conf"]) == forwards
    number = 1 + list(WORDS).index(site)
    lan = files["firewall.nft"].partition("set lan_ip {")[2].partition("}")[0]
    assert (f"192.168.{number}.0/24" in lan) == forwards
    assert json.loads(files["firewall.json"])["lan_subnets"] == ([f"192.168.{number}.0/24"] if forwards else [])


EMPTY_PLAY = f"""
- hosts: sites
  gather_facts: false
  tasks:
    - ansible.builtin.import_tasks: {ROOT}/roles/wireguard_mesh/tasks/preflight.yml

- hosts: sites
  gather_facts: false
  vars_files:
    - {ROOT}/roles/tr069_firewall/defaults/main.yml
    - {ROOT}/roles/tr069_firewall/vars/main.yml
    - {ROOT}/roles/tr069_gateway/defaults/main.yml
    - {ROOT}/roles/tr069_gateway/vars/main.yml
  tasks:
{render("tr069_firewall/templates/firewall.nft", "tr069_gateway/templates/gateway.json")}
"""
EMPTY = """
tr069_interface:
tr069_networks: ""
tr069_table:
tr069_fwmark:
tr069_rule_priority:
tr069_gateway_source:
tr069_firewall_open_in:
"""


def run(directory, *argv):
    return subprocess.run(
        ["ansible-playbook", "-i", directory / "hosts.ini", *argv, directory / "play.yml"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip


def test_a_variable_without_a_value_is_the_same_as_none(tmp_path):
    line = "site-a wireguard_mesh_address=192.168.11.1 ddns_hostname=site-a.example.com"
    (tmp_path / "hosts.ini").write_text(INVENTORY.format(lines=line, python=sys.executable))
    (tmp_path / "play.yml").write_text(EMPTY_PLAY)
    files = []
    for given in ("", EMPTY):
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        (tmp_path / "group_vars" / "all.yml").write_text("---\n" + given)
        done = run(tmp_path)
        assert done.returncode == 0, done.stdout
        files.append(json.loads((tmp_path / "site-a.json").read_text()))
    assert files[0] == files[1] and '"eth1"' in files[0]["firewall.nft"]
    # Nothing in an inventory beats the command line, nor what is read from one.
    done = run(tmp_path, "-e", "tr069_interface=")
    assert done.returncode != 0 and "site-a: tr069_interface is" in done.stdout
    assert "on the command line (-e). Write" in done.stdout.replace("\n", " "), done.stdout


def test_the_check_may_be_left_out(tmp_path):
    """As in migrate, to undo: nobody has planned a mesh then."""
    checked = {"ansible.builtin.import_tasks": f"{ROOT}/roles/wireguard_mesh/tasks/preflight.yml", "when": "false"}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [checked]}]))
    done = subprocess.run(
        ["ansible-playbook", "-i", "site-x,", tmp_path / "play.yml"], text=True, capture_output=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout
