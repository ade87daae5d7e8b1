# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the files of an inventory themselves, which nobody can see in the values that Ansible made of them:
a file that nothing reads, a name that stands twice, a number that YAML reads as another one, a site in another group.
"""

from __future__ import annotations

import os
import pathlib
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import (
    STATE,
    File,
    Opener,
    closed,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.directories import Directory
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.dropped import dropped
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.ini import IniList
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.lists import (
    ini_lists_of_hosts,
    lists_of_hosts,
    strays,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.passwords import Passwords, hidden
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

# Of the variables of a mesh alone, which no host has that is no part of one.
_OF_A_MESH = "wireguard_mesh_"


def problems(
    sources: Iterable[str],
    groups: Mapping[str, list[str]],
    known: frozenset[str],
    opened: Opener = closed,
) -> list[dict[str, t.Any]]:
    """``[{"file": ..., "message": ..., "unreadable": ...}]``; unreadable: Ansible ends at this file by itself.

    :param sources: ansible_inventory_sources.
    :param groups: all groups of the inventory, each with its hosts.
    :param known: our variables, see _plan.variables.
    :param opened: decrypts what is encrypted as a whole, or gives nothing.
    """
    found: list[dict[str, t.Any]] = []
    hosts = groups.get("all", [])
    # A list of hosts (-i shenzhen,) is no file.
    paths = [pathlib.Path(source) for source in sources if "," not in source or os.path.exists(source)]
    # Where a directory is the inventory, or one that new_inventory made, all of its hosts are known.
    whole = [path for path in paths if path.is_dir()] + [path.parent for path in paths if path.name == "sites.yml"]
    of_hosts: dict[str, dict[str, str]] = {}
    of_groups: dict[str, dict[str, str]] = {}
    passwords: dict[str, Passwords] = {"host_vars": {}, "group_vars": {}}
    for base in sorted({path if path.is_dir() else path.parent for path in paths}):
        for kind, names, noted in (
            ("host_vars", {*hosts, "localhost"}, of_hosts),
            ("group_vars", {*groups, "all", "ungrouped"}, of_groups),
        ):
            look = Directory(base / kind, names, known, hosts, groups, opened)
            look.read(strays=base in whole)
            found += look.problems
            for name, variables in look.variables.items():
                noted.setdefault(name, {}).update(variables)
            for name, given in look.passwords.items():
                passwords[kind].setdefault(name, {}).update(given)
            if kind == "group_vars":
                found += _state_of_all(look, of_hosts)
        if base in whole:
            found += _misnamed(base)
    for name in sorted(set(hosts) & set(groups)):
        message = f"{name}: a host and a group have this name, and Ansible takes one for the other. Rename the group."
        found.append({"file": name, "message": message, "unreadable": False})
    found += _of_lists(paths, groups, known, opened, of_hosts, of_groups)
    found += dropped(paths, {problem["file"] for problem in found}, groups)
    found += _outside(groups, of_hosts)
    found += hidden(groups, passwords["host_vars"], passwords["group_vars"])
    for path in paths:
        if path.is_dir():
            told = {problem["file"].partition("/")[0] for problem in found}  # a misnamed directory, for one
            found += [stray for stray in strays(path) if stray["file"].partition("/")[0] not in told]
    return found


def _of_lists(
    paths: list[pathlib.Path],
    groups: Mapping[str, list[str]],
    known: frozenset[str],
    opened: Opener,
    of_hosts: dict[str, dict[str, str]],
    of_groups: dict[str, dict[str, str]],
) -> list[dict[str, t.Any]]:
    """What is wrong with the lists of hosts; of_hosts and of_groups get what these have."""
    found: list[dict[str, t.Any]] = []
    lists: list[tuple[str, File | IniList]] = [
        (shown, File(path, shown, known, listing=True, opened=opened)) for path, shown in lists_of_hosts(paths)
    ]
    lists += [(shown, IniList(path, shown, known, among, groups)) for path, shown, among in ini_lists_of_hosts(paths)]
    for shown, file in lists:
        found += file.problems
        found += _twice(shown, file.beside_hosts, of_hosts, {})
        found += _twice(shown, file.beside_groups, of_groups, of_groups.get("all", {}))
    for shown, file in lists:
        for noted, beside in ((of_hosts, file.beside_hosts), (of_groups, file.beside_groups)):
            for name, variable, _line in beside:
                noted.setdefault(name, {}).setdefault(variable, shown)
    return found


def _twice(
    shown: str,
    beside: Iterable[tuple[str, str, int]],
    own: Mapping[str, Mapping[str, str]],
    of_all: Mapping[str, str],
) -> Iterator[dict[str, t.Any]]:
    """Variables of a list that host_vars or group_vars have as well, for the same host or group; of_all: those of group_vars/all.

    What stands in a list counts less than group_vars, even those of all hosts, and these less than host_vars. Of two lists, and of
    two groups in one, an operator may well mean the one that counts.
    """
    for name, variable, line in beside:
        if other := own.get(name, {}).get(variable) or of_all.get(variable):
            place = f"{shown}, line {line}" if line else shown
            message = (
                f"{variable} of {name} stands in {other} too, and only one of the two counts. Take one of them out."
            )
            yield {"file": shown, "message": f"{place}: {message}", "unreadable": False}


def _outside(
    groups: Mapping[str, list[str]],
    of_hosts: Mapping[str, Mapping[str, str]],
) -> Iterator[dict[str, t.Any]]:
    """Hosts that look like sites, and are not in the group of the sites: the mesh would be made without them.

    Where there are no sites at all, that alone is told.
    """
    members = set(groups.get("sites", []))
    for host in sorted(set(groups.get("all", [])) - members) if members else ():
        own = {group for group, hosts in groups.items() if host in hosts and group != "all"}
        given = of_hosts.get(host, {})
        if STATE in given:
            continue
        # Of a name this short two other letters make another word.
        slips = sorted(group for group in own if _spelling.meant(group, frozenset({"sites"}), foreign=True))
        ours = sorted(name for name in given if name.startswith(_OF_A_MESH))
        if not ours and not slips:
            continue
        named = f" (but in {', '.join(sorted(own - {'ungrouped'}))})" if own - {"ungrouped"} else ""
        why = f", although {given[ours[0]]} has {ours[0]} for it" if ours else ""
        message = f"{host}: is not in the group sites{named}{why}. Write sites: above it in its list, or take its variables out."
        yield {"file": host, "message": message, "unreadable": False}


def _state_of_all(look: Directory, of_hosts: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, t.Any]]:
    """One line for all sites must not take the whole mesh down, or do nothing without a word.

    Where sites have one of their own as well, or a template makes it, it is not one for all.
    """
    for group in ("all", "sites") if not any(STATE in given for given in of_hosts.values()) else ():
        file, state = look.variables.get(group, {}).get(STATE), look.states.get(group)
        if file and state and state != "present" and "{" not in state:
            word = state if state.isascii() and state.replace(" ", "").isalnum() else quote(state)
            all_of_them = "ansible-playbook sitelink.tr069.remove -e sites=all"
            advice = f"Write it into the file below host_vars of the site that is meant. To take the whole mesh down: {all_of_them}."
            message = f"{file}: {STATE} is {word} for all sites. {advice}"
            yield {"file": file, "message": message, "unreadable": False}


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
