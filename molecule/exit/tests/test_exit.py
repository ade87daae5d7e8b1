# SPDX-License-Identifier: GPL-3.0-or-later
"""A site loses its broadband and is online through another one; what must not leave does not; it comes back by itself."""

import json
import shutil
import subprocess
import time

import pytest
from steady import pings

from conftest import ASK_TIME, EXIT_INVENTORY, counted, eventually, exit_of, fetch, restore, site_yml, traces, watch
from lab_tests import (
    LIMIT,
    PAIRS,
    ROOT,
    SITES,
    STATE,
    lab,
    on,
    playbook,
    recap,
    status,
    underlay_address,
    wait_for_the_names,
)

FLAPS = 6  # of the broadband, 15 s each


def doctor(site="site-b"):
    done = on(site, "sitelink doctor --json")
    return done.rc, json.loads(done.stdout)["findings"]


def test_while_the_broadband_works_nothing_is_there():
    assert fetch("site-b") == "10.66.2.2"
    for _ in range(5):
        assert fetch("lan-b") == "10.66.2.10"
    # Nobody told it that the broadband's router is nearer.
    assert "via 10.66.2.2 " in lab("exec", "lan-b", "--", "ip", "route", "get", "198.18.0.81")
    assert traces() == ""
    found = exit_of()
    assert (found["state"], found["broadband"], found["used"], found["away"]) == ("ok", "up", None, False)
    assert found["exits"] == {"site-a": "ready", "site-c": "ready"}
    assert exit_of("site-a")["serves"] == ["site-b"]
    assert doctor() == (0, [])
    assert doctor("site-a") == (0, [])


def test_online_by_another_site_and_back():
    resolv = on("site-b", "cat /etc/resolv.conf").stdout
    with pings(PAIRS) as lost:
        lab("suspend", "site-b")
        begun = time.monotonic()
        eventually(lambda: fetch("site-b") == "192.168.1.2", "site-b fetches the page")
        site = time.monotonic() - begun
        eventually(lambda: fetch("lan-b") == "192.168.1.2", "lan-b fetches the page")
        lan = time.monotonic() - begun
        found = exit_of()
        assert (found["state"], found["broadband"], found["used"]) == ("ok", "down", "site-a")
        assert "internet through site-a" in on("site-b", "sitelink status").stdout
        assert on("site-b", f'python3 -c "{ASK_TIME}"').stdout.strip() == "192.168.1.2"
        assert on("site-b", "wg show wg0 allowed-ips | grep -c 0.0.0.0/0").stdout.strip() == "1"
        assert doctor() == (0, [])
        lab("resume", "site-b")
        begun = time.monotonic()
        eventually(lambda: fetch("site-b") == "10.66.2.2", "site-b is back")
        back = time.monotonic() - begun
        eventually(lambda: traces() == "", "nothing is left")
    print(f"online: site {site:.1f} s, LAN {lan:.1f} s; back: {back:.1f} s")
    assert on("site-b", "cat /etc/resolv.conf").stdout == resolv
    assert fetch("lan-b") == "10.66.2.10"
    assert all(count[0] > 100 for count in lost.values()) and lost.lost() == {}


def test_nothing_strays_whatever_happens_meanwhile(away):
    """The daemon is killed, WireGuard made anew, a rule and the table flushed, the playbook run."""
    load = subprocess.Popen(
        [ROOT / "lab" / "lab", "exec", "lan-b", "--", "sh", "-c",
         "touch /run/asks; while [ -e /run/asks ]; do curl -s -m 1 http://198.18.0.81/ >/dev/null; sleep 0.05; done"],
    )  # fmt: skip
    try:
        on("site-b", "systemctl kill -s KILL sitelink-mesh@wg0")
        eventually(lambda: fetch("site-b") == "192.168.1.2", "after a kill")
        on("site-b", "systemctl restart wg-quick@wg0")
        eventually(lambda: fetch("site-b") == "192.168.1.2", "after wg-quick")
        on("site-b", "ip rule del pref 307; ip route flush table 306")
        eventually(lambda: fetch("site-b") == "192.168.1.2", "after a flush")
    finally:
        lab("exec", "lan-b", "--", "rm", "/run/asks")
        load.wait(LIMIT)
    # But for the moment between the deletion of the rule and its return.
    assert counted("strayed") <= 5
    watch()
    wait_for_the_names()
    counts = recap(site_yml())
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)
    assert fetch("site-b") == fetch("lan-b") == "192.168.1.2"
    assert counted("strayed") == counted("beyond") == 0


