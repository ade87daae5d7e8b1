# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the configuration of the underlay NIC in place, and takes it back when nobody says in time that the site still answers.

The role renders nic-<NIC>.json: the files of one network manager, and the commands that make it read them. What was applied last
stands in /var/lib/sitelink, with a copy of each file of others that was replaced or cut; a change that is not confirmed yet stands
beside it, with a copy of everything that it touched.
"""

import base64
import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections import namedtuple

from . import config, cut, log, networkd, owners, state

UP = 1  # IFF_UP
SHOWN = 600  # characters of what a failed command said
UNCONFIRMED = "an earlier change was not confirmed"
# The timer is gone when the site is switched off, and whoever was cut off switches it off and on.
BOOT = """\
# Of a change that nobody has confirmed yet; it goes with that.
[Unit]
Description=Take back the unconfirmed configuration of %(nic)s
ConditionPathExists=%(pending)s
After=network.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/sitelink nic %(nic)s --revert
"""

# files: {path: (mode, text)}; up, down, gone, rescue: lists of argv, network: a path, see the role's vars. nics: the names of all NICs
# that it configures. A command whose program has a "-" before it may fail.
Setup = namedtuple("Setup", "backend files up down gone rescue network nics revert_after raw")


class NicError(config.ConfigError):
    """A sentence for the operator."""


def load(interface, path=""):
    """Read nic-<interface>.json, or another file in its place. Raises ConfigError."""
    with config.reading(path or os.path.join(config.ETC, "nic-%s.json" % interface)) as data:
        if data["interface"] != interface:
            raise ValueError("it is about the interface %r" % (data["interface"],))
        return _setup(data)


def _setup(data):
    files = {}
    for item in data["files"]:
        files[str(item["path"])] = (int(item["mode"], 8), "".join(line + "\n" for line in item["lines"]))
    return Setup(
        backend=str(data["backend"]),
        files=files,
        up=data["up"],
        down=data["down"],
        gone=data["gone"],
        rescue=data["rescue"],
        network=str(data.get("network", "")),
        nics=list(data.get("nics", [data["interface"]])),
        revert_after=int(data["revert_after"]),
        raw=data,
    )


class Nic:
    """One NIC's configuration on this site."""

    def __init__(self, interface, root="", execute=None):
        self.interface = interface
        self.root = root  # of tests
        self.execute = execute or run
        self.wait = networkd.WAIT
        self.record = config.lib_path("nic", interface, "json")
        self.pending = config.lib_path("nic", interface, "pending.json")
        self.unit = "sitelink-nic-%s-revert" % interface

    def __enter__(self):
        os.makedirs(config.RUN, mode=0o755, exist_ok=True)
        # One for all NICs: what makes a network manager read its files makes it read those of all of them.
        self.lock = open(os.path.join(config.RUN, "nic.lock"), "a")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *error):
        self.lock.close()

    def change(self, target, take=(), shared=(), dry=False):
        """Go over to a Setup, or to nothing at all (None). Returns what changes, as texts; nothing is touched when `dry`.

        take: files of others, which are put aside until the NIC is given back. shared: those that the NIC is cut out of.

        The change stands for `revert_after` seconds, unless keep() is called. When a command fails, all is as it was before.
        """
        record = self._read_record()
        previous = _setup(record["applied"]) if record.get("applied") else None
        take = [path for path in take if os.path.lexists(self.root + path)]
        aside = self._replaced(previous, target, take)
        parts = {path: self._without(path) for path in shared}
        changes = self._changes(previous, target, record, take + aside, parts)
        if not changes and not dry and target:
            state.write_json(self.record, dict(record, applied=target.raw), 0o600)  # other commands, same files
        if changes:
            self._refuse_to_apply_what_others_changed(target or previous)
        if dry or not changes:
            return changes
        touched = set(record.get("kept", {})) | set(take) | set(parts)
        for setup in (previous, target):
            touched.update(setup.files if setup else ())
        before = self._read_pending()
        fresh = not before
        if fresh:
            before = {"record": record, "files": {path: self._copy(path) for path in sorted(touched)}}
            before["missing"] = self._missing(touched)
        for path in touched:
            before["files"].setdefault(path, self._copy(path))
        before["target"] = target.raw if target else None
        if target and not record:
            before.setdefault("down", self._down(target.nics))
        try:
            state.write_json(self.pending, before, 0o600)
            self._arm((target or previous).revert_after)
        except (NicError, OSError) as error:
            if fresh:
                self._forget_pending()
            raise NicError("%s; nothing was changed" % error) from None
        try:
            self._go(previous, target, dict(record, down=record.get("down", before.get("down", []))), take, aside, parts, before)
        except (NicError, OSError) as error:
            try:
                self.revert()
            except (NicError, OSError) as worse:
                raise NicError("%s; %s; the site's timer tries it again" % (error, worse)) from None
            raise NicError("%s; the configuration that was there before is back" % error) from None
        return changes

    def give_back(self, dry=False):
        """Go over to nothing at all, where the NIC is ours. Returns and takes it as change() does."""
        if os.path.exists(self.record):
            return self.change(None, dry=dry)
        before = self._read_pending()
        if not before:
            return []
        if before.get("target"):  # a first configuration that broke off: there is nothing to go over from
            if not dry:
                self.revert()
            return []
        return [UNCONFIRMED]  # by a run that broke off before it had kept that

    def keep(self):
        """The site still answers: the change stays. NicError when it was taken back already."""
        self._disarm()
        if not os.path.exists(self.pending):
            raise NicError("%s: the change was not confirmed in time and has been taken back" % self.interface)
        self._forget_pending()

    def revert(self, rescue=False):
        """Take an unconfirmed change back. With `rescue` the network managers are also started again, for what else it did.

        Returns whether there was one.
        """
        before = self._read_pending()
        if not before:
            return False
        old = _setup(before["record"]["applied"]) if before["record"].get("applied") else None
        new = _setup(before["target"]) if before.get("target") else None
        leaving = new and not (old and old.backend == new.backend)
        if leaving:
            self._run(new.down, tolerant=True)
        wrong = []
        for path, copy in before["files"].items():
            try:
                self._restore(path, copy)
            except OSError as error:
                wrong.append("%s cannot be put back: %s" % (path, error.strerror))
        self._remove_empty(before.get("missing", []))
        if leaving:
            self._run(new.gone, tolerant=True)
        if old:
            self._run(old.up, tolerant=True)
        elif new and not any(copy for path, copy in before["files"].items() if path not in new.files):
            self._leave_down(before.get("down", []))
        try:
            if before["record"]:
                state.write_json(self.record, before["record"], 0o600)
            elif os.path.exists(self.record):
                os.unlink(self.record)
        except OSError as error:
            wrong.append("%s cannot be put back: %s" % (self.record, error.strerror))
        if rescue:
            for setup in (new, old if not new or (old and old.backend != new.backend) else None):
                self._run(setup.rescue if setup else [], tolerant=True)
        if wrong:
            raise NicError("; ".join(wrong))
        self._forget_pending()
        if not rescue:
            self._disarm()  # else this runs in the timer's own service
        return True

    def _read_record(self):
        """What was applied and confirmed last; {} when nothing was."""
        record = state.read_json(self.record)
        if not record and os.path.exists(self.record):
            log.log(
                log.WARNING,
                "%s is damaged: what was put aside for %s is not known any more, what was applied is taken from %s"
                % (self.record, self.interface, config.ETC),
            )
            record = self._planned()
        return record

    def _planned(self):
        """As a record: what /etc/sitelink says, for want of anything better."""
        try:
            return {"applied": load(self.interface).raw}
        except config.ConfigError:
            return {}

    def _read_pending(self):
        """What was there before a change that is not confirmed; {} when there is none. Where that is damaged, what is ours goes, and what
        was put aside comes back."""
        before = state.read_json(self.pending)
        if before or not os.path.exists(self.pending):
            return before
        record, planned = state.read_json(self.record), self._planned()
        log.log(log.WARNING, "%s is damaged; all of ours goes for the NIC, and the next run begins anew" % self.pending)
        ours = [item["applied"] for item in (planned, record) if item.get("applied")]
        files = {path: None for raw in ours for path in _setup(raw).files}
        files.update(record.get("kept", {}))
        return {"record": {}, "files": files, "target": ours[-1] if ours else None}

    def _forget_pending(self):
        """What is for the next boot alone does nothing any more once the first of these is gone, also behind a power cut."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.pending)
        with contextlib.suppress(OSError):
            directory = os.open(os.path.dirname(self.pending), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        for path in (self._boot("multi-user.target.wants"), self._boot()):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _boot(self, *directory):
        return os.path.join(config.SYSTEM, *(directory + (self.unit + "-boot.service",)))

    def _changes(self, previous, target, record, take, parts):
        found = []
        if os.path.exists(self.pending):
            found.append(UNCONFIRMED)
        if previous and target and previous.backend != target.backend:
            found.append("%s instead of %s" % (target.backend, previous.backend))
        for path, (mode, text) in sorted(target.files.items()) if target else []:
            if self._copy(path) != _as_copy(mode, text.encode("utf-8")):
                found.append("write %s" % path)
        for path in sorted(set(previous.files) - set(target.files if target else ())) if previous else []:
            if os.path.lexists(self.root + path):
                found.append("remove %s" % path)
        found += ["put %s aside" % path for path in take]
        found += ["take %s out of %s" % (self.interface, path) for path in sorted(parts)]
        if target is None:
            found += ["put %s back" % path for path in sorted(record.get("kept", {}))]
        return found

    def _go(self, previous, target, record, take, aside, parts, before):
        kept, left, made = dict(record.get("kept", {})), dict(record.get("left", {})), record.get("made", [])
        leaving = previous and (target is None or previous.backend != target.backend)
        if leaving:
            self._run(previous.down, tolerant=True)
        kept.update((path, self._copy(path)) for path in list(take) + aside + list(parts))
        replaced = (set(record.get("replaced", ())) | set(aside)) - set(take)
        theirs = any(kept.values())
        if take or parts:
            left.update(parts)
            self._run(target.down, tolerant=True)  # what these files had brought up
        wanted = target.files if target else {}
        for path in set(previous.files if previous else ()) | (set(kept) - set(left)):
            # Of two backends with the same path the first one's must not be read once more, by `gone`: its other files are gone.
            if path not in wanted or leaving:
                back = target is None or (path in replaced and path not in wanted)
                self._restore(path, kept.get(path) if back else None)
                if back:
                    kept.pop(path, None)
        for path, copy in parts.items():
            self._restore(path, copy)
        for path, copy in left.items() if target is None else ():
            # Its owner may have changed it since.
            untouched = self._copy(path) in (copy, kept[path])
            beside = os.path.join(os.path.dirname(path), ".%s.before-sitelink" % os.path.basename(path))
            self._restore(path if untouched else beside, kept[path])
        if target is None:
            self._remove_empty(made)
        if leaving:
            self._run(previous.gone, tolerant=True)
        if target is None and not theirs:
            self._leave_down(record["down"])
        for path, (mode, text) in sorted(wanted.items()):
            self._restore(path, _as_copy(mode, text.encode("utf-8")))
        if target:
            made = sorted({*made, *before.get("missing", [])}, reverse=True)
            state.write_json(
                self.record,
                {
                    "applied": target.raw,
                    "kept": kept,
                    "left": left,
                    "made": made,
                    "replaced": sorted(replaced & set(kept)),
                    "down": record["down"],
                },
                0o600,
            )
            self._run(target.up)
            wrong = networkd.wrong_file(self.interface, target.network, self.root, self.wait) if target.network else None
            if wrong and self.execute(["systemctl", "is-active", "systemd-networkd.service"])[0]:
                wrong = "systemd-networkd does not run, so nothing configures %s; look with: systemctl status systemd-networkd" % (
                    self.interface
                )
            if wrong:
                raise NicError(wrong)
        elif os.path.exists(self.record):
            os.unlink(self.record)

    def _refuse_to_apply_what_others_changed(self, setup):
        """networkd reads all files at once: a change that waits there could cut the NIC that Ansible came in by."""
        waiting = networkd.pending(setup.nics, self.execute, self.root) if setup and setup.network else []
        if waiting:
            raise NicError("%s is not configured yet: %s" % (self.interface, "; ".join(waiting)))

    def _run(self, commands, tolerant=False):
        for argv in commands:
            may_fail = argv[0].startswith("-")
            code, said = self.execute([argv[0].lstrip("-")] + argv[1:])
            if code and not (may_fail or tolerant):
                raise NicError("%s: exit %d: %s" % (" ".join(argv), code, said.strip()[-SHOWN:]))

    def _arm(self, seconds):
        self._disarm()
        # systemd reads it at the next boot: no need to tell it.
        state.write_text(self._boot(), BOOT % {"nic": self.interface, "pending": self.pending})
        os.makedirs(os.path.dirname(self._boot("multi-user.target.wants")), mode=0o755, exist_ok=True)
        if not os.path.lexists(self._boot("multi-user.target.wants")):
            os.symlink(self._boot(), self._boot("multi-user.target.wants"))
        program = ["/usr/local/sbin/sitelink", "nic", self.interface, "--revert"]
        timer = ["systemd-run", "--quiet", "--unit=" + self.unit, "--on-active=%d" % seconds,
                 "--timer-property=AccuracySec=1s"]  # fmt: skip
        self._run([timer + program])

    def _disarm(self):
        self._run([["systemctl", "stop", self.unit + ".timer"]], tolerant=True)
        self._run([["systemctl", "reset-failed", self.unit + ".service"]], tolerant=True)

    def _without(self, path):
        """A file of others as it is without this NIC, as data. Raises NicError."""
        copy = self._copy(path, through=True)
        try:
            text = cut.without(path, base64.b64decode(copy["data"]).decode("utf-8"), self.interface)
        except cut.CutError as error:
            raise NicError("%s %s; take it out by hand" % (path, error)) from None
        return dict(copy, data=base64.b64encode(text.encode("utf-8")).decode("ascii"))

    def _replaced(self, previous, target, take):
        """Files of others in the places of ours that nobody named: they are put aside too."""
        mine = set(previous.files if previous else ()) | set(take)
        return [path for path in sorted(target.files if target else ()) if path not in mine and self._is_theirs(path, target)]

    def _is_theirs(self, path, target):
        mode, text = target.files[path]
        copy = self._copy(path, through=True)
        if not os.path.lexists(self.root + path) or copy == _as_copy(mode, text.encode("utf-8")):
            return False
        # One of ours that no record knows of, such as where /var was lost.
        return not copy or b"sitelink.tr069" not in b"".join(base64.b64decode(copy["data"]).splitlines(True)[:3])

    def _down(self, nics):
        """Those of these NICs that are down."""
        found = []
        for nic in nics:
            with contextlib.suppress(OSError, ValueError), open("%s/sys/class/net/%s/flags" % (self.root, nic)) as file:
                if not int(file.read(), 16) & UP:
                    found.append(nic)
        return found

    def _leave_down(self, nics):
        """A NIC that was down before we came, and that nobody has now, would take the carrier's default route of IPv6."""
        for nic in nics:
            if os.path.isdir("%s/sys/class/net/%s" % (self.root, nic)) and not owners.any_of(nic, self.execute, self.root):
                self._run([["ip", "link", "set", "dev", nic, "down"]], tolerant=True)

    def _missing(self, paths):
        """The directories of these files that are not there, a directory before the one that it is in."""
        found = set()
        for path in paths:
            path = os.path.dirname(path)
            while path != "/" and not os.path.isdir(self.root + path):
                found.add(path)
                path = os.path.dirname(path)
        return sorted(found, reverse=True)

    def _remove_empty(self, directories):
        """Remove what was made for files that are gone again; what holds something by now stays."""
        for path in directories:
            with contextlib.suppress(OSError):
                os.rmdir(self.root + path)

    def _copy(self, path, through=False):
        """A file as data, None when there is none. A symbolic link is where it leads to."""
        if not through and os.path.islink(self.root + path):
            status = os.lstat(self.root + path)
            return {"link": os.readlink(self.root + path), "owner": status.st_uid, "group": status.st_gid}
        try:
            with open(self.root + path, "rb") as file:
                status = os.fstat(file.fileno())
                return _as_copy(status.st_mode & 0o7777, file.read(), status.st_uid, status.st_gid)
        except FileNotFoundError:
            return None

    def _restore(self, path, copy):
        """Make a file what a copy says, in one step. One that is so already needs no space on a disk that is full."""
        if self._copy(path) == copy:
            return
        path = self.root + path
        if copy is None:
            if os.path.lexists(path):
                os.unlink(path)
            return
        directory = os.path.dirname(path)
        os.makedirs(directory, mode=0o755, exist_ok=True)
        # A name that no network manager reads, should this be the last thing that the site does.
        if "link" in copy:
            temporary = os.path.join(directory, ".sitelink-link~")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            os.symlink(copy["link"], temporary)
            if os.geteuid() == 0:
                os.lchown(temporary, copy["owner"], copy["group"])
            os.rename(temporary, path)
            return
        handle, temporary = tempfile.mkstemp(prefix=".sitelink-", suffix="~", dir=directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(base64.b64decode(copy["data"]))
                file.flush()
                os.fchmod(file.fileno(), copy["mode"])
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), copy["owner"], copy["group"])
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _as_copy(mode, data, owner=0, group=0):
    return {"mode": mode, "owner": owner, "group": group, "data": base64.b64encode(data).decode("ascii")}


def run(argv):
    """Run a command of a network manager. Returns (exit code, what it said)."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return 127, "%s: %s" % (argv[0], error.strerror)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def apply(interface, path="", take=(), shared=(), dry=False):
    """Apply nic-<interface>.json, or another file in its place. Returns what changes, as texts."""
    target = load(interface, path)
    with Nic(interface) as nic:
        return nic.change(target, take, shared, dry)


def remove(interface, dry=False):
    """Give the NIC back. Returns what changes, as texts."""
    with Nic(interface) as nic:
        return nic.give_back(dry)


def keep(interface):
    with Nic(interface) as nic:
        nic.keep()


def revert(interface):
    """Called by the timer."""
    with Nic(interface) as nic:
        if nic.revert(rescue=True):
            log.log(
                log.WARNING,
                "%s: nobody confirmed the new configuration in time; the one that was there before is back" % interface,
            )
