# SPDX-License-Identifier: GPL-3.0-or-later
import collections
import types

import pytest

from sitelink import config, gateway, netlink, status

PLAN = config.MeshPeer("site-b", "KB", "10.99.0.2", [], None, [], False)
Live = collections.namedtuple("Live", "endpoint handshake rx tx")


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize(
    "nic, words",
    [
        (
            "eth0",
            "would leave by eth0 instead of eth1",
        ),  # by a rule in front that is about this peer's part of the underlay
        ("eth1", None),
        (None, "would leave by no NIC at all"),
    ],
)
def test_a_peer_whose_packets_leave_elsewhere_is_told_so_dead_or_alive(monkeypatch, nic, words, alive):
    route = None if nic is None else netlink.Route("0.0.0.0/0", 254, 3, netlink.UNICAST, 0, 0, None, 2, None, 0, 0)
    kernel = types.SimpleNamespace(lookup=lambda address, mark: route)
    monkeypatch.setattr(gateway, "link_name", lambda index: nic)
    cfg = types.SimpleNamespace(fwmark=0x131, underlay_interface="eth1", site="site-a")
    device = types.SimpleNamespace(peers={"KB": Live("10.77.3.9:22000", 0, 0, 0)})
    found = status._peer(kernel, cfg, PLAN, device, {"alive": alive}, True, None, None)
    if nic == "eth1" or (nic is None and not alive):
        assert found["reason"] == ("" if alive else "there is no handshake with it")
    else:
        assert words in found["reason"]


def test_a_peer_that_somebody_gave_an_endpoint_of_ipv6_is_shown_with_a_reason():
    cfg = types.SimpleNamespace(fwmark=0x131, underlay_interface="eth1", site="site-a")
    device = types.SimpleNamespace(peers={"KB": Live("[fd00::7]:22000", 0, 0, 0)})
    kernel = netlink.Kernel.__new__(netlink.Kernel)  # it must not be asked: it has no socket
    found = status._peer(kernel, cfg, PLAN, device, {"alive": True}, True, None, None)
    assert found["endpoint"] == "[fd00::7]:22000" and "would leave by no NIC at all" in found["reason"]
