# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of a site before they change it: of its kernel, its systemd and its Python."""

import json
import pathlib
import subprocess
import sys

import jinja2
import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
# A kernel with WireGuard, in which links are files.
IP = """#!/bin/sh
echo "$*" >>{log}
case "$2" in
  add) [ ! -e {link} ] && touch {link} ;;
  delete) rm {link} ;;
  *) false ;;
esac
"""


@pytest.fixture
def look(tmp_path):
    """A function that runs the look for WireGuard with these stand-ins; returns its lines and what `ip` was asked for."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(check_mode=False, modprobe="exit 1", left_over=False):
        log, link = tmp_path / "log", tmp_path / "sitelink-try"
        log.write_text("")
        if left_over:
            link.touch()
        for name, text in (("ip", IP.format(log=log, link=link)), ("modprobe", f"#!/bin/sh\n{modprobe}\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        task = yaml.safe_load((ROLES / "wireguard_mesh" / "tasks" / "install.yml").read_text())[0]
        script = jinja2.Environment(trim_blocks=True).from_string(task["ansible.builtin.shell"]["cmd"])
        text = script.render(
            ansible_check_mode=check_mode,
            wireguard_mesh_interface="wg0",
            **{f"__wireguard_mesh_{name}": str(tmp_path / "no") for name in ("conf", "kept")},
        )
        environment = {"PATH": f"{programs}:/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", text], text=True, capture_output=True, env=environment)
        return done.stdout.split("\n"), log.read_text(), link.exists()

    return run


@pytest.mark.parametrize("left_over", [False, True])
def test_a_kernel_with_wireguard_is_seen_also_after_a_look_that_was_interrupted(look, left_over):
    found, _, left = look(left_over=left_over)
    assert "kernel" in found and not left


@pytest.mark.parametrize("modprobe, seen", [("exit 0", True), ("exit 1", False)])
def test_check_mode_makes_no_interface(look, modprobe, seen):
    found, asked, _ = look(check_mode=True, modprobe=modprobe)
    assert "add" not in asked and "delete" not in asked
    if not pathlib.Path("/sys/module/wireguard").exists():
        assert ("kernel" in found) is seen


@pytest.mark.parametrize(
    "manager, python, said, unsaid",
    [
        ("sysvinit", [3, 9], "this site runs sysvinit", "ansible_python_interpreter"),
        ("systemd", [3, 5], "Ansible uses Python 3.5", "runs systemd"),
        ("systemd", [3, 6], "", "FAILED"),
    ],
)
def test_a_site_is_refused_for_what_it_lacks(tmp_path, manager, python, said, unsaid):
    tasks = yaml.safe_load((ROLES / "site_agent" / "tasks" / "preflight.yml").read_text())
    refusals = [
        task for task in tasks if "__site_agent_facts_missing" not in str(task) and "ansible.builtin.fail" in task
    ]
    assert len(refusals) == 2
    version = {"major": python[0], "minor": python[1]}
    facts = {"service_mgr": manager, "python": {"version": version}}
    play = [{"hosts": "all", "gather_facts": False, "tasks": refusals}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    extra = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_facts": facts}
    argv = ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), tmp_path / "play.yml"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=300)
    assert done.returncode == (2 if said else 0), done.stdout
    assert said in " ".join(done.stdout.split()) and unsaid not in done.stdout
