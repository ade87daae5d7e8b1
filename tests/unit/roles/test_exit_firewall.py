# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's table of a site that serves another one, and of that other one, in a kernel: who gets where, and as whom."""

import contextlib
import os
import pathlib
import shutil
import socket
import sys

import firewall_rendered
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]

from throwaway import LIMIT, Namespace, connect

INTERNET, NEIGHBOUR, CARRIER = "203.0.113.1", "172.20.0.9", "10.200.0.1"
PORT = 80


def site(number, **options):
    lan = {"wireguard_mesh_lan_subnets": [f"192.168.{number}.0/24"], "wireguard_mesh_lan_gateway": True}
    return firewall_rendered.site(number, **lan, **options)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """(exit, its broadband, the mesh at the other end of its wg0, the carrier at that of its eth1)."""
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("needs root and nftables")
    directory = tmp_path_factory.mktemp("firewall")
    hosts = {
        "site-a": site(1, wireguard_mesh_exit_for=["site-b"]),
        "site-b": site(2, wireguard_mesh_exits=["site-a"], wireguard_mesh_exit_when="broadband_down"),
        "site-c": site(3),
    }
    firewall_rendered.render(directory, hosts)
    exit_, broadband, mesh, carrier = (Namespace(directory / name) for name in ("exit", "broadband", "mesh", "carrier"))
    for nic, other, end in (("eth0", broadband, "home"), ("wg0", mesh, "wg0"), ("eth1", carrier, "ont")):
        connect(exit_, nic, other, end)
    exit_.sh(
        "sysctl -qw net.ipv4.ip_forward=1; ip address add 192.168.1.2/24 dev eth0; ip address add 10.23.0.5/20 dev eth1;"
        "ip address add 192.168.11.1/24 dev wg0; ip route add default via 192.168.1.1;"
        "ip route add 192.168.2.0/24 dev wg0; ip route add 192.168.3.0/24 dev wg0; ip route add 10.200.0.0/16 via 10.23.0.1"
    )
    broadband.sh("ip address add 192.168.1.1/24 dev home; ip address add 192.168.1.10/24 dev home")
    broadband.sh("".join(f"ip address add {address}/32 dev lo;" for address in (INTERNET, NEIGHBOUR)))
    # As if the broadband's router knew a way back to the guests without masquerading: it is not for that that nothing answers.
    broadband.sh("ip route add 192.168.0.0/16 via 192.168.1.2")
    carrier.sh(
        f"ip address add 10.23.0.1/20 dev ont; ip address add {CARRIER}/32 dev lo; ip route add 192.168.0.0/16 via 10.23.0.5"
    )
    addresses = [f"192.168.{third}.{last}/32" for third, last in ((11, 2), (11, 3), (2, 10), (3, 10))]
    mesh.sh(
        "".join(f"ip address add {address} dev wg0;" for address in addresses)
        + "ip route add default via 192.168.11.1 dev wg0 onlink"
    )
    exit_.sh(f"nft -f {directory}/site-a.nft")
    listeners = []
    for each in (broadband, mesh, carrier):
        with each.entered():
            listeners.append(socket.create_server(("", PORT)))
    yield exit_, broadband, mesh, carrier, directory
    for listener in listeners:
        listener.close()
    for each in (exit_, broadband, mesh, carrier):
        each.destroy()


def connects(namespace, target, source, listener=None, seconds=LIMIT):
    """Whether a TCP connection comes about; whom the listener sees, where there is one."""
    with namespace.entered(), contextlib.closing(socket.socket()) as client:
        client.bind((source, 0))
        client.settimeout(seconds)
        try:
            client.connect((target, PORT if listener is None else PORT + 1))
        except OSError:
            return False
    if listener is None:
        return True
    listener.settimeout(LIMIT)
    accepted, (address, _) = listener.accept()
    accepted.close()
    return address


def kept_out(namespace, target, source):
    """A firewall that drops says nothing: no connection within a second, where others have theirs in a millisecond."""
    return not connects(namespace, target, source, seconds=1)


