# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink service`: units are enabled, active, and run what is written; by what is, not by what a playbook just changed."""

import os
import re
import subprocess
import time

from . import config, loaded, settle

# All of them known to systemd 219.
PROPERTIES = ["LoadState", "ActiveState", "NeedDaemonReload", "MainPID", "Result"]
ENABLED = ("enabled", "static")  # for good; static: nothing to enable, something else starts it
RELOAD_SECONDS = 30  # until a daemon that was told has read its files
DAEMONS = ("firewall", "gateway", "mesh")
_OF_MESH = re.compile(r"sitelink-mesh@(.+)\.service\Z")
_OF_WG_QUICK = re.compile(r"wg-quick@(.+)\.service\Z")


class Systemd:
    """systemctl."""

    def show(self, unit):
        words = ["--property=" + name for name in PROPERTIES]
        text = self._run(["show"] + words + [unit])[1]
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def enabled(self, unit):
        """By the links that there are; systemd remembers the state of a unit, and an old one that of the template."""
        return self._run(["is-enabled", unit])[1].strip()

    def do(self, *words):
        """Raises ConfigError with what systemctl says."""
        code, text = self._run(words, stderr=subprocess.STDOUT)
        if code:
            raise config.ConfigError("systemctl %s: %s" % (" ".join(words), " ".join(text.split()) or code))

    def _run(self, words, stderr=subprocess.DEVNULL):
        done = subprocess.run(
            ["systemctl"] + list(words),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, universal_newlines=True,
        )  # fmt: skip
        return done.returncode, done.stdout


