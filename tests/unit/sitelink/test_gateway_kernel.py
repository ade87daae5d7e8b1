# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway in a real kernel: a site with eth0 (broadband) and eth1 (carrier), each in a namespace of its own."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from sitelink import config, gateway, netlink, others

from throwaway import LIMIT, connect, wait_for

PEER = "10.77.3.9"  # a site in another subnet of the underlay
MARK = 0x131
SO_MARK = 36
MESH = {
    "mesh": "m", "site": "s", "interface": "wg0", "underlay_interface": "eth1", "networks": ["10.0.0.0/7"], "port": 22000, "fwmark": MARK,
    "mtu": 1420, "keepalive": 25, "addresses": [], "lan_subnets": [], "public_key": "", "peers": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def net(namespaces):
    """(site, carrier, internet); the internet answers for the peer's address too, so that a leak is seen."""
    site, carrier, internet = namespaces(), namespaces(), namespaces()
    connect(site, "eth0", internet, "home")
    connect(site, "eth1", carrier, "ont")
    site.sh("ip addr add 192.168.1.2/24 dev eth0")
    carrier.sh(
        "ip addr add 10.23.64.1/20 dev ont; ip addr add 10.24.96.1/20 dev ont; ip addr add 10.25.0.0/31 dev ont;"
        "ip addr add %s/32 dev lo" % PEER
    )
    internet.sh("ip addr add 192.168.1.1/24 dev home; ip addr add %s/32 dev lo" % PEER)
    return site, carrier, internet


@pytest.fixture
def site(net, gateway_json):
    """The site as after a boot: no address, no default route, nothing in table 305."""
    site = net[0]
    site.write("gateway-eth1.json", gateway_json)
    site.sh(
        "ip addr flush dev eth1; ip route flush table 305 2>/dev/null || true; ip link set eth1 up;"
        "while ip rule del pref 305 2>/dev/null; do :; done; while ip rule del pref 99 2>/dev/null; do :; done;"
        "ip route replace default via 192.168.1.1;"
        "for i in all eth1 eth0; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done"
    )
    yield site
    for process in site.processes:
        if process.poll() is None:
            site.stop(process, signal.SIGKILL)


@pytest.fixture
def daemon(site):
    return start(site)


def start(site):
    report = site.run_dir + "/gateway-eth1.json"
    if os.path.exists(report):
        os.unlink(report)
    process = site.daemon("gateway", "eth1")
    wait_for(lambda: os.path.exists(report), "the daemon's report")
    return process


def cfg():
    return config.GatewayConfig("eth1", config.networks(["10.0.0.0/7"]), 305, MARK, 305, config.FIRST_HOST)


def routes(site):
    return site.sh("ip route show table 305 2>/dev/null || true").strip()


def rules(site):
    return "\n".join(line.strip() for line in site.sh("ip rule").splitlines() if "lookup 305" in line)


def state(site):
    return site.status()["gateway"][0]


def ask(site, mark=MARK, address=PEER):
    return site.sh("ip route get %s mark 0x%x 2>&1" % (address, mark), check=False).strip()


def udp(namespace, address, mark=0):
    with namespace.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(LIMIT)
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    sock.bind((address, 22000))
    return sock


def test_an_address_gives_route_rules_and_backstop(site, daemon):
    assert routes(site) == "unreachable default proto kernel metric 4278198272"
    assert "10.77.3.9" in ask(site, mark=0) and "eth0" in ask(site, mark=0)
    assert "unreachable" in ask(site).lower() or "No route" in ask(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    text = routes(site)
    assert re.search(r"default via 10.23.64.1 dev eth1 proto 131 src 10.23.64.5 onlink", text)
    assert "unreachable default proto kernel metric 4278198272" in text
    assert re.search(r"(?m)from all to 10.0.0.0/7 fwmark 0x131 lookup 305$", rules(site))
    assert re.search(r"(?m)from 10.23.64.5 to 10.0.0.0/7 lookup 305$", rules(site))
    site.sh("ip addr del 10.23.64.5/20 dev eth1; ip addr add 10.24.96.7/20 dev eth1")
    wait_for(lambda: "via 10.24.96.1 dev eth1" in ask(site))
    wait_for(lambda: "10.23.64.5" not in rules(site))
    assert "from 10.24.96.7 to 10.0.0.0/7 lookup 305" in rules(site)
    assert state(site) == {
        "interface": "eth1", "state": "ok", "reason": "", "address": "10.24.96.7", "prefix": 20, "gateway": "10.24.96.1",
        "source": "first_host", "answers": True, "table": 305, "rules": True, "route": True, "backstop": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("default", "overlap"),
    [
        (True, False),
        pytest.param(True, True, marks=pytest.mark.long),
        pytest.param(False, False, marks=pytest.mark.long),
        (False, True),
    ],
    ids=["broadband", "broadband, overlapping LAN", "suspended", "suspended, overlapping LAN"],
)
@pytest.mark.parametrize("nic", [0, 1, 2])
@pytest.mark.parametrize("everywhere", [0, 1, 2])
def test_a_peer_from_another_subnet_gets_its_answer(net, site, daemon, everywhere, nic, default, overlap):
    """With every rp_filter on `all` and on eth1; overlap: the site's LAN has the peer's prefix."""
    carrier = net[1]
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site) and state(site)["state"] == "ok")  # said when all is in place
    site.sh("cd /proc/sys/net/ipv4/conf; echo %d > all/rp_filter; echo %d > eth1/rp_filter" % (everywhere, nic))
    if not default:
        site.sh("ip route del default")
    if overlap:
        site.sh("ip route add 10.77.3.0/24 dev eth0 scope link")
    try:
        inner, outer = udp(site, "0.0.0.0", MARK), udp(carrier, PEER)
        with inner, outer:
            outer.sendto(b"hello", ("10.23.64.5", 22000))  # arrives unmarked: the reverse path filter decides
            data, sender = inner.recvfrom(100)
            assert (data, sender) == (b"hello", (PEER, 22000))
            inner.sendto(b"answer", sender)
            assert outer.recvfrom(100) == (b"answer", ("10.23.64.5", 22000))
        if overlap or default:
            assert "dev eth0" in ask(site, mark=0)  # unmarked traffic of the site is untouched
    finally:
        if overlap:
            site.sh("ip route del 10.77.3.0/24 dev eth0")


