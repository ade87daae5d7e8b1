# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway with every network manager of Debian 12. Run by `scripts/test gateway`."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from lab_stacks import World, wanted

CHOSEN = wanted(["netplan", "networkd", "networkmanager", "ifupdown-dhclient", "ifupdown-dhcpcd"])
ROLES = [{"role": "sitelink.tr069.nic_dhcp"}, {"role": "sitelink.tr069.tr069_gateway"}]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    made = World(tmp_path_factory.mktemp("gateway"), CHOSEN, ROLES)
    made.make()
    return made


@pytest.fixture(params=CHOSEN)
def site(world, request):
    return world.sites[request.param]
