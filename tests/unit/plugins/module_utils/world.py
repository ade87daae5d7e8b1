# SPDX-License-Identifier: GPL-3.0-or-later
"""A site below a temporary root, with doubles of systemctl, of the site's own program and of the kernel's values. Python 3.6."""

import base64
import grp
import hashlib
import json
import os
import pwd
import stat

from ansible_collections.sitelink.tr069.plugins.module_utils._layer import site, sysctls, wanted
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.judge import Stated, judge
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.layer import Layer

OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
UNITS = "/etc/systemd/system"
PROGRAM = "/usr/local/sbin/sitelink"


def file(dest, content="one\n", **more):
    """One of the module's files, with its defaults."""
    found = {"dest": dest, "content": content, "secret_content": None, "secret": False, "mode": "0644"}
    found.update(owner=OWNER, group=GROUP, validate=None, ours=None, needed_by=None, sha256=None, base64=None)
    return dict(found, **more)


def secret(dest, content, **more):
    return file(dest, None, secret=True, secret_content=content, **dict({"mode": "0600"}, **more))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def copy(dest, text, sent, **more):
    """One that the controller has. sent: whether its content came along."""
    sends = base64.b64encode(text.encode()).decode() if sent else None
    return file(dest, None, sha256=sha256(text), base64=sends, **more)


def directory(path, **more):
    return dict({"path": path, "mode": "0755", "owner": None, "group": None}, **more)


def content(path):
    with open(path, "rb") as read:
        return read.read()


def values_of(path, **more):
    return dict({"file": path, "before": None, "inherit": None, "missing_ok": False}, **more)


def params(**more):
    found = {"state": "present", "program": PROGRAM, "upgrade": False, "needed_by": None}
    for name in (
        "known_by",
        "directories",
        "files",
        "commands",
        "sysctls",
        "units",
        "may_fail",
        "undo",
        "remains",
        "state_files",
    ):
        found[name] = []
    return dict(found, **more)


def command(*argv, **more):
    return dict({"argv": list(argv), "creates": None, "reads": None, "dry_run": []}, **more)


def undo(needs, **more):
    return dict({"argv": ["undo"], "needs": needs, "before": None, "dry_run": []}, **more)


class Killed(BaseException):
    """The run breaks off here, as by a power cut: nothing tidies up."""


class Breaks:
    """Breaks the run off at its N-th step, before or after that is done."""

    def __init__(self, at=None, after=False):
        self.at, self.after, self.steps = at, after, 0

    def step(self, do):
        self.steps += 1
        if self.steps == self.at and not self.after:
            raise Killed
        here = self.steps == self.at
        try:
            result = do()
        except OSError:
            if here:
                raise Killed from None
            raise
        if here:
            raise Killed
        return result


class BreakingOs:
    """The module os, each change of which is a step."""

    CHANGES = frozenset(
        ["open", "link", "symlink", "rename", "unlink", "mkdir", "rmdir", "chown", "chmod", "fchown", "fchmod", "fsync"]
    )

    def __init__(self, breaks):
        self._breaks = breaks

    def __getattr__(self, name):
        found = getattr(os, name)
        if name not in self.CHANGES:
            return found
        return lambda *args, **named: self._breaks.step(lambda: found(*args, **named))


