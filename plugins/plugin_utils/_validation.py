# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads values from an inventory: returns them in one form, or says what is wrong with them.

Each reader raises :class:`Fault`, whose message is a predicate that follows the name of a variable: "is ... . Write
... instead." Readers of secrets never quote what they were given.
"""

from __future__ import annotations

import json
import re
import typing as t
import unicodedata

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._published import is_published
from netaddr import INET_PTON, IPAddress, IPNetwork
from netaddr.core import AddrFormatError

# What new_inventory.yml writes where only the operator knows the value.
PLACEHOLDER = "FILL-ME-IN"

# The overlay's version of IP; the readers below take any.
OVERLAY_VERSION = 4

SITE_NAME_MAX = 63  # a DNS label, and far below the 255 bytes of a file name
_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)  # IFNAMSIZ is 16 with the closing zero
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)

# Networks that can be nobody's LAN: this host, loopback, link-local, multicast and reserved (RFC 6890).
_NOT_A_LAN = [IPNetwork(cidr) for cidr in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]

# Chinese and full-width stand-ins for a dot that NFKC alone does not turn into one.
_DOTS = str.maketrans({"。": ".", "｡": ".", "，": ".", ",": ".", "、": "."})


class Fault(ValueError):
    """A value that cannot be used; the message is a predicate about the variable."""


def argument(filter_name: str, what: str, read: t.Callable[[t.Any], t.Any], value: t.Any) -> t.Any:
    """A filter's argument, read by one of the readers below.

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


def is_encrypted(value: t.Any) -> bool:
    """Whether a value is an inline vault object, as ansible-core before 2.19 hands them to filters."""
    return bool(getattr(value, "__ENCRYPTED__", False))


def secret_text(value: t.Any) -> str:
    """The text of a secret that may be plain, tagged or an inline vault object, without white space around it.

    :raises Fault: not text, cannot be decrypted, or empty.
    """
    if not isinstance(value, str) and not is_encrypted(value):
        raise Fault(f"must be text, not {_type_name(value)}. Put it into quotes.")
    try:
        text = to_text(value).strip()
    except Exception:  # noqa: BLE001 - vault errors differ between cores
        text = None
    # Outside the handler, so that the error has no context that could be printed with it.
    if text is None:
        raise Fault("cannot be decrypted. Give Ansible the vault password that it was encrypted with.")
    if not text:
        raise Fault("is empty.")
    if text == PLACEHOLDER:
        raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write the real value, in a vaulted file.")
    return text


