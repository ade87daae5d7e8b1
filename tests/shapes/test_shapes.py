# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's first run on systems as they are in the world.

A shape with which something is wrong today is expected to fail, and says what; when it passes, this is red until its line
in WRONG is taken away.
"""

import pytest

from sitelab.shapes import SUDO_PASSWORD

from conftest import OVERLAY, SITES, before, inside, not_served, strays, told
from lab_tests import recap, wait_for

WRONG = {
    "bare": "apt's lists are empty, and no role reads them before it installs a package",
    # Which of the two it is depends on the moment: the kernel takes eth0's default route or eth1's, whose metrics are equal.
    "cloud": "the file that netplan makes of all-eth is in force for eth1, not ours: a run refuses eth1 because it carries the "
    "default route, or ends well and leaves the carrier's routes",
}
each_shape = pytest.mark.parametrize(
    "shape",
    [
        pytest.param(
            shape,
            marks=[pytest.mark.xfail(strict=True, raises=AssertionError, reason=WRONG[shape])]
            if shape in WRONG
            else [],
        )
        for shape in SITES
    ],
)


@each_shape
def test_the_first_run_comes_to_its_end(seen, shape):
    assert not not_served(seen, shape), not_served(seen, shape)


@each_shape
def test_the_second_run_changes_nothing(seen, shape):
    assert not not_served(seen, shape)
    assert not told(seen.second, shape), told(seen.second, shape)
    assert recap(seen.second)[SITES[shape]]["changed"] == 0


def test_no_run_prints_the_password_for_sudo(seen):
    assert recap(seen.second)["site-a"]["ok"] > 0
    assert SUDO_PASSWORD not in seen.second.stdout + seen.second.stderr


@pytest.mark.parametrize("when", ["applied", "rebooted"])
@each_shape
def test_nothing_but_an_address_came_from_the_carrier(seen, shape, when):
    """Also where the system itself had configured eth1 before the role came."""
    assert not not_served(seen, shape)
    old, now = before(shape), getattr(seen, when)[shape]
    assert [route for route in now["routes4"] if " dev eth0 " in route] == old["routes4"]
    assert strays(now["routes4"]) == []
    assert [route for route in now["routes6"] if " dev wg0 " not in route] == old["routes6"]
    for key in ("resolv_conf", "hosts", "hostname"):
        assert now[key] == old[key], key
    for nic in ("eth0", "eth1"):
        assert now["links"][nic] == old["links"][nic], nic


@each_shape
def test_it_reaches_the_others_over_the_mesh(seen, shape):
    """After it was booted again."""
    assert not not_served(seen, shape)
    others = [other for other in SITES if other != shape and not not_served(seen, other)]
    assert others
    for other in others:
        wait_for(
            lambda other=other: " 1 received" in inside(shape, f"ping -c 1 -W 2 {OVERLAY[other]}", check=False),
            lambda other=other: f"{shape} does not reach {other}: {inside(shape, 'sitelink status', check=False)}",
        )
