# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked packets go out without pause while everything happens to eth1, its manager and the daemon.

The lab's nftables count at the other end of each cable. The site's own firewall, which would drop what strays, is off.
"""

import json
import pathlib
import time

import pytest

import marked
from lab_tests import INVENTORY, lab, on, recap, run, status, wait_for

SITE = "site-a"
UNIT = "sitelink-gateway@eth1"
ROLE = pathlib.Path(__file__).resolve().parents[1] / "role.yml"


def role(*argv, check=True):
    return run("ansible-playbook", "-i", INVENTORY, *argv, ROLE, check=check)


def leaked():
    """Marked packets that came out of eth0."""
    return json.loads(lab("count", "--json"))[SITE]["eth0"]["out"]["wireguard"]["packets"]


def left():
    return json.loads(lab("count", "--json"))[SITE]["eth1"]["out"]["wireguard"]["packets"]


def sender():
    """(sent, refused) so far."""
    return marked.counts(on(SITE, f"cat {marked.COUNTS}").stdout)


def eventually(condition):
    wait_for(condition, lambda: on(SITE, "sitelink status; ip rule; ip route show table 305").stdout)


def all_is_well():
    found = status(SITE)["gateway"]
    return bool(found) and found[0]["state"] == "ok"


def goes_on():
    """All is well, and marked packets leave by eth1."""
    eventually(all_is_well)
    before = left()
    eventually(lambda: left() > before + 100)


@pytest.fixture(scope="module", autouse=True)
def sending():
    firewall = [unit for unit in ("sitelink-firewall@eth1", "sitelink-firewall-table@eth1")
                if on(SITE, f"systemctl is-enabled {unit}").rc == 0]  # fmt: skip
    if firewall:
        on(SITE, f"systemctl disable --now {' '.join(firewall)}; sitelink firewall eth1 --remove")
    assert on(SITE, marked.start(0.0001)).rc == 0
    yield
    on(SITE, marked.STOP)
    if firewall:
        on(SITE, f"systemctl enable --now {' '.join(reversed(firewall))}")


EVENTS = {
    "another address": lambda: lab("renumber", "--wait", SITE),
    "the cable is pulled": lambda: (lab("unplug", SITE), time.sleep(2), lab("plug", SITE)),
    "systemd-networkd is restarted": lambda: on(SITE, "systemctl restart systemd-networkd"),
    "netplan apply": lambda: on(SITE, "netplan apply"),
    "networkctl reconfigure": lambda: on(SITE, "networkctl reconfigure eth1"),
    "networkctl down and up": lambda: on(SITE, "networkctl down eth1; sleep 1; networkctl up eth1"),
    "the daemon is killed": lambda: on(SITE, f"systemctl kill -s KILL {UNIT}"),
    "the daemon is restarted": lambda: on(SITE, f"systemctl restart {UNIT}"),
}


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_strays_when(event):
    goes_on()
    before, counted = leaked(), sender()
    for _ in range(3):
        EVENTS[event]()
        goes_on()
    assert leaked() == before
    assert sum(sender()) > sum(counted) + 500


def test_nothing_strays_while_the_daemon_is_stopped():
    goes_on()
    before = leaked()
    on(SITE, f"systemctl stop {UNIT}")
    try:
        assert not all_is_well()
        on(
            SITE,
            "systemctl restart systemd-networkd; sleep 2; netplan apply; sleep 2; networkctl reconfigure eth1; sleep 2",
        )
        lab("renumber", "--wait", SITE)
        counted = sender()
        eventually(lambda: sender()[1] > counted[1])  # refused: nobody sets the route
        assert leaked() == before
    finally:
        on(SITE, f"systemctl start {UNIT}")
    goes_on()
    assert leaked() == before


def test_nothing_strays_when_the_site_boots():
    goes_on()
    before = leaked()
    lab("reboot", SITE)
    goes_on()
    assert leaked() == before


def test_without_the_rules_marked_packets_do_leave_by_the_broadband():
    """The control: the lab would have counted them."""
    before = leaked()
    on(SITE, f"systemctl stop {UNIT}; sitelink gateway eth1 --remove")
    try:
        eventually(lambda: leaked() > before + 100)
    finally:
        on(SITE, f"systemctl start {UNIT}")
    goes_on()


def test_who_else_uses_the_table_is_told_before_the_start():
    on(SITE, "mkdir -p /etc/wireguard; printf '[Interface]\\nFwMark = 0x131\\n' > /etc/wireguard/vpn.conf")
    try:
        done = role(check=False)
    finally:
        on(SITE, "rm /etc/wireguard/vpn.conf")
    assert done.returncode != 0
    words = "/etc/sitelink/gateway-eth1.json: /etc/wireguard/vpn.conf says FwMark = 0x131 without Table = off"
    assert f"{SITE}: {words}" in " ".join(done.stdout.split())
    assert recap(done)[SITE]["changed"] == 0


def test_the_router_of_the_lease():
    """The lease of the site's own DHCP client is read, whatever it is."""
    role("-e", "tr069_gateway_source=lease")
    eventually(lambda: all_is_well() and status(SITE)["gateway"][0]["source"] == "lease")
    assert recap(role())[SITE]["changed"] > 0
    assert recap(role())[SITE]["changed"] == 0


def test_absent_leaves_nothing():
    absent = ("-e", "tr069_gateway_state=absent")
    role(*absent)
    assert on(SITE, "ip rule | grep 305; ip route show table 305; systemctl is-enabled " + UNIT).stdout.strip() == ""
    assert on(SITE, "find / -xdev -name '*gateway-eth1*' -o -xdev -name 'sitelink-gateway*'; ls /run/sitelink | "
                    "grep gateway").stdout == ""  # fmt: skip
    assert recap(role(*absent))[SITE]["changed"] == 0
    role()
    goes_on()
