#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of a site: a network namespace here, or one in another guest, which this serves when it is run as a program.

Two guests have two kernels and two clocks. Three cables join them: eth2 is for the commands, eth0 and eth1 are the site's.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
from multiprocessing.managers import BaseManager

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]
sys.dont_write_bytecode = True

from sitelink import icmp

from throwaway import Namespace, wait_for

NEAR, FAR = "169.254.77.1", "169.254.77.2"
PORT = 7700
KEY = b"the guests are alone"


class Host(Namespace):
    """What a site needs of the machine around it, by methods alone, so that it may be in another one."""

    def place(self, name):
        return getattr(self, name)

    def take(self, nic, name):
        """A NIC of this machine goes into the namespace, by another name."""
        subprocess.run(["ip", "link", "set", nic, "netns", self.name, "name", name], check=True)
        self.sh(f"ip link set {name} up")

    def resolver(self, server):
        directory = pathlib.Path("/etc/netns", self.name)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:1\n")

    def begin(self, *arguments):
        """Start a daemon. Returns its number."""
        self.daemon(*arguments)
        return len(self.processes) - 1

    def end(self, number):
        self.stop(self.processes[number], signal.SIGKILL)

    def reload(self, number):
        self.processes[number].send_signal(signal.SIGHUP)

    def logs(self):
        return "\n".join(pathlib.Path(process.log).read_text()[-3000:] for process in self.processes)

    def pings(self, address, interface):
        with self.entered():
            try:
                return icmp.ping([address], interface, 1)[address] is not None
            except OSError:
                return False

    def clock(self):
        return time.time()


class Manager(BaseManager):
    pass


Manager.register("Host", Host)


def cable(address):
    wait_for(pathlib.Path("/sys/class/net/eth2").exists, "eth2")
    subprocess.run(["ip", "address", "add", address + "/30", "dev", "eth2"], check=True)
    subprocess.run(["ip", "link", "set", "eth2", "up"], check=True)


def connect_far(seconds=300):
    """A Host in the guest at the other end."""
    cable(NEAR)
    manager = Manager((FAR, PORT), KEY)

    def connected():
        try:
            manager.connect()
        except OSError:
            return False
        return True

    wait_for(connected, "the other guest", seconds)
    return manager.Host("/tmp/far")


if __name__ == "__main__":
    cable(FAR)
    os.makedirs("/tmp/far")
    Manager((FAR, PORT), KEY).get_server().serve_forever()
