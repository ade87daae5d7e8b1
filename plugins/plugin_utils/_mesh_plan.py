# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a mesh: every site's public part, and every fault of the inventory, from all sites' variables.

Bad data never raises here: each fault becomes a problem, so that an operator reads all of them at once.
"""

from __future__ import annotations

import collections
import hashlib
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _validation as validation
from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys, public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._validation import Fault, quote
from jinja2 import Undefined
from netaddr import IPAddress, IPNetwork

# Role defaults of other hosts are not in hostvars, so the plan has its own. They equal meta/argument_specs.yml;
# None and "" stand for "not given".
DEFAULTS: dict[str, t.Any] = {
    "tr069_interface": "eth1",
    "tr069_networks": ["10.0.0.0/7"],
    "wireguard_mesh_group": "sites",
    "wireguard_mesh_name": "sitelink",
    "wireguard_mesh_network": "192.168.11.0/24",
    "wireguard_mesh_address": None,
    "wireguard_mesh_interface": "wg0",
    "wireguard_mesh_port": 22000,
    "wireguard_mesh_mtu": 1420,
    "wireguard_mesh_keepalive": 25,
    "wireguard_mesh_lan_subnets": [],
    "wireguard_mesh_lan_gateway": False,
    "wireguard_mesh_endpoint": "",
    "wireguard_mesh_secret": "",
    "wireguard_mesh_private_key": "",
    "wireguard_mesh_public_key": "",
    "wireguard_mesh_key_generation": 1,
    "wireguard_mesh_preshared_keys": True,
    "wireguard_mesh_accept_published_secrets": False,
    "ddns_hostname": "",
    "ddns_provider": "cloudflare",
    "ddns_id": "",
    "ddns_token": "",
    "ddns_state": "present",
    "tr069_firewall_allow": [],
    "ddns_ttl": 0,
    "ddns_line": "",
    "ddns_extra": {},
    "ddns_endpoint": "",
    "ddns_ipv6_hostname": "",
    "ddns_ipv6_networks": ["2000::/3"],
    "ddns_providers": [],
    "ddns_interval": 30,
    "ansible_host": "",
}

_READERS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "tr069_interface": validation.interface,
    "tr069_networks": validation.underlay_networks,
    "wireguard_mesh_group": str,
    "wireguard_mesh_name": validation.mesh_name,
    "wireguard_mesh_network": validation.overlay_network,
    "wireguard_mesh_address": validation.address,
    "wireguard_mesh_interface": validation.interface,
    "wireguard_mesh_port": validation.integer(1, 65535),
    "wireguard_mesh_mtu": validation.integer(1280, 9000),  # IPv6 needs 1280; jumbo frames end near 9000
    "wireguard_mesh_keepalive": validation.integer(1, 65535),  # 16 bits in wg(8); 0 would hide a dead peer
    "wireguard_mesh_lan_subnets": validation.lan_subnets,
    "wireguard_mesh_lan_gateway": validation.truth,
    "wireguard_mesh_endpoint": validation.endpoint_host,
    "wireguard_mesh_secret": validation.mesh_secret,
    "wireguard_mesh_private_key": validation.private_key,
    "wireguard_mesh_public_key": validation.public_key,
    "wireguard_mesh_key_generation": validation.generation,
    "wireguard_mesh_preshared_keys": validation.truth,
    "wireguard_mesh_accept_published_secrets": validation.truth,
    "ddns_hostname": validation.host_name,
    "ddns_provider": _ddns.provider,
    "ddns_id": validation.secret_text,  # no secret, but an operator may have put the token here
    "ddns_token": validation.secret_text,
    "ddns_state": validation.choice("present", "absent"),
    "tr069_firewall_allow": validation.firewall_allow,
    "ansible_host": validation.connection_address,
}

# The settings of DDNS are judged together, where their configuration is made.
_DDNS = ("hostname", "provider", "id", "token", "ttl", "line", "extra", "endpoint", "ipv6_hostname", "ipv6_networks",
         "providers", "interval")  # fmt: skip
_READERS.update({f"ddns_{key}": lambda value: value for key in _DDNS if f"ddns_{key}" not in _READERS})

# Never quoted, not even as a template.
_UNQUOTED = frozenset(
    {
        "wireguard_mesh_secret",
        "wireguard_mesh_private_key",
        "wireguard_mesh_public_key",
        "ddns_extra",
        "ddns_id",
        "ddns_providers",
        "ddns_token",
    }
)

# Each site's own: a fault of these is told site by site, even when all sites have it.
_PER_SITE = frozenset(
    {
        "ansible_host",
        "ddns_hostname",
        "hostvars",
        "inventory_hostname",
        "tr069_firewall_allow",
        "wireguard_mesh_address",
        "wireguard_mesh_endpoint",
        "wireguard_mesh_lan_subnets",
        "wireguard_mesh_private_key",
        "wireguard_mesh_public_key",
    }
)

# Settings of the mesh rather than of a site, and why they cannot differ.
_SAME_EVERYWHERE = {
    "wireguard_mesh_name": "keys are derived from it",
    "wireguard_mesh_network": "all sites are in one overlay",
    "wireguard_mesh_preshared_keys": "both ends of a tunnel need the same preshared key or none",
    "wireguard_mesh_keepalive": "a site takes a peer for dead by its own keepalive",
    "tr069_networks": "a site takes an address for a peer's only when it is in there",
}

_SET_ONCE = "Set it once for all sites, in group_vars/all"


class _Report:
    """Collects problems and gives them out in one order, whatever the order in which they were found."""

    def __init__(self, sites: list[str]) -> None:
        self._sites = sites
        self._found: dict[tuple[str, str], set[str]] = {}

    def add(self, site: str, variable: str, predicate: str) -> None:
        self._found.setdefault((variable, predicate), set()).add(site)

    def add_for_mesh(self, variable: str, predicate: str) -> None:
        self._found.setdefault((variable, predicate), set()).update(self._sites)

    def problems(self) -> list[dict[str, str | None]]:
        """A shared variable's fault that every site has is one problem, without a site of its own."""
        problems = []
        for (variable, predicate), sites in self._found.items():
            if len(sites) == len(self._sites) != 1 and variable not in _PER_SITE:
                everyone = f"All {len(sites)} sites: " if sites else ""
                problems.append((None, variable, f"{everyone}{variable} {predicate}"))
                continue
            for site in sites:
                problems.append((site, variable, f"{_shown(site)}: {variable} {predicate}"))
        problems.sort(key=lambda problem: (problem[0] or "", problem[1], problem[2]))
        return [{"site": site, "variable": variable, "message": message} for site, variable, message in problems]


