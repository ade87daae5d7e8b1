# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway in a real kernel: a site with eth0 (broadband) and eth1 (carrier), each in a namespace of its own."""

import os
import re
import signal
import socket
import statistics
import time

import pytest

from sitelink import config, gateway, netlink

from throwaway import connect, wait_for

PEER = "10.77.3.9"  # a site in another subnet of the underlay
MARK = 0x131
SO_MARK = 36


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
    wait_for(lambda: os.path.exists(report), 5, "the daemon's report")
    return process


def cfg():
    return config.GatewayConfig("eth1", config.networks(["10.0.0.0/7"]), 305, MARK, 305, None)


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
    sock.settimeout(1)
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
    sock.bind((address, 22000))
    return sock


def test_an_address_gives_route_rules_and_backstop(site, daemon):
    assert routes(site) == "unreachable default proto 131 metric 4278198272"
    assert "10.77.3.9" in ask(site, mark=0) and "eth0" in ask(site, mark=0)
    assert "unreachable" in ask(site).lower() or "No route" in ask(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site), 1)
    text = routes(site)
    assert re.search(r"default via 10.23.64.1 dev eth1 proto 131 src 10.23.64.5 onlink", text)
    assert "unreachable default proto 131 metric 4278198272" in text
    assert re.search(r"from all to 10.0.0.0/7 fwmark 0x131 lookup 305 proto 131", rules(site))
    assert re.search(r"from 10.23.64.5 to 10.0.0.0/7 lookup 305 proto 131", rules(site))
    site.sh("ip addr del 10.23.64.5/20 dev eth1; ip addr add 10.24.96.7/20 dev eth1")
    wait_for(lambda: "via 10.24.96.1 dev eth1" in ask(site), 1)
    wait_for(lambda: "10.23.64.5" not in rules(site), 1)
    assert "from 10.24.96.7 to 10.0.0.0/7 lookup 305" in rules(site)
    assert state(site) == {
        "interface": "eth1", "state": "ok", "reason": "", "address": "10.24.96.7", "prefix": 20, "gateway": "10.24.96.1",
        "table": 305, "rules": True, "route": True, "backstop": True,
    }  # fmt: skip


@pytest.mark.parametrize("default", [True, False], ids=["broadband", "suspended"])
@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_a_peer_from_another_subnet_gets_its_answer(net, site, daemon, rp_filter, default):
    _, carrier, _ = net
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site), 1)
    site.sh("for i in all eth1; do echo %d > /proc/sys/net/ipv4/conf/$i/rp_filter; done" % rp_filter)
    if not default:
        site.sh("ip route del default")
    inner, outer = udp(site, "0.0.0.0", MARK), udp(carrier, PEER)
    with inner, outer:
        outer.sendto(b"hello", ("10.23.64.5", 22000))  # arrives unmarked: the reverse path filter decides
        data, sender = inner.recvfrom(100)
        assert (data, sender) == (b"hello", (PEER, 22000))
        inner.sendto(b"answer", sender)
        assert outer.recvfrom(100) == (b"answer", ("10.23.64.5", 22000))


@pytest.mark.parametrize("rp_filter", [1, 2])
def test_a_lan_that_overlaps_the_peers_subnet(net, site, daemon, rp_filter):
    _, carrier, _ = net
    site.sh("ip addr add 10.23.64.5/20 dev eth1; ip route add 10.77.3.0/24 dev eth0 scope link")
    site.sh("for i in all eth1; do echo %d > /proc/sys/net/ipv4/conf/$i/rp_filter; done" % rp_filter)
    wait_for(lambda: "via 10.23.64.1" in ask(site), 1)
    inner, outer = udp(site, "0.0.0.0", MARK), udp(carrier, PEER)
    with inner, outer:
        outer.sendto(b"hello", ("10.23.64.5", 22000))
        inner.sendto(b"answer", inner.recvfrom(100)[1])
        assert outer.recvfrom(100)[0] == b"answer"
    site.sh("ip route del 10.77.3.0/24 dev eth0")
    assert "dev eth0" in ask(site, mark=0)  # unmarked traffic of the site is untouched


