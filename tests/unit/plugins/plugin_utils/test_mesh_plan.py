# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a right inventory, and every fault of a wrong one with its site and variable."""

import base64
import json
import pathlib
import re

import ansible
import jinja2
import pytest
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys, _published
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.build import build as build_plan
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import client
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import peers as peers_of
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.ddns import names_to_publish
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.device import DAEMON_PORT
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.specs import options
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets
from right_mesh import SECRET, TOKEN

KEY_1 = base64.b64encode(bytes(range(1, 33))).decode()
KEY_2 = base64.b64encode(bytes(range(2, 34))).decode()
PUBLISHED = "lab-mesh-secret-published-never-use-outside-the-lab"


def build(hostvars, names=None):
    return build_plan(hostvars if names is None else names, hostvars)


def faults(hostvars):
    """(site, variable) of every problem. Each sentence names both, and ends like one."""
    found = []
    for problem in build(hostvars)["problems"]:
        assert problem["variable"] in problem["message"]
        assert problem["message"].endswith((".", "=")) or ": " in problem["message"]
        if problem["site"] is not None:
            assert problem["message"].startswith(f"{problem['site']}: ")
        assert "{{" not in problem["message"]
        found.append((problem["site"], problem["variable"]))
    return found


def message(hostvars):
    [problem] = build(hostvars)["problems"]
    return problem["message"]


def test_a_right_inventory(mesh):
    mesh.spoil(
        "site-b", wireguard_mesh_lan_subnets=["192.168.30.0/24", "10.66.2.0/24"], wireguard_mesh_lan_gateway="yes"
    )
    mesh.spoil("site-b", wireguard_mesh_endpoint_seeds=["10.140.16.9"])
    mesh.spoil("site-c", wireguard_mesh_endpoint="10.24.96.9", wireguard_mesh_port="22001", wireguard_mesh_mtu=1412)
    plan = build(mesh)
    assert plan["problems"] == [] and plan["warnings"] == []
    assert {key: plan[key] for key in ("mesh", "network", "preshared_keys")} == {
        "mesh": "sitelink",
        "network": "192.168.11.0/24",
        "preshared_keys": True,
    }
    assert list(plan["sites"]) == ["site-a", "site-b", "site-c"]
    private = _keys.MeshKeys(SECRET, "sitelink").private_key("site-b", 1)
    assert plan["sites"]["site-b"] == {
        "address": "192.168.11.2",
        "address6": None,
        "addresses": ["192.168.11.2/24"],
        "allowed_ips": ["192.168.11.2/32", "10.66.2.0/24", "192.168.30.0/24"],
        "endpoint": {"host": "site-b.example.com", "port": 22000},
        "endpoint_seeds": [{"host": "10.140.16.9", "port": 22000}],
        "exit": None,
        "exit_for": [],
        "external_endpoint": None,
        "firewall_allow": [],
        "interface": "wg0",
        "keepalive": 25,
        "key_at_once": False,
        "key_generation": 1,
        "key_source": "secret",
        "lan_gateway": True,
        "lan_subnets": ["10.66.2.0/24", "192.168.30.0/24"],
        "mtu": 1420,
        "peers_only": [],
        "port": 22000,
        "public_key": _keys.public_key(private),
        "uplink": "eth0",
    }
    assert plan["sites"]["site-c"]["endpoint"] == {"host": "10.24.96.9", "port": 22001}
    assert plan["sites"]["site-c"]["mtu"] == 1412


def test_the_plan_is_public_and_plain(mesh):
    mesh.spoil("site-b", wireguard_mesh_private_key=KEY_1)
    text = json.dumps(build(mesh))
    for secret in (SECRET, TOKEN, KEY_1):
        assert secret not in text


def test_the_first_key_given_wins(mesh):
    mesh.spoil("site-a", wireguard_mesh_private_key=KEY_1, wireguard_mesh_public_key=_keys.public_key(KEY_1))
    mesh.spoil("site-b", wireguard_mesh_public_key=KEY_2)
    plan = build(mesh)
    assert plan["problems"] == []
    assert [(site["key_source"], site["public_key"]) for site in plan["sites"].values()][:2] == [
        ("private_key", _keys.public_key(KEY_1)),
        ("public_key", KEY_2),
    ]
    assert plan["sites"]["site-c"]["key_source"] == "secret"


def test_another_generation_is_another_key(mesh):
    before = build(mesh)["sites"]
    after = build(mesh.spoil("site-b", wireguard_mesh_key_generation=2))["sites"]
    assert before["site-b"]["public_key"] != after["site-b"]["public_key"]
    assert before["site-a"] == after["site-a"]


def test_a_lan_in_the_underlay_is_accepted(mesh):
    assert faults(mesh.spoil("site-b", wireguard_mesh_lan_subnets=["10.66.2.0/24", "11.0.8.0/21"])) == []


