# SPDX-License-Identifier: GPL-3.0-or-later
"""A package that cannot be installed is told with its cause; fresh lists and a lock that goes away are no cause.

Modules of this name stand in for Ansible's own: no package manager is asked.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import LIMIT, ROOT

MODULE = """\
import json, pathlib, sys
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(dict(name=dict(type="list"), state=dict(), update_cache=dict(type="bool"), lock_timeout=dict(type="int")))
log = pathlib.Path({log!r})
calls = json.loads(log.read_text()) if log.exists() else []
calls.append({{"module": {name!r}, **{{key: value for key, value in module.params.items() if value is not None}}}})
log.write_text(json.dumps(calls))
answers = {answer!r}
answer = answers[min(sum(call["module"] == {name!r} for call in calls), len(answers)) - 1]
answer = {{"msg": answer}} if isinstance(answer, str) else answer
module.fail_json(**answer) if answer else module.exit_json(changed=True)
"""


@pytest.fixture
def install(tmp_path):
    """Runs the tasks with what the two modules answer, None for success, a list for one time after the other; returns (rc, output,
    calls)."""

    def run(package, apt=None, manager="apt"):
        library = tmp_path / "ansible_collections" / "test" / "stand_in" / "plugins" / "modules"
        library.mkdir(parents=True)
        for name, answer in (("package", package), ("apt", apt)):
            (library / f"{name}.py").write_text(
                MODULE.format(
                    log=str(tmp_path / "log"), name=name, answer=answer if isinstance(answer, list) else [answer]
                )
            )
        source = (ROOT / "roles" / "site_agent" / "tasks" / "packages.yml").read_text()
        tasks = tmp_path / "tasks.yml"
        for name in ("package", "apt"):
            source = source.replace(f"ansible.builtin.{name}:", f"test.stand_in.{name}:")
        tasks.write_text(source)
        shutil.copy(ROOT / "roles" / "site_agent" / "tasks" / "system.yml", tmp_path)
        play = (ROOT / "tests" / "playbooks" / "packages.yml").read_text()
        play = play.replace("../../roles/site_agent/tasks/packages.yml", str(tasks)).replace("../../", f"{ROOT}/")
        (tmp_path / "play.yml").write_text(play)
        facts = {
            "ansible_facts": {"distribution": "Debian", "pkg_mgr": manager},
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "__site_agent_package_tries": 4,
            "__site_agent_package_delay": 0,
        }
        done = subprocess.run(
            ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(facts), tmp_path / "play.yml"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, timeout=LIMIT,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path}:{ROOT}/.build", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        )  # fmt: skip
        calls = json.loads((tmp_path / "log").read_text()) if (tmp_path / "log").exists() else []
        return done.returncode, done.stdout, calls

    return run


def test_what_is_there_already_asks_nobody(install):
    rc, text, calls = install(None)
    assert rc == 0, text
    assert [call["module"] for call in calls] == ["package"]


def test_empty_lists_are_filled(install):
    rc, text, calls = install("No package matching 'nftables' is available")
    assert rc == 0, text
    assert calls[1]["module"] == "apt" and calls[1]["update_cache"] is True


LOCKED = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2445 (unattended-upgr)"


def test_a_lock_that_apt_does_not_wait_for_is_waited_for(install):
    """An old apt says so at once, and so does the module where it has to install python3-apt first."""
    rc, text, calls = install(LOCKED, [LOCKED, LOCKED, None])
    assert rc == 0, text
    assert [call["module"] for call in calls] == ["package", "apt", "apt", "apt"]


def test_a_lock_of_dnf_is_waited_for(install):
    locked = {
        "msg": "Failed to install some of the specified packages",
        "failures": ["lockfile is held by another process"],
        "rc": 1,
    }
    rc, text, calls = install([locked, locked, None], manager="dnf")
    assert rc == 0, text
    assert [call["module"] for call in calls] == ["package"] * 3


def test_a_lock_that_stays_is_told(install):
    rc, text, calls = install(LOCKED, LOCKED)
    assert rc != 0 and "held the package manager's lock" in text and "(unattended-upgr)" in text
    assert len(calls) > 3


def test_a_broken_source_of_another_program_does_not_decide(install):
    broken = "Failed to update apt cache after 5 retries: E:The repository 'http://ppa.example.net jammy Release' does not have a Release file."
    rc, text, calls = install("No package matching 'nftables' is available", [broken, None])
    assert rc == 0, text
    assert calls[-1]["module"] == "apt" and "update_cache" not in calls[-1]


def test_a_broken_source_is_the_cause_where_the_package_is_missing(install):
    broken = "Failed to update apt cache after 5 retries: E:The repository 'http://deb.example.net buster Release' no longer has a Release file."
    rc, text, _calls = install(
        "No package matching 'nftables' is available", [broken, "No package matching 'nftables' is available"]
    )
    assert rc != 0 and "old releases" in text and "deb.example.net buster Release" in text


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Failed to update apt cache: W:Temporary failure resolving 'packages.example.net'", "internet access and DNS"),
        ("No package matching 'nftables' is available", "No package source of the site has it"),
        ("something nobody has seen", "refuses, in the words below"),
    ],
)
def test_what_cannot_be_installed_is_told_with_its_cause(install, said, cause):
    rc, text, _calls = install("No package matching 'nftables' is available", said)
    assert rc != 0
    sentence = next(line for line in text.splitlines() if "site-x: nftables cannot be installed" in line)
    for words in (cause, "Without it eth1 would be open", said.split(": W:")[0]):
        assert words in sentence, sentence


def test_another_package_manager_is_not_told_to_use_apt(install):
    rc, text, calls = install("No package nftables available.", manager="dnf")
    assert rc != 0 and [call["module"] for call in calls] == ["package"]
    assert "No package source of the site has it" in text


def test_what_dnf_says_in_its_failures_is_read(install):
    said = {
        "msg": "Failed to install some of the specified packages",
        "failures": ["No package nftables available."],
        "rc": 1,
    }
    rc, text, _calls = install(said, manager="dnf")
    assert rc != 0 and "No package source of the site has it" in text and "No package nftables available." in text
