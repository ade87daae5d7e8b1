# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host is found: names in the DNS, and what may stand in their place."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.addresses import (
    NOT_A_LAN,
    address,
    constants,
    ipv6,
    is_address,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, quote
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import (
    DIGITS,
    half_width,
    plain_text,
    wrong_character,
)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def host_name(value: t.Any) -> str:
    """A fully qualified domain name, in lower case.

    :raises Fault: not a name with at least two labels of letters, digits and hyphens.
    """
    text = plain_text(value, "a full name such as shenzhen.example.com")
    if _is_host_name(text):
        return text.lower()
    reason = "is not a full domain name"
    labels = text.split(".")
    if wrong := wrong_character(text, "A-Za-z0-9.-"):
        reason += f": it holds the character {wrong}"
    elif is_address(text):
        reason += " but an address"
    elif len(labels) == 1:
        reason += ": the domain is missing"
    elif long := next((label for label in labels if len(label) > 63), None):
        reason += f": at most 63 characters fit between two dots, and there are {len(long)}"
    elif text.endswith("."):
        reason += ": it ends with a dot"
    raise Fault(
        f"is {quote(text)}, which {reason}. Write {_meant_host_name(text) or 'a name such as shenzhen.example.com'}."
    )


def _is_host_name(text: str) -> bool:
    name = text.lower()
    labels = name.split(".")
    return len(name) <= 253 and len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _meant_host_name(text: str) -> str:
    """What was probably meant by a text that is no host name; empty when that is anybody's guess."""
    if sum(map(_is_host_name, map(half_width, re.split(r"[,，、;；\s]+", text)))) > 1:
        return ""  # two names
    bare = re.sub(r"^[A-Za-z]+://|(:[0-9]*)?(/.*)?$", "", half_width(text))
    if "://" in text and not re.match("[A-Za-z]+://", text):
        return ""
    if _is_host_name(bare):
        return bare.lower()
    try:
        encoded = bare.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return encoded if encoded != bare and _is_host_name(encoded) else ""


def endpoint_host(value: t.Any) -> str:
    """Where peers look for a site: a host name or an IPv4 address, without a port."""
    text = plain_text(value, "a host name or an IPv4 address")
    host, colon, _port = text.partition(":")
    if ipv6(text.strip("[]")):
        raise Fault(f"is {quote(text)}, an IPv6 address. Write a host name or an IPv4 address.")
    if colon and not _port.startswith("//"):
        raise Fault(f"is {quote(text)}. Write the host alone ({quote(host)}); the port is wireguard_mesh_port.")
    if re.search(r"[^\W\d_]", half_width(text)):  # a letter
        return host_name(text)
    return str(address(text))


def endpoint(value: t.Any) -> dict[str, t.Any]:
    """Where something outside the underlay is found: a host name or IPv4 address, and a port after a colon.

    :raises Fault: anything else.
    """
    text = plain_text(value, "a name or address with a port, such as home.example.com:22000")
    host, colon, port = text.rpartition(":")
    if not colon or not DIGITS.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise Fault(f"is {quote(text)}. Write a name or address and a port, such as home.example.com:22000.")
    found = endpoint_host(host)
    _refuse_nobody(text, found)
    return {"host": found, "port": int(port)}


def _refuse_nobody(text: str, host: str, special: t.Collection[str] = NOT_A_LAN) -> None:
    """:raises Fault: an address that no other machine has, such as the broadcast address."""
    if is_address(host) and any(address(host) in network for network in constants(*special)):
        raise Fault(f"is {quote(text)}, which is no other machine's address. Write the site's own.")


def connection_address(value: t.Any) -> str:
    """Where Ansible reaches a site: an address, or any name that a program may know, of a container too.

    :raises Fault: what is neither; else such a site would only be found unreachable when others are changed already.
    """
    wanted = "the address or name by which Ansible reaches this site over its own network (eth0)"
    text = plain_text(value, wanted)
    user, at, host = text.rpartition("@")
    if at and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", user, re.ASCII):
        # Not quoted: there may be a password in it.
        raise Fault(
            f"has something before the @ that is no user's name. Write {quote(host)} here, and the user as ansible_user."
        )
    _refuse_nobody(text, host, ("0.0.0.0/8", "224.0.0.0/3"))  # 127.0.0.1 may be the controller, a site too
    if is_address(host) or ipv6(host.strip("[]").partition("%")[0]):
        return text
    bare, mark, rest = host.partition(":") if ":" in host else host.partition("/")
    if mark == ":" and rest.isascii() and rest.isdigit():
        raise Fault(f"is {quote(text)}. Write {user}{at}{bare} here, and the port of SSH as ansible_port: {rest}.")
    if mark == "/" and is_address(bare):
        raise Fault(f"is {quote(text)}. Write the address alone: {bare}.")
    if (meant := half_width(host)) != host and is_address(meant):
        raise Fault(f"is {quote(text)}. Write {meant}, with the keyboard in English (half-width) mode.")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", host, re.ASCII) or re.fullmatch(r"[0-9]+([.][0-9]+)+", host):
        raise Fault(f"is {quote(text)}, which is neither an address nor a name. Write {wanted}.")
    return text
