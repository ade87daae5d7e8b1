# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the mesh rather than of a site."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import SET_ONCE
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import ROWS


def common_settings(sites: list[Site]) -> dict[str, t.Any]:
    """The settings of the whole mesh: what most sites have. The others are told."""
    settings = {}
    for variable, row in ROWS.items():
        if not row.same:
            continue
        values = {site.name: site.get(variable) for site in sites if site.get(variable) is not None}
        # Lists of networks are not hashable; their text is as good.
        texts = {name: as_text(value) for name, value in values.items()}
        count = collections.Counter(texts.values())
        usual = min(count, key=lambda text: (-count[text], text), default="")
        settings[variable] = next((value for name, value in values.items() if texts[name] == usual), None)
        for site in sites:
            if texts.get(site.name, usual) != usual:
                site.drop(
                    variable,
                    f"is {texts[site.name]}, but {usual} on {count[usual]} other site(s). It must be the same on "
                    f"every site, because {row.same}. {SET_ONCE}.",
                )
    return settings


def as_text(value: t.Any) -> str:
    """A value that was read, as an operator writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