def _shown(site: str) -> str:
    return site if site.isascii() and site.isprintable() and "{" not in site else quote(site)


class _Site:
    """One site's variables: values that could be read, the rest reported. A default for what is not given."""

    def __init__(self, name: str, hostvars: Mapping[str, t.Any], report: _Report) -> None:
        self.name = name
        self._report = report
        self._values: dict[str, t.Any] = {}
        self._faulty: set[str] = set()
        self._given: set[str] = set()
        try:
            variables = hostvars[name]
        except Exception:  # noqa: BLE001 - a vars file that cannot be decrypted or parsed; the message may hold its text
            variables = {}
            self.fault("hostvars", "cannot be read. Look at: ansible-inventory --host " + _shown(name))
        for variable, default in DEFAULTS.items():
            value = default
            if variable in variables:
                try:
                    given = _plain(variables[variable])
                except Exception:  # noqa: BLE001 - an error in a template or a vault; its message may hold a secret
                    self.fault(variable, self._unresolved(hostvars, variable))
                    continue
                if given is not None and given != "":
                    value = given
                    self._given.add(variable)
            if value is None or value == "":
                continue
            try:
                self._values[variable] = _READERS[variable](value)
            except Fault as fault:
                self.fault(variable, str(fault))

    def _unresolved(self, hostvars: Mapping[str, t.Any], variable: str) -> str:
        template = ""
        if variable not in _UNQUOTED and hasattr(hostvars, "raw_get"):
            template = next((f" {quote(text)}" for text in _templates(hostvars.raw_get(self.name)[variable])), "")
        return (
            f"has a value{template} that cannot be resolved from this site's own variables. "
            "Name only variables of the inventory in it, and check the vault password."
        )

    def fault(self, variable: str, predicate: str) -> None:
        self._faulty.add(variable)
        self._report.add(self.name, variable, predicate)

    def get(self, variable: str) -> t.Any:
        """The value, or None when it is not given or faulty."""
        return self._values.get(variable)

    def is_faulty(self, variable: str) -> bool:
        return variable in self._faulty

    def gave(self, variable: str) -> bool:
        """Whether the inventory sets the variable, rightly or wrongly."""
        return variable in self._given or variable in self._faulty

    def drop(self, variable: str, predicate: str) -> None:
        """Reports a value that was read, and does not use it any further."""
        self._values.pop(variable, None)
        self.fault(variable, predicate)


