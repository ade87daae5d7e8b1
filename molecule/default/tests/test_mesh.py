# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of the lab, proved by packets, records and files rather than by settings."""

import json
import time

import pytest
from lab_tests import LAN_HOST, OVERLAY, PAIRS, ROOT, SITES, lab, on, playbook, recap, status, underlay_address


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
    pings = [
        f"timeout 30 ping -q -i 0.2 -c {seconds * 5} -s {size} {OVERLAY[target]} >/dev/null"
        for target in SITES
    ]
    for site in SITES:
        own = SITES.index(site)
        on(site, "(" + " & ".join(ping for index, ping in enumerate(pings) if index != own) + " & wait) & wait")
    counted = json.loads(lab("count", "--json"))
    # Each site sends requests to two peers and answers theirs: 4 x 50 packets out and as many in, plus keepalives.
    sent = 4 * seconds * 5
    # A packet of the tunnel on the wire: the ping, padded to 16 bytes, 32 of WireGuard, 8 of UDP, 20 of IPv4.
    wire = (20 + 8 + size + 15) // 16 * 16 + 32 + 8 + 20
    for site in SITES:
        assert counted[site]["eth0"]["wireguard"]["out"]["packets"] == 0
        assert counted[site]["eth0"]["wireguard"]["in"]["packets"] == 0
        for direction in ("in", "out"):
            count = counted[site]["eth1"]["wireguard"][direction]
            assert sent <= count["packets"] <= sent + 60, (site, direction, count)
            assert sent * wire <= count["bytes"] <= sent * wire + 60 * 200, (site, direction, count)


@pytest.mark.parametrize("site", SITES)
def test_nothing_but_an_address_came_from_the_carrier(site):
    before = json.loads((ROOT / ".lab" / "before" / f"{site}.json").read_text())
    now = json.loads(lab("snapshot", site))
    prefix = status(site)["gateway"][0]["prefix"]
    ours = [prefix] + ["192.168.11.0/24"] + [f"{LAN_HOST[other].rpartition('.')[0]}.0/24" for other in SITES if other != site]
    assert [route for route in now["routes4"] if route.split()[0] not in ours] == before["routes4"]
    for key in ("routes6", "resolv_conf", "hosts", "hostname"):
        assert now[key] == before[key], key
    for nic in ("eth0", "eth1"):
        assert now["links"][nic] == before["links"][nic], nic


@pytest.mark.parametrize("site", SITES)
def test_the_name_follows_the_address(site):
    answer = lab("exec", "internet", "--", "kdig", "+short", "@198.18.0.53", f"{site}.lab.test", "A").split()
    assert answer == [underlay_address(site)]


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
            found = on(site, f"grep -rlF -e '{secret}' /etc /run/sitelink /var/lib/sitelink /usr/local /var/log /run/systemd").stdout
            for path in found.split():
                assert on(site, f"stat -c '%a %U' {path}").stdout.strip() in ("600 root", "400 root"), path


def test_the_lab_is_invisible_from_outside():
    lab("leaks")


def test_a_site_comes_back_from_a_reboot():
    lab("reboot", "site-b")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if on("site-b", f"ping -c 1 -W 1 {OVERLAY['site-a']}").rc == 0:
            break
        time.sleep(1)
    done = playbook("verify", check=False)
    assert done.returncode == 0, done.stdout
