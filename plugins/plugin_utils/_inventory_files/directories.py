# SPDX-License-Identifier: GPL-3.0-or-later
"""host_vars and group_vars: which of their files Ansible reads."""

from __future__ import annotations

import os
import pathlib
import re
import typing as t
from collections.abc import Collection

import ansible.constants as C
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import (
    File,
    Opener,
    closed,
    is_encrypted,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.passwords import Given, Passwords, hides

_ENDINGS = ("", *C.YAML_FILENAME_EXTENSIONS)  # in this order; Ansible reads the first that is there, and no other
# As an editor of Windows writes them, or a hand in a hurry. Case matters to Ansible.
_NEARLY = re.compile(r"[.](ya?ml|json|yam|ymal|ylm)([.]txt)?$|[.]txt$", re.IGNORECASE)
_NOTES = re.compile(r"readme|notes?|changelog|license", re.IGNORECASE)


class Directory:
    """host_vars or group_vars."""

    def __init__(
        self,
        path: pathlib.Path,
        names: set[str],
        known: frozenset[str],
        hosts: Collection[str],
        groups: Collection[str] = (),
        opened: Opener = closed,
    ) -> None:
        self._path, self._names, self._known, self._hosts = path, names, known, hosts
        self._opened = opened
        self._all = {*hosts, *groups}
        self._host = path.name == "host_vars"
        self.problems: list[dict[str, t.Any]] = []
        # By host or group: our variables, each with the file that has it.
        self.variables: dict[str, dict[str, str]] = {}
        # And the state that its sites have by that.
        self.states: dict[str, str] = {}
        self.passwords: Passwords = {}

    def _problem(self, shown: str, message: str) -> None:
        file = shown.partition(", line ")[0]
        self.problems.append({"file": file, "message": f"{shown}: {message}", "unreadable": False})

    def read(self, strays: bool) -> None:
        entries = sorted(self._path.iterdir()) if self._path.is_dir() else []
        entries = [entry for entry in entries if not _passed_over(entry)]
        for name in sorted(self._names):
            there = [entry for ending in _ENDINGS for entry in entries if entry.name == name + ending]
            for other in there[1:]:
                self._problem(
                    f"{self._path.name}/{other.name}",
                    f"nothing reads it, because {self._path.name}/{there[0].name} is there as well and Ansible reads one of the two only. "
                    "Put all into one of them.",
                )
            for entry in there[:1]:
                self.variables[name] = self._contents(entry, name)
        if not strays:
            return
        of_names = {name + ending for name in self._names for ending in _ENDINGS}
        for entry in entries:
            if entry.name not in of_names:
                self._stray(entry)

    def _contents(self, entry: pathlib.Path, owner: str) -> dict[str, str]:
        """What Ansible reads of one host or group: a file, or all files of a directory, of which the last one counts."""
        first: dict[str, str] = {}
        passwords = self.passwords.setdefault(owner, {})
        for path in _files(entry):
            shown = path.relative_to(self._path.parent).as_posix()
            if path.suffix in _ENDINGS:
                file = File(path, shown, self._known, names=self._all, opened=self._opened)
                self.problems += file.problems
                if file.state is not None:
                    self.states[owner] = file.state
                for name, (line, empty) in file.passwords.items():
                    if empty and name in passwords and not passwords[name].empty:
                        self._problem(f"{shown}, line {line}", hides(name, passwords[name].file))
                    else:
                        passwords[name] = Given(shown, line, empty)
                for name, line in file.variables.items():
                    other = first.setdefault(name, shown)
                    if other != shown:
                        self._problem(
                            f"{shown}, line {line}",
                            f"{name} stands in {other} already, and only one of the two counts. Take one of them out.",
                        )
            elif _NEARLY.search(path.name) and not _is_note(path) and self._is_ours(path):
                self._wrong_ending(path)
        return first

    def _is_ours(self, path: pathlib.Path) -> bool:
        """Whether a file sets a variable of ours."""
        try:
            data = path.read_bytes()
        except OSError:
            return False
        if is_encrypted(data):
            data = self._opened(data) or b""
        text = data.decode("utf-8", "replace")
        return any(name in self._known for name in re.findall(r"(?m)^\ufeff?[\"']?(\w+)[\"']?\s*[:：=]", text))

    def _wrong_ending(self, path: pathlib.Path) -> None:
        shown = path.relative_to(self._path.parent).as_posix()
        right = _NEARLY.sub("", path.name) + ".yml"
        self._problem(shown, f"Ansible does not read a file with this ending. Rename it to {right}.")

    def _stray(self, entry: pathlib.Path) -> None:
        """What belongs to no host or group: a misspelt name, or a site that was forgotten in the group."""
        shown = f"{self._path.name}/{entry.name}"
        if not entry.is_dir() and entry.suffix not in _ENDINGS:
            if _NEARLY.search(entry.name) and (_NEARLY.sub("", entry.name) in self._names or self._is_ours(entry)):
                self._wrong_ending(entry)
            return
        if self._host and entry.suffix in (".yml", ".yaml", ".json"):
            ours = True
        else:  # notes, perhaps, or what other playbooks have
            ours = any(self._is_ours(path) for path in _files(entry))
        if not ours:
            return
        if self._host:
            self._problem(
                shown,
                "the inventory has no host of this name, so nothing reads the file. Give it the name of its site, or list the site in "
                "the group of the sites, or remove the file. (If the site is listed, its list could not be read: the warnings at the "
                "beginning say which file and why.)",
            )
            return
        name = entry.stem if entry.suffix in _ENDINGS else entry.name
        near = _spelling.meant(name, frozenset(self._names - {"ungrouped"}))
        advice = "Put its lines into a file below group_vars/all or host_vars."
        if name in self._hosts:
            advice = f"It is a host's: move it to host_vars/{entry.name}."
        elif near:
            advice = f"Rename it to {near}{entry.suffix}."
        self._problem(shown, f"the inventory has no group of this name, so nothing reads it. {advice}")


def _passed_over(path: pathlib.Path) -> bool:
    """By Ansible, but for the notes that somebody keeps."""
    return path.name.startswith(".") or path.name.endswith("~") or _is_note(path)


def _is_note(path: pathlib.Path) -> bool:
    return path.suffix not in _ENDINGS[1:] and bool(_NOTES.fullmatch(path.stem))


def _files(entry: pathlib.Path) -> list[pathlib.Path]:
    """The file itself, or what Ansible looks at in a directory."""
    if entry.is_file():
        return [entry]
    found = []
    for directory, names, files in os.walk(entry, followlinks=True):
        # Nor into a directory with an ending, such as backup.2024.
        names[:] = sorted(name for name in names if not name.endswith("~") and "." not in name)
        found += [
            pathlib.Path(directory, name)
            for name in sorted(files)
            if not name.startswith(".") and not name.endswith("~")
        ]
    return found