class _Unresolved(Exception):
    pass


def _templates(value: t.Any) -> Iterator[str]:
    """The templates in a raw value, vault objects left alone."""
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _templates(item)


def _plain(value: t.Any) -> t.Any:
    """A value without the wrappers of ansible-core, whose containers template on access.

    :raises _Unresolved: something in it is undefined, or a template that an older core left as it was.
    """
    if isinstance(value, Undefined):
        raise _Unresolved
    if isinstance(value, str):
        if next(_templates(value), None):
            raise _Unresolved
        return value
    if validation.is_encrypted(value):
        return to_text(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def build(site_names: Iterable[str], hostvars: Mapping[str, t.Any], group: str = "sites") -> dict[str, t.Any]:
    """Plans the mesh of the named sites. What the plan holds is documented with the filter wireguard_mesh_plan.

    :param site_names: the members of the inventory group, in any order.
    :param hostvars: every site's variables, by name.
    :param group: the group's name, for messages.
    """
    names = sorted({str(name) for name in site_names})
    report = _Report(names)
    sites = [_Site(name, hostvars, report) for name in names]
    warnings: list[str] = []

    if not names:
        report.add_for_mesh(
            "wireguard_mesh_group", f"is {group}, and the inventory has no site in that group. Put the sites into it."
        )
    _check_names(sites, group)
    settings = _settings(sites)
    _check_networks(sites, settings, report)
    _check_addresses(sites, settings["wireguard_mesh_network"])
    _check_lans(sites, settings)
    endpoints = _endpoints(sites, settings, warnings)
    _check_ddns(sites)
    _check_firewall(sites, settings["tr069_networks"])
    keys = _keys(sites, settings, warnings)

    for site in sites:
        if site.get("wireguard_mesh_lan_gateway") and not site.get("wireguard_mesh_lan_subnets"):
            warnings.append(
                f"{_shown(site.name)}: wireguard_mesh_lan_gateway is true, but wireguard_mesh_lan_subnets names no LAN."
            )
    overlay = settings["wireguard_mesh_network"]
    return {
        "group": group,
        "mesh": settings["wireguard_mesh_name"],
        "network": str(overlay) if overlay else None,
        "preshared_keys": bool(settings["wireguard_mesh_preshared_keys"])
        and any(site.gave("wireguard_mesh_secret") for site in sites),
        "sites": {site.name: _public(site, overlay, keys[site.name], endpoints[site.name]) for site in sites},
        "problems": report.problems(),
        "warnings": sorted(warnings),
    }


def _public(
    site: _Site, overlay: IPNetwork | None, key: tuple[str | None, str | None], endpoint: dict[str, t.Any] | None
) -> dict[str, t.Any]:
    """What every other site may know of a site."""
    address = site.get("wireguard_mesh_address")
    lans = [str(lan) for lan in site.get("wireguard_mesh_lan_subnets") or []]
    return {
        "address": str(address) if address else None,
        "addresses": [f"{address}/{overlay.prefixlen}"] if address and overlay else [],
        "allowed_ips": ([str(IPNetwork(address))] if address else []) + lans,
        "endpoint": endpoint,
        "interface": site.get("wireguard_mesh_interface"),
        "keepalive": site.get("wireguard_mesh_keepalive"),
        "key_generation": site.get("wireguard_mesh_key_generation"),
        "key_source": key[0],
        "lan_gateway": site.get("wireguard_mesh_lan_gateway"),
        "lan_subnets": lans,
        "mtu": site.get("wireguard_mesh_mtu"),
        "port": site.get("wireguard_mesh_port"),
        "public_key": key[1],
    }


def _check_names(sites: list[_Site], group: str) -> None:
    folded: dict[str, str] = {}
    for site in sites:
        try:
            validation.site_name(site.name)
        except Fault as fault:
            site.fault("inventory_hostname", str(fault))
        if site.name in (group, "all", "localhost", "ungrouped"):
            site.fault("inventory_hostname", "has a meaning of its own in the inventory. Give the site another name.")
        first = folded.setdefault(site.name.casefold(), site.name)
        if first != site.name:
            site.fault(
                "inventory_hostname", f"differs from {_shown(first)} only by capital letters. Rename one of them."
            )
        own_group = site.get("wireguard_mesh_group")
        if site.gave("wireguard_mesh_group") and own_group not in (None, group):
            site.fault(
                "wireguard_mesh_group", f"is {quote(own_group)}, but the mesh is planned for {group}. {_SET_ONCE}."
            )
        if site.get("wireguard_mesh_interface") and site.get("wireguard_mesh_interface") == site.get("tr069_interface"):
            site.fault("wireguard_mesh_interface", "is also tr069_interface. Write another name, such as wg0.")


def _settings(sites: list[_Site]) -> dict[str, t.Any]:
    """The settings of the whole mesh: what most sites have. The others are told."""
    settings = {}
    for variable, reason in _SAME_EVERYWHERE.items():
        values = {site.name: site.get(variable) for site in sites if site.get(variable) is not None}
        # Lists of networks are not hashable; their text is as good.
        texts = {name: _text(value) for name, value in values.items()}
        count = collections.Counter(texts.values())
        usual = min(count, key=lambda text: (-count[text], text)) if count else None
        settings[variable] = next((value for name, value in values.items() if texts[name] == usual), None)
        for site in sites:
            if texts.get(site.name, usual) != usual:
                site.drop(
                    variable,
                    f"is {texts[site.name]}, but {usual} on {count[usual]} other site(s). It must be the same on "
                    f"every site, because {reason}. {_SET_ONCE}.",
                )
    return settings


def _text(value: t.Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one in other or other in one


def _check_networks(sites: list[_Site], settings: dict[str, t.Any], report: _Report) -> None:
    overlay = settings["wireguard_mesh_network"]
    if overlay is None:
        return
    for underlay in settings["tr069_networks"] or []:
        if _overlap(overlay, underlay):
            report.add_for_mesh(
                "wireguard_mesh_network",
                f"is {overlay}, which overlaps the carrier's network {underlay} (tr069_networks). "
                "Write a private network outside of it, such as 192.168.11.0/24.",
            )
    room = overlay.size - 2
    if len(sites) > room:
        width = overlay.prefixlen + overlay.size.bit_length() - 1
        length = width - (len(sites) + 1).bit_length()
        report.add_for_mesh(
            "wireguard_mesh_network",
            f"is {overlay}, which has room for {room} sites, and there are {len(sites)}. "
            f"Write a network of prefix length /{length} or shorter.",
        )


def _check_addresses(sites: list[_Site], overlay: IPNetwork | None) -> None:
    taken: set[IPAddress] = {site.get("wireguard_mesh_address") for site in sites}
    free = validation.free_addresses(overlay, taken) if overlay else iter(())

    def another(verb: str) -> str:
        address = next(free, None)
        return f"{verb} a free address of {overlay}, such as {address}." if address else f"{verb} a free address."

    owners: dict[IPAddress, str] = {}
    for site in sites:
        address = site.get("wireguard_mesh_address")
        if address is None:
            if not site.gave("wireguard_mesh_address"):
                site.fault("wireguard_mesh_address", f"is missing. {another('Give this site')}")
            continue
        if overlay and address not in overlay:
            site.drop(
                "wireguard_mesh_address",
                f"is {address}, which is outside the overlay {overlay} (wireguard_mesh_network). {another('Write')}",
            )
        elif overlay and address in (overlay.network, overlay.broadcast):
            kind = "network" if address == overlay.network else "broadcast"
            site.drop("wireguard_mesh_address", f"is {address}, the {kind} address of {overlay}. {another('Write')}")
        elif address in owners:
            site.drop(
                "wireguard_mesh_address",
                f"is {address}, which {_shown(owners[address])} already has. {another('Write')}",
            )
        else:
            owners[address] = site.name


def _check_lans(sites: list[_Site], settings: dict[str, t.Any]) -> None:
    overlay = settings["wireguard_mesh_network"]
    lans = [(lan, site) for site in sites for lan in site.get("wireguard_mesh_lan_subnets") or []]
    for lan, site in lans:
        if overlay and _overlap(lan, overlay):
            site.fault(
                "wireguard_mesh_lan_subnets",
                f"holds {lan}, which overlaps the overlay {overlay} (wireguard_mesh_network). "
                "Move the overlay to a network that no site uses.",
            )
        # A LAN within the carrier's range works, routes to it being longer. One that swallows the range does not.
        for underlay in settings["tr069_networks"] or []:
            if underlay in lan:
                site.fault(
                    "wireguard_mesh_lan_subnets",
                    f"holds {lan}, in which the carrier's whole network {underlay} lies (tr069_networks). "
                    "Write the LAN's network only, such as 10.1.2.0/24.",
                )
    # Prefixes are nested or apart, so in this order everything that holds one stands on the stack before it.
    lans.sort(key=lambda entry: (entry[0].first, entry[0].prefixlen, entry[1].name))
    stack: list[tuple[IPNetwork, _Site]] = []
    for lan, site in lans:
        while stack and lan.first > stack[-1][0].last:
            stack.pop()
        if stack:
            other, owner = stack[-1]
            whose = "of this site too" if owner is site else f"behind {_shown(owner.name)}"
            site.fault(
                "wireguard_mesh_lan_subnets",
                f"holds {lan}, which overlaps {other} {whose}. Every LAN of the mesh needs a network of its own: "
                "leave one of the two out, or renumber it.",
            )
        stack.append((lan, site))


def _endpoints(
    sites: list[_Site], settings: dict[str, t.Any], warnings: list[str]
) -> dict[str, dict[str, t.Any] | None]:
    endpoints: dict[str, dict[str, t.Any] | None] = {}
    names: dict[str, str] = {}
    owners: dict[tuple[str, int | None], str] = {}
    unknown = []
    for site in sites:
        name = site.get("ddns_hostname")
        twice = name is not None and names.setdefault(name, site.name) != site.name
        if twice:
            site.fault(
                "ddns_hostname", f"is {name}, which {_shown(names[name])} already has. Give each site its own name."
            )
        host = site.get("wireguard_mesh_endpoint")
        underlay = settings["tr069_networks"]
        if host and _is_address(host) and underlay and not any(host in item for item in underlay):
            site.fault(
                "wireguard_mesh_endpoint",
                f"is {host}, which is outside the carrier's network {_text(underlay)} (tr069_networks). "
                "Write the site's underlay address, or leave it out and use ddns_hostname.",
            )
        port = site.get("wireguard_mesh_port")
        if host or name:
            owner = owners.setdefault((host or name, port), site.name)
            if owner != site.name and not (twice and not host):
                site.fault(
                    "wireguard_mesh_endpoint",
                    f"is {host or name}, where {_shown(owner)} is already found. Write this site's own address or name.",
                )
        elif not site.gave("wireguard_mesh_endpoint") and not site.gave("ddns_hostname"):
            unknown.append(site)
        endpoints[site.name] = {"host": host or name, "port": port} if host or name else None
    if len(unknown) > 1:
        for site in unknown:
            site.fault(
                "ddns_hostname",
                f"is missing, and so it is on {len(unknown) - 1} other site(s): two sites without a name never find "
                "each other. Write a name such as shenzhen.example.com.",
            )
    elif unknown and len(sites) > 1:
        warnings.append(
            f"{_shown(unknown[0].name)}: neither ddns_hostname nor wireguard_mesh_endpoint is set, so the others wait "
            "until this site finds them."
        )
    return endpoints


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _check_ddns(sites: list[_Site]) -> None:
    for site in sites:
        _refuse_published(site, "ddns_token")
        if site.get("ddns_state") == "absent":
            continue
        given = {key: site.get(f"ddns_{key}") for key in _DDNS}
        options = {key: DEFAULTS[f"ddns_{key}"] if value is None else value for key, value in given.items()}
        options.update(ca_file="", interface="eth1", ipv6_interface="eth0", networks=DEFAULTS["tr069_networks"])
        for key in ("hostname", "ipv6_hostname"):  # a name that cannot be read is one: its account is judged too
            if site.is_faulty(f"ddns_{key}"):
                options[key] = "?"
        if not (options["hostname"] or options["ipv6_hostname"] or options["providers"]):
            continue
        problems = _ddns.settings(options)["problems"]
        # What could not even be read was told already.
        for variable, predicate in [problem for problem in problems if not site.is_faulty(problem[0])]:
            site.fault(variable, predicate)


def _check_firewall(sites: list[_Site], underlay: list[IPNetwork] | None) -> None:
    for site in sites:
        for entry in site.get("tr069_firewall_allow") or []:
            for source in entry["sources"] or []:
                if underlay and not any(source in item for item in underlay):
                    site.fault(
                        "tr069_firewall_allow",
                        f"lets in {source}, which is outside the carrier's network {_text(underlay)} (tr069_networks) and "
                        "never arrives there. Write a part of the carrier's network, or leave sources out.",
                    )
            if entry["protocol"] == "udp" and str(site.get("wireguard_mesh_port")) in entry["ports"]:
                site.fault(
                    "tr069_firewall_allow",
                    f"holds UDP port {site.get('wireguard_mesh_port')}, which is WireGuard's (wireguard_mesh_port) and let "
                    "in anyway. Leave the entry out.",
                )


def _refuse_published(site: _Site, variable: str) -> None:
    secret = site.get(variable)
    try:
        if secret is not None:
            validation.refuse_published(secret, bool(site.get("wireguard_mesh_accept_published_secrets")))
    except Fault as fault:
        site.fault(variable, str(fault))


def _keys(
    sites: list[_Site], settings: dict[str, t.Any], warnings: list[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Each site's key source and public key."""
    _check_secrets(sites, bool(settings["wireguard_mesh_preshared_keys"]), warnings)
    derivers: dict[str, MeshKeys] = {}
    owners: dict[str, str] = {}
    keys = {}
    for site in sites:
        _refuse_published(site, "wireguard_mesh_private_key")
        source, key = _key(site, settings["wireguard_mesh_name"], derivers)
        if key is not None:
            owner = owners.setdefault(key, site.name)
            if owner != site.name:
                site.fault(
                    f"wireguard_mesh_{source}", f"is the key that {_shown(owner)} already has. Give each site its own."
                )
        keys[site.name] = (source, key)
    return keys


def _key(site: _Site, mesh: str | None, derivers: dict[str, MeshKeys]) -> tuple[str | None, str | None]:
    given = site.get("wireguard_mesh_public_key")
    if site.gave("wireguard_mesh_private_key"):
        private = site.get("wireguard_mesh_private_key")
        key = public_key(private) if private else None
        if key and given and given != key:
            site.fault(
                "wireguard_mesh_public_key",
                "does not belong to wireguard_mesh_private_key. Leave it out: it follows from the private key.",
            )
        return "private_key", key
    if site.gave("wireguard_mesh_public_key"):
        return "public_key", given
    if not site.gave("wireguard_mesh_secret"):
        site.fault(
            "wireguard_mesh_secret",
            "is missing, and so are wireguard_mesh_private_key and wireguard_mesh_public_key: the site has no key. "
            "Write one secret for all sites, in a vaulted file in group_vars/all.",
        )
        return None, None
    secret = site.get("wireguard_mesh_secret")
    generation = site.get("wireguard_mesh_key_generation")
    if not (secret and mesh and generation):
        return "secret", None
    deriver = derivers.get(secret)
    if deriver is None:
        deriver = derivers[secret] = MeshKeys(secret, mesh)
    return "secret", public_key(deriver.private_key(site.name, generation))


def _check_secrets(sites: list[_Site], preshared_keys: bool, warnings: list[str]) -> None:
    """One mesh has one secret, and preshared keys need it on every site."""
    with_secret = [site for site in sites if site.gave("wireguard_mesh_secret")]
    digests = {
        site.name: hashlib.sha256(site.get("wireguard_mesh_secret").encode("utf-8", "surrogatepass")).digest()
        for site in with_secret
        if site.get("wireguard_mesh_secret")
    }
    count = collections.Counter(digests[site.name] for site in sites if site.name in digests)
    usual = max(count, key=lambda digest: count[digest]) if count else None  # of equals, the first site's
    for site in with_secret:
        _refuse_published(site, "wireguard_mesh_secret")
        if digests.get(site.name, usual) != usual:
            site.fault(
                "wireguard_mesh_secret",
                f"is not the secret that {count[usual]} other site(s) have. A mesh has one secret. {_SET_ONCE}.",
            )
    if not preshared_keys:
        return
    if not with_secret and sites:
        warnings.append(
            "No site has wireguard_mesh_secret, so the mesh runs without preshared keys. Set it, or say so with "
            "wireguard_mesh_preshared_keys: false."
        )
    for site in sites:
        own_key = site.gave("wireguard_mesh_private_key") or site.gave("wireguard_mesh_public_key")
        if with_secret and own_key and not site.gave("wireguard_mesh_secret"):
            site.fault(
                "wireguard_mesh_secret",
                f"is missing, but {len(with_secret)} other site(s) have it, and preshared keys need it on every site. "
                f"{_SET_ONCE} (vaulted), or switch wireguard_mesh_preshared_keys off for all.",
            )


def peers(plan: Mapping[str, t.Any], site: str, secret: str | None = None) -> list[dict[str, t.Any]]:
    """The other sites as a site's WireGuard peers, sorted by name.

    :param plan: a plan of :func:`build` without problems that holds the site.
    :param secret: the mesh secret; given, and the plan wanting preshared keys, each peer has its ``preshared_key``.
    """
    sites = plan["sites"]
    found = []
    for name in sorted(sites):
        if name != site:
            entry = sites[name]
            found.append(
                {
                    "name": name,
                    "address": entry["address"],
                    "public_key": entry["public_key"],
                    "allowed_ips": entry["allowed_ips"],
                    "endpoint": entry["endpoint"],
                }
            )
    if secret is not None and plan["preshared_keys"]:
        keys = MeshKeys(secret, plan["mesh"]).preshared_keys(
            (site, sites[site]["key_generation"]),
            [(peer["name"], sites[peer["name"]]["key_generation"]) for peer in found],
        )
        for peer, key in zip(found, keys, strict=True):
            peer["preshared_key"] = key
    return found
