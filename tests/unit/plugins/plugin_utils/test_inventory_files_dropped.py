# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts that Ansible leaves out, and values that one of them has twice: the mesh would be made without a site, or by chance."""

import ansible.constants as C
import pytest
from test_inventory_files import problems, the_problem, write

ONE = "sites:\n  hosts:\n    dongguan:\n      ansible_host: 192.168.1.3\n"
GROUPS = {"all": ["site-a", "site-b", "site-c"], "ungrouped": [], "sites": ["site-a", "site-b", "site-c"]}


@pytest.fixture
def inventory(tmp_path):
    """As new_inventory makes it."""
    for name in GROUPS["sites"]:
        write(tmp_path / f"inventory/hosts/{name}.yml", ONE.replace("dongguan", name))
    write(tmp_path / "inventory/sites.yml", "sites:\n")
    write(tmp_path / "inventory/host_vars/site-a.yml", "nic_dhcp_mtu: 1400\n")
    return tmp_path / "inventory"


def told(inventory):
    return problems(inventory / "hosts", inventory / "sites.yml", groups=GROUPS)


@pytest.mark.parametrize(
    "name", ["dongguan.YML", "dongguan.ymal", "dongguan.yaml1", "dongguan.yml.txt", "dongguan.txt"]
)
def test_a_list_with_an_ending_that_ansible_does_not_read_is_told(inventory, name):
    write(inventory / "hosts" / name, ONE)
    [problem] = told(inventory)
    assert problem["file"] == f"hosts/{name}" and "Rename it to dongguan" in problem["message"]


@pytest.mark.parametrize(
    "text",
    [
        "sites:\n  hosts:\n    dongguan:\n  vars:\n    - nic_dhcp_mtu: 1400\n",
        "sites:\n  hosts:\n    dongguan:\n  children: [a]\n",
        'sites:\n  hosts:\n    "dongguan[1:]":\n      ansible_host: 192.168.1.3\n',
        'sites:\n  hosts:\n    "":\n      ansible_host: 192.168.1.3\n',
        "1001:\n  hosts:\n    dongguan:\n      ansible_host: 192.168.1.3\nsites:\n",
        "sites:\n  hosts:\n    dongguan:\n      ansible_host: !!python/name:os.system\n",
        "null:\n  hosts:\n    dongguan:\n      ansible_host: 192.168.1.3\n",
    ],
)
def test_a_list_that_ansible_cannot_read_is_told(inventory, text):
    write(inventory / "hosts/dongguan.yml", text)
    [problem] = told(inventory)
    assert problem["file"] == "hosts/dongguan.yml" and problem["message"].startswith("hosts/dongguan.yml")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dongguan.json", '{"sites": {"hosts": {"dongguan": {"ansible_host": "192.168.1'),
        ("dongguan.ini", ONE),
        ("dongguan", "[sites\ndongguan ansible_host=192.168.1.3\n"),
        ("dongguan.ini", "[sites\ndongguan ansible_host=192.168.1.3\n"),
        ("dongguan.yml", "- sites:\n    hosts:\n      dongguan:\n        ansible_host: 192.168.1.3\n"),
        ("dongguan", "sites:\n\thosts:\n\t\tdongguan:\n\t\t\tansible_host: 192.168.1.3\n"),
        ("dongguan", '{"sites": {"hosts": {"dongguan": {"ansible_host": "192.168.1'),
    ],
)
def test_a_list_in_another_form_that_ansible_cannot_read_is_told(inventory, name, text):
    write(inventory / "hosts" / name, text)
    found = told(inventory)
    if name.endswith(tuple(C.INVENTORY_IGNORE_EXTS)):  # ansible-core 2.16 passes over .ini in a directory
        assert found == []
        return
    [problem] = found
    assert problem["file"] == f"hosts/{name}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dongguan.yml.bak", ONE),
        ("dongguan.yml.orig", ONE),
        ("dongguan.yml~", ONE),
        ("site-a.yml.txt", ONE.replace("dongguan", "site-a")),
        ("notes.txt", "hosts: see the wiki\nall is well\n"),
        ("README.txt", "sites:\n  hosts:\nhow to add one\n"),
        ("cloud.yml", "plugin: community.general.proxmox\nwireguard_mesh_port: 22000\n"),
        ("more.json", '{"sites": {"hosts": {"site-a": {"ansible_host": "192.168.1.9"}}}}'),
        ("empty.yml", "---\n# sites:\n"),
        ("range", "[sites]\nsite-[a:c]\n"),
        ("NOTES.YML", "a: b\n"),
        ("package.JSON", '{"name": "x"}'),
        ("deploy.sh", "ansible-playbook -e ansible_host=1.2.3.4 site.yml\nall: done\n"),
        ("tool.py", "ansible_host = 'x'\nhosts: list = []\n"),
        ("x.sh.j2", "wireguard_mesh_port: 1\n"),
        ("site-a.conf", ONE.replace("dongguan", "site-a")),
        ("q.txt", "sites: &x\n  hosts: {}\n  y: *x\n"),
        ("quotes.ini", '[sites]\nsite-a\n[sites:vars]\nansible_user="root"\nansible_user=root\n'),
    ],
)
def test_copies_notes_and_other_forms_of_lists_are_left_alone(inventory, name, text):
    write(inventory / "hosts" / name, text)
    assert told(inventory) == []


