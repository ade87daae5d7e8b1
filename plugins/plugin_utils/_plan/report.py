# SPDX-License-Identifier: GPL-3.0-or-later
"""The problems of an inventory, and the sentences that several of them end with."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import ROWS
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import quote

SET_ONCE = "Set it once for all sites, in group_vars/all"

# The last two are no variables of an inventory, but the problems of some are told under these names.
_PER_SITE = frozenset({*(name for name, row in ROWS.items() if row.per_site), "hostvars", "inventory_hostname"})


class Report:
    """Collects problems and gives them out in one order, whatever the order in which they were found."""

    def __init__(self, sites: list[str]) -> None:
        self._sites = sites
        self._found: dict[tuple[str, str], set[str]] = {}

    def add(self, site: str, variable: str, predicate: str) -> None:
        self._found.setdefault((variable, predicate), set()).add(site)

    def add_for_mesh(self, variable: str, predicate: str) -> None:
        self._found.setdefault((variable, predicate), set()).update(self._sites)

    def problems(self) -> list[dict[str, str | None]]:
        """A shared variable's fault that every site has is one problem, without a site of its own."""
        problems: list[tuple[str | None, str, str]] = []
        # What such a site seems to lack may well stand in the file that could not be read.
        unread = {
            site for (variable, _predicate), sites in self._found.items() if variable == "hostvars" for site in sites
        }
        for (variable, predicate), found in self._found.items():
            sites = [site for site in found if variable == "hostvars" or site not in unread]
            if found and not sites:
                continue
            if len(sites) == len(self._sites) != 1 and variable not in _PER_SITE:
                everyone = f"All {len(sites)} sites: " if sites else ""
                problems.append((None, variable, f"{everyone}{variable} {predicate}"))
                continue
            for site in sites:
                problems.append((site, variable, f"{shown(site)}: {variable} {predicate}"))
        problems.sort(key=lambda problem: (problem[0] or "", problem[1], problem[2]))
        return [{"site": site, "variable": variable, "message": message} for site, variable, message in problems]


def shown(site: str) -> str:
    """A site's name, for a message."""
    return site if site.isascii() and site.isprintable() and "{" not in site else quote(site)


def write_one_of(sites: Iterable[str]) -> str:
    return f"Write the names that the sites have in the inventory: {', '.join(map(shown, sites))}."
