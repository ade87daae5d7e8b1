# SPDX-License-Identifier: GPL-3.0-or-later
"""The role nic_dhcp with every network manager. Run by `scripts/test backends`."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from lab_stacks import MISSING, STACKS, World, wanted

CHOSEN = wanted(STACKS)


def chosen(table):
    """The part of a table by stacks that is about those that run."""
    return {name: what for name, what in table.items() if name in CHOSEN}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    made = World(tmp_path_factory.mktemp("backends"), CHOSEN, [{"role": "sitelink.tr069.nic_dhcp"}])
    made.make()
    return made


@pytest.fixture(
    params=CHOSEN + [pytest.param(name, marks=pytest.mark.skip(reason=why)) for name, why in MISSING.items()]
)
def site(world, request):
    return world.sites[request.param]
