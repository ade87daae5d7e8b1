# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lost pings the suites of the lab hold against a change, and which against the machine."""

import pathlib
import sys

import pytest

PAIR = ("site-b", "site-c")
DONE = "1000.5 site-b ansible-ansible.legacy.command[77]: Invoked with"


@pytest.fixture
def steady(monkeypatch, tmp_path):
    monkeypatch.setenv("SITELINK_LAB_STATE", str(tmp_path))
    shared = pathlib.Path(__file__).resolve().parents[3] / "molecule" / "shared"
    monkeypatch.setattr(sys, "path", [str(shared), *sys.path])
    import steady

    return steady


@pytest.mark.parametrize(
    ("sent", "when", "journal", "lost"),
    [
        (1356, [1013.7], DONE, 0),
        (1356, [1013.7], "", 0),
        (1356, [1005.0], DONE, 1),  # soon after something
        (1356, [1000.2], DONE, 1),  # the line comes when the module has begun
        (1356, [1013.7, 1005.0], DONE, 1),
        (1356, [1013.7, 1013.7], DONE, 2),  # two one behind the other are an interruption
        (1356, [1013.7, 1017.7], DONE, 2),  # more than a machine drops
        (2712, [1013.7, 1017.7], DONE, 0),
        (1356, [1013.7], "1012.0 site-b python3[7]: ansible-ansible.legacy.stat Invoked with", 1),
        (1356, [1013.7], "1012.0 site-b systemd[1]: Started sitelink-mesh@wg0.service", 1),
        (1356, [1013.7], "1012.0 site-b sitelink[9]: site-c: another endpoint", 1),
        (1356, [1013.7], "1012.0 site-b systemd-networkd[9]: wg0: Link DOWN", 1),
        (1356, [1013.7], "1012.0 site-b sshd[9]: Accepted publickey for root", 0),
        (0, [], DONE, -1),  # none came through at all
    ],
)
@pytest.mark.parametrize("where", PAIR)
def test_what_a_change_cost(steady, sent, when, journal, lost, where):
    pings = steady.Pings()
    pings[PAIR], pings.when[PAIR] = (sent, len(when) if sent else -1), when
    pings.spare({**dict.fromkeys(PAIR, ""), where: journal})
    assert pings[PAIR] == (sent, lost)
    assert (PAIR in pings.lost()) == (lost != 0)