def test_without_the_daemon_a_strict_filter_drops(net, site):
    """The control: the test above can fail."""
    site.sh("ip addr add 10.23.64.5/20 dev eth1; echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
    inner, outer = udp(site, "0.0.0.0", MARK), udp(net[1], PEER)
    with inner, outer:
        before = dropped_by_the_reverse_path_filter(site)
        outer.sendto(b"hello", ("10.23.64.5", 22000))
        wait_for(lambda: dropped_by_the_reverse_path_filter(site) > before)
        inner.setblocking(False)
        with pytest.raises(BlockingIOError):
            inner.recvfrom(100)


def dropped_by_the_reverse_path_filter(site):
    names, values = [line.split() for line in site.sh("grep ^TcpExt: /proc/net/netstat").splitlines()]
    return int(values[names.index("IPReversePathFilter")])


def test_no_marked_packet_leaves_by_eth0(net, site, daemon):
    """The internet has the peer's address too; it must not hear anything while eth1 comes, goes and changes."""
    _, carrier, internet = net
    inner, outer, leak = udp(site, "0.0.0.0", MARK), udp(carrier, PEER), udp(internet, PEER)

    def send():
        """Whether the kernel took the packet."""
        try:
            return inner.sendto(b"x", (PEER, 22000)) > 0
        except OSError:
            return False

    def heeded(expected):
        """What the kernel says after the change, whatever it said in between."""
        return [send() for _ in range(200)][-1] == expected

    with inner, outer, leak:
        for change, expected in (
            ("ip addr add 10.23.64.5/20 dev eth1", True),
            ("ip addr flush dev eth1", False),
            ("ip addr add 10.24.96.7/20 dev eth1", True),
            ("ip link set eth1 down", False),
            ("ip link set eth1 up", True),
        ):
            site.sh(change)
            wait_for(lambda expected=expected: heeded(expected), change)
        site.stop(daemon, signal.SIGKILL)
        site.sh("ip addr flush dev eth1")
        assert not send()
        # The control, and the end: what went by eth0 before would be heard before.
        with site.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unmarked:
            unmarked.sendto(b"unmarked", (PEER, 22000))
        assert leak.recvfrom(100)[0] == b"unmarked"


def leased(site, address, *routers):
    """What systemd-networkd leaves of a lease."""
    path = os.path.join(site.lib, "run/systemd/netif/leases/%d" % site.kernel().link("eth1").index)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("ADDRESS=%s\nNETMASK=255.255.240.0\nROUTER=%s\n" % (address, " ".join(routers)))


@pytest.fixture
def quick(site):
    """The kernel gives a neighbour up after 0.3 s instead of 3 s."""
    site.sh("ip neigh flush dev eth1; echo 100 > /proc/sys/net/ipv4/neigh/eth1/retrans_time_ms")
    yield
    site.sh("echo 1000 > /proc/sys/net/ipv4/neigh/eth1/retrans_time_ms; rm -rf %s/run" % site.lib)


def test_the_router_of_the_lease_is_the_gateway(net, site, gateway_json, quick):
    net[1].sh("ip addr add 10.23.79.254/32 dev ont")
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.79.254")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.79.254 dev eth1" in ask(site))
    wait_for(lambda: state(site)["source"] == "lease" and state(site)["state"] == "ok")
    site.sh("ip addr flush dev eth1; ip addr add 10.24.96.7/20 dev eth1")  # the lease of the old address says nothing
    wait_for(lambda: "via 10.24.96.1 dev eth1" in ask(site))
    assert state(site)["source"] == "first_host"
    net[1].sh("ip addr del 10.23.79.254/32 dev ont")


def test_a_router_of_the_lease_that_answers_late_is_not_left_for_ever(net, site, gateway_json, quick):
    """The first host is another box of the carrier, and comes first."""
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.79.252")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    net[1].sh("ip addr add 10.23.79.252/32 dev ont")
    try:
        wait_for(lambda: "via 10.23.79.252 dev eth1" in ask(site))
        wait_for(lambda: (state(site)["source"], state(site)["state"]) == ("lease", "ok"))
    finally:
        net[1].sh("ip addr del 10.23.79.252/32 dev ont")


@pytest.mark.parametrize("address", ["10.23.79.254", "10.23.79.253"])
def test_an_address_that_would_be_asked_about_is_the_sites_own(site, gateway_json, quick, address):
    site.write("gateway-eth1.json", dict(gateway_json, networks=["10.23.64.0/20"]))
    start(site)
    site.sh("ip addr add %s/20 dev eth1" % address)
    wait_for(lambda: (state(site)["reason"], state(site)["state"]) == ("", "ok"))


def test_another_router_of_a_renewed_lease_is_taken_at_once(net, site, gateway_json, quick):
    net[1].sh("ip addr add 10.23.79.254/32 dev ont; ip addr add 10.23.79.253/32 dev ont")
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.79.254")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1 valid_lft 120 preferred_lft 120")
    wait_for(lambda: "via 10.23.79.254 dev eth1" in ask(site))
    time.sleep(5)  # nothing looks any more: not a wait for something, so no machine is too slow for it
    site.sh("ip addr change 10.23.64.5/20 dev eth1 valid_lft 120 preferred_lft 120")
    time.sleep(0.02)
    leased(site, "10.23.64.5", "10.23.79.253")  # as systemd-networkd, after the address
    wait_for(lambda: "via 10.23.79.253 dev eth1" in ask(site))
    net[1].sh("ip addr del 10.23.79.254/32 dev ont; ip addr del 10.23.79.253/32 dev ont")


def test_of_two_candidates_the_one_that_answers_arp_is_taken(net, site, gateway_json, quick):
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.79.253")  # nobody has it
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    assert (state(site)["source"], state(site)["reason"]) == ("first_host", "")
    leased(site, "10.24.96.7", "10.24.111.253")
    site.sh("ip addr flush dev eth1; ip addr add 10.24.96.7/20 dev eth1")
    wait_for(lambda: "via 10.24.96.1 dev eth1" in ask(site))


def test_a_gateway_that_does_not_answer_is_reported(site, daemon, quick):
    site.sh("ip addr add 10.26.0.5/20 dev eth1")  # the carrier has nothing there
    wait_for(lambda: "10.26.0.1 does not answer ARP on eth1" in state(site)["reason"])
    assert state(site)["answers"] is False and "ONT" in state(site)["reason"]
    assert "via 10.26.0.1 dev eth1" in ask(site)  # it may come back
    leased(site, "10.27.0.5", "10.27.0.254")
    site.sh("ip addr flush dev eth1; ip addr add 10.27.0.5/20 dev eth1")
    wait_for(lambda: "the lease names the router 10.27.0.254" in state(site)["reason"])
    site.sh("ip addr flush dev eth1; ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok" and state(site)["answers"])


@pytest.mark.parametrize("busy", [False, True], ids=["", "in use"])
def test_a_gateway_that_falls_silent_is_reported_and_one_that_speaks_again_too(net, site, daemon, busy):
    """With the kernel's own times: it would believe in the old answer for up to 45 s. Each packet to a gateway in use makes the kernel
    ask anew, and forget that it has failed."""
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["answers"] and state(site)["state"] == "ok")
    carrier = net[1]
    with contextlib.ExitStack() as stack:
        if busy:
            stack.enter_context(packets(site))
        carrier.sh("ip link set ont arp off")
        try:
            wait_for(lambda: "10.23.64.1 does not answer ARP on eth1" in state(site)["reason"])
        finally:
            carrier.sh("ip link set ont arp on")
        wait_for(lambda: state(site)["state"] == "ok")


