# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is refused and warned for on a site, and an interface that is in the way; in a network of its own."""

import json

import pytest
from test_mesh_kernel import Site, key

from sitelink import settle

from throwaway import GATEWAY


@pytest.fixture(scope="module")
def site(namespaces):
    return Site(namespaces(), "a", 1, "10.23.64.5/20", GATEWAY)


def check(site, *options, **plan):
    """(exit code, what was said on standard error) for a plan that is not in place."""
    path = site.ns.etc + "/new.json"
    with open(path, "w") as file:
        json.dump(dict(site.plan([]), **plan), file)
    code, out, err = site.ns.sitelink("mesh", site.wg, "--check=" + path, *options)
    assert out == ""
    return code, err


def test_a_lan_that_a_virtual_network_has_as_well_is_a_warning(site):
    assert check(site) == (0, "")
    site.ns.sh(
        "ip link add docker0 type veth peer name container; ip link set container up; ip address add 192.168.101.1/24 dev docker0; ip link set docker0 up"
    )
    code, err = check(site)
    assert (
        code == 0
        and "site-a: wireguard_mesh_lan_subnets holds 192.168.101.0/24, which overlaps 192.168.101.0/24 of docker0"
        in err
    )
    site.ns.sh("ip link delete dev docker0")
    assert check(site) == (0, "")


def test_a_site_without_the_private_key_is_refused_before_anything_is_written(site):
    code, err = check(site, "--own-key")
    assert code == 1 and "wireguard_mesh_public_key" in err
    for private in (key()[0], site.private):
        with open("%s/%s.key.%s" % (site.ns.wireguard, site.wg, private[:6].replace("/", "x")), "w") as file:
            file.write(private + "\n")
    assert check(site, "--own-key") == (0, "")


def test_an_interface_in_the_way_is_taken_down_whatever_wg_quick_says_of_it(site, monkeypatch):
    site.ns.sh("ip link add %s type veth peer name other" % site.wg)
    with site.ns.entered():
        assert settle.stray(site.wg)
        settle.take_down(site.wg)
        assert not settle.stray(site.wg)
