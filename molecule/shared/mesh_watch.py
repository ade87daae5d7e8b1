# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the lab's tunnels without sending anything through them, for the healing scenario and its benchmark.

A ping that never stops would itself make WireGuard roam. So the receive counters are read from wireguard-go's control
sockets; when both ends of a pair heard the other one, a single ping has to confirm it.
"""

import base64
import concurrent.futures
import contextlib
import ctypes
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

from sitelab import podman, topology

# Not the machine's ping, which it may lack: one echo request by the on-site program's own module.
sys.path.insert(0, str(ROOT / "roles" / "site_agent" / "files"))
sys.dont_write_bytecode = True
from sitelink import icmp

CLONE_NEWNET = 0x40000000  # linux/sched.h
libc = ctypes.CDLL(None, use_errno=True)
LOOK = 0.02  # seconds between two looks at the counters
CONFIRM_AGAIN = 0.3


def pid(name):
    """The first process of a container, 0 when it does not run."""
    done = podman.run("podman", "container", "inspect", "--format", "{{.State.Pid}}", podman.PREFIX + name, check=False)
    return int(done.stdout.strip() or 0) if done.returncode == 0 else 0


class Watch:
    """The sites by name. Call refresh() after one was rebooted."""

    def __init__(self, names):
        self.names = list(names)
        self.pids, self.overlay, self.keys = {}, {}, {}
        # All pairs of six sites at once: asked one after the other, the last would be seconds late.
        self.threads = concurrent.futures.ThreadPoolExecutor(30)
        self.refresh()

    def refresh(self):
        for name in self.names:
            self.pids[name] = pid(name)
            plan = json.loads(self.path(name, "/etc/sitelink/mesh-wg0.json").read_text())
            self.overlay[name] = plan["addresses"][0].split("/")[0]
            self.keys[base64.b64decode(plan["public_key"]).hex()] = name

    def path(self, name, path):
        """A file of a site."""
        return pathlib.Path(f"/proc/{self.pids[name]}/root{path}")

    def inside(self, name, *argv, **options):
        """Run a command of this machine in the network namespace of a site."""
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.pids[name]}/ns/net", *argv], capture_output=True, text=True, **options
        )

    def received(self, name):
        """{peer: (bytes received, when the last handshake was)} of those that were heard; empty while the interface is not
        there. A peer that was made anew may come to the same number of bytes, but not by the same handshake."""
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(2)
                control.connect(str(self.path(name, "/run/wireguard/wg0.sock")))
                control.sendall(b"get=1\n\n")
                text = b""
                while not text.endswith(b"\n\n"):
                    part = control.recv(65536)
                    if not part:
                        break
                    text += part
        except OSError:
            return {}
        peers, peer = {}, {}
        for line in text.decode().splitlines():
            key, _, value = line.partition("=")
            if key == "public_key":
                peer = peers.setdefault(self.keys.get(value), {})
            else:
                peer[key] = value
        return {
            name: (peer["rx_bytes"], peer["last_handshake_time_sec"], peer["last_handshake_time_nsec"])
            for name, peer in peers.items()
            if name and peer["rx_bytes"] != "0"
        }

    def pings(self, one, other):
        return self.asked(one, other).result()

    def asked(self, one, other):
        """The Future of whether one echo request from this site is answered by the other one."""
        return self.threads.submit(self.answers, one, self.overlay[other])

    def answers(self, name, address):
        """In a thread: the namespace is that of this thread alone, and of nothing that is started meanwhile."""
        try:
            with open(f"/proc/{self.pids[name]}/ns/net") as there:
                if libc.setns(there.fileno(), CLONE_NEWNET):
                    return False
            return icmp.ping([address], "wg0")[address] is not None
        except OSError:  # the site is off, or has no wg0
            return False

    def through(self, pairs, seconds, begun=None, poll=lambda: None):
        """{pair: monotonic time of the first packet through, both ways, or None} for pairs of names.

        begun: the counters, {name: received(name)}, from which on a packet counts (default: now); poll: called each time.
        """
        begun = begun or {name: self.received(name) for name in self.names}
        found = dict.fromkeys(pairs)
        asked, again = {}, dict.fromkeys(pairs, 0.0)
        deadline = time.monotonic() + seconds
        while None in found.values() and time.monotonic() < deadline:
            poll()
            seen = {
                name: self.received(name) for name in {name for pair in pairs if found[pair] is None for name in pair}
            }
            now = time.monotonic()
            for one, other in [pair for pair in pairs if found[pair] is None]:
                if (one, other) in asked:
                    at, answer = asked[one, other]
                    if answer.done():
                        del asked[one, other]
                        found[one, other] = at if answer.result() else None
                        again[one, other] = now + CONFIRM_AGAIN
                    continue
                heard = [
                    seen[at].get(of) not in (None, begun.get(at, {}).get(of)) for at, of in ((one, other), (other, one))
                ]
                if all(heard) and now >= again[one, other]:
                    asked[one, other] = now, self.asked(one, other)
            time.sleep(LOOK)
        return found

    @contextlib.contextmanager
    def addresses(self, names):
        """Yields a function that gives {name: (address, monotonic time)} of what eth1 of each site was given meanwhile."""
        processes = {
            name: subprocess.Popen(
                ["nsenter", f"--net=/proc/{self.pids[name]}/ns/net", "ip", "-o", "monitor", "address"],
                stdout=subprocess.PIPE,
            )
            for name in names
        }
        for process in processes.values():
            os.set_blocking(process.stdout.fileno(), False)
        found, rest = {}, dict.fromkeys(names, b"")

        def look():
            for name, process in processes.items():
                rest[name] += process.stdout.read() or b""
                *lines, rest[name] = rest[name].split(b"\n")
                for line in lines:
                    words = line.decode().split()
                    if "inet" in words and "eth1" in words and "Deleted" not in words[0] and name not in found:
                        found[name] = (words[words.index("inet") + 1].split("/")[0], time.monotonic())
            return found

        try:
            yield look
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()
                process.stdout.close()


def members(names):
    """The lab's sites of these names."""
    return [topology.site(name, topology.MAX_SITES) for name in names]
