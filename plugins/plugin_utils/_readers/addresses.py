# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of IPv4 and IPv6."""

from __future__ import annotations

import functools
import re
import socket
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import (
    INET_PTON,
    AddrFormatError,
    IPAddress,
    IPNetwork,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, a_list, items, quote
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import (
    half_width,
    plain_text,
    wrong_character,
)

# The overlay's version of IP; the other readers take any.
OVERLAY_VERSION = 4

# Networks that can be nobody's LAN: this host, loopback, link-local, multicast and reserved (RFC 6890).
NOT_A_LAN = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")


def address(value: t.Any) -> IPAddress:
    """An IPv4 address in four decimal numbers, without a prefix length.

    :raises Fault: anything else.
    """
    text = plain_text(value, "an IPv4 address such as 192.168.11.1")
    if is_address(text):
        return IPAddress(text, version=OVERLAY_VERSION, flags=INET_PTON)
    if "/" in text or ":" in text:
        bare = re.split("[/:]", text, maxsplit=1)[0]
        if is_address(bare):
            raise Fault(f"is {quote(text)}. Write the address alone: {bare}.")
    raise Fault(_not_an_address(text))


def _not_an_address(text: str) -> str:
    """The predicate for a text that is no address, with what was probably meant."""
    sentence = f"is {quote(text)}, which is not an IPv4 address"
    if wrong := wrong_character(text, "0-9./"):
        sentence += f": it holds the character {wrong}"
    meant = half_width(text)
    if is_address(meant):
        return f"{sentence}. Write {meant}, with the keyboard in English (half-width) mode."
    return f"{sentence}. Write four numbers from 0 to 255 with dots between them, such as 192.168.11.1."


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address in four decimal numbers."""
    try:
        socket.inet_pton(
            socket.AF_INET, text
        )  # as netaddr does, but that takes ten times as long, for each of a thousand sites
    except (OSError, ValueError):
        return False
    return text.isascii()


@functools.cache
def constants(*texts: str) -> tuple[IPNetwork, ...]:
    """Networks that stand in the code. netaddr would read them anew for each value that is compared with them."""
    return tuple(map(IPNetwork, texts))


def or_none(parse: t.Callable[[], t.Any]) -> t.Any:
    """What netaddr makes of a text, or None where it takes none."""
    try:
        return parse()
    except (AddrFormatError, ValueError, TypeError):
        return None


def addresses(value: t.Any) -> list[IPAddress]:
    """A list of IPv4 addresses, in the order given."""
    return items(a_list(value, "Write a list of addresses, such as [10.24.96.9]."), address)


def ipv6(text: str) -> IPAddress | None:
    return or_none(lambda: IPAddress(text, version=6, flags=INET_PTON)) if text.isascii() else None


def address6(value: t.Any) -> IPAddress:
    """An IPv6 address, without a prefix length.

    :raises Fault: anything else.
    """
    text = plain_text(value, "an IPv6 address such as fd5c:1d2e:3f40::1")
    parsed = ipv6(text)
    if parsed is None:
        bare = text.partition("/")[0]
        advice = f"the address alone: {bare}" if ipv6(bare) else "one such as fd5c:1d2e:3f40::1"
        raise Fault(f"is {quote(text)}, which is not an IPv6 address. Write {advice}.")
    return parsed


def gateway_source(value: t.Any) -> str:
    """Where the gateway comes from: one of two words, or the address itself."""
    text = plain_text(value, "first_host, lease or an IPv4 address")
    if text in ("first_host", "lease"):
        return text
    found = or_none(lambda: IPAddress(text, version=4, flags=INET_PTON)) if text.isascii() else None
    if found is None or any(found in network for network in constants(*NOT_A_LAN)):
        raise Fault(f"is {quote(text)}. Write first_host, lease or the gateway's IPv4 address.")
    return str(found)


def free_addresses(overlay: IPNetwork, taken: t.Collection[IPAddress]) -> t.Iterator[IPAddress]:
    """The addresses of the overlay that nobody has, lowest first."""
    return (host for host in overlay.iter_hosts() if host not in taken)
