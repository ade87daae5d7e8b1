# SPDX-License-Identifier: GPL-3.0-or-later
"""What DHCP clients keep of a lease. The samples are what they wrote for one and the same server."""

import os
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitelink import lease, netlink

LINK = netlink.Link(7, "eth1", True, True, 1500)
ADDRESS, ROUTERS, DNS = "10.23.64.115", ["10.23.79.254", "10.23.79.253"], ["10.23.64.5", "10.23.64.6"]

NETWORKD = """\
# This is private data. Do not parse.
ADDRESS=10.23.64.115
NETMASK=255.255.240.0
ROUTER=10.23.79.254 10.23.79.253
SERVER_ADDRESS=10.23.64.1
DNS=10.23.64.5 10.23.64.6
DOMAINNAME=carrier.example
ROUTES=0.0.0.0/0,10.23.64.1 192.168.0.0/16,10.23.64.1
"""

DHCLIENT_OLD = """\
lease {
  interface "eth1";
  fixed-address 10.24.96.20;
  option routers 10.24.96.1;
}
"""
DHCLIENT = """\
lease {
  interface "eth1";
  fixed-address 10.23.64.115;
  option subnet-mask 255.255.240.0;
  option static-routes 203.0.113.7 10.23.64.1;
  option routers 10.23.79.254,10.23.79.253;
  option dhcp-lease-time 120;
  option domain-name-servers 10.23.64.5,10.23.64.6;
  option dhcp-server-identifier 10.23.64.1;
  option broadcast-address 10.23.79.255;
  renew 2 2026/11/24 23:56:20;
}
"""

NMCLI = """\
DHCP4.OPTION[1]:                        broadcast_address = 10.23.79.255
DHCP4.OPTION[2]:                        dhcp_server_identifier = 10.23.64.1
DHCP4.OPTION[3]:                        domain_name_servers = 10.23.64.5 10.23.64.6
DHCP4.OPTION[4]:                        ip_address = 10.23.64.115
DHCP4.OPTION[5]:                        requested_routers = 1
DHCP4.OPTION[6]:                        routers = 10.23.79.254 10.23.79.253
"""

# The server's message, as dhcpcd 9.4 keeps it.
DHCPCD = bytes.fromhex(
    "02010600563236e800000000000000000a1740730a17400100000000a68fb5cf54d7000000000000"
) + bytes(196) + bytes.fromhex(
    "6382536335010536040a1740013304000000783a040000003c3b04000000690104fffff0001c040a174fff790c000a174001"
    "10c0a80a1740012108cb0071070a1740010f0f636172726965722e6578616d706c650c086576696c686f737406080a174005"
    "0a17400603080a174ffe0a174ffdff"
)  # fmt: skip

# /run/NetworkManager/devices/7 of 1.42, shortened
NETWORKMANAGER = """\
[device]
managed=true
perm-hw-addr-fake=02:69:01:00:00:03
next-server=10.23.64.1

[dhcp4]
dhcp4.broadcast_address=10.23.79.255
dhcp4.domain_name_servers=10.23.64.5 10.23.64.6
dhcp4.ip_address=10.23.64.115
dhcp4.ntp_servers=10.23.64.9
dhcp4.rfc3442_classless_static_routes=0.0.0.0/0 10.23.64.1 192.168.0.0/16 10.23.64.1
dhcp4.routers=10.23.79.254 10.23.79.253
dhcp4.static_routes=203.0.113.0/24 10.23.64.1
"""

SAMPLES = {
    "/run/NetworkManager/devices/7": NETWORKMANAGER.encode(),
    "/run/systemd/netif/leases/7": NETWORKD.encode(),
    "/var/lib/dhcp/dhclient.eth1.leases": (DHCLIENT_OLD + DHCLIENT).encode(),
    "/var/lib/dhclient/dhclient-5fb06bd0-eth1.lease": DHCLIENT.encode(),
    "/var/lib/NetworkManager/dhclient-5fb06bd0-eth1.lease": DHCLIENT.encode(),
    "/var/lib/NetworkManager/internal-5fb06bd0-eth1.lease": NETWORKD.encode(),
    "/var/lib/dhcpcd/eth1.lease": DHCPCD,
    "/var/lib/dhcpcd5/dhcpcd-eth1.lease": DHCPCD,
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "ROOT", str(tmp_path))
    return str(tmp_path)


def put(root, path, data):
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    with open(root + path, "wb") as file:
        file.write(data)


@pytest.mark.parametrize("path", SAMPLES)
def test_every_client_says_the_same(root, path):
    put(root, path, SAMPLES[path])
    assert lease.current(LINK, [ADDRESS]) == lease.Lease(ADDRESS, ROUTERS, DNS)
    assert lease.current(LINK, ["10.24.96.20"]) is None  # a lease that is over
    assert lease.current(LINK._replace(name="th1", index=8), [ADDRESS]) is None
    kernel = types.SimpleNamespace(
        link=lambda _: LINK, addresses=lambda _: [netlink.Address(7, ADDRESS, 20, 0)]
    )  # fmt: skip
    assert lease.dns_servers(kernel, "eth1") == DNS


def test_of_two_clients_files_the_one_with_the_address_counts(root):
    put(root, "/run/systemd/netif/leases/7", b"ADDRESS=10.9.9.9\nROUTER=10.9.9.1\n")
    put(root, "/var/lib/dhcpcd/eth1.lease", DHCPCD)
    assert lease.current(LINK, [ADDRESS]).routers == ROUTERS


def test_networkmanager_is_asked_where_it_runs_and_only_when_that_is_wanted(root, monkeypatch, tmp_path):
    nmcli = tmp_path / "nmcli"
    nmcli.write_text("#!/bin/sh\n[ \"$*\" = '-f DHCP4 device show eth1' ] || exit 1\ncat <<'END'\n%sEND\n" % NMCLI)
    nmcli.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
    assert lease.current(LINK, [ADDRESS], ask=True) is None
    os.makedirs(root + lease.NETWORKMANAGER_RUNS)
    # What its own client has kept in a file since 1.20: nothing that answers.
    put(root, "/var/lib/NetworkManager/internal-5fb06bd0-eth1.lease", b"ADDRESS=%s\n" % ADDRESS.encode())
    put(root, "/run/NetworkManager/devices/7", b"[device]\nmanaged=true\n")
    assert lease.current(LINK, [ADDRESS]) is None
    assert lease.current(LINK, [ADDRESS], ask=True) == lease.Lease(ADDRESS, ROUTERS, DNS)
    nmcli.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(lease, "NMCLI_SECONDS", 0.1)
    assert lease.current(LINK, [ADDRESS], ask=True) is None


def test_a_server_that_names_no_usable_router(root):
    for text in ("", "ROUTER=\n", "ROUTER=0.0.0.0 255.255.255.255 127.0.0.1 224.0.0.1 nonsense\n"):
        assert lease.parse(("ADDRESS=10.0.0.9\n" + text).encode()) == lease.Lease("10.0.0.9", [], [])
    assert lease.parse(b"ROUTER=10.0.0.1\n") is None


@given(st.binary(max_size=400))
def test_no_bytes_raise(data):
    lease.parse(data)
    lease.parse(DHCPCD[:240] + data)


@given(st.integers(min_value=0, max_value=len(DHCPCD)))
def test_no_truncation_raises_or_invents_routers(end):
    found = lease.parse(DHCPCD[:end])
    assert found is None or set(found.routers) <= set(ROUTERS)
