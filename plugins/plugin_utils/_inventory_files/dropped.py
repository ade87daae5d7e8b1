# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts that Ansible leaves out: one that it cannot read, and goes on without, or one with an ending that it passes over."""

from __future__ import annotations

import os
import pathlib
import re
import typing as t
from collections.abc import Collection, Iterator, Mapping

import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import is_encrypted
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.lists import (
    LOADER,
    is_list,
    looks_like_ini,
    members,
    names,
    shown_as,
)

# What a list of sites has. Whatever else lies in the directory is not ours to judge.
_ABOUT_HOSTS = re.compile(
    r"(?m)^\s*(\[?[\"']?(sites|all)\b[\"']?\s*[\]:]?|[\"']?hosts[\"']?\s*[:：]|.*\b(ansible_host|wireguard_mesh_\w+)\b)"
)
_READ = (".yml", ".yaml", ".json", ".ini", "")
_SLIP = re.compile(r"[.](ya?ml|json|yam|ymal|ylm|yaml?\d)", re.IGNORECASE)
_NEARLY = re.compile(r"([.](ya?ml|json|yam|ymal|ylm))?([.]txt)?$", re.IGNORECASE)


def dropped(
    paths: list[pathlib.Path], told: Collection[str], groups: Mapping[str, list[str]]
) -> Iterator[dict[str, t.Any]]:
    """Where inventory.any_unparsed_is_failed is not set, Ansible only warns, and the mesh would be made without these sites.

    :param told: the files of which more is known already.
    :param groups: all groups of the inventory with their hosts: the files of one can name each other's.
    """
    reader = InventoryManager(DataLoader(), parse=False)
    for group in groups:
        reader.add_group(group)
    hosts = {*groups.get("all", [])}
    for path in paths:
        for file in members(path) if path.is_dir() else [path]:
            shown = shown_as(file, path)
            text = _text(file)
            if shown in told or not text or not _is_list(file, text, hosts) or _reads(reader, file):
                continue
            advice = f"To see why: ansible-inventory --list -i {file}."
            if file.suffix not in _READ:
                advice = f"Rename it to {_NEARLY.sub('', file.name)}.yml."
            yield _problem(shown, f"Ansible cannot read this list of hosts, and goes on without it. {advice}")
        for file in _with_text_ending(path) if path.is_dir() else ():
            shown = shown_as(file, path)
            if _listed(_text(file)) - hosts:
                advice = f"Rename it to {_NEARLY.sub('', file.name)}.yml, or move it out of this directory."
                yield _problem(shown, f"Ansible passes over a file with this ending. {advice}")


def _problem(shown: str, message: str) -> dict[str, t.Any]:
    return {"file": shown, "message": f"{shown}: {message}", "unreadable": True}


def _text(file: pathlib.Path) -> str:
    """What stands in a file that may be a list; nothing where it is no text, or a program, or for other readers to tell."""
    try:
        if not file.is_file() or os.access(file, os.X_OK):
            return ""
        data = file.read_bytes()
        if is_encrypted(data) or data.startswith(b"#!"):
            return ""
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
    lines = [line for line in text.splitlines() if line.strip() not in ("", "---") and line.lstrip()[0] not in "#;"]
    plugin = any(re.match(r"[\"']?plugin[\"']?\s*:", line) for line in lines)  # of a cloud, which nobody asks for this
    return "" if plugin else "\n".join(lines)


def _is_list(file: pathlib.Path, text: str, hosts: set[str]) -> bool:
    """Whether it is meant to be a list. What else lies in the directory is not ours to judge, or strays tell."""
    about = _ABOUT_HOSTS.search(text) is not None
    if file.suffix not in _READ:  # of a script or a template
        return (about and _SLIP.fullmatch(file.suffix) is not None) or bool(_listed(text) - hosts)
    if not about:
        return False
    sure = re.search(r"(?m)^\s*\[|\bhosts[\"']?\s*:|\bansible_host\b", text) is not None
    try:
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return file.suffix != "" or sure
    if isinstance(node, yaml.MappingNode):
        return is_list(node)
    if isinstance(node, yaml.SequenceNode):  # a play has neither
        return any(isinstance(item, yaml.MappingNode) and {"sites", "all"} & names(item) for item in node.value)
    return sure


def _reads(reader: InventoryManager, file: pathlib.Path) -> bool:
    try:
        return bool(reader.parse_source(str(file)))
    except AnsibleError:
        return False


def _with_text_ending(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """As editors of Windows add it. Other endings that Ansible passes over are those of copies."""
    for file in sorted(directory.iterdir()):
        if file.suffix.lower() == ".txt" and not file.name.startswith("."):
            yield file


def _listed(text: str) -> set[str]:
    """The hosts of a list, if it is one."""
    if re.search(r"(?m)^\s*\[sites\]", text) and looks_like_ini(text):
        return {
            line.split()[0] for line in text.splitlines() if "=" not in line.split()[0] and not line.startswith("[")
        }
    try:
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        return set()
    return set(_hosts(node)) if isinstance(node, yaml.MappingNode) and is_list(node) else set()


def _hosts(node: yaml.Node, seen: frozenset[int] = frozenset()) -> Iterator[str]:
    if id(node) in seen or not isinstance(node, yaml.MappingNode):  # an alias may be what it stands in
        return
    for key, value in node.value:
        if key.value == "hosts" and isinstance(value, yaml.MappingNode):
            yield from (str(name.value) for name, _value in value.value)
        else:
            yield from _hosts(value, seen | {id(node)})