def test_empty_values_are_not_given(mesh):
    mesh.spoil(wireguard_mesh_endpoint="", wireguard_mesh_private_key="", ddns_id="", wireguard_mesh_port=None)
    mesh.spoil("site-a", wireguard_mesh_lan_subnets=None)
    assert faults(mesh) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("wireguard_mesh_address", "192.168.11.1"),  # twice
        ("wireguard_mesh_address", "192.168.12.2"),  # outside the overlay
        ("wireguard_mesh_address", "192.168.11.0"),
        ("wireguard_mesh_address", "192.168.11.255"),
        ("wireguard_mesh_address", "192.168.11.2/24"),
        ("wireguard_mesh_address", "192.168.11"),
        ("wireguard_mesh_address", "192.168.011.2"),
        ("wireguard_mesh_address", "１92.168.11.2"),
        ("wireguard_mesh_address", "192。168。11。2"),
        ("wireguard_mesh_address", "fd00::2"),
        ("wireguard_mesh_address", 3232238338),
        ("wireguard_mesh_address", ["192.168.11.2"]),
        ("wireguard_mesh_address", "FILL-ME-IN"),
        ("wireguard_mesh_lan_subnets", ["192.168.1.128/25"]),  # overlaps site-a's
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/24", "192.168.2.0/24"]),
        ("wireguard_mesh_lan_subnets", ["192.168.2.1/24"]),  # host bits
        ("wireguard_mesh_lan_subnets", ["192.168.2.0"]),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/33"]),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/255.255.255.0"]),
        ("wireguard_mesh_lan_subnets", ["192.168.11.128/25"]),  # overlaps the overlay
        ("wireguard_mesh_lan_subnets", ["10.0.0.0/7"]),  # swallows the underlay
        ("wireguard_mesh_lan_subnets", ["127.0.0.0/8"]),
        ("wireguard_mesh_lan_subnets", ["fd00::/64"]),
        ("wireguard_mesh_lan_subnets", "192.168.2.0/24"),
        ("wireguard_mesh_lan_subnets", {"lan": "192.168.2.0/24"}),
        ("wireguard_mesh_lan_subnets", [24]),
        ("wireguard_mesh_lan_gateway", "maybe"),
        ("wireguard_mesh_endpoint", "10.1.2.3:22000"),
        ("wireguard_mesh_endpoint", "192.0.2.1"),  # outside the underlay
        ("wireguard_mesh_endpoint", "nohow"),
        ("wireguard_mesh_endpoint_seeds", "10.1.2.3"),
        ("wireguard_mesh_endpoint_seeds", ["10.1.2.3:22000"]),
        ("wireguard_mesh_endpoint_seeds", ["192.0.2.1"]),  # outside the underlay
        ("wireguard_mesh_endpoint", "site-a.example.com"),  # where site-a is
        ("wireguard_mesh_network", "192.168.12.0/24"),  # not as on the other sites
        ("wireguard_mesh_name", "other"),
        ("wireguard_mesh_keepalive", 26),
        ("wireguard_mesh_keepalive", 0),
        ("wireguard_mesh_preshared_keys", False),
        ("tr069_networks", ["10.0.0.0/8"]),
        ("tr069_networks", ["0.0.0.0/0"]),
        ("tr069_networks", ["10.0.0.1/8"]),
        ("tr069_networks", []),
        ("tr069_networks", "10.0.0.0/7"),
        ("tr069_interface", "eth 1"),
        ("wireguard_mesh_interface", "a-name-that-is-too-long"),
        ("wireguard_mesh_interface", "../wg0"),
        ("wireguard_mesh_interface", "eth1"),
        ("wireguard_mesh_port", 0),
        ("wireguard_mesh_port", 65536),
        ("wireguard_mesh_port", "22000/udp"),
        ("wireguard_mesh_port", "２２０００"),
        ("wireguard_mesh_port", True),
        ("wireguard_mesh_port", 22000.5),
        ("wireguard_mesh_mtu", 1279),
        ("wireguard_mesh_mtu", 9001),
        ("wireguard_mesh_mtu", 1441),  # 1500 less IPv4's and WireGuard's 60
        ("wireguard_mesh_underlay_mtu", 1359),
        ("wireguard_mesh_port", 22069),  # the daemons'
        ("wireguard_mesh_state", "gone"),
        ("wireguard_mesh_state", "{{ nothing }}"),
        ("wireguard_mesh_peers_only", "site-a"),
        ("wireguard_mesh_peers_only", ["site-x"]),
        ("wireguard_mesh_peers_only", ["site-b"]),
        ("wireguard_mesh_external_endpoint", "home.example.com"),
        ("wireguard_mesh_external_endpoint", "home.example.com:0"),
        ("wireguard_mesh_key_generation", 0),
        ("wireguard_mesh_secret", "too-short"),
        ("wireguard_mesh_secret", SECRET + "-another"),
        ("wireguard_mesh_secret", 10**40),
        ("wireguard_mesh_secret", {"secret": SECRET}),
        ("wireguard_mesh_private_key", "c2hvcnQ="),
        ("wireguard_mesh_private_key", "A" * 43 + "="),
        ("wireguard_mesh_private_key", [KEY_1]),
        ("wireguard_mesh_public_key", KEY_1[:-2] + "9="),
        ("ddns_hostname", "site-a.example.com"),  # twice
        ("ddns_hostname", "SITE-A.example.com"),
        ("ddns_hostname", "site-b"),
        ("ddns_hostname", "site_b.example.com"),
        ("ddns_hostname", "site-b.example.com."),
        ("ddns_hostname", "site-b。example。com"),
        ("ddns_hostname", "深圳.example.com"),
        ("ddns_hostname", "-b.example.com"),
        ("ddns_hostname", "10.0.0.1"),
        ("ddns_hostname", "b" * 64 + ".example.com"),
        ("ddns_provider", "godaddy"),
        ("ddns_provider", "Cloudflare"),
        ("ddns_id", "a-token-in-the-wrong-place"),
        ("ddns_token", 12345),
        ("ddns_token", "FILL-ME-IN"),
        ("ddns_state", "gone"),
        ("ddns_ttl", 100000),
        ("ddns_interval", "often"),
        ("ddns_endpoint", "http://api.example.com"),
        ("ddns_extra", {"proxied": True}),
        ("ddns_ipv6_hostname", "site-b"),
        ("ddns_providers", [{"provider": "he", "name": "b.example.net", "tokn": "x", "token": "y"}]),
        ("ddns_providers", [{"provider": "{{ nothing }}"}]),
        ("ansible_host", "FILL-ME-IN"),
        ("ansible_host", "root@fill-me-in"),
        ("ansible_host", "172.16.0.300"),
        ("ansible_host", "172.16.0"),
        ("ansible_host", "http://172.16.0.2/"),
        ("ansible_host", "ssh 172.16.0.2"),
        ("ansible_host", "-oProxyCommand=x"),
        ("ansible_host", "深圳"),
        ("ansible_host", "172.16.0.1"),  # site-a's
        ("ansible_host", "root@172.16.0.1"),
        ("ansible_host", "site-a.example.com"),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/24，192.168.20.0/24"]),
        ("wireguard_mesh_lan_subnets", [None]),
        ("wireguard_mesh_lan_subnets", "none"),
        ("wireguard_mesh_peers_only", ["site-a", None]),
        ("ddns_publish_for", [["site-a"]]),
        ("tr069_interface", "lo"),
        ("tr069_interface", "all"),
        ("tr069_interface", "wg0"),
        ("wireguard_mesh_interface", "default"),
        ("tr069_table", "main"),
        ("tr069_table", "0xfe"),
        ("sitelink_serial", "x"),
        ("sitelink_serial", [1, "all"]),
        ("nic_dhcp_interface", "eth2"),
        ("tr069_firewall_interface", "eth2"),
        ("tr069_gateway_table", 306),
        ("tr069_gateway_rule_priority", 306),
        ("wireguard_mesh_fwmark", "0x132"),
        ("tr069_firewall_networks", ["10.0.0.0/8"]),
        ("tr069_gateway_further_interfaces", ["eth1"]),
        ("tr069_gateway_further_interfaces", ["e th"]),
        ("nic_dhcp_mac", 7923433495),  # 10:11:22:33:44:55 without quotes
        ("nic_dhcp_mac", "00-11-22-33-44-55"),
        ("nic_dhcp_mac", "01:11:22:33:44:55"),
        ("nic_dhcp_client_id", "ont"),
        ("nic_dhcp_client_id", True),
        ("nic_dhcp_client_id", "01" + ":0a" * 48),
        ("nic_dhcp_vendor_class", 'a"b'),
        ("nic_dhcp_vendor_class", "a\nb"),
        ("nic_dhcp_hostname", "a b"),
        ("nic_dhcp_hostname", False),
        ("nic_dhcp_vlan_id", 46),
        ("nic_dhcp_vlan_parent", "eth1"),
        ("site_agent_python", "python3"),
        ("site_agent_python", "/usr/bin/python3 -E"),
        ("watch_command", ["notify"]),
        ("watch_command", "/usr/bin/mail me"),
        ("watch_command", ["/usr/bin/mail", "a\nb"]),
        ("watch_interval", 1),
        ("watch_textfile", "sitelink.prom"),
        ("watch_textfile", True),
        ("ddns_ca_file", True),
        ("ddns_line", "a\tb"),
        ("ddns_endpoint", "https://"),
        ("ddns_endpoint", "https://x y"),
        ("ddns_endpoint", "https://ｘ.example.com"),
        ("wireguard_mesh_private_key", "$ANSIBLE_VAULT;1.1;AES256\n3230"),
        ("ddns_token", "$ANSIBLE_VAULT;1.1;AES256"),
        ("wireguard_mesh_address", "{{ nothing }}"),  # as ansible-core 2.16 leaves what it cannot resolve
        ("wireguard_mesh_lan_subnets", ["{{ nothing }}"]),
        ("wireguard_mesh_address", jinja2.StrictUndefined(name="nothing")),
    ],
)
def test_one_fault_has_one_problem_with_its_site_and_variable(mesh, variable, value):
    assert faults(mesh.spoil("site-b", **{variable: value})) == [("site-b", variable)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("tr069_table", "4294967295"),
        ("wireguard_mesh_port", " 22000 "),
        ("ansible_host", "root@172.16.0.2"),
        ("ansible_host", "fd00::2"),
        ("ansible_host", "[fd00::2]"),
        ("ansible_host", "fe80::2%eth0"),
        ("ansible_host", "sitelink_site-b"),  # a container's, an alias of ssh_config
        ("ansible_host", "1001"),
        ("sitelink_serial", "30%"),
        ("sitelink_serial", [1, "50%"]),
        ("nic_dhcp_interface", "eth1"),
        ("tr069_gateway_table", "305"),
        ("wireguard_mesh_fwmark", 0x131),
        ("tr069_gateway_further_interfaces", ["eth2"]),
        ("nic_dhcp_mac", "02:69:01:02:03:04"),
        ("nic_dhcp_client_id", "mac"),
        ("nic_dhcp_client_id", "01" + ":0a" * 47),
        ("nic_dhcp_vendor_class", "ONT 1.0"),
        ("watch_command", ["/usr/bin/mail", "-s", 5]),
        ("ddns_line", "默认"),
        ("ddns_endpoint", "https://api.lab.test:8443/client/v4?x=1"),
    ],
)
def test_what_is_unambiguous_is_taken(mesh, variable, value):
    plan = build(mesh.spoil("site-b", **{variable: value}))
    assert plan["problems"] == [] and plan["warnings"] == []


@pytest.mark.parametrize(
    "way",
    [
        {"ansible_port": 2222},
        {"ansible_ssh_common_args": "-J jump.example.com"},
        {"ansible_user": "me@root@10-b"},
        {"ansible_connection": "local"},
    ],
)
def test_one_address_may_lead_to_two_machines_on_two_ways(mesh, way):
    """A router with two ports; the same LAN behind two jump hosts; and nobody is reached where Ansible goes nowhere."""
    assert faults(mesh.spoil("site-b", ansible_host="172.16.0.1", **way)) == []


def test_a_password_in_a_url_is_refused_and_not_shown(mesh):
    text = message(mesh.spoil("site-b", ddns_endpoint="https://me:s3cret@api.example.com"))
    assert text.startswith("site-b: ddns_endpoint must be one URL without a user") and "s3cret" not in text


def test_nothing_is_said_of_lans_that_could_not_be_read(mesh):
    plan = build(mesh.spoil("site-b", wireguard_mesh_lan_gateway=True, wireguard_mesh_lan_subnets=["192.168.2.1/24"]))
    assert len(plan["problems"]) == 1 and plan["warnings"] == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/24"])
@pytest.mark.parametrize("variable", ["wireguard_mesh_network", "tr069_networks"])
def test_networks_that_are_nobodys(mesh, network, variable):
    mesh.spoil(**{variable: [network] if variable == "tr069_networks" else network})
    assert faults(mesh) == [(None, variable)]


def test_a_vlan_and_its_nic_have_two_names(mesh):
    mesh.spoil("site-b", nic_dhcp_vlan_id=46, nic_dhcp_vlan_parent="eth1")
    assert faults(mesh) == [("site-b", "nic_dhcp_vlan_parent")]
    assert faults(mesh.spoil("site-b", tr069_interface="vlan46")) == []


def test_a_lan_around_others_is_told_to_each(mesh):
    mesh.spoil("site-b", wireguard_mesh_lan_subnets=["192.168.0.0/22"])
    assert faults(mesh) == [(site, "wireguard_mesh_lan_subnets") for site in ("site-a", "site-c")]
    assert all("192.168.0.0/22 behind site-b" in problem["message"] for problem in build(mesh)["problems"])


@pytest.mark.parametrize("variable", ["wireguard_mesh_address", "wireguard_mesh_secret", "ddns_token"])
def test_missing(mesh, variable):
    assert faults(mesh.without("site-b", variable)) == [("site-b", variable)]


def test_a_misspelt_variable_is_a_missing_one(mesh):
    """Both guides quote it, see tests/inventory/test_slips.py."""
    mesh.spoil("site-a", wireguard_mesh_adress="192.168.11.1").without("site-a", "wireguard_mesh_address")
    messages = [problem["message"] for problem in build(mesh)["problems"]]
    assert messages[0].startswith("site-a: wireguard_mesh_address is missing.")
    assert messages[1:] == [
        "site-a: wireguard_mesh_adress is not known to sitelink.tr069. Write wireguard_mesh_address, if that is meant."
    ]


def test_a_variable_that_is_gone_is_told_with_what_to_write_now(mesh):
    assert "the hosts of the group sites" in message(mesh.spoil("site-a", wireguard_mesh_group="vpn"))
    for site in ("site-a", "site-b", "site-c"):
        mesh.spoil(site, wireguard_mesh_group="sites")
    assert message(mesh).startswith("All 3 sites: wireguard_mesh_group is gone")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("wireguard_mesh_keepalve", "wireguard_mesh_keepalive"),
        ("wiregaurd_mesh_mtu", "wireguard_mesh_mtu"),
        ("Wireguard_Mesh_Port", "wireguard_mesh_port"),
        ("wireguard-mesh-port", "wireguard_mesh_port"),
        ("wireguard_mesh_port ", "wireguard_mesh_port"),
        ("ｔｒ069_table", "tr069_table"),
        ("tr069_network", "tr069_networks"),
        ("dns_endpoint", "ddns_endpoint"),
        ("watch_intervall", "watch_interval"),
        ("nic_dhcp_macc", "nic_dhcp_mac"),
        ("sitelink_seral", "sitelink_serial"),
        ("wireguard_mesh_lan", None),
        ("tr069_gateway", None),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_told(mesh, name, meant):
    text = message(mesh.spoil("site-b", **{name: 1}))
    assert (
        text.startswith(f"site-b: {name} is not known") and f"Write {meant}," in text if meant else "options.md" in text
    )


@pytest.mark.parametrize(
    "name",
    [
        "wireguard_port",
        "dns_token",
        "vault_ddns_token",
        "ddns_tokens",
        "watchdog",
        "ansible_password",
        "tr069",
        "ddns_ip",
        "ddns_url",
        "watch_cmd",
    ],
)
def test_an_operators_own_variable_is_nobodys_slip(mesh, name):
    assert faults(mesh.spoil("site-b", **{name: "x"})) == []


