# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory hides: files that are encrypted as a whole, names that stand twice, passwords behind a line without a value."""

import binascii
import shutil

import pytest
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files import problems as inventory_files
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import known_variables
from test_inventory_files import GROUPS, ROOT, write

VAULT = "group_vars/all/vault.yml"


@pytest.fixture
def inventory(tmp_path):
    shutil.copytree(ROOT / "inventories" / "lab", tmp_path / "inventory")
    write(tmp_path / "inventory/group_vars/all/ddns.yml", "")
    return tmp_path / "inventory"


def encrypted(text, by=b"AES256"):
    data = text if isinstance(text, bytes) else text.encode()
    return b"$ANSIBLE_VAULT;1.1;" + by + b"\n" + binascii.hexlify(data) + b"\n"


def opened(data):
    head, _, text = data.partition(b"\n")
    return binascii.unhexlify(text.strip()) if head.endswith(b";AES256") else None


def problems(*sources, groups=None):
    return inventory_files.problems(list(map(str, sources)), groups or GROUPS, known_variables(), opened)


@pytest.mark.parametrize(
    ("text", "line", "words", "unreadable"),
    [
        ("ddns_token: s3cret: ONE\n", 1, "A value with a colon and a blank in it has to stand in quotes.", True),
        ("ddns_token: !s3cret\n", 1, "a value that begins with ! is a tag to YAML. Put the value into quotes.", True),
        ("x: 1\nddns_token: !valut s3cret\n", 2, "a value that begins with ! is a tag", True),
        ("ddns_token: s3cret\nddns_token: s3cret\n", 2, '"ddns_token" stands in line 1 already', True),
        ("ansible_become_password: s3cret\nansible_become_password: s3cret\n", 2, '"ansible_become_password"', True),
        ("s3cret: 1\ns3cret: 2\n", 2, "(a name) stands in line 1 already", True),
        ("wireguard_mesh_port: 022000\n", 1, "wireguard_mesh_port holds what YAML reads as another number.", False),
        ("vars:\n  ddns_token: s3cret\n", 2, "ddns_token stands below vars:, where nothing reads it.", False),
        ("site-b:\n  ddns_token: s3cret\n", 2, "ddns_token stands below (a name):", False),
        ("wireguard_mesh_state: s3cret\n", 0, "wireguard_mesh_state is not present for all sites.", False),
        ("wireguard_mesh_port: 22000\n", 1, "stands in group_vars/all/mesh.yml already", False),
        ("- s3cret\n", 1, "holds no lines like `name: value`.", True),
        ("s3cret\n", 1, "holds no lines like `name: value`.", True),
        ("ddns_token：s3cret\n", 1, "It has a full-width colon.", True),
        ("ddns_id: 1\n\tddns_token: s3cret\n", 2, "It begins with a tab.", True),
        ("ddns_token: s3cret 深圳\n".encode("gbk"), 1, "is no UTF-8 text.", True),
        ("? [s3cret]\n: 1\n", 1, "cannot be read as YAML.", True),
        ("ddns_token: *s3cret\n", 1, "cannot be read as YAML.", True),
        ("ddns_token: 's3cret\n", 0, "cannot be read as YAML.", True),
    ],
)
def test_a_slip_in_an_encrypted_file_is_told_without_what_stands_there(inventory, text, line, words, unreadable):
    """A plain file may tell more: the value of a port, or a name that stands twice."""
    write(inventory / "group_vars/all/mesh.yml", "wireguard_mesh_port: 22000\n")
    if words.startswith("wireguard_mesh_port holds"):
        write(inventory / "group_vars/all/mesh.yml", "")
    write(inventory / VAULT, encrypted(text))
    [problem] = problems(inventory)
    message = problem["message"]
    assert message.startswith(f"{VAULT}, line {line}: " if line else VAULT) and words in message, message
    assert "s3cret" not in message and "022000" not in message and problem["unreadable"] is unreadable


@pytest.mark.parametrize(
    "text",
    [
        "wireguard_mesh_secret: s3cret\n",
        '{"ddns_id": "x"}',
        "wireguard_mesh_state: present\n",
        "ansible_become_password: x\n",
    ],
)
def test_a_right_encrypted_file_says_nothing(inventory, text):
    write(inventory / "group_vars/all/mesh.yml", "")
    write(inventory / VAULT, encrypted(text))
    assert problems(inventory) == []


@pytest.mark.parametrize(
    "path", [VAULT, "group_vars/routers.yml", "host_vars/site-b.yml", "hosts.yml", "hosts", "hosts.ini"]
)
def test_a_file_that_cannot_be_opened_is_left_to_ansible(inventory, path):
    """Of others, perhaps, whose password this run does not need."""
    write(inventory / path, encrypted("ddns_token: s3cret: x\n", by=b"AES256;theirs"))
    assert problems(inventory, groups={**GROUPS, "routers": []}) == []


@pytest.mark.parametrize("first", ["ddns.yml", "zz.yml"])
def test_a_variable_in_a_plain_file_beside_the_encrypted_one_is_told(inventory, first):
    write(inventory / "group_vars/all/mesh.yml", "")
    write(inventory / VAULT, encrypted("x: 1\nddns_token: s3cret\n"))
    write(inventory / "group_vars/all" / first, "ddns_token: s3cret\n")
    [problem] = problems(inventory)
    assert "ddns_token stands in group_vars/all/" in problem["message"] and "s3cret" not in problem["message"]


