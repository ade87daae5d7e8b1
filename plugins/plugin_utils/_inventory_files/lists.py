# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that list hosts, and what Ansible takes for one."""

from __future__ import annotations

import os
import pathlib
import re
import typing as t
from collections.abc import Iterator

import ansible.constants as C
import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def lists_of_hosts(paths: list[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str]]:
    """The files that list hosts, as far as they are YAML, and their names for the operator."""
    for path in paths:
        for file in members(path) if path.is_dir() else [path]:
            if file.suffix in (".yml", ".yaml", ".json") and file.is_file():
                yield file, shown_as(file, path)


def shown_as(file: pathlib.Path, source: pathlib.Path) -> str:
    """What the operator calls a file of a source: from where he has host_vars, for there it may have a file of the same name."""
    if not source.is_dir():
        return source.name
    kinds = ("host_vars", "group_vars")
    inside = any((source / kind).is_dir() for kind in kinds)
    beside = any((source.parent / kind).is_dir() for kind in kinds)
    return file.relative_to(source.parent if beside and not inside else source).as_posix()


def members(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """What Ansible takes for lists of hosts in a directory that is an inventory (InventoryManager.parse_source)."""
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(".") or entry.name in ("host_vars", "group_vars", "vars_plugins"):
            continue
        if entry.name.endswith(tuple(C.INVENTORY_IGNORE_EXTS)):
            continue
        if any(re.search(pattern, entry.name) for pattern in C.INVENTORY_IGNORE_PATTERNS):
            continue
        if entry.is_dir():
            yield from members(entry)
        else:
            yield entry


def ini_lists_of_hosts(paths: list[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str, bool]]:
    """The files that may list hosts in the form of INI, their names for the operator, and whether each lies in a directory of lists."""
    for path in paths:
        for file in members(path) if path.is_dir() else [path]:
            if file.suffix in ("", ".ini") and file.is_file() and not os.access(file, os.X_OK):
                yield file, shown_as(file, path), path.is_dir()


def strays(directory: pathlib.Path) -> Iterator[dict[str, t.Any]]:
    """What lies in an inventory's directory, where Ansible reads everything as a list of hosts, and is none."""
    for path in members(directory):
        shown, wrong = shown_as(path, directory), ""
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
        elif path.suffix == "" and not looks_like_ini(text):
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
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return True  # File tells
    plugin = isinstance(node, yaml.MappingNode) and "plugin" in names(node)
    return plugin or not isinstance(node, yaml.MappingNode) or is_list(node)


def is_list(node: yaml.MappingNode) -> bool:
    """Whether it lists groups, maybe with a slip: by the name of one, or by what one has."""
    parts = frozenset({"hosts", "children", "vars"})
    if not names(node) or {"all", "sites", *parts} & names(node):
        return True
    return any(
        name in parts or _spelling.meant(name, parts)
        for _key, group in node.value
        if isinstance(group, yaml.MappingNode)
        for name in names(group)
    ) or all(isinstance(group, yaml.ScalarNode) and group.value in ("", "null", "~") for _key, group in node.value)


def names(node: yaml.MappingNode) -> set[str]:
    return {str(key.value) for key, _value in node.value if isinstance(key, yaml.ScalarNode)}


def looks_like_ini(text: str) -> bool:
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
