# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' own definitions of their options, for the check before anything is changed: Ansible checks an option against its
definition only when the role begins, with other sites and other roles done by then.
"""

from __future__ import annotations

import functools
import pathlib
import typing as t
import unicodedata
from collections.abc import Mapping

import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import numbers, text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, quote

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"
LARGEST = 2**31 - 1

# Never quoted, not even as a template.
SECRET = frozenset(
    {
        "wireguard_mesh_secret",
        "wireguard_mesh_private_key",
        "wireguard_mesh_public_key",
        "ddns_extra",
        "ddns_id",
        "ddns_providers",
        "ddns_token",
    }
)


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


def _list(choices: list[str] | None) -> t.Callable[[t.Any], list[t.Any]]:
    def read(value: t.Any) -> list[t.Any]:
        if not isinstance(value, (list, tuple)):
            example = ", ".join(choices) if choices else "first, second"
            raise Fault(f"is {quote(value)}, which is not a list. Write one, such as [{example}].")
        for item in value:
            if choices and item not in choices:
                raise Fault(f"holds {quote(item)}, which is not known. Write some of {', '.join(choices)}, or [].")
        return list(value)

    return read


# Whatever begins so is ours. Of the shorter ddns_ and watch_ others may have variables as well.
_OURS = ("wireguard_mesh_", "tr069_", "nic_dhcp_")


def is_ours(name: str) -> bool:
    """Whether a variable has a name that no one else's has."""
    return _plain_name(name).startswith(_OURS)


def _plain_name(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().replace("-", "_").strip()


@functools.lru_cache(maxsize=4096)
def meant(name: str, known: frozenset[str], foreign: bool = False) -> str | None:
    """The one of the known names that a name is a slip of, or None.

    :param foreign: the name may be somebody else's. Two letters make another word of a short one: ddns_ip is no slip of ddns_id.
    """
    plain = _plain_name(name)
    near = [(_slips(plain, other), other) for other in sorted(known) if abs(len(other) - len(plain)) <= _SLIPS]
    slips, other = min(near, default=(_SLIPS + 1, ""))
    allowed = _SLIPS if not foreign or len(other) > _SHORT else 0 if len(other) < _SHORTEST else 1
    return other if slips <= allowed else None


_SHORT, _SHORTEST = 12, 8
_SLIPS = 2  # letters that are missing, too many, wrong or exchanged


def _slips(one: str, other: str) -> int:
    """How many slips lead from one name to the other (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(last[column] + 1, current[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, last = last, current
    return last[-1]
