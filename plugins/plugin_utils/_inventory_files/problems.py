# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the files of an inventory themselves, which nobody can see in the values that Ansible made of them:
a file that nothing reads, a name that stands twice, a number that YAML reads as another one.
"""

from __future__ import annotations

import os
import pathlib
import typing as t
from collections.abc import Collection, Iterable

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import File
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.directories import Directory
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.lists import (
    lists_of_hosts,
    not_utf8,
    strays,
)


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
    of_hosts: dict[str, dict[str, str]] = {}
    for base in sorted({path if path.is_dir() else path.parent for path in paths}):
        for kind, names in (("host_vars", {*hosts, "localhost"}), ("group_vars", {*groups, "all", "ungrouped"})):
            look = Directory(base / kind, names, known, hosts)
            look.read(strays=base in whole)
            found += look.problems
            for name, variables in look.variables.items() if kind == "host_vars" else ():
                of_hosts.setdefault(name, {}).update(variables)
        if base in whole:
            found += _misnamed(base)
    found += not_utf8(paths)
    for name in sorted(set(hosts) & set(groups)):
        message = f"{name}: a host and a group have this name, and Ansible takes one for the other. Rename the group."
        found.append({"file": name, "message": message, "unreadable": False})
    for path, shown in lists_of_hosts(paths):
        file = File(path, shown, known, listing=True)
        found += file.problems
        for host, variable, line in file.beside_hosts:
            if other := of_hosts.get(host, {}).get(variable):
                message = f"{variable} of {host} stands in {other} too, and only that counts. Take one of the two out."
                found.append({"file": shown, "message": f"{shown}, line {line}: {message}", "unreadable": False})
    for path in paths:
        if path.is_dir():
            told = {problem["file"].partition("/")[0] for problem in found}  # a misnamed directory, for one
            found += [stray for stray in strays(path) if stray["file"].partition("/")[0] not in told]
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
