# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is cut off is finished by the next one: the same files, and the same of them loaded."""

from conftest import ONE, SITE, TWO, differences
from lab_tests import lab, recap

CUTS = 8  # of one test, at most: each is a run of its own


def cut(site, variables):
    """Runs that are each cut off behind their first change, so that no change finds another one in its run; returns the tasks.

    A task behind which a run was cut off already is not counted: one that waits to be confirmed changes something in each run.
    """
    tasks = []
    while site.play(variables, len(tasks) < CUTS, but=tasks) is None:
        tasks.append(site.log.read_text())
    print(f"{len(tasks)} runs were cut off behind:", *tasks, sep="\n  ")
    return tasks


def check(site, wanted, told):
    found = differences(site.settled(), wanted)
    assert not found, f"{told}:\n" + "\n".join(found)


def test_changes_that_are_cut_off_come_to_the_same_end(site):
    wanted = {}
    for name, variables in (("two", TWO), ("one", ONE)):
        site.play(variables)
        wanted[name] = site.settled()
        assert wanted[name]["service"] == [], "it runs what is written"
    assert len(differences(wanted["one"], wanted["two"])) > 20, "the two ways to set the site up differ in much"
    tasks = cut(site, TWO)
    # The layers that differ; where one of them breaks off within is for tests/unit/plugins/module_utils/test_layer_broken_off.py.
    assert len(tasks) >= 4, tasks
    check(site, wanted["two"], tasks)
    # And several changes in one run.
    for after, name, variables in ((len(tasks) // 2, "one", ONE), (len(tasks) - 1, "two", TWO)):
        assert site.play(variables, after) is None
        site.play(variables)
        check(site, wanted[name], f"cut off behind change {after}, {site.log.read_text()}")
    assert recap(site.play(TWO))[SITE]["changed"] == 0


def test_a_first_run_that_is_cut_off_comes_to_the_same_end(site):
    site.play(ONE)
    wanted = site.settled()
    lab("reinstall", SITE)
    tasks = cut(site, ONE)
    check(site, wanted, tasks)
    assert recap(site.play(ONE))[SITE]["changed"] == 0
