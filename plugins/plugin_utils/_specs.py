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
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _validation as validation
from ansible_collections.sitelink.tr069.plugins.plugin_utils._validation import Fault, quote

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"
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


@functools.cache
def reader(name: str) -> t.Callable[[t.Any], t.Any]:
    """A reader that takes what the definition of the option takes, for an option without a rule of its own."""
    option = options()[name]
    kind, choices = option.get("type", "str"), option.get("choices")
    if kind == "bool":
        return validation.truth
    if kind == "int":
        return validation.integer(0, LARGEST)
    if kind == "list":
        return _list(choices)
    if choices:
        return validation.choice(*choices)
    if kind in ("str", "path"):
        return _text
    return lambda value: value


def _text(value: t.Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        raise Fault(f"is {quote(value)}, which is not text. Write one value.")
    return str(value)


def _list(choices: list[str] | None) -> t.Callable[[t.Any], list[t.Any]]:
    def read(value: t.Any) -> list[t.Any]:
        if not isinstance(value, (list, tuple)):
            example = ", ".join(choices) if choices else "first, second"
            raise Fault(f"is {quote(value)}, which is not a list. Write one, such as [{example}].")
        for item in value if choices else ():
            if item not in choices:
                raise Fault(f"holds {quote(item)}, which is not known. Write some of {', '.join(choices)}, or [].")
        return list(value)

    return read
