# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of the lab, proved by packets, records and files rather than by settings."""

import concurrent.futures
import json
import time

import pytest

from lab_tests import (
    ADDRESS,
    LAN_HOST,
    OVERLAY,
    PAIRS,
    ROOT,
    SITES,
    lab,
    leased_prefix,
    on,
    playbook,
    recap,
    underlay_address,
)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_answers_over_the_overlay(source, target):
    result = on(source, f"ping -c 3 -i 0.2 -W 2 {OVERLAY[target]}")
    assert result.rc == 0, result.stdout


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_hosts_of_every_lan_reach_those_of_every_other(source, target):
    lab("exec", source.replace("site", "lan"), "--", "ping", "-c", "2", "-i", "0.2", "-W", "2", LAN_HOST[target])


def test_the_tunnel_uses_the_underlay_only():
    lab("count", "--reset")
    size, seconds = 1000, 10
    pings = [f"timeout 30 ping -q -i 0.2 -c {seconds * 5} -s {size} {OVERLAY[target]} >/dev/null" for target in SITES]

    def send(site):
        to_others = [ping for target, ping in zip(SITES, pings, strict=True) if target != site]
        return on(site, f"{' & '.join(to_others)} & wait")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(send, SITES))
    counted = json.loads(lab("count", "--json"))
    # Each site sends requests to two peers and answers theirs: 4 x 50 packets out and as many in, plus keepalives.
    sent = 4 * seconds * 5
    # A packet of the tunnel on the wire: the ping, padded to 16 bytes, 32 of WireGuard, 8 of UDP, 20 of IPv4.
    wire = (20 + 8 + size + 15) // 16 * 16 + 32 + 8 + 20
    for site in SITES:
        for direction in ("in", "out"):
            assert counted[site]["eth0"][direction]["wireguard"]["packets"] == 0
            count = counted[site]["eth1"][direction]["wireguard"]
            assert sent <= count["packets"] <= sent + 60, (site, direction, count)
            assert sent * wire <= count["bytes"] <= sent * wire + 60 * 200, (site, direction, count)


@pytest.mark.parametrize("site", SITES)
def test_nothing_but_an_address_came_from_the_carrier(site):
    before = json.loads((ROOT / ".lab" / "before" / f"{site}.json").read_text())
    now = json.loads(lab("snapshot", site))
    routes = {nic: [route for route in now["routes4"] if f" dev {nic} " in route] for nic in ("eth0", "eth1", "wg0")}
    assert routes["eth0"] == before["routes4"]
    assert [route.split()[0] for route in routes["eth1"]] == [str(leased_prefix(site))]
    others = [f"{LAN_HOST[other].rpartition('.')[0]}.0/24" for other in SITES if other != site]
    assert sorted(route.split()[0] for route in routes["wg0"]) == sorted(["192.168.11.0/24", *others])
    assert len(now["routes4"]) == sum(map(len, routes.values()))
    assert [route for route in now["routes6"] if " dev wg0 " not in route] == before["routes6"]
    for key in ("resolv_conf", "hosts", "hostname"):
        assert now[key] == before[key], key
    for nic in ("eth0", "eth1"):
        assert now["links"][nic] == before["links"][nic], nic


@pytest.mark.parametrize("site", SITES)
def test_the_name_follows_the_address(site):
    answer = lab("exec", "internet", "--", "kdig", "+short", "@198.18.0.53", f"{site}.lab.test", "A").split()
    assert answer == [underlay_address(site)]


def test_the_names_were_published_through_the_providers():
    requests = [json.loads(line) for line in (ROOT / ".lab" / "api" / "requests.jsonl").read_text().splitlines()]
    for site, provider in (("site-a", "cloudflare"), ("site-b", "cloudflare"), ("site-c", "alidns")):
        made = [request for request in requests if request["client"] == ADDRESS[site]]
        assert {request["provider"] for request in made} == {provider}
        assert any(request["operation"] in ("POST", "PUT", "AddDomainRecord", "UpdateDomainRecord") for request in made)


def test_the_verify_playbook_agrees():
    done = playbook("verify")
    assert "all 6 ordered pairs answer" in done.stdout
    assert done.stdout.count("eth1") >= len(PAIRS)


def test_the_verify_playbook_fails_on_a_fault():
    on("site-b", "systemctl stop sitelink-gateway@eth1")
    try:
        done = playbook("verify", check=False)
    finally:
        on("site-b", "systemctl start sitelink-gateway@eth1")
    assert done.returncode != 0
    assert "site-b" in done.stdout and "sitelink-gateway@eth1" in done.stdout


def test_check_mode_on_finished_sites_changes_nothing():
    counts = recap(playbook("site", "--check", "--diff"))
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)


def test_secrets_stay_out_of_files_that_others_read():
    secrets = ["lab-mesh-secret", "lab-cloudflare-token", "lab-alidns-secret"]
    for site in SITES:
        key = on(site, "wg show wg0 private-key").stdout.strip()
        for secret in [*secrets, key]:
            found = on(
                site, f"grep -rlF -e '{secret}' /etc /run/sitelink /var/lib/sitelink /usr/local /var/log /run/systemd"
            ).stdout
            for path in found.split():
                assert on(site, f"stat -c '%a %U' {path}").stdout.strip() in ("600 root", "400 root"), path


def test_a_site_comes_back_from_a_reboot():
    lab("reboot", "site-b")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if on("site-b", f"ping -c 1 -W 1 {OVERLAY['site-a']}").rc == 0:
            break
        time.sleep(1)
    done = playbook("verify", check=False)
    assert done.returncode == 0, done.stdout
