# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the files of an inventory themselves, which nobody can see in the values that Ansible made of them:
a file that nothing reads, a name that stands twice, a number that YAML reads as another one.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import typing as t
from collections.abc import Collection, Iterable, Iterator

import ansible.constants as C
import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import is_secret
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENDINGS = ("", *C.YAML_FILENAME_EXTENSIONS)  # in this order; Ansible reads the first that is there, and no other
# As an editor of Windows writes them, or a hand in a hurry. Case matters to Ansible.
_NEARLY = re.compile(r"[.](ya?ml|json|yam|ymal|ylm)([.]txt)?$|[.]txt$", re.IGNORECASE)
_NOTES = re.compile(r"readme|notes?|changelog|license", re.IGNORECASE)
_TEMPLATE = " Put a value with two curly brackets in it into quotes."
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


def problems(
    sources: Iterable[str], hosts: Collection[str], groups: Collection[str], known: frozenset[str]
) -> list[dict[str, t.Any]]:
    """``[{"file": ..., "message": ..., "unreadable": ...}]``; unreadable: Ansible ends at this file by itself.

    :param sources: ansible_inventory_sources.
    :param hosts: all hosts of the inventory.
    :param groups: all its groups.
    :param known: our variables, see _plan.variables.
    """
    found: list[dict[str, t.Any]] = []
    # A list of hosts (-i shenzhen,) is no file.
    paths = [pathlib.Path(source) for source in sources if "," not in source or os.path.exists(source)]
    # Where a directory is the inventory, or one that new_inventory made, all of its hosts are known.
    whole = [path for path in paths if path.is_dir()] + [path.parent for path in paths if path.name == "sites.yml"]
    for base in sorted({path if path.is_dir() else path.parent for path in paths}):
        for kind, names in (("host_vars", {*hosts, "localhost"}), ("group_vars", {*groups, "all", "ungrouped"})):
            look = _Directory(base / kind, names, known, hosts)
            look.read(strays=base in whole)
            found += look.problems
        if base in whole:
            found += _misnamed(base)
    for path, shown in _lists(paths):
        found += _File(path, shown, known, listing=True).problems
    for path in paths:
        if path.is_dir():
            told = {problem["file"].partition("/")[0] for problem in found}  # a misnamed directory, for one
            found += [stray for stray in _strays(path) if stray["file"].partition("/")[0] not in told]
    return found


def _misnamed(base: pathlib.Path) -> list[dict[str, t.Any]]:
    """Directories that nobody reads because of a slip in their names."""
    wanted = frozenset({"host_vars", "group_vars"})
    found = []
    for entry in sorted(base.iterdir()):
        meant = _spelling.meant(entry.name, wanted) if entry.is_dir() and entry.name not in wanted else None
        if entry.name.endswith("~") or "." in entry.name:
            continue  # an editor's or the operator's copy
        if meant:
            message = f"{entry.name}: nothing reads this directory. Rename it to {meant}."
            found.append({"file": entry.name, "message": message, "unreadable": False})
    return found


def _lists(paths: list[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str]]:
    """The files that list hosts, as far as they are YAML, and their names for the operator."""
    for path in paths:
        for file in _members(path) if path.is_dir() else [path]:
            if file.suffix in (".yml", ".yaml") and file.is_file():
                yield file, file.relative_to(path).as_posix() if path.is_dir() else path.name


