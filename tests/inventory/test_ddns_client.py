# SPDX-License-Identifier: GPL-3.0-or-later
"""The DDNS client comes to the controller as at an operator's first run, whatever the first site in the inventory is like.

A stand-in for pip notes what it is called with and makes the file: no index is asked.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml

from conftest import LIMIT, ROOT

WHEEL = "ddns-4.2.0-py2.py3-none-any.whl"
CONTENT = b"a client\n"
PIP = """\
import json, pathlib, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
(pathlib.Path(arguments[arguments.index("--dest") + 1]) / {wheel!r}).write_bytes({content!r})
"""
SUDO = '#!/bin/sh\necho "$@" >>{log}\nexit 1\n'


@pytest.fixture
def controller(tmp_path):
    """Runs the role's tasks for sites that are directories of this machine; returns (rc, output, calls of pip)."""
    log = tmp_path / "pip.log"
    (tmp_path / "home" / ".cache" / "sitelink").mkdir(parents=True)
    (tmp_path / "module" / "pip").mkdir(parents=True)
    (tmp_path / "module" / "pip" / "__init__.py").write_text("")
    program = PIP.format(log=str(log), wheel=WHEEL, content=CONTENT)
    (tmp_path / "module" / "pip" / "__main__.py").write_text(program)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sudo").write_text(SUDO.format(log=tmp_path / "sudo.log"))
    (tmp_path / "bin" / "sudo").chmod(0o755)

    def run(sites, *argv, **everywhere):
        for name in sites:
            (tmp_path / name).mkdir(exist_ok=True)
        everywhere = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **everywhere}
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": sites, "vars": everywhere}}))
        # vars_files of the play stand above the inventory: what must differ here comes with -e.
        extra = {
            "__ddns_wheel_sha256": hashlib.sha256(CONTENT).hexdigest(),
            "__ddns_directory": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            "ddns_install_method": "{{ method | default('wheel') }}",
        }
        environment = {
            **os.environ,
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(tmp_path / "module"),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "1",
        }
        environment.pop("XDG_CACHE_HOME", None)
        done = subprocess.run(
            ["ansible-playbook", "-i", inventory, "-e", json.dumps(extra), *argv,
             ROOT / "tests" / "playbooks" / "fetch.yml"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=LIMIT, env=environment,
        )  # fmt: skip
        calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return done.returncode, done.stdout, calls

    return run


@pytest.mark.gate
def test_the_first_run_fetches_the_client_once(controller, tmp_path):
    """The first site needs none; the two others get the same file."""
    rc, text, calls = controller({"first": {"method": "none"}, "second": {}, "third": {}})
    assert rc == 0, text
    cache = str(tmp_path / "home" / ".cache" / "sitelink")
    assert calls == [["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", cache, "ddns==4.2.0"]]
    for site, content in (("first", None), ("second", CONTENT), ("third", CONTENT)):
        path = tmp_path / site / WHEEL
        assert (path.read_bytes() if path.exists() else None) == content, site


def test_nothing_on_the_controller_runs_by_the_sites_sudo(controller, tmp_path):
    text = controller({"first": {}}, ansible_become=True, ansible_become_password="of-the-sites")[1]
    # The task for the site itself goes through it, so the stand-in is really in the way.
    tasks = text.split("TASK [")
    failed = [task.split("]")[0] for task in tasks if "fatal: " in task]
    assert failed == ["Put the client on the site"], text
    assert (tmp_path / "sudo.log").exists()


def test_a_site_with_a_file_of_its_own_has_that_file_checked(controller, tmp_path):
    (tmp_path / "other.whl").write_bytes(b"something else\n")
    rc, text, _calls = controller(
        {"first": {"own": ""}, "second": {"own": str(tmp_path / "other.whl")}}, "-e", '{"ddns_wheel_file": "{{ own }}"}'
    )
    assert rc != 0
    assert text.count("fatal: ") == 1, text
    refused = " ".join(text[text.index("fatal: [second]") :].split())  # wrapped anywhere
    for words in (
        "second: ",
        "other.whl on the controller has the SHA-256 ",
        "ddns 4.2.0 as published",
        "point ddns_wheel_file to",
    ):
        assert words in refused, text
    assert (tmp_path / "first" / WHEEL).exists() and not (tmp_path / "second" / WHEEL).exists()