@pytest.mark.parametrize(
    "given",
    [
        {
            "tr069_common_ports": ["7547"],
            "tr069_firewall_allow": [{"protocol": "tcp", "ports": "{{ tr069_common_ports }}"}],
        },
        {"ddns_token1": "x", "ddns_providers": [{"provider": "cloudflare", "token": "{{ ddns_token1 }}"}]},
        {"watch_intervals": 9, "watch_interval": "{{ watch_intervals }}"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_variable_that_a_template_names_is_the_operators(mesh, given):
    class HostVars(dict):
        def raw_get(self, name):
            return {**self[name], **given}

    name = next(iter(given))
    mesh.spoil("site-b", **{name: given[name]})
    found = build(HostVars(mesh))["problems"]
    assert [problem for problem in found if problem["variable"] == name] == []


def test_alidns_needs_its_id(mesh):
    assert faults(mesh.spoil("site-b", ddns_provider="alidns")) == [("site-b", "ddns_id")]
    assert faults(mesh.spoil("site-b", ddns_id="LTAI-1")) == []


def test_cloudflare_takes_an_id_only_with_the_global_key(mesh):
    assert faults(mesh.spoil("site-b", ddns_id="me@example.com")) == []


def test_every_slip_of_other_providers_is_told(mesh):
    mesh.spoil("site-b", ddns_providers=[{"provider": "he", "name": "b"}, "dnspod"])
    messages = [problem["message"] for problem in build(mesh)["problems"]]
    assert len(messages) == 3 and all("site-b: ddns_providers (entry " in message for message in messages)


def test_whose_names_a_site_publishes(mesh):
    mesh.spoil(ddns_publish_for=["site-a", "site-b"])
    assert not build(mesh)["problems"]
    assert "no site of the group" in message(mesh.spoil("site-a", ddns_publish_for=["siteb"]))
    assert "[site-b, site-c]" in message(mesh.spoil("site-a", ddns_publish_for="site-b"))
    mesh.spoil("site-a", ddns_publish_for=["site-c"]).spoil("site-b", ddns_publish_for=[]).without(
        "site-c", "ddns_hostname"
    )
    mesh.without("site-c", "ddns_publish_for")
    assert "site-c, which has no ddns_hostname" in message(mesh)


def test_the_accounts_of_the_sites_to_publish_for(mesh):
    mesh.spoil("site-c", ddns_provider="alidns", ddns_id="LTAI", ddns_token="other").without("site-b", "ddns_hostname")
    found = names_to_publish(["site-a", "site-b", "site-c", "gone"], mesh, "site-a")
    assert [site["site"] for site in found] == ["site-c"]
    assert (found[0]["hostname"], found[0]["provider"], found[0]["token"]) == ("site-c.example.com", "alidns", "other")
    assert (found[0]["ttl"], found[0]["extra"]) == (0, {})


def test_ddns_that_is_off_needs_nothing(mesh):
    mesh.without("site-b", "ddns_token").spoil("site-b", ddns_state="absent")
    mesh.without("site-c", "ddns_token").without("site-c", "ddns_hostname").spoil(
        "site-c", wireguard_mesh_endpoint="10.1.1.1"
    )
    assert faults(mesh) == []


def test_one_site_without_a_name_waits_two_never_meet(mesh):
    plan = build(mesh.without("site-b", "ddns_hostname"))
    assert plan["problems"] == [] and plan["sites"]["site-b"]["endpoint"] is None
    assert len(plan["warnings"]) == 1 and plan["warnings"][0].startswith("site-b: ")
    assert faults(mesh.without("site-c", "ddns_hostname")) == [("site-b", "ddns_hostname"), ("site-c", "ddns_hostname")]


def test_keys_that_do_not_belong_together(mesh):
    mesh.spoil("site-b", wireguard_mesh_private_key=KEY_1, wireguard_mesh_public_key=KEY_2)
    assert faults(mesh) == [("site-b", "wireguard_mesh_public_key")]


def test_one_key_on_two_sites(mesh):
    mesh.spoil("site-a", wireguard_mesh_public_key=_keys.public_key(KEY_1))
    mesh.spoil("site-b", wireguard_mesh_private_key=KEY_1)
    assert faults(mesh) == [("site-b", "wireguard_mesh_private_key")]


def test_preshared_keys_need_the_secret_on_every_site(mesh):
    mesh.spoil("site-b", wireguard_mesh_private_key=KEY_1).without("site-b", "wireguard_mesh_secret")
    assert faults(mesh) == [("site-b", "wireguard_mesh_secret")]
    assert faults(mesh.spoil(wireguard_mesh_preshared_keys=False)) == []


def test_a_mesh_without_a_secret_has_no_preshared_keys_and_says_so(mesh):
    for index, site in enumerate(mesh):
        key = base64.b64encode(bytes(range(index, 32 + index))).decode()
        mesh.spoil(site, wireguard_mesh_private_key=key).without(site, "wireguard_mesh_secret")
    plan = build(mesh)
    assert plan["problems"] == [] and plan["preshared_keys"] is False
    assert len(plan["warnings"]) == 1
    assert build(mesh.spoil(wireguard_mesh_preshared_keys=False))["warnings"] == []


@pytest.mark.parametrize(
    "name", ["site b", "site/b", "-b", ".b", "站点", "b" * 64, "..", "b\n", "b.yml", "all", "localhost", "sites", ""]
)
def test_names_that_cannot_be_file_names(mesh, name):
    mesh[name] = mesh.pop("site-b")
    problems = build(mesh)["problems"]
    assert [(problem["site"], problem["variable"]) for problem in problems] == [(name, "inventory_hostname")]


def test_names_that_differ_by_case_only(mesh):
    mesh["Site-A"] = mesh.pop("site-b")
    assert faults(mesh) == [("site-a", "inventory_hostname")]


def test_an_empty_group():
    assert faults({}) == [(None, "sites")]


@pytest.mark.parametrize("network", ["10.9.0.0/24", "10.0.0.0/6", "11.255.255.0/24"])
def test_an_overlay_that_overlaps_the_underlay(mesh, network):
    mesh.spoil(wireguard_mesh_network=network)
    for index, site in enumerate(mesh, 1):
        mesh.spoil(site, wireguard_mesh_address=network.replace("0/24", f"{index}").replace("0/6", f"{index}"))
    assert faults(mesh) == [(None, "wireguard_mesh_network")]


@pytest.mark.parametrize("network", ["192.168.11.1/24", "192.168.11.0", "192.168.11.0/31", "mesh", 24])
def test_an_overlay_that_is_no_network(mesh, network):
    assert faults(mesh.spoil(wireguard_mesh_network=network)) == [(None, "wireguard_mesh_network")]


def test_an_overlay_that_is_too_small(mesh):
    mesh.spoil(wireguard_mesh_network="192.168.11.0/30")
    problems = build(mesh)["problems"]
    assert (None, "wireguard_mesh_network") in [(problem["site"], problem["variable"]) for problem in problems]
    assert "/29" in problems[0]["message"]


def test_a_shared_fault_is_one_problem(mesh):
    assert message(mesh.spoil(wireguard_mesh_mtu=100)).startswith("All 3 sites: wireguard_mesh_mtu is 100.")


def test_all_faults_at_once(mesh):
    mesh.spoil("site-a", wireguard_mesh_address="192.168.12.1", wireguard_mesh_port="x")
    mesh.spoil("site-b", wireguard_mesh_lan_subnets=["192.168.3.0/24"])
    mesh.spoil("site-c", ddns_hostname="c", wireguard_mesh_private_key="x").without("site-c", "ddns_token")
    assert faults(mesh) == [
        ("site-a", "wireguard_mesh_address"),
        ("site-a", "wireguard_mesh_port"),
        ("site-c", "ddns_hostname"),
        ("site-c", "ddns_token"),
        ("site-c", "wireguard_mesh_lan_subnets"),
        ("site-c", "wireguard_mesh_private_key"),
    ]


KEY_TEXT = "c2VjcmV0LXByZXNoYXJlZC1rZXktZm9yLXRlc3RzISE="


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("wireguard_mesh_port", "２２０００", "FULLWIDTH DIGIT TWO"),
        ("wireguard_mesh_port", "２２０００", "Write 22000, with the keyboard in English (half-width) mode."),
        ("tr069_table", "３０５", "Write 305,"),
        ("tr069_fwmark", "０x131", "Write 0x131,"),
        ("tr069_interface", "ｅｔｈ1", "Write eth1,"),
        ("tr069_interface", "enp2s0\u200b", "Write enp2s0,"),
        ("tr069_interface", "\u0435th1", "CYRILLIC SMALL LETTER IE"),
        ("wireguard_mesh_lan_gateway", "ｔｒｕｅ", "Write true,"),
        ("wireguard_mesh_lan_gateway", "“true”", "Write true,"),
        ("tr069_firewall_allow", [{"protocol": "tcp", "ports": ["8000－8010"]}], '"8000-8010"'),
        ("wireguard_mesh_lan_subnets", "［192.168.2.0/24］", "write [192.168.2.0/24], without quotes"),
        ("wireguard_mesh_endpoint", "shenzhen2。example.com", "Write shenzhen2.example.com,"),
        ("wireguard_mesh_endpoint", "深圳.example.com", "Write xn--fes124c.example.com."),
        ("wireguard_mesh_endpoint", "10。0。0。1", "Write 10.0.0.1,"),
        ("wireguard_mesh_external_endpoint", "home。example.com:22000", "Write home.example.com:22000,"),
        # text that looks like a list
        (
            "wireguard_mesh_lan_subnets",
            "[192.168.2.0/24]",
            "is text and no list. In a file of YAML write [192.168.2.0/24], without",
        ),
        (
            "wireguard_mesh_lan_subnets",
            "[192.168.2.0/24]",
            """INI write "['192.168.2.0/24']"; on the command line write JSON, -e""",
        ),
        ("wireguard_mesh_peers_only", "[site-a, site-c]", "write [site-a, site-c], without quotes"),
        ("wireguard_mesh_endpoint_seeds", "['10.0.0.1']", "write [10.0.0.1], without"),
        ("wireguard_mesh_peers_only", "site-a", "which is not a list. Write the sites as a list"),
        # two names, and no advice to make one of them
        ("ddns_hostname", "site-b.example.com,site-d.example.com", "Write a name such as shenzhen.example.com."),
        ("ddns_hostname", "site-b.example.com、site-d.example.com", "Write a name such as shenzhen.example.com."),
        ("ddns_provider", "aliyun", "Write alidns."),
        ("ddns_provider", "阿里云", "Write alidns."),
        ("ddns_provider", "cf", "Write cloudflare."),
        # all at once
        (
            "wireguard_mesh_lan_subnets",
            ["192.168.2.7/24", "x"],
            'one address in a network. Write the network itself: 192.168.2.0/24. It also holds "x"',
        ),
        (
            "tr069_firewall_allow",
            [{"protocol": "icmp", "ports": [1]}, {"protocol": "tcp", "ports": [0]}],
            "one entry for each. It also holds the port 0.",
        ),
        ("ansible_host", "ssh root@172.16.2.2", 'Write "172.16.2.2" here, and the user as ansible_user.'),
    ],
)
def test_problems_say_what_was_meant(mesh, variable, value, advice):
    assert advice in message(mesh.spoil("site-b", **{variable: value}))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (
            "wireguard_mesh_external_peers",
            [{"name": "phone", "address": "192.168.11.100", "sites": ["site-a"], "preshared_key": KEY_TEXT}],
        ),
        ("wireguard_mesh_external_peers", {"name": "phone", "private_key": KEY_TEXT}),
        ("wireguard_mesh_external_peers", [{"name": "phone", "address": "192.168.11．100", "public_key": KEY_TEXT}]),
        ("wireguard_mesh_peers_only", f"[{KEY_TEXT}]"),
        ("wireguard_mesh_external_peers", ["phone 192.168.11.100 " + KEY_TEXT]),
        ("wireguard_mesh_external_peers", "phone " + KEY_TEXT),
        ("wireguard_mesh_preshared_keys", KEY_TEXT),
        ("wireguard_mesh_endpoint", KEY_TEXT),
        ("wireguard_mesh_keepalive", KEY_TEXT),
        ("wireguard_mesh_peers_only", KEY_TEXT),
        ("ansible_host", "root:" + KEY_TEXT + "@172.16.0.2"),
        ("ansible_host", "root:s3cret@172.16.0.2"),
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(mesh, variable, value):
    text = json.dumps(build(mesh.spoil("site-b", **{variable: value}))["problems"])
    assert variable in text and KEY_TEXT[:20] not in text and "s3cret" not in text


@pytest.mark.parametrize(
    ("variable", "value"), [("nic_dhcp_mac", "02:69:01:02:03:04"), ("nic_dhcp_client_id", "01:02:69:01:02:03:04")]
)
def test_two_sites_with_one_identity(mesh, variable, value):
    mesh.spoil("site-a", **{variable: value})
    assert faults(mesh) == []
    mesh.spoil("site-c", **{variable: value.upper()})
    assert faults(mesh) == [("site-c", variable)] and "which site-a has as well" in message(mesh)


def test_the_nic_itself_may_be_the_client_everywhere(mesh):
    assert faults(mesh.spoil(nic_dhcp_client_id="mac")) == []
    assert faults(mesh.spoil(nic_dhcp_mac="02:69:01:02:03:04", nic_dhcp_state="absent")) == []  # nobody uses it


@pytest.mark.parametrize("path", ["/usr/local/lib/some/programs/of/this/operator", "/srv/" + "a" * 60])
def test_a_long_path_is_no_key(mesh, path):
    assert path[:60] in message(mesh.spoil("site-b", wireguard_mesh_endpoint=path))


def test_a_list_of_mappings_as_text_gets_the_example(mesh):
    words = message(mesh.spoil("site-b", tr069_firewall_allow="[{protocol: tcp, ports: [443]}]"))
    assert "which is not a list. Write a list, such as [{protocol: tcp, ports: [443]" in words


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({"wireguard_mesh_underlay_mtu": 9000}, None),  # of a NIC that the operator sets up
        ({"wireguard_mesh_underlay_mtu": 1500, "nic_dhcp_mtu": 1492}, "wireguard_mesh_underlay_mtu"),
        ({"nic_dhcp_mtu": 1280}, "nic_dhcp_mtu"),
        ({"nic_dhcp_mtu": 1400, "wireguard_mesh_mtu": 1380}, "nic_dhcp_mtu"),
        ({"wireguard_mesh_underlay_mtu": 9000, "nic_dhcp_mtu": 9000}, None),
        ({"wireguard_mesh_underlay_mtu": 9000, "nic_dhcp_mtu": 1500, "nic_dhcp_state": "absent"}, None),
        ({"wireguard_mesh_underlay_mtu": 1492, "nic_dhcp_mtu": 1492}, None),
        ({"nic_dhcp_mtu": 1492}, None),  # 1420 and 60 fit
        ({"wireguard_mesh_underlay_mtu": 1400}, None),
    ],
)
def test_what_the_mesh_sends_fits_the_nic(mesh, given, variable):
    assert faults(mesh.spoil("site-b", **given)) == ([("site-b", variable)] if variable else [])


