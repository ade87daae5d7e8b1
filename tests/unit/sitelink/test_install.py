# SPDX-License-Identifier: GPL-3.0-or-later
"""How the program's files get to a site: install.py, on every Python that a site may have."""

import base64
import json
import os
import subprocess
import sys

import pytest

SCRIPT = os.path.join(os.path.dirname(__file__), "../../../roles/site_agent/files/install.py")


@pytest.fixture
def site(tmp_path):
    (tmp_path / "old.py").write_text("old\n")
    (tmp_path / "same.py").write_text("same\n")
    return tmp_path


def install(directory, write, remove=()):
    """As the role does: the script as an argument, what is to be done as base64 on standard input, in no locale."""
    with open(SCRIPT, encoding="utf-8") as file:
        script = file.read()
    orders = base64.b64encode(json.dumps({"write": write, "remove": list(remove)}).encode())
    subprocess.run(
        [sys.executable, "-Ic", script, str(directory)], input=orders + b"\n", check=True, env={"LC_ALL": "C"}
    )


def files(directory):
    return {path.name: path.read_bytes().decode() for path in directory.iterdir()}


def test_files_are_written_and_removed_and_others_are_left(site):
    install(site, {"new.py": "# 光猫\nx = 1\n", "old.py": "newer\r\n"}, ["same.py"])
    assert files(site) == {"new.py": "# 光猫\nx = 1\n", "old.py": "newer\r\n"}
    assert {os.stat(str(path)).st_mode & 0o777 for path in site.iterdir()} == {0o644}


def test_in_check_mode_nothing_is_touched(site):
    before = files(site)
    install("/dev/null", {"new.py": "x = 1\n"}, ["old.py"])
    assert files(site) == before
