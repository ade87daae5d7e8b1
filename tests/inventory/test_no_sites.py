# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that finds no site fails and says so: a check by cron in the wrong directory must not be green for ever."""

import subprocess

import pytest

from conftest import LIMIT, ROOT

PLAYBOOKS = sorted(
    path.stem for path in (ROOT / "playbooks").glob("*.yml") if path.stem not in ("new_inventory", "new_keys")
)


@pytest.mark.gate
@pytest.mark.parametrize("playbook", ["site", "verify"])
def test_a_directory_without_an_inventory_is_told(tmp_path, playbook):
    done = subprocess.run(
        ["ansible-playbook", f"sitelink.tr069.{playbook}"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode != 0
    assert "has no group sites" in done.stdout and "new_inventory" in done.stdout, done.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_misspelt_group_is_told_by_every_playbook(inventory, playbook):
    inventory.write("hosts.yml", {"site": {"hosts": dict.fromkeys(("site-a", "site-b", "site-c"))}})
    done = inventory.playbook(playbook)
    assert done.returncode != 0 and "has no group sites" in done.stdout, done.stdout
