# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts in the form of INI, as Ansible's own reader sees them."""

from __future__ import annotations

import ast
import pathlib
import re
import shlex
import typing as t
from collections.abc import Collection, Iterator, Mapping

import yaml
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory.ini import InventoryModule
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import is_encrypted
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.lists import LOADER, looks_like_ini
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import CONNECTION


class IniList:
    """One list. Where Ansible cannot read it to its end, it goes on with what it read before."""

    def __init__(
        self, path: pathlib.Path, shown: str, known: frozenset[str], among_others: bool, groups: Mapping[str, list[str]]
    ) -> None:
        """
        :param among_others: it lies in a directory of lists, where something else may lie, too.
        :param groups: all groups of the inventory with their hosts, for the files of one can name each other's.
        """
        self._shown = shown
        self.problems: list[dict[str, t.Any]] = []
        # Our variables in it, as (host, variable, 0) and (group, variable, 0).
        self.beside_hosts: list[tuple[str, str, int]] = []
        self.beside_groups: list[tuple[str, str, int]] = []
        try:
            data = path.read_bytes()
        except OSError:
            return  # Ansible's own words
        if is_encrypted(data):
            return  # the same
        if data.startswith(b"\xef\xbb\xbf"):
            self._problem(0, "begins with a mark that nobody sees (BOM). Save it again as UTF-8 without BOM.")
        elif not _is_utf8(data):
            if not (among_others and b"\0" in data):  # what is no text at all, strays tell
                self._problem(0, "is no UTF-8 text. Open it in an editor and save it again as UTF-8.")
        elif not among_others or (
            looks_like_ini(data.decode())
            and _is_about(data.decode(), {"sites", *(group for group in groups if groups[group])})
        ):
            self._read(path, data.decode(), known, groups)

    def _problem(self, line: int, message: str) -> None:
        place = f"{self._shown}, line {line}" if line else self._shown
        self.problems.append({"file": self._shown, "message": f"{place}: {message}", "unreadable": True})

    def _read(self, path: pathlib.Path, text: str, known: frozenset[str], groups: Collection[str]) -> None:
        if _is_mapping(text):
            return  # YAML or JSON without an ending
        inventory = InventoryData()
        for group in groups:
            inventory.add_group(group)
        try:
            InventoryModule().parse(inventory, DataLoader(), str(path))
        except AnsibleError as exc:
            # Not its words: what stands there may be a secret.
            lines = text.splitlines()
            number = _line_of(str(exc), lines)
            section = re.match(r"\[([^\]=]*)\]", lines[number - 1].strip()) if number else None
            if section:
                advice = f"{section[0]} is no section that the list can have here. Write [sites], [sites:vars] or [sites:children]."
            else:
                advice = (
                    "Ansible cannot read this line. Write a host as `shenzhen ansible_host=192.168.1.2`, and a variable as "
                    "`name=value`."
                )
            self._problem(number, advice)
            return
        for line, message in _twice(text, known):
            self._problem(line, message)
        for found, owners in ((self.beside_hosts, inventory.hosts), (self.beside_groups, inventory.groups)):
            found += [
                (name, variable, 0) for name, owner in owners.items() for variable in owner.vars if variable in known
            ]


def _twice(text: str, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Variables that the list gives one owner twice, with two values: the last counts. (line, predicate)."""
    group, of_group = "", False
    given: dict[tuple[str, str], tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if section := re.match(r"\s*\[([^:\]]+)(:\w+)?\]", line):
            group, of_group = section[1], section[2] == ":vars"
            continue
        try:
            words = [line.strip()] if of_group else shlex.split(line, comments=True)
        except ValueError:  # Ansible's own words
            continue
        owner, values = (group, words) if of_group else ("".join(words[:1]), words[1:])
        for name, _equals, value in (word.partition("=") for word in values):
            name = name.strip()
            if name not in known and name not in CONNECTION:
                continue
            meant = _meant(value.strip())
            first, other = given.setdefault((owner, name), (number, meant))
            if other != meant:
                place = "in this line" if first == number else f"in line {first}"
                yield (
                    number,
                    f"{name} of {owner} stands {place} already, with another value, and only one of the two counts. Take one out.",
                )


def _meant(value: str) -> str:
    """A value as Ansible reads it: quotes around it are Python's."""
    try:
        return str(ast.literal_eval(value))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


def _is_utf8(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _line_of(message: str, lines: list[str]) -> int:
    """The number of the line that Ansible means; 0: unknown. ansible-core 2.19 says what stands in it and not which it is."""
    place = re.search(r":(\d+):", message)
    if place and 0 < int(place[1]) <= len(lines):
        return int(place[1])
    for pattern in (r"got: (.+)", r"'(.+)':", r"(\[[^\]]+\])"):
        said = re.search(pattern, message)
        word = said[1].strip() if said else ""
        for number, line in enumerate(lines, 1) if word else ():
            if word in line:
                return number
    return 0


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(yaml.compose(text, Loader=LOADER), yaml.MappingNode)
    except yaml.YAMLError:
        return text.lstrip().startswith(("---", "{"))


def _is_about(text: str, groups: Collection[str]) -> bool:
    """Whether a file in the form of INI is about these groups; other programs have such files as well."""
    sections = re.findall(r"(?m)^\s*\[([^\]:]+)", text)
    return not sections or any(section.strip() in groups for section in sections)