def test_an_external_peers_lan_is_not_half_of_the_carriers_network(mesh):
    mesh.spoil(wireguard_mesh_external_peers=[{**ROUTER, "lan_subnets": ["10.0.0.0/8"]}])
    assert "overlaps 10.0.0.0/7 (the carrier's network)" in message(mesh)


@pytest.mark.parametrize(
    "name",
    [
        "wireguard mesh lan gateway",
        "tr069.interface",
        "wireguardMeshPort",
        "nic-dhcp-mtu",
        "Tr069_Interface",
    ],
)
def test_a_name_in_another_style_is_told(mesh, name):
    assert "is not known to sitelink.tr069. Write " in message(mesh.spoil("site-b", **{name: 1400}))


def test_one_machine_by_two_spellings_of_its_address(mesh):
    mesh.spoil("site-a", ansible_host="fd00::1").spoil("site-b", ansible_host="[fd00::1]")
    assert faults(mesh) == [("site-b", "ansible_host")]


def ansible_s_own_variables():
    """Those that the plugins of ansible-core read for a connection, from their documentation."""
    base = pathlib.Path(ansible.__file__).parent / "plugins"
    found = set()
    for kind in ("become", "connection", "shell"):
        for path in (base / kind).glob("*.py"):
            found |= set(re.findall(r"- name: (ansible_\w+)", path.read_text()))
    return sorted(found)


@pytest.mark.parametrize(
    "name",
    [*ansible_s_own_variables(), "ansible_doas_pass", "ansible_sesu_exe", "ansible_pbrun_flags", "ansible_scp_if_ssh"],
)
def test_no_variable_of_ansible_s_own_is_refused(mesh, name):
    if name in ("ansible_host", "ansible_ssh_host", "ansible_port"):
        return
    mesh.spoil("site-b", **{name: "x"})
    assert [fault for fault in faults(mesh) if fault[1].startswith("ansible_")] == []


def test_ansible_s_own_variables_were_found():
    assert len(ansible_s_own_variables()) > 40 and "ansible_ssh_common_args" in ansible_s_own_variables()


def test_an_older_name_of_the_address_is_read_as_well(mesh):
    mesh.without("site-b", "ansible_host").spoil("site-b", ansible_ssh_host="192.168.11.77")
    assert faults(mesh) == [("site-b", "ansible_ssh_host")]
    mesh.spoil("site-b", ansible_ssh_host="FILL-ME-IN")
    assert faults(mesh) == [("site-b", "ansible_ssh_host")]


def test_a_name_that_is_an_address_is_where_ansible_goes(mesh):
    mesh.without("site-a", "ansible_host")
    assert faults(mesh) == []
    values = mesh.pop("site-a")
    mesh["192.168.11.77"] = values
    (problem,) = build(mesh)["problems"]
    assert problem["message"].startswith(
        "192.168.11.77: ansible_host is missing, so that Ansible goes by the site's name, to 192.168.11.77, in the overlay"
    )
    mesh["172.16.9.9"] = mesh.pop("192.168.11.77")
    assert faults(mesh) == []
    mesh.spoil("site-b", ansible_host="172.16.9.9")
    assert {fault[1] for fault in faults(mesh)} == {"ansible_host"}


def test_a_gateway_that_is_named_is_the_carriers(mesh):
    for address in ("192.168.1.1", "192.168.11.1", "100.64.0.1"):
        mesh.spoil("site-b", tr069_gateway_source=address)
        assert faults(mesh) == [("site-b", "tr069_gateway_source")]
    for source in ("10.23.64.1", "11.1.2.3", "first_host", "lease"):
        mesh.spoil("site-b", tr069_gateway_source=source)
        assert faults(mesh) == []