def test_nothing_but_the_internet_is_reached(away):
    """Neither what is behind the exit's broadband in private networks, nor the province, nor by whom it was not promised."""
    lab("count", "--reset")
    before = status("site-a")["firewall"][0]["packets"]["forward_dropped"]
    for address in ("192.168.77.1", "10.200.0.1", "11.99.0.1"):
        assert on("site-b", f"ping -c 2 -W 1 {address}").rc != 0
        assert on("site-b", f"curl -s -m 2 http://{address}/").rc != 0
    assert status("site-a")["firewall"][0]["packets"]["forward_dropped"] > before
    assert counted("beyond") == 0
    assert on("site-b", "ping -c 2 -W 2 192.168.1.10").rc == 0  # site-a's LAN, as planned
    # site-c was promised nothing
    before = status("site-a")["firewall"][0]["packets"]["forward_dropped"]
    key = on("site-c", "wg show wg0 allowed-ips | grep 192.168.11.1/32 | cut -f1").stdout.strip()
    on("site-c", f"wg set wg0 peer {key} allowed-ips 192.168.11.1/32,192.168.1.0/24,198.18.0.81/32")
    on("site-c", "ip route add 198.18.0.81/32 dev wg0")
    try:
        assert on("site-c", "curl -s -m 3 http://198.18.0.81/").rc != 0
    finally:
        on("site-c", "ip route del 198.18.0.81/32 dev wg0; systemctl reload sitelink-mesh@wg0")
    assert status("site-a")["firewall"][0]["packets"]["forward_dropped"] > before
    # WireGuard's own packets by eth1 only, and whatever is the site's by none but the tunnel
    assert fetch("site-b") == "192.168.1.2"
    found = json.loads(lab("count", "--json"))["site-b"]
    assert found["eth0"]["out"]["wireguard"]["packets"] == 0 < found["eth1"]["out"]["wireguard"]["packets"]
    assert counted("strayed") == counted("beyond") == 0


def test_the_record_follows_while_away(away):
    lab("renumber", "--wait", "site-b")

    def right():
        return lab("exec", "internet", "--", "kdig", "+short", "@198.18.0.53", "site-b.lab.test", "A").split() == [
            underlay_address("site-b")
        ]

    print(f"published after {eventually(right, 'the record is right'):.1f} s")
    asked = [json.loads(line) for line in (STATE / "api" / "requests.jsonl").read_text().splitlines()]
    assert asked[-1]["client"] == "192.168.1.2"
    eventually(lambda: fetch("site-b") == "192.168.1.2", "the exit is reached from the new address")


def test_the_next_exit_then_none_then_again(away):
    with pings([("site-b", "site-c"), ("site-c", "site-b")]) as lost:
        lab("unplug", "site-a")
        begun = time.monotonic()
        eventually(lambda: fetch("site-b") == "192.168.3.2", "site-c takes over")
        seconds = time.monotonic() - begun
        eventually(lambda: fetch("lan-b") == "192.168.3.2", "for the LAN too")
    print(f"taken over after {seconds:.1f} s")
    assert lost.lost() == {}
    assert counted("strayed") == counted("beyond") == 0
    # site-c stays a peer, but has no internet itself
    lab("suspend", "site-c")
    eventually(lambda: "failed" in exit_of()["exits"].values() and exit_of()["reason"], "nothing answers")
    # Of the two faults the lower layer's is told first.
    assert [item["code"] for item in doctor()[1]] == ["peer_off", "exit_silent"]
    assert status("site-b")["mesh"][0]["peers"][1]["alive"]
    # and then none at all
    lab("unplug", "site-c")
    eventually(lambda: exit_of()["used"] is None and not exit_of()["away"], "no exit is left")
    assert "none of the exits is reached" in exit_of()["reason"]
    assert "none of the exits is reached" in on("site-b", "sitelink status").stdout
    lab("resume", "site-c")
    lab("plug", "site-c")
    seconds = eventually(lambda: fetch("site-b") == "192.168.3.2", "site-c is there again")
    print(f"online again {seconds:.1f} s after the exit's cable")


