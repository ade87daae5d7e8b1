# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway with every network manager. Run by `scripts/test gateway` (Debian 12) and `scripts/test gateways` (the others)."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "molecule" / "shared")]

from lab_stacks import MISSING, STACKS, World, wanted

DEBIAN_12 = ["netplan", "networkd", "networkmanager", "ifupdown-dhclient", "ifupdown-dhcpcd"]
CHOSEN = wanted(STACKS if os.environ.get("SITELINK_STACKS") else DEBIAN_12)
WITHOUT = [name for name in os.environ.get("SITELINK_STACKS", "").split() if name in MISSING]
ROLES = [{"role": "sitelink.tr069.nic_dhcp"}, {"role": "sitelink.tr069.tr069_gateway"}]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: the lab")
    made = World(tmp_path_factory.mktemp("gateway"), CHOSEN, ROLES)
    made.make()
    return made


@pytest.fixture(params=CHOSEN + [pytest.param(name, marks=pytest.mark.skip(reason=MISSING[name])) for name in WITHOUT])
def site(world, request):
    return world.sites[request.param]
