# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a mesh: every site's public part, and every fault of the inventory, from all sites' variables.

Bad data never raises here: each fault becomes a problem, so that an operator reads all of them at once.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns, _specs
from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys, public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPAddress, IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import (
    addresses,
    external,
    firewall,
    hosts,
    names,
    networks,
    numbers,
    secrets,
    text,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, quote
from jinja2 import Undefined

# Role defaults of other hosts are not in hostvars, so the plan has its own. They equal meta/argument_specs.yml;
# None and "" stand for "not given".
DEFAULTS: dict[str, t.Any] = {
    "tr069_interface": "eth1",
    "tr069_networks": ["10.0.0.0/7"],
    "tr069_table": 305,
    "tr069_fwmark": "0x131",
    "tr069_rule_priority": 305,
    "tr069_gateway_source": "first_host",
    "tr069_gateway_state": "present",
    "wireguard_mesh_group": "sites",
    "wireguard_mesh_state": "present",
    "wireguard_mesh_name": "sitelink",
    "wireguard_mesh_network": "192.168.11.0/24",
    "wireguard_mesh_network6": "",
    "wireguard_mesh_address": None,
    "wireguard_mesh_address6": "",
    "wireguard_mesh_interface": "wg0",
    "wireguard_mesh_port": 22000,
    "wireguard_mesh_mtu": None,
    "wireguard_mesh_underlay_mtu": 1500,
    "wireguard_mesh_keepalive": 25,
    "wireguard_mesh_lan_subnets": [],
    "wireguard_mesh_lan_gateway": False,
    "wireguard_mesh_peers_only": [],
    "wireguard_mesh_external_peers": [],
    "wireguard_mesh_external_endpoint": "",
    "wireguard_mesh_uplink": "eth0",
    "wireguard_mesh_exits": [],
    "wireguard_mesh_exit_when": "never",
    "wireguard_mesh_exit_for": [],
    "wireguard_mesh_exit_targets": ["223.5.5.5", "119.29.29.29", "180.76.76.76"],
    "wireguard_mesh_exit_resolvers": ["223.5.5.5", "119.29.29.29"],
    "wireguard_mesh_exit_return_after": 20,
    "wireguard_mesh_exit_table": 306,
    "wireguard_mesh_exit_rule_priority": 306,
    "wireguard_mesh_endpoint": "",
    "wireguard_mesh_endpoint_seeds": [],
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
    "tr069_firewall_state": "present",
    "ddns_ttl": 0,
    "ddns_line": "",
    "ddns_extra": {},
    "ddns_endpoint": "",
    "ddns_ipv6_hostname": "",
    "ddns_ipv6_networks": ["2000::/3"],
    "ddns_providers": [],
    "ddns_interval": 30,
    "ddns_publish_for": [],
    "ansible_host": "",
}

# Bytes that WireGuard adds to a packet when the underlay speaks IPv6; 20 fewer on IPv4, which the underlay speaks.
OVERHEAD = 80
OVERHEAD_IPV4 = 60

# The UDP port on which the daemons of the sites talk to each other inside the mesh (sitelink/tell.py).
DAEMON_PORT = 22069

# What is never the internet (RFC 6890): no exit forwards a packet to there.
_INSIDE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3",
)  # fmt: skip

# A site that is planned or absent is in nobody's files, and nothing else of it is read.
STATES = ("present", "planned", "absent")

_READERS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "tr069_interface": names.interface,
    "tr069_networks": networks.underlay_networks,
    "tr069_table": numbers.routing_table,
    "tr069_fwmark": numbers.mark,
    "tr069_rule_priority": numbers.integer(1, 32765),  # 0, 32766 and 32767 are the kernel's own
    "tr069_gateway_source": addresses.gateway_source,
    "tr069_gateway_state": text.choice("present", "absent"),
    "wireguard_mesh_group": str,
    "wireguard_mesh_state": lambda value: value,  # read first, see _states
    "wireguard_mesh_name": names.mesh_name,
    "wireguard_mesh_network": networks.overlay_network,
    "wireguard_mesh_network6": networks.overlay_network6,
    "wireguard_mesh_address": addresses.address,
    "wireguard_mesh_address6": addresses.address6,
    "wireguard_mesh_interface": names.interface,
    "wireguard_mesh_port": numbers.integer(1, 65535),
    "wireguard_mesh_mtu": numbers.integer(1280, 9000),  # IPv6 needs 1280; jumbo frames end near 9000
    "wireguard_mesh_underlay_mtu": numbers.integer(1280 + OVERHEAD, 9000 + OVERHEAD),
    "wireguard_mesh_keepalive": numbers.integer(1, 65535),  # 16 bits in wg(8); 0 would hide a dead peer
    "wireguard_mesh_lan_subnets": networks.lan_subnets,
    "wireguard_mesh_lan_gateway": text.truth,
    "wireguard_mesh_peers_only": names.site_names,
    "wireguard_mesh_external_peers": external.external_peers,
    "wireguard_mesh_external_endpoint": hosts.endpoint,
    "wireguard_mesh_uplink": names.interface,
    "wireguard_mesh_exits": names.site_names,
    "wireguard_mesh_exit_when": text.choice("never", "broadband_down", "always"),
    "wireguard_mesh_exit_for": names.site_names,
    "wireguard_mesh_exit_targets": addresses.addresses,
    "wireguard_mesh_exit_resolvers": addresses.addresses,
    "wireguard_mesh_exit_return_after": numbers.integer(5, 3600),
    "wireguard_mesh_exit_table": numbers.routing_table,
    # Behind the underlay's own, with the next number free as well.
    "wireguard_mesh_exit_rule_priority": numbers.integer(2, 32764),
    "wireguard_mesh_endpoint": hosts.endpoint_host,
    "wireguard_mesh_endpoint_seeds": addresses.addresses,
    "wireguard_mesh_secret": secrets.mesh_secret,
    "wireguard_mesh_private_key": secrets.private_key,
    "wireguard_mesh_public_key": secrets.public_key,
    "wireguard_mesh_key_generation": numbers.generation,
    "wireguard_mesh_preshared_keys": text.truth,
    "wireguard_mesh_accept_published_secrets": text.truth,
    "ddns_hostname": hosts.host_name,
    "ddns_provider": _ddns.provider,
    "ddns_id": secrets.credential,  # no secret, but an operator may have put the token here
    "ddns_token": secrets.credential,
    "ddns_state": text.choice("present", "absent"),
    "ddns_publish_for": names.site_names,
    "tr069_firewall_allow": firewall.firewall_allow,
    "tr069_firewall_state": text.choice("present", "absent"),
    "ansible_host": hosts.connection_address,
}

