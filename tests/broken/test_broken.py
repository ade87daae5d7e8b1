# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is cut off is finished by the next one: the same files, and the same of them loaded."""

import time

from conftest import ONE, SITE, TWO, differences
from lab_tests import lab, recap

SECONDS = 600  # for the cuts; a machine that is slower tries less of them, and says so


def test_a_run_that_is_cut_off_behind_any_change_is_finished_by_the_next(site):
    """In turn from one way to be set up to the other, each time cut off one change later."""
    wanted = []
    for variables in (TWO, ONE):
        site.play(variables)
        wanted.append(site.settled())
    assert all(not found["service"] for found in wanted), "what an uninterrupted run leaves is what it says"
    assert len(differences(*wanted)) > 20, "the two ways differ in much"
    tried, after, left, end = [], 0, set(), time.monotonic() + SECONDS
    while len(left) < 2 and time.monotonic() < end:  # until both ways were gone to their ends
        after += 1
        number = (after + 1) % 2
        variables = (TWO, ONE)[number]
        if site.play(variables, after) is None:
            tried.append(site.log.read_text())
            site.play(variables)
        else:
            left.add(number)
        found = differences(site.settled(), wanted[number])
        assert not found, f"cut off behind change {after}, {tried[-1:]}:\n" + "\n".join(found)
    print("cut off behind:", *tried, sep="\n  ")
    assert len(tried) >= 8, tried


def test_a_first_run_that_is_cut_off_behind_each_of_its_changes_comes_to_the_same_end(site):
    """Every run does one change more and is cut off."""
    site.play(ONE)
    wanted = site.settled()
    lab("reinstall", SITE)
    runs = 1
    while site.play(ONE, 1) is None:
        runs += 1
        assert runs < 80, site.log.read_text()
    found = differences(site.settled(), wanted)
    assert not found, "\n".join(found)
    assert recap(site.play(ONE))[SITE]["changed"] == 0
    print("runs:", runs)
