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


_AS_LONG_AS_A_KEY = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")


def without_keys(text: str) -> str:
    """A text without what is as long as a key in base64, wherever an operator put it. A long path is none."""

    def shown(found: re.Match[str]) -> str:
        is_path = not found[0].endswith("=") and (found[0].startswith("/") or found[0].count("/") > 3)
        return found[0] if is_path else "(a key)"

    return _AS_LONG_AS_A_KEY.sub(shown, text)


def quote(value: t.Any) -> str:
    """A value that is no secret, for a message: one line, not too long, and nothing that an older core would template."""
    text = without_keys(json.dumps(value, ensure_ascii=False, default=str))
    text = re.sub(r"(?<=\{)(?=[{%#])|(?<=[}%#])(?=\})", " ", text)
    return text if len(text) <= 80 else text[:77] + "..."


def items(values: t.Iterable[t.Any], read: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    """The items of a list, read; a fault of one is told as something that the list holds."""

    def item(value: t.Any) -> t.Any:
        fault = None
        try:
            return read(value)
        except Fault as exc:
            fault = str(exc)
        what = "an item that is empty" if fault.startswith("is empty") else ""
        raise Fault("holds " + (fault.replace("is empty", what, 1) if what else fault.removeprefix("is ")))

    return each(values, item)


def each(values: t.Iterable[t.Any], read: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    """Each value, read. What is wrong with them is told of all at once; read says what "holds" the value or "has" it."""
    found, faults = [], []
    for value in values:
        try:
            found.append(read(value))
        except Fault as exc:
            faults.append(str(exc))
    if faults:
        raise Fault(" It also ".join(dict.fromkeys(faults)))
    return found


def a_list(value: t.Any, advice: str) -> list[t.Any]:
    """The items of a list.

    :param advice: what to write where it is none.
    :raises Fault: anything else; of text that looks like a list why it is none.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    words = re.findall(r"[^\s,，、;；\[\]［］'\"]+", value) if isinstance(value, str) else []
    if words and re.match(r"\s*[\[［]", value) and "{" not in value and without_keys(value) == value:
        meant = ", ".join(words)
        literal = ", ".join(f"'{word}'" for word in words)
        raise Fault(
            f"is {quote(value)}, which is text and no list. In a file of YAML write [{meant}], without quotes around it; in one "
            f'of INI write "[{literal}]"; on the command line write JSON, -e \'{{"NAME": {json.dumps(words, ensure_ascii=False)}}}\'.'
        )
    raise Fault(f"is {quote(value)}, which is not a list. {advice}")