def _members(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """What Ansible takes for lists of hosts in a directory that is an inventory (InventoryManager.parse_source)."""
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(".") or entry.name in ("host_vars", "group_vars", "vars_plugins"):
            continue
        if entry.name.endswith(tuple(C.INVENTORY_IGNORE_EXTS)):
            continue
        if any(re.search(pattern, entry.name) for pattern in C.INVENTORY_IGNORE_PATTERNS):
            continue
        if entry.is_dir():
            yield from _members(entry)
        else:
            yield entry


def _strays(directory: pathlib.Path) -> Iterator[dict[str, t.Any]]:
    """What lies in an inventory's directory, where Ansible reads everything as a list of hosts, and is none."""
    for path in _members(directory):
        shown, wrong = path.relative_to(directory).as_posix(), ""
        try:
            data = path.read_bytes()
        except OSError:
            continue  # Ansible's own words
        text = data.decode("utf-8", "replace")
        if data.startswith(b"#!"):
            # An inventory's script has to know this option.
            wrong = "" if "--list" in text else "Ansible runs it at every command"
        elif b"\0" in data:
            wrong = "Ansible tries to read it as a list of hosts at every command"
        elif path.suffix in (".yml", ".yaml"):
            wrong = "" if _lists_hosts(text) else "Ansible reads it as a list of groups, and it is none"
        elif path.suffix == "" and not _ini(text):
            wrong = "Ansible reads it as a list of hosts, and it is none"
        if wrong:
            message = (
                f"{shown}: {wrong}, because everything in this directory is part of the inventory. Move it elsewhere, "
                f"or give it an ending that Ansible leaves out: {path.name}.bak."
            )
            yield {"file": shown, "message": message, "unreadable": False}


def _lists_hosts(text: str) -> bool:
    """Whether a YAML file may be a list of groups; False: it is another tool's, or a copy from host_vars."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        return True  # _File tells
    plugin = isinstance(node, yaml.MappingNode) and "plugin" in _keys(node)
    return plugin or not isinstance(node, yaml.MappingNode) or _is_list(node)


def _is_list(node: yaml.MappingNode) -> bool:
    """Whether it lists groups, maybe with a slip: by the name of one, or by what one has."""
    if not _keys(node) or {"all", "sites"} & _keys(node):
        return True
    parts = frozenset({"hosts", "children", "vars"})
    return any(
        name in parts or _spelling.meant(name, parts)
        for _key, group in node.value
        if isinstance(group, yaml.MappingNode)
        for name in _keys(group)
    ) or all(isinstance(group, yaml.ScalarNode) and group.value in ("", "null", "~") for _key, group in node.value)


def _keys(node: yaml.MappingNode) -> set[str]:
    return {str(key.value) for key, _value in node.value if isinstance(key, yaml.ScalarNode)}


def _ini(text: str) -> bool:
    """Whether each line may be one of an INI list: a section, a host with values, a value, a comment."""
    section = ""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if line.lstrip().startswith("["):
            section = line
        elif not section and len(words) > 1 and "=" not in words[1] and words[1][0] not in "#;":
            return False
    return True


class _Directory:
    """host_vars or group_vars."""

    def __init__(self, path: pathlib.Path, names: set[str], known: frozenset[str], hosts: Collection[str]) -> None:
        self._path, self._names, self._known, self._hosts = path, names, known, hosts
        self._host = path.name == "host_vars"
        self.problems: list[dict[str, t.Any]] = []

    def _problem(self, shown: str, message: str) -> None:
        self.problems.append({"file": shown, "message": f"{shown}: {message}", "unreadable": False})

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
                self._contents(entry)
        if not strays:
            return
        of_names = {name + ending for name in self._names for ending in _ENDINGS}
        for entry in entries:
            if entry.name not in of_names:
                self._stray(entry)

    def _contents(self, entry: pathlib.Path) -> None:
        for path in _files(entry):
            shown = path.relative_to(self._path.parent).as_posix()
            if path.suffix in _ENDINGS:
                self.problems += _File(path, shown, self._known).problems
            elif _NEARLY.search(path.name) and not _is_note(path) and self._is_ours(path):
                self._wrong_ending(path)

    def _is_ours(self, path: pathlib.Path) -> bool:
        """Whether a file sets a variable of ours."""
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            return False
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


class _File:
    """One file that Ansible reads."""

    def __init__(self, path: pathlib.Path, shown: str, known: frozenset[str], listing: bool = False) -> None:
        """listing: the file is to list hosts. Where it cannot, it may be something else that lies in the directory."""
        self._shown, self._known, self._listing = shown, known, listing
        self.problems: list[dict[str, t.Any]] = []
        try:
            data = path.read_bytes()
        except OSError as exc:
            self._problem(0, f"cannot be read: {exc.strerror}.", unreadable=True)
            return
        if data.startswith(b"$ANSIBLE_VAULT"):
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            line = data[: exc.start].count(b"\n") + 1
            self._problem(line, "is no UTF-8 text. Open it in an editor and save it again as UTF-8.", unreadable=True)
            return
        if "\0" in text:
            self._problem(0, "is no UTF-8 text. Open it in an editor and save it again as UTF-8.", unreadable=True)
            return
        self._text(text)

    def _problem(self, line: int, message: str, unreadable: bool = False) -> None:
        place = f"{self._shown}, line {line}" if line else self._shown
        self.problems.append({"file": self._shown, "message": f"{place}: {message}", "unreadable": unreadable})

    def _text(self, text: str) -> None:
        if self._shown.endswith(".json") or text.lstrip().startswith("{"):
            try:
                json.loads(text)
            except ValueError:
                pass
            else:
                return
        try:
            node = yaml.compose(text, Loader=_LOADER)
        except yaml.YAMLError as exc:
            self._unreadable(text, exc)
            return
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")):
            return
        if not isinstance(node, yaml.MappingNode):
            if self._listing:
                return
            line = node.start_mark.line + 1
            self._problem(line, f"holds no lines like `name: value`.{self._hint(text, line)}", unreadable=True)
            return
        self._mapping(node)
        if self._listing and _is_list(node):
            for _key, group in node.value:
                self._group(group)

    def _group(self, node: yaml.Node) -> None:
        """A group of a list: Ansible drops the whole list for one of these slips, or the group's hosts."""
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            name, line = str(key.value), key.start_mark.line + 1
            if name == "hosts":
                self._hosts(value)
            elif name == "children" and isinstance(value, yaml.MappingNode):
                for _key, group in value.value:
                    self._group(group)
            elif name not in ("children", "vars"):
                meant = _spelling.meant(name, frozenset({"hosts", "children", "vars"}))
                advice = f"Write {meant}:" if meant else "Write hosts: above it, and indent the hosts below that"
                self._problem(
                    line, f"{name} stands where a group has hosts, children or vars. {advice}.", unreadable=True
                )

    def _hosts(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode) and (
            node.value in ("", "null", "~") or re.fullmatch(r"[^\s:：]+", node.value)
        ):
            return  # none, or one name
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1
            self._problem(
                line, "hosts holds no names with a colon. Write each on a line like `shenzhen:`.", unreadable=True
            )
            return
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:str":
                line = key.start_mark.line + 1
                self._problem(
                    line, f"YAML does not read {key.value} as a name. Write '{key.value}', in quotes.", unreadable=True
                )

    def _unreadable(self, text: str, exc: yaml.YAMLError) -> None:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        line = mark.line + 1 if mark else 0
        lines = text.splitlines()
        # YAML sees many a slip only in the line below it.
        hinted = next(
            (number for number in (line, line - 1) if 0 < number <= len(lines) and self._hint(text, number)), line
        )
        self._problem(
            hinted,
            f"cannot be read as YAML.{self._hint(text, hinted) or ' Compare it with the lines above and below it.'}",
            True,
        )

    @staticmethod
    def _hint(text: str, number: int) -> str:
        lines = text.splitlines()
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        code = line.partition(" #")[0]
        if "\t" in line[: len(line) - len(line.lstrip())] or line.startswith("\t"):
            return " It begins with a tab. Write blanks instead."
        if line.startswith("$ANSIBLE_VAULT") or re.fullmatch("[0-9a-f]+", line):
            return " The lines of an encrypted value have to be indented below its name."
        if re.match(r"\s*[\w-]+\s*：", code):
            return (
                " It has a full-width colon. Write a colon and a blank, with the keyboard in English (half-width) mode."
            )
        if re.match(r"\s*(- )?[\w-]+:[^\s]", code):
            return " A blank is missing behind the colon."
        if re.match(r"\s*[\w-]+\s*=", code):
            return " Write a colon and a blank instead of the equals sign."
        if re.search(r":\s+[^'\"\s]*\{\{", code):
            return _TEMPLATE
        return ""

    def _mapping(self, node: yaml.MappingNode) -> None:
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if name and name != "<<" and lines.setdefault(name, line) != line:
                self._problem(
                    line,
                    f"{quote(name)} stands in line {lines[name]} already, and only one of the two counts. Take one of them out.",
                )
            if name in self._known:
                self._numbers(name, value)
            if not isinstance(key, yaml.ScalarNode):
                self._problem(line, f"cannot be read as YAML.{_TEMPLATE}", unreadable=True)
                continue
            for child in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(child, yaml.MappingNode):
                    self._mapping(child)

    def _numbers(self, variable: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._numbers(variable, item)
        elif isinstance(node, yaml.MappingNode):
            for _key, value in node.value:
                self._numbers(variable, value)
        if not isinstance(node, yaml.ScalarNode) or node.tag not in (
            "tag:yaml.org,2002:int",
            "tag:yaml.org,2002:float",
        ):
            return
        written = node.value
        if not (":" in written or _OCTAL.fullmatch(written)):
            return
        if is_secret(variable):
            self._problem(
                node.start_mark.line + 1, f"{variable} holds what YAML reads as another number. Put it into quotes."
            )
            return
        if ":" in written:  # base 60
            meant = f"'{written}', in quotes"
        else:
            meant = f"{written.lstrip('0') or '0'}, or '{written}' in quotes"
        self._problem(
            node.start_mark.line + 1,
            f"{variable} is {written}, which YAML reads as {yaml.safe_load(written)}. Write {meant}.",
        )