@contextlib.contextmanager
def packets(site):
    """Marked ones to a peer, fifty a second, until the block ends."""
    ended = threading.Event()

    def send():
        while not ended.wait(0.02):
            with contextlib.suppress(OSError):  # the kernel says so where the gateway does not answer
                sock.sendto(b"", (PEER, 9))

    with udp(site, "10.23.64.5", MARK) as sock:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            ended.set()
            sender.join()


def test_one_address_with_another_prefix_length_keeps_its_way_out(site, daemon):
    site.sh("ip addr add 10.24.96.7/20 dev eth1")
    wait_for(lambda: "via 10.24.96.1" in ask(site))
    with site.entered():
        events = netlink.Events(["route", "rule"])
    site.sh("ip addr add 10.24.96.7/19 dev eth1")  # as networkd does: the new one first
    site.sh("ip addr del 10.24.96.7/20 dev eth1")
    wait_for(lambda: state(site)["prefix"] == 19)
    gone = [event for event in events.read()[0] if event.deleted and event.item.table == 305]
    assert gone == [] and "via 10.24.96.1" in ask(site)
    site.sh("ip addr add 10.24.96.7/24 dev eth1")  # and where the old one is left for good
    wait_for(lambda: state(site)["prefix"] == 24 and state(site)["state"] == "ok")


def broadcasts(site):
    lines = site.sh("ip route show table local type broadcast dev eth1").splitlines()
    return [line.split()[1] for line in lines]


@pytest.mark.parametrize("address", ["10.23.64.5/20", "10.25.0.1/31", "10.25.0.9/32"])
def test_a_broadcast_address_of_the_carriers_choice_takes_nothing_from_the_site(site, address):
    """DHCP's option 28, as dhclient, dhcpcd and networkd 257 take it: with the address of the site's router here."""
    wrong = "ip addr %s %s broadcast 192.168.1.1 dev eth1 valid_lft %d preferred_lft %d"
    site.sh(wrong % ("add", address, 120, 120))  # before the daemon is there
    assert "broadcast" in ask(site, 0, "192.168.1.1")
    start(site)

    def free():
        return "broadcast" not in ask(site, 0, "192.168.1.1")

    wait_for(free)
    right = ["10.23.79.255"] if "/20" in address else []
    assert [item for item in broadcasts(site) if item != "10.23.64.0"] == right  # that one before Linux 5.14
    site.sh(wrong % ("change", address, 60, 60))  # renewed
    assert free()
    for _ in range(3):
        site.sh("ip addr del %s dev eth1; %s" % (address, wrong % ("add", address, 90, 90)))
        wait_for(free)
    site.sh("ip link set eth1 down; ip link set eth1 up")  # the kernel sets them again
    wait_for(free)
    if right:
        wait_for(lambda: state(site)["state"] == "ok")
        assert broadcasts(site)[-1:] == right


def test_a_broadcast_whose_event_was_lost_goes_with_the_safety_pass(site, monkeypatch):
    monkeypatch.setitem(site.constants, "gateway.SAFETY_SECONDS", 1)
    process = start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok")
    process.send_signal(signal.SIGSTOP)
    with site.entered():
        kernel = netlink.Kernel()
    site.sh("ip route add broadcast 192.168.1.1 dev eth1 table local")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: "192.168.1.1" not in broadcasts(site))
    index = kernel.link("eth1").index
    assert [item.dst for item in kernel.routes(netlink.LOCAL_TABLE, oif=index) if item.type == netlink.BROADCAST][
        -1:
    ] == ["10.23.79.255/32"]


def test_an_address_to_be_renewed_keeps_the_way_out(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1 valid_lft 120 preferred_lft 0")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    wait_for(lambda: state(site)["state"] == "ok")
    assert site.sitelink("address", "eth1")[0] == 0


@pytest.mark.parametrize("address", ["10.23.64.5/6", "10.23.64.5/1"])
def test_a_prefix_wider_than_the_underlay_gives_no_gateway(site, daemon, address):
    site.sh("ip addr add %s dev eth1 metric 4096" % address)
    wait_for(lambda: "reaches outside the underlay 10.0.0.0/7" in state(site)["reason"])
    assert routes(site).startswith("unreachable default") and state(site)["gateway"] is None
    code, _, said = site.sitelink("address", "eth1")
    assert code == 1 and "%s, and its prefix" % address in said


def test_a_router_that_is_a_broadcast_address_does_not_hold_up_the_first_host(site, gateway_json, quick):
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.79.255", "10.23.64.0")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 broadcast + dev eth1")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    wait_for(lambda: state(site)["state"] == "ok" and state(site)["source"] == "first_host")


def test_a_router_that_the_kernel_refuses_counts_as_silent(site, gateway_json, quick):
    """A second address of the NIC, which no look at the prefix shows."""
    site.write("gateway-eth1.json", dict(gateway_json, gateway="lease"))
    leased(site, "10.23.64.5", "10.23.64.77")
    process = start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1; ip addr add 10.23.64.77/20 dev eth1")
    site.sh("ip link set eth1 down; ip link set eth1 up")  # whichever came first for the daemon
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    wait_for(lambda: state(site)["state"] == "ok" and state(site)["source"] == "first_host")
    site.stop(process)
    site.write("gateway-eth1.json", dict(gateway_json, gateway="10.23.64.77"))
    site.sh("ip route flush table 305")
    start(site)
    wait_for(lambda: "10.23.64.77 as the gateway of eth1" in state(site)["reason"])
    assert "ARP" not in state(site)["reason"] and state(site)["answers"] is False


@pytest.mark.parametrize("leased", [True, False], ids=["", "without a lease"])
@pytest.mark.parametrize(
    "route",
    [
        "throw 10.77.0.0/16", "throw default metric 9", "local 10.77.0.0/16 dev lo", "10.77.0.0/16 tos 0x10 dev eth0",
        "10.77.0.0/16 nexthop dev eth0 nexthop dev eth1", "10.77.0.0/16 nhid 77",
    ],
)  # fmt: skip
def test_nothing_in_the_table_sends_marked_packets_on(site, daemon, route, leased):
    if leased:
        site.sh("ip addr add 10.23.64.5/20 dev eth1")
        wait_for(lambda: "via 10.23.64.1" in ask(site))
    before = routes(site)
    site.sh("ip nexthop replace id 77 dev eth0")
    try:
        site.sh("ip route add table 305 " + route)
        wait_for(lambda: routes(site) == before)
        assert "eth0" not in ask(site) and "local" not in ask(site)
    finally:
        site.sh("ip nexthop del id 77")


