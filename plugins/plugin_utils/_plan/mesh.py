# SPDX-License-Identifier: GPL-3.0-or-later
"""The sites of an inventory together: what every rule is given."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import Report
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site


@dataclasses.dataclass
class Mesh:
    """All sites, and what is found wrong with them."""

    # Of every site of the inventory, the planned and the absent ones too.
    states: dict[str, str]
    # Those that are present.
    sites: list[Site]
    report: Report
    warnings: list[str] = dataclasses.field(default_factory=list)
    # What all sites have in common, see rules.settings.
    settings: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def overlay(self) -> IPNetwork | None:
        return self.settings["wireguard_mesh_network"]

    @property
    def overlay6(self) -> IPNetwork | None:
        return self.settings["wireguard_mesh_network6"]

    @property
    def underlay(self) -> list[IPNetwork]:
        return self.settings["tr069_networks"] or []