def test_without_the_daemon_a_strict_filter_drops(net, site):
    """The control: the test above can fail."""
    site.sh("ip addr add 10.23.64.5/20 dev eth1; echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
    inner, outer = udp(site, "0.0.0.0", MARK), udp(net[1], PEER)
    with inner, outer:
        inner.settimeout(0.3)
        outer.sendto(b"hello", ("10.23.64.5", 22000))
        with pytest.raises(socket.timeout):
            inner.recvfrom(100)


def test_no_marked_packet_leaves_by_eth0(net, site, daemon):
    """The internet has the peer's address too; it must not hear anything while eth1 comes, goes and changes."""
    _, carrier, internet = net
    inner, outer, leak = udp(site, "0.0.0.0", MARK), udp(carrier, PEER), udp(internet, PEER)
    with inner, outer, leak:
        leak.settimeout(0.3)
        sent = refused = 0
        changes = [
            "ip addr add 10.23.64.5/20 dev eth1",
            "ip addr flush dev eth1",
            "ip addr add 10.24.96.7/20 dev eth1",
            "ip link set eth1 down",
            "ip link set eth1 up",
        ]
        for change in changes:
            site.sh(change)
            for _ in range(200):
                try:
                    inner.sendto(b"x", (PEER, 22000))
                    sent += 1
                except OSError:
                    refused += 1
        site.stop(daemon, signal.SIGKILL)
        site.sh("ip addr flush dev eth1")
        with pytest.raises(OSError):
            inner.sendto(b"x", (PEER, 22000))
        assert sent and refused
        with pytest.raises(socket.timeout):
            leak.recvfrom(100)


def test_what_is_flushed_comes_back(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site), 1)
    before = rules(site), routes(site)
    site.sh("ip route flush table 305")
    wait_for(lambda: "via 10.23.64.1" in routes(site) and "unreachable" in routes(site), 1)
    site.sh("while ip rule del pref 305 2>/dev/null; do :; done")
    wait_for(lambda: (rules(site), routes(site)) == before, 1)
    # the article's own script, for instance
    site.sh("ip route replace default via 10.23.64.99 dev eth1 onlink table 305")
    wait_for(lambda: (rules(site), routes(site)) == before, 1)
    site.sh("ip rule add pref 305 from 10.1.2.3 to 10.0.0.0/7 lookup 305 protocol 131")  # ours of an earlier life
    wait_for(lambda: (rules(site), routes(site)) == before, 1)


def test_stop_and_kill_leave_the_kill_switch_and_remove_takes_it_away(site, daemon):
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: "via 10.23.64.1" in ask(site), 1)
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
    wait_for(lambda: "via 10.23.64.1" in ask(site), 1)
    # what wg-quick does with 0.0.0.0/0 and without Table = off
    site.sh("ip rule add not fwmark 0x131 lookup 305 pref 99")
    wait_for(lambda: "pref 99" in state(site)["reason"], 1)
    assert "pref 99 not from all fwmark 0x131 lookup 305" in state(site)["reason"]
    assert "99:" in site.sh("ip rule")
    site.sh("ip rule del pref 99; ip route add 10.77.0.0/16 dev eth0 table 305")
    wait_for(lambda: "10.77.0.0/16 dev eth0" in state(site)["reason"], 1)
    site.sh("ip route del 10.77.0.0/16 table 305")
    wait_for(lambda: state(site)["state"] == "ok", 1)
    site.sh("ip rule add pref 99 fwmark 0x131 lookup main")
    wait_for(lambda: "would leave by eth0" in state(site)["reason"], 1)


def test_a_native_rule_of_networkd_is_accepted(site):
    site.sh("ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305 protocol static")
    site.sh("ip route add unreachable default metric 4278198272 table 305 proto static")
    start(site)
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    wait_for(lambda: state(site)["state"] == "ok", 1)
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


def test_latency_flaps_and_cost(site, daemon, capsys):
    """50 changes one by one, then 200 in a burst; then the daemon is idle again."""
    with site.entered():
        events = netlink.Events(["address", "route"])
    kernel, times = site.kernel(), []
    index = kernel.link("eth1").index
    addresses = ["10.23.64.5", "10.24.96.7"]
    for turn in range(50):
        kernel.delete_address(index, addresses[turn % 2], 20)
        kernel.add_address(index, addresses[1 - turn % 2], 20)
        seen, deadline = None, time.monotonic() + 2
        wanted = addresses[1 - turn % 2].rsplit(".", 1)[0] + ".1"
        while time.monotonic() < deadline:
            found, _ = events.read()
            now = time.monotonic()
            if any(item.kind == "address" and not item.deleted for item in found):
                seen = now
            if any(item.kind == "route" and item.item.table == 305 and item.item.gateway == wanted for item in found):
                times.append((now - (seen or now)) * 1000)
                break
        time.sleep(0.01)
    assert len(times) == 50
    median, p95 = statistics.median(times), sorted(times)[47]
    for turn in range(200):
        kernel.delete_address(index, addresses[turn % 2], 20)
        kernel.add_address(index, addresses[1 - turn % 2], 20)
    wait_for(lambda: "via 10.23.64.1 dev eth1" in ask(site), 2)
    wait_for(lambda: state(site)["state"] == "ok", 2)
    pid = daemon.pid
    time.sleep(0.3)
    used = cpu(pid)
    time.sleep(1)
    used = cpu(pid) - used
    with open("/proc/%d/status" % pid) as file:
        resident = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024
    with capsys.disabled():
        print("\n  address event to route: median %.2f ms, p95 %.2f ms; resident %.1f MB" % (median, p95, resident))
    assert median < 20 and p95 < 50
    assert used <= 0.02
    assert resident < 20


def cpu(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