def test_a_route_that_strongswan_adds_later_is_told_at_once(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1; ip rule add pref 220 lookup 220; ip rule add pref 221 lookup 221")
    try:
        wait_for(lambda: state(site)["state"] == "ok")
        with open(site.run_dir + "/gateway-eth1.json") as file:
            assert '"state": "ok"' in file.read()
        site.sh("ip route add 10.77.0.0/16 via 192.168.1.1 table 220")

        def told():
            with open(site.run_dir + "/gateway-eth1.json") as file:
                return file.read()

        wait_for(lambda: "packets with mark 0x131 to 10.77.0.0/16 would leave by eth0 instead of eth1" in told())
        assert "lookup 220 (of strongSwan); set tr069_rule_priority to 219" in told()
        site.sh("ip route flush table 220")
        wait_for(lambda: '"state": "ok"' in told())
    finally:
        site.sh("ip rule del pref 220; ip rule del pref 221; ip route flush table 220 || true")


def test_a_rule_in_front_without_a_lease_is_told_where_it_lets_packets_out(site, daemon):
    site.sh("ip rule add pref 100 to 10.9.0.0/16 prohibit")
    site.sh("ip rule add pref 101 to 10.77.0.0/16 lookup main")
    try:
        wait_for(lambda: "pref 101 from all to 10.77.0.0/16 lookup main" in state(site)["reason"])
        assert "pref 100" not in state(site)["reason"]
    finally:
        site.sh("ip rule del pref 100; ip rule del pref 101")


def test_a_rule_in_front_that_refuses_is_a_fault(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok")
    site.sh("ip rule add pref 99 fwmark 0x131 unreachable")
    try:
        wait_for(lambda: "do not leave at all" in state(site)["reason"])
    finally:
        site.sh("ip rule del pref 99")
    wait_for(lambda: state(site)["state"] == "ok")


def test_who_keeps_taking_our_rule_away_is_named_and_given_way(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok")
    thief = subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            site.name,
            "sh",
            "-c",
            "while :; do ip rule del pref 305 fwmark 0x131 2>/dev/null; done",
        ]
    )
    try:
        wait_for(lambda: "takes away again and again" in state(site)["reason"])
        before = cpu(daemon)
        time.sleep(5)  # the span of a measurement
        assert cpu(daemon) - before < 1  # it was a whole core
    finally:
        thief.kill()
        thief.wait()
    wait_for(lambda: state(site)["state"] == "ok")
    assert "from all to 10.0.0.0/7 fwmark 0x131 lookup 305" in rules(site)


def cpu(process):
    """Seconds of processor time."""
    with open("/proc/%d/stat" % process.pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_second_daemon_for_the_same_table_names_who_holds_it(site, daemon, gateway_json):
    site.write("gateway-eth2.json", dict(gateway_json, interface="eth2", fwmark=0x132, priority=306))
    try:
        code, _, said = site.sitelink("gateway", "eth2")
        assert code == 1 and "table 305 is held by sitelink-gateway@eth1" in said and "tr069_table" in said
        # And to take that one away takes nothing of the first.
        site.write("gateway-eth2.json", dict(gateway_json, interface="eth2"))
        site.sh("ip addr add 10.23.64.5/20 dev eth1")
        wait_for(lambda: "via 10.23.64.1" in ask(site))
        watch = site.lib + "/seen-rules"
        argv = ["ip", "netns", "exec", site.name, "sh", "-c", "exec ip -o monitor route rule > %s" % watch]
        monitor = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        try:
            wait_for(lambda: os.path.exists(watch))
            code, _, said = site.sitelink("gateway", "eth2", "--remove")
            assert code == 0 and "held by sitelink-gateway@eth1 and left alone" in said
            site.sh("ip rule add pref 7 to 10.99.0.0/16 lookup 305; ip rule del pref 7")  # behind what there may be
            wait_for(lambda: "10.99.0.0/16" in pathlib.Path(watch).read_text())
        finally:
            monitor.terminate()
            monitor.wait()
        with open(watch) as file:
            assert [line for line in file if "Deleted" in line and "10.99.0.0/16" not in line] == []
    finally:
        os.unlink(site.etc + "/gateway-eth2.json")


@contextlib.contextmanager
def seen_on(site):
    """What the kernel says of addresses and routes of 10.23.64.0/20 meanwhile, in the end."""
    watch, lines = site.lib + "/seen", []
    argv = ["ip", "netns", "exec", site.name, "sh", "-c", "exec ip -o monitor address route > %s" % watch]
    monitor = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(watch))
        yield lines
    finally:
        monitor.terminate()
        monitor.wait()
        with open(watch) as file:
            lines += [line for line in file if "10.23.64." in line]
        os.unlink(watch)


def was_set_free(lines):
    """The address was set and deleted, and its route stood behind all others: the LAN may have that prefix."""
    addresses = [number for number, line in enumerate(lines) if "10.23.64.5/20" in line]
    assert "Deleted" not in lines[addresses[0]] and "Deleted" in lines[addresses[1]], lines
    routes = [line for line in lines[: addresses[1]] if "10.23.64.0/20" in line and "table" not in line]
    assert routes and all("metric 4096" in line for line in routes), lines


def test_who_waits_for_an_address_sets_one_free_that_networkd_waits_with(site, monkeypatch):
    monkeypatch.setitem(site.constants, "lease.FORGOTTEN_SECONDS", 0)
    leased(site, "10.23.64.5", "10.23.64.1")
    argv = ("address", "--network=10.0.0.0/7", "--wait=2", "eth1")
    with seen_on(site) as lines:
        assert site.sitelink(*argv)[0] == 1
    was_set_free(lines)
    site.sh("rm -rf %s/run" % site.lib)
    with seen_on(site) as lines:
        assert site.sitelink(*argv)[0] == 1
    assert lines == []  # nothing is leased


@pytest.mark.parametrize("helps", [0, 1, 2])
def test_a_lease_that_networkd_took_away_again_is_asked_for_anew(site, monkeypatch, helps):
    """networkctl is a stand-in here: one try of these sets the address, and the lease outside stays what it is without it.

    Before that (lease.set_free) the address is set and deleted once, which is all that networkd 252 waits for if it was told twice at once to configure
    the NIC. It was seen so on the real one, which stays as it is through a renewal, a reconfiguration and a pulled cable.
    """
    for name in ("SECONDS", "PAUSE"):
        monkeypatch.setitem(site.constants, "gateway.FORGOTTEN_" + name, 1)
    asked = site.lib + "/asked"
    script = "echo $0 $1 >> %s; [ $(wc -l < %s) -le %d ] || ip addr add 10.23.64.5/20 dev $1" % (asked, asked, helps)
    cures = [[], *(["sh", "-c", script, cure] for cure in ("one", "other"))]
    monkeypatch.setitem(site.constants, "gateway.CURES", cures)
    start(site)
    assert "asked" not in os.listdir(site.lib)  # there is no lease that could be lost
    leased(site, "10.23.64.5", "10.23.64.1")
    with seen_on(site) as lines:
        site.sh("ip addr add 10.24.96.7/20 dev eth1; ip addr flush dev eth1")
        wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
    was_set_free(lines)
    with open(asked) as file:
        assert file.read().splitlines() == ["one eth1", "other eth1", "one eth1"][: helps + 1]
    site.sh("rm -rf %s/run %s" % (site.lib, asked))


def test_what_is_flushed_comes_back(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site))
    wait_for(lambda: state(site)["state"] == "ok")  # said when all is in place
    before = rules(site), routes(site)
    site.sh("ip route flush table 305")
    wait_for(lambda: "via 10.23.64.1" in routes(site) and "unreachable" in routes(site))
    site.sh("while ip rule del pref 305 2>/dev/null; do :; done")
    wait_for(lambda: (rules(site), routes(site)) == before, lambda: "%s %s %s %s" % (before, rules(site), routes(site), state(site)))
    # the article's own script, for instance
    site.sh("ip route replace default via 10.23.64.99 dev eth1 onlink table 305")
    wait_for(lambda: (rules(site), routes(site)) == before)
    for protocol in ("131", "kernel"):  # ours of an earlier life
        site.sh("ip rule add pref 305 from 10.1.2.3 to 10.0.0.0/7 lookup 305 protocol " + protocol)
        wait_for(lambda: (rules(site), routes(site)) == before)


