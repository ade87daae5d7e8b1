# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's options, read and judged: what a layer is to put on a site."""

import base64
import fnmatch
import glob
import grp
import hashlib
import os
import pwd
import re
from typing import Any, Dict, List, NamedTuple, Optional, Pattern, Tuple

MODE = re.compile(r"0[0-7]{3}\Z")


class Refused(Exception):
    """Everything that stands against the layer: sentences, each of which begins with what it is about."""

    def __init__(self, problems: List[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Directory(NamedTuple):
    path: str
    mode: int
    uid: Optional[int]
    gid: Optional[int]


class File(NamedTuple):
    path: str
    content: bytes
    secret: bool
    mode: int
    uid: int
    gid: int
    validate: Tuple[str, ...]
    ours: Optional[Pattern[str]]  # in what is there already; None: whatever has this path is ours
    needed_by: str  # a pattern: while another path fits it the file stays where the layer goes
    sha256: str  # of a file of the controller, whose content comes where the site has not got it; else empty

    @property
    def digest(self) -> str:
        return self.sha256 or digest(self.content)

    @property
    def lacks_content(self) -> bool:
        return bool(self.sha256) and digest(self.content) != self.sha256

    def is_ours(self, content: bytes) -> bool:
        return self.ours is None or self.ours.search(content.decode(errors="replace")) is not None


class Sysctls(NamedTuple):
    """A file in the form of sysctl.d(5) whose values are to be those of the kernel."""

    path: str
    before: str  # where what they were before is kept
    inherit: str  # whose values they get where the layer goes and nothing was kept
    missing_ok: bool


class Command(NamedTuple):
    """A command that makes what is no file. Either a path is there when it has, or it says by itself what it changed."""

    argv: Tuple[str, ...]
    creates: str
    reads: str  # of the files, that which stands for %s in argv
    dry_run: Tuple[str, ...]  # the words by which it only says what it would change


class Undo(NamedTuple):
    """A command that takes back what a layer's programs did, as in the kernel; it needs a file of the layer or of theirs."""

    argv: Tuple[str, ...]
    needs: str
    before: str  # a unit that is stopped after it; empty: all are stopped before
    dry_run: Tuple[str, ...]  # as of a Command; empty: it says nothing of what it changes


class Wanted(NamedTuple):
    known_by: List[str]  # paths; where there is none of them, there is nothing of the layer
    directories: List[Directory]
    files: List[File]
    commands: List[Command]
    sysctls: List[Sysctls]
    units: List[str]
    may_fail: List[str]
    upgrade: bool
    undo: List[Undo]
    remains: List[str]
    state_files: List[str]
    needed_by: str
    program: str


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Reader:
    def __init__(self, lenient: bool) -> None:
        """lenient: with users and groups that are not there."""
        self.lenient = lenient
        self.problems: List[str] = []

    def refuse(self, what: str, why: str) -> None:
        self.problems.append("%s: %s" % (what, why))

    def path(self, value: str) -> str:
        if not value.startswith("/") or value != os.path.normpath(value):
            self.refuse(repr(value), "write the whole path, without . and .. in it")
        return value

    def pattern_of_paths(self, value: str) -> str:
        directory, name = os.path.split(self.path(value))
        if glob.has_magic(directory) or (directory == "/" and glob.has_magic(name)):
            self.refuse(repr(value), "only the last part of a path may be a pattern, and not one of what lies in /")
        return value

    def mode(self, path: str, value: str) -> int:
        if not MODE.match(value):
            self.refuse(path, 'the mode %s is none; write four octal digits in quotes, such as "0644"' % value)
            return 0
        return int(value, 8)

    def owner(self, path: str, option: str, value: str) -> int:
        """The number of a user or group."""
        try:
            return pwd.getpwnam(value).pw_uid if option == "owner" else grp.getgrnam(value).gr_gid
        except KeyError:
            if not self.lenient:
                self.refuse(path, "its %s %s is not on this site" % (option, value))
            return -1

    def pattern(self, path: str, value: Optional[str]) -> Optional[Pattern[str]]:
        if value is None:
            return None
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            self.refuse(path, "ours: %s is no regular expression: %s" % (value, error))
            return None

    def file(self, item: Dict[str, Any]) -> File:
        path = self.path(item["dest"])
        contents = [item[name].encode() for name in ("content", "secret_content") if item.get(name) is not None]
        if item["base64"] is not None:
            contents.append(base64.b64decode(item["base64"]))
            if digest(contents[0]) != item["sha256"]:
                self.refuse(path, "what came from the controller has not the SHA-256 %s" % item["sha256"])
        if item["sha256"] and item["validate"]:
            self.refuse(path, "validate looks at the content, which is not sent each time where it is given by copy")
        if item["validate"] and not any("%s" in word for word in item["validate"]):
            self.refuse(path, "validate needs %s where the name of the file to check is to stand")
        return File(
            path,
            contents[0] if contents else b"",
            item["secret"],
            self.mode(path, item["mode"]),
            self.owner(path, "owner", item["owner"]),
            self.owner(path, "group", item["group"]),
            tuple(item["validate"] or ()),
            self.pattern(path, item["ours"]),
            self.pattern_of_paths(item["needed_by"]) if item["needed_by"] else "",
            item["sha256"] or "",
        )

    def directory(self, item: Dict[str, Any]) -> Directory:
        path = self.path(item["path"])
        owner, group = (
            self.owner(path, option, item[option]) if item[option] else None for option in ("owner", "group")
        )
        return Directory(path, self.mode(path, item["mode"]), owner, group)

    def sysctls(self, item: Dict[str, Any]) -> Sysctls:
        before = self.path(item["before"]) if item["before"] else ""
        return Sysctls(self.path(item["file"]), before, item["inherit"] or "", item["missing_ok"])

    def command(self, item: Dict[str, Any], files: List[Dict[str, Any]]) -> Command:
        shown, creates, reads, dry_run = " ".join(item["argv"]), item["creates"], item["reads"], item["dry_run"]
        if bool(creates) == bool(dry_run):
            self.refuse(shown, "write either creates, or dry_run for one that says by itself what it changes")
        if bool(reads) != any("%s" in word for word in item["argv"]):
            self.refuse(shown, "write %s where the name of the file in reads is to stand")
        elif reads and not any(reads == file["dest"] and not file["sha256"] for file in files):
            self.refuse(shown, "reads names %s, and it is none of the files with src or content" % reads)
        return Command(tuple(item["argv"]), self.path(creates) if creates else "", reads or "", tuple(dry_run))

    def undo(self, item: Dict[str, Any], units: List[str]) -> Undo:
        before = item["before"] or ""
        if before and before not in units:
            self.refuse(" ".join(item["argv"]), "before names %s, and it is none of the units" % before)
        return Undo(tuple(item["argv"]), self.path(item["needs"]), before, tuple(item["dry_run"]))

    def twice(self, paths: List[str]) -> None:
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            self.refuse(path, "it is wanted twice")


def read(params: Dict[str, Any], check: bool) -> Wanted:
    """The module's options. Raises Refused."""
    # In check mode whoever makes a user only says so, and what goes may have lost its own already.
    reader = _Reader(check or params["state"] == "absent")
    wanted = Wanted(
        [reader.path(path) for path in params["known_by"]],
        [reader.directory(item) for item in params["directories"]],
        [reader.file(item) for item in params["files"]],
        [reader.command(item, params["files"]) for item in params["commands"]],
        [reader.sysctls(item) for item in params["sysctls"]],
        list(params["units"]),
        list(params["may_fail"]),
        params["upgrade"],
        [reader.undo(item, params["units"]) for item in params["undo"]],
        [reader.pattern_of_paths(path) for path in params["remains"]],
        [reader.pattern_of_paths(path) for path in params["state_files"]],
        reader.pattern_of_paths(params["needed_by"]) if params["needed_by"] else "",
        params["program"],
    )
    _judge(reader, wanted)
    if reader.problems:
        raise Refused(reader.problems)
    return wanted


def _judge(reader: _Reader, wanted: Wanted) -> None:
    """What one option says of another."""
    reader.twice([file.path for file in wanted.files] + [directory.path for directory in wanted.directories])
    for each in wanted.sysctls:
        if not any(each.path == file.path and not file.sha256 for file in wanted.files):
            reader.refuse(each.path, "sysctls names it, and it is none of the files with src or content")
    for unit in wanted.may_fail:
        if unit not in wanted.units:
            reader.refuse(unit, "may_fail names it, and it is none of the units")
    for pattern in wanted.state_files:
        for file in wanted.files:
            if fnmatch.fnmatchcase(file.path, pattern):
                reader.refuse(file.path, "it is one of the files, and state_files has it as well")
