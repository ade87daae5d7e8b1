# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable that an inventory may set, one row each. Its default stands in the definition of the option, and not here."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan import specs
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
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Reader

# Bytes that WireGuard adds to a packet when the underlay speaks IPv6; 20 fewer on IPv4, which the underlay speaks.
OVERHEAD = 80
OVERHEAD_IPV4 = 60


class Row(t.NamedTuple):
    """One variable."""

    read: Reader
    # The plan has a value of it for each site, the default where the inventory gives none. Role defaults of other hosts are not in
    # hostvars. Otherwise it is only judged where it is given.
    planned: bool = True
    # Each site's own: a fault is told site by site, even when all sites have it.
    per_site: bool = False
    # A setting of the mesh rather than of a site, and why it cannot differ.
    same: str = ""
    # What a role's option takes its value from. A role of its own NIC would leave that one open, or without a way out.
    follows: str = ""
    # Never quoted, not even as a template.
    secret: bool = False


def _only(read: Reader, **more: t.Any) -> Row:
    """An option of a single role, which no other site's plan needs. It has no default here: the role applies that itself, and what
    the inventory sets has to be told from it, so that it can contradict something.
    """
    return Row(read, planned=False, **more)


def _as_it_is(value: t.Any) -> t.Any:
    return value


_present_or_absent = text.choice("present", "absent")
_priority = numbers.integer(1, 32765)  # 0, 32766 and 32767 are the kernel's own

# Behind the underlay's own, with the next number free as well.
EXIT_PRIORITIES = (2, 32764)
LEAST_UNDERLAY_MTU = 1280 + OVERHEAD