# The settings of DDNS are judged together, where their configuration is made.
_DDNS = ("hostname", "provider", "id", "token", "ttl", "line", "extra", "endpoint", "ipv6_hostname", "ipv6_networks",
         "providers", "interval")  # fmt: skip
_READERS.update({f"ddns_{key}": lambda value: value for key in _DDNS if f"ddns_{key}" not in _READERS})

# Options of single roles that no other site's plan needs. What is not here is read as its role's definition says.
_ROLE_READERS: dict[str, t.Callable[[t.Any], t.Any]] = {
    **dict.fromkeys(
        ("ddns_interface", "ddns_ipv6_interface", "nic_dhcp_interface", "tr069_firewall_interface", "tr069_gateway_interface",
         "wireguard_mesh_underlay_interface"),
        names.interface,
    ),
    **dict.fromkeys(
        ("ddns_networks", "nic_dhcp_networks", "tr069_firewall_networks", "tr069_gateway_networks",
         "wireguard_mesh_underlay_networks"),
        networks.underlay_networks,
    ),
    **dict.fromkeys(("tr069_firewall_fwmark", "tr069_gateway_fwmark", "wireguard_mesh_fwmark"), numbers.mark),
    "tr069_gateway_table": numbers.routing_table,
    "tr069_gateway_rule_priority": numbers.integer(1, 32765),
    "nic_dhcp_mtu": numbers.integer(576, 9216),
    "nic_dhcp_vlan_id": numbers.integer(0, 4094),
    "nic_dhcp_vlan_priority": numbers.integer(0, 7),
    "nic_dhcp_vlan_parent": names.interface,
    "nic_dhcp_revert_after": numbers.integer(30, 3600),
    "nic_dhcp_lease_timeout": numbers.integer(1, 3600),
    # These four as nic_dhcp itself checks them, where it is used alone.
    "nic_dhcp_mac": text.matching(
        "[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}", "the MAC address of one NIC, such as '02:69:01:02:03:04'"
    ),
    "nic_dhcp_client_id": text.matching(
        "mac|([0-9a-fA-F]{2}:){1,47}[0-9a-fA-F]{2}", "mac, or 2 to 48 bytes in hexadecimal such as '01:02:69:01:02:03:04'"
    ),
    "nic_dhcp_vendor_class": text.matching("[A-Za-z0-9][A-Za-z0-9 ._:/+-]*", "letters, digits, blanks and ._:/+-"),
    "nic_dhcp_hostname": text.matching(
        "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", "one name of letters, digits and hyphens, without a domain"
    ),
    "site_agent_python": text.program,
    "ddns_client_python": text.program,
    "tr069_gateway_further_interfaces": names.interfaces,
    "watch_command": text.command,
    "watch_interval": numbers.integer(5, 86400),
    "watch_textfile": text.matching(
        "/[!-~]+[.]prom", "an absolute path that ends in .prom, such as /var/lib/prometheus/node-exporter/sitelink.prom"
    ),
}  # fmt: skip

# What the playbooks themselves read. Ansible ends with a traceback at a serial that is none.
_PLAYBOOKS: dict[str, t.Callable[[t.Any], t.Any]] = {"sitelink_serial": text.serial}

# Each site's own: a fault of these is told site by site, even when all sites have it.
_PER_SITE = frozenset(
    {
        "ansible_host",
        "ddns_hostname",
        "hostvars",
        "inventory_hostname",
        "tr069_firewall_allow",
        "tr069_gateway_source",
        "wireguard_mesh_address",
        "wireguard_mesh_address6",
        "wireguard_mesh_endpoint",
        "wireguard_mesh_endpoint_seeds",
        "wireguard_mesh_exit_for",
        "wireguard_mesh_exits",
        "wireguard_mesh_external_endpoint",
        "wireguard_mesh_lan_subnets",
        "wireguard_mesh_peers_only",
        "wireguard_mesh_private_key",
        "wireguard_mesh_public_key",
    }
)

# Settings of the mesh rather than of a site, and why they cannot differ.
_SAME_EVERYWHERE = {
    "wireguard_mesh_name": "keys are derived from it",
    "wireguard_mesh_network": "all sites are in one overlay",
    "wireguard_mesh_network6": "all sites are in one overlay",
    "wireguard_mesh_preshared_keys": "both ends of a tunnel need the same preshared key or none",
    "wireguard_mesh_keepalive": "a site takes a peer for dead by its own keepalive",
    "tr069_networks": "a site takes an address for a peer's only when it is in there",
}

# Options of single roles that follow from a shared one. A role of its own NIC would leave that one open, or without a way out.
_SHARED = {
    "tr069_interface": (
        "nic_dhcp_interface", "tr069_firewall_interface", "tr069_gateway_interface", "wireguard_mesh_underlay_interface",
    ),
    "tr069_networks": (
        "nic_dhcp_networks", "tr069_firewall_networks", "tr069_gateway_networks", "wireguard_mesh_underlay_networks",
    ),
    "tr069_fwmark": ("tr069_firewall_fwmark", "tr069_gateway_fwmark", "wireguard_mesh_fwmark"),
    "tr069_table": ("tr069_gateway_table",),
    "tr069_rule_priority": ("tr069_gateway_rule_priority",),
}  # fmt: skip