@pytest.mark.parametrize("variable", ["ddns_ca_file", "ddns_wheel_file"])
def test_a_file_for_the_sites_is_on_the_controller(mesh, variable, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    mesh.spoil("site-b", **{variable: str(tmp_path / "ca.pem")})
    assert faults(mesh) == [("site-b", variable)]
    (tmp_path / "ca.pem").write_text("")
    assert faults(mesh) == []
    assert faults(mesh.spoil("site-b", **{variable: "~/ca.pem"})) == []


@pytest.mark.parametrize("url", ["foo", "http://router.lab.test/ddns", "https://"])
def test_a_callback_is_a_url(mesh, url):
    mesh.spoil("site-b", ddns_provider="callback", ddns_id=url)
    assert faults(mesh) == [("site-b", "ddns_id")]
    assert all(url not in problem["message"] for problem in build(mesh)["problems"] if url != "https://")
    mesh.spoil("site-b", ddns_id="https://router.lab.test?name=__DOMAIN__&ip=__IP__")
    assert faults(mesh) == []
    entry = {"provider": "callback", "name": "x.lab.test", "id": url}
    mesh.spoil("site-b", ddns_providers=[entry])
    assert faults(mesh) == [("site-b", "ddns_providers")]


def test_an_external_peer_is_not_found_where_a_site_is(mesh):
    peer = {
        "name": "phone",
        "address": "192.168.11.77",
        "public_key": "A" * 42 + "8=",
        "endpoint": "home.example.com:22000",
    }
    mesh.spoil("site-b", wireguard_mesh_external_peers=[peer])
    assert faults(mesh) == []
    mesh.spoil("site-b", wireguard_mesh_external_endpoint="home.example.com:22000")
    assert faults(mesh) == [("site-b", "wireguard_mesh_external_peers")]
    mesh.spoil("site-b", wireguard_mesh_external_endpoint="home.example.com:22001", ddns_hostname="home.example.com")
    assert faults(mesh) == [("site-b", "wireguard_mesh_external_peers")]


def test_a_suggested_address_is_no_external_peers(mesh):
    peer = {"name": "phone", "address": "192.168.11.1", "public_key": "A" * 42 + "8="}
    mesh.spoil("site-b", wireguard_mesh_external_peers=[peer]).without("site-a", "wireguard_mesh_address")
    (problem,) = build(mesh)["problems"]
    assert "such as 192.168.11.1." not in problem["message"] and "such as 192.168.11.4." in problem["message"]


@pytest.mark.parametrize(
    ("values", "variable", "advice"),
    [
        ({"tr069_networks": ["192.168.0.0/16"]}, "wireguard_mesh_network", "such as 172.30.11.0/24."),
        (
            {"tr069_networks": ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8"]},
            "wireguard_mesh_network",
            "Write a private network outside of it.",
        ),
        ({"nic_dhcp_mtu": 576}, "nic_dhcp_mtu", "Write at least 1360,"),
        ({"nic_dhcp_mtu": 1340}, "nic_dhcp_mtu", "Write at least 1360,"),
        ({"nic_dhcp_mtu": 1400}, "nic_dhcp_mtu", "Write wireguard_mesh_underlay_mtu: 1400 as well."),
        ({"nic_dhcp_vlan_parent": "wg0", "nic_dhcp_vlan_id": 46}, "nic_dhcp_vlan_parent", "Write the NIC's name."),
    ],
)
def test_advice_is_not_refused_in_its_turn(mesh, values, variable, advice):
    for site in mesh:
        mesh.spoil(site, **values)
    assert [
        problem["message"]
        for problem in build(mesh)["problems"]
        if problem["variable"] == variable and advice in problem["message"]
    ]


def test_free_addresses_are_suggested_once(mesh):
    mesh.without("site-a", "wireguard_mesh_address").without("site-c", "wireguard_mesh_address")
    messages = [problem["message"] for problem in build(mesh)["problems"]]
    assert "192.168.11.1." in messages[0] and "192.168.11.3." in messages[1]


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("wireguard_mesh_address", "１92.168.11.2", "FULLWIDTH DIGIT ONE"),
        ("wireguard_mesh_address", "192.168.11，2", "Write 192.168.11.2,"),
        # both guides quote it, see tests/inventory/test_slips.py
        (
            "wireguard_mesh_address",
            "192。168。11。1",
            "Write 192.168.11.1, with the keyboard in English (half-width) mode.",
        ),
        ("wireguard_mesh_address", "192.168.11.2/24", "192.168.11.2."),
        ("wireguard_mesh_lan_subnets", ["192.168.2.7/24"], "192.168.2.0/24"),
        ("wireguard_mesh_lan_subnets", "192.168.2.0/24", "[192.168.2.0/24]"),
        ("ddns_provider", "godaddy", "cloudflare or alidns"),
        ("ddns_provider", "CloudFlare", "Write cloudflare."),
        ("wireguard_mesh_address", "“192.168.11.2”", "Write 192.168.11.2,"),
        ("wireguard_mesh_address", "192.168.11.2\u200b", "Write 192.168.11.2,"),
        ("wireguard_mesh_address", "192.168.11.2,", "Write 192.168.11.2,"),
        ("wireguard_mesh_address", "192.168.11.2:22000", "192.168.11.2."),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/255.255.255.0"], "192.168.2.0/24."),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/33"], "prefix length from 0 to 32"),
        ("wireguard_mesh_lan_subnets", "192.168.2.0/24，192.168.20.0/24", "[192.168.2.0/24, 192.168.20.0/24]"),
        ("wireguard_mesh_lan_subnets", ["192.168.2.0/24、192.168.20.0/24"], "[192.168.2.0/24, 192.168.20.0/24]"),
        ("ansible_host", "172.16.0.2:2222", "Write 172.16.0.2 here, and the port of SSH as ansible_port: 2222."),
        ("ansible_host", "root@172.16.0.2:2222", "Write root@172.16.0.2 here"),
        ("ansible_host", "172.16.0.2/24", "172.16.0.2."),
        ("ansible_host", "172。16。0。2", "Write 172.16.0.2,"),
        ("ddns_hostname", "site-b.example.com.", "Write site-b.example.com."),
        ("ddns_hostname", "site-b。example。com", "Write site-b.example.com,"),
        ("ddns_hostname", "https://site-b.example.com/", "Write site-b.example.com."),
        ("ddns_hostname", "site-b.example.com:22000", "Write site-b.example.com."),
        ("ddns_hostname", "深圳.example.com", "Write xn--fes124c.example.com."),
        ("ddns_hostname", "b" * 64 + ".example.com", "at most 63"),
        ("ddns_hostname", "10.0.0.1", "but an address"),
        ("tr069_interface", "wg0", "such as eth1."),
        ("ddns_token", "$ANSIBLE_VAULT;1.1;AES256", "!vault"),
        ("wireguard_mesh_private_key", "c2hvcnQ=", "wg genkey"),
    ],
)
def test_problems_say_what_to_write(mesh, variable, value, advice):
    assert advice in message(mesh.spoil("site-b", **{variable: value}))


@pytest.mark.parametrize("digest_of", ["wireguard_mesh_secret", "wireguard_mesh_private_key", "ddns_token"])
def test_published_secrets_are_refused_outside_the_lab(mesh, digest_of, monkeypatch):
    published = {
        "wireguard_mesh_secret": PUBLISHED,
        "wireguard_mesh_private_key": KEY_1,
        "ddns_token": "lab-cloudflare-token-0001",
    }[digest_of]
    monkeypatch.setattr(_published, "is_published", lambda secret: secret == published)
    monkeypatch.setattr(secrets, "is_published", lambda secret: secret == published)
    mesh.spoil(None if digest_of == "wireguard_mesh_secret" else "site-b", **{digest_of: published})
    found = build(mesh)["problems"]
    assert [problem["variable"] for problem in found] == [digest_of]
    assert published not in found[0]["message"] and "public repository" in found[0]["message"]
    assert faults(mesh.spoil(wireguard_mesh_accept_published_secrets=True)) == []


def test_the_published_secrets_are_known():
    for secret in (
        PUBLISHED,
        "example-mesh-secret-published-never-use-it-anywhere",
        "lab-cloudflare-token-0001",
        "lab-alidns-secret-0001",
        "example-cloudflare-token",
        "example-alidns-secret",
    ):
        assert _published.is_published(secret)
    assert not _published.is_published(SECRET)


@pytest.mark.parametrize(
    "variable",
    ["wireguard_mesh_secret", "wireguard_mesh_private_key", "wireguard_mesh_public_key", "ddns_token", "ddns_id"],
)
@pytest.mark.parametrize(
    "value",
    [
        "SECRETMARK",
        " SECRETMARK\n",
        "SECRETMARK" * 10,
        "SECRETMARK{{ nothing }}",
        "SECRETMARK\udcff",
        ["SECRETMARK"],
        {"SECRETMARK": "SECRETMARK"},
        jinja2.StrictUndefined(name="SECRETMARK"),
    ],
)
def test_no_problem_quotes_a_secret(mesh, variable, value):
    assert "SECRETMARK" not in json.dumps(build(mesh.spoil("site-b", **{variable: value})))


class OldVault:
    """An inline vault value as ansible-core before 2.19 hands it to filters: no str, decrypted by str()."""

    __ENCRYPTED__ = True

    def __init__(self, plain):
        self._plain = plain

    def __str__(self):
        if self._plain is None:
            raise ValueError("SECRETMARK")
        return self._plain


def test_inline_vault_values_are_text(mesh):
    expected = build(mesh)
    vaulted = mesh.spoil(wireguard_mesh_secret=OldVault(SECRET + "\n"), ddns_token=OldVault(TOKEN))
    assert build(vaulted) == expected


def test_a_vault_that_cannot_be_opened(mesh):
    mesh.spoil("site-b", wireguard_mesh_secret=OldVault(None), wireguard_mesh_port=OldVault(None))
    assert faults(mesh) == [("site-b", "wireguard_mesh_port"), ("site-b", "wireguard_mesh_secret")]
    assert "SECRETMARK" not in json.dumps(build(mesh))


class Failing(dict):
    """Variables one of which fails as it is read, with a message that must not be shown."""

    def __getitem__(self, variable):
        if variable == "wireguard_mesh_address":
            raise ValueError("SECRETMARK")
        return super().__getitem__(variable)


def test_a_template_that_fails(mesh):
    mesh["site-b"] = Failing(mesh["site-b"])
    assert faults(mesh) == [("site-b", "wireguard_mesh_address")]
    assert "SECRETMARK" not in json.dumps(build(mesh))


def test_templates_are_quoted_so_that_nobody_renders_them(mesh):
    class HostVars(dict):
        def raw_get(self, name):
            return self[name]

    mesh.spoil("site-b", wireguard_mesh_address="{{ nothing }}", wireguard_mesh_secret="{{ SECRETMARK }}")
    text = json.dumps(build(HostVars(mesh)))
    assert "nothing" in text and "{{" not in text and "SECRETMARK" not in text


def test_variables_that_cannot_be_read_at_all(mesh):
    names = [*mesh, "site-d"]
    assert ("site-d", "hostvars") in [(found["site"], found["variable"]) for found in build(mesh, names)["problems"]]


def test_each_site_is_read_once(mesh):
    class HostVars(dict):
        reads = 0

        def __getitem__(self, name):
            HostVars.reads += 1
            return super().__getitem__(name)

    build_plan(["site-c", "site-a", "site-b", "site-a"], HostVars(mesh))
    assert HostVars.reads == 3


def test_peers(mesh):
    plan = build(mesh)
    peers = peers_of(plan, "site-b", SECRET)
    assert [peer["name"] for peer in peers] == ["site-a", "site-c"]
    assert peers[0] == {
        "name": "site-a",
        "address": "192.168.11.1",
        "public_key": plan["sites"]["site-a"]["public_key"],
        "allowed_ips": ["192.168.11.1/32", "192.168.1.0/24"],
        "endpoint": {"host": "site-a.example.com", "port": 22000},
        "seeds": [],
        "external": False,
        "at_once": False,
        "preshared_key": _keys.MeshKeys(SECRET, "sitelink").preshared_keys(("site-a", 1), [("site-b", 1)])[0],
    }
    assert all("preshared_key" not in peer for peer in peers_of(plan, "site-b"))
    without = build(mesh.spoil(wireguard_mesh_preshared_keys=False))
    assert all("preshared_key" not in peer for peer in peers_of(without, "site-b", SECRET))