class Service:
    def __init__(self, systemd=None, dry_run=False, as_if=None, mesh=settle):
        """as_if: {path: digest} of a dry run. mesh: what settle has: drift(), compose(), stray(), take_down()."""
        self.systemd = systemd or Systemd()
        self.dry_run = dry_run
        self.as_if = dict(as_if or {})
        self.mesh = mesh

    def bring(self, units):
        """Make these units run what is written. Yields a sentence for each thing that it did; raises ConfigError."""
        for interface in _matches(_OF_MESH, units):
            if self.mesh.compose(interface, self.dry_run, self.as_if):
                path = config.wireguard_path(interface)
                if self.dry_run:
                    self.as_if[path] = ""
                yield "put the site's own key into %s" % path
        outdated = [unit for unit in units if any(map(self._outdated, [unit] + _started_by(unit)))]
        if outdated:
            # A timer and a path that are active take their new settings over with that.
            self._do("daemon-reload")
            yield "let systemd read anew the files of %s" % ", ".join(outdated)
        for unit in units:
            shown = self.systemd.show(unit)
            if self.systemd.enabled(unit) not in ENABLED:
                self._do("enable", unit)
                yield "enabled %s" % unit
            if unit == loaded.DDNS:
                verb, why = "start", self._ddns(shown, unit in outdated)
            elif shown.get("ActiveState") not in ("active", "reloading"):
                verb, why = "start", "it was %s" % (shown.get("ActiveState") or "unknown")
                if shown.get("ActiveState") in ("inactive", "failed"):
                    for interface in filter(self.mesh.stray, _matches(_OF_WG_QUICK, [unit])):
                        if not self.dry_run:
                            self.mesh.take_down(interface)
                        yield "took down %s, of which %s knew nothing" % (interface, unit)
            else:
                verb, why = self._running(unit, shown, unit in outdated)
            if why:
                if unit == loaded.DDNS:
                    self._publish()
                else:
                    self._do(verb, unit)
                if verb == "reload":
                    self._wait(unit)
                yield "%sed %s: %s" % (verb, unit, why)

    def upgrade(self):
        """Restart the daemons that run an older program. Yields and raises as bring() does, the latter at the end."""
        refused = []
        units = [loaded.unit(kind, interface) for kind in DAEMONS for interface in config.configured(kind)]
        for unit in units + [loaded.WATCH]:
            shown = self.systemd.show(unit)
            if shown.get("ActiveState") != "active":
                continue  # its own role starts it
            told = _told(unit, shown)
            if told and loaded.PROGRAM not in self._differing(unit, told):
                continue
            try:
                self._do("restart", unit)
                yield "restarted %s: it ran an older program" % unit
            except config.ConfigError as error:
                refused.append(str(error))
        if refused:
            raise config.ConfigError("; ".join(refused))

    def _do(self, *words):
        if not self.dry_run:
            self.systemd.do(*words)

    def _outdated(self, unit):
        """Whether systemd has not read the files of a unit as they are."""
        shown = self.systemd.show(unit)
        known = shown.get("NeedDaemonReload") != "yes" and shown.get("LoadState") != "not-found"
        # One of this interface alone stands before that of the template.
        paths = (loaded.unit_path(unit), os.path.join(loaded.UNITS, unit))
        return not known or any(path in self.as_if for path in paths)

    def _differing(self, unit, told):
        return loaded.differing(unit, told, self.as_if)

    def _running(self, unit, shown, outdated):
        """(verb, why) for an active unit; no reason where it runs what is written."""
        paths = loaded.files(unit)
        if paths is None:
            return "", ""
        told = _told(unit, shown)
        if not told:
            return "restart", "it does not tell what it runs"
        found = self._differing(unit, told)
        mesh = _OF_MESH.match(unit)
        if outdated or [item for item in found if not mesh or item not in paths]:
            return "restart", _differ(found or [loaded.unit_path(unit)])
        if mesh and not found:
            interface = mesh.group(1)
            drift = ", ".join(self.mesh.drift(interface))
            return "reload", "the running %s has other %s than its files" % (interface, drift) if drift else ""
        return "reload", _differ(found) if found else ""

    def _ddns(self, shown, outdated):
        """Why the name is to be published now."""
        told = loaded.told(loaded.DDNS)
        under_way = told and shown.get("ActiveState") == "activating"
        if under_way and not outdated and not self._differing(loaded.DDNS, told):
            # The timer's run is under way: to wait for its end is no change.
            if self.dry_run:
                return ""
            self._publish()
            told, shown = loaded.told(loaded.DDNS), self.systemd.show(loaded.DDNS)
        if not told:
            return "it has not run yet"
        found = self._differing(loaded.DDNS, told)
        if found or outdated:
            return _differ(found or [loaded.unit_path(loaded.DDNS)])
        return "" if told.get("ok") and shown.get("Result") == "success" else "the last run failed"

    def _publish(self):
        """The first one may have been under way already, with what was written before."""
        for last in (False, True):
            try:
                self._do("start", loaded.DDNS)
                refused = None
            except config.ConfigError as error:
                refused = error
            if last or self.dry_run or not loaded.differing(loaded.DDNS, loaded.told(loaded.DDNS)):
                break
        if refused:
            raise refused

    def _wait(self, unit):
        end = time.monotonic() + RELOAD_SECONDS
        while not self.dry_run:
            found = loaded.differing(unit, loaded.told(unit))
            if not found:
                break
            if time.monotonic() > end:
                raise config.ConfigError("%s does not take %s; look with: sitelink status" % (unit, ", ".join(found)))
            time.sleep(0.05)


def _told(unit, shown):
    """What the process that runs now said; {} where that was another one, or it says nothing."""
    told = loaded.told(unit)
    return told if str(told.get("pid")) == shown.get("MainPID") else {}


def _matches(pattern, units):
    """The interfaces of those units that fit."""
    return [match.group(1) for match in map(pattern.match, units) if match]


def _differ(found):
    return "%s %s not what it ran" % (", ".join(found), "is" if len(found) == 1 else "are")


def _started_by(unit):
    """The unit that a timer or a path starts: it has no process of its own to compare."""
    stem, _, kind = unit.rpartition(".")
    return [stem + ".service"] if kind in ("timer", "path") else []
