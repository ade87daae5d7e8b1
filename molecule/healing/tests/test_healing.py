# SPDX-License-Identifier: GPL-3.0-or-later
"""Each event of the healing table once: it heals at all, by what it should. How fast is for bench/heal to say."""

import contextlib
import json
import sys

import pytest
from mesh_watch import Watch, podman
from steady import pings

from lab_tests import LIMIT, OVERLAY, PAIRS, ROOT, SITES, lab, leased_prefix, on, status, underlay_address, wait_for

LIE = """
import socket, sys, time
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from sitelink import tell
me, victim, subject = sys.argv[2:5]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((me, tell.PORT))
lie = tell.build(tell.TOLD, [(subject, "10.66.66.66:22000", 0)])[0]
for data in (lie, lie, lie[:-1], lie + b"x", b"", b"SLT1" + bytes(1400), tell.build(tell.TOLD, [(subject, "8.8.8.8:53", 0)])[0]):
    sock.sendto(data, (victim, tell.PORT))
# A question after the lies: there is no answer before they were read, and while the peer that they are about is in doubt.
sock.settimeout(1)
end = time.monotonic() + float(sys.argv[5])
while True:
    sock.sendto(tell.build(tell.QUESTION, [subject])[0], (victim, tell.PORT))
    try:
        data, (sender, _) = sock.recvfrom(2048)
    except socket.timeout:
        assert time.monotonic() < end
        continue
    kind, records = tell.parse(data)
    told = {record[0]: record[1] for record in records} if kind == tell.TOLD else {}
    if sender == victim and subject in told:
        print(told[subject])
        break
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


def heals(watch):
    missing = list(PAIRS)

    def none_is_missing():
        missing[:] = [pair for pair in missing if not watch.pings(*pair)]
        return not missing

    wait_for(none_is_missing, lambda: (missing, {site: peers(site) for site in SITES}))


def peers(site):
    return {peer["name"]: peer for peer in status(site)["mesh"][0]["peers"]}


def eventually(condition):
    wait_for(condition, lambda: {site: peers(site) for site in SITES})


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
    assert any(peer["heal"] for peer in found)


@contextlib.contextmanager
def resolver(container, address, name, answer):
    """A DNS server that knows one name, where no other one does."""
    pid = "/run/resolver-of-healing.pid"
    lab("exec", container, "--", "dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces",
        f"--listen-address={address}", "--except-interface=lo", f"--address=/{name}/{answer}", f"--pid-file={pid}")  # fmt: skip
    try:
        yield
    finally:
        lab("exec", container, "--", "sh", "-c", f"kill $(cat {pid})")


def finds(watch, site, other):
    """A site finds another one that no member can tell it of, by its name."""
    wait_for(lambda: watch.pings(site, other) and watch.pings(other, site), lambda: (peers(site), peers(other)))
    eventually(lambda: peers(site)[other]["alive"] and peers(other)[site]["alive"])
    assert (peers(site)[other]["endpoint_source"], peers(other)[site]["endpoint_source"]) == ("dns", "roamed")


def test_two_that_moved_meet_by_the_resolver_of_the_lease(watch):
    """Their own resolvers are gone, and the third site is off."""
    off = "sitelink-mesh@wg0 wg-quick@wg0"
    on("site-c", f"systemctl stop {off}")
    try:
        lab("dns", "stop")
        lab("renumber", "--wait", "site-a", "site-b")
        with resolver("carrier", leased_prefix("site-a")[1], "site-b.lab.test", underlay_address("site-b")):
            finds(watch, "site-a", "site-b")
    finally:
        on("site-c", f"systemctl start {off}")


def test_two_that_moved_meet_by_the_resolver_of_a_live_peer(watch):
    """Which itself cannot reach one of the two, so that it has nothing to tell."""
    both = "{ ont-b, ont-c }"
    drop = f"chain c {{ type filter hook forward priority 0; iifname {both} oifname {both} drop; }}"
    lab("exec", "carrier", "--", "nft", f"table inet apart {{ {drop}; }}")
    try:
        lab("dns", "stop")
        lab("renumber", "--wait", "site-a", "site-c")
        with resolver("site-b", OVERLAY["site-b"], "site-c.lab.test", underlay_address("site-c")):
            finds(watch, "site-a", "site-c")
        assert not peers("site-b")["site-c"]["alive"]
    finally:
        lab("exec", "carrier", "--", "nft", "delete table inet apart")


def test_all_renumber_and_dns_knows(watch):
    lab("renumber", "--wait", *SITES)
    heals(watch)  # DDNS publishes within about a minute


def in_use(site):
    """{public key: endpoint} of all peers."""
    return dict(line.split() for line in on(site, "wg show wg0 endpoints").stdout.splitlines())


def on_disk(site):
    """The same as it would be tried first after a reboot."""
    kept = json.loads(on(site, "cat /var/lib/sitelink/mesh-wg0.json").stdout)["peers"]
    return {key: item["endpoints"][0] for key, item in kept.items()}


def test_a_suspended_site_boots_and_another_has_moved(watch):
    """Without broadband and without DNS: one peer is where the disk says, the other where that peer hears it."""
    lab("suspend", "site-a")
    lab("dns", "stop")
    eventually(lambda: on_disk("site-a") == in_use("site-a"))
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
    eventually(lambda: not peers("site-a")["site-b"]["alive"])
    assert "check that site-b is on" in peers("site-a")["site-b"]["reason"]
    lab("renumber", "site-b")
    lab("plug", "site-b")
    heals(watch)


def test_the_daemon_is_killed_and_no_tunnel_notices(watch):
    """Endpoints stay, and no ping is lost meanwhile. Handshakes are WireGuard's own matter: one is due every two minutes."""

    def tunnels():
        """In whatever order wg lists the peers."""
        text = on("site-a", "wg show wg0 endpoints; wg show wg0 preshared-keys; wg show wg0 allowed-ips").stdout
        return sorted(text.splitlines())

    before = tunnels()

    def daemon():
        """[its process, its state]"""
        show = "systemctl show --value sitelink-mesh@wg0 -p"
        return on("site-a", f"{show} MainPID; {show} ActiveState").stdout.split()

    old = daemon()
    with pings([("site-a", "site-b"), ("site-c", "site-a")]) as found:
        on("site-a", "systemctl kill -s KILL sitelink-mesh@wg0")
        eventually(lambda: daemon()[0] not in ("0", old[0]) and daemon()[1] == "active")
    assert all(sent > 0 for sent, _lost in found.values()) and found.lost() == {}
    assert tunnels() == before
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


def test_a_member_that_lies_moves_no_live_tunnel(watch):
    before = in_use("site-a")
    on("site-b", "systemctl stop sitelink-mesh@wg0")  # to take its port; the tunnel stays
    try:
        told = watch.inside(
            "site-b", sys.executable, "-c", LIE, str(ROOT / "roles/site_agent/files"),
            OVERLAY["site-b"], OVERLAY["site-a"], OVERLAY["site-c"], str(LIMIT),
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert told.stdout.strip() == peers("site-a")["site-c"]["endpoint"]
        assert in_use("site-a") == before
        assert peers("site-a")["site-c"]["alive"]
    finally:
        on("site-b", "systemctl start sitelink-mesh@wg0")