_OPTIONS = "All names: docs/en/options.md."

_SET_ONCE = "Set it once for all sites, in group_vars/all"


@functools.cache
def known_variables() -> frozenset[str]:
    return frozenset({*DEFAULTS, *_PLAYBOOKS, *_specs.options()})


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
        problems: list[tuple[str | None, str, str]] = []
        # What such a site seems to lack may well stand in the file that could not be read.
        unread = {
            site for (variable, _predicate), sites in self._found.items() if variable == "hostvars" for site in sites
        }
        for (variable, predicate), found in self._found.items():
            sites = [site for site in found if variable == "hostvars" or site not in unread]
            if found and not sites:
                continue
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

    def __init__(
        self, name: str, hostvars: Mapping[str, t.Any], variables: Mapping[str, t.Any] | None, report: _Report
    ) -> None:
        """
        :param variables: the site's own of hostvars; None when they cannot be read, because a file of them cannot be
            decrypted or parsed. The message of that error may hold its text.
        """
        self.name = name
        self._report = report
        self._values: dict[str, t.Any] = {}
        self._faulty: set[str] = set()
        self._given: set[str] = set()
        if variables is None:
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

        for variable in (*_specs.options(), *_PLAYBOOKS):
            if variable in DEFAULTS or variable not in variables:
                continue
            try:
                given = _plain(variables[variable])
            except Exception:  # noqa: BLE001 - as above
                self.fault(variable, self._unresolved(hostvars, variable))
                continue
            if given is None or given == "":
                continue
            self._given.add(variable)
            try:
                read = _PLAYBOOKS.get(variable) or _ROLE_READERS.get(variable) or _specs.reader(variable)
                self._values[variable] = read(given)
            except Fault as fault:
                self.fault(variable, str(fault))

        self.way = _way(variables)
        for variable in variables:
            if not isinstance(variable, str) or variable in known_variables():
                continue
            ours = _specs.is_ours(variable)
            meant = _specs.meant(variable, known_variables(), not ours)
            # What is no name of ours beside the right one may be the operator's.
            if not (ours or (meant and not self.gave(meant))) or variable in self._named(hostvars):
                continue
            if meant:
                self.fault(variable, f"is not known to sitelink.tr069. Write {meant}, if that is meant.")
            else:
                self.fault(
                    variable, f"is not known to sitelink.tr069. Correct the name, or leave the line out. {_OPTIONS}"
                )

    def _named(self, hostvars: Mapping[str, t.Any]) -> set[str]:
        """The words of the site's templates: a variable that one names is the operator's own, whatever it looks like."""
        if not hasattr(hostvars, "raw_get"):
            return set()
        raw = hostvars.raw_get(self.name)
        values = [raw[variable] for variable in raw if variable in known_variables() or _specs.is_ours(variable)]
        return set(re.findall(r"\w+", " ".join(text for value in values for text in _templates(value))))

    def _unresolved(self, hostvars: Mapping[str, t.Any], variable: str) -> str:
        template = ""
        if variable not in _specs.SECRET and hasattr(hostvars, "raw_get"):
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


# What makes two connections to one address lead to two machines: a port of a router, a jump server's user, another way there.
_WAYS = (
    "ansible_connection", "ansible_user", "ansible_ssh_user", "ansible_port", "ansible_ssh_port", "ansible_ssh_args",
    "ansible_ssh_common_args", "ansible_ssh_extra_args",
)  # fmt: skip


def _way(variables: Mapping[str, t.Any]) -> tuple[str, ...] | None:
    """How Ansible goes to a site besides its address; None where that cannot be told, or where it goes nowhere."""
    try:
        way = tuple(to_text(_plain(variables[name])) if name in variables else "" for name in _WAYS)
    except Exception:  # noqa: BLE001 - an error in a template; Ansible itself tells it
        return None
    return None if way[0] in ("local", "ansible.builtin.local") else way


class _Unresolved(Exception):
    pass


def _templates(value: t.Any) -> Iterator[str]:
    """The templates in a raw value, vault objects left alone."""
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping):
        yield from _templates(list(value.values()))
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
    if secrets.is_encrypted(value):
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
    variables = {name: _variables(hostvars, name) for name in sorted({str(name) for name in site_names})}
    states, unknown = _states(variables)
    names = [name for name, state in states.items() if state == "present"]
    report = _Report(names)
    for name, predicate in unknown.items():
        report.add(name, "wireguard_mesh_state", predicate)
    sites = [_Site(name, hostvars, variables[name], report) for name in names]
    warnings: list[str] = []

    if not states:
        report.add_for_mesh(
            "wireguard_mesh_group", f"is {group}, and the inventory has no site in that group. Put the sites into it."
        )
    _check_names(sites, group)
    settings = _settings(sites)
    _check_networks(sites, settings, report)
    _check_addresses(sites, settings["wireguard_mesh_network"])
    _check_connections(sites, settings["wireguard_mesh_network"])
    _check_same_host(sites)
    addresses6 = _addresses6(sites, settings, report)
    _check_lans(sites, settings)
    endpoints = _endpoints(sites, settings, warnings)
    _check_ddns(sites)
    _check_publish_for(sites, states, group)
    _check_firewall(sites, settings["tr069_networks"])
    _check_ports_and_mtus(sites)
    _check_interfaces(sites)
    _check_peers_only(sites, states)
    keys = _keys(sites, settings, warnings)
    external = _external_peers(sites, states, settings, keys, addresses6)
    _check_exits(sites, states, settings)

    for site in sites:
        lans_are_missing = not site.get("wireguard_mesh_lan_subnets") and not site.is_faulty(
            "wireguard_mesh_lan_subnets"
        )
        if site.get("wireguard_mesh_lan_gateway") and lans_are_missing:
            warnings.append(
                f"{_shown(site.name)}: wireguard_mesh_lan_gateway is true, but wireguard_mesh_lan_subnets names no LAN."
            )
    overlay, overlay6 = settings["wireguard_mesh_network"], settings["wireguard_mesh_network6"]
    return {
        "group": group,
        "mesh": settings["wireguard_mesh_name"],
        "network": str(overlay) if overlay else None,
        "network6": str(overlay6) if overlay6 else None,
        "preshared_keys": bool(settings["wireguard_mesh_preshared_keys"])
        and any(site.gave("wireguard_mesh_secret") for site in sites),
        "sites": {
            site.name: _public(
                site, overlay, overlay6, addresses6.get(site.name), keys[site.name], endpoints[site.name]
            )
            for site in sites
        },
        "external_peers": external,
        "inside": [str(item) for item in _inside(sites, settings)],
        "states": states,
        "problems": report.problems(),
        "warnings": sorted(warnings),
    }


