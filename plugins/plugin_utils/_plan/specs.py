# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' own definitions of their options, for the check before anything is changed: Ansible checks an option against its
definition only when the role begins, with other sites and other roles done by then.
"""

from __future__ import annotations

import functools
import pathlib
import typing as t
from collections.abc import Mapping

import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import numbers, text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, Reader, a_list, quote

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
LARGEST = 2**31 - 1


@functools.cache
def options() -> dict[str, Mapping[str, t.Any]]:
    """Every public option of every role, by its name."""
    found: dict[str, Mapping[str, t.Any]] = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        with path.open(encoding="utf-8") as file:
            found.update(
                yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["argument_specs"]["main"]["options"]
            )
    return found


def reader(name: str) -> Reader:
    """A reader that takes what the definition of the option takes, for an option without a rule of its own."""
    option = options()[name]
    kind, choices = option.get("type", "str"), option.get("choices")
    if kind == "bool":
        return text.truth
    if kind == "int":
        return numbers.integer(0, LARGEST)
    if kind == "list":
        return _list(choices)
    if choices:
        return text.choice(*choices)
    if kind in ("str", "path"):
        return text.one_line
    return lambda value: value


def _list(choices: list[str] | None) -> Reader:
    def read(value: t.Any) -> list[t.Any]:
        value = a_list(value, f"Write one, such as [{', '.join(choices) if choices else 'first, second'}].")
        for item in value:
            if choices and item not in choices:
                raise Fault(f"holds {quote(item)}, which is not known. Write some of {', '.join(choices)}, or [].")
        return value

    return read