def test_doctor_names_the_exits_that_are_gone(away):
    """Nobody is reached, so that doctor tells of the underlay first; with one peer that is no exit it tells of the exits."""
    lab("unplug", "site-a")
    on("site-b", "systemctl stop sitelink-mesh@wg0")
    plan = json.loads(on("site-b", "cat /etc/sitelink/mesh-wg0.json").stdout)
    plan["exit"]["sites"] = ["site-a"]
    on("site-b", f"cp /etc/sitelink/mesh-wg0.json /root/ && echo '{json.dumps(plan)}' > /etc/sitelink/mesh-wg0.json")
    on("site-b", "systemctl start sitelink-mesh@wg0")
    try:
        eventually(lambda: exit_of()["used"] is None and not exit_of()["away"], "site-a is silent")
        code, findings = doctor()
        assert "exit_gone" in [item["code"] for item in findings] and code != 0
        texts = next(item["text"] for item in findings if item["code"] == "exit_gone")
        assert "site-a" in texts["en"]["what"] and "宽带不通" in texts["zh"]["what"]
    finally:
        on("site-b", "mv /root/mesh-wg0.json /etc/sitelink/; systemctl restart sitelink-mesh@wg0")


def test_flaps_of_the_broadband_do_not_flap_the_route():
    before = int(on("site-b", "journalctl -u sitelink-mesh@wg0 -o cat | grep -c 'the internet is reached'").stdout)
    with pings(PAIRS) as lost:
        begun = time.monotonic()
        for number in range(FLAPS):
            lab("suspend", "site-b")
            time.sleep(max(0.0, begun + 15 * number + 8 - time.monotonic()))
            lab("resume", "site-b")
            time.sleep(max(0.0, begun + 15 * (number + 1) - time.monotonic()))
    after = int(on("site-b", "journalctl -u sitelink-mesh@wg0 -o cat | grep -c 'the internet is reached'").stdout)
    print(f"{FLAPS} flaps: the route moved {after - before} times; {sum(count[0] for count in lost.values())} pings")
    assert after - before <= 2 and lost.lost() == {}
    restore()


def test_a_boot_without_broadband():
    lab("suspend", "site-b")
    reboot = subprocess.Popen(
        [ROOT / "lab" / "lab", "reboot", "site-b", "--may-fail", "sitelink-ddns.service"], stdout=subprocess.DEVNULL
    )
    look = "ip -4 -o address show eth1 2>/dev/null | grep -q inet && cut -d' ' -f1 /proc/uptime"
    time.sleep(3)
    leased = None
    try:
        deadline = time.monotonic() + 120
        while leased is None and time.monotonic() < deadline:
            done = lab("exec", "site-b", "--", "sh", "-c", look, check=False)
            leased = time.monotonic() if done.strip() else None
        eventually(lambda: fetch("lan-b") == "192.168.1.2", "the LAN of site-b is online")
        seconds = time.monotonic() - leased
        eventually(lambda: fetch("site-b") == "192.168.1.2", "site-b is online")
    finally:
        reboot.wait(LIMIT)
    print(f"online {seconds:.1f} s after the lease")
    restore()
    assert "sitelink" not in on("site-b", "cat /etc/resolv.conf").stdout


def test_switched_off_while_away_nothing_is_left(away):
    wait_for_the_names()  # by the exit: without it a name that is not right cannot be put right, and the run says so
    playbook("site")
    assert traces() == "" and on("site-b", "ls /etc/systemd/system | grep names").stdout == ""
    assert "guests" not in on("site-a", "nft list table inet sitelink_eth1").stdout
    assert "198.18.0.81" not in fetch("site-b") and fetch("site-b") == ""
    lab("resume", "site-b")
    eventually(lambda: fetch("site-b") == "10.66.2.2", "by its own broadband at once")
    site_yml()


def test_removed_while_away_nothing_is_left(away, tmp_path):
    before = on("site-b", "cat /etc/resolv.conf /var/lib/sitelink/resolv-wg0.conf").stdout
    assert "nameserver 10.66.2.1\n" in before and "sitelink" in before
    inventory = shutil.copytree(EXIT_INVENTORY, tmp_path / "inventory")
    with open(inventory / "host_vars" / "site-b.yml", "a") as file:
        file.write("wireguard_mesh_state: absent\n")
    playbook("site", "-i", inventory)
    assert traces() == "" and on("site-b", "cat /etc/resolv.conf").stdout == "nameserver 10.66.2.1\n"
    left = on(
        "site-b", "ls -d /etc/systemd/system/*sitelink* /run/sitelink /var/lib/sitelink /etc/sitelink; nft list tables"
    ).stdout
    assert left == ""
    assert on("site-b", "ip route get 198.18.0.81").stdout.split()[:3] == ["198.18.0.81", "via", "10.66.2.1"]
    lab("resume", "site-b")
    eventually(lambda: fetch("site-b") == "10.66.2.2", "by its own broadband at once")
    site_yml()


@pytest.mark.parametrize("argv", [("--check", "--diff"), ()], ids=["check", "run"])
def test_a_second_run_changes_nothing(argv):
    wait_for_the_names()
    counts = recap(site_yml(*argv))
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)
