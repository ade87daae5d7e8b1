# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong inventory fails before any site is reached, with all its faults at once."""

import pytest

STARTED = "PLAY [Join the sites into one mesh]"


def faults(done):
    assert done.returncode != 0, done.stdout
    assert STARTED not in done.stdout, done.stdout
    return done.stdout


@pytest.mark.gate
def test_the_lab_itself_passes_the_check(inventory):
    done = inventory.playbook("site")
    assert STARTED in done.stdout
    # It then fails to reach the sites: there is no such Python.
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("site", "changes", "variable"),
    [
        ("site-b", {"wireguard_mesh_address": None}, "wireguard_mesh_address"),
        ("site-b", {"wireguard_mesh_address": "192.168.11.1"}, "wireguard_mesh_address"),
        ("site-b", {"wireguard_mesh_address": "192.168.12.2"}, "wireguard_mesh_address"),
        ("site-b", {"wireguard_mesh_address": "192.168.11。2"}, "wireguard_mesh_address"),
        ("site-b", {"wireguard_mesh_lan_subnets": ["192.168.1.128/25"]}, "wireguard_mesh_lan_subnets"),
        ("site-b", {"wireguard_mesh_lan_subnets": ["192.168.11.0/25"]}, "wireguard_mesh_lan_subnets"),
        ("site-b", {"ddns_hostname": "site-a.lab.test"}, "ddns_hostname"),
        ("site-b", {"wireguard_mesh_private_key": "c2hvcnQga2V5"}, "wireguard_mesh_private_key"),
        ("site-b", {"wireguard_mesh_public_key": "c2hvcnQga2V5"}, "wireguard_mesh_public_key"),
        ("site-b", {"ddns_provider": "cloudfare"}, "ddns_provider"),
        ("site-b", {"wireguard_mesh_port": 99999}, "wireguard_mesh_port"),
        ("site-b", {"tr069_firewall_allow": [{"protocol": "tcp", "ports": [0]}]}, "tr069_firewall_allow"),
    ],
)
def test_one_fault_is_named_with_its_site_and_variable(inventory, site, changes, variable):
    inventory.site(site, **changes)
    text = faults(inventory.playbook("site"))
    assert any(site in line and variable in line for line in text.splitlines()), text


def test_an_overlay_inside_the_underlay_is_refused(inventory):
    inventory.change("group_vars/all/mesh.yml", wireguard_mesh_network="10.9.0.0/24")
    for index, site in enumerate(("site-a", "site-b", "site-c"), 1):
        inventory.site(site, wireguard_mesh_address=f"10.9.0.{index}")
    assert "wireguard_mesh_network" in faults(inventory.playbook("site"))


def test_a_site_name_that_cannot_be_a_file_name_is_refused(inventory):
    inventory.write("hosts.yml", {"sites": {"hosts": {"site-a": None, "site-b": None, "site c/d": None}}})
    inventory.write("host_vars/all.yml", {})
    assert "site c/d" in faults(inventory.playbook("site"))


@pytest.mark.gate
def test_all_faults_are_listed_at_once_whatever_the_limit(inventory):
    inventory.site("site-a", wireguard_mesh_address="192.168.12.1")
    inventory.site("site-b", wireguard_mesh_lan_subnets=["192.168.3.0/24"])
    inventory.site("site-c", ddns_hostname="Site_C", wireguard_mesh_port=0)
    text = faults(inventory.playbook("site", "--limit=site-a"))
    for words in (("site-a", "wireguard_mesh_address"), ("site-b", "wireguard_mesh_lan_subnets"),
                  ("site-c", "ddns_hostname"), ("site-c", "wireguard_mesh_port")):  # fmt: skip
        assert any(all(word in line for word in words) for line in text.splitlines()), (words, text)


def test_published_secrets_are_refused_outside_the_lab(inventory):
    inventory.change("group_vars/all/mesh.yml", wireguard_mesh_accept_published_secrets=None)
    text = faults(inventory.playbook("site"))
    for variable in ("wireguard_mesh_secret", "ddns_token"):
        assert any(variable in line for line in text.splitlines()), text
    assert "lab-mesh-secret" not in text and "lab-cloudflare-token" not in text


@pytest.mark.gate
def test_the_example_inventory_is_refused_only_for_its_published_secrets(tmp_path, inventory):
    import shutil

    from conftest import ROOT

    shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example")
    (tmp_path / "password").write_text("example\n")
    inventory.directory = tmp_path / "example"
    inventory.change(
        "group_vars/all/connection.yml", ansible_connection="local", ansible_python_interpreter="/nonexistent"
    )
    password = f"--vault-password-file={tmp_path / 'password'}"
    text = faults(inventory.playbook("site", password))
    assert "wireguard_mesh_secret" in text and "ddns_token" in text and "wireguard_mesh_address" not in text
    accept = ["-e", '{"wireguard_mesh_accept_published_secrets": true}']
    assert STARTED in inventory.playbook("site", password, *accept).stdout
