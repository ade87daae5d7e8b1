# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators are told commands that they can type as they stand: they have the collection, not this checkout."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/en/*.md"), *ROOT.glob("docs/zh-CN/*.md")])
# What messages are made of.
CODE = sorted(
    path
    for pattern in (
        "plugins/**/*.py",
        "roles/*/files/**/*.py",
        "roles/*/tasks/*.yml",
        "roles/*/vars/*.yml",
        "playbooks/**/*.yml",
    )
    for path in ROOT.glob(pattern)
)
# Not a part of a path or of another file's name, nor what Ansible itself is given.
FILE = re.compile(rf"(?<![\w/.-])({'|'.join(sorted(PLAYBOOKS))})[.]yml\b")


def named(path):
    return str(path.relative_to(ROOT))


def lines(path):
    """A file's lines, without those that only Ansible reads and without comments."""
    return [line for line in path.read_text().splitlines() if not re.match(r"\s*#|.*(?:include|import)_\w+: ", line)]


@pytest.mark.parametrize("path", [*PAGES, *CODE], ids=named)
def test_a_playbook_is_called_by_its_name_in_the_collection(path):
    assert [line for line in lines(path) if FILE.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_a_page_is_one_of_the_collection(page):
    for command, name in re.findall(r"(ansible-playbook [^`\n]*?sitelink[.]tr069[.](\w+))", page.read_text()):
        assert name in PLAYBOOKS, command
        # The inventory that new_inventory made is found by the ansible.cfg beside it, and so is the vault's password.
        assert command == f"ansible-playbook sitelink.tr069.{name}", command
