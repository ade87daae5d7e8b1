# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, step by step on one lab and in this order, proved by packets, records and files rather than by settings."""

import concurrent.futures
import json
import re

import pytest

from lab_tests import (
    ADDRESS,
    INVENTORY,
    LAN_HOST,
    OVERLAY,
    PAIRS,
    ROOT,
    SITES,
    STATE,
    lab,
    leased_prefix,
    on,
    playbook,
    recap,
    run,
    secrets,
    status,
    underlay_address,
    wait_for,
    wait_for_the_mesh,
    wait_for_the_names,
)


def test_check_mode_on_fresh_sites_printed_no_secret():
    """molecule's prepare step ran it, before there was anything on the sites."""
    output = (ROOT / ".build" / "check-on-fresh-sites").read_text()
    assert "mesh-wg0.json" in output and "wg0.conf" in output
    assert [secret for secret in secrets() if secret in output] == []
    counts = recap(output)
    assert set(SITES) <= set(counts)
    assert all(counts[site]["changed"] > 0 and counts[site]["failed"] == 0 for site in SITES), counts


def test_the_client_came_from_a_package_index_by_the_controllers_own_settings():
    assert "GET /simple/ddns/ddns-" in lab("exec", "internet", "--", "cat", "/var/log/packages.log")
    assert list((STATE / "cache" / "sitelink").glob("ddns-*.whl"))
    assert "ddns_wheel_file" not in "".join(path.read_text() for path in (ROOT / "inventories/lab").rglob("*.yml"))


def test_the_program_runs_on_a_python_that_outlives_an_upgrade():
    for site in SITES:
        assert on(site, "head -n 1 /usr/local/sbin/sitelink").stdout == "#!/usr/bin/python3 -I\n"
    # Ansible finds another name of it.
    assert "/usr/bin/python3.11" in run("ansible", "-i", INVENTORY, "-m", "ansible.builtin.ping", "site-a").stdout


def test_the_verify_playbook_agrees():
    done = playbook("verify")
    assert "all 6 ordered pairs answer" in done.stdout
    assert done.stdout.count("eth1") >= len(PAIRS)


@pytest.mark.parametrize("site", SITES)
def test_every_layer_stands(site):
    found = status(site)
    layers = {layer: [entry["interface"] for entry in found[layer]] for layer in ("firewall", "gateway", "mesh")}
    assert layers == {"firewall": ["eth1"], "gateway": ["eth1"], "mesh": ["wg0"]}


def test_every_unit_is_confined():
    """docs/*/threat-model.md has the figures."""
    site = SITES[0]
    units = on(
        site, "systemctl list-units --plain --no-legend --all 'sitelink-*.service' | cut -d' ' -f1"
    ).stdout.split()
    assert len(units) >= 5, units
    for unit in units:
        done = on(site, f"systemd-analyze security --no-pager --threshold=25 {unit} | tail -1; exit ${{PIPESTATUS[0]}}")
        assert done.rc == 0, done.stdout


def test_hosts_of_every_lan_reach_those_of_every_other():
    def reaches(pair):
        source, target = pair
        return lab(
            "exec", source.replace("site", "lan"), "--", "ping", "-c", "1", "-w", "60", LAN_HOST[target], check=False
        )

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = dict(zip(PAIRS, pool.map(reaches, PAIRS), strict=True))
    assert {pair: text for pair, text in answers.items() if " 1 received" not in text} == {}


def test_the_tunnel_uses_the_underlay_only():
    """What ping says it sent and got is found at the far end of eth1's cable, and nothing at that of eth0."""
    wait_for_the_mesh()
    lab("count", "--reset")
    size = 1000

    def send(pair):
        source, target = pair
        text = on(source, f"ping -q -i 0.1 -c 20 -s {size} {OVERLAY[target]}").stdout
        return [int(number) for number in re.search(r"(\d+) packets transmitted, (\d+) received", text).groups()]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        pinged = dict(zip(PAIRS, pool.map(send, PAIRS), strict=True))
    assert all(received > 0 for _sent, received in pinged.values()), pinged
    counted = json.loads(lab("count", "--json"))
    # A packet of the tunnel on the wire: the ping, padded to 16 bytes, 32 of WireGuard, 8 of UDP, 20 of IPv4.
    wire = (20 + 8 + size + 15) // 16 * 16 + 32 + 8 + 20
    for site in SITES:
        asked = [pinged[pair] for pair in PAIRS if pair[0] == site]
        answered = [pinged[pair] for pair in PAIRS if pair[1] == site]
        least = {
            "out": sum(sent for sent, _received in asked) + sum(received for _sent, received in answered),
            "in": sum(received for _sent, received in asked + answered),
        }
        for direction, packets in least.items():
            assert counted[site]["eth0"][direction]["wireguard"]["packets"] == 0
            count = counted[site]["eth1"][direction]["wireguard"]
            assert count["packets"] >= packets and count["bytes"] >= packets * wire, (site, direction, count, packets)


