# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything about a site that a removal has to leave as it was; runs on the site and prints JSON."""

import hashlib
import json
import os
import re
import stat
import subprocess

TREES = (
    "/etc",
    "/opt",
    "/usr/lib/systemd",
    "/usr/local",
    "/usr/share/keyrings",
    "/usr/src",
    "/var/lib",
    "/var/spool",
    "/root",
    "/run",
)
# What a system writes by itself, and what comes with a package or a login.
VOLATILE = re.compile(
    r"/root/[.](ansible|cache|ssh)|/var/lib/(systemd|dpkg|apt|private|dhcp|dbus|logrotate)(/|$)|/etc/(ld[.]so[.]cache|passwd-|shadow-|"
    r"group-|gshadow-|[.]pwd[.]lock)|/run/(?!.*sitelink)|/(etc|root|var/lib|run)$|/__pycache__|/usr/local/bin/told"
)


def said(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return [re.sub(r"( expires \d+sec| valid_lft.*|^\d+: )", "", line).strip() for line in done.stdout.splitlines()]


def files():
    for tree in TREES:
        for directory, names, members in os.walk(tree):
            for path in [os.path.join(directory, name) for name in names + members]:
                if VOLATILE.search(path):
                    continue
                try:
                    found = os.lstat(path)
                    what = f"{found.st_mode:o} {found.st_uid} {found.st_gid}"
                    if stat.S_ISLNK(found.st_mode):
                        what += " " + os.readlink(path)
                    elif stat.S_ISREG(found.st_mode):
                        with open(path, "rb") as file:
                            what += " " + hashlib.sha256(file.read()).hexdigest()
                except FileNotFoundError:
                    continue
                yield f"{path} {what}"


settings = [
    line
    for line in said("sysctl", "-a")
    if line.startswith("net.") and not re.search(r"_count |_time |gc_|[.]wg\d+[.]stable_secret ", line)
]
units = [
    line
    for line in said("systemctl", "list-units", "--all", "--plain", "--no-legend")
    if re.match("(sitelink|wg-quick)", line)
]
print(
    json.dumps(
        {
            "files": sorted(files()),
            "unit files": sorted(said("systemctl", "list-unit-files", "--no-legend")),
            "units": sorted(units),
            "failed units": said("systemctl", "--failed", "--plain", "--no-legend"),
            "routes": sorted(said("ip", "-4", "route", "show", "table", "all")),
            # A tunnel gets another link-local address each time it is made.
            "routes of IPv6": sorted(
                line
                for line in said("ip", "-6", "route", "show", "table", "all")
                if not re.search("^local fe80.* dev wg", line)
            ),
            "rules": said("ip", "-4", "rule") + said("ip", "-6", "rule"),
            "addresses": sorted(line for line in said("ip", "-o", "address") if not re.search("^wg.* fe80", line)),
            "nft": said("nft", "list", "ruleset"),
            "sysctls": sorted(settings),
            "users": said("getent", "passwd") + said("getent", "group"),
        }
    )
)