@pytest.mark.parametrize(
    ("name", "text"), [("Makefile", "all:\n\techo x\n"), ("play.yml", "- name: x\n  hosts: sites\n  tasks: []\n")]
)
def test_what_is_no_list_at_all_gets_the_advice_that_helps(inventory, name, text):
    write(inventory / "hosts" / name, text)
    assert all("goes on without it" not in problem["message"] for problem in told(inventory))


def test_a_script_is_not_run(inventory, tmp_path):
    write(inventory / "hosts/cloud", f"#!/bin/sh\n# --list\ntouch {tmp_path}/ran\necho '[sites]'\n")
    (inventory / "hosts/cloud").chmod(0o755)
    assert told(inventory) == [] and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[sites]\nsite-a wireguard_mesh_address=192.168.11.3 wireguard_mesh_address=192.168.11.4\n",
        "[sites]\nsite-a wireguard_mesh_address=192.168.11.3\n[west]\nsite-a wireguard_mesh_address=192.168.11.4\n",
        "[sites]\nsite-a\n[sites:vars]\nnic_dhcp_mtu=1400\nnic_dhcp_mtu = 1500\n",
        "[sites]\nsite-a ansible_host=192.168.1.3 ansible_host=192.168.1.4\n",
    ],
)
def test_a_value_that_an_ini_list_has_twice_is_told(tmp_path, text):
    write(tmp_path / "hosts.ini", text)
    assert "only one of the two counts" in the_problem(tmp_path / "hosts.ini")["message"]
    write(
        tmp_path / "hosts.ini",
        text.replace("192.168.11.4", "192.168.11.3").replace("1500", "1400").replace("1.4", "1.3"),
    )
    assert problems(tmp_path / "hosts.ini") == []


@pytest.mark.parametrize("name", ["hosts.json", "hosts.yml"])
def test_a_key_that_a_list_in_json_has_twice_is_told(tmp_path, name):
    text = '{"sites": {"hosts": {"site-a": {"ansible_port": 22, "ansible_port": 23}}}}'
    write(tmp_path / name, text)
    assert "ansible_port" in the_problem(tmp_path / name)["message"]
    write(tmp_path / name, text.replace(', "ansible_port": 23', ""))
    assert problems(tmp_path / name) == []


def test_a_character_that_nobody_sees_is_told_with_its_line(inventory):
    write(inventory / "host_vars/site-a.yml", "---\nnic_dhcp_mtu: 1400\nnote: x\x07y\n")
    [problem] = problems(inventory, groups=GROUPS)
    assert (
        problem["message"] == "host_vars/site-a.yml, line 3: holds a character that nobody sees (U+0007). Take it out."
    )


def test_a_dash_without_a_blank_is_told_with_its_line(inventory):
    write(
        inventory / "host_vars/site-a.yml",
        "---\nwireguard_mesh_lan_subnets:\n  -192.168.4.0/24\nnic_dhcp_mtu: 1400\nx: [\n",
    )
    write(
        inventory / "host_vars/site-b.yml",
        "---\nwireguard_mesh_lan_subnets:\n  - 192.168.3.0/24\n  -192.168.4.0/24\nnic_dhcp_mtu: 1400\n",
    )
    assert any(
        "A blank is missing behind the dash" in problem["message"] for problem in problems(inventory, groups=GROUPS)
    )
