# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of the client for every name and family, and every slip of an operator named without a secret."""

import json

import pytest
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns

SECRET = "a-token-that-nobody-may-see"
RIGHT = {
    "hostname": "site-a.example.com", "provider": "cloudflare", "id": "", "token": SECRET, "ttl": 0, "line": "",
    "extra": {}, "endpoint": "", "ca_file": "", "interface": "eth1", "networks": ["10.0.0.0/7"], "ipv6_hostname": "",
    "ipv6_interface": "eth0", "ipv6_networks": ["2000::/3"], "providers": [], "interval": 30,
}  # fmt: skip


def found(**changes):
    return _ddns.settings({**RIGHT, **changes})


def test_one_name_is_one_entry():
    result = found()
    assert result["problems"] == []
    assert result["names"] == [
        {"name": "site-a.example.com", "kind": "A", "provider": "cloudflare", "interface": "eth1", "networks": ["10.0.0.0/7"]}
    ]  # fmt: skip
    (entry,) = result["client"]["providers"]
    assert entry["index4"] == ["shell:/usr/local/sbin/sitelink address eth1 --network 10.0.0.0/7"]
    assert (entry["ipv4"], entry["ipv6"], entry["index6"]) == (["site-a.example.com"], [], False)
    assert (entry["ttl"], entry["extra"], entry["token"]) == (60, {"proxied": False}, SECRET)
    assert result["client"]["ssl"] is True and result["client"]["cache"] is False
    assert SECRET not in json.dumps(result["names"])


PEER = {"site": "site b", "hostname": "site-b.example.com", "provider": "alidns", "id": "LTAI", "token": "another-secret",
        "ttl": 0, "line": "", "extra": {}, "endpoint": ""}  # fmt: skip


def test_a_peers_name_is_an_entry_with_the_peers_own_account():
    result = _ddns.settings(RIGHT, [PEER])
    assert result["problems"] == []
    own, peer = result["names"]
    assert "peer" not in own
    assert (peer["name"], peer["peer"], peer["networks"]) == ("site-b.example.com", "site b", ["10.0.0.0/7"])
    entry = result["client"]["providers"][1]
    assert entry["index4"] == ["shell:/usr/local/sbin/sitelink address --peer 'site b' --network 10.0.0.0/7"]
    assert (entry["provider"], entry["id"], entry["token"], entry["ttl"]) == ("alidns", "LTAI", "another-secret", 600)


@pytest.mark.parametrize("slip", [{"token": ""}, {"provider": "nobody"}, {"hostname": "x y"}])
def test_a_peer_with_a_slip_is_left_out_for_the_plan_tells_of_it(slip):
    result = _ddns.settings(RIGHT, [{**PEER, **slip}])
    assert result["problems"] == [] and len(result["names"]) == len(result["client"]["providers"]) == 1


def test_tls_is_always_verified():
    assert found(ca_file="/etc/sitelink/ddns-ca.pem")["client"]["ssl"] == "/etc/sitelink/ddns-ca.pem"


def test_each_family_is_an_entry_of_its_own():
    result = found(ipv6_hostname="site-a.example.com")
    assert [name["kind"] for name in result["names"]] == ["A", "AAAA"]
    four, six = result["client"]["providers"]
    assert six["index6"] == ["shell:/usr/local/sbin/sitelink address eth0 --ipv6 --network 2000::/3"]
    assert (four["ipv6"], six["ipv4"], six["index4"]) == ([], [], False)


def test_ttl_is_what_the_free_plan_takes_or_what_is_asked_for():
    assert found(provider="alidns", id="LTAI")["client"]["providers"][0]["ttl"] == 600
    assert found(ttl=30)["client"]["providers"][0]["ttl"] == 30


def test_other_providers_pass_through():
    other = {
        "provider": "dnspod",
        "name": "b.example.cn",
        "id": "42",
        "token": "t",
        "line": "电信",
        "extra": {"weight": 3},
    }
    result = found(
        providers=[other, {"provider": "he", "name": "c.example.net", "token": "u", "endpoint": "https://x"}]
    )
    assert result["problems"] == []
    _, dnspod, he = result["client"]["providers"]
    assert (dnspod["provider"], dnspod["id"], dnspod["line"], dnspod["extra"]) == (
        "dnspod",
        "42",
        "电信",
        {"weight": 3},
    )
    assert (he["endpoint"], he["id"]) == ("https://x", None) and "line" not in he


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "godaddy"}, "ddns_provider is"),
        ({"hostname": "site-a"}, "ddns_hostname is"),
        ({"token": ""}, "ddns_token is missing. Write the API token"),
        ({"token": {"a": SECRET}}, "ddns_token must be text"),
        ({"id": "LTAI"}, 'ddns_id holds no "@"'),
        ({"provider": "alidns"}, "ddns_id is missing"),
        ({"provider": "dnspod"}, "ddns_id is missing. dnspod"),
        ({"ttl": 100000}, "ddns_ttl is 100000"),
        ({"interval": 1}, "ddns_interval is 1"),
        ({"endpoint": "http://api.example.com"}, "ddns_endpoint must begin with https://"),
        ({"extra": {"proxied": True}}, "ddns_extra must not hold proxied"),
        ({"extra": ["x"]}, "ddns_extra must be a mapping"),
        ({"providers": "dnspod"}, "ddns_providers must be a list"),
        ({"providers": [SECRET]}, "ddns_providers (entry 1): must be a mapping"),
        ({"providers": [{"provider": "he", "name": "a.b", "tokn": SECRET}]}, 'the key "tokn" is not known'),
        ({"providers": [{"provider": "he", "name": "a.b", "token": SECRET, "family": "v4"}]}, "(entry 1): family is"),
        ({"networks": ["10.0.0.0"]}, "ddns_networks"),
        ({"ipv6_networks": ["2000::/129"]}, "ddns_ipv6_networks is"),
    ],
)
def test_a_slip_is_named_without_its_secret(changes, words):
    text = " ".join(map(" ".join, found(**changes)["problems"]))
    assert words in text
    assert SECRET not in text