def test_a_new_generation_changes_the_site_s_own_pairs_only(mesh):
    def preshared(site):
        return {peer["name"]: peer["preshared_key"] for peer in peers_of(build(mesh), site, SECRET)}

    before = preshared("site-a")
    mesh.spoil("site-b", wireguard_mesh_key_generation=2)
    after = preshared("site-a")
    assert before["site-b"] != after["site-b"] and before["site-c"] == after["site-c"]
    assert preshared("site-b")["site-a"] == after["site-b"]


def test_a_key_that_others_may_have_ends_at_once(mesh):
    """A phone's new key always does: its new file is brought to it by hand, and it says nothing about its keys."""
    mesh.spoil("site-b", wireguard_mesh_key_at_once=True)
    mesh.spoil(wireguard_mesh_external_peers=[{**PHONE, "sites": ["site-a"]}])
    plan = build(mesh)
    at_once = {peer["name"]: peer["at_once"] for peer in peers_of(plan, "site-a")}
    assert at_once == {"site-b": True, "site-c": False, PHONE["name"]: True}
    assert [plan["sites"][site]["key_at_once"] for site in ("site-a", "site-b")] == [False, True]


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        ("443/tcp", "not a list"),
        ([443], "Write each entry like"),
        ([{"protocol": "icmp", "ports": [1]}], "Write tcp or udp"),
        ([{"protocol": "tcp"}], "Write a list of them"),
        ([{"protocol": "tcp", "ports": 443}], "Write a list of them"),
        ([{"protocol": "tcp", "ports": ["8010-8000"]}], "a range such as"),
        ([{"protocol": "tcp", "ports": [65536]}], "a range such as"),
        ([{"protocol": "tcp", "ports": [True]}], "a range such as"),
        ([{"protocol": "tcp", "ports": ["22; flush ruleset"]}], "a range such as"),
        ([{"protocol": "tcp", "port": [22]}], '"port"'),
        ([{"protocol": "tcp", "ports": [22], "sources": []}], "empty sources"),
        ([{"protocol": "tcp", "ports": [22], "sources": ["10.23.64.1/20"]}], "10.23.64.0/20"),
        ([{"protocol": "tcp", "ports": [22], "sources": ["192.168.1.0/24"]}], "outside the carrier's network"),
        ([{"protocol": "udp", "ports": [22000]}], "WireGuard's"),
    ],
)
def test_what_the_carrier_may_reach_is_checked(mesh, allow, words):
    mesh.spoil("site-b", tr069_firewall_allow=allow)
    assert faults(mesh) == [("site-b", "tr069_firewall_allow")]
    assert words in message(mesh)


@pytest.mark.parametrize(
    ("variable", "wrong", "right", "words"),
    [
        ("tr069_table", [254, 0, "main", True, -1], [305, "306", 4294967295], "Write"),
        ("tr069_fwmark", ["0x", "0", 0, "0x100000000", "mark", [305]], ["0x131", "0X131", 305, "305"], "such as 0x131"),
        ("tr069_rule_priority", [0, 32766, "low"], [305, "306"], "32765"),
        (
            "tr069_gateway_source",
            ["dhcp", "10.0.0", "0.0.0.0", "224.0.0.1", 305],
            ["lease", "10.23.64.1"],
            "first_host",
        ),
        ("tr069_gateway_state", ["gone"], ["absent"], "present or absent"),
    ],
)
def test_the_settings_of_the_gateway_are_checked(mesh, variable, wrong, right, words):
    for value in wrong:
        mesh.spoil("site-b", **{variable: value})
        assert faults(mesh) == [("site-b", variable)], value
        assert words in message(mesh)
    for value in right:
        mesh.spoil("site-b", **{variable: value})
        assert faults(mesh) == [], value


def test_right_entries_of_what_the_carrier_may_reach(mesh):
    mesh.spoil(
        "site-b", tr069_firewall_allow=[{"protocol": "tcp", "ports": [443, "8000-8010"], "sources": ["10.23.64.0/20"]}]
    )
    assert faults(mesh) == []


def test_a_mesh_that_is_planned_only_is_told(mesh):
    """A run that does nothing is no success."""
    [problem] = build(mesh.spoil(wireguard_mesh_state="planned"))["problems"]
    assert problem["site"] is None and "wireguard_mesh_state is planned for every site" in problem["message"]
    assert build(mesh.spoil(wireguard_mesh_state="absent"))["problems"] == []  # what remove leaves


@pytest.mark.parametrize("state", ["planned", "absent"])
def test_a_site_that_is_not_present_is_in_nobody_s_files_and_blocks_nobody(mesh, state):
    alone = build({name: mesh[name] for name in ("site-a", "site-c")})
    mesh["site-b"] = {"wireguard_mesh_state": state, "wireguard_mesh_address": "FILL-ME-IN", "ddns_hostname": 7}
    plan = build(mesh)
    assert plan["problems"] == []
    assert plan["states"] == {"site-a": "present", "site-b": state, "site-c": "present"}
    assert plan["sites"] == alone["sites"]


def test_the_mtu_follows_from_the_underlay_s(mesh):
    mesh.spoil("site-a", wireguard_mesh_underlay_mtu=1492)
    mesh.spoil("site-b", wireguard_mesh_underlay_mtu=1492, wireguard_mesh_mtu=1380)
    assert [site["mtu"] for site in build(mesh)["sites"].values()] == [1412, 1380, 1420]


def names_of_peers(plan):
    return {name: [peer["name"] for peer in peers_of(plan, name, SECRET)] for name in plan["sites"]}


def test_a_site_that_only_talks_to_some(mesh):
    mesh.spoil("site-b", wireguard_mesh_peers_only=["site-a"])
    assert names_of_peers(build(mesh)) == {"site-a": ["site-b", "site-c"], "site-b": ["site-a"], "site-c": ["site-a"]}
    # Each names the other, or nobody is named.
    assert faults(mesh.spoil("site-a", wireguard_mesh_peers_only=["site-c"])) == [
        ("site-b", "wireguard_mesh_peers_only")
    ]
    assert faults(mesh.spoil("site-a", wireguard_mesh_peers_only=["site-b"])) == []


PHONE = {"name": "phone", "address": "192.168.11.100", "sites": ["site-b"]}
ROUTER = {
    "name": "router", "address": "192.168.11.101", "public_key": KEY_2, "lan_subnets": ["192.168.40.0/24"],
    "endpoint": "router.example.com:51820", "preshared_key": False,
}  # fmt: skip


def test_external_peers(mesh):
    mesh.spoil(wireguard_mesh_external_peers=[PHONE, ROUTER])
    mesh.spoil("site-b", wireguard_mesh_external_endpoint="home.example.com:22000", wireguard_mesh_underlay_mtu=1492)
    plan = build(mesh)
    assert plan["problems"] == []
    assert names_of_peers(plan) == {
        "site-a": ["router", "site-b", "site-c"],
        "site-b": ["phone", "router", "site-a", "site-c"],
        "site-c": ["router", "site-a", "site-b"],
    }
    phone, router, *_ = peers_of(plan, "site-b", SECRET)
    assert (router["public_key"], router["allowed_ips"]) == (KEY_2, ["192.168.11.101/32", "192.168.40.0/24"])
    assert router["endpoint"] == {"host": "router.example.com", "port": 51820} and "preshared_key" not in router
    told = client(plan, "phone", SECRET)
    assert _keys.public_key(told["private_key"]) == phone["public_key"]
    assert (told["address"], told["mtu"]) == ("192.168.11.100", 1412)
    assert told["peers"] == [
        {
            "name": "site-b",
            "public_key": plan["sites"]["site-b"]["public_key"],
            "allowed_ips": ["192.168.11.2/32", "192.168.2.0/24"],
            "endpoint": {"host": "home.example.com", "port": 22000},
            "preshared_key": phone["preshared_key"],
        }
    ]
    assert client(plan, "router", SECRET)["private_key"] is None
    assert told["private_key"] not in json.dumps(plan)
    # No site could come to have the keys of an external peer.
    assert _keys.MeshKeys(SECRET, "sitelink").private_key("phone", 1) != told["private_key"]


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ("phone", "not a list"),
        (["phone"], "Write each entry like"),
        ([{"name": "phone"}], "without address"),
        ([{**PHONE, "private_key": "x"}], "a key that is not known"),
        ([PHONE, PHONE], "twice"),
        ([{**PHONE, "address": "192.168.11.1"}], "already has"),
        ([{**PHONE, "address": "192.168.12.1"}], "no host of the overlay"),
        ([{**PHONE, "name": "site-c"}], "the name of a site"),
        ([{**PHONE, "sites": ["site-x"]}], "no site of the inventory"),
        ([{**PHONE, "public_key": KEY_1[:-4]}], "not a WireGuard key"),
        ([{**PHONE, "endpoint": "10.1.2.3"}], "and a port"),
        ([{**ROUTER, "lan_subnets": ["192.168.1.128/25"]}], "overlaps 192.168.1.0/24 (site-a)"),
        ([{**ROUTER, "lan_subnets": ["192.168.11.0/25"]}], "the overlay"),
        (
            [ROUTER, {**ROUTER, "name": "other", "address": "192.168.11.102", "lan_subnets": [], "endpoint": None}],
            "already has",
        ),
        ([ROUTER, {**PHONE, "lan_subnets": ["192.168.40.0/25"]}], "(router)"),
    ],
)
def test_wrong_external_peers(mesh, peers, words):
    mesh.spoil(wireguard_mesh_external_peers=peers)
    found = build(mesh)["problems"]
    assert {problem["variable"] for problem in found} == {"wireguard_mesh_external_peers"}
    assert words in found[0]["message"] and KEY_1[:-4] not in found[0]["message"]


def test_one_external_peer_is_the_same_on_every_site(mesh):
    mesh.spoil("site-a", wireguard_mesh_external_peers=[{**PHONE, "sites": []}])
    mesh.spoil("site-c", wireguard_mesh_external_peers=[{**PHONE, "sites": [], "address": "192.168.11.111"}])
    assert faults(mesh) == [("site-c", "wireguard_mesh_external_peers")]