@pytest.mark.parametrize("changes", [{"table": 306}, {"priority": 306}, {"table": 306, "priority": 306, "fwmark": 306}])
def test_another_table_or_priority_leaves_nothing_of_the_old(site, daemon, gateway_json, changes):
    site.sh("ip addr add 10.23.64.5/20 dev eth1; ip rule add pref 99 to 11.0.0.0/8 lookup 305")
    wait_for(lambda: "via 10.23.64.1" in ask(site))
    site.stop(daemon)
    new = dict(gateway_json, **changes)
    site.write("gateway-eth1.json", new)
    process = site.daemon("gateway", "eth1")
    try:
        wait_for(lambda: "via 10.23.64.1" in ask(site, mark=new["fwmark"]))

        def moved():
            found = [line for line in site.sh("ip rule").splitlines() if "10.0.0.0/7" in line]
            right = [
                line for line in found if line.startswith("%(priority)d:" % new) and "lookup %(table)d" % new in line
            ]
            return len(found) == len(right) == 2

        wait_for(moved)
        wait_for(lambda: ("default" in routes(site)) == (new["table"] == 305))
        assert "99:" in site.sh("ip rule")  # somebody else's
    finally:
        site.stop(process)
        assert site.sitelink("gateway", "eth1", "--remove") == (0, "", "")
        site.sh("ip rule del pref 99")
    assert "lookup %(table)d" % new not in site.sh("ip rule")


def test_stop_and_kill_leave_the_kill_switch_and_remove_takes_it_away(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site))
    wait_for(lambda: state(site)["state"] == "ok")  # said when all is in place
    before = rules(site), routes(site)
    code, _, err = site.sitelink("gateway", "eth1", "--remove")
    assert code == 1 and "stop it first" in err
    site.stop(daemon, signal.SIGKILL)
    assert (rules(site), routes(site)) == before
    assert "does not run" in state(site)["reason"] and state(site)["state"] == "fault"
    again = start(site)
    assert site.stop(again) == 0
    assert (rules(site), routes(site)) == before
    site.sh("ip addr flush dev eth1")
    assert "unreachable" in ask(site).lower() or "No route" in ask(site)
    site.sh("ip rule add pref 99 to 11.0.0.0/8 lookup 305; ip route add 10.9.0.0/16 dev eth0 table 305")
    assert site.sitelink("gateway", "eth1", "--remove") == (0, "", "")
    assert rules(site) == "99:\tfrom all to 11.0.0.0/8 lookup 305"
    assert routes(site) == "10.9.0.0/16 dev eth0 scope link"


def test_what_others_put_there_is_reported_and_left(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site))
    site.sh("ip rule add to 11.0.0.0/8 lookup 305 pref 99")
    wait_for(lambda: "pref 99" in state(site)["reason"])
    assert "pref 99 from all to 11.0.0.0/8 lookup 305" in state(site)["reason"]
    assert "99:" in site.sh("ip rule")
    site.sh("ip rule del pref 99; ip route add 192.168.77.0/24 dev eth0 table 305")
    wait_for(lambda: "192.168.77.0/24 dev eth0" in state(site)["reason"])
    site.sh("ip route del 192.168.77.0/24 table 305")
    wait_for(lambda: state(site)["state"] == "ok")
    site.sh("ip rule add pref 99 fwmark 0x131 lookup main")
    wait_for(lambda: "would leave by eth0" in state(site)["reason"])


@pytest.mark.parametrize("leased", [True, False], ids=["", "without a lease"])
@pytest.mark.parametrize("prefix", ["10.77.0.0/16", "default metric 7", "default"])
def test_no_other_route_of_the_table_takes_marked_packets_away(site, daemon, prefix, leased):
    """What wg-quick does with a LAN in 10.x, or with 0.0.0.0/0, where wg0.conf says Table = 305."""
    if leased:
        site.sh("ip addr add 10.23.64.5/20 dev eth1")
        wait_for(lambda: "via 10.23.64.1" in ask(site))
    before = routes(site)
    site.sh("ip route replace %s dev eth0 table 305" % prefix)
    wait_for(lambda: routes(site) == before)
    assert "eth0" not in ask(site)
    wait_for(lambda: state(site)["state"] == ("ok" if leased else "fault"))


@pytest.mark.parametrize("leased", [True, False], ids=["", "without a lease"])
def test_the_internet_is_not_led_into_the_table_by_a_wg_quick_without_table_off(net, site, daemon, leased):
    """A real wg-quick, with our mark and a peer that has 0.0.0.0/0: without this, all that is not marked goes to the carrier."""
    for tool in ("wg-quick", "wireguard-go"):
        if shutil.which(tool) is None:
            pytest.skip("needs %s" % tool)
    if leased:
        site.sh("ip addr add 10.23.64.5/20 dev eth1")
        wait_for(lambda: "via 10.23.64.1" in ask(site))
        wait_for(lambda: state(site)["state"] == "ok")  # said when all is in place
    before = rules(site), routes(site)
    name = "slt%dq" % (os.getpid() % 1000000)
    keys = site.sh("wg genkey; wg genkey | wg pubkey").split()
    site.write(
        name + ".conf",
        "[Interface]\nPrivateKey = %s\nFwMark = 0x131\n[Peer]\nPublicKey = %s\nAllowedIPs = 0.0.0.0/0\n" % tuple(keys),
        0o600,
    )
    try:
        said = site.sh("wg-quick up %s/%s.conf 2>&1" % (site.wireguard, name), check=False)
        assert "fwmark 305" in said or "File exists" in said, said
        wait_for(
            lambda: (rules(site), routes(site)) == before, lambda: said + site.sh("ip rule; ip route show table 305")
        )
        assert "dev eth0" in ask(site, mark=0, address="198.51.100.7")
        assert "eth0" not in ask(site) and name not in ask(site)
    finally:
        site.sh("ip link del %s" % name, check=False)
        site.sh("while ip rule del table main suppress_prefixlength 0 2>/dev/null; do :; done")
        os.unlink(os.path.join(site.wireguard, name + ".conf"))


