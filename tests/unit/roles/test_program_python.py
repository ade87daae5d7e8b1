# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python the on-site program gets, by the role's own look and variables."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "site_agent"
# Names without a minor version: python3 of Debian, Ubuntu and Fedora; platform-python of Enterprise Linux 8.
PLACES = "for each in /usr/bin/python3 /usr/libexec/platform-python; do"


@pytest.fixture
def chosen(tmp_path):
    """A function: with these Pythons in the places of the system's own, the one that the role takes."""

    def choose(*pythons):
        places = []
        for number, answers in enumerate(pythons):
            place = tmp_path / f"python{number}"
            if answers is not None:
                place.write_text(f"#!/bin/sh\n{answers}\n")
                place.chmod(0o755)
            places.append(str(place))
        script = (ROLE / "files" / "look.sh").read_text()
        assert script.count(PLACES) == 1
        script = script.replace(PLACES, f"for each in {' '.join(places)}; do")
        look = subprocess.run(
            ["sh", "-c", script, "look.sh", sys.executable], text=True, stdout=subprocess.PIPE, check=True
        )
        play = [
            {
                "hosts": "all",
                "gather_facts": False,
                "vars_files": [str(ROLE / "defaults" / "main.yml"), str(ROLE / "vars" / "main.yml")],
                "tasks": [
                    {
                        "ansible.builtin.copy": {
                            "content": "{{ site_agent_python }}",
                            "dest": str(tmp_path / "found"),
                            "mode": "0644",
                        }
                    },
                ],
            }
        ]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
        extra = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "__site_agent_looked": {"stdout": f"== site_agent\n{look.stdout}"},
        }
        argv = ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), tmp_path / "play.yml"]
        done = subprocess.run(argv, text=True, capture_output=True, timeout=3600)
        assert done.returncode == 0, done.stdout
        found = (tmp_path / "found").read_text()
        return places.index(found) if found in places else found

    return choose


REAL = f'exec {sys.executable} "$@"'
OLD = f"""shift; exec {sys.executable} -c 'import sys; sys.version_info = (3, 5, 2); exec(sys.argv[1])' "$@" """


@pytest.mark.parametrize(
    ("pythons", "expected"),
    [
        pytest.param((REAL, REAL), 0, marks=pytest.mark.long),
        pytest.param((None, REAL), 1, marks=pytest.mark.long),
        ((OLD, REAL), 1),
        ((OLD, None), sys.executable),
    ],
    ids=["both", "only the second", "the first too old", "none"],
)
def test_the_program_runs_on_the_systems_own_python_and_else_on_ansibles(chosen, pythons, expected):
    assert chosen(*pythons) == expected
