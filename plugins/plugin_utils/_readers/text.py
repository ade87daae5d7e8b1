# SPDX-License-Identifier: GPL-3.0-or-later
"""Words, lines and commands, and what was probably meant by characters of another kind."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, a_list, items, quote

# What new_inventory.yml writes where only the operator knows the value.
PLACEHOLDER = "FILL-ME-IN"

DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)

# Other strokes for a hyphen.
_HYPHENS = str.maketrans({"\u2013": "-", "\u2014": "-", "\u2212": "-"})

# Chinese and full-width stand-ins for a dot that NFKC alone does not turn into one.
_DOTS = str.maketrans({"。": ".", "｡": ".", "，": ".", ",": ".", "、": "."})


def plain_text(value: t.Any, what: str) -> str:
    """Text without white space around it; what: what to write where it is none."""
    if isinstance(value, str):
        text = str(value).strip()
        if PLACEHOLDER in text.upper():
            raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write {what}.")
        if text:
            return text
        raise Fault(f"is empty. Write {what}.")
    raise Fault(f"is {quote(value)}, which is not text. Write {what}.")


def wrong_character(text: str, allowed: str) -> str | None:
    """Names the first character that is not ASCII or not in ``allowed`` (a regular expression's class)."""
    for character in text:
        if not re.match(f"[{allowed}]", character, re.ASCII):
            return f"{quote(character)} ({unicodedata.name(character, 'unprintable')})"
    return None


def half_width(text: str) -> str:
    """What was probably meant by full-width or Chinese punctuation."""
    return _visible(text).strip(" \t\u201c\u201d\u2018\u2019\"'").translate(_DOTS).rstrip(".")


def _visible(text: str) -> str:
    """The text in ordinary width, without what nobody sees."""
    return "".join(
        character for character in unicodedata.normalize("NFKC", text) if unicodedata.category(character) != "Cf"
    )


def meant_by(value: t.Any) -> t.Any:
    """The same value, where text and the text in lists is written in ASCII; commas stay what they are."""
    if isinstance(value, str):
        text = _visible(value).translate(_HYPHENS).replace("。", ".").replace("、", ",")
        return value if value.isascii() else text.strip(" \t\u201c\u201d\u2018\u2019")
    if isinstance(value, (list, tuple)):
        return [meant_by(item) for item in value]
    if isinstance(value, dict):
        return {meant_by(key): meant_by(item) for key, item in value.items()}
    return value


def one_line(value: t.Any) -> str:
    """Text that stands on one line of a file; a number is taken for its digits.

    :raises Fault: what YAML reads as something else, or holds a character that cannot be seen.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Fault(f"is {quote(value)}, which is not text. Write one value, in quotes.")
    text = str(value)
    if not text.isprintable():
        raise Fault(f"is {quote(text)}, which holds a line break or an invisible character. Write one line.")
    return text


def matching(pattern: str, what: str) -> t.Callable[[t.Any], str]:
    """A reader of text in one form. It is put into quotes where YAML could read it as a number."""
    form = re.compile(pattern, re.ASCII)

    def read(value: t.Any) -> str:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise Fault(f"is {quote(value)}. Write {what}, in quotes.")
        return str(value)

    return read


program = matching(r"/[!-~]+", "the absolute path of a program, without blanks, such as /usr/bin/python3")


def local_file(value: t.Any) -> str:
    """The path of a file on the controller. Nobody says from which directory a playbook of a collection would go."""
    what = "the whole path of the file on this computer, such as /srv/files/ca.pem"
    text = one_line(plain_text(value, what))
    if not text.startswith(("/", "~")):
        raise Fault(f"is {quote(text)}. Write {what}.")
    return text


def choice(*choices: str) -> t.Callable[[t.Any], str]:
    """A reader of one word out of a few."""
    words = " or ".join(choices)

    def read(value: t.Any) -> str:
        text = plain_text(value, words)
        if text not in choices:
            meant = next((word for word in choices if word == half_width(text).lower()), words)
            raise Fault(f"is {quote(text)}, which is not known. Write {meant}.")
        return text

    return read


def truth(value: t.Any) -> bool:
    """A boolean, in any of the words that Ansible takes for one."""
    try:
        return boolean(value)
    except TypeError:
        raise Fault(f"is {quote(value)}. Write true or false.") from None


def command(value: t.Any) -> list[str]:
    """A command as a list of words, the program first; it may be empty."""
    example = "[/usr/local/bin/notify, me]"
    words = items(a_list(value, f"Write the command word by word, such as {example}."), one_line)
    if words and not words[0].startswith("/"):
        raise Fault(f"begins with {quote(words[0])}. Write the absolute path of the program first, such as {example}.")
    return words


def serial(value: t.Any) -> t.Any:
    """How many sites at a time: a number, a share in percent, or a list of those."""
    for item in value if isinstance(value, (list, tuple)) and value else [value]:
        if isinstance(item, bool) or not re.fullmatch(r"[0-9]{1,9}%?", str(item), re.ASCII):
            raise Fault(f"is {quote(value)}. Write how many sites at a time, such as 5 or '30%'.")
    return value
