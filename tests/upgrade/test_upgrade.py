# SPDX-License-Identifier: GPL-3.0-or-later
"""A site of an early version is brought up to date by one run, and is then like one that was made today."""

import re

import pytest

from conftest import NEW, OLD, there
from lab_tests import SITES, dead_pairs, on, recap, wait_for


def test_one_run_comes_to_its_end(seen):
    counts = recap(seen.first)
    assert all(counts[site]["failed"] == counts[site]["unreachable"] == 0 for site in SITES), seen.first.stdout[-6000:]


def test_the_second_run_changes_nothing(seen):
    counts = recap(seen.second)
    assert [(counts[site]["failed"], counts[site]["changed"]) for site in SITES] == [(0, 0)] * 3, seen.second.stdout


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_inventory_of_then_is_one_of_today(seen, run):
    done = getattr(seen, run)
    said = re.findall(r"(?i)^.*(?:\[warning\]|deprecat).*$", done.stdout + done.stderr, re.MULTILINE)
    assert said == []


@pytest.mark.parametrize("site", OLD)
def test_it_has_what_a_new_site_has_and_nothing_else(seen, site):
    def difference():
        found, wanted = there(site), there(NEW)
        return {"too much": sorted(set(found) - set(wanted)), "missing": sorted(set(wanted) - set(found))}

    wait_for(lambda: not any(difference().values()), difference)


@pytest.mark.parametrize("site", OLD)
def test_the_kernel_has_the_settings_that_it_has_on_a_new_site(seen, site):
    def settings(name):
        found = on(name, "sysctl -a 2>/dev/null").stdout
        wanted = r"(?m)^(net\.ipv[46]\.(?:conf|neigh)\.(?:all|default|eth0|eth1|wg0)\..*|net\.ipv4\.ip_forward) = (.*)$"
        # One is random. The other the new site may have heard in a router advertisement, before the role came.
        chance = ("stable_secret", "ipv6.conf.eth1.mtu")
        return {key: value for key, value in re.findall(wanted, found) if not key.endswith(chance)}

    found, wanted = settings(site), settings(NEW)
    assert len(found) > 100
    assert {key: (found.get(key), value) for key, value in wanted.items() if found.get(key) != value} == {}
    assert set(found) == set(wanted)


@pytest.mark.parametrize("site", OLD)
def test_the_keys_are_those_of_before(seen, site):
    assert on(site, "wg show wg0 public-key").stdout.strip() == seen.keys[site]


def test_every_site_reaches_every_other(seen):
    wait_for(lambda: not dead_pairs(), lambda: f"{dead_pairs()} are dead")


@pytest.mark.parametrize("site", OLD)
def test_nothing_is_wrong_with_it(seen, site):
    wait_for(
        lambda: on(site, "sitelink status").rc == 0,
        lambda: on(site, "sitelink status").stdout,
    )