def test_guests_reach_the_internet_and_nothing_else(net):
    _, _, mesh, _, _ = net
    for source in ("192.168.11.2", "192.168.2.10"):
        assert connects(mesh, INTERNET, source)
        assert connects(mesh, "192.168.1.10", source)  # the LAN of the exit, as planned
        assert kept_out(mesh, NEIGHBOUR, source) and kept_out(mesh, CARRIER, source)


def test_who_is_no_guest_reaches_the_lan_only(net):
    _, _, mesh, _, _ = net
    for source in ("192.168.11.3", "192.168.3.10"):
        assert connects(mesh, "192.168.1.10", source) and kept_out(mesh, INTERNET, source)


def test_the_internet_sees_the_exit_and_begins_nothing(net):
    _, broadband, mesh, _, _ = net
    with broadband.entered():
        listener = socket.create_server((INTERNET, PORT + 1))
    with contextlib.closing(listener):
        for source in ("192.168.11.2", "192.168.2.10"):
            assert connects(mesh, INTERNET, source, listener) == "192.168.1.2"
    assert kept_out(broadband, "192.168.2.10", INTERNET) and kept_out(broadband, "192.168.11.2", INTERNET)
    assert connects(broadband, "192.168.2.10", "192.168.1.10")  # from the LAN, as planned


def test_the_table_of_a_site_that_uses_the_exit_loads(net):
    exit_, _, _, _, directory = net
    assert "masquerade" not in (directory / "site-b.nft").read_text() + (directory / "site-c.nft").read_text()
    for name in ("site-b", "site-c"):
        exit_.sh(f"nft --check -f {directory}/{name}.nft")


def datagrams(receiver, *sent, port=PORT):
    """What of [(sender, its address, target)] arrives, by index. A connection would not tell: its answer is dropped as well."""
    with receiver.entered():
        listener = socket.socket(type=socket.SOCK_DGRAM)
    with contextlib.closing(listener):
        listener.bind(("", port))
        listener.settimeout(LIMIT)
        for index, (sender, source, target) in enumerate((*sent, (receiver, "127.0.0.1", "127.0.0.1"))):
            with sender.entered(), contextlib.closing(socket.socket(type=socket.SOCK_DGRAM)) as client:
                client.bind((source, 0))
                with contextlib.suppress(PermissionError):  # dropped on the way out
                    client.sendto(bytes([index]), (target, port))
        arrived = []
        while len(sent) not in arrived:  # the receiver's own, after all others
            arrived += listener.recv(1)
        return arrived[:-1]


def test_a_stranger_of_the_carrier_reaches_nothing(net):
    exit_, broadband, _, carrier, _ = net
    strangers = [
        (carrier, source, target) for source in ("10.23.0.1", CARRIER) for target in ("10.23.0.5", "192.168.1.2")
    ]
    assert datagrams(exit_, *strangers, (broadband, "192.168.1.10", "192.168.1.2")) == [len(strangers)]
    # Nor through the site to its LAN.
    assert datagrams(broadband, (carrier, CARRIER, "192.168.1.10"), (exit_, "192.168.1.2", "192.168.1.10")) == [1]


def test_wireguard_is_reached_from_the_underlay_at_the_address_of_eth1_and_no_other_way(net):
    exit_, _, _, carrier, _ = net
    beyond = "198.51.100.9"  # no address of the underlay
    carrier.sh(f"ip address replace {beyond}/32 dev lo")
    sent = ((carrier, CARRIER, "10.23.0.5"), (carrier, beyond, "10.23.0.5"), (carrier, CARRIER, "192.168.1.2"))
    assert datagrams(exit_, *sent, port=22000) == [0]


def test_nothing_goes_out_to_the_carrier_that_was_not_planned(net):
    exit_, broadband, _, carrier, _ = net
    broadband.sh(f"ip route add {CARRIER} via 192.168.1.2")
    sent = ((exit_, "10.23.0.5", CARRIER), (exit_, "192.168.1.2", "10.23.0.1"), (broadband, "192.168.1.10", CARRIER))
    assert datagrams(carrier, *sent, (carrier, "10.23.0.1", CARRIER)) == [len(sent)]
