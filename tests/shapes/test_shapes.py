# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's first run on systems as they are in the world."""

import re

import pytest
import yaml

from sitelab.shapes import SUDO_PASSWORD

from conftest import OVERLAY, SIGNS, SITES, before, changed, in_the_inventory, inside, told
from lab_tests import recap, wait_for

each_shape = pytest.mark.parametrize("shape", SITES)


@each_shape
def test_the_site_was_what_its_shape_says(seen, shape):
    assert [sign for sign in SIGNS[shape][1] if sign not in seen.fresh[shape]] == [], seen.fresh[shape]


@each_shape
def test_the_first_run_comes_to_its_end(seen, shape):
    assert not told(seen.first, shape), told(seen.first, shape)


@each_shape
def test_the_second_run_changes_nothing(seen, shape):
    assert not told(seen.second, shape), told(seen.second, shape)
    assert changed(seen.second, shape) == []


def test_no_run_prints_a_secret(seen):
    assert recap(seen.second)["site-a"]["ok"] > 0
    vault = in_the_inventory(seen.inventory, "ansible-vault", "view", "group_vars/all/vault.yml", check=True).stdout
    values = yaml.safe_load(vault)
    assert values["ansible_become_password"] == SUDO_PASSWORD and len(values) == 3
    assert [name for name, value in values.items() if value in seen.second.stdout + seen.second.stderr] == []


def test_the_first_run_of_a_new_inventory_warns_of_nothing(seen):
    said = seen.first.stdout + seen.first.stderr
    assert "[WARNING]" not in said and "[DEPRECATION" not in said, said


@pytest.mark.parametrize("when", ["applied", "rebooted"])
@each_shape
def test_nothing_but_an_address_came_from_the_carrier(seen, shape, when):
    """Also where the system itself had configured eth1 before the role came."""
    old, now = before(shape), getattr(seen, when)[shape]
    assert [route for route in now["routes4"] if " dev eth0 " in route] == old["routes4"]
    # Of the routes by eth1 only the one that its address brings.
    assert [" proto kernel " in route for route in now["routes4"] if " dev eth1 " in route] == [True]
    assert [route for route in now["routes6"] if " dev wg0 " not in route] == old["routes6"]
    for key in ("resolv_conf", "hosts", "hostname"):
        assert now[key] == old[key], key
    for nic in ("eth0", "eth1"):
        assert now["links"][nic] == old["links"][nic], nic


@each_shape
def test_it_reaches_the_others_over_the_mesh(seen, shape):
    """After it was booted again."""
    for other in set(SITES) - {shape}:
        wait_for(
            lambda other=other: " 1 received" in inside(shape, f"ping -c 1 -W 2 {OVERLAY[other]}", check=False),
            lambda other=other: f"{shape} does not reach {other}: {inside(shape, 'sitelink status', check=False)}",
        )


# The tests below install the site with the cloud image's files anew.
def test_a_slip_in_another_file_of_netplan_is_told_and_the_nic_is_closed_by_then(slipped):
    said = re.sub(r"\s+", " ", told(slipped.first, "cloud"))
    assert "90-third-nic.yaml" in said and "adresses" in said, said
    assert "chain nic_in" in slipped.table, slipped.table


def test_the_run_after_the_slip_is_mended_goes_through(slipped):
    assert not told(slipped.second, "cloud"), told(slipped.second, "cloud")
    assert "sitelink" in slipped.file, slipped.file
    assert len([route for route in slipped.after["routes4"] if " dev eth1 " in route]) == 1
