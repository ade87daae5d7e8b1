# SPDX-License-Identifier: GPL-3.0-or-later
"""Slips that operators make, each with the words that they are told and that both guides quote."""

import pathlib
import re
import shutil

import pytest

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


# Where a guide has an ellipsis, there is a path that only this computer has.
SLIPS = [
    (nothing, ["--vault-password-file=/nonexistent/.vault-password"], "The vault password file … was not found"),
    (no_vault_password, [], "Attempting to decrypt but no vault secrets found"),
    (
        wrong_vault_password,
        ["--vault-password-file={directory}/../password"],
        "Decryption failed (no vault secrets were found that could decrypt)",
    ),
    (tab, [], "host_vars/site-b.yml, line 7: cannot be read as YAML. It begins with a tab. Write blanks instead."),
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