class World:
    def __init__(self, root):
        self.root = str(root)
        self.active, self.enabled, self.failed, self.outdated = set(), set(), set(), set()
        self.runs = {}  # {unit: what its files were when it was started}
        self.reads = {}  # {unit: the files that it reads}
        self.said = []  # commands that change something
        self.as_if = {}
        self.refuses = set()  # units that do not start
        self.older = set()  # units that run an older program
        self.breaks = Breaks()
        self.programs = {
            "systemctl": self.systemctl,
            PROGRAM: self.program,
            "check": self.check_file,
            "undo": self.undo,
            "make": self.make,
            "settle": self.settle,
            "unsettle": self.unsettle,
        }
        self.undone = 0
        for name in (
            "/etc/sitelink",
            UNITS,
            "/run/sitelink",
            "/var/lib/sitelink",
            "/etc/sysctl.d",
            "/proc/sys/net/ipv4/conf/eth1.7",
        ):
            os.makedirs(self.at(name))

    def at(self, path):
        return self.root + path

    def put(self, path, text, mode=0o644):
        with open(self.at(path), "w") as written:
            written.write(text)
        os.chmod(self.at(path), mode)

    def text(self, path):
        with open(self.at(path)) as read:
            return read.read()

    def look(self):
        """{path: what lies there}, and what systemd has."""
        found = {}
        for directory, names, files in os.walk(self.root):
            for name in names + files:
                path = os.path.join(directory, name)
                mode = stat.S_IMODE(os.lstat(path).st_mode)
                kind = None
                if os.path.islink(path):
                    kind = os.readlink(path)
                elif os.path.isfile(path):
                    kind = content(path)
                found[path[len(self.root) :]] = (kind, mode)
        return found, sorted(self.active), sorted(self.enabled), sorted(self.failed), dict(self.runs)

    # The doubles.

    def run(self, argv, stdin=""):
        return self.programs.get(argv[0], lambda words, stdin: site.Done(127, "", "%s is not there" % argv[0]))(
            argv[1:], stdin
        )

    def change(self, words, do):
        def done():
            self.said.append(words)
            do()

        self.breaks.step(done)
        return site.Done(0, "")

    def systemctl(self, words, stdin):
        verb, unit = words[0], words[-1]
        if verb == "show":
            state = "active" if unit in self.active else "failed" if unit in self.failed else "inactive"
            return site.Done(
                0, "ActiveState=%s\nNeedDaemonReload=%s\n" % (state, "yes" if unit in self.outdated else "no")
            )
        if verb == "is-enabled":
            return site.Done(0, "enabled\n") if unit in self.enabled else site.Done(1, "disabled\n")
        if verb == "daemon-reload":
            return self.change(verb, self.outdated.clear)
        changed = {"stop": self.active, "disable": self.enabled, "reset-failed": self.failed}[verb]
        return self.change("%s %s" % (verb, unit), lambda: changed.discard(unit))

    def digests(self, unit):
        def digest(path):
            there = os.path.isfile(self.at(path))
            return hashlib.sha256(content(self.at(path))).hexdigest() if there else ""

        return {path: self.as_if.get(path, digest(path)) for path in self.reads.get(unit, [])}

    def program(self, words, stdin):
        """`sitelink service`."""
        dry = "--dry-run" in words
        self.as_if = json.loads(stdin) if dry else {}
        said = []
        units = [word for word in words[1:] if not word.startswith("-")]
        for unit in sorted(self.older) if "--upgrade" in words else units:
            if unit in self.refuses:
                return site.Done(1, "".join(line + "\n" for line in said), "sitelink: it failed\n")
            outdated = unit in self.older or self.runs.get(unit) != self.digests(unit)
            verb = "start" if unit not in self.active else "restart" if outdated else ""
            if not verb and unit in self.enabled:
                continue

            def bring(unit=unit):
                self.active.add(unit)
                self.enabled.add(unit)
                self.older.discard(unit)
                self.runs[unit] = self.digests(unit)

            if not dry:
                self.change("%s %s" % (verb or "enable", unit), bring)
            said.append("%sed %s" % (verb or "enable", unit))
        return site.Done(0, "".join(line + "\n" for line in said))

    def check_file(self, words, stdin):
        text = content(words[-1]).decode()
        said = "%s says: %s\n" % (words[-1], text.strip())
        return site.Done(1, "", said) if "bad" in text else site.Done(0, "checked\n", said if "odd" in text else "")

    def make(self, words, stdin):
        """Whole or not at all, as a command has to be that says by a path that it has run."""
        return self.change("make", lambda: self.put(words[0], "made\n"))

    def settle(self, words, stdin):
        """What knows by itself what is to be done: it makes the second file say what the first one does."""
        text = self.text(words[0]) if words[0] == "/etc/sitelink/gateway-eth1.json" else content(words[0]).decode()
        path = words[1]
        if "never" in text:
            return site.Done(1, "", "it is never so\n")
        if os.path.exists(self.at(path)) and self.text(path) == text:
            return site.Done(0, "")
        if words[2:] != ["--dry-run"]:
            self.change("settle", lambda: self.put(path, text))
        return site.Done(0, "settled %s\n" % path)

    def unsettle(self, words, stdin):
        """The same the other way round: what it made goes, and nothing is to be done without it."""
        if not os.path.exists(self.at(words[0])):
            return site.Done(0, "")
        if words[1:] != ["--dry-run"]:
            self.change("unsettle", lambda: os.unlink(self.at(words[0])))
        return site.Done(0, "unsettled %s\n" % words[0])

    def undo(self, words, stdin):
        self.undone += 1
        return self.change("undo", lambda: None)

    def open_a_value(self, path, mode="r"):
        """Each value of the kernel that is written is a step."""
        return self.breaks.step(lambda: open(path, mode)) if mode == "w" else open(path)

    # The module, as it calls the layer.

    def play(self, check=False, breaks=None, **options):
        """Returns the layer behind it; raises what it raises."""
        self.breaks = breaks or Breaks()
        self.said = []
        site.os = BreakingOs(self.breaks)
        sysctls.open = self.open_a_value
        try:
            layer = Layer(site.Site(self.root, self.run), wanted.read(params(**options), check), check)
            getattr(layer, options.get("state", "present"))()
        finally:
            site.os = os
            del sysctls.open
            self.breaks = Breaks()
        return layer

    def judge(self, *layers, **more):
        """What differs of these layers, by their places, and the warnings. more: of each, such as its conditions."""
        self.said = []
        stated = [
            Stated("layer-%d" % place, more.get("conditions", []), params(**options), more.get("problems", []))
            for place, options in enumerate(layers, 1)
        ]
        return judge(site.Site(self.root, self.run), stated)

    def lacking(self, **options):
        return Layer(site.Site(self.root, self.run), wanted.read(params(**options), False)).lacking()