def test_an_overlay_of_both_kinds(mesh):
    mesh.spoil(wireguard_mesh_network6="fd5c:1d2e:3f40::/64")
    mesh.spoil("site-b", wireguard_mesh_address6="fd5c:1d2e:3f40::b")
    mesh.spoil(wireguard_mesh_external_peers=[{"name": "phone", "address": "192.168.11.100", "sites": ["site-a"]}])
    plan = build(mesh)
    assert plan["problems"] == [] and plan["network6"] == "fd5c:1d2e:3f40::/64"
    assert plan["sites"]["site-a"]["addresses"] == ["192.168.11.1/24", "fd5c:1d2e:3f40::1/64"]
    assert plan["sites"]["site-b"]["allowed_ips"] == ["192.168.11.2/32", "fd5c:1d2e:3f40::b/128", "192.168.2.0/24"]
    assert plan["external_peers"]["phone"]["allowed_ips"] == ["192.168.11.100/32", "fd5c:1d2e:3f40::64/128"]
    assert client(plan, "phone", SECRET)["addresses"] == ["192.168.11.100/32", "fd5c:1d2e:3f40::64/128"]


@pytest.mark.parametrize(
    ("site", "variables", "words"),
    [
        (None, {"wireguard_mesh_network6": "fd5c::/130"}, "not an IPv6 network"),
        (None, {"wireguard_mesh_network6": "192.168.11.0/24"}, "not an IPv6 network"),
        (None, {"wireguard_mesh_network6": "fd5c::1/64"}, "Write the network itself: fd5c::/64"),
        (None, {"wireguard_mesh_network6": "fe80::/64"}, "which no overlay can use"),
        (None, {"wireguard_mesh_network6": "fd5c::/127"}, "no room for two sites"),
        (None, {"wireguard_mesh_network6": "fd5c::/124"}, "is smaller than 192.168.11.0/24"),
        ("site-a", {"wireguard_mesh_network6": "fd5d::/64"}, "is fd5d::/64, but fd5c::/64 on 2 other site(s)"),
        ("site-a", {"wireguard_mesh_address6": "fd5d::1"}, "which no host of fd5c::/64"),
        ("site-a", {"wireguard_mesh_address6": "fd5c::"}, "which no host of fd5c::/64"),
        ("site-a", {"wireguard_mesh_address6": "fd5c::1/64"}, "Write the address alone: fd5c::1"),
        ("site-b", {"wireguard_mesh_address6": "fd5c::1"}, "is fd5c::1, which site-a already has"),
        (None, {"wireguard_mesh_network6": "", "wireguard_mesh_address6": "fd5c::1"}, "wireguard_mesh_network6 is not"),
        (
            "site-b",
            {
                "wireguard_mesh_address6": "fd5c::64",
                "wireguard_mesh_external_peers": [{"name": "phone", "address": "192.168.11.100"}],
            },
            "holds phone, whose IPv6 address would be fd5c::64, which site-b already has",
        ),
    ],
)
def test_wrong_overlays_of_ipv6(mesh, site, variables, words):
    mesh.spoil(wireguard_mesh_network6="fd5c::/64")
    mesh.spoil(site, **variables)
    assert words in " ".join(problem["message"] for problem in build(mesh)["problems"])


def test_the_daemon_s_port_is_known():
    text = (pathlib.Path(__file__).parents[4] / "roles/site_agent/files/sitelink/tell.py").read_text()
    assert f"PORT = {DAEMON_PORT}\n" in text


def exits(mesh, when="broadband_down"):
    """site-b may use the internet of site-a and site-c."""
    mesh.spoil("site-b", wireguard_mesh_exits=["site-a", "site-c"], wireguard_mesh_exit_when=when)
    mesh.spoil("site-a", wireguard_mesh_exit_for=["site-b"])
    mesh.spoil("site-c", wireguard_mesh_exit_for=["site-b"])
    return mesh


def test_internet_through_another_site(mesh):
    plan = build(exits(mesh))
    assert plan["problems"] == []
    assert plan["sites"]["site-b"]["exit"] == {
        "when": "broadband_down",
        "sites": ["site-a", "site-c"],
        "targets": ["223.5.5.5", "119.29.29.29", "180.76.76.76"],
        "resolvers": ["223.5.5.5", "119.29.29.29"],
        "return_after": 20,
        "table": 306,
        "priority": 306,
    }
    assert [site["exit_for"] for site in plan["sites"].values()] == [["site-b"], [], ["site-b"]]
    assert {"10.0.0.0/7", "10.0.0.0/8", "192.168.0.0/16", "192.168.11.0/24"} <= set(plan["inside"])
    assert build(exits(mesh, "never"))["sites"]["site-b"]["exit"] is None


@pytest.mark.parametrize("end", ["wireguard_mesh_exits", "wireguard_mesh_exit_for"])
def test_one_side_alone_is_told_of_the_other(mesh, end):
    exits(mesh)
    site, other = ("site-a", "site-b") if end == "wireguard_mesh_exits" else ("site-b", "site-a")
    mesh.spoil(site, **{"wireguard_mesh_exit_for" if end == "wireguard_mesh_exits" else "wireguard_mesh_exits": None})
    problems = [problem for problem in build(mesh)["problems"] if problem["variable"] == end]
    assert problems and {problem["site"] for problem in problems} <= {"site-b", "site-a", "site-c"}
    text = next(problem["message"] for problem in problems if problem["site"] == other)
    assert f"names {site}" in text and "does not name this site" in text and f"write {other} into" in text


def test_an_exit_that_is_only_planned_is_no_fault(mesh):
    assert faults(exits(mesh).spoil("site-c", wireguard_mesh_state="planned")) == []


@pytest.mark.parametrize(
    ("site", "variable", "value"),
    [
        ("site-b", "wireguard_mesh_exits", ["site-a", "site-c", "site-b"]),
        ("site-b", "wireguard_mesh_exits", ["site-a", "site-c", "site-x"]),
        ("site-a", "wireguard_mesh_exit_for", ["site-b", "site-x"]),
        ("site-b", "wireguard_mesh_exits", "site-a"),
        ("site-b", "wireguard_mesh_exit_when", "sometimes"),
        ("site-b", "wireguard_mesh_exit_targets", []),
        ("site-b", "wireguard_mesh_exit_targets", ["192.168.1.1"]),
        ("site-b", "wireguard_mesh_exit_resolvers", ["11.1.1.1"]),
        ("site-b", "wireguard_mesh_exit_resolvers", ["dns.example.com"]),
        ("site-b", "wireguard_mesh_exit_return_after", 0),
        ("site-b", "wireguard_mesh_exit_table", 305),
        ("site-b", "wireguard_mesh_exit_table", 254),
        ("site-b", "wireguard_mesh_exit_rule_priority", 305),
        ("site-b", "wireguard_mesh_exit_rule_priority", 32765),
        ("site-b", "wireguard_mesh_uplink", "eth1"),
        ("site-a", "wireguard_mesh_uplink", "wg0"),
        ("site-a", "wireguard_mesh_uplink", "the broadband"),
    ],
)
def test_exits_that_cannot_be(mesh, site, variable, value):
    assert (site, variable) in faults(exits(mesh).spoil(site, **{variable: value}))


def test_an_exit_needs_its_firewall_and_its_own_broadband(mesh):
    assert faults(exits(mesh).spoil("site-a", tr069_firewall_state="absent")) == [("site-a", "wireguard_mesh_exit_for")]
    mesh.spoil(
        "site-a", tr069_firewall_state="present", wireguard_mesh_exits=["site-c"], wireguard_mesh_exit_when="always"
    )
    mesh.spoil("site-c", wireguard_mesh_exit_for=["site-b", "site-a"])
    assert faults(mesh) == [("site-a", "wireguard_mesh_exit_when")]
    assert faults(mesh.spoil("site-a", wireguard_mesh_exit_when="broadband_down")) == []


def test_an_exit_without_a_tunnel_or_without_a_site(mesh):
    exits(mesh).spoil("site-a", wireguard_mesh_peers_only=["site-c"])
    assert set(faults(mesh)) == {("site-a", "wireguard_mesh_exit_for"), ("site-b", "wireguard_mesh_exits")}
    mesh.spoil("site-a", wireguard_mesh_peers_only=None)
    for site in ("site-a", "site-c"):
        mesh.spoil(site, wireguard_mesh_exit_for=None)
    assert faults(mesh.spoil("site-b", wireguard_mesh_exits=None)) == [("site-b", "wireguard_mesh_exit_when")]


@pytest.mark.parametrize(("host", "refused"), [("192.168.11.77", True), ("192.168.11.2", False), ("10.1.1.1", False), ("b.lan", False)])  # fmt: skip
def test_a_lan_with_the_prefix_of_the_overlay_is_seen_by_where_ansible_comes_in(mesh, host, refused):
    mesh.spoil("site-b", ansible_host=host)
    assert faults(mesh) == ([("site-b", "ansible_host")] if refused else [])


@pytest.mark.parametrize(
    "token",
    [
        "\u201ccf-token\u201d",
        "cf token",
        "cf-to\u200bken",
        "\u8bf7\u586b\u5199\u4ee4\u724c",
        "cf-token\u3000",
        "cf\ttoken",
    ],
)
@pytest.mark.parametrize("variable", ["ddns_token", "ddns_id"])
def test_a_credential_that_no_header_can_carry_is_refused_and_not_quoted(mesh, variable, token):
    given = {"ddns_provider": "alidns", "ddns_id": "LTAI-of-b", "ddns_token": "secret-of-b", variable: token}
    mesh.spoil("site-b", **given)
    if token.strip() == "cf-token":
        assert faults(mesh) == []
        return
    assert faults(mesh) == [("site-b", variable)]
    assert token not in message(mesh) and "Paste it again" in message(mesh)


@pytest.mark.parametrize(("ports", "refused"), [(["21990-22010"], True), ([22000], True), (["22001-22010"], False)])
def test_wireguards_own_port_in_a_range_is_seen(mesh, ports, refused):
    mesh.spoil("site-b", tr069_firewall_allow=[{"protocol": "udp", "ports": ports}])
    assert faults(mesh) == ([("site-b", "tr069_firewall_allow")] if refused else [])


def test_sources_that_are_left_empty_are_the_whole_underlay(mesh):
    mesh.spoil("site-b", tr069_firewall_allow=[{"protocol": "tcp", "ports": [443], "sources": None}])
    plan = build(mesh)
    assert plan["problems"] == []
    assert plan["sites"]["site-b"]["firewall_allow"] == [{"protocol": "tcp", "ports": ["443"], "sources": []}]


