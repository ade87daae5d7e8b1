# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's first run on systems as they are in the world.

What fails today is expected to, and says what is wrong; when it passes, this is red until the mark is taken away.
"""

import pytest

from sitelab.shapes import SUDO_PASSWORD

from conftest import OVERLAY, SITES, before, inside, told
from lab_tests import recap, wait_for

NO_LISTS = "apt's lists are empty, and no role reads them before it installs a package"


def each_shape(**wrong):
    """All shapes; those are expected to fail, of which is said here what is wrong."""
    marks = {shape: [pytest.mark.xfail(strict=True, raises=AssertionError, reason=why)] for shape, why in wrong.items()}
    return pytest.mark.parametrize("shape", [pytest.param(shape, marks=marks.get(shape, [])) for shape in SITES])


@each_shape(bare=NO_LISTS)
def test_the_first_run_comes_to_its_end(seen, shape):
    assert told(seen.first, shape) == ""


@each_shape(bare=NO_LISTS)
def test_the_second_run_changes_nothing(seen, shape):
    assert told(seen.second, shape) == ""
    assert recap(seen.second)[SITES[shape]]["changed"] == 0


def test_no_run_prints_the_password_for_sudo(seen):
    assert SUDO_PASSWORD not in seen.second.stdout + seen.second.stderr


@pytest.mark.parametrize("when", ["applied", "rebooted"])
@each_shape()
def test_nothing_but_an_address_came_from_the_carrier(seen, shape, when):
    """Also where eth1 was configured by the system itself before the role came."""
    old, now = before(shape), getattr(seen, when)[shape]
    assert [route for route in now["routes4"] if " dev eth0 " in route] == old["routes4"]
    assert [
        route for route in now["routes4"] if " dev eth1 " in route and route.startswith(("default", "192.168."))
    ] == []
    assert [route for route in now["routes6"] if " dev wg0 " not in route] == old["routes6"]
    assert {key: now[key] for key in ("resolv_conf", "hosts", "hostname")} == {
        key: old[key] for key in ("resolv_conf", "hosts", "hostname")
    }
    assert now["links"]["eth0"] == old["links"]["eth0"]
    assert now["links"]["eth1"] == old["links"]["eth1"]


@each_shape(bare=NO_LISTS)
def test_it_reaches_the_others_over_the_mesh(seen, shape):
    others = [other for other in SITES if other != shape and not told(seen.first, other)]
    assert len(others) > 1
    assert told(seen.first, shape) == ""
    for other in others:
        wait_for(
            lambda other=other: " 1 received" in inside(shape, f"ping -c 1 -W 2 {OVERLAY[other]}", check=False),
            lambda other=other: f"{shape} does not reach {other}: {inside(shape, 'sitelink status', check=False)}",
        )