def _public(
    site: _Site,
    overlay: IPNetwork | None,
    overlay6: IPNetwork | None,
    address6: IPAddress | None,
    key: tuple[str | None, str | None],
    endpoint: dict[str, t.Any] | None,
) -> dict[str, t.Any]:
    """What every other site may know of a site."""
    address = site.get("wireguard_mesh_address")
    lans = [str(lan) for lan in site.get("wireguard_mesh_lan_subnets") or []]
    return {
        "address": str(address) if address else None,
        "address6": str(address6) if address6 else None,
        "addresses": ([f"{address}/{overlay.prefixlen}"] if address and overlay else [])
        + ([f"{address6}/{overlay6.prefixlen}"] if address6 and overlay6 else []),
        "allowed_ips": [str(IPNetwork(item)) for item in (address, address6) if item] + lans,
        "endpoint": endpoint,
        "exit": _exit(site),
        "exit_for": sorted(set(site.get("wireguard_mesh_exit_for") or [])),
        "external_endpoint": site.get("wireguard_mesh_external_endpoint"),
        "firewall_allow": [
            {**entry, "sources": [str(source) for source in entry["sources"] or []]}
            for entry in site.get("tr069_firewall_allow") or []
        ],
        "endpoint_seeds": [
            {"host": str(seed), "port": site.get("wireguard_mesh_port")}
            for seed in site.get("wireguard_mesh_endpoint_seeds") or []
        ],
        "interface": site.get("wireguard_mesh_interface"),
        "keepalive": site.get("wireguard_mesh_keepalive"),
        "key_generation": site.get("wireguard_mesh_key_generation"),
        "key_source": key[0],
        "lan_gateway": site.get("wireguard_mesh_lan_gateway"),
        "lan_subnets": lans,
        "mtu": site.get("wireguard_mesh_mtu") or (site.get("wireguard_mesh_underlay_mtu") or 1500) - OVERHEAD,
        "peers_only": sorted(set(site.get("wireguard_mesh_peers_only") or [])),
        "port": site.get("wireguard_mesh_port"),
        "public_key": key[1],
        "uplink": site.get("wireguard_mesh_uplink"),
    }


def _exit(site: _Site) -> dict[str, t.Any] | None:
    """What a site needs to use the internet of others, or None where it never does."""
    when = site.get("wireguard_mesh_exit_when")
    if when not in ("broadband_down", "always"):
        return None
    return {
        "when": when,
        "sites": list(dict.fromkeys(site.get("wireguard_mesh_exits") or [])),
        "targets": [str(item) for item in site.get("wireguard_mesh_exit_targets") or []],
        "resolvers": [str(item) for item in site.get("wireguard_mesh_exit_resolvers") or []],
        "return_after": site.get("wireguard_mesh_exit_return_after"),
        "table": site.get("wireguard_mesh_exit_table"),
        "priority": site.get("wireguard_mesh_exit_rule_priority"),
    }


def _variables(hostvars: Mapping[str, t.Any], name: str) -> Mapping[str, t.Any] | None:
    try:
        return hostvars[name]
    except Exception:  # noqa: BLE001 - see _Site
        return None