TRAP6 = "ip -6 route add ::/0 dev eth0 table 305; ip -6 rule add not fwmark 0x131 table 305"
END6 = "ip -6 route flush table 305 || true; while ip -6 rule del table 305 2>/dev/null; do :; done"


def test_a_rule_of_ipv6_into_the_table_is_told_at_once_and_left(site, daemon):
    """What a wg-quick with our mark and the peer's ::/0 does without Table = off."""
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok")

    def told():
        with open(site.run_dir + "/gateway-eth1.json") as file:
            return file.read()

    site.sh(TRAP6)
    try:
        wait_for(lambda: "leads into IPv6's table 305: pref " in told())
        assert "not from all fwmark 0x131 lookup 305" in state(site)["reason"]
        assert "fwmark 0x131" in site.sh("ip -6 rule") and "via 10.23.64.1 dev eth1" in ask(site)
        site.sh("while ip -6 rule del table 305 2>/dev/null; do :; done")
        wait_for(lambda: '"state": "ok"' in told())
        assert state(site)["state"] == "ok"
    finally:
        site.sh(END6)


def test_a_wg_quick_for_ipv6_alone_is_told(site, daemon):
    for tool in ("wg-quick", "wireguard-go"):
        if shutil.which(tool) is None:
            pytest.skip("needs %s" % tool)
    name = "slt%dq" % (os.getpid() % 1000000)
    keys = site.sh("wg genkey; wg genkey | wg pubkey").split()
    site.write(
        name + ".conf",
        "[Interface]\nPrivateKey = %s\nFwMark = 0x131\n[Peer]\nPublicKey = %s\nAllowedIPs = ::/0\n" % tuple(keys),
        0o600,
    )
    try:
        said = site.sh("wg-quick up %s/%s.conf 2>&1" % (site.wireguard, name), check=False)
        wait_for(lambda: "leads into IPv6's table 305" in state(site)["reason"], said)
    finally:
        site.sh("ip link del %s" % name, check=False)
        site.sh(END6 + "; while ip -6 rule del table main suppress_prefixlength 0 2>/dev/null; do :; done")
        os.unlink(os.path.join(site.wireguard, name + ".conf"))


