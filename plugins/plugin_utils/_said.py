# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sitelink doctor --json` said on every site, for those who look at all sites at once."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import json
import pathlib
import types
import typing as t
from collections.abc import Mapping

_TEXTS = pathlib.Path(__file__).resolve().parents[2] / "roles" / "site_agent" / "files" / "sitelink"
LANGUAGES = ("en", "zh")
NAMES = 3  # of sites that share a fault are written out


def texts() -> dict[str, dict[str, t.Any]]:
    """The strings, which the on-site program shares."""
    return {name: _text(_TEXTS / f"text_{name}.py") for name in LANGUAGES}


def _text(path: pathlib.Path) -> dict[str, t.Any]:
    """TEXT of a module that is no plugin. By its path: the importer that Ansible has for collections takes each path in one for
    a package, and runpy asks it."""
    loader = importlib.machinery.SourceFileLoader(path.stem, str(path))
    module = types.ModuleType(path.stem)
    loader.exec_module(module)
    return module.TEXT


def parse(told: Mapping) -> dict[str, dict | None]:
    """{site: the report, or None where there is none} of {site: what was printed there}."""
    return {str(name): _parsed(said) for name, said in told.items()}


def _parsed(said: t.Any) -> dict | None:
    try:
        data = json.loads(str(said))
    except ValueError:
        return None
    return data if isinstance(data, dict) and "findings" in data and "status" in data else None


@dataclasses.dataclass
class Fault:
    """What some sites say in the same words. layer: "" for sites that did not answer; text: {language: {what, do}}."""

    layer: str
    text: dict[str, dict[str, str]]
    sites: list[str] = dataclasses.field(default_factory=list)
    details: list[str] = dataclasses.field(default_factory=list)

    def names(self, words: Mapping) -> str:
        """The sites, not all of them where they are many."""
        shown = ", ".join(self.sites[:NAMES])
        more = len(self.sites) - NAMES
        return shown + (words["more"].format(count=more) if more > 0 else "")


def faults(sites: Mapping[str, dict | None], words: Mapping) -> list[Fault]:
    """The faults of all sites, what explains the rest first; a site that is off is told once, not by all others."""
    silent = {name: {"what": words[name]["page"]["unreachable"], "do": ""} for name in LANGUAGES}
    found: dict[tuple, Fault] = {}
    for name, told in sites.items():
        said: list[dict[str, t.Any]] = (
            [{"layer": "", "text": silent, "detail": ""}] if told is None else told["findings"]
        )
        for item in said:
            fault = found.setdefault((item["layer"], item["text"]["en"]["what"]), Fault(item["layer"], item["text"]))
            fault.sites.append(name)
            if item["detail"] and item["detail"] not in fault.details:
                fault.details.append(item["detail"])
    order = ["", *words["en"]["layers"]]
    return sorted(found.values(), key=lambda fault: order.index(fault.layer))