def test_an_encrypted_file_with_a_wrong_ending_is_told(inventory):
    write(inventory / "group_vars/all/vault.yml.txt", encrypted("ddns_token: s3cret\n"))
    [problem] = problems(inventory)
    assert problem["message"].endswith("Rename it to vault.yml.")


@pytest.mark.parametrize(
    "text",
    [
        "sites:\n  hosts:\n    s3cret: x\n",
        "sites:\n  s3cret: x\n  hosts: {}\n",
        "sites:\n  ansible_s3cret: x\n",
        "sites:\n  hosts:\n    ansible_s3cret: x\n",
        "ansible_s3cret: x\nsites:\n",
        "sites:\n  hosts: s3cret s3cret\n",
        "sites:\n  hosts: {s3cret: {vars: {ddns_token: s3cret}}}\n",
    ],
)
def test_an_encrypted_list_of_hosts_is_not_shown(inventory, text):
    write(inventory / "hosts.yml", encrypted(text))
    found = problems(inventory)
    assert found and "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("text", "line", "unreadable"),
    [
        ("ddns_token: s3cret\nddns_token: s3cret\n", 2, True),
        ("ansible_become_password: s3cret\nansible_become_password: s3cret\n", 2, True),
        ("mine: {a: [[{b: 1}, {b: s3cret, b: s3cret}]]}\n", 1, True),
        ("ddns_extra:\n  - line: s3cret\n    line: s3cret\n", 3, True),
        ("mine:\n  - - a: s3cret\n      a: s3cret\n", 3, True),
        ("? {a: s3cret,\n   a: s3cret}\n: 1\n", 1, True),
        ("tr069_firewall_allow:\n  - port: 1\n    port: 2\n", 3, False),
        ('{"ddns_token": "s3cret",\n"ddns_token": "s3cret"}\n', 2, True),
        ('{"mine": {"a": "s3cret",\n"a": "s3cret"}}\n', 2, True),
    ],
)
@pytest.mark.parametrize("path", ["host_vars/site-b.yml", "group_vars/all/zz.yml"])
def test_a_name_that_stands_twice_is_told_at_every_depth(inventory, path, text, line, unreadable):
    """Before Ansible reads the file, where its warning would show both lines, and they may hold a secret."""
    write(inventory / path, text)
    [problem] = problems(inventory)
    assert problem["message"].startswith(f"{path}, line {line}: ") and "s3cret" not in problem["message"]
    assert problem["unreadable"] is unreadable


@pytest.mark.parametrize(
    "text",
    ["mine: &a {b: *a}\n", "mine: &a [*a, 1]\n", "a: &a {b: 1}\nc: *a\nd: [*a, *a]\n", "mine: {80: a, '80': b}\n"],
)
def test_what_stands_twice_by_its_name_only_is_right(inventory, text):
    write(inventory / "host_vars/site-b.yml", text)
    assert problems(inventory) == []


NAMES = ["ansible_become_password", "ansible_become_pass", "ansible_password", "ansible_ssh_pass"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["group_vars/sites/connection.yml", "host_vars/site-b.yml", "group_vars/all/zz.yml"])
def test_a_password_that_an_empty_line_hides_is_told(inventory, name, path):
    write(inventory / VAULT, encrypted(f"{name}: s3cret\n"))
    write(inventory / path, f"# For sudo:\n{name}:\n")
    [problem] = problems(inventory)
    words = f"{path}, line 2: {name} is empty here, and hides the one in {VAULT}. Take the line out."
    assert problem == {"file": path, "message": words, "unreadable": False}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({"group_vars/sites/connection.yml": ""}, []),
        ({"group_vars/all/a.yml": "", "group_vars/all/b.yml": "x"}, []),
        ({"group_vars/all/a.yml": "x", "host_vars/site-b.yml": "''"}, []),
        ({"group_vars/all/a.yml": "x", "host_vars/site-b.yml": "null"}, []),
        ({"group_vars/all/a.yml": "x", "group_vars/sites/c.yml": "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  32"}, []),
        ({"group_vars/all/a.yml": "", "group_vars/sites/c.yml": "x"}, []),
        ({"group_vars/all/a.yml": "x", "group_vars/sites/c.yml": "", **dict.fromkeys((f"host_vars/{n}.yml" for n in GROUPS["sites"]), "x")}, []),
        ({"group_vars/all/a.yml": "x", "group_vars/sites/c.yml": "", "group_vars/north.yml": "x"}, ["group_vars/sites/c.yml"]),
        ({"group_vars/all/a.yml": "x", "group_vars/routers.yml": ""}, []),
        ({"group_vars/sites/c.yml": "x", "host_vars/site-b.yml": ""}, ["host_vars/site-b.yml"]),
        ({"group_vars/all/a.yml": "x", "group_vars/sites/c.yml": "", "host_vars/site-b.yml": ""},
         ["group_vars/sites/c.yml", "host_vars/site-b.yml"]),
    ],
)  # fmt: skip
def test_an_empty_line_that_hides_nothing_is_nobodys_slip(inventory, lines, told):
    for path, value in lines.items():
        write(inventory / path, f"ansible_become_password: {value}\n")
    groups = {**GROUPS, "north": ["site-b"], "routers": []}
    assert sorted(problem["file"] for problem in problems(inventory, groups=groups)) == told