class TestTheCheckBeforeTheStart:
    """Who else uses table, mark and priority."""

    @pytest.fixture
    def check(self, site, gateway_json):
        def run(**changes):
            site.write("new.json", dict(gateway_json, **changes))
            code, out, err = site.sitelink("gateway", "eth1", "--check", site.etc + "/new.json", "--mesh", "wg0")
            assert (code == 1) == bool(out) and not err, (code, out, err)
            return out.splitlines()

        yield run
        for name in os.listdir(site.wireguard):
            os.unlink(os.path.join(site.wireguard, name))

    def test_nobody_does(self, site, check):
        assert check() == []
        # Nor does the article's own installation, which is taken over, or a daemon of ours that runs.
        site.write("wg0.conf", "[Interface]\nFwMark = 0x131\n[Peer]\nAllowedIPs = 0.0.0.0/0\n")
        site.sh(
            "ip addr add 10.23.64.5/20 dev eth1; ip route add default via 10.23.64.1 dev eth1 table 305;"
            "ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305"
        )
        assert check() == []
        start(site)
        wait_for(lambda: "onlink" in routes(site))
        assert check() == []

    @pytest.mark.parametrize(
        "command, undo, words",
        [
            ("ip route add 10.77.0.0/16 dev eth0 table 305", "ip route flush table 305", "10.77.0.0/16 dev eth0"),
            ("ip route add default dev eth0 table 305", "ip route flush table 305", "default dev eth0"),
            (
                "ip rule add not fwmark 0x131 lookup 305 pref 99",
                "ip rule del pref 99",
                "pref 99 not from all fwmark 0x131 lookup 305",
            ),
            ("ip rule add pref 305 to 10.9.0.0/16 lookup main", "ip rule del pref 305", "tr069_rule_priority"),
            ("ip rule add pref 99 fwmark 0x131 lookup 51820", "ip rule del pref 99", "tr069_fwmark"),
            ("ip rule add pref 99 fwmark 0x1/0x1 lookup 51820", "ip rule del pref 99", "tr069_fwmark"),
        ],
    )
    def test_the_kernel_shows_it(self, site, check, command, undo, words):
        site.sh(command)
        try:
            found = check()
            assert len(found) == 1 and words in found[0], found
        finally:
            site.sh(undo)
        assert check() == []

    def test_who_uses_the_table_of_ipv6_is_told(self, site, check):
        site.sh(TRAP6)
        try:
            found = check()
            assert len(found) == 2 and "IPv6's table 305" in found[0] and "default dev eth0" in found[1], found
            site.sh("while ip -6 rule del table 305 2>/dev/null; do :; done")
            assert check() == []  # somebody's own matter: nothing of ours is there
        finally:
            site.sh(END6)
        assert check() == []

    @pytest.mark.parametrize(
        "rule, routes, strays",
        [
            ("to 10.0.0.0/8 lookup main", [], True),
            ("to 192.168.0.0/16 lookup main", [], False),
            ("lookup 220", [], False),  # strongSwan without a tunnel
            ("lookup 220", ["10.77.0.0/16 via 192.168.1.1"], True),
            ("lookup 220", ["192.168.77.0/24 via 192.168.1.1"], False),
            ("lookup 220", ["throw 10.0.0.0/7", "default via 192.168.1.1"], False),
            ("lookup 220", ["throw 10.0.0.0/8", "default via 192.168.1.1"], True),
            ("lookup 220", ["throw 0.0.0.0/1", "throw 128.0.0.0/1", "default via 192.168.1.1"], False),
            ("lookup 220", ["default via 10.23.64.1 dev eth1 onlink"], False),
            ("lookup 220", ["default via 10.23.64.1 dev eth1 onlink", "11.9.0.0/16 via 192.168.1.1"], True),
            ("lookup 220", ["10.77.3.0/24 nexthop via 192.168.1.1"], True),
            ("not fwmark 0xca6c lookup 220", ["default via 192.168.1.1"], True),
            ("not fwmark 0xca6c lookup 220", [], False),
            ("not to 10.0.0.0/8 lookup main", [], True),
            ("not to 10.0.0.0/7 lookup main", [], False),
            ("not to 10.0.0.0/6 lookup main", [], False),
            ("not from 192.168.1.2 lookup main", [], True),
            ("from 192.168.1.2 lookup main", [], False),  # of a site with two providers
            ("from 10.23.64.5 to 11.0.0.0/8 lookup main", [], True),  # WireGuard keeps the address that it was heard at
            ("fwmark 0x0/0x2 to 10.0.0.0/8 lookup main", [], True),
            ("fwmark 0x0/0x1 to 10.0.0.0/8 lookup main", [], False),
            ("iif eth0 lookup main", [], False),
            ("iif lo lookup main", [], True),
            ("oif eth0 lookup main", [], False),
            ("not oif eth0 lookup main", [], True),
            ("uidrange 1000-2000 lookup main", [], False),
            ("uidrange 0-2000 lookup main", [], True),
            ("ipproto tcp lookup main", [], False),
            ("ipproto udp lookup main", [], True),
            ("ipproto udp dport 53 lookup main", [], False),  # WireGuard asks no names
            ("ipproto udp dport 22000 lookup main", [], True),
            ("ipproto udp sport 51820 lookup main", [], False),
            ("ipproto udp sport 22000-22010 lookup main", [], True),  # the mesh's own
            ("ipproto icmp lookup main", [], False),
            ("to 10.8.0.0/24 lookup 220", ["10.8.0.0/24 dev eth0 proto kernel scope link"], False),  # a LAN or a VPN of the site
            ("to 10.0.0.0/8 lookup 220", ["10.23.64.0/20 dev eth0 proto kernel scope link"], True),  # of the NIC's own prefix
            ("to 10.8.0.0/24 lookup 220", ["10.8.0.0/24 dev eth0 proto static scope link"], True),
            ("tos 0x10 lookup main", [], False),
            ("lookup main suppress_prefixlength 0", [], False),
            ("to 10.9.0.0/16 prohibit", [], True),
            ("to 172.16.0.0/12 blackhole", [], False),
            ("to 10.9.0.0/16 goto 32766", [], True),
            ("to 10.9.0.0/16 goto 200", [], False),
            ("nop", [], False),
        ],
    )
    def test_a_rule_in_front_counts_where_it_leads_a_part_of_the_underlay_away(
        self, site, monkeypatch, rule, routes, strays
    ):
        """By the check before the daemon starts, and once the rules are there, when the kernel is asked."""
        monkeypatch.setattr(config, "ETC", site.etc)
        site.write("mesh-wg0.json", MESH)
        kernel = site.kernel()
        site.sh("ip addr add 10.23.64.5/20 dev eth1; ip rule add pref 200 to 172.31.0.0/16 lookup main")
        for route in routes:
            site.sh("ip route add table 220 " + route)
        site.sh("ip rule add pref 100 " + rule)
        try:
            with site.entered():  # for the names of links
                before = others._in_kernel(kernel, cfg())
                gateway.reconcile(kernel, cfg())
                after = gateway.inspect(kernel, cfg()).faults
                again = others._in_kernel(kernel, cfg())
            for found in (before, after, again):
                assert len(found) == strays, found
                assert not found or ("pref 100 " in found[0] and "tr069_rule_priority to 99" in found[0])
            where = "do not leave at all" if rule.endswith("prohibit") else "would leave by eth0 instead of eth1"
            assert not after or where in after[0]
            assert not after or (" from 10.23.64.5 mark 0x131" in after[0]) == ("from 10.23.64.5" in rule), after
        finally:
            os.unlink(os.path.join(site.etc, "mesh-wg0.json"))
            site.sh("ip rule del pref 100; ip rule del pref 200; ip route flush table 220 || true")

    def test_a_rule_in_front_is_told_before_the_start_and_by_the_status(self, site, check):
        site.sh("ip addr add 10.23.64.5/20 dev eth1; ip rule add pref 100 to 10.0.0.0/8 lookup main")
        try:
            words = "packets with mark 0x131 to 10.0.0.0/8 would leave by eth0 instead of eth1"
            assert words in "".join(check())
            start(site)
            wait_for(lambda: words in state(site)["reason"])
            assert len(check()) == 1
        finally:
            site.sh("ip rule del pref 100")
        wait_for(lambda: state(site)["state"] == "ok")

    def test_healthy_neighbours_do_no_harm(self, site, check):
        """Tailscale, a wg-quick that was there before, strongSwan that is idle, a second provider, a mark that is not ours."""
        rules = [
            "pref 5210 fwmark 0x80000/0xff0000 lookup main", "pref 5230 fwmark 0x80000/0xff0000 lookup default",
            "pref 5250 fwmark 0x80000/0xff0000 unreachable", "pref 5270 lookup 52",
            "pref 32764 lookup main suppress_prefixlength 0", "pref 32765 not fwmark 0xca6c lookup 51820",
            "pref 220 lookup 220", "pref 100 from 192.168.1.2 lookup 100", "pref 101 fwmark 0x200/0x200 lookup 100",
            "pref 102 not fwmark 0x1/0x1 lookup 100",
        ]  # fmt: skip
        site.sh("; ".join("ip rule add " + rule for rule in rules))
        site.sh(
            "for i in 52 100 51820; do ip route add default via 192.168.1.1 table $i; done; ip addr add 10.23.64.5/20 dev eth1"
        )
        try:
            assert check() == []
            start(site)
            wait_for(lambda: state(site)["state"] == "ok")
            assert check() == []
        finally:
            site.sh("; ".join("ip rule del pref " + rule.split()[1] for rule in rules))
            site.sh("for i in 52 100 51820; do ip route flush table $i; done")

    def test_a_wg_quick_that_came_later_is_told_what_to_write(self, site, check):
        """Its rule gets a priority in front of ours, whatever ours is."""
        start(site)
        site.sh("ip addr add 10.23.64.5/20 dev eth1")
        wait_for(lambda: state(site)["state"] == "ok")
        site.sh("ip route add default dev eth0 table 51820; ip rule add not fwmark 51820 table 51820")
        try:
            wait_for(lambda: "(of wg-quick)" in state(site)["reason"])
            cure = re.search("PostUp = (.*?); see:", state(site)["reason"]).group(1)
            assert len(check()) == 1 and cure in check()[0]
            site.sh(cure)
            wait_for(lambda: state(site)["state"] == "ok")
            assert check() == []
        finally:
            site.sh("ip rule del not fwmark 51820 table 51820; ip route flush table 51820")

    def test_bits_of_the_mark_after_our_rule_do_no_harm(self, site, check):
        site.sh(
            "ip rule add pref 400 fwmark 0x1/0x1 lookup 51820; ip rule add pref 99 fwmark 0x80000/0xff0000 lookup 52"
        )
        try:
            assert check() == []
        finally:
            site.sh("ip rule del pref 400; ip rule del pref 99")

    @pytest.mark.parametrize(
        "conf, words",
        [
            ("FwMark = 0x131", "without Table = off"),
            ("fwmark=305 # the same number", "without Table = off"),
            ("FwMark = 0x131\nTable = auto", "without Table = off"),
            ("Table = 305", "Table = 305"),
            ("Table = off\nFwMark = 0x131", "leave by eth1"),
            ("Table = off\nFwMark = 0x132", None),
            ("ListenPort = 1", None),
        ],
    )
    def test_a_file_of_wg_quick_shows_it(self, site, check, conf, words):
        site.write("vpn.conf", "[Interface]\n%s\n[Peer]\nAllowedIPs = 0.0.0.0/0\n" % conf)
        found = check()
        assert len(found) == (words is not None)
        assert words is None or (words in found[0] and "vpn.conf" in found[0])

    def test_another_underlay_nic_shows_it(self, site, check, gateway_json):
        site.write("gateway-eth2.json", dict(gateway_json, interface="eth2"))
        try:
            assert ["table 305" in text or "fwmark 305" in text for text in check()] == [True, True]
            assert check(table=306, fwmark=0x132, priority=306) == []
        finally:
            os.unlink(site.etc + "/gateway-eth2.json")


