# SPDX-License-Identifier: GPL-3.0-or-later
"""Throw-away network namespaces without an uplink, for what only a real kernel can show."""

import contextlib
import ctypes
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import sitelink
from sitelink import netlink

FILES = os.path.dirname(os.path.dirname(os.path.abspath(sitelink.__file__)))

# the program with its directories elsewhere: PROGRAM ETC RUN WIREGUARD LIB ARGUMENTS...
PROGRAM = """
import importlib, json, sys
sys.path.insert(0, %r)
from sitelink import config, lease
config.ETC, config.RUN, config.WIREGUARD, config.LIB = sys.argv[1:5]
lease.ROOT = config.LIB  # no lease of this machine
for name, value in json.loads(sys.argv[5]).items():
    module, _, constant = name.partition(".")
    module = importlib.import_module("sitelink." + module)
    getattr(module, constant)  # there is such a one
    setattr(module, constant, value)
from sitelink.cli import main
sys.exit(main(sys.argv[6:]))
""" % (FILES,)

# Seconds: no promise, only the end of a wait that would never end; it costs nothing where a test passes.
LIMIT = 180

# What the role writes for the gateway.
GATEWAY = {
    "interface": "eth1",
    "networks": ["10.0.0.0/7"],
    "table": 305,
    "fwmark": 305,
    "priority": 305,
    "gateway": "first_host",
}
# An hour instead of half a minute or one: what a slow pass would mend at last is no proof that an event was heeded.
NO_SLOW_PASS = {"gateway.SAFETY_SECONDS": 3600, "firewall.SAFETY_SECONDS": 3600, "mesh.RECONCILE_SECONDS": 3600}

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition, what="", limit=LIMIT):
    """Poll until condition() is true; returns what it gave. what: for the error, or a function that says it."""
    deadline, pause = time.monotonic() + limit, 0.01
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            what = what() if callable(what) else what
            raise AssertionError("not within %d s: %s" % (limit, what or condition))
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)  # most conditions start a program: leave something to what is waited for


class Namespace:
    """A network namespace, with directories of its own for configuration and state.

    constants: of the program, {"module.NAME": value}."""

    def __init__(self, directory, constants=None):
        self.constants = dict(constants or {})
        self.name = "slt-%d-%d" % (os.getpid(), next(_numbers))
        self.etc, self.run_dir, self.wireguard, self.lib = (
            os.path.join(str(directory), part) for part in ("etc", "run", "wg", "lib")
        )
        for path in (self.etc, self.run_dir, self.wireguard, self.lib):
            os.makedirs(path)
        self.processes = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.sh("ip link set lo up")

    def sh(self, script, check=True):
        """Run shell commands inside; return their output."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, "sh", "-ec", script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=LIMIT,
        )  # fmt: skip
        assert not check or done.returncode == 0, "%s\n%s" % (script, done.stdout)
        return done.stdout

    @contextlib.contextmanager
    def entered(self):
        """Sockets made in this block belong to the namespace."""
        with open("/proc/self/ns/net") as home, open("/run/netns/" + self.name) as there:
            assert _libc.setns(there.fileno(), 0x40000000) == 0  # CLONE_NEWNET
            try:
                yield
            finally:
                assert _libc.setns(home.fileno(), 0x40000000) == 0

    def kernel(self):
        with self.entered():
            return netlink.Kernel()

    def sitelink(self, *arguments, capabilities=None):
        """Run the program to its end; return (exit code, stdout, stderr)."""
        command = self._command(arguments, capabilities)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=LIMIT
        )
        return done.returncode, done.stdout, done.stderr

    def status(self, *arguments):
        code, out, err = self.sitelink("status", "--json", *arguments)
        said = json.loads(out)
        assert code == (1 if said["faults"] else 0), err
        return said

    def daemon(self, *arguments):
        """Start a daemon with the capabilities of its unit, and wait until it is ready, as systemd does, or has ended.
        Its log is in .log of what is returned."""
        name = os.path.join(os.path.dirname(self.etc), "log-%d" % next(_numbers))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:  # closed, it takes no more signs of life
            manager.bind(name + ".notify")
            manager.settimeout(0.1)
            environ = dict(os.environ, NOTIFY_SOCKET=name + ".notify")
            command = self._command(arguments, "+net_admin,+net_raw")
            with open(name, "w") as file:
                process = subprocess.Popen(command, stdout=file, stderr=file, env=environ)
            process.log = name
            self.processes.append(process)

            def ready():
                with contextlib.suppress(socket.timeout):
                    return "READY=1" in manager.recv(4096).decode()
                return process.poll() is not None

            wait_for(ready, lambda: "%s is not ready; see %s" % (" ".join(arguments), name))
        return process

    def _command(self, arguments, capabilities=None):
        """capabilities: those that root keeps, as setpriv writes them ("" for none); None for all."""
        directories = [self.etc, self.run_dir, self.wireguard, self.lib]
        # -I: neither the environment nor the working directory may help
        program = [sys.executable, "-I", "-c", PROGRAM] + directories + [json.dumps(self.constants)] + list(arguments)
        if capabilities is not None:
            kept = ",".join(part for part in ("-all", capabilities) if part)
            program = ["setpriv", "--no-new-privs", "--bounding-set=" + kept, "--inh-caps=" + kept] + program
        return ["ip", "netns", "exec", self.name] + program

    def write(self, name, data, mode=0o644):
        directory = self.wireguard if name.endswith(".conf") else self.etc
        path = os.path.join(directory, name)
        with open(path, "w") as file:
            file.write(data if isinstance(data, str) else json.dumps(data))
        os.chmod(path, mode)

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        return process.wait(LIMIT)

    def destroy(self):
        for process in self.processes:
            if process.poll() is None:
                self.stop(process, signal.SIGKILL)
        for name in self.sh("ls /sys/class/net").split():
            if name.startswith("slt"):  # ends its wireguard-go
                self.sh("ip link del " + name, check=False)
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree("/etc/netns/" + self.name, ignore_errors=True)


def connect(one, name, other, other_name):
    """A cable between two namespaces."""
    one.sh("ip link add %s type veth peer name %s netns %s; ip link set %s up" % (name, other_name, other.name, name))
    other.sh("ip link set %s up" % other_name)
