# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from sitelink import address, config, netlink, state

NETWORKS = config.networks(["10.0.0.0/7"])
UP = netlink.Link(3, "eth1", True, True, 1500)


def at(text, flags=0):
    ip, length = text.split("/")
    return netlink.Address(3, ip, int(length), flags)


def reason(link=UP, addresses=(), links=()):
    with pytest.raises(address.NoAddress) as caught:
        address.select("eth1", link, addresses, NETWORKS, links)
    return str(caught.value)


def test_the_one_valid_address():
    others = [
        at("192.168.1.9/24"),  # for the web page of the ONT
        at("10.23.64.6/20", netlink.SECONDARY),
        at("10.23.64.7/20", netlink.DEPRECATED),
        at("10.23.64.8/20", netlink.TENTATIVE),
    ]
    assert address.select("eth1", UP, others + [at("11.3.2.1/19")], NETWORKS) == at("11.3.2.1/19")


def test_an_address_whose_lease_is_to_be_renewed_is_as_good_as_any():
    """dhcpcd makes the preferred lifetime end then; the lease goes on for as long again or longer."""
    old, new = at("10.23.64.7/20", netlink.DEPRECATED), at("10.23.64.9/20")
    assert address.select("eth1", UP, [old], NETWORKS) == old
    assert address.select("eth1", UP, [old, new], NETWORKS) == new
    assert address.select("eth1", UP, [new, old], NETWORKS) == new
    assert "2 underlay addresses" in reason(addresses=[old, at("11.1.1.1/24", netlink.DEPRECATED)])


@pytest.mark.parametrize(
    "networks", [["10.0.0.0/7"], ["10.0.0.0/8", "11.0.0.0/8"], ["11.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9"]]
)
@pytest.mark.parametrize("length", range(33))
def test_a_prefix_that_reaches_out_of_the_underlay_is_refused(networks, length):
    networks, found = config.networks(networks), at("10.23.64.5/%d" % length)
    if length >= 7:
        assert address.select("eth1", UP, [found], networks) == found
        return
    with pytest.raises(address.NoAddress, match="10.23.64.5/%d, and its prefix .* reaches outside" % length) as caught:
        address.select("eth1", UP, [found], networks)
    assert caught.value.code == "lease_wide" and "tr069_networks" in str(caught.value)


def test_a_prefix_of_two_networks_that_lacks_the_rest_between_them_is_refused():
    with pytest.raises(address.NoAddress, match="reaches outside the underlay 10.0.0.0/8, 12.0.0.0/8"):
        address.select("eth1", UP, [at("10.1.1.1/6")], config.networks(["10.0.0.0/8", "12.0.0.0/8"]))


def test_no_nic_names_those_there_are():
    links = [netlink.Link(1, "lo", True, True, 65536), netlink.Link(2, "ens3", True, True, 1500)]
    assert reason(None, links=links) == "there is no NIC eth1; this host has: ens3"
    assert reason(None) == "there is no NIC eth1; this host has: none"


@pytest.mark.parametrize(
    "link, addresses, words",
    [
        (UP._replace(up=False), ["10.1.1.1/24"], "link down"),
        (UP._replace(carrier=False), [], "no carrier"),
        (UP, [], "桥接"),
        (UP, ["192.168.1.5/24"], "192.168.1.5, which is outside the underlay 10.0.0.0/7"),
        (UP, ["12.0.0.1/24"], "12.0.0.1, which is outside"),
        (UP, ["10.1.1.1/24", "11.1.1.1/24"], "2 underlay addresses (10.1.1.1, 11.1.1.1)"),
    ],
)
def test_reasons(link, addresses, words):
    assert words in reason(link, [at(item) for item in addresses])


def test_an_address_without_carrier_is_kept_for_the_route_but_not_given_out():
    class Kernel:
        def link(self, _):
            return UP._replace(carrier=False)

        def addresses(self, _):
            return [at("10.1.1.1/24")]

    assert address.select("eth1", Kernel().link(""), Kernel().addresses(3), NETWORKS) == at("10.1.1.1/24")
    with pytest.raises(address.NoAddress, match="no carrier"):
        address.find(Kernel(), "eth1", NETWORKS)


def test_a_peers_address_is_where_its_key_was_heard(directories):
    def why(name="site-b"):
        with pytest.raises(address.NoAddress) as caught:
            address.find_peer(name, NETWORKS)
        return str(caught.value)

    assert why() == "the address of the peer site-b is not known: there is no mesh here"
    (directories / "etc" / "mesh-wg0.json").write_text("{}")
    assert "sitelink-mesh@wg0 does not run" in why()
    peers = {
        "KB": {"name": "site-b", "alive": True, "endpoint": "10.1.2.3:22000"},
        "KC": {"name": "site-c", "alive": False, "endpoint": "10.1.2.4:22000"},
        "KD": {"name": "site-d", "alive": True, "endpoint": "8.8.8.8:22000"},
        "KE": {"name": "site-e", "alive": True, "endpoint": "[2001:db8::5]:22000"},
    }
    state.write_json(config.run_path("mesh", "wg0", "json"), {"peers": peers})
    assert "does not run" in why()  # a file of yesterday says nothing
    held = state.lock(config.run_path("mesh", "wg0", "lock"))
    assert held is not None
    with held:
        assert address.find_peer("site-b", NETWORKS) == "10.1.2.3"
        assert why("site-c").endswith("it is not heard") and why("site-x").endswith("it is not heard")
        assert "8.8.8.8, which is outside the underlay 10.0.0.0/7" in why("site-d")
        assert "[2001:db8::5], which is outside the underlay 10.0.0.0/7" in why("site-e")


@pytest.mark.parametrize("lengths", [(20, 24), (24, 20)])
def test_one_address_with_an_old_and_a_new_prefix_is_the_new_one(lengths):
    found = [at("10.1.1.1/%d" % length) for length in lengths]
    assert address.select("eth1", UP, found, NETWORKS) == found[-1]
