# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in one file, as far as Ansible or YAML takes it for something else than it looks like."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t
from collections.abc import Collection

import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.lists import LOADER, is_list
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import CONNECTION, is_secret
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

_TEMPLATE = " Put a value with two curly brackets in it into quotes."
_PARTS = frozenset({"hosts", "children", "vars"})  # of a group
_TAGS = frozenset({"!", "!vault", "!vault-encrypted", "!unsafe"})
PASSWORDS = frozenset(name for name in CONNECTION if name.endswith(("_pass", "_password")))
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_EMPTY = ("", "null", "~")
STATE = "wireguard_mesh_state"

# Decrypts what is encrypted as a whole; None: it cannot.
Opener = t.Callable[[bytes], "bytes | None"]


def closed(_data: bytes) -> bytes | None:
    """The opener of somebody who has no passwords."""
    return None


def is_encrypted(data: bytes) -> bool:
    return data.startswith(b"$ANSIBLE_VAULT")


class File:
    """One file that Ansible reads."""

    def __init__(
        self,
        path: pathlib.Path,
        shown: str,
        known: frozenset[str],
        listing: bool = False,
        names: Collection[str] = (),
        opened: Opener = closed,
    ) -> None:
        """listing: the file is to list hosts. Where it cannot, it may be something else that lies in the directory.

        :param names: the hosts and groups of the inventory.
        :param opened: where it gives nothing for an encrypted file, that is Ansible's to tell, if it needs the file at all.
        """
        self._shown, self._known, self._listing = shown, known, listing
        self._containers = {*names, *_PARTS, "all", "sites"}
        self.problems: list[dict[str, t.Any]] = []
        # Our variables in it, each with its line, and the state of the sites where that is one word.
        self.variables: dict[str, int] = {}
        self.state: str | None = None
        # Those beside the hosts of a list, as (host, variable, line), and below the vars of its groups, as (group, variable, line).
        self.beside_hosts: list[tuple[str, str, int]] = []
        self.beside_groups: list[tuple[str, str, int]] = []
        # Each password of a connection with its line, and whether nothing is written there.
        self.passwords: dict[str, tuple[int, bool]] = {}
        self._seen: set[int] = set()
        self._hidden = False
        try:
            data = path.read_bytes()
        except OSError as exc:
            self._problem(0, f"cannot be read: {exc.strerror}.", unreadable=True)
            return
        # Of what was encrypted, nothing is shown but the names that everybody knows.
        self._hidden = is_encrypted(data)
        if self._hidden:
            plain = opened(data)
            if plain is None:
                return
            data = plain
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

    def _show(self, name: str) -> str:
        """A name that stands in the file."""
        if not self._hidden or name in self._known or name in CONNECTION or name in _PARTS or name in ("all", "sites"):
            return name
        return "(a name)"

    def _text(self, text: str) -> None:
        as_json = _json(text) if self._shown.endswith(".json") or text.lstrip().startswith("{") else None
        try:
            node = yaml.compose(text, Loader=LOADER)
        except yaml.YAMLError as exc:
            if as_json is None:
                self._unreadable(text, exc)
            elif not self._listing:  # with tabs, which YAML does not allow
                self.variables = {name: 1 for name in as_json if name in self._known}
            return
        if as_json is None:
            self._tags(text)
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value in _EMPTY):
            return
        if not isinstance(node, yaml.MappingNode):
            if self._listing:
                return
            line = node.start_mark.line + 1
            self._problem(line, f"holds no lines like `name: value`.{self._hint(text, line)}", unreadable=True)
            return
        self._mapping(node)
        if self._listing and as_json is not None:
            return
        self._variables(node)
        if not self._listing:
            templates = " ".join(re.findall(r"(?s)\{\{.*?\}\}|\{%.*?%\}", text))
            self._too_deep(node, set(re.findall(r"\w+", templates)))
        elif is_list(node) and "plugin" not in (key.value for key, _value in node.value):
            for key, group in node.value:
                self._top(str(key.value), key.start_mark.line + 1, group)

    def _variables(self, node: yaml.MappingNode) -> None:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = str(key.value), key.start_mark.line + 1
            if name in self._known:
                self.variables[name] = line
            if name == STATE and isinstance(value, yaml.ScalarNode):
                word = str(value.value)
                self.state = word if not self._hidden or word == "present" else "not present"
            if name in PASSWORDS:
                # An empty pair of quotes and null are written on purpose.
                self.passwords[name] = (line, isinstance(value, yaml.ScalarNode) and not (value.style or value.value))

    def _too_deep(self, node: yaml.MappingNode, named: Collection[str]) -> None:
        """Variables of ours below a name as a list of hosts has them: in host_vars and group_vars nothing reads them there.

        :param named: the words of the file's templates, which may take their parts from there.
        """
        for key, value in node.value:
            container = str(key.value)
            if container not in self._containers or container in named:
                continue  # a variable of the operator's own
            for name, _value in value.value if isinstance(value, yaml.MappingNode) else ():
                # Below the name of a host or group, watch_interval may be another program's.
                if str(name.value) in self._known and (
                    container in {*_PARTS, "all"} or not str(name.value).startswith("watch_")
                ):
                    self._problem(
                        name.start_mark.line + 1,
                        f"{name.value} stands below {self._show(str(key.value))}:, where nothing reads it. Write it at the beginning of the line.",
                    )
            if isinstance(value, yaml.MappingNode):
                self._too_deep(value, named)

    def _top(self, name: str, line: int, group: yaml.Node) -> None:
        """What begins a line of a list: the name of a group."""
        if self._is_variable(name):
            self._problem(
                line,
                f"{self._show(name)} stands where a list has its groups, and nothing reads it. Write it into the file of its site below host_vars.",
                unreadable=True,
            )
        elif name in _PARTS:
            self._problem(
                line,
                f"{name}: begins the line, where a list has the name of a group. Write sites: above it, and indent {name}: "
                "and what is below it.",
                unreadable=True,
            )
        else:
            self._group(name, group)

    def _is_variable(self, name: str) -> bool:
        return name in self._known or name.startswith("ansible_")

    def _tags(self, text: str) -> None:
        """Ansible ends at a tag that it does not know, and does not say in which file."""
        for event in yaml.parse(text, Loader=LOADER):
            tag = getattr(event, "tag", None)
            if not tag or tag in _TAGS or tag.startswith("tag:yaml.org,2002:"):
                continue
            meant = _spelling.meant(tag, _TAGS)
            line = event.start_mark.line + 1 if event.start_mark else 1
            if meant and not self._hidden:
                message = f"{tag} is no tag that Ansible knows. Write {meant}."
            else:  # maybe a password, which nobody is to see
                message = "a value that begins with ! is a tag to YAML. Put the value into quotes."
            self._problem(line, message, unreadable=True)

    def _group(self, group: str, node: yaml.Node) -> None:
        """A group of a list: Ansible drops the whole list for one of these slips, or the group's hosts."""
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            name, line = str(key.value), key.start_mark.line + 1
            if name == "hosts":
                self._hosts(value)
            elif name == "children" and isinstance(value, yaml.MappingNode):
                for child, inner in value.value:
                    self._group(str(child.value), inner)
            elif name == "vars" and isinstance(value, yaml.MappingNode):
                self.beside_groups += [
                    (group, str(variable.value), variable.start_mark.line + 1)
                    for variable, _value in value.value
                    if str(variable.value) in self._known
                ]
            elif name not in ("children", "vars"):
                meant = _spelling.meant(name, _PARTS)
                advice = f"Write {meant}:" if meant else "Write hosts: above it, and indent the hosts below that"
                if self._is_variable(name):
                    advice = "Write vars: above it, and indent the variables below that"
                self._problem(
                    line,
                    f"{self._show(name)} stands where a group has hosts, children or vars. {advice}.",
                    unreadable=True,
                )

    def _hosts(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode) and (node.value in _EMPTY or re.fullmatch(r"[^\s:：]+", node.value)):
            return  # none, or one name
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1
            self._problem(
                line, "hosts holds no names with a colon. Write each on a line like `shenzhen:`.", unreadable=True
            )
            return
        for key, value in node.value:
            self._host(str(key.value), key.start_mark.line + 1, value)
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:str":
                line = key.start_mark.line + 1
                shown = self._show(str(key.value))
                self._problem(
                    line, f"YAML does not read {shown} as a name. Write '{shown}', in quotes.", unreadable=True
                )

    def _host(self, host: str, line: int, node: yaml.Node) -> None:
        """A host of a list, and the variables beside it."""
        shown = self._show(host)
        if not isinstance(node, yaml.MappingNode):
            if isinstance(node, yaml.ScalarNode) and node.value in _EMPTY:
                return
            if self._is_variable(host):
                advice = f"{shown} stands among the hosts. Write vars: beside hosts:, and the variable below that."
            else:
                advice = (
                    f"{shown} has a value here, which only variables have. Write `{shown}:` alone, and what belongs to it into "
                    f"host_vars/{shown}.yml, such as `ansible_host: 192.168.1.2`."
                )
            self._problem(line, advice, unreadable=True)
            return
        for name, value in node.value:
            if str(name.value) in self._known:
                self.beside_hosts.append((host, str(name.value), name.start_mark.line + 1))
            for inner, _value in value.value if isinstance(value, yaml.MappingNode) and name.value in _PARTS else ():
                if str(inner.value) in self._known:
                    self._problem(
                        inner.start_mark.line + 1,
                        f"{inner.value} stands below {name.value}: of the host {shown}, where nothing reads it. Take {name.value}: "
                        f"out, or write it into host_vars/{shown}.yml.",
                    )

    def _unreadable(self, text: str, exc: yaml.YAMLError) -> None:
        mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
        line = mark.line + 1 if mark else 0
        lines = text.splitlines()
        unseen = getattr(exc, "character", None)  # of a ReaderError
        if isinstance(unseen, int) and chr(unseen) in text:
            line = text[: text.index(chr(unseen))].count("\n") + 1
            self._problem(line, f"holds a character that nobody sees (U+{unseen:04X}). Take it out.", True)
            return
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
        if re.match("[ \t]*[\u00a0\u3000\u200b\ufeff]", line):
            return " It begins with a blank of another kind (full-width or invisible). Write ordinary blanks."
        if line.startswith("$ANSIBLE_VAULT") or re.fullmatch("[0-9a-f]+", line):
            return " The lines of an encrypted value have to be indented below its name."
        if re.match(r"\s*[\w-]+\s*：", code):
            return (
                " It has a full-width colon. Write a colon and a blank, with the keyboard in English (half-width) mode."
            )
        if re.search("[\u00a0\u2000-\u200b\u3000\ufeff]", code):
            return " It holds a blank of another kind (full-width or invisible). Write ordinary blanks."
        if re.match(r"\s*(- )?[\w-]+:[^\s]", code):
            return " A blank is missing behind the colon."
        if re.match(r"\s*-[^\s-]", code):
            return " A blank is missing behind the dash."
        if re.match(r"\s*[\w-]+\s*=", code):
            return " Write a colon and a blank instead of the equals sign."
        if re.search(r":\s+[^'\"\s]*\{\{", code):
            return _TEMPLATE
        if re.match(r"\s*(- )?([\w-]+:\s+)?[@`%*]", code):
            return " A value that begins with such a character has to stand in quotes."
        if re.match(r"\s*(- )?[\w-]+:\s+[^'\"\[{|>&!].*:(\s|$)", code):
            return " A value with a colon and a blank in it has to stand in quotes."
        return ""

    def _mapping(self, node: yaml.MappingNode, harmless: bool = False) -> None:
        """harmless: it belongs to a variable of ours that is no secret."""
        lines: dict[tuple[str, str], int] = {}
        self._seen.add(id(node))  # an alias is the node itself, which may even hold the alias
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if name and name != "<<":
                if (key.tag, name) in lines:
                    self._twice(name, lines[key.tag, name], line, harmless)
                lines.setdefault((key.tag, name), line)
            if name in self._known:
                self._numbers(name, value)
            if not isinstance(key, yaml.ScalarNode):
                self._problem(line, f"cannot be read as YAML.{_TEMPLATE}", unreadable=True)
                continue
            self._inside(value, harmless or (name in self._known and not is_secret(name)))

    def _inside(self, node: yaml.Node, harmless: bool) -> None:
        if id(node) in self._seen:
            return
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, harmless)
        elif isinstance(node, yaml.SequenceNode):
            self._seen.add(id(node))
            for item in node.value:
                self._inside(item, harmless)

    def _twice(self, name: str, first: int, line: int, harmless: bool) -> None:
        """Where Ansible reads the file, it warns with both lines. It must not come to that where these may be a secret."""
        shown = quote(name) if self._show(name) == name else self._show(name)
        self._problem(
            line,
            f"{shown} stands in line {first} already, and only one of the two counts. Take one of them out.",
            unreadable=self._hidden or not (harmless or (name in self._known and not is_secret(name))),
        )

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
        if self._hidden or is_secret(variable):
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


def _json(text: str) -> dict[str, t.Any] | None:
    """What it is as JSON, which Ansible tries first; None: it is none."""
    try:
        given = json.loads(text)
    except ValueError:
        return None
    return given if isinstance(given, dict) else {}
