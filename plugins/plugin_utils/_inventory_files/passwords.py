# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords for the login and for sudo that a line without a value hides."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.contents import PASSWORDS


class Given(t.NamedTuple):
    """Where a password stands, and whether nothing is written there."""

    file: str
    line: int
    empty: bool


# By host or group, and by variable.
Passwords = dict[str, dict[str, Given]]


def hides(name: str, other: str) -> str:
    return f"{name} is empty here, and hides the one in {other}. Take the line out."


def hidden(groups: Mapping[str, list[str]], of_hosts: Passwords, of_groups: Passwords) -> Iterator[dict[str, t.Any]]:
    """Alone such a line harms nobody, nor where the host has a password of its own."""
    found: dict[tuple[str, int], str] = {}
    for host in groups.get("all", []):
        own = sorted(group for group, hosts in groups.items() if host in hosts and group != "all")
        for name in sorted(PASSWORDS):
            of_host = of_hosts.get(host, {}).get(name)
            in_groups = [given[name] for given in (of_groups.get(group, {}) for group in own) if name in given]
            of_all = [of_groups["all"][name]] if name in of_groups.get("all", {}) else []
            if of_host:
                hiding, others = [of_host], [*in_groups, *of_all]
            elif any(not given.empty for given in in_groups):
                continue  # which of the groups comes first, Ansible knows
            else:
                hiding, others = in_groups, of_all
            others = [given for given in others if not given.empty]
            for given in hiding if others else ():
                if given.empty:
                    found.setdefault((given.file, given.line), hides(name, others[0].file))
    for (file, line), message in found.items():
        yield {"file": file, "message": f"{file}, line {line}: {message}", "unreadable": False}
