# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of sites, meshes and NICs."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, a_list, items, quote
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import plain_text, wrong_character

SITE_NAME_MAX = 63  # a DNS label, and far below the 255 bytes of a file name
_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)  # IFNAMSIZ is 16 with the closing zero


def site_name(value: t.Any) -> str:
    """A site's name, which becomes part of file names on other sites."""
    if not isinstance(value, str):
        raise Fault(f"is {quote(value)}, which is not text. Write a name such as shenzhen.")
    if re.search(r"[.](ya?ml|json)$", value, re.IGNORECASE):
        raise Fault("ends like the name of a file. Write the name alone, such as shenzhen.")
    return _name(value, "the site")


def site_names(value: t.Any) -> list[str]:
    """A list of sites' names, as text; whether they exist is for the plan to say."""
    value = a_list(value, "Write the sites as a list: [site-b, site-c].")
    for item in value:
        if not isinstance(item, (str, int)) or isinstance(item, bool):
            raise Fault(f"holds {quote(item)}, which is no name. Write the sites as a list: [site-b, site-c].")
    return [str(item) for item in value]


def mesh_name(value: t.Any) -> str:
    """A mesh's name, with the same letters as a site's."""
    return _name(plain_text(value, "a name such as sitelink"), "the mesh")


def _name(text: str, what: str) -> str:
    if _SITE_NAME.fullmatch(text) and len(text) <= SITE_NAME_MAX:
        return str(text)
    if len(text) > SITE_NAME_MAX:
        reason = f"has {len(text)} characters, at most {SITE_NAME_MAX} fit"
    elif wrong := wrong_character(text, "A-Za-z0-9._-"):
        reason = f"holds the character {wrong}"
    else:
        reason = "must begin with a letter or digit"
    raise Fault(f"{reason}. Name {what} with English letters, digits, '.', '_' and '-' only, such as shenzhen.")


def interface(value: t.Any) -> str:
    """A network interface's name as the kernel and wg-quick take it."""
    text = plain_text(value, "an interface's name such as eth1 or wg0")
    if not _INTERFACE.fullmatch(text):
        wrong = wrong_character(text, "A-Za-z0-9_.-")
        raise Fault(
            f"is {quote(text)}{f', which holds the character {wrong}' if wrong else ''}. Write at most 15 English letters, digits, "
            "'.', '_' or '-', such as eth1 or wg0."
        )
    if text in ("lo", "all", "default"):  # the kernel's settings have the two for all interfaces
        raise Fault(
            f"is {quote(text)}, which is no interface that can be used here. Write its name, such as eth1 or wg0."
        )
    return text


def interfaces(value: t.Any) -> list[str]:
    """A list of network interfaces' names."""
    return items(a_list(value, "Write a list of NICs, such as [eth2]."), interface)