ROWS: dict[str, Row] = {
    "ansible_host": Row(hosts.connection_address, per_site=True),
    "ansible_ssh_host": Row(hosts.connection_address, per_site=True),
    "ansible_port": _only(numbers.integer(1, 65535), per_site=True),
    "ansible_become": _only(text.truth),
    # What the playbooks themselves read. Ansible ends with a traceback at a serial that is none.
    "sitelink_serial": _only(text.serial),
    # What several roles need. Their defaults are those of the options that follow from them.
    "tr069_interface": Row(names.interface),
    "tr069_networks": Row(
        networks.underlay_networks, same="a site takes an address for a peer's only when it is in there"
    ),
    "tr069_table": Row(numbers.routing_table),
    "tr069_fwmark": Row(numbers.mark),
    "tr069_rule_priority": Row(_priority),
    "tr069_firewall_allow": Row(firewall.firewall_allow, per_site=True),
    "tr069_firewall_state": Row(_present_or_absent),
    "tr069_firewall_interface": _only(names.interface, follows="tr069_interface"),
    "tr069_firewall_networks": _only(networks.underlay_networks, follows="tr069_networks"),
    "tr069_firewall_fwmark": _only(numbers.mark, follows="tr069_fwmark"),
    "tr069_gateway_source": Row(addresses.gateway_source, per_site=True),
    "tr069_gateway_state": Row(_present_or_absent),
    "tr069_gateway_interface": _only(names.interface, follows="tr069_interface"),
    "tr069_gateway_networks": _only(networks.underlay_networks, follows="tr069_networks"),
    "tr069_gateway_table": _only(numbers.routing_table, follows="tr069_table"),
    "tr069_gateway_fwmark": _only(numbers.mark, follows="tr069_fwmark"),
    "tr069_gateway_rule_priority": _only(_priority, follows="tr069_rule_priority"),
    "tr069_gateway_further_interfaces": _only(names.interfaces),
    "nic_dhcp_interface": _only(names.interface, follows="tr069_interface"),
    "nic_dhcp_networks": _only(networks.underlay_networks, follows="tr069_networks"),
    "nic_dhcp_mtu": _only(numbers.integer(576, 9216)),
    "nic_dhcp_vlan_id": _only(numbers.integer(0, 4094)),
    "nic_dhcp_vlan_priority": _only(numbers.integer(0, 7)),
    "nic_dhcp_vlan_parent": _only(names.interface),
    "nic_dhcp_revert_after": _only(numbers.integer(30, 3600)),
    "nic_dhcp_lease_timeout": _only(numbers.integer(1, 3600)),
    # These four as nic_dhcp itself checks them, where it is used alone.
    "nic_dhcp_mac": _only(
        text.matching(
            "[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}", "the MAC address of one NIC, such as '02:69:01:02:03:04'"
        )
    ),
    "nic_dhcp_client_id": _only(
        text.matching(
            "mac|([0-9a-fA-F]{2}:){1,47}[0-9a-fA-F]{2}",
            "mac, or 2 to 48 bytes in hexadecimal such as '01:02:69:01:02:03:04'",
        )
    ),
    "nic_dhcp_vendor_class": _only(
        text.matching("[A-Za-z0-9][A-Za-z0-9 ._:/+-]*", "letters, digits, blanks and ._:/+-")
    ),
    "nic_dhcp_hostname": _only(
        text.matching(
            "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", "one name of letters, digits and hyphens, without a domain"
        )
    ),
    "wireguard_mesh_state": Row(_as_it_is),  # judged before anything else, see hostvars.states
    "wireguard_mesh_name": Row(names.mesh_name, same="keys are derived from it"),
    "wireguard_mesh_network": Row(networks.overlay_network, same="all sites are in one overlay"),
    "wireguard_mesh_network6": Row(networks.overlay_network6, same="all sites are in one overlay"),
    "wireguard_mesh_address": Row(addresses.address, per_site=True),
    "wireguard_mesh_address6": Row(addresses.address6, per_site=True),
    "wireguard_mesh_interface": Row(names.interface),
    "wireguard_mesh_port": Row(numbers.integer(1, 65535)),
    "wireguard_mesh_mtu": Row(numbers.integer(1280, 9000)),  # IPv6 needs 1280; jumbo frames end near 9000
    "wireguard_mesh_underlay_mtu": Row(numbers.integer(LEAST_UNDERLAY_MTU, 9000 + OVERHEAD)),
    "wireguard_mesh_keepalive": Row(
        numbers.integer(1, 65535),  # 16 bits in wg(8); 0 would hide a dead peer
        same="a site takes a peer for dead by its own keepalive",
    ),
    "wireguard_mesh_lan_subnets": Row(networks.lan_subnets, per_site=True),
    "wireguard_mesh_lan_gateway": Row(text.truth),
    "wireguard_mesh_peers_only": Row(names.site_names, per_site=True),
    "wireguard_mesh_external_peers": Row(external.external_peers),
    "wireguard_mesh_external_endpoint": Row(hosts.endpoint, per_site=True),
    "wireguard_mesh_uplink": Row(names.interface),
    "wireguard_mesh_exits": Row(names.site_names, per_site=True),
    "wireguard_mesh_exit_when": Row(text.choice("never", "broadband_down", "always")),
    "wireguard_mesh_exit_for": Row(names.site_names, per_site=True),
    "wireguard_mesh_exit_targets": Row(addresses.addresses),
    "wireguard_mesh_exit_resolvers": Row(addresses.addresses),
    "wireguard_mesh_exit_return_after": Row(numbers.integer(5, 3600)),
    "wireguard_mesh_exit_table": Row(numbers.routing_table),
    "wireguard_mesh_exit_rule_priority": Row(numbers.integer(*EXIT_PRIORITIES)),
    "wireguard_mesh_endpoint": Row(hosts.endpoint_host, per_site=True),
    "wireguard_mesh_endpoint_seeds": Row(addresses.addresses, per_site=True),
    "wireguard_mesh_secret": Row(secrets.mesh_secret, secret=True),
    "wireguard_mesh_private_key": Row(secrets.private_key, per_site=True, secret=True),
    "wireguard_mesh_public_key": Row(secrets.public_key, per_site=True, secret=True),
    "wireguard_mesh_key_generation": Row(numbers.generation),
    "wireguard_mesh_key_at_once": Row(text.truth),
    "wireguard_mesh_preshared_keys": Row(text.truth, same="both ends of a tunnel need the same preshared key or none"),
    "wireguard_mesh_accept_published_secrets": Row(text.truth),
    "wireguard_mesh_underlay_interface": _only(names.interface, follows="tr069_interface"),
    "wireguard_mesh_underlay_networks": _only(networks.underlay_networks, follows="tr069_networks"),
    "wireguard_mesh_fwmark": _only(numbers.mark, follows="tr069_fwmark"),
    # What is taken as it is, _ddns.settings judges, where the configuration is made of it.
    "ddns_hostname": Row(hosts.host_name, per_site=True),
    "ddns_provider": Row(_ddns.provider),
    "ddns_id": Row(secrets.credential, secret=True),  # an operator may have put the token here
    "ddns_token": Row(secrets.credential, secret=True),
    "ddns_state": Row(_present_or_absent),
    "ddns_publish_for": Row(names.site_names),
    "ddns_ttl": Row(_as_it_is),
    "ddns_line": Row(_as_it_is),
    "ddns_extra": Row(_as_it_is, secret=True),
    "ddns_endpoint": Row(_as_it_is),
    "ddns_ipv6_hostname": Row(_as_it_is),
    "ddns_ipv6_networks": Row(_as_it_is),
    "ddns_providers": Row(_as_it_is, secret=True),
    "ddns_interval": Row(_as_it_is),
    # These may differ from the shared ones: a name may follow another NIC than the mesh does.
    "ddns_interface": _only(names.interface),
    "ddns_ipv6_interface": _only(names.interface),
    "ddns_networks": _only(networks.underlay_networks),
    "ddns_client_python": _only(text.program),
    "ddns_ca_file": _only(text.local_file),
    "ddns_wheel_file": _only(text.local_file),
    "site_agent_python": _only(text.program),
    "watch_command": _only(text.command),
    "watch_interval": _only(numbers.integer(5, 86400)),
    "watch_textfile": _only(
        text.matching(
            "/[!-~]+[.]prom",
            "an absolute path that ends in .prom, such as /var/lib/prometheus/node-exporter/sitelink.prom",
        )
    ),
}


