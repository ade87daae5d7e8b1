# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the playbooks in which no site is ever reached: what the controller alone decides."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
import yaml

LIMIT = 900  # seconds: no promise, only the end of a run that would never end
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Inventory:
    """A copy of the lab's inventory that a test may spoil."""

    def __init__(self, directory):
        self.directory = directory
        shutil.copytree(ROOT / "inventories" / "lab", directory)
        # The lab's certificate lies on the controller while there is a lab.
        (directory.parent / "ca.pem").write_text("")
        # Nobody may be reached from here, whatever a playbook tries.
        self.write(
            "group_vars/sites/connection.yml",
            {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent"},
        )

    def read(self, path):
        return yaml.safe_load((self.directory / path).read_text()) or {}

    def write(self, path, data):
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_text("---\n" + yaml.safe_dump(data, allow_unicode=True))

    def change(self, path, **changes):
        """Set variables in a file; the value None removes one."""
        data = {**self.read(path), **changes}
        self.write(path, {key: value for key, value in data.items() if value is not None})

    def site(self, name, **changes):
        self.change(f"host_vars/{name}.yml", **changes)

    def command(self, name, *argv, **environment):
        """How a playbook of the collection is run: (argv, environment).

        As JSON each message stands on one line, on every version of ansible-core.
        """
        ours = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "SITELINK_LAB_STATE": str(self.directory.parent)}
        argv = ["ansible-playbook", "-i", str(self.directory), *argv, f"sitelink.tr069.{name}"]
        return argv, {**os.environ, **ours, **environment}

    def playbook(self, name, *argv, **environment):
        """Run it where nobody can answer; returns the finished process, output and errors in one text."""
        argv, environment = self.command(name, *argv, **environment)
        return subprocess.run(
            argv, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=ROOT, timeout=LIMIT,
        )  # fmt: skip

    def at_a_terminal(self, name, *argv, asked, answer):
        """Run it at a terminal, where somebody writes that answer once this is asked; returns what it said."""
        argv, environment = self.command(name, *argv, TERM="dumb")
        process, terminal = pty.fork()
        if not process:
            os.chdir(ROOT)
            os.execvpe(argv[0], argv, environment)
        said, end = b"", time.monotonic() + LIMIT
        # What was typed before the question is thrown away, so it is typed again. At its end the terminal is gone: EIO.
        with contextlib.suppress(OSError), open(terminal, "r+b", buffering=0) as screen:
            while time.monotonic() < end:
                if select.select([screen], [], [], 1)[0]:
                    said += screen.read(4096)
                elif asked.encode() in said:
                    screen.write(f"{answer}\n".encode())
        os.waitpid(process, 0)
        return said.decode(errors="replace")


def problems(done):
    """The (sites, variable) of all that a run refused the inventory for, sorted, as one sentence each begins with them."""
    [told] = re.findall(r"(?m)^fatal: .* => ({.*})$", done.stdout)
    return sorted(re.match(r"(.+?): (\w+)", sentence).groups() for sentence in json.loads(told)["msg"])


@pytest.fixture
def inventory(tmp_path):
    return Inventory(tmp_path / "inventory")
