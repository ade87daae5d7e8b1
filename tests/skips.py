# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks of pytest, for conftest.py: every reason for a skip is printed, and in CI one that is not allowed fails the session.

Runs on Python 3.6 and pytest 7.0 too.
"""

import collections
import os
import re

ALLOWED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "allowed-skips")
_reasons = collections.Counter()


def allowed(reason):
    """Whether CI may skip a test for this reason."""
    with open(ALLOWED) as file:
        lines = [line.rstrip("\n") for line in file]
    return any(re.fullmatch(line, reason) for line in lines if line and not line.startswith("#"))


def _note(report):
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        _reasons[re.sub("^Skipped: ", "", report.longrepr[2])] += 1


def pytest_collectreport(report):
    """A module that is skipped as a whole."""
    _note(report)


def pytest_runtest_logreport(report):
    _note(report)


def _refused():
    return sorted(reason for reason in _reasons if os.environ.get("CI") and not allowed(reason))


def pytest_sessionfinish(session):
    if _refused() and session.exitstatus in (0, 5):  # all passed, or nothing ran
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    for reason in sorted(_reasons):
        terminalreporter.write_line(f"SKIPPED: {reason} ({_reasons[reason]})")
    for reason in _refused():
        terminalreporter.write_line(
            "FAILED in CI, where nothing may be skipped but what tests/allowed-skips names: " + reason
        )