@functools.cache
def table() -> dict[str, Row]:
    """The rows above, and one for each further option, which is read as its role's definition says."""
    return {**{name: _only(specs.reader(name)) for name in specs.options()}, **ROWS}


@functools.cache
def known_variables() -> frozenset[str]:
    return frozenset(table())


# What an earlier release knew, each with what to write now.
GONE = {
    "wireguard_mesh_group": "is gone: the sites of the mesh are the hosts of the group sites. Give your group that name, or write it below "
    "children: of sites; another mesh is another inventory. Then take this line out.",
}
# Settings of the connection that an operator may write. Facts begin with the same word.
CONNECTION = frozenset(
    f"ansible_{name}"
    for name in (
        "become", "become_exe", "become_flags", "become_method", "become_pass", "become_password", "become_user", "connection",
        "host", "ksu_pass", "ksu_user", "password", "pipelining", "port", "private_key_file", "python_interpreter",
        "remote_tmp", "scp_executable", "scp_extra_args", "sesu_pass", "sesu_user", "shell_executable", "shell_type",
        "ssh_args", "ssh_common_args", "ssh_executable", "ssh_extra_args", "ssh_host", "ssh_pass", "ssh_password",
        "ssh_pipelining", "ssh_port", "ssh_private_key_file", "ssh_retries", "ssh_timeout", "ssh_user",
        "su_pass", "su_user", "timeout", "user",
    )
)  # fmt: skip
# What else Ansible and its plugins read: a name of these is no slip of one above.
ANSIBLES_OWN = CONNECTION | frozenset(
    f"ansible_{name}"
    for name in (
        "admin_users", "async_dir", "common_remote_group", "connection_timeout", "control_path", "control_path_dir",
        "deprecation_warnings", "doas_exe", "doas_flags", "doas_pass", "doas_user", "docker_executable",
        "docker_extra_args", "dzdo_exe", "dzdo_flags", "dzdo_pass", "dzdo_user", "enable_exe", "enable_flags",
        "enable_pass", "enable_user", "facts_modules", "host_key_checking", "interpreter_python_fallback", "ksu_exe",
        "ksu_flags", "local_become_strip_preamble", "local_become_success_timeout", "lxd_host", "machinectl_exe",
        "machinectl_flags", "machinectl_pass", "machinectl_user", "module_compression", "no_target_syslog",
        "paramiko_host", "paramiko_host_key_checking", "paramiko_pass", "paramiko_password", "paramiko_port",
        "paramiko_private_key_file", "paramiko_proxy_command", "paramiko_timeout", "paramiko_use_rsa_sha2_algorithms",
        "paramiko_user", "pbrun_exe", "pbrun_flags", "pbrun_pass", "pbrun_user", "persistent_command_timeout",
        "pfexec_exe", "pfexec_flags", "pfexec_pass", "pfexec_user", "pmrun_exe", "pmrun_flags", "pmrun_pass",
        "pmrun_user", "podman_executable", "podman_extra_args", "private_key", "private_key_passphrase",
        "python_module_rlimit_nofile", "scp_if_ssh", "sesu_exe", "sesu_flags", "sftp_batch_mode", "sftp_executable",
        "sftp_extra_args", "shell_allow_world_readable_temp", "ssh_agent", "ssh_host_key_checking",
        "ssh_password_mechanism", "ssh_pkcs11_provider", "ssh_private_key", "ssh_private_key_passphrase",
        "ssh_transfer_method", "ssh_use_tty", "ssh_verbosity", "sshpass_prompt", "su", "su_exe", "su_flags",
        "su_prompt_l10n", "sudo", "sudo_chdir", "sudo_exe", "sudo_flags", "sudo_pass", "sudo_user", "sudosu_exe",
        "sudosu_flags", "sudosu_pass", "sudosu_user", "system_tmpdirs", "target_log_info",
    )
)  # fmt: skip


