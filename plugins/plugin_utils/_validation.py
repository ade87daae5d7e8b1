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
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import (
    INET_PTON,
    AddrFormatError,
    IPAddress,
    IPNetwork,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._published import is_published

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
_NOT_A_LAN = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")

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
    if PLACEHOLDER in text.upper():
        raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write the real value, in a vaulted file.")
    if text.startswith("$ANSIBLE_VAULT"):
        raise Fault(
            "is the encrypted text itself, which nobody decrypts. Write it as `ansible-vault encrypt_string` prints it: !vault | "
            "behind the colon, and the lines below it indented."
        )
    return text


def credential(value: t.Any) -> str:
    """A token, an account's id or the like, which travels in the header of a request.

    :raises Fault: as secret_text, or a character that no provider's credential has. It is not quoted.
    """
    text = secret_text(value)
    if not re.fullmatch(r"[!-~]+", text):
        raise Fault(
            "holds a character that no token has: a blank, a typographic quotation mark, a full-width or an invisible character, "
            "or words of a note. Paste it again from the provider's page, with nothing before or behind it."
        )
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
        if PLACEHOLDER in text.upper():
            raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write {what}.")
        if text:
            return text
        raise Fault(f"is empty. Write {what}.")
    raise Fault(f"is {quote(value)}, which is not text. Write {what}.")


def connection_address(value: t.Any) -> str:
    """Where Ansible reaches a site: an address, or any name that a program may know, of a container too.

    :raises Fault: what is neither; else such a site would only be found unreachable when others are changed already.
    """
    wanted = "the address or name by which Ansible reaches this site over its own network (eth0)"
    text = _plain_text(value, wanted)
    user, at, host = text.rpartition("@")
    if is_address(host) or _ipv6(host.strip("[]").partition("%")[0]):
        return text
    bare, mark, rest = host.partition(":") if ":" in host else host.partition("/")
    if mark == ":" and rest.isascii() and rest.isdigit():
        raise Fault(f"is {quote(text)}. Write {user}{at}{bare} here, and the port of SSH as ansible_port: {rest}.")
    if mark == "/" and is_address(bare):
        raise Fault(f"is {quote(text)}. Write the address alone: {bare}.")
    if (meant := _half_width(host)) != host and is_address(meant):
        raise Fault(f"is {quote(text)}. Write {meant}, with the keyboard in English (half-width) mode.")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", host, re.ASCII) or re.fullmatch(r"[0-9]+([.][0-9]+)+", host):
        raise Fault(f"is {quote(text)}, which is neither an address nor a name. Write {wanted}.")
    return text


def _wrong_character(text: str, allowed: str) -> str | None:
    """Names the first character that is not ASCII or not in ``allowed`` (a regular expression's class)."""
    for character in text:
        if not re.match(f"[{allowed}]", character, re.ASCII):
            return f"{quote(character)} ({unicodedata.name(character, 'unprintable')})"
    return None


def _half_width(text: str) -> str:
    """What was probably meant by full-width or Chinese punctuation."""
    text = unicodedata.normalize("NFKC", text)
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return visible.strip(" \t\u201c\u201d\u2018\u2019\"'").translate(_DOTS).rstrip(".")


def address(value: t.Any) -> IPAddress:
    """An IPv4 address in four decimal numbers, without a prefix length.

    :raises Fault: anything else.
    """
    text = _plain_text(value, "an IPv4 address such as 192.168.11.1")
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
    if wrong := _wrong_character(text, "0-9./"):
        sentence += f": it holds the character {wrong}"
    meant = _half_width(text)
    if is_address(meant):
        return f"{sentence}. Write {meant}, with the keyboard in English (half-width) mode."
    return f"{sentence}. Write four numbers from 0 to 255 with dots between them, such as 192.168.11.1."


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address in four decimal numbers."""
    return text.isascii() and _parse(lambda: IPAddress(text, version=OVERLAY_VERSION, flags=INET_PTON)) is not None


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

    parsed = _network(text)
    if parsed is None:
        if "/" not in text and _parse(lambda: IPAddress(_half_width(text), flags=INET_PTON)) is not None:
            raise Fault(f"is {quote(text)}, which lacks its prefix length. Write a network such as 192.168.1.0/24.")
        base, _slash, mask = text.partition("/")
        if is_address(base) and is_address(mask) and (masked := _parse(lambda: IPNetwork(text))) is not None:
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
        _parse(lambda: IPNetwork(text, version=OVERLAY_VERSION))
        if is_address(base) and _INTEGER.fullmatch(length)
        else None
    )


def _not_a_network(text: str) -> str:
    """The predicate for a text that is no network, with what was probably meant."""
    sentence = f"is {quote(text)}, which is not an IPv4 network"
    if wrong := _wrong_character(text, "0-9./"):
        sentence += f": it holds the character {wrong}"
    if (meant := _network(_half_width(text))) is not None:
        return f"{sentence}. Write {meant}, with the keyboard in English (half-width) mode."
    return f"{sentence}. Write an address, a slash and a prefix length from 0 to 32, such as 192.168.1.0/24."


def _networks_of_text(text: str) -> str:
    """What to write for networks in one text, [a, b]; empty when they are none."""
    words = re.findall(r"[^\s,;，；、\[\]]+", text)
    return f"[{', '.join(words)}]" if words and all(map(_network, words)) else ""


def _each_network(value: t.Any) -> list[IPNetwork]:
    if not isinstance(value, (list, tuple)):
        meant = _networks_of_text(value) if isinstance(value, str) else ""
        raise Fault(
            f"is {quote(value)}, which is not a list. Write {meant or 'a list of networks, such as [192.168.1.0/24]'}."
        )
    return sorted(_items(value, network))


def _items(values: t.Iterable[t.Any], read: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
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


def lan_subnets(value: t.Any) -> list[IPNetwork]:
    """The networks behind a site, in numeric order.

    :raises Fault: not a list of networks, or one that cannot be a LAN.
    """
    networks = _each_network(value)
    for lan in networks:
        if _is_special(lan):
            raise Fault(f"holds {lan}, which cannot be a site's own network. Write the LAN's network only.")
    return networks


def _is_special(item: IPNetwork) -> bool:
    """Whether a network holds what is nobody's, or lies in it; the whole internet does."""
    return any(item in special or special in item for special in map(IPNetwork, _NOT_A_LAN))


def underlay_networks(value: t.Any) -> list[IPNetwork]:
    """The networks that the carrier numbers ONTs from, in numeric order.

    :raises Fault: not a list of networks, empty, or with the whole internet in it.
    """
    networks = _each_network(value)
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


def _ipv6(text: str) -> IPAddress | None:
    return _parse(lambda: IPAddress(text, version=6, flags=INET_PTON)) if text.isascii() else None


def address6(value: t.Any) -> IPAddress:
    """An IPv6 address, without a prefix length.

    :raises Fault: anything else.
    """
    text = _plain_text(value, "an IPv6 address such as fd5c:1d2e:3f40::1")
    parsed = _ipv6(text)
    if parsed is None:
        bare = text.partition("/")[0]
        advice = f"the address alone: {bare}" if _ipv6(bare) else "one such as fd5c:1d2e:3f40::1"
        raise Fault(f"is {quote(text)}, which is not an IPv6 address. Write {advice}.")
    return parsed


def overlay_network6(value: t.Any) -> IPNetwork:
    """The IPv6 network that the sites' overlay addresses come from.

    :raises Fault: not such a network, or one for something else.
    """
    example = "a network such as fd5c:1d2e:3f40::/64"
    text = _plain_text(value, example)
    base, _slash, length = text.partition("/")
    parsed = None
    if _ipv6(base) and _INTEGER.fullmatch(length):
        parsed = _parse(lambda: IPNetwork(f"{base}/{length}", version=6))
    if parsed is None:
        raise Fault(f"is {quote(text)}, which is not an IPv6 network. Write {example}.")
    if parsed.ip != parsed.network:
        raise Fault(f"is {parsed}, which is one address in a network. Write the network itself: {parsed.cidr}.")
    if any(parsed in special or special in parsed for special in map(IPNetwork, _NOT_AN_OVERLAY6)):
        raise Fault(f"is {parsed}, which no overlay can use. Write {example}.")
    if parsed.prefixlen > 126:
        raise Fault(f"is {parsed}, which has no room for two sites. Write {example}.")
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
        if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value.strip(), re.ASCII):
            number = int(value)
        if number is None:
            raise Fault(f"is {quote(value)}, which is not a whole number. Write a number from {low} to {high}.")
        if not low <= number <= high:
            raise Fault(f"is {number}. Write a number from {low} to {high}.")
        return int(number)

    return read


