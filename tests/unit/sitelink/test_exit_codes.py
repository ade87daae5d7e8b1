# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sitelink status` ends with: verify and an operator's scripts go by it."""

import json

import pytest

from sitelink import cli, config, wg

FAULT = {"layer": "mesh", "message": "no answer"}


@pytest.mark.parametrize("faults, uid, code", [([], 0, 0), ([FAULT], 0, 1), ([], 1000, 2), ([FAULT], 1000, 2)])
def test_well_a_fault_and_what_only_root_can_tell(monkeypatch, capsys, faults, uid, code):
    monkeypatch.setattr(cli.status, "collect", lambda *about, **more: {"faults": faults})
    monkeypatch.setattr(cli.os, "geteuid", lambda: uid)
    assert cli.main(["status", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"faults": faults}


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), config.ConfigError("x"), wg.WgError("x")])
def test_a_status_that_cannot_be_told(monkeypatch, capsys, error):
    def collect(*about, **more):
        raise error

    monkeypatch.setattr(cli.status, "collect", collect)
    assert cli.main(["status"]) == 2
    assert "the status cannot be told" in capsys.readouterr().err
