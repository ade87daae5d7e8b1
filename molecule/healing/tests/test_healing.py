# SPDX-License-Identifier: GPL-3.0-or-later
"""Each event of the healing table once: it heals at all, by what it should. How fast is for bench/heal to say."""

import sys
import time

import pytest
from mesh_watch import Watch, podman
from steady import pings

from lab_tests import OVERLAY, PAIRS, ROOT, SITES, lab, on, status

BOUND = 60  # seconds; far above every goal

LIE = """
import socket, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from sitelink import tell
me, victim, subject = sys.argv[2:5]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((me, tell.PORT))
lie = tell.build(tell.TOLD, [(subject, "10.66.66.66:22000", 0)])[0]
for data in (lie, lie, lie[:-1], lie + b"x", b"", b"SLT1" + bytes(1400), tell.build(tell.TOLD, [(subject, "8.8.8.8:53", 0)])[0]):
    sock.sendto(data, (victim, tell.PORT))
"""


@pytest.fixture(scope="module")
def watch():
    return Watch(SITES)


@pytest.fixture(autouse=True)
def as_it_was(watch):
    """Every test begins and ends with a mesh that works, DNS, cables and broadband in place."""
    heals(watch)
    yield
    lab("dns", "start")
    for site in SITES:
        lab("resume", site)
        lab("plug", site)
    watch.refresh()
    heals(watch)


def heals(watch, pairs=PAIRS, seconds=BOUND):
    deadline = time.monotonic() + seconds
    missing = list(pairs)
    while missing and time.monotonic() < deadline:
        missing = [pair for pair in missing if not watch.pings(*pair)]
    assert not missing, (missing, {site: peers(site) for site in SITES})


def peers(site):
    return {peer["name"]: peer for peer in status(site)["mesh"][0]["peers"]}


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, {site: peers(site) for site in SITES}
        time.sleep(0.5)


def test_one_site_renumbers(watch):
    before = peers("site-b")["site-a"]
    lab("renumber", "--wait", "site-a")
    heals(watch)
    eventually(lambda: peers("site-b")["site-a"]["endpoint"] != before["endpoint"])
    after = peers("site-b")["site-a"]
    assert after["alive"] and after["endpoint_source"] == "roamed" and after["since"] > 0


def test_two_of_three_renumber_without_dns(watch):
    lab("dns", "stop")
    lab("renumber", "--wait", "site-a", "site-b")
    heals(watch)
    eventually(lambda: peers("site-a")["site-b"]["alive"] and peers("site-b")["site-a"]["alive"])
    found = [peers("site-a")["site-b"], peers("site-b")["site-a"]]
    assert {peer["endpoint_source"] for peer in found} <= {"peer", "roamed"}
    assert "peer" in {peer["endpoint_source"] for peer in found}
    assert any(peer["heal"] and peer["heal"]["seconds"] < BOUND for peer in found)


def test_all_renumber_and_dns_knows(watch):
    lab("renumber", "--wait", *SITES)
    heals(watch, seconds=180)  # DDNS publishes within about a minute


def test_a_suspended_site_boots_and_another_has_moved(watch):
    """Without broadband and without DNS: one peer is where the disk says, the other where that peer hears it."""
    lab("suspend", "site-a")
    lab("dns", "stop")
    time.sleep(11)  # what worked is on the disk
    podman.stop("site-a")
    lab("renumber", "--wait", "site-c")
    lab("reboot", "site-a", "--may-fail", "sitelink-ddns.service")  # it cannot publish anything
    watch.refresh()
    heals(watch)
    eventually(lambda: all(peer["alive"] for peer in peers("site-a").values()))
    assert peers("site-a")["site-c"]["endpoint"] == peers("site-b")["site-c"]["endpoint"]


def test_a_cable_comes_back_with_another_address_and_no_dns(watch):
    lab("dns", "stop")
    lab("unplug", "site-b")
    eventually(lambda: not peers("site-a")["site-b"]["alive"], 90)
    assert "check that site-b is on" in peers("site-a")["site-b"]["reason"]
    lab("renumber", "site-b")
    lab("plug", "site-b")
    heals(watch, seconds=120)


def test_the_daemon_is_killed_and_no_tunnel_notices(watch):
    """Endpoints stay, and no ping is lost meanwhile. Handshakes are WireGuard's own matter: one is due every two minutes."""
    before = on("site-a", "wg show wg0 endpoints; wg show wg0 preshared-keys; wg show wg0 allowed-ips").stdout
    daemon = on("site-a", "systemctl show --property=MainPID sitelink-mesh@wg0").stdout
    with pings([("site-a", "site-b"), ("site-c", "site-a")]) as found:
        on("site-a", "systemctl kill -s KILL sitelink-mesh@wg0")
        eventually(lambda: on("site-a", "systemctl is-active sitelink-mesh@wg0").stdout.strip() == "active")
        assert on("site-a", "systemctl show --property=MainPID sitelink-mesh@wg0").stdout != daemon
    assert all(sent > 0 for sent, _lost in found.values()) and found.lost() == {}
    assert on("site-a", "wg show wg0 endpoints; wg show wg0 preshared-keys; wg show wg0 allowed-ips").stdout == before
    assert all(peer["alive"] for peer in peers("site-a").values())


@pytest.mark.parametrize("lost", ["ip link delete wg0", "pkill -KILL -x wireguard-go"])
def test_an_interface_that_went_away_comes_back(watch, lost):
    """Its unit counts as active all the time, so nothing else would restart it."""
    index = on("site-b", "cat /sys/class/net/wg0/ifindex").stdout
    assert on("site-b", lost).rc == 0
    eventually(lambda: on("site-b", "cat /sys/class/net/wg0/ifindex").stdout not in ("", index))
    heals(watch)
    said = on("site-b", "journalctl -u sitelink-mesh@wg0 --since -5min -o cat").stdout
    assert "wg0 is gone though its unit counts as active; restarting" in said


def test_an_interface_that_somebody_stopped_stays_away(watch):
    on("site-b", "systemctl stop wg-quick@wg0")
    try:
        time.sleep(4)  # the first attempt would come after one second
        assert on("site-b", "ip link show wg0").rc != 0
        assert "systemctl restart wg-quick@wg0" in on("site-b", "sitelink status").stdout
    finally:
        on("site-b", "systemctl start wg-quick@wg0")


def test_a_member_that_lies_moves_no_live_tunnel(watch):
    before = on("site-a", "wg show wg0 endpoints").stdout
    on("site-b", "systemctl stop sitelink-mesh@wg0")  # to take its port; the tunnel stays
    try:
        told = watch.inside(
            "site-b", sys.executable, "-c", LIE, str(ROOT / "roles/site_agent/files"),
            OVERLAY["site-b"], OVERLAY["site-a"], OVERLAY["site-c"],
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        time.sleep(3)
        assert on("site-a", "wg show wg0 endpoints").stdout == before
        assert peers("site-a")["site-c"]["alive"]
    finally:
        on("site-b", "systemctl start sitelink-mesh@wg0")
