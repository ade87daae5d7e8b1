# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's table is loaded anew at every change of the plan, while WireGuard's packets pass: it costs none of them.

Linux 6.18 finds nothing in a set for some microseconds of the transaction that brings the set and a chain that reads it, so that a flood
loses some two packets a load where WireGuard's rules read one.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import firewall_rendered
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]

from throwaway import Namespace, connect, wait_for

LOADS = 60
OWN, PEER = "10.23.64.5", "10.77.3.9"
FLOOD = """
import contextlib, socket
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 36, 0x131)  # SO_MARK
s.bind(("", 22000))
while True:
    with contextlib.suppress(PermissionError):  # dropped on the way out: counted below
        s.sendto(b"flood", ("%s", 22000))
"""
# Before all chains of the firewall and behind them, in both directions.
COUNT = """nft '
table inet count {
    counter in_before { }; counter in_behind { }; counter out_before { }; counter out_behind { };
    chain a { type filter hook prerouting priority -400; iifname eth1 udp dport 22000 counter name in_before; };
    chain b { type filter hook input priority 2000; iifname eth1 udp dport 22000 counter name in_behind; };
    chain c { type filter hook output priority -2000; oifname eth1 udp sport 22000 counter name out_before; };
    chain d { type filter hook postrouting priority 2000; oifname eth1 udp sport 22000 counter name out_behind; };
}'"""


@pytest.fixture
def net(tmp_path):
    """(site, peer, the site's firewall as the role writes it)"""
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("needs root and nftables")
    firewall_rendered.render(tmp_path, {"site-a": firewall_rendered.site(1), "site-b": firewall_rendered.site(2)})
    site, peer = Namespace(tmp_path / "site"), Namespace(tmp_path / "peer")
    connect(site, "eth1", peer, "eth1")
    site.sh(f"ip addr add {OWN}/20 dev eth1; ip route add 10.0.0.0/7 dev eth1 onlink via 10.23.64.1")
    peer.sh(
        f"ip addr add 10.23.64.1/20 dev eth1; ip addr add {PEER}/32 dev eth1; nft 'table inet quiet {{ chain out {{"
        " type filter hook output priority 0; meta l4proto icmp drop; }; }'"
    )
    site.sh(f"nft -f {tmp_path}/site-a.nft; {COUNT}")
    yield site, peer, tmp_path / "site-a.nft"
    for each in (site, peer):
        each.destroy()


def counted(site):
    words = site.sh("nft list counters table inet count").split()
    return {words[i + 1]: int(words[i + 4]) for i, word in enumerate(words) if word == "counter"}


@pytest.mark.long
def test_loading_the_table_anew_costs_wireguard_no_packet(net):
    site, peer, rules = net
    floods = []
    for namespace, target in ((peer, OWN), (site, PEER)):
        with namespace.entered():
            floods.append(subprocess.Popen([sys.executable, "-c", FLOOD % target]))
    try:
        wait_for(lambda: min(counted(site).values()) > 1000)
        for _ in range(LOADS):
            before = counted(site)
            site.sh(f"nft -f {rules}")
            wait_for(lambda before=before: all(count > before[name] for name, count in counted(site).items()))
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()
    found = counted(site)
    assert (found["in_behind"], found["out_behind"]) == (found["in_before"], found["out_before"])
