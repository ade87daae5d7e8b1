# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader says of a value that cannot be used.

A reader takes a value as an inventory has it, and returns it in one form or raises :class:`Fault`, whose message is a
predicate that follows the name of a variable: "is ... . Write ... instead." Readers of secrets never quote what they
were given.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible.errors import AnsibleFilterError

Reader = t.Callable[[t.Any], t.Any]


class Fault(ValueError):
    """A value that cannot be used; the message is a predicate about the variable."""


def argument(filter_name: str, what: str, read: t.Callable[[t.Any], t.Any], value: t.Any) -> t.Any:
    """A filter's argument, read by one of the readers of this package.

    :raises AnsibleFilterError: the value cannot be used. It has no context: ansible-core prints an error's whole chain.
    """
    try:
        return read(value)
    except Fault as exc:
        fault = str(exc)
    raise AnsibleFilterError(f"{filter_name}: {what} {fault}")


def quote(value: t.Any) -> str:
    """A value that is no secret, for a message: one line, not too long, and nothing that an older core would template."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = re.sub(r"(?<=\{)(?=[{%#])|(?<=[}%#])(?=\})", " ", text)
    return text if len(text) <= 80 else text[:77] + "..."


def items(values: t.Iterable[t.Any], read: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    """The items of a list, read; a fault of one is told as something that the list holds."""
    found = []
    for value in values:
        fault = None
        try:
            found.append(read(value))
        except Fault as exc:
            fault = str(exc)
        if fault:
            what = "an item that is empty" if fault.startswith("is empty") else ""
            raise Fault("holds " + (fault.replace("is empty", what, 1) if what else fault.removeprefix("is ")))
    return found