@pytest.mark.parametrize("variable", sorted(set(options()) - {"ddns_extra"}))
def test_no_public_variable_takes_everything(mesh, variable):
    """Something no variable means: each is judged before any site is reached, whatever role it belongs to."""
    mesh.spoil("site-b", **{variable: {"a": ["mapping"]}})
    found = faults(mesh)
    assert ("site-b", variable) in found or (None, variable) in found, found


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [
        ("nic_dhcp_backend", "netplann"),
        ("nic_dhcp_mtu", 90000),
        ("nic_dhcp_vlan_id", 5000),
        ("nic_dhcp_state", "presnt"),
        ("nic_dhcp_take_over", "perhaps"),
        ("ddns_install_method", "whee"),
        ("ddns_verify", "maybe"),
        ("tr069_firewall_open_in", ["dokcer"]),
        ("tr069_firewall_open_in", "docker"),
        ("tr069_gateway_table", 254),
        ("tr069_gateway_table", "main"),
        ("tr069_gateway_fwmark", "zero"),
        ("tr069_gateway_rule_priority", 40000),
        ("tr069_gateway_source", "lesse"),
        ("tr069_table", 0),
        ("tr069_fwmark", 0),
        ("tr069_rule_priority", 0),
        ("watch_language", "de"),
        ("watch_interval", "often"),
        ("site_agent_install_python", "sure"),
        ("wireguard_mesh_site_count", -1),
    ],
)
def test_a_slip_in_any_role_is_told_with_the_rest_of_the_inventory(mesh, variable, wrong):
    mesh.spoil("site-b", **{variable: wrong})
    assert faults(mesh) == [("site-b", variable)]


@pytest.mark.parametrize(
    ("variable", "right"),
    [("nic_dhcp_mtu", "1492"), ("nic_dhcp_take_over", "yes"), ("tr069_firewall_open_in", []), ("watch_command", ["/bin/true"]),
     ("site_agent_python", "/usr/bin/python3"), ("nic_dhcp_mac", "02:00:00:00:00:01"), ("ddns_ca_file", "/etc/hosts")],
)  # fmt: skip
def test_what_a_role_takes_is_no_slip(mesh, variable, right):
    mesh.spoil("site-b", **{variable: right})
    assert faults(mesh) == []


# What the roles read themselves, with the value that they must be given: as it stands they would take it otherwise than the plan.
@pytest.mark.parametrize(
    ("variable", "given", "meant"),
    [
        ("tr069_interface", None, "eth1"),
        ("tr069_interface", "", "eth1"),
        ("tr069_networks", None, ["10.0.0.0/7"]),
        ("tr069_table", "", 305),
        ("tr069_fwmark", None, "0x131"),
        ("wireguard_mesh_interface", None, "wg0"),
        ("nic_dhcp_state", None, "present"),
        ("nic_dhcp_mac", None, ""),
        ("ddns_id", None, ""),
        ("ddns_networks", None, ["10.0.0.0/7"]),
        ("tr069_gateway_further_interfaces", None, []),
        ("wireguard_mesh_interface", "wg1\u00a0", "wg1"),
        ("nic_dhcp_state", "present ", "present"),
        ("wireguard_mesh_state", " present", "present"),
        ("tr069_table", "307\u3000", "307"),
        ("tr069_networks", ["10.0.0.0/7\r"], ["10.0.0.0/7"]),
        ("tr069_firewall_networks", ["10.0.0.0/7 "], ["10.0.0.0/7"]),
        ("nic_dhcp_take_over", "y", True),
        ("ddns_verify", "off ", False),
        ("ddns_line", " ", ""),
        ("tr069_fwmark", "0305", "305"),
        ("tr069_fwmark", "0X131", "305"),
        ("tr069_table", "00305", "305"),
    ],
)
def test_what_the_roles_would_read_otherwise_is_corrected(mesh, variable, given, meant):
    plan = build(mesh.spoil(**{variable: given}))
    assert plan["problems"] == []
    assert plan["corrected"] == [{"site": site, "variable": variable, "value": meant} for site in mesh]


def test_an_option_without_a_value_follows_the_shared_variable(mesh):
    mesh.spoil("site-b", tr069_interface="eth5", nic_dhcp_interface=None, ddns_interface="")
    assert build(mesh)["corrected"] == [
        {"site": "site-b", "variable": "ddns_interface", "value": "eth5"},
        {"site": "site-b", "variable": "nic_dhcp_interface", "value": "eth5"},
    ]


def test_what_is_to_go_is_corrected_as_well(mesh):
    plan = build(mesh.spoil("site-b", wireguard_mesh_state="absent ", tr069_interface=None))
    assert plan["states"]["site-b"] == "absent" and plan["problems"] == []
    assert [(item["variable"], item["value"]) for item in plan["corrected"]] == [
        ("tr069_interface", "eth1"),
        ("wireguard_mesh_state", "absent"),
    ]


def test_a_right_inventory_is_read_as_it_stands(mesh):
    mesh.spoil(
        ddns_id="", tr069_fwmark="0x131", tr069_table="305", nic_dhcp_take_over="yes", tr069_networks=["10.0.0.0/7"]
    )
    assert build(mesh)["corrected"] == []


def test_a_secret_is_never_among_what_is_corrected(mesh):
    plan = build(mesh.spoil(wireguard_mesh_secret=f"{SECRET}\n", ddns_token=f" {TOKEN}"))
    assert plan["problems"] == [] and plan["corrected"] == []


def test_an_option_whose_default_only_the_role_knows_needs_a_value(mesh):
    assert faults(mesh.spoil("site-b", site_agent_python=None)) == [("site-b", "site_agent_python")]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("wireguard_mesh_lan_subnets", ["192.168.2.0/024"]), ("tr069_firewall_networks", ["10.0.0.0/07"])],
)
def test_a_prefix_length_that_no_other_program_takes_is_refused(mesh, variable, value):
    assert faults(mesh.spoil("site-b", **{variable: value})) == [("site-b", variable)]


def test_a_port_has_no_zero_before_it_in_the_plan(mesh):
    """To nftables 0443 is 291."""
    mesh.spoil("site-b", tr069_firewall_allow=[{"protocol": "tcp", "ports": ["0443", "08000-08010", 22]}])
    plan = build(mesh)
    assert plan["problems"] == [] and plan["sites"]["site-b"]["firewall_allow"][0]["ports"] == [
        "443",
        "8000-8010",
        "22",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ddns_extra", {"ttl": 60}),
        ("ddns_extra", {"Content": "10.1.2.3"}),
        ("ddns_endpoint", "https://api.example.com:65536"),
        ("ddns_endpoint", "https://api.example.com:0/"),
        ("ddns_ipv6_networks", ["2000::1/3"]),
        ("ddns_ipv6_networks", ["fe80::/10"]),
        ("ddns_ipv6_hostname", "site-a.example.com"),
        ("ddns_providers", [{"provider": "he", "name": "Site-A.example.com", "token": "t"}]),
        ("wireguard_mesh_external_endpoint", "127.0.0.1:22000"),
        ("wireguard_mesh_external_endpoint", "255.255.255.255:22000"),
        ("ansible_host", ""),  # the placeholder was taken out
        ("ansible_host", None),
        ("ansible_host", "0.0.0.0"),
        ("ansible_host", "root@255.255.255.255"),
        ("wireguard_mesh_lan_subnets", ["10.0.0.0/8"]),
        ("wireguard_mesh_interface", "eth0"),  # the broadband's
        ("ddns_ca_file", "ca.pem"),
        ("ddns_ca_file", 5),
        ("ddns_wheel_file", "ddns.whl"),
        ("ansible_port", "abc"),
        ("ansible_port", 65536),
        ("ansible_become", "perhaps"),
    ],
)
def test_what_would_break_at_the_site_is_told_before(mesh, variable, value):
    assert faults(mesh.spoil("site-b", **{variable: value})) == [("site-b", variable)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ddns_extra", {"comment": "by sitelink"}),
        ("ddns_ipv6_hostname", "site-b.example.com"),  # its own, of the other kind
        (
            "ddns_providers",
            [{"provider": "he", "name": "site-b.example.com", "token": "t"}],
        ),  # in the zone of a second provider
        ("ddns_ipv6_networks", ["::/0"]),
        ("ddns_endpoint", "https://api.example.com:65535/x"),
        ("ansible_host", "127.0.0.1"),  # the controller, a site too
        ("wireguard_mesh_lan_subnets", ["10.0.0.0/9"]),
        ("ansible_port", "2222"),
    ],
)
def test_what_works_at_the_site_is_no_slip(mesh, variable, value):
    assert faults(mesh.spoil("site-b", **{variable: value})) == []


def test_a_name_that_two_sites_publish_is_told(mesh):
    mesh.spoil(ddns_ipv6_hostname="six.example.com")
    assert faults(mesh) == [("site-b", "ddns_ipv6_hostname"), ("site-c", "ddns_ipv6_hostname")]
    assert "which site-a publishes already" in build(mesh)["problems"][0]["message"]


def test_a_port_of_one_router_leads_to_one_site(mesh):
    mesh.spoil("site-a", wireguard_mesh_external_endpoint="home.example.com:22000")
    mesh.spoil("site-b", wireguard_mesh_external_endpoint="Home.example.com:22000")
    mesh.spoil("site-c", wireguard_mesh_external_endpoint="home.example.com:22001")
    assert faults(mesh) == [("site-b", "wireguard_mesh_external_endpoint")]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "Router"}, "holds Router, which differs from router only by capital letters"),
        ({"name": "SITE-A"}, "holds SITE-A, which differs from site-a only by capital letters"),
        ({"name": "nas", "endpoint": "nas.example.com:22000"}, "where router is already found"),
    ],
)
def test_external_peers_are_apart_from_each_other(mesh, more, words):
    router = {"name": "router", "address": "192.168.11.120", "endpoint": "nas.example.com:22000"}
    mesh.spoil(wireguard_mesh_external_peers=[PHONE, router, {"address": "192.168.11.121", **more}])
    assert words in " ".join(problem["message"] for problem in build(mesh)["problems"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ansible_hsot", "ansible_host"),
        ("ansible_pyhton_interpreter", "ansible_python_interpreter"),
        ("ansible_beome", "ansible_become"),
        ("ansible_ssh_common_arg", "ansible_ssh_common_args"),
    ],
)
def test_a_slip_in_a_setting_of_the_connection_is_told(mesh, name, meant):
    mesh.spoil("site-b", **{name: "x"})
    mesh["site-b"].pop(meant, None)
    assert message(mesh) == f"site-b: {name} is not known to Ansible. Write {meant}, if that is meant."


@pytest.mark.parametrize(
    "name", ["ansible_hostnqn", "ansible_user_id", "ansible_dns", "ansible_ssh_use_tty", "ansible_port1"]
)
def test_a_fact_is_nobodys_slip(mesh, name):
    assert faults(mesh.spoil("site-b", **{name: {"a": 1} if name == "ansible_port1" else "x"})) == []
