# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artefact holds: all that belongs to the collection, and nothing that only lay about."""

import pathlib
import subprocess
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Whoever adds a name here says that operators need it.
TOP = {
    "CHANGELOG.rst", "COPYING", "FILES.json", "MANIFEST.json", "README.md", "README.zh-CN.md", "bindep.txt", "changelogs",
    "docs", "inventories", "meta", "monitoring", "playbooks", "plugins", "requirements.txt", "roles",
}  # fmt: skip


@pytest.fixture(scope="module")
def artefact():
    (path,) = (ROOT / "dist").glob("sitelink-tr069-*.tar.gz")
    with tarfile.open(path) as archive:
        yield {member.name: member for member in archive.getmembers() if not member.isdir()}


def tracked(*directories):
    done = subprocess.run(["git", "ls-files", "-z", *directories], check=True, stdout=subprocess.PIPE, cwd=ROOT)
    return {name for name in done.stdout.decode().split("\0") if name}


def test_nothing_unexpected_stands_at_the_top(artefact):
    assert {name.split("/")[0] for name in artefact} - TOP == set()


def test_every_file_is_one_of_the_repository(artefact):
    assert set(artefact) - {"FILES.json", "MANIFEST.json"} - tracked() == set()


def test_all_that_operators_need_is_there(artefact):
    wanted = tracked(
        "docs", "meta", "playbooks", "plugins", "roles", "inventories/example", "bindep.txt", "requirements.txt"
    )
    assert wanted - set(artefact) == set()


def test_only_ordinary_files_of_ordinary_size(artefact):
    assert [member.name for member in artefact.values() if not member.isfile() or member.size > 500_000] == []