generation = integer(1, 999_999_999)


def routing_table(value: t.Any) -> int:
    """The number of a routing table that is not the system's own."""
    try:
        number = integer(1, 0xFFFFFFFF)(value)
    except Fault:
        raise Fault(
            f"is {quote(value)}, which is no table's number. Write one from 1 to 4294967295, such as 305."
        ) from None
    if 253 <= number <= 255:
        raise Fault(f"is {number}, one of the system's own tables (default, main, local). Write another, such as 305.")
    return number


def mark(value: t.Any) -> int:
    """A firewall mark, as a number, in decimal or in hexadecimal digits."""
    if isinstance(value, str) and re.fullmatch(r"\s*0[xX][0-9a-fA-F]{1,8}\s*", value):
        value = int(value, 16)
    try:
        return integer(1, 0xFFFFFFFF)(value)
    except Fault:
        raise Fault(f"is {quote(value)}. Write a mark from 1 to 0xffffffff, such as 0x131.") from None


def gateway_source(value: t.Any) -> str:
    """Where the gateway comes from: one of two words, or the address itself."""
    text = _plain_text(value, "first_host, lease or an IPv4 address")
    if text in ("first_host", "lease"):
        return text
    found = _parse(lambda: IPAddress(text, version=4, flags=INET_PTON)) if text.isascii() else None
    if found is None or any(found in network for network in map(IPNetwork, _NOT_A_LAN)):
        raise Fault(f"is {quote(text)}. Write first_host, lease or the gateway's IPv4 address.")
    return str(found)


