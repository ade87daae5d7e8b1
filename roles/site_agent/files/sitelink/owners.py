# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether anybody has a NIC that was given back: by what the network managers of the site say of it now. In doubt somebody has."""

import glob
import os
import time

from . import networkd

WAIT = 10  # seconds that networkd may take to let go of it
NOBODYS = ("", "unmanaged")


def any_of(nic, execute, root="", wait=None, sleep=time.sleep):
    """execute: as nic.run()."""
    return (
        _is_a_part(nic, root)
        or os.path.exists("%s/etc/sysconfig/network-scripts/ifcfg-%s" % (root, nic))
        or _ifupdown(nic, execute)
        or _networkmanager(nic, execute)
        or _networkd(nic, execute, root, WAIT if wait is None else wait, sleep)
        or _has_an_address(nic, execute)
    )


def _is_a_part(nic, root):
    """Of a bridge or bond; or a VLAN or the like stands on it."""
    directory = "%s/sys/class/net/%s/" % (root, nic)
    return os.path.lexists(directory + "master") or bool(glob.glob(glob.escape(directory) + "upper_*"))


def _ifupdown(nic, execute):
    if execute(["ifquery", "--state", nic])[0] == 0:
        return True
    for some in (["--all"], ["--allow", "hotplug"]):
        code, said = execute(["ifquery", "--list"] + some)
        if code == 0 and nic in said.split():
            return True
    return False


def _networkmanager(nic, execute):
    code, said = execute(["nmcli", "-t", "-g", "GENERAL.STATE", "device", "show", nic])
    # "10 (unmanaged)"
    return code == 0 and not said.strip().startswith("10 ")


def _networkd(nic, execute, root, wait, sleep):
    if execute(["systemctl", "is-active", "systemd-networkd.service"])[0]:
        return False
    for turn in range(wait * 2 + 1):
        if turn:
            sleep(0.5)
        if networkd.admin_state(nic, root) in NOBODYS:
            return False
        name = networkd.file_of(nic, root)
        if name and os.path.exists(root + name):
            break
    return True


def _has_an_address(nic, execute):
    """One that neither DHCP nor a router advertisement brought."""
    code, said = execute(["ip", "-o", "address", "show", "dev", nic, "scope", "global"])
    return code != 0 or any(line.strip() and " dynamic" not in line for line in said.splitlines())
