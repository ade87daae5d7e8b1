# SPDX-License-Identifier: GPL-3.0-or-later
"""A WireGuard interface that went away behind its unit's back comes back; one that somebody stopped does not."""

import pytest

from sitelink import revive


class Clock:
    """A loop whose timers run when the test lets time pass."""

    def __init__(self):
        self.now, self.timers = 0, []

    def after(self, seconds, callback):
        timer = Timer(self.now + seconds, callback)
        self.timers.append(timer)
        return timer

    def run(self, seconds):
        end = self.now + seconds
        while True:
            due = sorted(
                (timer for timer in self.timers if timer.callback and timer.at <= end), key=lambda timer: timer.at
            )
            if not due:
                break
            self.now = due[0].at
            callback, due[0].callback = due[0].callback, None
            callback()
        self.now = end


class Timer:
    def __init__(self, at, callback):
        self.at, self.callback = at, callback

    def cancel(self):
        self.callback = None


class Site:
    def __init__(self, state="active", job="0"):
        self.loop, self.state, self.job = Clock(), state, job
        self.there, self.restarts = False, []
        self.helps = True  # whether a restart brings the interface back
        self.revive = revive.Revive(self.loop, "wg0", lambda: not self.there, self.execute)

    def execute(self, argv):
        assert argv[-1] == "wg-quick@wg0.service"
        if argv[1] == "show":
            return 0, "ActiveState=%s\nJob=%s\n" % (self.state, self.job)
        assert argv[:3] == ["systemctl", "restart", "--no-block"]
        self.restarts.append(self.loop.now)
        self.there = self.helps
        self.state = "active" if self.helps else "failed"
        return 0, ""


def test_an_interface_that_was_deleted_comes_back_within_seconds():
    site = Site()
    site.revive.missing()
    site.loop.run(4)
    assert site.restarts == [1] and site.there
    site.loop.run(600)
    assert site.restarts == [1]


def test_who_says_it_twice_is_heard_once():
    site = Site()
    site.revive.missing()
    site.revive.missing()
    site.loop.run(4)
    assert len(site.restarts) == 1


def test_a_unit_that_somebody_stopped_stays_stopped():
    site = Site(state="inactive")
    for _ in range(5):
        site.revive.missing()
        site.loop.run(60)
    assert site.restarts == []


def test_a_unit_that_failed_on_its_own_is_left_to_the_operator():
    site = Site(state="failed")
    site.revive.missing()
    site.loop.run(600)
    assert site.restarts == []


@pytest.mark.parametrize("state", ["activating", "deactivating", "active"])
def test_a_restart_that_is_under_way_is_not_disturbed(state):
    site = Site(state=state, job="1234")
    site.revive.missing()
    site.loop.run(3)
    assert site.restarts == []
    site.there = True
    site.loop.run(600)
    assert site.restarts == []


def test_what_does_not_help_is_tried_again_at_longer_intervals():
    site = Site()
    site.helps = False
    site.revive.missing()
    site.loop.run(300)
    assert site.restarts[0] == 1
    gaps = [after - before for before, after in zip(site.restarts, site.restarts[1:])]
    assert gaps[:3] == [5, 15, 60] and set(gaps[3:]) == {60}
    site.there = True
    site.revive.present()
    site.loop.run(300)
    site.there = False
    before = len(site.restarts)
    site.state = "active"
    site.revive.missing()
    site.loop.run(2)
    assert len(site.restarts) == before + 1


def test_where_systemctl_says_nothing_nothing_is_done():
    site = Site()
    site.execute_before, site.revive.execute = site.execute, lambda argv: (1, "Failed to connect to bus")
    site.revive.missing()
    site.loop.run(600)
    assert site.restarts == []