def truth(value: t.Any) -> bool:
    """A boolean, in any of the words that Ansible takes for one."""
    try:
        return boolean(value)
    except TypeError:
        raise Fault(f"is {quote(value)}. Write true or false.") from None


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


def command(value: t.Any) -> list[str]:
    """A command as a list of words, the program first; it may be empty."""
    example = "[/usr/local/bin/notify, me]"
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write the command word by word, such as {example}.")
    words = _items(value, one_line)
    if words and not words[0].startswith("/"):
        raise Fault(f"begins with {quote(words[0])}. Write the absolute path of the program first, such as {example}.")
    return words


def serial(value: t.Any) -> t.Any:
    """How many sites at a time: a number, a share in percent, or a list of those."""
    for item in value if isinstance(value, (list, tuple)) and value else [value]:
        if isinstance(item, bool) or not re.fullmatch(r"[0-9]{1,9}%?", str(item), re.ASCII):
            raise Fault(f"is {quote(value)}. Write how many sites at a time, such as 5 or '30%'.")
    return value


def interfaces(value: t.Any) -> list[str]:
    """A list of network interfaces' names."""
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write a list of NICs, such as [eth2].")
    return _items(value, interface)


def site_name(value: t.Any) -> str:
    """A site's name, which becomes part of file names on other sites."""
    if not isinstance(value, str):
        raise Fault(f"is {quote(value)}, which is not text. Write a name such as shenzhen.")
    if re.search(r"[.](ya?ml|json)$", value, re.IGNORECASE):
        raise Fault("ends like the name of a file. Write the name alone, such as shenzhen.")
    return _name(value, "the site")


def site_names(value: t.Any) -> list[str]:
    """A list of sites' names, as text; whether they exist is for the plan to say."""
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write the sites as a list: [site-b, site-c].")
    for item in value:
        if not isinstance(item, (str, int)) or isinstance(item, bool):
            raise Fault(f"holds {quote(item)}, which is no name. Write the sites as a list: [site-b, site-c].")
    return [str(item) for item in value]


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
    text = _plain_text(value, "an interface's name such as eth1 or wg0")
    if not _INTERFACE.fullmatch(text):
        raise Fault(
            f"is {quote(text)}. Write at most 15 English letters, digits, '.', '_' or '-', such as eth1 or wg0."
        )
    if text in ("lo", "all", "default"):  # the kernel's settings have the two for all interfaces
        raise Fault(
            f"is {quote(text)}, which is no interface that can be used here. Write its name, such as eth1 or wg0."
        )
    return text


