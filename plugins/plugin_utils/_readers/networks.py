# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of IPv4 and IPv6, each for what it may be used for."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import INET_PTON, IPAddress, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.addresses import (
    NOT_A_LAN,
    OVERLAY_VERSION,
    constants,
    ipv6,
    is_address,
    or_none,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, a_list, items, quote
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import (
    DIGITS,
    half_width,
    plain_text,
    wrong_character,
)


def network(value: t.Any) -> IPNetwork:
    """An IPv4 network as address/prefix length, no host bits set.

    :raises Fault: anything else.
    """
    text = plain_text(value, "a network such as 192.168.1.0/24")

    parsed = _network(text)
    if parsed is None:
        if "/" not in text and or_none(lambda: IPAddress(half_width(text), flags=INET_PTON)) is not None:
            raise Fault(f"is {quote(text)}, which lacks its prefix length. Write a network such as 192.168.1.0/24.")
        base, _slash, mask = text.partition("/")
        if is_address(base) and is_address(mask) and (masked := or_none(lambda: IPNetwork(text))) is not None:
            raise Fault(f"is {quote(text)}. Write the prefix length instead of the mask: {masked.cidr}.")
        if several := _networks_of_text(text):
            raise Fault(f"is {quote(text)}. Write one network only, or where a list may stand, {several}.")
        raise Fault(_not_a_network(text))
    if parsed.ip != parsed.network:
        raise Fault(f"is {parsed}, which is one address in a network. Write the network itself: {parsed.cidr}.")
    return parsed


def _network(text: str) -> IPNetwork | None:
    base, _slash, length = text.partition("/")
    return (
        or_none(lambda: IPNetwork(text, version=OVERLAY_VERSION))
        if is_address(base) and re.fullmatch("0|[1-9][0-9]?", length)  # nftables takes no /08
        else None
    )


def _not_a_network(text: str) -> str:
    """The predicate for a text that is no network, with what was probably meant."""
    sentence = f"is {quote(text)}, which is not an IPv4 network"
    if wrong := wrong_character(text, "0-9./"):
        sentence += f": it holds the character {wrong}"
    if (meant := _network(half_width(text))) is not None:
        return f"{sentence}. Write {meant}, with the keyboard in English (half-width) mode."
    return f"{sentence}. Write an address, a slash and a prefix length from 0 to 32, such as 192.168.1.0/24."


def _networks_of_text(text: str) -> str:
    """What to write for networks in one text, [a, b]; empty when they are none."""
    words = re.findall(r"[^\s,;，；、\[\]]+", text)
    return f"[{', '.join(words)}]" if words and all(map(_network, words)) else ""


def network_list(value: t.Any) -> list[IPNetwork]:
    """A list of IPv4 networks, in numeric order."""
    meant = _networks_of_text(value) if isinstance(value, str) else ""
    return sorted(items(a_list(value, f"Write {meant or 'a list of networks, such as [192.168.1.0/24]'}."), network))


def lan_subnets(value: t.Any) -> list[IPNetwork]:
    """The networks behind a site, in numeric order.

    :raises Fault: not a list of networks, or one that cannot be a LAN.
    """
    networks = network_list(value)
    for lan in networks:
        if _is_special(lan):
            raise Fault(f"holds {lan}, which cannot be a site's own network. Write the LAN's network only.")
    return networks


def _is_special(item: IPNetwork) -> bool:
    """Whether a network holds what is nobody's, or lies in it; the whole internet does."""
    return any(item in special or special in item for special in constants(*NOT_A_LAN))


def underlay_networks(value: t.Any) -> list[IPNetwork]:
    """The networks that the carrier numbers ONTs from, in numeric order.

    :raises Fault: not a list of networks, empty, or with the whole internet in it.
    """
    networks = network_list(value)
    if not networks:
        raise Fault("is empty. Write the carrier's networks, [10.0.0.0/7] if you do not know better.")
    for item in networks:
        if _is_special(item):
            what = "is the whole internet" if item.prefixlen == 0 else "no carrier numbers ONTs from"
            raise Fault(f"holds {item}, which {what}. Write the carrier's networks: [10.0.0.0/7].")
    return networks


def overlay_network(value: t.Any) -> IPNetwork:
    """The network that the sites' overlay addresses come from.

    :raises Fault: not a network, or without room for two sites.
    """
    parsed = network(value)
    if _is_special(parsed):
        raise Fault(f"is {parsed}, which no overlay can use. Write a private network, such as 192.168.11.0/24.")
    if parsed.size < 4:
        raise Fault(f"is {parsed}, which has no room for two sites. Write a larger network, such as 192.168.11.0/24.")
    return parsed


# Prefixes of IPv6 that no host can have a usable address of in an overlay (RFC 4291).
_NOT_AN_OVERLAY6 = ("::/8", "fe80::/10", "ff00::/8")


def overlay_network6(value: t.Any) -> IPNetwork:
    """The IPv6 network that the sites' overlay addresses come from.

    :raises Fault: not such a network, or one for something else.
    """
    example = "a network such as fd5c:1d2e:3f40::/64"
    text = plain_text(value, example)
    base, _slash, length = text.partition("/")
    parsed = None
    if ipv6(base) and DIGITS.fullmatch(length):
        parsed = or_none(lambda: IPNetwork(f"{base}/{length}", version=6))
    if parsed is None:
        raise Fault(f"is {quote(text)}, which is not an IPv6 network. Write {example}.")
    if parsed.ip != parsed.network:
        raise Fault(f"is {parsed}, which is one address in a network. Write the network itself: {parsed.cidr}.")
    if any(parsed in special or special in parsed for special in constants(*_NOT_AN_OVERLAY6)):
        raise Fault(f"is {parsed}, which no overlay can use. Write {example}.")
    if parsed.prefixlen > 126:
        raise Fault(f"is {parsed}, which has no room for two sites. Write {example}.")
    return parsed
