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


def test_a_group_of_its_own_is_planned(inventory):
    """wireguard_mesh_group, said once, with some of the sites in that group."""
    inventory.write("hosts.yml", {"sites": {"hosts": dict.fromkeys(("site-a", "site-b", "site-c"))},
                                  "vpn": {"hosts": dict.fromkeys(("site-a", "site-b", "site-c"))}})  # fmt: skip
    inventory.change("group_vars/all/mesh.yml", wireguard_mesh_group="vpn")
    assert "PLAY [Join the sites into one mesh]" in inventory.playbook("site").stdout
    inventory.write("hosts.yml", {"sites": {"hosts": dict.fromkeys(("site-a", "site-b", "site-c"))},
                                  "vpn": {"hosts": dict.fromkeys(("site-a", "site-b"))}})  # fmt: skip
    inventory.change("host_vars/site-a.yml", ddns_publish_for=["site-b"])
    said = inventory.playbook("site").stdout
    assert "PLAY [Join the sites into one mesh]" in said, said
    assert "fatal: [site-a]" in said and "fatal: [site-c]" not in said, said  # it is not in the mesh
    # New keys are for that group's mesh as well.
    said = inventory.playbook("rotate_keys", "-e", "sites=site-a").stdout
    judged, told, _ = said.partition("PLAY [Plan the mesh with the new keys]")[2].partition("PLAY [Tell all sites]")
    assert "Refuse an inventory with faults" in judged and told, said
