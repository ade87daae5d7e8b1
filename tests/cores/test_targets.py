# SPDX-License-Identifier: GPL-3.0-or-later
"""What sites with old Pythons need of ansible-core 2.16, the last that reaches them; and our sentence from a newer one."""

import json
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def interpreter(version):
    done = subprocess.run([ROOT / "scripts" / "python", version], text=True, stdout=subprocess.PIPE)
    if done.returncode:
        pytest.skip(f"this machine has no Python {version}")
    return done.stdout.strip()


def core():
    done = subprocess.run(["ansible-playbook", "--version"], check=True, text=True, stdout=subprocess.PIPE)
    return tuple(int(part) for part in done.stdout.split("[core ")[1].split("]")[0].split(".")[:2])


def play(*argv):
    """Run a playbook; as JSON each message stands on one line, on every version of ansible-core."""
    return subprocess.run(
        ["ansible-playbook", *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=900,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
    )  # fmt: skip


@pytest.mark.parametrize("version", ["3.6", "3.7"])
def test_modules_and_facts_run_on_an_old_python(version, tmp_path):
    if core() > (2, 16):
        pytest.skip("only ansible-core 2.16 reaches it")
    extra = {"ansible_python_interpreter": interpreter(version), "expected": version, "directory": str(tmp_path)}
    done = play("-i", "localhost,", "-e", json.dumps(extra), str(HERE / "modules.yml"))
    assert done.returncode == 0, done.stdout


def test_a_python_too_old_for_the_core_is_named():
    """No module can run there, so this is all that is tried: the first thing that a role does."""
    if core() == (2, 16):
        pytest.skip("ansible-core 2.16 reaches it")
    extra = {"ansible_python_interpreter": interpreter("3.6"), "ansible_connection": "local"}
    done = play("-i", "site-x,", "-e", json.dumps(extra), str(HERE / "agent.yml"))
    assert done.returncode != 0
    for word in ("site-x: Python 3.6 on this site is too old", "ansible<10", "host_vars/site-x", "SyntaxError"):
        assert (word in done.stdout) == (word != "SyntaxError"), done.stdout


def test_a_site_without_python_is_named():
    extra = {"ansible_python_interpreter": "/nonexistent/python", "ansible_connection": "local"}
    done = play("-i", "site-x,", "-e", json.dumps(extra), str(HERE / "agent.yml"))
    assert done.returncode != 0
    for word in ("site-x: /nonexistent/python cannot be run", "site_agent_install_python: true in host_vars/site-x"):
        assert word in done.stdout, done.stdout