def _type_name(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    for kind, name in ((int, "a number"), (float, "a number"), (dict, "a mapping"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "this type"


def refuse_published(secret: str, accept: bool) -> None:
    """:raises Fault: the secret stands in the public repository, and this is not the lab."""
    if not accept and is_published(secret):
        raise Fault("is a secret that stands in the public repository of sitelink.tr069. Use a secret of your own.")


def _plain_text(value: t.Any, what: str) -> str:
    if isinstance(value, str):
        text = str(value).strip()
        if text == PLACEHOLDER:
            raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write {what}.")
        if text:
            return text
        raise Fault(f"is empty. Write {what}.")
    raise Fault(f"is {quote(value)}, which is not text. Write {what}.")


def connection_address(value: t.Any) -> str:
    """Where Ansible reaches a site: only the placeholder of a new inventory is refused."""
    return _plain_text(value, "the address or name by which Ansible reaches this site over its own network (eth0)")


def _wrong_character(text: str, allowed: str) -> str | None:
    """Names the first character that is not ASCII or not in ``allowed`` (a regular expression's class)."""
    for character in text:
        if not re.match(f"[{allowed}]", character, re.ASCII):
            return f"{quote(character)} ({unicodedata.name(character, 'unprintable')})"
    return None


def _half_width(text: str) -> str:
    """What was probably meant by full-width or Chinese punctuation."""
    return unicodedata.normalize("NFKC", text).translate(_DOTS)


def address(value: t.Any) -> IPAddress:
    """An IPv4 address in four decimal numbers, without a prefix length.

    :raises Fault: anything else.
    """
    text = _plain_text(value, "an IPv4 address such as 192.168.11.1")
    parsed = _parse(lambda: IPAddress(text, version=OVERLAY_VERSION, flags=INET_PTON)) if text.isascii() else None
    if parsed is not None:
        return parsed
    if "/" in text:
        bare = text.partition("/")[0]
        if _parse(lambda: IPAddress(bare, version=OVERLAY_VERSION, flags=INET_PTON)) is not None:
            raise Fault(f"is {quote(text)}. Write the address alone: {bare}.")
    raise Fault(_not_an_address(text, lambda meant: IPAddress(meant, version=OVERLAY_VERSION, flags=INET_PTON)))


def _not_an_address(text: str, parse: t.Callable[[str], t.Any]) -> str:
    """The predicate for a text that is no address or network, with what was probably meant."""
    sentence = f"is {quote(text)}, which is not an IPv4 address"
    if wrong := _wrong_character(text, "0-9./"):
        sentence += f": it holds the character {wrong}"
    meant = _parse(lambda: parse(_half_width(text)))
    if meant is not None:
        return f"{sentence}. Write {meant}, with the keyboard in English (half-width) mode."
    return f"{sentence}. Write four numbers from 0 to 255 with dots between them, such as 192.168.11.1."


def _parse(parse: t.Callable[[], t.Any]) -> t.Any:
    try:
        return parse()
    except (AddrFormatError, ValueError, TypeError):
        return None


def network(value: t.Any) -> IPNetwork:
    """An IPv4 network as address/prefix length, no host bits set.

    :raises Fault: anything else.
    """
    text = _plain_text(value, "a network such as 192.168.1.0/24")

    def parse(text: str) -> IPNetwork:
        base, _slash, length = text.partition("/")
        if not _INTEGER.fullmatch(length):
            raise ValueError(text)
        return IPNetwork(f"{IPAddress(base, version=OVERLAY_VERSION, flags=INET_PTON)}/{length}")

    parsed = _parse(lambda: parse(text)) if text.isascii() else None
    if parsed is None:
        if "/" not in text and _parse(lambda: IPAddress(_half_width(text), flags=INET_PTON)) is not None:
            raise Fault(f"is {quote(text)}, which lacks its prefix length. Write a network such as 192.168.1.0/24.")
        raise Fault(_not_an_address(text, parse).replace("an IPv4 address", "an IPv4 network", 1))
    if parsed.ip != parsed.network:
        raise Fault(f"is {parsed}, which is one address in a network. Write the network itself: {parsed.cidr}.")
    return parsed


def _each_network(value: t.Any) -> list[IPNetwork]:
    if isinstance(value, str):
        raise Fault(f"is {quote(value)}, which is not a list. Write [{value.strip() or '192.168.1.0/24'}].")
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write a list of networks, such as [192.168.1.0/24].")
    return sorted(network(item) for item in value)


def lan_subnets(value: t.Any) -> list[IPNetwork]:
    """The networks behind a site, in numeric order.

    :raises Fault: not a list of networks, or one that cannot be a LAN.
    """
    networks = _each_network(value)
    for lan in networks:
        if lan.prefixlen == 0 or any(lan in special or special in lan for special in _NOT_A_LAN):
            raise Fault(f"holds {lan}, which cannot be a site's own network. Write the LAN's network only.")
    return networks


def underlay_networks(value: t.Any) -> list[IPNetwork]:
    """The networks that the carrier numbers ONTs from, in numeric order.

    :raises Fault: not a list of networks, empty, or with the whole internet in it.
    """
    networks = _each_network(value)
    if not networks:
        raise Fault("is empty. Write the carrier's networks, [10.0.0.0/7] if you do not know better.")
    if any(item.prefixlen == 0 for item in networks):
        raise Fault(f"holds {networks[0]}, which is the whole internet. Write the carrier's networks: [10.0.0.0/7].")
    return networks


def overlay_network(value: t.Any) -> IPNetwork:
    """The network that the sites' overlay addresses come from.

    :raises Fault: not a network, or without room for two sites.
    """
    parsed = network(value)
    if parsed.size < 4:
        raise Fault(f"is {parsed}, which has no room for two sites. Write a larger network, such as 192.168.11.0/24.")
    return parsed


_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_ALLOW_EXAMPLE = "{protocol: tcp, ports: [443], sources: [10.23.64.0/20]}"


def firewall_allow(value: t.Any) -> list[dict[str, t.Any]]:
    """What the carrier's network may reach: a list of protocol, ports and, if not everybody may, sources.

    :raises Fault: anything that nftables would refuse, or that means something else than it says.
    """
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write a list, such as [{_ALLOW_EXAMPLE}].")
    return [_allowed(entry) for entry in value]


def _allowed(entry: t.Any) -> dict[str, t.Any]:
    if not isinstance(entry, dict):
        raise Fault(f"holds {quote(entry)}. Write each entry like {_ALLOW_EXAMPLE}.")
    if unknown := sorted(set(map(str, entry)) - {"protocol", "ports", "sources"}):
        raise Fault(
            f"holds an entry with {quote(unknown[0])}. An entry has protocol, ports and sources: {_ALLOW_EXAMPLE}."
        )
    protocol = entry.get("protocol")
    if protocol not in ("tcp", "udp"):
        raise Fault(f"holds the protocol {quote(protocol)}. Write tcp or udp, one entry for each.")
    ports = entry.get("ports")
    if not isinstance(ports, (list, tuple)) or not ports:
        raise Fault(f"holds the ports {quote(ports)}. Write a list of them, such as [443] or [8000-8010].")
    for port in ports:
        found = _PORTS.fullmatch(str(port)) if not isinstance(port, bool) else None
        bounds = [int(bound) for bound in found.groups() if bound] if found else []
        if not bounds or not 1 <= bounds[0] <= bounds[-1] <= 65535:
            raise Fault(f"holds the port {quote(port)}. Write a number from 1 to 65535, or a range such as 8000-8010.")
    sources = entry.get("sources")
    if sources is not None:
        try:
            sources = _each_network(sources)
        except Fault as fault:
            raise Fault(f"has an entry whose sources cannot be used; it {fault}") from None
        if not sources:
            raise Fault("has an entry with empty sources. Leave sources out to let in the whole underlay.")
    return {"protocol": protocol, "ports": [str(port) for port in ports], "sources": sources}


def integer(low: int, high: int) -> t.Callable[[t.Any], int]:
    """A reader of whole numbers from ``low`` to ``high``, written as a number or in ASCII digits."""

    def read(value: t.Any) -> int:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
        if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            number = int(value)
        if number is None:
            raise Fault(f"is {quote(value)}, which is not a whole number. Write a number from {low} to {high}.")
        if not low <= number <= high:
            raise Fault(f"is {number}. Write a number from {low} to {high}.")
        return int(number)

    return read


generation = integer(1, 999_999_999)


def truth(value: t.Any) -> bool:
    """A boolean, in any of the words that Ansible takes for one."""
    try:
        return boolean(value)
    except TypeError:
        raise Fault(f"is {quote(value)}. Write true or false.") from None


def site_name(value: t.Any) -> str:
    """A site's name, which becomes part of file names on other sites."""
    if not isinstance(value, str):
        raise Fault(f"is {quote(value)}, which is not text. Write a name such as shenzhen.")
    return _name(value, "the site")


def mesh_name(value: t.Any) -> str:
    """A mesh's name, with the same letters as a site's."""
    return _name(_plain_text(value, "a name such as sitelink"), "the mesh")


def _name(text: str, what: str) -> str:
    if _SITE_NAME.fullmatch(text) and len(text) <= SITE_NAME_MAX:
        return str(text)
    if len(text) > SITE_NAME_MAX:
        reason = f"has {len(text)} characters, at most {SITE_NAME_MAX} fit"
    elif wrong := _wrong_character(text, "A-Za-z0-9._-"):
        reason = f"holds the character {wrong}"
    else:
        reason = "must begin with a letter or digit"
    raise Fault(f"{reason}. Name {what} with English letters, digits, '.', '_' and '-' only, such as shenzhen.")


def interface(value: t.Any) -> str:
    """A network interface's name as the kernel and wg-quick take it."""
    text = _plain_text(value, "an interface's name such as wg0")
    if not _INTERFACE.fullmatch(text):
        raise Fault(f"is {quote(text)}. Write at most 15 English letters, digits, '.', '_' or '-', such as wg0.")
    return text


def host_name(value: t.Any) -> str:
    """A fully qualified domain name, in lower case.

    :raises Fault: not a name with at least two labels of letters, digits and hyphens.
    """
    text = _plain_text(value, "a full name such as shenzhen.example.com")
    name = text.lower()
    labels = name.split(".")
    if len(name) <= 253 and len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit():
        return name
    reason = "is not a full domain name"
    if wrong := _wrong_character(text, "A-Za-z0-9.-"):
        reason += f": it holds the character {wrong}"
    elif len(labels) == 1:
        reason += ": the domain is missing"
    raise Fault(f"is {quote(text)}, which {reason}. Write a name such as shenzhen.example.com.")


def endpoint_host(value: t.Any) -> str:
    """Where peers look for a site: a host name or an IPv4 address, without a port."""
    text = _plain_text(value, "a host name or an IPv4 address")
    host, colon, _port = text.partition(":")
    if colon:
        raise Fault(f"is {quote(text)}. Write the host alone ({quote(host)}); the port is wireguard_mesh_port.")
    if text.isascii() and not text.replace(".", "").isdigit():
        return host_name(text)
    return str(address(text))


def choice(*choices: str) -> t.Callable[[t.Any], str]:
    """A reader of one word out of a few."""
    words = " or ".join(choices)

    def read(value: t.Any) -> str:
        text = _plain_text(value, words)
        if text not in choices:
            raise Fault(f"is {quote(text)}, which is not known. Write {words}.")
        return text

    return read


def private_key(value: t.Any) -> str:
    """A WireGuard private key in base64. Never quoted."""
    return _checked(secret_text(value), _keys.decode_key, "Make one with: wg genkey")


def public_key(value: t.Any) -> str:
    """A WireGuard public key in base64. Not quoted either: it may be a private key put into the wrong variable."""
    return _checked(secret_text(value), _keys.decode_key, "Make one from the private key with: wg pubkey")


def mesh_secret(value: t.Any) -> str:
    """A mesh secret. Never quoted."""
    return _checked(secret_text(value), _keys.check_secret, "Make one with: openssl rand -base64 48")


def _checked(text: str, check: t.Callable[[str], t.Any], advice: str) -> str:
    fault = None
    try:
        check(text)
    except _keys.KeyFault as exc:
        fault = str(exc)
    if fault:
        raise Fault(f"{fault}. {advice}")
    return text


def free_addresses(overlay: IPNetwork, taken: t.Collection[IPAddress]) -> t.Iterator[IPAddress]:
    """The addresses of the overlay that nobody has, lowest first."""
    return (host for host in overlay.iter_hosts() if host not in taken)