def host_name(value: t.Any) -> str:
    """A fully qualified domain name, in lower case.

    :raises Fault: not a name with at least two labels of letters, digits and hyphens.
    """
    text = _plain_text(value, "a full name such as shenzhen.example.com")
    if _is_host_name(text):
        return text.lower()
    reason = "is not a full domain name"
    labels = text.split(".")
    if wrong := _wrong_character(text, "A-Za-z0-9.-"):
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
    bare = re.sub(r"^[A-Za-z]+://|(:[0-9]*)?(/.*)?$", "", _half_width(text))
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
    text = _plain_text(value, "a host name or an IPv4 address")
    host, colon, _port = text.partition(":")
    if _ipv6(text.strip("[]")):
        raise Fault(f"is {quote(text)}, an IPv6 address. Write a host name or an IPv4 address.")
    if colon and not _port.startswith("//"):
        raise Fault(f"is {quote(text)}. Write the host alone ({quote(host)}); the port is wireguard_mesh_port.")
    if text.isascii() and not text.replace(".", "").isdigit():
        return host_name(text)
    return str(address(text))


def endpoint(value: t.Any) -> dict[str, t.Any]:
    """Where something outside the underlay is found: a host name or IPv4 address, and a port after a colon.

    :raises Fault: anything else.
    """
    text = _plain_text(value, "a name or address with a port, such as home.example.com:22000")
    host, colon, port = text.rpartition(":")
    if not colon or not _INTEGER.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise Fault(f"is {quote(text)}. Write a name or address and a port, such as home.example.com:22000.")
    return {"host": endpoint_host(host), "port": int(port)}


_EXTERNAL_EXAMPLE = "{name: phone, address: 192.168.11.100, sites: [shenzhen]}"
_EXTERNAL_READERS: dict[str, t.Callable[[t.Any], t.Any]] = {}  # filled below, by readers that are defined below


def external_peers(value: t.Any) -> list[dict[str, t.Any]]:
    """Peers that are no sites of the inventory, each with every key it may have.

    :raises Fault: not a list of such peers, or a name twice.
    """
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write a list, such as [{_EXTERNAL_EXAMPLE}].")
    found = [_external_peer(entry) for entry in value]
    names = [entry["name"] for entry in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Fault(f"holds {twice} twice. Give each external peer its own name.")
    return found


def _external_peer(entry: t.Any) -> dict[str, t.Any]:
    if not isinstance(entry, dict):
        raise Fault(f"holds {quote(entry)}. Write each entry like {_EXTERNAL_EXAMPLE}.")
    # Not even the name of an unknown key: a private key may stand there by a slip of the pen.
    if set(map(str, entry)) - set(_EXTERNAL_READERS):
        raise Fault(
            f"holds an entry with a key that is not known. An entry has some of: {', '.join(_EXTERNAL_READERS)}."
        )
    for key in ("name", "address"):
        if entry.get(key) is None:
            raise Fault(f"holds an entry without {key}. Write each entry like {_EXTERNAL_EXAMPLE}.")
    found: dict[str, t.Any] = {
        "public_key": None, "lan_subnets": [], "endpoint": None, "sites": [], "key_generation": 1, "preshared_key": True,
    }  # fmt: skip
    for key, item in entry.items():
        if item is None or item == "":
            continue
        fault = None
        try:
            found[key] = _EXTERNAL_READERS[key](item)
        except Fault as exc:
            fault = str(exc)
        if fault:
            name = found.get("name") or "an entry"
            raise Fault(f"holds {name}, whose {key} {fault}")
    return found


def addresses(value: t.Any) -> list[IPAddress]:
    """A list of IPv4 addresses, in the order given."""
    if not isinstance(value, (list, tuple)):
        raise Fault(f"is {quote(value)}, which is not a list. Write a list of addresses, such as [10.24.96.9].")
    return _items(value, address)


def choice(*choices: str) -> t.Callable[[t.Any], str]:
    """A reader of one word out of a few."""
    words = " or ".join(choices)

    def read(value: t.Any) -> str:
        text = _plain_text(value, words)
        if text not in choices:
            meant = next((word for word in choices if word == _half_width(text).lower()), words)
            raise Fault(f"is {quote(text)}, which is not known. Write {meant}.")
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


_EXTERNAL_READERS.update(
    name=site_name,
    address=address,
    public_key=public_key,
    lan_subnets=lan_subnets,
    endpoint=endpoint,
    sites=site_names,
    key_generation=generation,
    preshared_key=truth,
)
