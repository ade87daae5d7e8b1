# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs, by digests: each daemon says of which files it is made, for `sitelink service` to compare with what is written.

Whether a run of the playbook changed a file does not say it: a run that breaks off between the file and the restart leaves
a daemon behind that no later run would find.
"""

import glob
import hashlib
import os
import re

from . import config, state

UNITS = "/etc/systemd/system"
COMMAND = "/usr/local/sbin/sitelink"
PROGRAM = "the program"
DDNS = "sitelink-ddns.service"
WATCH = "sitelink-watch.service"
DDNS_SETTINGS = "ddns-site.json"  # below config.ETC
DDNS_FILES = ("ddns.json", DDNS_SETTINGS, "ddns-ca.pem")
_INSTANCE = re.compile(r"sitelink-(gateway|firewall|mesh)@(.+)\.service")


def digest(path):
    """The SHA-256 of a file; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def program():
    """The digest of all that is imported, and of the command that does it."""
    directory = os.path.dirname(os.path.abspath(__file__))
    paths = [COMMAND] + sorted(glob.glob(os.path.join(glob.escape(directory), "*.py")))
    lines = ["%s %s\n" % (os.path.basename(path), digest(path)) for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


_PROGRAM = program()  # as this process has it, whatever is installed later


def unit(kind, interface):
    return "sitelink-%s@%s.service" % (kind, interface)


def unit_path(name):
    """Where the roles write a unit: an instance has the file of its template."""
    return os.path.join(UNITS, re.sub(r"@.+(?=\.[a-z]+\Z)", "@", name))


def record_path(name):
    if name == DDNS:  # has no right to the directory of the others
        return os.path.join(config.RUN + "-ddns", "loaded.json")
    return os.path.join(config.RUN, "loaded-%s.json" % name)


def files(name):
    """The files that a unit of ours reads, or None: it is none of ours, or has no process that reads any."""
    if name == WATCH:
        return [os.path.join(config.ETC, "watch.json")]
    if name == DDNS:
        return [os.path.join(config.ETC, item) for item in DDNS_FILES]
    match = _INSTANCE.match(name)
    if match is None:
        return None
    kind, interface = match.groups()
    return {
        "gateway": [config.gateway_path(interface)],
        "firewall": [config.firewall_path(interface), config.firewall_path(interface, "nft")],
        "mesh": [config.mesh_path(interface), config.wireguard_path(interface)],
    }[kind]


class Record:
    """What this process runs. To be made before it reads: a file that is written meanwhile differs then, and is read once more."""

    def __init__(self, name, elsewhere=None):
        """elsewhere: {path: where this process finds the file instead}."""
        self.name, self.elsewhere = name, elsewhere or {}
        self.found = {"pid": os.getpid(), "program": _PROGRAM, "unit": digest(unit_path(name)), "files": {}}
        self.read(*files(name))

    def read(self, *paths):
        """These files are about to be read, or just were and did not change."""
        for path in paths:
            self.found["files"][path] = digest(self.elsewhere.get(path, path))

    def publish(self, **more):
        """Readable by root alone: a file may hold a password that could be guessed by its digest."""
        self.found.update(more)
        state.publish(record_path(self.name), self.found, 0o600)


def told(name):
    """What the process of a unit said last, or {}."""
    return state.read_json(record_path(name))


def differing(name, said, as_if=None):
    """What is written now and is not what a process said: PROGRAM, paths. as_if: {path: digest} of what counts as written."""
    as_if = as_if or {}
    known = dict(said.get("files") or {}, **{unit_path(name): said.get("unit")})
    found = [PROGRAM] if said.get("program") != program() else []
    paths = [unit_path(name)] + files(name)
    return found + [path for path in paths if as_if.get(path, digest(path)) != known.get(path)]
