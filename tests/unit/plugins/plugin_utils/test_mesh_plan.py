# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a right inventory, and every fault of a wrong one with its site and variable."""

import base64
import json

import jinja2
import pytest
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys, _mesh_plan, _published
from right_mesh import SECRET, TOKEN

KEY_1 = base64.b64encode(bytes(range(1, 33))).decode()
KEY_2 = base64.b64encode(bytes(range(2, 34))).decode()
PUBLISHED = "lab-mesh-secret-published-never-use-outside-the-lab"


def build(hostvars, names=None):
    return _mesh_plan.build(hostvars if names is None else names, hostvars)


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
    mesh.spoil("site-c", wireguard_mesh_endpoint="10.24.96.9", wireguard_mesh_port="22001", wireguard_mesh_mtu=1412)
    plan = build(mesh)
    assert plan["problems"] == [] and plan["warnings"] == []
    assert {key: plan[key] for key in ("group", "mesh", "network", "preshared_keys")} == {
        "group": "sites",
        "mesh": "sitelink",
        "network": "192.168.11.0/24",
        "preshared_keys": True,
    }
    assert list(plan["sites"]) == ["site-a", "site-b", "site-c"]
    private = _keys.MeshKeys(SECRET, "sitelink").private_key("site-b", 1)
    assert plan["sites"]["site-b"] == {
        "address": "192.168.11.2",
        "addresses": ["192.168.11.2/24"],
        "allowed_ips": ["192.168.11.2/32", "10.66.2.0/24", "192.168.30.0/24"],
        "endpoint": {"host": "site-b.example.com", "port": 22000},
        "interface": "wg0",
        "keepalive": 25,
        "key_generation": 1,
        "key_source": "secret",
        "lan_gateway": True,
        "lan_subnets": ["10.66.2.0/24", "192.168.30.0/24"],
        "mtu": 1420,
        "port": 22000,
        "public_key": _keys.public_key(private),
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
        ("wireguard_mesh_group", "other"),
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
        ("wireguard_mesh_address", "{{ nothing }}"),  # as ansible-core 2.16 leaves what it cannot resolve
        ("wireguard_mesh_lan_subnets", ["{{ nothing }}"]),
        ("wireguard_mesh_address", jinja2.StrictUndefined(name="nothing")),
    ],
)
def test_one_fault_has_one_problem_with_its_site_and_variable(mesh, variable, value):
    assert faults(mesh.spoil("site-b", **{variable: value})) == [("site-b", variable)]


def test_a_lan_around_others_is_told_to_each(mesh):
    mesh.spoil("site-b", wireguard_mesh_lan_subnets=["192.168.0.0/22"])
    assert faults(mesh) == [(site, "wireguard_mesh_lan_subnets") for site in ("site-a", "site-c")]
    assert all("192.168.0.0/22 behind site-b" in problem["message"] for problem in build(mesh)["problems"])


@pytest.mark.parametrize("variable", ["wireguard_mesh_address", "wireguard_mesh_secret", "ddns_token"])
def test_missing(mesh, variable):
    assert faults(mesh.without("site-b", variable)) == [("site-b", variable)]


def test_alidns_needs_its_id(mesh):
    assert faults(mesh.spoil("site-b", ddns_provider="alidns")) == [("site-b", "ddns_id")]
    assert faults(mesh.spoil("site-b", ddns_id="LTAI-1")) == []


def test_cloudflare_takes_an_id_only_with_the_global_key(mesh):
    assert faults(mesh.spoil("site-b", ddns_id="me@example.com")) == []


def test_every_slip_of_other_providers_is_told(mesh):
    mesh.spoil("site-b", ddns_providers=[{"provider": "he", "name": "b"}, "dnspod"])
    messages = [problem["message"] for problem in build(mesh)["problems"]]
    assert len(messages) == 3 and all("site-b: ddns_providers (entry " in message for message in messages)


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
    "name", ["site b", "site/b", "-b", ".b", "站点", "b" * 64, "..", "b\n", "all", "localhost", "sites", ""]
)
def test_names_that_cannot_be_file_names(mesh, name):
    mesh[name] = mesh.pop("site-b")
    problems = build(mesh)["problems"]
    assert [(problem["site"], problem["variable"]) for problem in problems] == [(name, "inventory_hostname")]


def test_names_that_differ_by_case_only(mesh):
    mesh["Site-A"] = mesh.pop("site-b")
    assert faults(mesh) == [("site-a", "inventory_hostname")]


def test_an_empty_group():
    assert faults({}) == [(None, "wireguard_mesh_group")]
    assert "other" in _mesh_plan.build([], {}, "other")["problems"][0]["message"]


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


def test_free_addresses_are_suggested_once(mesh):
    mesh.without("site-a", "wireguard_mesh_address").without("site-c", "wireguard_mesh_address")
    messages = [problem["message"] for problem in build(mesh)["problems"]]
    assert "192.168.11.1." in messages[0] and "192.168.11.3." in messages[1]


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("wireguard_mesh_address", "１92.168.11.2", "FULLWIDTH DIGIT ONE"),
        ("wireguard_mesh_address", "192.168.11，2", "Write 192.168.11.2,"),
        ("wireguard_mesh_address", "192.168.11.2/24", "192.168.11.2."),
        ("wireguard_mesh_lan_subnets", ["192.168.2.7/24"], "192.168.2.0/24"),
        ("wireguard_mesh_lan_subnets", "192.168.2.0/24", "[192.168.2.0/24]"),
        ("ddns_provider", "godaddy", "cloudflare or alidns"),
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
    monkeypatch.setattr(_mesh_plan.validation, "is_published", lambda secret: secret == published)
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

    _mesh_plan.build(["site-c", "site-a", "site-b", "site-a"], HostVars(mesh))
    assert HostVars.reads == 3


def test_peers(mesh):
    plan = build(mesh)
    peers = _mesh_plan.peers(plan, "site-b", SECRET)
    assert [peer["name"] for peer in peers] == ["site-a", "site-c"]
    assert peers[0] == {
        "name": "site-a",
        "address": "192.168.11.1",
        "public_key": plan["sites"]["site-a"]["public_key"],
        "allowed_ips": ["192.168.11.1/32", "192.168.1.0/24"],
        "endpoint": {"host": "site-a.example.com", "port": 22000},
        "preshared_key": _keys.MeshKeys(SECRET, "sitelink").preshared_keys(("site-a", 1), [("site-b", 1)])[0],
    }
    assert all("preshared_key" not in peer for peer in _mesh_plan.peers(plan, "site-b"))
    without = build(mesh.spoil(wireguard_mesh_preshared_keys=False))
    assert all("preshared_key" not in peer for peer in _mesh_plan.peers(without, "site-b", SECRET))


def test_a_new_generation_changes_the_site_s_own_pairs_only(mesh):
    def preshared(site):
        return {peer["name"]: peer["preshared_key"] for peer in _mesh_plan.peers(build(mesh), site, SECRET)}

    before = preshared("site-a")
    mesh.spoil("site-b", wireguard_mesh_key_generation=2)
    after = preshared("site-a")
    assert before["site-b"] != after["site-b"] and before["site-c"] == after["site-c"]
    assert preshared("site-b")["site-a"] == after["site-b"]


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


def test_right_entries_of_what_the_carrier_may_reach(mesh):
    mesh.spoil(
        "site-b", tr069_firewall_allow=[{"protocol": "tcp", "ports": [443, "8000-8010"], "sources": ["10.23.64.0/20"]}]
    )
    assert faults(mesh) == []
