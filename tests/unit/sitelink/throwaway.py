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
import sys
sys.path.insert(0, %r)
from sitelink import config, lease
config.ETC, config.RUN, config.WIREGUARD, config.LIB = sys.argv[1:5]
lease.ROOT = config.LIB  # no lease of this machine
from sitelink.cli import main
sys.exit(main(sys.argv[5:]))
""" % (FILES,)

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition, seconds, what=""):
    """Poll until condition() is true; return the seconds it took. seconds: what a quiet machine needs at most. A busy one
    gets up to 10, which is less than the daemons' slow passes, so that those seldom hide an event that nobody heeded."""
    start = time.monotonic()
    seconds = max(seconds, min(3 * seconds, 10))
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError("not within %s s: %s" % (seconds, what or condition))
        time.sleep(0.01)
    return time.monotonic() - start


class Namespace:
    """A network namespace, with directories of its own for configuration and state."""

    def __init__(self, directory):
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
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=20,
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
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=20
        )
        return done.returncode, done.stdout, done.stderr

    def status(self, *arguments):
        code, out, err = self.sitelink("status", "--json", *arguments)
        assert code == 0, err
        return json.loads(out)

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
            deadline, said = time.monotonic() + 20, ""
            while "READY=1" not in said and process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(socket.timeout):
                    said = manager.recv(4096).decode()
        process.log = name
        self.processes.append(process)
        return process

    def _command(self, arguments, capabilities=None):
        """capabilities: those that root keeps, as setpriv writes them ("" for none); None for all."""
        directories = [self.etc, self.run_dir, self.wireguard, self.lib]
        # -I: neither the environment nor the working directory may help
        program = [sys.executable, "-I", "-c", PROGRAM] + directories + list(arguments)
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
        return process.wait(10)

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
