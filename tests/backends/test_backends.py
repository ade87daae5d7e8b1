# SPDX-License-Identifier: GPL-3.0-or-later
"""The same for every backend: eth1 takes an address and nothing else, whatever happens. The tests stand in the order of events."""

import ipaddress
import json
import re
import time

import pytest

from sitelab import carrier, podman

from conftest import ROOT
from lab_stacks import changed, result
from lab_tests import lab

# A forced renewal is what each backend calls so; the lease of the lab ends after 2 minutes and is renewed after one.
EVENTS = [
    "applied",
    "renewed by force",
    "expired",
    "renumbered",
    "flapped",
    "restarted",
    "changed",
    "rebooted",
    "bare",
    "renewed twice",
    "expired again",
]
BARE = EVENTS[
    EVENTS.index("bare") :
]  # without a name and a default route of its own: what is offered would have no rival
OPTIONS = {
    "nic_dhcp_mac": "02:6a:00:00:00:{:02x}",
    "nic_dhcp_client_id": "mac",
    "nic_dhcp_vendor_class": "ONT HG8245/1.0",
    "nic_dhcp_hostname": "meter",
    "nic_dhcp_mtu": 1420,
}


def apply(world):
    """The first run, between two in check mode, and a second one. eth0 is watched all the time."""
    stop = world.pings()
    done = {
        "fresh": world.play("--check", "--diff"),
        "before": world.each(lambda site: site.snapshot()),
        "first": world.play(),
        "logged": world.each(lambda site: len(site.log())),
        "second": world.play(),
        "finished": world.play("--check", "--diff"),
    }
    done["lost"] = stop()
    return done


def change(world):
    """One option is changed and changed back. Returns {stack: packets lost by eth0}."""
    stop = world.pings()
    world.play(nic_dhcp_mtu=1492)
    world.play()
    return stop()


def expire(world):
    """The server is silent until every lease has ended, and then back, with no memory of them."""
    members = [site.lab for site in world.sites.values()]
    podman.execute(carrier.NAME, "".join(carrier.stop_script(member) for member in members))
    deadline = time.monotonic() + 150  # a lease of two minutes, renewed a moment ago

    def ended(site):
        while carrier.addresses(site.name, "eth1"):
            assert time.monotonic() < deadline, "the address is still there"
            time.sleep(1)
        # Without an address there is nothing at all: not even the connected prefix.
        assert podman.in_container(site.name, "ip", "route", "show", "dev", "eth1").stdout == ""

    found = world.attempt(ended)
    podman.execute(
        carrier.NAME, "".join(carrier.serve_script(member, carrier.generation(member)) for member in members)
    )
    return found


def renewed_twice(site):
    """The carrier's server acknowledges two renewals that nobody asked for."""
    acknowledged = site.log().count("DHCPACK")
    deadline = time.monotonic() + 180
    while site.log().count("DHCPACK") < acknowledged + 2:
        assert time.monotonic() < deadline, "not two DHCPACKs within three minutes"
        time.sleep(2)


def happen(world, event):
    """Let it happen at all sites, and return {stack: (snapshot, prefix of the carrier) or what went wrong} after it."""
    sites = list(world.sites.values())
    members = [site.lab for site in sites]
    done = dict.fromkeys(world.sites)
    if event == "applied":
        world.once("runs", lambda: apply(world))
    elif event == "renewed by force":
        done = world.attempt(lambda site: site.run(site.renew))
    elif event == "renewed twice":
        done = world.attempt(renewed_twice)
    elif event.startswith("expired"):
        done = expire(world)
    elif event == "renumbered":
        carrier.renumber(members, natural=True)
        done = world.attempt(lambda site: carrier.wait_for_lease([site.lab], 140) and None)
    elif event == "flapped":
        carrier.plug(members, False)
        time.sleep(3)
        carrier.plug(members, True)
    elif event == "restarted":
        done = world.attempt(lambda site: site.run(site.restart))
    elif event == "changed":
        world.once("changes", lambda: change(world))
    elif event == "rebooted":
        lab("reboot", *[site.name for site in sites], timeout=1200)
    elif event == "bare":
        bare = "rm -f /etc/hostname; hostname localhost; ip -4 route delete default"
        done = world.attempt(lambda site: site.run(f"{bare}; {site.renew}"))
    world.attempt(lambda site: site.lease())
    time.sleep(3)  # what comes after the address

    def look(site):
        result(done[site.stack])
        return site.snapshot(), site.lease()

    return world.attempt(look)