def _states(variables: Mapping[str, Mapping[str, t.Any] | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Every site's state, and what is wrong with those that cannot be read; such a site is taken for present."""
    read = text.choice(*STATES)
    states, unknown = {}, {}
    for name, given in variables.items():
        states[name] = "present"
        try:
            value = _plain(given["wireguard_mesh_state"]) if given and "wireguard_mesh_state" in given else None
        except Exception:  # noqa: BLE001 - an error in a template or a vault; told when the site is read
            value = None
        if value is None or value == "":
            continue
        try:
            states[name] = read(value)
        except Fault as fault:
            unknown[name] = str(fault)
    return states, unknown


def _check_ports_and_mtus(sites: list[_Site]) -> None:
    for site in sites:
        if site.get("wireguard_mesh_port") == DAEMON_PORT:
            site.fault(
                "wireguard_mesh_port",
                f"is {DAEMON_PORT}, on which the sites talk to each other inside the mesh. Write another, such as 22000.",
            )
        mtu, underlay = site.get("wireguard_mesh_mtu"), site.get("wireguard_mesh_underlay_mtu")
        if mtu and underlay and mtu > underlay - OVERHEAD_IPV4:
            site.fault(
                "wireguard_mesh_mtu",
                f"is {mtu}, which does not fit into the underlay's {underlay} (wireguard_mesh_underlay_mtu). Leave it "
                f"out: {underlay - OVERHEAD} follows from the underlay's.",
            )


def _check_interfaces(sites: list[_Site]) -> None:
    """What the roles have to agree about, and one NIC that would be two things."""
    for site in sites:
        for shared, options in _SHARED.items():
            value = site.get(shared)
            for option in options:
                own = site.get(option)
                if value is not None and own is not None and own != value:
                    site.fault(
                        option,
                        f"is {_text(own)}, but the other roles go by {_text(value)} ({shared}). Leave this out, and write {shared} "
                        "as it shall be for all of them.",
                    )
        mesh, nic = site.get("wireguard_mesh_interface"), site.get("tr069_interface")
        if mesh is not None and mesh == nic:
            if site.gave("wireguard_mesh_interface") or not site.gave("tr069_interface"):
                site.fault("wireguard_mesh_interface", "is also tr069_interface. Write another name, such as wg0.")
            else:
                site.fault(
                    "tr069_interface",
                    f"is {nic}, which is WireGuard's own interface (wireguard_mesh_interface). Write the NIC that is plugged into the "
                    "ONT, such as eth1.",
                )
        for further in site.get("tr069_gateway_further_interfaces") or []:
            if further in (mesh, nic):
                what = "wireguard_mesh_interface" if further == mesh else "tr069_interface"
                site.fault(
                    "tr069_gateway_further_interfaces", f"holds {further}, which is {what}. Leave it out of the list."
                )
        vlan, parent = site.get("nic_dhcp_vlan_id"), site.get("nic_dhcp_vlan_parent")
        faulty = site.is_faulty("nic_dhcp_vlan_id") or site.is_faulty("nic_dhcp_vlan_parent")
        if not faulty and bool(vlan) != bool(parent):
            given, missing = ("id", "parent") if vlan else ("parent", "id")
            site.fault(
                f"nic_dhcp_vlan_{given}",
                f"is set, but nic_dhcp_vlan_{missing} is not. Write both, or leave both out for an untagged port.",
            )
        elif parent and parent == nic:
            site.fault(
                "nic_dhcp_vlan_parent",
                f"is {parent}, and so is tr069_interface. Write the NIC that is plugged into the ONT here, and a name of its own, such as "
                f"vlan{vlan}, into tr069_interface.",
            )


def _check_peers_only(sites: list[_Site], states: dict[str, str]) -> None:
    wanted = {site.name: site.get("wireguard_mesh_peers_only") or [] for site in sites}
    for site in sites:
        for name in wanted[site.name]:
            if name == site.name or name not in states:
                what = "the site itself" if name == site.name else "no site of the inventory"
                site.fault(
                    "wireguard_mesh_peers_only",
                    f"names {quote(name)}, which is {what}. Write the names of the sites that this one talks to.",
                )
            elif wanted.get(name) and site.name not in wanted[name]:
                site.fault(
                    "wireguard_mesh_peers_only",
                    f"names {_shown(name)}, whose own wireguard_mesh_peers_only does not name this site. Write each of the "
                    "two into the other's, or leave it out here.",
                )


def _inside(sites: list[_Site], settings: dict[str, t.Any]) -> list[IPNetwork]:
    """The networks that are never the internet: what nobody's is, the carrier's, the overlay, and every LAN."""
    overlay = settings["wireguard_mesh_network"]
    found = (
        {IPNetwork(item) for item in _INSIDE}
        | {*(settings["tr069_networks"] or [])}
        | ({overlay} if overlay else set())
    )
    for site in sites:
        found.update(site.get("wireguard_mesh_lan_subnets") or [])
        for entry in site.get("wireguard_mesh_external_peers") or []:
            found.update(entry["lan_subnets"])
    return sorted(found)


def _check_exits(sites: list[_Site], states: dict[str, str], settings: dict[str, t.Any]) -> None:
    """Internet through another site: both ends want it, and can do it."""
    known = {site.name: site for site in sites}
    underlay = [*map(IPNetwork, _INSIDE), *(settings["tr069_networks"] or [])]
    # What this site names, and what the other has to say for it.
    ends = (("wireguard_mesh_exits", "wireguard_mesh_exit_for"), ("wireguard_mesh_exit_for", "wireguard_mesh_exits"))
    for site in sites:
        for variable, other_variable in ends:
            for name in dict.fromkeys(site.get(variable) or []):
                if name in states and name not in known:  # planned or absent
                    continue
                if name not in known or name == site.name:
                    what = "the site itself" if name == site.name else "no site of the inventory"
                    others = [other for other in known if other != site.name]
                    site.fault(variable, f"names {quote(name)}, which is {what}. {_known(others)}")
                    continue
                other = known[name]
                lists = [item.get("wireguard_mesh_peers_only") or [] for item in (site, other)]
                if (lists[0] and name not in lists[0]) or (lists[1] and site.name not in lists[1]):
                    site.fault(
                        variable,
                        f"names {_shown(name)}, with which this site has no tunnel (wireguard_mesh_peers_only). Add each of "
                        "the two to the other's wireguard_mesh_peers_only, or leave it out here.",
                    )
                elif site.name not in (other.get(other_variable) or []) and not other.is_faulty(other_variable):
                    site.fault(
                        variable,
                        f"names {_shown(name)}, whose {other_variable} does not name this site. Both sides have to want it: "
                        f"write {_shown(site.name)} into {other_variable} of {_shown(name)}, or leave it out here.",
                    )
        when = site.get("wireguard_mesh_exit_when")
        if site.get("wireguard_mesh_exit_for"):
            _check_exit(site, when)
        if when in ("broadband_down", "always"):
            _check_exit_use(site, when, underlay)


def _check_exit(site: _Site, when: str) -> None:
    if site.get("tr069_firewall_state") == "absent":
        site.fault(
            "wireguard_mesh_exit_for",
            "is set, but tr069_firewall_state is absent: nothing would keep the others' packets to the internet alone. Write "
            "present there, or leave this out.",
        )
    if when == "always":
        site.fault(
            "wireguard_mesh_exit_when",
            "is always, but others use this site's own broadband (wireguard_mesh_exit_for). Write broadband_down, or empty "
            "wireguard_mesh_exit_for.",
        )
    _check_uplink(site)


def _check_uplink(site: _Site) -> None:
    for variable in ("tr069_interface", "wireguard_mesh_interface"):
        if site.get(variable) is not None and site.get("wireguard_mesh_uplink") == site.get(variable):
            site.fault(
                "wireguard_mesh_uplink",
                f"is also {variable}. Write the NIC of this site's own broadband, which `ip route show default` names.",
            )


def _check_exit_use(site: _Site, when: str, inside: list[IPNetwork]) -> None:
    _check_uplink(site)
    if not site.get("wireguard_mesh_exits") and not site.is_faulty("wireguard_mesh_exits"):
        site.fault(
            "wireguard_mesh_exit_when",
            f"is {when}, but wireguard_mesh_exits names no site. Write the sites whose internet this one may use, or never.",
        )
    for variable in ("wireguard_mesh_exit_targets", "wireguard_mesh_exit_resolvers"):
        for address in site.get(variable) or []:
            if any(address in item for item in inside):
                site.fault(
                    variable,
                    f"holds {address}, which is not on the internet. Write public addresses, such as 223.5.5.5.",
                )
    if site.get("wireguard_mesh_exit_targets") == []:
        site.fault(
            "wireguard_mesh_exit_targets",
            "is empty, so that nothing shows whether the internet is there. Write some public addresses, such as "
            "[223.5.5.5, 119.29.29.29].",
        )
    if site.get("tr069_table") is not None and site.get("wireguard_mesh_exit_table") == site.get("tr069_table"):
        site.fault(
            "wireguard_mesh_exit_table",
            f"is {site.get('tr069_table')}, the table of the way into the underlay (tr069_table). Write another, such as 306.",
        )
    first, own = site.get("wireguard_mesh_exit_rule_priority"), site.get("tr069_rule_priority")
    if first and own and first <= own:
        site.fault(
            "wireguard_mesh_exit_rule_priority",
            f"is {first}, which comes before the rules of the underlay (tr069_rule_priority: {own}). Write a larger number, "
            f"such as {own + 1}.",
        )


def are_peers(name: str, one: Mapping[str, t.Any], other_name: str, other: Mapping[str, t.Any]) -> bool:
    """Whether two sites of a plan talk to each other."""
    return (not one["peers_only"] or other_name in one["peers_only"]) and (
        not other["peers_only"] or name in other["peers_only"]
    )


def external_end(name: str) -> str:
    """What the keys of an external peer are derived from. No site can have this name, because of the space."""
    return f"external peer {name}"


def _external_peers(
    sites: list[_Site],
    states: dict[str, str],
    settings: dict[str, t.Any],
    keys: dict[str, tuple[str | None, str | None]],
    addresses6: dict[str, IPAddress],
) -> dict[str, dict[str, t.Any]]:
    """The peers that are no sites, by name, each with the sites that carry it."""
    variable = "wireguard_mesh_external_peers"
    overlay, overlay6 = settings["wireguard_mesh_network"], settings["wireguard_mesh_network6"]
    owners6 = {address: name for name, address in addresses6.items()}
    by_site = {site.name: site for site in sites}
    found: dict[str, dict[str, t.Any]] = {}
    first: dict[str, _Site] = {}
    taken = {site.get("wireguard_mesh_address"): site.name for site in sites if site.get("wireguard_mesh_address")}
    lans = [(lan, site.name) for site in sites for lan in site.get("wireguard_mesh_lan_subnets") or []]
    owners = {key: name for name, (_source, key) in keys.items() if key}
    free = addresses.free_addresses(overlay, set(taken)) if overlay else iter(())
    for site in sites:
        for entry in site.get(variable) or []:
            name = entry["name"]
            for other in entry["sites"]:
                if other not in states:
                    site.fault(
                        variable,
                        f"holds {name} on {quote(other)}, which is no site of the inventory. Correct its sites.",
                    )
            if entry["sites"] and site.name not in entry["sites"]:
                continue
            if name in found:
                if found[name]["entry"] != entry:
                    site.fault(
                        variable,
                        f"holds {name} otherwise than on {_shown(first[name].name)}. Write each external peer once, in "
                        "group_vars/all, and the sites that carry it into its sites.",
                    )
                found[name]["sites"].append(site.name)
                continue
            first[name] = site
            found[name] = {"entry": entry, "sites": [site.name], "public_key": entry["public_key"]}
            if name in states:
                site.fault(variable, f"holds {name}, which is the name of a site. Give the external peer another name.")
            address = entry["address"]
            suggestion = f"a free address of {overlay}, such as {next(free, None)}"
            if overlay and (address not in overlay or address in (overlay.network, overlay.broadcast)):
                site.fault(
                    variable,
                    f"holds {name} with {address}, which no host of the overlay {overlay} can have. Write {suggestion}.",
                )
            elif address in taken:
                site.fault(
                    variable,
                    f"holds {name} with {address}, which {_shown(taken[address])} already has. Write {suggestion}.",
                )
            taken.setdefault(address, name)
            address6 = _same_host(address, overlay, overlay6)
            if address6 and owners6.setdefault(address6, name) != name:
                site.fault(
                    variable,
                    f"holds {name}, whose IPv6 address would be {address6}, which {_shown(owners6[address6])} already has "
                    "(wireguard_mesh_address6). Give one of the two another.",
                )
            found[name]["address6"] = address6
            for lan in entry["lan_subnets"]:
                others = [(overlay, "the overlay")] if overlay else []
                others += [(item, "the carrier's network") for item in settings["tr069_networks"] or [] if item in lan]
                others += [(item, _shown(owner)) for item, owner in lans]
                clash = next(((item, whose) for item, whose in others if _overlap(lan, item)), None)
                if clash:
                    site.fault(
                        variable,
                        f"holds {name} with the network {lan}, which overlaps {clash[0]} ({clash[1]}). Renumber one of the two.",
                    )
                lans.append((lan, name))
            if found[name]["public_key"] is None:
                found[name]["public_key"] = _external_key(site, name, entry, settings["wireguard_mesh_name"], variable)
            key = found[name]["public_key"]
            if key is not None and owners.setdefault(key, name) != name:
                site.fault(
                    variable,
                    f"holds {name} with the public key that {_shown(owners[key])} already has. Each needs its own.",
                )
    return {
        name: {
            "address": str(item["entry"]["address"]),
            "address6": str(item["address6"]) if item["address6"] else None,
            "allowed_ips": [
                *(str(IPNetwork(each)) for each in (item["entry"]["address"], item["address6"]) if each),
                *map(str, item["entry"]["lan_subnets"]),
            ],
            "endpoint": item["entry"]["endpoint"],
            "key_generation": item["entry"]["key_generation"],
            "key_source": "public_key" if item["entry"]["public_key"] else "secret",
            "preshared_key": item["entry"]["preshared_key"],
            "public_key": item["public_key"],
            "sites": [site for site in sorted(item["sites"]) if site in by_site],
        }
        for name, item in sorted(found.items())
    }


def _external_key(site: _Site, name: str, entry: dict[str, t.Any], mesh: str | None, variable: str) -> str | None:
    secret = site.get("wireguard_mesh_secret")
    if secret and mesh:
        return public_key(MeshKeys(secret, mesh).private_key(external_end(name), entry["key_generation"]))
    if not site.gave("wireguard_mesh_secret"):
        site.fault(
            variable,
            f"holds {name} without public_key, and there is no wireguard_mesh_secret to derive one from. Write its public_key.",
        )
    return None


def _check_names(sites: list[_Site], group: str) -> None:
    folded: dict[str, str] = {}
    for site in sites:
        try:
            names.site_name(site.name)
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


def _settings(sites: list[_Site]) -> dict[str, t.Any]:
    """The settings of the whole mesh: what most sites have. The others are told."""
    settings = {}
    for variable, reason in _SAME_EVERYWHERE.items():
        values = {site.name: site.get(variable) for site in sites if site.get(variable) is not None}
        # Lists of networks are not hashable; their text is as good.
        texts = {name: _text(value) for name, value in values.items()}
        count = collections.Counter(texts.values())
        usual = min(count, key=lambda text: (-count[text], text), default="")
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
    free = addresses.free_addresses(overlay, taken) if overlay else iter(())

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


def _same_host(address: IPAddress | None, overlay: IPNetwork | None, overlay6: IPNetwork | None) -> IPAddress | None:
    """The IPv6 address with the host number of an IPv4 one: 192.168.11.3 gives fd5c:1d2e:3f40::3."""
    if address is None or overlay is None or overlay6 is None or address not in overlay or overlay6.size < overlay.size:
        return None
    return IPAddress(overlay6.first + int(address) - overlay.first, version=6)


def _addresses6(sites: list[_Site], settings: dict[str, t.Any], report: _Report) -> dict[str, IPAddress]:
    """Each site's IPv6 address in the overlay; empty where there is no wireguard_mesh_network6."""
    overlay, overlay6 = settings["wireguard_mesh_network"], settings["wireguard_mesh_network6"]
    if overlay and overlay6 and overlay6.size < overlay.size:
        report.add_for_mesh(
            "wireguard_mesh_network6",
            f"is {overlay6}, which is smaller than {overlay} (wireguard_mesh_network): each site has the same number in "
            "both. Write a network of prefix length /64.",
        )
        return {}
    found: dict[str, IPAddress] = {}
    owners: dict[IPAddress, str] = {}
    for site in sites:
        given = site.get("wireguard_mesh_address6")
        if overlay6 is None:
            if site.gave("wireguard_mesh_address6") and not any(item.gave("wireguard_mesh_network6") for item in sites):
                site.fault(
                    "wireguard_mesh_address6",
                    f"is set, but wireguard_mesh_network6 is not. {_SET_ONCE}, or leave both out.",
                )
            continue
        if given is not None and (given not in overlay6 or given.value == overlay6.first):
            site.fault(
                "wireguard_mesh_address6",
                f"is {given}, which no host of {overlay6} (wireguard_mesh_network6) can have. Leave it out, or write one in it.",
            )
            continue
        address = given or _same_host(site.get("wireguard_mesh_address"), overlay, overlay6)
        if address is None:
            continue
        if owners.setdefault(address, site.name) != site.name:
            site.fault(
                "wireguard_mesh_address6",
                f"is {address}, which {_shown(owners[address])} already has. Leave it out on both: it follows from "
                "wireguard_mesh_address.",
            )
            continue
        found[site.name] = address
    return found


def _check_same_host(sites: list[_Site]) -> None:
    """Two sites of one ansible_host are one machine, set up as both in turn."""
    owners: dict[tuple[t.Any, ...], str] = {}
    names = {site.get("ddns_hostname"): site.name for site in sites if site.get("ddns_hostname")}
    for site in sites:
        host = site.get("ansible_host")
        if host is None:
            continue
        host = host.rpartition("@")[2].lower()
        if names.get(host, site.name) != site.name:
            site.fault(
                "ansible_host", f"is {host}, which is ddns_hostname of {_shown(names[host])}. Write this site's own."
            )
            continue
        if site.way is None:
            continue
        owner = owners.setdefault((host, *site.way), site.name)
        if owner != site.name:
            site.fault(
                "ansible_host",
                f"is {host}, by which Ansible reaches {_shown(owner)} already. Write this site's own address, or where the two are "
                "behind one address, the port of each as ansible_port.",
            )


def _check_connections(sites: list[_Site], overlay: IPNetwork | None) -> None:
    """Whom Ansible reaches at an address of the overlay is in a LAN that has its prefix, unless that is the site's own."""
    for site in sites:
        try:
            host = addresses.address((site.get("ansible_host") or "").rpartition("@")[2])
        except Fault:  # a name, perhaps
            continue
        if overlay and host in overlay and host != site.get("wireguard_mesh_address"):
            site.fault(
                "ansible_host",
                f"is {host}, in the overlay {overlay} (wireguard_mesh_network), and not this site's own address there. If its LAN "
                "has that prefix, the firewall would cut it off: write another wireguard_mesh_network, which no site's LAN uses, "
                "in group_vars/all, and addresses of it for all sites. Otherwise correct ansible_host.",
            )


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
        for seed in site.get("wireguard_mesh_endpoint_seeds") or []:
            if underlay and not any(seed in item for item in underlay):
                site.fault(
                    "wireguard_mesh_endpoint_seeds",
                    f"holds {seed}, which is outside the carrier's network {_text(underlay)} (tr069_networks). "
                    "Write underlay addresses that the site had or is likely to have.",
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


def _check_publish_for(sites: list[_Site], states: dict[str, str], group: str) -> None:
    known = {site.name: site for site in sites}
    for site in sites:
        for name in site.get("ddns_publish_for") or []:
            if name in states and name not in known:  # planned or absent: nothing is published for it
                continue
            if name not in known:
                site.fault(
                    "ddns_publish_for", f"names {quote(name)}, which is no site of the group {group}. {_known(known)}"
                )
            elif not known[name].get("ddns_hostname") and not known[name].is_faulty("ddns_hostname"):
                site.fault(
                    "ddns_publish_for",
                    f"names {_shown(name)}, which has no ddns_hostname. Give it a name, or leave it out of the list.",
                )


def _known(sites: Iterable[str]) -> str:
    return f"Write the names that the sites have in the inventory: {', '.join(map(_shown, sites))}."


def names_to_publish(names: Iterable[str], hostvars: Mapping[str, t.Any], own: str) -> list[dict[str, t.Any]]:
    """The DDNS options, with ``site``, of the sites that another one publishes for; what is wrong there the plan told.

    Holds their tokens.
    """
    found = []
    for name in names:
        if name == own or name not in hostvars:
            continue
        variables = {name: _variables(hostvars, name)}
        if _states(variables)[0][name] != "present":
            continue
        site = _Site(name, hostvars, variables[name], _Report([name]))
        options = {key: site.get(f"ddns_{key}") or DEFAULTS[f"ddns_{key}"] for key in _DDNS}
        if options["hostname"]:
            found.append({**options, "site": name})
    return found


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
            if entry["protocol"] == "udp" and _holds(entry["ports"], site.get("wireguard_mesh_port")):
                site.fault(
                    "tr069_firewall_allow",
                    f"holds UDP port {site.get('wireguard_mesh_port')}, which is WireGuard's (wireguard_mesh_port) and let "
                    "in anyway. Leave the entry out.",
                )


def _holds(ports: list[str], number: int | None) -> bool:
    """Whether ports and ranges of ports, such as 8000-8010, hold a port."""
    bounds = [[int(bound) for bound in port.split("-")] for port in ports]
    return number is not None and any(found[0] <= number <= found[-1] for found in bounds)


def _refuse_published(site: _Site, variable: str) -> None:
    secret = site.get(variable)
    try:
        if secret is not None:
            secrets.refuse_published(secret, bool(site.get("wireguard_mesh_accept_published_secrets")))
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
    usual = max(count, key=lambda digest: count[digest], default=b"")  # of equals, the first site's
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
    """The WireGuard peers of a site, sorted by name: the other sites that it talks to, and external peers.

    :param plan: a plan of :func:`build` without problems that holds the site.
    :param secret: the mesh secret; given, and the plan wanting preshared keys, peers have their ``preshared_key``.
    """
    sites = plan["sites"]
    own = sites[site]
    entries = [(name, sites[name]) for name in sites if name != site and are_peers(site, own, name, sites[name])]
    entries += [(name, entry) for name, entry in plan["external_peers"].items() if site in entry["sites"]]
    entries.sort(key=lambda item: item[0])
    found, sealed, ends = [], [], []
    for name, entry in entries:
        external = "sites" in entry
        peer = {
            "name": name,
            "address": entry["address"],
            "public_key": entry["public_key"],
            "allowed_ips": entry["allowed_ips"],
            "endpoint": entry["endpoint"],
            "seeds": [] if external else entry["endpoint_seeds"],
            "external": external,
        }
        found.append(peer)
        if not external or entry["preshared_key"]:
            sealed.append(peer)
            ends.append((external_end(name) if external else name, entry["key_generation"]))
    if secret is not None and plan["preshared_keys"]:
        keys = MeshKeys(secret, plan["mesh"]).preshared_keys((site, own["key_generation"]), ends)
        for peer, key in zip(sealed, keys, strict=True):
            peer["preshared_key"] = key
    return found


def client(plan: Mapping[str, t.Any], name: str, secret: str | None = None) -> dict[str, t.Any]:
    """What an external peer needs to know to talk to the sites that carry it.

    :param secret: the mesh secret; without it there are neither a derived private key nor preshared keys.
    """
    entry = plan["external_peers"][name]
    keys = MeshKeys(secret, plan["mesh"]) if secret is not None else None
    ends = (external_end(name), entry["key_generation"])
    sites = [plan["sites"][site] for site in entry["sites"]]
    found = [
        {
            "name": site,
            "public_key": item["public_key"],
            "allowed_ips": item["allowed_ips"],
            "endpoint": item["external_endpoint"] or item["endpoint"],
        }
        for site, item in zip(entry["sites"], sites, strict=True)
    ]
    if keys and plan["preshared_keys"] and entry["preshared_key"]:
        others = [(site, item["key_generation"]) for site, item in zip(entry["sites"], sites, strict=True)]
        for peer, key in zip(found, keys.preshared_keys(ends, others), strict=True):
            peer["preshared_key"] = key
    return {
        "address": entry["address"],
        "addresses": [str(IPNetwork(item)) for item in (entry["address"], entry["address6"]) if item],
        "mtu": min((item["mtu"] for item in sites), default=1420),
        "private_key": keys.private_key(*ends) if keys and entry["key_source"] == "secret" else None,
        "peers": found,
    }
