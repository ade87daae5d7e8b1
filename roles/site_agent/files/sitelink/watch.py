# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink watch` (sitelink-watch.service): writes the metrics, and tells the operator's command when health changes."""

import hashlib
import os
import subprocess
import time

from . import config, doctor, loaded, log, metrics, nftables, state, status, text, wg
from .loop import Loop

SETTINGS = "watch.json"  # below config.ETC
TOLD = "watch.json"  # below config.LIB: what the command was told last
COMMAND_SECONDS = 30


def load():
    """Read the settings. Raises ConfigError."""
    with config.reading(os.path.join(config.ETC, SETTINGS)) as data:
        language = data["language"]
        if language not in text.LANGUAGES:
            raise ValueError("language must be one of %s" % ", ".join(sorted(text.LANGUAGES)))
        return {
            "textfile": str(data["textfile"]),
            "command": [str(word) for word in data["command"]],
            "interval": int(data["interval"]),
            "settle": int(data["settle"]),
            "pause": int(data["pause"]),
            "language": language,
        }


class Health:
    """Decides when a change is told: once it has lasted, and not more often than the operator wants. Pure logic."""

    def __init__(self, settle, pause, told=frozenset()):
        self.settle, self.pause = settle, pause
        self.told, self.told_at = told, None
        self.seen = self.since = None  # nobody has looked yet

    def change(self, faults, now):
        """faults: what is at fault, a frozenset, empty in good health. Whether it is to be told now."""
        if faults != self.seen:
            self.seen, self.since = faults, now
        if faults == self.told or now - self.since < self.settle:
            return False
        if self.told_at is not None and now - self.told_at < self.pause:
            return False
        self.told, self.told_at = faults, now
        return True


def recall(command):
    """What this very command was told last, for a daemon that starts anew; nothing where it was another command."""
    data = state.read_json(os.path.join(config.LIB, TOLD))
    if data.get("command") != _digest(command):
        return frozenset()
    faults = [item for item in state.items(data.get("faults")) if isinstance(item, list) and len(item) == 2]
    return frozenset((layer, subject) for layer, subject in faults if isinstance(layer, str) and isinstance(subject, str))


def keep(command, faults):
    """Keep that for recall(), over a reboot too: what ends a fault is often a run of the playbook, or a reboot."""
    state.publish(
        os.path.join(config.LIB, TOLD), {"command": _digest(command), "faults": [list(item) for item in sorted(faults)]}
    )


def _digest(command):
    return hashlib.sha256("\0".join(command).encode("utf-8", "surrogateescape")).hexdigest()


def run():
    """The daemon. Returns an exit code; raises ConfigError."""
    record = loaded.Record(loaded.WATCH)
    settings = load()
    record.publish()
    loop = Loop()
    Daemon(settings, loop)
    loop.run()
    return 0


class Daemon:
    def __init__(self, settings, loop):
        self.settings, self.loop = settings, loop
        self.health = Health(settings["settle"], settings["pause"], recall(settings["command"]))
        self.look()
        loop.every(settings["interval"], self.look)
        loop.notifier.send("READY=1")

    def look(self):
        report = status.collect()
        if self.settings["textfile"]:
            try:
                state.write_text(self.settings["textfile"], metrics.render(report))
            except OSError as error:
                log.log(log.WARNING, "%s cannot be written: %s" % (self.settings["textfile"], error.strerror))
        self.loop.notifier.status("%d faults" % len(report["faults"]))
        faults = frozenset((fault["layer"], fault["subject"]) for fault in report["faults"])
        command = self.settings["command"]
        if command and self.health.change(faults, time.monotonic()) and self.tell("fault" if faults else "ok"):
            keep(command, faults)

    def tell(self, health):
        """Run the operator's command. What doctor says stands in its environment, and on its standard input. Returns whether
        the command had no complaint."""
        try:
            report, findings = doctor.examine() if health != "ok" else (status.collect(), [])
        except (OSError, wg.WgError, nftables.NftError, config.ConfigError) as error:
            log.log(log.WARNING, "doctor could not look: %s" % error)
            report, findings = status.collect(), []
        said = doctor.render(report, findings, self.settings["language"])
        if health != "ok" and not findings:  # doctor found it healed, or could not look
            said = "\n".join("%(site)s: [%(layer)s] %(subject)s: %(message)s" % fault for fault in report["faults"]) or said
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "SITELINK_SITE": report["site"],
            "SITELINK_HEALTH": health,
            "SITELINK_LAYER": doctor.CODES[findings[0].code] if findings else "",
            "SITELINK_TEXT": said.split("\n")[0],
        }
        try:
            done = subprocess.run(
                self.settings["command"], input=said.encode("utf-8"), env=environment, timeout=COMMAND_SECONDS,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            log.log(log.NOTICE, "%s was told: %s" % (self.settings["command"][0], said.split("\n")[0]))
            if done.returncode:
                log.log(log.WARNING, "%s ended with %d" % (self.settings["command"][0], done.returncode))
            return not done.returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            log.log(log.WARNING, "%s could not be run: %s" % (self.settings["command"][0], error))
        return False