def test_a_native_rule_of_networkd_is_accepted(site):
    site.sh("ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305 protocol static")
    site.sh("ip route add unreachable default metric 4278198272 table 305 proto static")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok")
    assert rules(site).count("fwmark") == 1 and routes(site).count("unreachable") == 1


def test_prefixes_at_the_edge(site):
    kernel = site.kernel()
    cases = [
        ("10.25.0.1/31", "10.25.0.0", ""),
        ("10.25.0.0/31", "10.25.0.1", ""),
        ("10.25.0.9/32", None, "names no other host"),
        ("10.23.64.1/20", None, "the site's own address"),
        ("192.168.9.9/24", None, "outside the underlay"),
    ]
    for address, expected, reason in cases:
        site.sh("ip addr flush dev eth1; ip addr add %s dev eth1" % address)
        view, errors = gateway.reconcile(kernel, cfg())
        assert not errors and not view.missing_routes and not view.missing_rules
        assert view.wanted.gateway == expected, address
        assert reason in view.wanted.reason
        assert ("via %s dev eth1" % expected in ask(site)) == (expected is not None), address
        assert "eth0" not in ask(site)
    site.sh("ip link set eth1 down")
    assert "switched off" in gateway.reconcile(kernel, cfg())[0].wanted.reason


def test_nothing_to_do_is_nothing_done(site):
    kernel = site.kernel()
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    gateway.reconcile(kernel, cfg())
    with site.entered():
        events = netlink.Events(["link", "address", "route", "rule"])
    gateway.reconcile(kernel, cfg())
    assert events.read() == ([], False)


def test_address_command(site):
    assert site.sitelink("address", "eth1")[0] == 1
    code, out, err = site.sitelink("address", "eth1")
    assert (code, out) == (1, "") and "桥接" in err and err.count("\n") == 1
    site.sh("ip addr add 10.23.64.5/20 dev eth1; ip addr add 10.23.64.6/20 dev eth1")  # a secondary does not count
    assert site.sitelink("address", "eth1", capabilities="") == (0, "10.23.64.5\n", "")  # no privilege is needed
    assert "outside the underlay 172.16.0.0/12" in site.sitelink("address", "eth1", "--network", "172.16.0.0/12")[2]
    site.sh("ip addr add 11.1.1.1/24 dev eth1")
    assert "2 underlay addresses" in site.sitelink("address", "eth1")[2]
    assert "there is no NIC eth7; this host has: eth0, eth1" in re.sub(
        "eth1, eth0", "eth0, eth1", site.sitelink("address", "eth7", "--network", "10.0.0.0/7")[2]
    )
    site.sh("ip link set eth1 down")
    assert "switched off" in site.sitelink("address", "eth1")[2]


def test_a_burst_of_changes_and_lost_events_end_right(site, daemon):
    kernel = site.kernel()
    index = kernel.link("eth1").index
    addresses = ["10.23.64.5", "10.24.96.7"]

    def flap(times):
        for turn in range(times):
            kernel.delete_address(index, addresses[(turn + 1) % 2], 20)
            kernel.add_address(index, addresses[turn % 2], 20)

    flap(200)
    wait_for(lambda: "via 10.24.96.1 dev eth1" in ask(site) and state(site)["state"] == "ok", lambda: "%s %s" % (ask(site), state(site)))
    daemon.send_signal(signal.SIGSTOP)
    try:
        while not any(int(line.split()[8]) for line in site.sh("tail -n +2 /proc/net/netlink").splitlines()):
            flap(500)  # until the kernel has dropped some
        kernel.delete_address(index, addresses[1], 20)
        kernel.add_address(index, addresses[0], 20)
    finally:
        daemon.send_signal(signal.SIGCONT)
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site) and state(site)["state"] == "ok")
    assert rules(site).count("10.23.64.5") == 1 and "10.24.96.7" not in rules(site)
    assert daemon.poll() is None


def test_two_underlay_nics(net, site, daemon, namespaces, gateway_json):
    """Two carriers with one address plan: each mark has its own way out, and an answer leaves where the question came in."""
    carrier = net[1]
    second = namespaces()
    connect(site, "eth2", second, "ont")
    second.sh("ip addr add 10.23.64.1/20 dev ont; ip addr add 10.24.96.1/20 dev ont; ip addr add %s/32 dev lo" % PEER)
    site.write("gateway-eth2.json", dict(gateway_json, interface="eth2", table=306, fwmark=0x132, priority=306))
    other = site.daemon("gateway", "eth2")
    try:
        site.sh("ip addr add 10.23.64.5/20 dev eth1; ip addr add 10.24.96.7/20 dev eth2")
        site.sh("for i in all eth1 eth2; do echo 1 > /proc/sys/net/ipv4/conf/$i/rp_filter; done")
        wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site))
        wait_for(lambda: "via 10.24.96.1 dev eth2" in ask(site, mark=0x132))
        wait_for(lambda: [item["state"] for item in site.status()["gateway"]] == ["ok", "ok"])
        for mark, outside, address in ((MARK, carrier, "10.23.64.5"), (0x132, second, "10.24.96.7")):
            inner, outer = udp(site, "0.0.0.0", mark), udp(outside, PEER)
            with inner, outer:
                outer.sendto(b"hello", (address, 22000))
                inner.sendto(b"answer", inner.recvfrom(100)[1])
                assert outer.recvfrom(100) == (b"answer", (address, 22000))
        # One fails closed, and the other goes on.
        site.sh("ip addr flush dev eth2")
        wait_for(lambda: "unreachable" in ask(site, mark=0x132).lower() or "No route" in ask(site, mark=0x132))
        assert "via 10.23.64.1 dev eth1" in ask(site)
        site.stop(other)
        assert site.sitelink("gateway", "eth2", "--remove") == (0, "", "")
        assert "306" not in site.sh("ip rule") and "via 10.23.64.1 dev eth1" in ask(site)
    finally:
        os.unlink(site.etc + "/gateway-eth2.json")
        site.sh("ip link del eth2")