@pytest.mark.parametrize("site", SITES)
def test_nothing_but_an_address_came_from_the_carrier(site):
    before = json.loads((STATE / "before" / f"{site}.json").read_text())
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


def name_of(site):
    return lab("exec", "internet", "--", "kdig", "+short", "@198.18.0.53", f"{site}.lab.test", "A").split()


@pytest.mark.parametrize("site", SITES)
def test_the_name_is_the_address(site):
    assert name_of(site) == [underlay_address(site)]


def test_the_names_were_published_through_the_providers():
    requests = [json.loads(line) for line in (STATE / "api" / "requests.jsonl").read_text().splitlines()]
    for site, provider in (("site-a", "cloudflare"), ("site-b", "cloudflare"), ("site-c", "alidns")):
        made = [request for request in requests if request["client"] == ADDRESS[site]]
        assert {request["provider"] for request in made} == {provider}
        assert any(request["operation"] in ("POST", "PUT", "AddDomainRecord", "UpdateDomainRecord") for request in made)


def test_a_renumbered_site_is_found_again_by_tunnel_and_by_name():
    lab("count", "--reset")
    before = underlay_address("site-a")
    lab("renumber", "--wait", "site-a")
    assert underlay_address("site-a") != before
    wait_for_the_mesh()
    wait_for(lambda: name_of("site-a") == [underlay_address("site-a")])
    counted = json.loads(lab("count", "--json"))
    for site in SITES:
        assert counted[site]["eth0"]["out"]["wireguard"]["packets"] == 0, site


def test_a_site_comes_back_from_a_reboot():
    lab("reboot", "site-b", "--may-fail", "sitelink-ddns.service")
    wait_for_the_mesh()
    wait_for_the_names()
    done = playbook("verify", check=False)
    assert done.returncode == 0, done.stdout


def test_the_verify_playbook_fails_on_a_fault():
    on("site-b", "systemctl stop sitelink-gateway@eth1")
    try:
        done = playbook("verify", check=False)
    finally:
        on("site-b", "systemctl start sitelink-gateway@eth1")
    assert done.returncode != 0
    assert "site-b" in done.stdout and "sitelink-gateway@eth1" in done.stdout


def test_a_wrong_token_is_named():
    token = "wrong-token-of-site-a"
    done = playbook("site", "-vvv", "--diff", "--limit=site-a", "-e", f"ddns_token={token}", check=False)
    assert done.returncode != 0
    sentence = next(line for line in done.stdout.splitlines() if "refused the credentials" in line)
    assert "site-a" in sentence and "cloudflare" in sentence and "ddns_token" in sentence
    output = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if f"ddns_token={token}" not in line)
    assert [secret for secret in [*secrets(), token] if secret in output] == []


def test_a_run_that_writes_every_secret_prints_none():
    """At site-a the token of the slip is put right; at site-b every file that holds a secret is written again."""
    files = "/etc/wireguard/wg0.conf /etc/sitelink/ddns.json /etc/sitelink/mesh-wg0.json"
    assert on("site-b", f"rm {files}").rc == 0
    done = playbook("site", "-vvv", "--diff", "--limit=site-a,site-b")
    assert on("site-b", f"ls {files}").rc == 0
    output = done.stdout + done.stderr
    assert "mesh-wg0.json" in output
    assert [secret for secret in secrets() if secret in output] == []


def test_secrets_stay_out_of_files_that_others_read():
    places = "/etc /run /var/lib/sitelink /usr/local /var/log"
    for site in SITES:
        key = on(site, "wg show wg0 private-key").stdout.strip()
        token = "lab-alidns-secret-0001" if site == "site-c" else "lab-cloudflare-token-0001"
        found = {}
        for secret in ("lab-mesh-secret", token, key):
            # Of a service that has ended meanwhile, its credentials are gone as well.
            look = f"grep -rlFsZ --devices=skip -e '{secret}' {places} | xargs -0r stat -c '%a %U %n' 2>/dev/null"
            lines = [line.split(" ", 2) for line in on(site, look).stdout.splitlines()]
            found[secret] = [path for _mode, _owner, path in lines]
            assert [line for line in lines if line[:2] not in (["600", "root"], ["400", "root"])] == []
        # Where they have to be: a search that finds nothing anywhere proves nothing.
        assert "/etc/sitelink/ddns.json" in found[token] and "/etc/wireguard/wg0.conf" in found[key], found
        assert found["lab-mesh-secret"] == []


def test_after_all_that_a_second_run_finds_nothing_to_do():
    wait_for_the_names()
    counts = recap(playbook("site"))
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)
    # The look and the comparison, and on one of them the plan of all: no role ran.
    assert max(counts[site]["ok"] for site in SITES) <= 3, counts
