# SPDX-License-Identifier: GPL-3.0-or-later
"""Slips that operators make, each with the words that they are told and that both guides quote."""

import pathlib
import re
import shutil

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = pathlib.Path(__file__).resolve().parents[2]
STARTED = "PLAY [Join the sites into one mesh]"


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def tab(directory):
    with open(directory / "host_vars" / "site-b.yml", "a") as stream:
        stream.write("\tddns_ttl: 60\n")


def full_width_colon(directory):
    replace(directory / "host_vars" / "site-b.yml", "wireguard_mesh_address:", "wireguard_mesh_address：")


def twice(directory):
    with open(directory / "host_vars" / "site-b.yml", "a") as stream:
        stream.write("wireguard_mesh_address: 192.168.11.9\n")


def wrong_ending(directory):
    (directory / "host_vars" / "site-b.yml").rename(directory / "host_vars" / "site-b.yml.txt")


def full_width_dot(directory):
    replace(directory / "host_vars" / "site-a.yml", "192.168.11.1", "192。168。11。1")


def not_in_the_group(directory):
    replace(directory / "hosts.yml", "site-b:", "# site-b:")


def in_another_group(directory):
    with open(directory / "hosts.yml", "a") as stream:
        stream.write("site:\n  hosts:\n    site-b:\n")
    replace(directory / "hosts.yml", "    site-b:\n    site-c:", "    site-c:")


def misnamed(directory):
    (directory / "host_vars" / "site-b.yml").rename(directory / "host_vars" / "siteb.yml")


def misspelt(directory):
    replace(directory / "host_vars" / "site-a.yml", "wireguard_mesh_address", "wireguard_mesh_adress")


def no_vault_password(directory):
    example = ROOT / "inventories" / "example" / "group_vars" / "all" / "vault.yml"
    (directory / "group_vars" / "all" / "vault.yml").write_text(example.read_text())


def wrong_vault_password(directory):
    no_vault_password(directory)
    (directory.parent / "password").write_text("another one\n")


def encrypt(path, text, password="a password", vault_id="default"):
    """As ansible-vault does it."""
    vault = VaultLib([(vault_id, VaultSecret(password.encode()))])
    path.write_bytes(vault.encrypt(text, vault_id=vault_id))


def in_the_vault(directory, text="# Of our zone:\nddns_token: !s3cret\n"):
    """As the READMEs have the operator do it."""
    (directory.parent / "password").write_text("a password\n")
    replace(directory / "group_vars/all/ddns.yml", "ddns_token:", "# ddns_token:")
    encrypt(directory / "group_vars/all/vault.yml", text)


def hidden_by_an_empty_line(directory):
    in_the_vault(directory, "ddns_token: of-an-operator\nansible_become_password: s3cret\n")
    with open(directory / "group_vars/sites/connection.yml", "a") as stream:
        stream.write("ansible_become_password:\n")


def variable_of_ones_own(directory):
    with open(directory / "host_vars" / "site-a.yml", "a") as stream:
        stream.write("tr069_note: behind the door\n")


def notes(directory):
    (directory / "deploy.sh").write_text("#!/bin/sh\nansible-playbook sitelink.tr069.site\n")


def no_inventory(directory):
    """As in another directory, where there is none."""
    shutil.rmtree(directory)
    directory.mkdir()


def nothing(directory):
    pass


PASSWORD = "--vault-password-file={directory}/../password"

# Where a guide has an ellipsis, there is a path that only this computer has.
SLIPS = [
    (nothing, ["--vault-password-file=/nonexistent/.vault-password"], "The vault password file … was not found"),
    (no_vault_password, [], "Attempting to decrypt but no vault secrets found"),
    (
        wrong_vault_password,
        [PASSWORD],
        "Decryption failed (no vault secrets were found that could decrypt)",
    ),
    (tab, [], "host_vars/site-b.yml, line 7: cannot be read as YAML. It begins with a tab. Write blanks instead."),
    (in_the_vault, [PASSWORD], "group_vars/all/vault.yml, line 2: a value that begins with ! is a tag to YAML."),
    (
        hidden_by_an_empty_line,
        [PASSWORD],
        "ansible_become_password is empty here, and hides the one in group_vars/all/vault.yml. Take the line out.",
    ),
    (full_width_colon, [], "It has a full-width colon. Write a colon and a blank"),
    (twice, [], "stands in line 3 already, and only one of the two counts"),
    (wrong_ending, [], "Ansible does not read a file with this ending. Rename it to site-b.yml."),
    (full_width_dot, [], "Write 192.168.11.1, with the keyboard in English (half-width) mode."),
    (not_in_the_group, [], "host_vars/site-b.yml: the inventory has no host of this name"),
    (in_another_group, [], "site-b: is not in the group sites (but in site)"),
    (misnamed, [], "host_vars/siteb.yml: the inventory has no host of this name"),
    (misspelt, [], "site-a: wireguard_mesh_address is missing."),
    (variable_of_ones_own, [], "is not known to sitelink.tr069"),
    (notes, [], "because everything in this directory is part of the inventory"),
    (nothing, ["--limit=site-aa"], "Could not match supplied host pattern, ignoring: site-aa"),
    (no_inventory, [], "has no group sites, or no host in it"),
]


# Seen where such a controller is made: tests/publish.
ELSEWHERE = ["-m pip install cryptography jmespath netaddr"]
# The words of the two others are those of the plan: tests/unit/plugins.
FROM_END_TO_END = [slip for slip in SLIPS if slip[0] not in (full_width_dot, misspelt)]