@functools.cache
def followers() -> Mapping[str, list[str]]:
    """The options that take their value from a shared variable, by its name."""
    found: dict[str, list[str]] = {}
    for name, row in ROWS.items():
        if row.follows:
            found.setdefault(row.follows, []).append(name)
    return found


# An option that may be another than the shared variable, but is the same where nothing is given.
_LIKE_SHARED = {"ddns_interface": "tr069_interface", "ddns_networks": "tr069_networks"}


def shared_by(name: str) -> str:
    """The shared variable that an option without a value takes its value from, or nothing."""
    return _LIKE_SHARED.get(name) or (ROWS[name].follows if name in ROWS else "")


@functools.cache
def needs_a_value(name: str) -> bool:
    """Whether a variable that stands there without a value is a slip: an address that was forgotten, or a default that only a role
    knows.
    """
    lonely = not table()[name].planned and "default" not in specs.options().get(name, {"default": None})
    return lonely or name in ("ansible_host", "ansible_ssh_host")


@functools.cache
def default(name: str) -> t.Any:
    """What the definition gives where the inventory gives nothing; None and "" stand for "not given"."""
    defined = followers()[name][0] if name in followers() else name
    return specs.options().get(defined, {}).get("default")


@functools.cache
def by_default() -> dict[str, t.Any]:
    """What a site has where it sets nothing. Read once for all sites: nobody changes a value that was read."""
    given = {name: default(name) for name, row in ROWS.items() if row.planned}
    return {name: ROWS[name].read(value) for name, value in given.items() if value is not None and value != ""}


def is_secret(name: str) -> bool:
    return name in ROWS and ROWS[name].secret