# systemd-networkd before 249 gives the prefix route of a lease no metric, whatever its file says; docs/*/nic.md say so.
NO_METRIC = {"bullseye-netplan"}
# systemd-networkd 257 takes the server's word for the broadcast address, and has none against it: tr069_gateway's daemon has.
BY_THE_SERVER = {"trixie-netplan"}
PACKAGES = {
    "netplan": ["netplan.io", "systemd"],
    "networkd": ["systemd"],
    "networkmanager": ["network-manager"],
    "networkmanager-ifcfg": ["network-manager"],
    "ifupdown-dhclient": ["ifupdown", "isc-dhcp-client"],
    "ifupdown-dhcpcd": ["ifupdown", "dhcpcd-base"],
    "network-scripts": ["isc-dhcp-client"],
}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_table_names_what_runs_here(site, language):
    table = (ROOT / "docs" / language / "nic.md").read_text()
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{site.backend}` |")]
    wanted = [site.run(". /etc/os-release; echo $NAME $VERSION_ID").strip().replace(" GNU/Linux", "")]
    for package in PACKAGES[site.backend]:
        version = site.run(f"dpkg-query -W -f '${{Version}}' {package}").rpartition(":")[2]
        wanted.append(re.match(r"\d+" if package == "systemd" else r"\d+\.\d+", version)[0])
    assert [words for words in wanted if words not in row] == [], row


def test_check_mode_changes_nothing_on_a_fresh_site(world, site):
    done = world.once("runs", lambda: apply(world))
    changed(done["fresh"], site)
    assert done["before"][site.stack]["etc"] == site.before["etc"]
    assert f"/{site.backend}" in done["fresh"].stdout or f'"backend": "{site.backend}"' in done["fresh"].stdout


def test_a_second_run_changes_nothing(world, site):
    done = world.once("runs", lambda: apply(world))
    assert changed(done["first"], site) > 0
    assert changed(done["second"], site) == 0
    assert changed(done["finished"], site) == 0


def test_eth0_loses_no_packet(world, site):
    assert world.once("runs", lambda: apply(world))["lost"][site.stack] == 0


def test_the_backend_is_the_one_that_manages_the_site(world, site):
    world.once("runs", lambda: apply(world))
    record = json.loads(site.run("cat /etc/sitelink/nic-eth1.json"))
    assert record["backend"] == site.backend


@pytest.mark.parametrize("event", EVENTS)
def test_an_address_and_nothing_else(world, site, event):
    found, network = result(world.once(event, lambda: happen(world, event))[site.stack])
    before = site.before
    routes = [route for route in found["routes4"] if " dev eth1 " in f"{route} "]
    assert [ipaddress.ip_network(route.split()[0]) for route in routes] == [network]
    assert not [route for route in routes if " via " in route]
    if site.stack not in BY_THE_SERVER:
        # The first address of a prefix is one to kernels before 5.14.
        assert {*found["broadcasts"]} - {str(network[0])} == {str(network[-1])}
    # Behind a route of eth0, should the ONT lease an address of the site's own LAN.
    assert [re.findall(r" metric (\d+)", route) for route in routes] == [[] if site.stack in NO_METRIC else ["4096"]]
    others = [route for route in before["routes4"] if event not in BARE or not route.startswith("default")]
    assert [route for route in found["routes4"] if route not in routes] == others
    assert found["routes6"] == before["routes6"]
    assert found["rules"] == before["rules"]
    assert found["links"]["eth1"] == {"mtu": 1500, "inet6": []}
    assert found["links"]["eth0"] == before["links"]["eth0"]
    assert found["resolv_conf"] == before["resolv_conf"]
    assert found["hosts"] == before["hosts"]
    if event in BARE:
        # NetworkManager has a name of its own for a site that has none.
        assert found["hostname"] in ("localhost", "localhost.localdomain")
    else:
        assert found["hostname"] == before["hostname"]
    etc = {path: digest for path, digest in before["etc"].items() if event not in BARE or path != "/etc/hostname"}
    # ifcfg-eth1 is a name that the scripts ask for. The first lines of each file of ours say whose it is.
    plan = json.loads(site.run("cat /etc/sitelink/nic-eth1.json"))
    ours = {item["path"]: item["lines"][:2] for item in plan["files"]}
    assert [path for path, lines in ours.items() if "sitelink.tr069, role nic_dhcp" not in "".join(lines)] == []
    assert {path: digest for path, digest in found["etc"].items() if path not in ours} == etc
    # networkd would tell timesyncd and resolved by this file.
    state = site.run("cat /run/systemd/netif/links/$(cat /sys/class/net/eth1/ifindex) 2>/dev/null", check=False)
    assert not re.search(r"(?m)^(DNS|NTP|DOMAINS|SIP)=.", state), state


def test_eth0_loses_no_packet_by_a_change(world, site):
    assert world.once("changes", lambda: change(world))[site.stack] == 0


def test_nothing_is_sent_that_tells_who_the_site_is(world, site):
    # Before the first run NetworkManager may have asked by itself, and told the name.
    said = site.log()[world.once("runs", lambda: apply(world))["logged"][site.stack] :]
    assert "vendor class" not in said and "client provides name" not in said
    assert "evilhost" in said  # the log does show options


def set_options(world):
    for site in world.sites.values():  # as it was before "bare"
        site.run(f"echo {site.name} > /etc/hostname; hostname {site.name}")
    lab("reboot", *[site.name for site in world.sites.values()], timeout=1200)
    world.attempt(lambda site: site.lease())
    counted = world.each(lambda site: len(site.log()))
    for index, stack in enumerate(world.sites):
        world.variables[stack].update(OPTIONS, nic_dhcp_mac=OPTIONS["nic_dhcp_mac"].format(index + 1))
    world.play()
    return {stack: site.log()[counted[stack] :] for stack, site in world.sites.items()}


def test_options_are_sent_once_and_no_more(world, site):
    said = world.once("options", lambda: set_options(world))[site.stack]
    mac = world.variables[site.stack]["nic_dhcp_mac"]
    link = json.loads(podman.in_container(site.name, "ip", "-j", "link", "show", "eth1").stdout)[0]
    assert (link["address"], link["mtu"]) == (mac, OPTIONS["nic_dhcp_mtu"])
    assert f" {mac} " in said
    assert f"vendor class: {OPTIONS['nic_dhcp_vendor_class']}\n" in said
    assert f"client provides name: {OPTIONS['nic_dhcp_hostname']}\n" in said
    lease = podman.execute(carrier.NAME, f"cat /run/{site.lab.ont}.leases").stdout
    assert re.search(rf"(?m) {mac} \S+ \S+ 01:{mac}$|{mac}.* 01:{mac}$", lease), lease
