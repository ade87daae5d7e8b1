# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites that were set up by hand, held against the inventory."""

import copy
import pathlib
import re

import pytest
from ansible_collections.sitelink.tr069.plugins.filter.wireguard_article import wireguard_article

NEW_INVENTORY = pathlib.Path(__file__).resolve().parents[4] / "playbooks" / "templates" / "new_inventory"
KEY_A, KEY_B = "A" * 42 + "E=", "B" * 42 + "E="


def conf(address, key, peer_address, peer_key, peer_name):
    return {
        "addresses": [f"{address}/24"],
        "port": "22000",
        "public_key": key,
        "peers": [
            {
                "public_key": peer_key,
                "allowed_ips": [f"{peer_address}/32", "192.168.2.0/24"],
                "endpoint": f"{peer_name}:22000",
                "preshared": False,
            }
        ],
    }


FOUND = {
    "a": {
        "conf": conf("192.168.11.1", KEY_A, "192.168.11.2", KEY_B, "b.example.com"),
        "ddns": {"provider": "cloudflare", "id": "", "names": ["a.example.com"], "token": True},
    }
}
VARIABLES = {"a": {"wireguard_mesh_preshared_keys": False}, "b": {"ddns_hostname": "b.example.com"}}


def compare(found=FOUND, change=None, named=("a",)):
    variables = copy.deepcopy(VARIABLES)
    for site, more in (change or {}).items():
        variables[site].update(more)
    return wireguard_article(found, variables, list(named), ["a", "b"])


def lines(result):
    return {(line["site"], line["variable"]): line["value"] for line in result["lines"]}


def test_what_the_inventory_lacks_is_found():
    result = compare()
    assert result["problems"] == [] and result["tokens"] == ["a"]
    assert lines(result) == {
        ("a", "ddns_hostname"): "a.example.com",
        ("a", "wireguard_mesh_address"): "192.168.11.1",
        ("a", "wireguard_mesh_public_key"): KEY_A,
        ("b", "wireguard_mesh_address"): "192.168.11.2",
        ("b", "wireguard_mesh_lan_subnets"): "[192.168.2.0/24]",
        ("b", "wireguard_mesh_public_key"): KEY_B,
    }


def test_what_it_has_is_not_written_again():
    change = {site: {} for site in VARIABLES}
    for (site, variable), value in lines(compare()).items():
        change[site][variable] = value
    change["a"]["ddns_token"] = "given"
    assert compare(change=change) == {"lines": [], "problems": [], "tokens": []}


def test_a_placeholder_of_new_inventory_is_nothing():
    """What it writes where only the operator knows the value, as the templates have it."""
    vault = (NEW_INVENTORY / "vault.yml.j2").read_text()
    [token] = re.findall(r"(?m)^ddns_token: (.+)$", vault)
    change = {"a": {"ddns_token": token, "ddns_hostname": token, "wireguard_mesh_address": f" {token.lower()}\n"}}
    assert compare(change=change) == compare()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": {"wireguard_mesh_address": "192.168.11.9"}}, "a: wireguard_mesh_address is 192.168.11.9, but"),
        ({"a": {"wireguard_mesh_preshared_keys": True}}, "wireguard_mesh_preshared_keys: false"),
        ({"a": {"wireguard_mesh_network": "192.168.12.0/24"}}, "Write wireguard_mesh_network: 192.168.11.0/24"),
        ({"a": {"ddns_hostname": "c.example.com"}}, "ddns_hostname: a.example.com"),
        ({"b": {"ddns_hostname": "c.example.com"}}, "a peer that is no site of the inventory"),
    ],
)
def test_a_contradiction_is_one_sentence(change, words):
    problems = compare(change=change)["problems"]
    assert len(problems) == 1 and words in problems[0]


def test_a_peer_that_is_external_is_no_stranger():
    change = {"b": {"ddns_hostname": ""}, "a": {"wireguard_mesh_external_peers": [{"public_key": KEY_B}]}}
    assert compare(change=change)["problems"] == []


def test_a_site_that_is_not_reached_or_has_nothing_is_told():
    assert "cannot reach it" in compare(named=["a", "b"])["problems"][0]
    found = {**FOUND, "b": {"conf": None, "ddns": None}}
    assert "run ansible-playbook sitelink.tr069.site." in compare(found, named=["a", "b"])["problems"][0]


def test_a_site_that_was_taken_over_needs_nothing():
    assert compare({"a": {"conf": "ours", "ddns": None}}) == {"lines": [], "problems": [], "tokens": []}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"running_key": KEY_B},
            f"a: its WireGuard configuration holds the key of {KEY_A}, but the tunnel that is up has {KEY_B}",
        ),
        ({"running_key": KEY_A}, ""),
        ({"running_key": ""}, ""),
        ({"public_key": "", "tools": False}, "a: it has no program wg. Install wireguard-tools"),
        ({"public_key": "", "tools": True}, "a: its WireGuard configuration holds no private key"),
    ],
)
def test_a_key_that_cannot_be_taken_over_is_told_with_its_cause(more, words):
    found = copy.deepcopy(FOUND)
    found["a"]["conf"].update(more)
    problems = compare(found)["problems"]
    assert [problem.startswith(words) for problem in problems] == ([True] if words else [])
