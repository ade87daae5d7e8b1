# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the DDNS client and of its supervision, from a site's variables; and what is wrong with those."""

from __future__ import annotations

import re
import shlex
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import AddrFormatError, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import (
    addresses,
    hosts,
    names,
    networks,
    numbers,
    secrets,
    text,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, Reader, quote

# The names that NewFuture/DDNS 4.2 gives its providers, each once. "debug" is left out: it publishes nothing.
PROVIDERS = (
    "cloudflare", "alidns", "aliesa", "callback", "cloudns", "dnscom", "dnspod", "dnspod_com", "edgeone", "edgeone_dns",
    "he", "huaweidns", "namesilo", "noip", "tencentcloud", "west",
)  # fmt: skip

# What the providers accept on their free plans, in seconds.
TTLS = {"cloudflare": 60, "alidns": 600}

# Fields of a record that the client itself fills in, in the words of its providers: given twice, it ends with a traceback.
_OWN_FIELDS = frozenset(
    {"domain", "value", "record_type", "ttl", "line", "name", "type", "content", "domainname", "rr", "recordid"}
)

_WITHOUT_ID = frozenset({"cloudflare", "he", "namesilo", "west"})
_WITHOUT_TOKEN = frozenset({"callback"})
_WITHOUT_ENDPOINT = frozenset({"callback"})
_ENTRY_KEYS = ("provider", "name", "family", "id", "token", "endpoint", "ttl", "line", "extra")
_KINDS = {"ipv4": "A", "ipv6": "AAAA"}

# What people call some of them.
_CALLED = {
    "aliyun": "alidns", "ali": "alidns", "阿里云": "alidns", "阿里": "alidns", "cf": "cloudflare", "腾讯云": "tencentcloud",
    "tencent": "tencentcloud", "华为云": "huaweidns", "huawei": "huaweidns", "dnspod.cn": "dnspod",
}  # fmt: skip


def provider(value: t.Any) -> str:
    """The name of a provider."""
    known = _CALLED.get(value.strip().lower()) if isinstance(value, str) else None
    if known in PROVIDERS and value not in PROVIDERS:
        raise Fault(f"is {quote(value)}. Write {known}.")
    return text.choice(*PROVIDERS)(value)


def id_fault(name: str, given: bool, looks_like_mail: bool) -> str | None:
    """What is wrong with a provider's account id; a predicate about its variable."""
    if not given and name == "alidns":
        return "is missing. alidns needs the id of the AccessKey as well."
    if not given and name not in _WITHOUT_ID:
        return f"is missing. {name} needs the id of the account as well."
    if name == "cloudflare" and given and not looks_like_mail:
        return (
            'holds no "@". With a Cloudflare API token in ddns_token leave ddns_id out; only with the global API '
            "key it is needed, and is the account's e-mail address."
        )
    return None


def token_fault(name: str, given: bool) -> str | None:
    """What is wrong with a provider's token; a predicate about its variable."""
    if given or name in _WITHOUT_TOKEN:
        return None
    what = {"cloudflare": "API token", "alidns": "AccessKey secret"}.get(name, "token")
    return f"is missing. Write the {what} for {name}, in a vaulted file."


def settings(options: Mapping[str, t.Any], peers: Iterable[Mapping[str, t.Any]] = ()) -> dict[str, t.Any]:
    """``{"problems": [...], "names": [...], "client": {...}, "interval": seconds}`` of one site.

    problems: pairs of a variable and a predicate about it, without secrets; names: what ``sitelink ddns`` supervises,
    public; client: the configuration of the client, with the tokens. The options are the role's variables without their
    prefix. peers: the sites whose names are published here while they cannot do it themselves, each with ``site`` and its
    own options; what is wrong with these is told of that site.
    """
    problems: list[tuple[str, str]] = []
    entries = [*_own_entries(options, problems), *_further_entries(options["providers"], problems)]
    interval = _read(problems, "ddns_interval", numbers.integer(5, 600), options["interval"], 30)
    sources = _sources(options, problems)
    found: list[dict[str, t.Any]] = []
    providers = []
    for entry in entries:
        if any(entry[key] is None for key in ("provider", "name", "family")):
            continue
        interface, networks_of_family = sources[entry["family"]]
        found.append(_supervised(entry, interface, networks_of_family))
        of = [str(interface), *(["--ipv6"] if entry["family"] == "ipv6" else [])]
        providers.append(_client_entry(entry, of, networks_of_family))
    for peer in peers:
        other = _peer_entry(peer)
        if other is not None:
            found.append({**_supervised(other, *sources["ipv4"]), "peer": peer["site"]})
            providers.append(_client_entry(other, ["--peer", peer["site"]], sources["ipv4"][1]))
    client = {
        "ssl": options["ca_file"] or True,  # never "auto", which ends up in sending the token unverified
        "cache": False,  # sitelink ddns knows what is published, by asking the zone's servers
        "log": {"level": "WARNING"},
        "providers": providers,
    }
    unique = [name for index, name in enumerate(found) if _key(name) not in map(_key, found[:index])]
    return {"problems": problems, "names": unique, "client": client, "interval": interval}


def _read(problems: list[tuple[str, str]], variable: str, reader: Reader, value: t.Any, default: t.Any = None) -> t.Any:
    """The value, or the default and a problem."""
    try:
        return reader(value)
    except Fault as fault:
        problems.append((variable, str(fault)))
        return default


def _account(options: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: options[key] for key in ("provider", "id", "token", "endpoint", "ttl", "line", "extra")}


def _own_entries(options: Mapping[str, t.Any], problems: list[tuple[str, str]]) -> Iterator[dict[str, t.Any]]:
    """The site's own name, of IPv4 and of IPv6."""
    for family, variable in (("ipv4", "hostname"), ("ipv6", "ipv6_hostname")):
        if options[variable]:
            given = {**_account(options), "name": options[variable], "family": family}
            yield _Entry(given, f"ddns_{variable}").read(problems)


def _further_entries(others: t.Any, problems: list[tuple[str, str]]) -> Iterator[dict[str, t.Any]]:
    """What ddns_providers holds."""
    if isinstance(others, str) or not isinstance(others, (list, tuple)):
        problems.append(
            ("ddns_providers", "must be a list of mappings. Write - {provider: ..., name: ..., token: ...}.")
        )
        return
    known = ", ".join(_ENTRY_KEYS)
    for number, other in enumerate(others, 1):
        place = f"(entry {number}):"
        if not isinstance(other, Mapping):
            problems.append(("ddns_providers", f"{place} must be a mapping with the keys {known}."))
            continue
        if unknown := sorted(str(key) for key in other if key not in _ENTRY_KEYS):
            problems.append(("ddns_providers", f"{place} the key {quote(unknown[0])} is not known. Known are {known}."))
        yield _Entry(other, place=place).read(problems)


def _peer_entry(peer: Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """The name of another site; None where something is wrong with it, which is told of that site."""
    faults: list[tuple[str, str]] = []
    given = {**_account(peer), "name": peer["hostname"], "family": "ipv4"}
    entry = _Entry(given, "ddns_hostname").read(faults)
    return None if faults or any(entry[key] is None for key in ("provider", "name")) else entry


def _sources(options: Mapping[str, t.Any], problems: list[tuple[str, str]]) -> dict[str, tuple[str | None, list[str]]]:
    """Where each family's address is taken from: the NIC, and the networks that it must lie in."""
    own4 = _read(problems, "ddns_networks", networks.underlay_networks, options["networks"], [])
    own6 = _read(problems, "ddns_ipv6_networks", _ipv6_networks, options["ipv6_networks"], [])
    return {
        "ipv4": (_read(problems, "ddns_interface", names.interface, options["interface"]), list(map(str, own4))),
        "ipv6": (
            _read(problems, "ddns_ipv6_interface", names.interface, options["ipv6_interface"]),
            list(map(str, own6)),
        ),
    }


def _supervised(entry: Mapping[str, t.Any], interface: str | None, networks_of_family: list[str]) -> dict[str, t.Any]:
    """What ``sitelink ddns`` has to know of a name."""
    return {
        "name": entry["name"],
        "kind": _KINDS[entry["family"]],
        "provider": entry["provider"],
        "interface": interface,
        "networks": networks_of_family,
    }


def _key(name: Mapping[str, t.Any]) -> tuple[str, str]:
    return name["name"], name["kind"]


class _Entry:
    """One name of one account: the site's own variables, or with a place an entry of ddns_providers."""

    def __init__(self, given: Mapping[str, t.Any], hostname: str = "", place: str = "") -> None:
        self._given, self._hostname, self._place = given, hostname, place
        self._problems: list[tuple[str, str]] = []

    def _fault(self, key: str, predicate: str) -> None:
        if self._place:
            self._problems.append(("ddns_providers", f"{self._place} {key} {predicate}"))
        else:
            self._problems.append((self._hostname if key == "name" else f"ddns_{key}", predicate))

    def _value(self, key: str, reader: t.Callable[[t.Any], t.Any], value: t.Any, default: t.Any = None) -> t.Any:
        try:
            return reader(value)
        except Fault as fault:
            self._fault(key, str(fault))
            return default

    def read(self, problems: list[tuple[str, str]]) -> dict[str, t.Any]:
        """The values; what cannot be read is None and a problem."""
        given = self._given
        name = self._value("provider", provider, given.get("provider"))
        entry: dict[str, t.Any] = {
            "provider": name,
            "name": self._value("name", hosts.host_name, given.get("name")),
            "family": self._value("family", text.choice(*_KINDS), given.get("family") or "ipv4"),
            "line": given.get("line") or None,
            "endpoint": given.get("endpoint") or None,
        }
        for key in ("id", "token"):
            told = _is_given(given.get(key))
            entry[key] = self._value(key, secrets.credential, given[key]) if told else None
            readable = entry[key] is not None or not told
            if name and readable and (fault := _credential_fault(key, name, entry[key])):
                self._fault(key, fault)
        if name in _WITHOUT_ENDPOINT and entry["id"] is not None and not re.match(r"(?i)https://[^\s/?#]", entry["id"]):
            # Not quoted: it may hold a password, or be one.
            self._fault(
                "id",
                f"must be the URL that {name} calls, and begin with https://, or what is in it could be read on the way.",
            )
        ttl = self._value("ttl", numbers.integer(0, 86400), given.get("ttl") or 0, 0)
        entry["ttl"] = ttl or TTLS.get(name, 600)
        if entry["line"] is not None:
            entry["line"] = self._value("line", text.one_line, entry["line"])
        if entry["endpoint"] is not None:
            if name in _WITHOUT_ENDPOINT:
                self._fault("endpoint", f"must be left out with {name}: ddns_id is its URL.")
            elif not str(entry["endpoint"]).startswith("https://"):
                self._fault("endpoint", "must begin with https://, or the token could be read on the way.")
            elif (
                not re.fullmatch(
                    r"https://[A-Za-z0-9][A-Za-z0-9.-]*(:0*(?!0)[0-9]{1,5})?(/[!-~]*)?",
                    str(entry["endpoint"]),
                    re.ASCII,
                )
                or int((re.findall(r"^https://[^/]*:([0-9]+)", str(entry["endpoint"])) or [1])[0]) > 65535
            ):
                # Not quoted: it may hold a password.
                self._fault(
                    "endpoint", "must be one URL without a user and a password, such as https://api.example.com."
                )
        extra = given.get("extra") or {}
        if not isinstance(extra, Mapping) or any(not isinstance(key, str) for key in extra):
            self._fault("extra", "must be a mapping of field names to values.")
            extra = {}
        if own := sorted(key for key in extra if key.casefold() in _OWN_FIELDS):
            self._fault("extra", f"must not hold {own[0]}: that follows from ddns_hostname, ddns_ttl or ddns_line.")
        if name == "cloudflare":
            if extra.get("proxied"):
                self._fault("extra", "must not hold proxied: a proxied name does not lead to the underlay.")
            extra = {**extra, "proxied": False}
        entry["extra"] = dict(extra)
        # Two families of one account share its faults.
        problems += [problem for problem in self._problems if problem not in problems]
        return entry


def _ipv6_networks(value: t.Any) -> list[IPNetwork]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)) or not value:
        raise Fault(
            f"is {quote(value)}, which is not a list of IPv6 networks. Write [2000::/3] if you do not know better."
        )
    try:
        found = [IPNetwork(str(item).strip(), version=6) for item in value]
    except (AddrFormatError, ValueError):
        raise Fault(f"is {quote(value)}. Write IPv6 networks, such as [2000::/3].") from None
    for network in found:
        if network.ip != network.network:
            raise Fault(
                f"holds {network}, which is one address in a network. Write the network itself: {network.cidr}."
            )
        if network.prefixlen and any(
            network in special for special in addresses.constants("::/8", "fe80::/10", "ff00::/8")
        ):
            raise Fault(
                f"holds {network}, of which nothing can be published. Write [2000::/3] if you do not know better."
            )
    return found


def _is_given(value: t.Any) -> bool:
    return secrets.is_encrypted(value) or (value is not None and value != "")


def _credential_fault(key: str, name: str, value: str | None) -> str | None:
    if key == "id":
        return id_fault(name, value is not None, "@" in (value or ""))
    return token_fault(name, value is not None)


def _client_entry(entry: Mapping[str, t.Any], of: list[str], networks: list[str]) -> dict[str, t.Any]:
    """One entry of the client for each name and family: in a list of names one failure hides another.

    of: whose address, as arguments of ``sitelink address``.
    """
    ipv4 = entry["family"] == "ipv4"
    command = ["/usr/local/sbin/sitelink", "address", *map(shlex.quote, of)]
    rule = "shell:" + " ".join(command + [f"--network {network}" for network in networks])
    found = {
        "provider": entry["provider"],
        "id": entry["id"],
        "token": entry["token"] or "",
        "ipv4": [entry["name"]] if ipv4 else [],
        "ipv6": [] if ipv4 else [entry["name"]],
        "index4": [rule] if ipv4 else False,
        "index6": False if ipv4 else [rule],
        "ttl": entry["ttl"],
    }
    for key in ("endpoint", "line", "extra"):
        if entry[key]:
            found[key] = entry[key]
    return found
