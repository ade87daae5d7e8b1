# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's table of each site of a mesh, rendered by Ansible itself from the plan."""

import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLAY = f"""
- hosts: sites
  gather_facts: false
  vars_files: [{ROOT}/roles/tr069_firewall/defaults/main.yml, {ROOT}/roles/tr069_firewall/vars/main.yml]
  tasks:
    - ansible.builtin.import_tasks: {ROOT}/roles/wireguard_mesh/tasks/preflight.yml
    - ansible.builtin.template:
        src: {ROOT}/roles/tr069_firewall/templates/firewall.nft.j2
        dest: "{{{{ playbook_dir }}}}/{{{{ inventory_hostname }}}}.nft"
        mode: "0600"
"""


def site(number, **options):
    """The variables of one site."""
    return {
        "ddns_hostname": f"site-{number}.example.com",
        "ddns_token": "a-token-for-tests",
        "wireguard_mesh_secret": "a-mesh-secret-for-tests-that-is-long-enough",
        "wireguard_mesh_address": f"192.168.11.{number}",
        **options,
    }


def render(directory, hosts):
    """Write directory/SITE.nft for each {site: variables}."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "wireguard_mesh_interface": "wg0",
    }
    (directory / "hosts.yml").write_text(yaml.safe_dump({"sites": {"vars": common, "hosts": hosts}}))
    (directory / "play.yml").write_text(PLAY)
    subprocess.run(["ansible-playbook", "-i", directory / "hosts.yml", directory / "play.yml"], check=True, cwd=ROOT)
