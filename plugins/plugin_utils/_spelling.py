# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are slips of known ones."""

from __future__ import annotations

import functools
import re
import unicodedata

# Whatever begins so is ours. Of the shorter ddns_ and watch_ others may have variables as well.
_OURS = ("wireguard_mesh_", "tr069_", "nic_dhcp_")


def is_ours(name: str) -> bool:
    """Whether a variable has a name that no one else's has."""
    return _plain_name(name).startswith(_OURS)


def _plain_name(name: str) -> str:
    """As a name of ours is written: also for wireguard mesh port, tr069.interface and ddnsHostname."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFKC", name).strip())
    return re.sub(r"[-. _]+", "_", name).casefold()


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
