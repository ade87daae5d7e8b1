# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be skipped in CI, and that anything else fails there."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[2]
MODULE = """
import pytest
{whole}
def test_passes():
    pass
@pytest.mark.skipif(True, reason={reason!r})
def test_is_skipped():
    pass
@pytest.mark.xfail(reason="known")
def test_fails_as_expected():
    assert False
"""
OLD, OTHER = "this machine has no Python 3.6", "needs nftables"


@pytest.fixture
def run(tmp_path):
    for name in ("conftest.py", "skips.py", "allowed-skips"):
        shutil.copy(TESTS / name, tmp_path)

    def run(reason, ci, *argv, whole=""):
        (tmp_path / "test_it.py").write_text(MODULE.format(reason=reason, whole=whole))
        environment = {key: value for key, value in os.environ.items() if key != "CI"}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what these tests do not need takes a second of each
        plugins = ["-p", "xdist"] if "-n" in argv else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *argv, "--rootdir", tmp_path, tmp_path],
            env={**environment, **({"CI": "true"} if ci else {})}, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize(
    ("reason", "ci", "argv", "expected"),
    [
        (OLD, True, [], 0),
        (OTHER, True, [], 1),
        (OTHER + "x", False, [], 0),
        pytest.param(OTHER, True, ["-n", "2"], 1, marks=pytest.mark.long),
    ],
)
def test_a_skip_in_ci_is_a_failure_unless_it_is_allowed(run, reason, ci, argv, expected):
    code, text = run(reason, ci, *argv)
    assert code == expected, text
    assert f"SKIPPED: {reason} (1)\n" in text and ("FAILED in CI" in text) == bool(expected)


@pytest.mark.parametrize(
    ("reason", "argv", "expected"),
    [
        pytest.param(OLD, [], 5, marks=pytest.mark.long),
        pytest.param(OTHER, [], 1, marks=pytest.mark.long),
        (OTHER, ["-n", "2"], 1),
    ],
)
def test_a_module_that_is_skipped_as_a_whole_counts(run, reason, argv, expected):
    code, text = run("never seen", True, *argv, whole=f"pytest.skip({reason!r}, allow_module_level=True)")
    assert code == expected and f"SKIPPED: {reason} (1)\n" in text, text


@pytest.mark.parametrize(("reason", "ci", "expected"), [(OLD, "true", 0), (OTHER, "true", 1), (OTHER, "", 0)])
def test_the_parts_of_scripts_test_skip_by_the_same_list(reason, ci, expected):
    script = (TESTS.parent / "scripts" / "test").read_text()
    functions = script[script.index("# skip TEXT") : script.index("# on_site")]
    done = subprocess.run(
        ["bash", "-c", f"set -uo pipefail\n{functions}\nskip '{reason}'"],
        env={**os.environ, "CI": ci}, cwd=TESTS.parent, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == expected and f"SKIPPED: {reason}\n" in done.stdout, done.stdout
