# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong inventory fails before any site is reached, with all its faults at once. Every single fault: tests/unit/plugins."""

import shutil

import pytest

from conftest import ROOT, problems

STARTED = "PLAY [Join the sites into one mesh]"


def faults(done):
    """Those for which nothing began."""
    assert done.returncode != 0, done.stdout
    assert STARTED not in done.stdout, done.stdout
    return problems(done)


@pytest.mark.gate
def test_the_lab_itself_passes_the_check(inventory):
    done = inventory.playbook("site")
    assert STARTED in done.stdout
    # It then fails to reach the sites: there is no such Python.
    assert done.returncode != 0


@pytest.mark.gate
def test_all_faults_are_listed_at_once_whatever_the_limit(inventory):
    inventory.site("site-a", wireguard_mesh_address="192.168.12.1")
    inventory.site("site-b", wireguard_mesh_lan_subnets=["192.168.3.0/24"])
    inventory.site("site-c", ddns_hostname="Site_C", wireguard_mesh_port=0)
    assert faults(inventory.playbook("site", "--limit=site-a")) == [
        ("site-a", "wireguard_mesh_address"),
        ("site-c", "ddns_hostname"),
        ("site-c", "wireguard_mesh_lan_subnets"),  # whose network site-b has too
        ("site-c", "wireguard_mesh_port"),
    ]


def test_published_secrets_are_refused_outside_the_lab(inventory):
    inventory.change("group_vars/all/mesh.yml", wireguard_mesh_accept_published_secrets=None)
    done = inventory.playbook("site")
    assert faults(done) == [("All 3 sites", "ddns_token"), ("All 3 sites", "wireguard_mesh_secret")]
    assert "lab-mesh-secret" not in done.stdout and "lab-cloudflare-token" not in done.stdout


@pytest.mark.gate
def test_the_example_inventory_is_refused_only_for_its_published_secrets(tmp_path, inventory):
    shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example")
    (tmp_path / "password").write_text("example\n")
    inventory.directory = tmp_path / "example"
    inventory.change(
        "group_vars/all/connection.yml", ansible_connection="local", ansible_python_interpreter="/nonexistent"
    )
    password = f"--vault-password-file={tmp_path / 'password'}"
    found = faults(inventory.playbook("site", password))
    assert {variable for _, variable in found} == {"wireguard_mesh_secret", "ddns_token"}, found
    accept = ["-e", '{"wireguard_mesh_accept_published_secrets": true}']
    assert STARTED in inventory.playbook("site", password, *accept).stdout


@pytest.mark.parametrize(
    ("playbook", "argv", "words"),
    [
        ("watch", [], "site-b: watch_interval is"),
        ("clients", [], "No site has a peer in wireguard_mesh_external_peers"),
        ("doctor", ["-e", "lang=de"], "Write en or zh, or leave it out."),
        ("status", ["-e", "lang=de"], "Write en or zh, or leave it out."),
        ("site", ["-e", "wireguard_mesh_interface="], "on the command line (-e). Write"),
    ],
)
def test_other_playbooks_say_what_is_wrong_before_they_do_anything(inventory, tmp_path, playbook, argv, words):
    if playbook == "watch":
        inventory.site("site-b", watch_interval="often")
    done = inventory.playbook(playbook, *argv, PWD=str(tmp_path))
    assert done.returncode != 0 and words in done.stdout and STARTED not in done.stdout, done.stdout
    assert not (tmp_path / "clients").exists() and "UNREACHABLE" not in done.stdout
    assert "/usr/local/sbin/sitelink" not in done.stdout


def test_a_serial_without_a_value_is_all_at_once(inventory):
    """Ansible itself ends with a traceback at one."""
    assert STARTED in inventory.playbook("site", "-e", "sitelink_serial=").stdout