@pytest.mark.parametrize(("slip", "argv", "words"), FROM_END_TO_END, ids=lambda value: getattr(value, "__name__", None))
def test_a_slip_is_told_and_nothing_begins(inventory, slip, argv, words):
    slip(inventory.directory)
    done = inventory.playbook("site", *[word.format(directory=inventory.directory) for word in argv])
    assert done.returncode != 0
    assert re.search(re.escape(words).replace("…", ".+"), done.stdout) and STARTED not in done.stdout, done.stdout


def test_a_file_that_cannot_be_read_is_all_that_is_said_of_its_site(inventory):
    tab(inventory.directory)
    text = inventory.playbook("site").stdout
    assert "is missing" not in text, text


@pytest.mark.parametrize("path", ["host_vars/site-a.yml", "group_vars/all/zz.yml"])
@pytest.mark.parametrize("argv", [(), ("--limit=site-c",)], ids=["all", "limit"])
def test_a_file_that_ansible_itself_ends_at_is_named_and_not_shown(inventory, path, argv):
    """The first host's, or one that is read for the controller as well, where Ansible's own words may hold the line."""
    with open(inventory.directory / path, "a") as stream:
        stream.write("ddns_token: s3cret: x\n")
    done = inventory.playbook("site", *argv)
    assert done.returncode != 0 and STARTED not in done.stdout
    assert re.search(path + ", line [0-9]+: cannot be read as YAML", done.stdout), done.stdout
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("ddns_token: s3cret: ONE\n", 1, "cannot be read as YAML"),
        ("x: 1\nddns_token: !s3cret\n", 2, "Put the value into quotes."),
        ("ddns_token: s3cret\nddns_token: s3cret\n", 2, "stands in line 1 already"),
        ("s3cret: 1\ns3cret: 2\n", 2, "stands in line 1 already"),
        ("vars:\n  ddns_token: s3cret\n", 2, "ddns_token stands below vars:"),
    ],
)
@pytest.mark.parametrize("argv", [(), ("--limit=site-c",)], ids=["all", "limit"])
def test_a_slip_in_the_vault_is_told_and_nothing_of_the_vault_is_shown(inventory, text, line, words, argv):
    in_the_vault(inventory.directory, text)
    done = inventory.playbook("site", PASSWORD.format(directory=inventory.directory), "-vvv", *argv)
    assert done.returncode != 0 and STARTED not in done.stdout
    assert f"group_vars/all/vault.yml, line {line}: " in done.stdout and words in done.stdout, done.stdout
    shown = "s3cret" in done.stdout
    assert not shown, "the vault"


@pytest.mark.parametrize("slip", [no_vault_password, wrong_vault_password])
def test_a_vault_that_cannot_be_opened_has_the_same_words_under_limit(inventory, slip):
    slip(inventory.directory)
    [(argv, words)] = [(argv, words) for other, argv, words in SLIPS if other is slip]
    argv = [word.format(directory=inventory.directory) for word in argv]
    done = inventory.playbook("site", *argv, "--limit=site-c")
    assert done.returncode != 0 and words in done.stdout and STARTED not in done.stdout, done.stdout


@pytest.mark.parametrize("argv", [[], [PASSWORD]], ids=["no password", "ours"])
def test_encrypted_files_of_others_stop_nobody(inventory, argv):
    """Their password is another one, and Ansible does not need it here."""
    if argv:
        in_the_vault(inventory.directory, "ddns_token: of-an-operator\n")
    with open(inventory.directory / "hosts.yml", "a") as stream:
        stream.write("routers:\n  hosts:\n    router:\n")
    for path in ("group_vars/routers.yml", "host_vars/router.yml"):
        encrypt(inventory.directory / path, "x: s3cret: x\n", password="theirs", vault_id="theirs")
    done = inventory.playbook("site", *[word.format(directory=inventory.directory) for word in argv])
    assert STARTED in done.stdout, done.stdout


@pytest.mark.parametrize("configured", [True, False])
def test_a_secret_that_stands_twice_is_told_and_not_shown(inventory, configured):
    """Not even by Ansible's own warning, whatever the ansible.cfg of an older inventory says."""
    with open(inventory.directory / "group_vars/all/ddns.yml", "a") as stream:
        stream.write("ddns_token: s3cret\n" * 2)
    more = {} if configured else {"ANSIBLE_DUPLICATE_YAML_DICT_KEY": "warn"}
    done = inventory.playbook("site", **more)
    assert done.returncode != 0 and STARTED not in done.stdout
    assert '"ddns_token" stands in line ' in done.stdout and "s3cret" not in done.stdout, done.stdout


def in_the_guide(words):
    """The guide's sites have names of places."""
    words = words.replace("site-aa", "shenzen").replace("siteb.yml", "dongguang.yml")
    return words.replace("site-a", "shenzhen").replace("site-b", "dongguan")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_guide_quotes_these_words_and_no_others(language):
    guide = (ROOT / "docs" / language / "guide.md").read_text()
    [table] = [rows for rows in re.findall(r"(?:^\|.*\n)+", guide, re.MULTILINE) if "Attempting to decrypt" in rows]
    quoted = [re.findall(r"(?<!\\)\| `?(.*?)`? (?=\|)", row)[1] for row in table.splitlines()[2:]]
    assert sorted(set(quoted)) == sorted({*(in_the_guide(words) for _, _, words in SLIPS), *ELSEWHERE})
