# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles put on a site, and that nothing of it is left: whole plays on this machine's own files below an overlay, without a
network, with the real program and a double of systemctl."""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PLACES = ("etc", "usr/local", "var/lib")
NAMESPACE = """
set -e
cd {directory}
for place in {places}; do
  mkdir -p "up/$place" "work/$place"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$PWD/up/$place,workdir=$PWD/work/$place" "/$place"
done
mkdir -p up/run
mount --bind up/run /run
ip link set dev lo up
cd {root}
exec "$@"
"""
FACTS = {
    "ansible_service_mgr": "systemd",
    "ansible_pkg_mgr": "apt",
    "ansible_distribution": "Debian",
    "ansible_python": {"version": {"major": 3, "minor": 11}, "executable": "/usr/bin/python3"},
    "cacheable": True,
}
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "pre_tasks": [
            {"ansible.builtin.set_fact": FACTS},
            {
                "ansible.builtin.include_tasks": f"{ROOT}/roles/tr069_gateway/tasks/layer.yml",
                "vars": {"tr069_gateway_interface": "eth9", "tr069_gateway_state": "absent"},
                "when": "other is defined",
            },
        ],
        "roles": ["sitelink.tr069.tr069_gateway", "sitelink.tr069.watch"],
    }
]
GATEWAY, WATCH = "sitelink-gateway@eth1.service", "sitelink-watch.service"
FILES = {
    "etc/sitelink/gateway-eth1.json", "etc/sitelink/watch.json", "etc/systemd/system/sitelink-gateway@.service",
    "etc/systemd/system/sitelink-watch.service",
}  # fmt: skip
RUN = {f"run/sitelink/loaded-{unit}.json" for unit in (GATEWAY, WATCH)}


class Machine:
    def __init__(self, directory):
        self.directory, self.up = directory, directory / "up"
        (directory / "play.yml").write_text(json.dumps(PLAY))
        (directory / "bin").mkdir()
        shutil.copy(HERE / "systemctl", directory / "bin" / "systemctl")

    def run(self, *argv):
        script = NAMESPACE.format(directory=self.directory, places=" ".join(PLACES), root=ROOT)
        return subprocess.run(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, "sh", *argv],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{self.directory}/bin:{os.environ['PATH']}", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        )  # fmt: skip

    def play(self, *argv, **variables):
        """(what the play said, how many of its tasks changed something)"""
        extra = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", **variables}
        done = self.run(
            "ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), *argv, self.directory / "play.yml"
        )
        assert done.returncode == 0, done.stdout
        return done.stdout, int(re.search(r"changed=(\d+)", done.stdout).group(1))

    def files(self):
        """Of the layers: neither the program nor what the double keeps."""
        found = {
            path.relative_to(self.up).as_posix() for path in self.up.rglob("*") if stat.S_ISREG(path.lstat().st_mode)
        }
        return {path for path in found if "usr/local" not in path and path != "run/systemctl.json"}

    def systemctl(self):
        return json.loads((self.up / "run/systemctl.json").read_text())

    def said(self):
        """What systemctl was told since the last look."""
        state = self.systemctl()
        (self.up / "run/systemctl.json").write_text(json.dumps({**state, "said": []}))
        return state["said"]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces")
    found = Machine(tmp_path_factory.mktemp("machine"))
    probe = found.run("true")
    if probe.returncode:
        pytest.skip(f"this machine allows no overlay in a namespace: {probe.stdout.strip()}")
    found.play()
    return found


def test_the_layers_are_in_place_and_a_second_run_finds_nothing_to_do(machine):
    assert machine.files() == FILES | RUN
    assert {stat.S_IMODE((machine.up / path).stat().st_mode) for path in FILES} == {0o644}
    assert (machine.up / "var/lib/prometheus/node-exporter").is_dir()
    state = machine.systemctl()
    assert state["active"] == state["enabled"] == [GATEWAY, WATCH]
    config = json.loads((machine.up / "etc/sitelink/gateway-eth1.json").read_text())
    assert (config["interface"], config["table"], config["fwmark"]) == ("eth1", 305, 0x131)
    unit = (machine.up / "etc/systemd/system/sitelink-gateway@.service").read_text()
    assert (
        "Ansible managed" in unit
        and "ExecStart=/usr/local/sbin/sitelink gateway %i" in unit
        and "ProtectSystem=strict" in unit
    )
    machine.said()
    assert machine.play()[1] == 0 and machine.said() == []


def test_check_mode_shows_a_change_and_makes_none(machine):
    machine.said()
    before = {path: (machine.up / path).read_text() for path in machine.files()}
    output, changed = machine.play("--check", "--diff", "-v", watch_interval=7)
    assert changed == 1 and re.search(r"^[+] .*interval.*: 7", output, re.MULTILINE), output
    assert f"restarted {WATCH}" in output and f"restarted {GATEWAY}" not in output
    assert machine.said() == [] and {path: (machine.up / path).read_text() for path in machine.files()} == before


def test_a_change_restarts_what_it_is_about_and_what_another_nic_left_goes_without_the_unit_file(machine):
    there = machine.up / "etc/sitelink/gateway-eth9.json"
    config = json.loads((machine.up / "etc/sitelink/gateway-eth1.json").read_text())
    there.write_text(json.dumps({**config, "interface": "eth9"}))
    machine.said()
    assert machine.play(other=True, watch_interval=7)[1] == 2
    assert not there.exists() and machine.files() == FILES | RUN and machine.said() == [f"restart {WATCH}"]


def test_a_table_that_somebody_else_uses_is_refused_by_name(machine):
    """The rule of the source article, which the role does not take away by itself."""
    variables = json.dumps(
        {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "tr069_gateway_table": 77}
    )
    rule = (
        f"ip rule add pref 100 to 10.0.0.0/7 fwmark 0x131 lookup 77; exec ansible-playbook -i site-x, -e '{variables}' "
    )
    rule += str(machine.directory / "play.yml")
    done = machine.run("sh", "-c", rule)
    assert done.returncode == 2, done.stdout
    assert "site-x: /etc/sitelink/gateway-eth1.json: " in done.stdout and "77" in done.stdout
    assert json.loads((machine.up / "etc/sitelink/gateway-eth1.json").read_text())["table"] == 305


def test_nothing_is_left_of_what_goes(machine):
    (machine.up / "var/lib/prometheus/node-exporter/sitelink.prom").write_text("sitelink_up 1\n")
    machine.said()
    absent = {"watch_state": "absent", "tr069_gateway_state": "absent"}
    changed = machine.play("--check", "--diff", **absent)[1]
    assert changed == 2 and machine.files() >= FILES and machine.said() == []
    machine.play(**absent)
    assert machine.files() == set()
    state = machine.systemctl()
    assert state["active"] == state["enabled"] == [] and not {*state["read"]} & {GATEWAY, WATCH}
    assert machine.play(**absent)[1] == 0
