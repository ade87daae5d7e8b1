# SPDX-License-Identifier: GPL-3.0-or-later
"""The same for every backend: eth1 takes an address and nothing else, whatever happens. The tests stand in the order of events."""

import ipaddress
import json
import re
import time

import pytest
import yaml

from sitelab import carrier, podman

from conftest import ROOT, chosen
from lab_stacks import BACKENDS, changed, result
from lab_tests import lab, recap

# A forced renewal is what each backend calls so; the lease of the lab ends after 2 minutes and is renewed after one.
EVENTS = [
    "applied",
    "renewed by force",
    "renewed twice",
    "expired",
    "expired again",
    "renumbered",
    "flapped",
    "restarted",
    "changed",
    "rebooted",
    "bare",
]
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
        # No name and no default route of its own: what is offered would have no rival.
        bare = "rm -f /etc/hostname; hostname localhost; ip -4 route delete default"
        done = world.attempt(lambda site: site.run(f"{bare}; {site.renew}"))
    world.attempt(lambda site: site.lease())
    time.sleep(3)  # what comes after the address

    def look(site):
        result(done[site.stack])
        return site.snapshot(), site.lease()

    return world.attempt(look)


def test_every_backend_of_the_role_is_tested():
    specs = yaml.safe_load((ROOT / "roles/nic_dhcp/meta/argument_specs.yml").read_text())
    choices = set(specs["argument_specs"]["main"]["options"]["nic_dhcp_backend"]["choices"])
    assert BACKENDS | {"auto"} == choices
    assert set(THEIRS) == set(VLANS) == BACKENDS


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
    # Behind a route of eth0, should the ONT lease an address of the site's own LAN.
    assert [re.findall(r" metric (\d+)", route) for route in routes] == [["4096"]]
    others = [route for route in before["routes4"] if event != "bare" or not route.startswith("default")]
    assert [route for route in found["routes4"] if route not in routes] == others
    assert found["routes6"] == before["routes6"]
    assert found["rules"] == before["rules"]
    assert found["links"]["eth1"] == {"mtu": 1500, "inet6": []}
    assert found["links"]["eth0"] == before["links"]["eth0"]
    assert found["resolv_conf"] == before["resolv_conf"]
    assert found["hosts"] == before["hosts"]
    if event == "bare":
        # NetworkManager has a name of its own for a site that has none.
        assert found["hostname"] in ("localhost", "localhost.localdomain")
    else:
        assert found["hostname"] == before["hostname"]
    etc = {path: digest for path, digest in before["etc"].items() if event != "bare" or path != "/etc/hostname"}
    assert found["etc"] == etc
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


REVERT_AFTER = 40
RESCUE = 60  # seconds that a network manager may take to start anew, on a machine with all the others


def cut(world):
    """The same change at every site, which takes eth0 down as soon as it is applied."""
    for site in world.sites.values():
        site.run("""
cat > /usr/local/sbin/cut <<'END'
while :; do
  read -r mtu < /sys/class/net/eth1/mtu
  [ "$mtu" = 1492 ] && ip link set eth0 down && touch /run/was-cut && exit
  sleep 0.3
done
END
systemd-run --quiet --collect --unit=cut sh /usr/local/sbin/cut
""")
    before = world.each(lambda site: site.snapshot())
    done = world.play(nic_dhcp_mtu=1492, nic_dhcp_revert_after=REVERT_AFTER, ansible_timeout=5)
    began = time.monotonic()

    def back(site):
        while time.monotonic() - began < 60:
            if not site.run("ls /var/lib/sitelink/nic-eth1.pending.json 2>/dev/null", check=False):
                return True
            time.sleep(0.5)
        return False

    returned = world.each(back)
    world.attempt(lambda site: site.lease())
    time.sleep(3)
    after = world.each(lambda site: site.snapshot())
    was_cut = world.each(lambda site: "was-cut" in site.run("ls /run"))
    return {"done": done, "back": returned, "before": before, "after": after, "cut": was_cut}


def test_a_change_that_cuts_the_site_off_is_taken_back(world, site):
    found = world.once("cut", lambda: cut(world))
    assert found["cut"][site.stack] and found["back"][site.stack]
    counts = recap(found["done"])[site.name]
    assert counts["unreachable"] or counts["failed"]
    for snapshot in (found["before"][site.stack], found["after"][site.stack]):
        # NetworkManager numbers its connections anew when it starts.
        snapshot["routes4"] = [re.sub(r" metric \d+", "", route) for route in snapshot["routes4"]]
    assert found["after"][site.stack] == found["before"][site.stack]
    said = site.run("journalctl --no-pager -o short-unix -u 'sitelink-nic-eth1-revert*' | grep 'is back'")
    at = float(site.run("stat -c %Y /run/was-cut"))
    # The timer ran already when eth0 went; a second is its accuracy.
    assert 0 < float(said.split()[0]) - at <= REVERT_AFTER + 1 + RESCUE, said


def test_a_run_after_that_finds_the_site_again(world, site):
    done = world.once("after the cut", lambda: world.play())
    assert recap(done)[site.name]["failed"] == recap(done)[site.name]["unreachable"] == 0


# Another backend on the same system, and what it leaves behind of the first.
SWITCHES = chosen(
    {"netplan": "networkd", "ifupdown-dhclient": "ifupdown-dhcpcd", "networkmanager-ifcfg": "networkmanager"}
)


def switch(world):
    for stack, other in SWITCHES.items():
        world.variables[stack]["nic_dhcp_backend"] = other
    world.play(only=SWITCHES)
    second = world.play(only=SWITCHES)
    return second


@pytest.mark.parametrize("stack", SWITCHES)
def test_another_backend_leaves_nothing_of_the_first(world, stack):
    second = world.once("switch", lambda: switch(world))
    site = world.sites[stack]
    assert changed(second, site) == 0
    site.lease()
    files = set(
        site.run(
            "find /etc -name '*sitelink*' -type f; grep -rl 'sitelink[.]tr069' /etc; ls -d /run/systemd/network/*eth1* 2>/dev/null || true"
        ).split()
    )
    record = json.loads(site.run("cat /etc/sitelink/nic-eth1.json"))
    assert record["backend"] == SWITCHES[stack]
    assert {path for path in files if "/sitelink/" not in path} == {
        item["path"] for item in record["files"] if "/sitelink/" not in item["path"]
    }
    assert "dhclient" not in site.run("ps -eo comm")


def give_back(world):
    stop = world.pings()
    checked = world.play("--check", "--diff", nic_dhcp_state="absent")
    world.play(nic_dhcp_state="absent")
    again = world.play(nic_dhcp_state="absent")
    return {"checked": checked, "again": again, "lost": stop()}


def test_absent_leaves_nothing(world, site):
    done = world.once("absent", lambda: give_back(world))
    assert changed(done["checked"], site) > 0 and changed(done["again"], site) == 0
    assert done["lost"][site.stack] == 0
    found = site.snapshot()
    assert found["etc"] == site.before["etc"]
    assert site.run("find /etc /var/lib/sitelink -name '*nic-eth1*' -o -name '*sitelink-eth1*'") == ""
    if site.manager != "networkmanager":  # which has ideas of its own on NICs that nobody configured
        assert not [route for route in found["routes4"] if " eth1 " in route]
        assert carrier.addresses(site.name, "eth1") == []


THEIRS = {
    "netplan": ("/etc/netplan/70-ont.yaml", "network:\n  version: 2\n  ethernets:\n    eth1:\n      addresses: [10.9.9.9/24]\n"),
    "networkd": ("/etc/systemd/network/70-ont.network", "[Match]\nName=eth1\n\n[Network]\nAddress=10.9.9.9/24\n"),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/ont.nmconnection",
        """\
[connection]
id=ont
uuid=7f5bd2f4-7a0c-4d5c-9d0e-2f6a3b8f0a01
type=ethernet
interface-name=eth1

[ipv4]
method=manual
address1=10.9.9.9/24
""",
    ),
    "networkmanager-ifcfg": (
        "/etc/sysconfig/network-scripts/ifcfg-ont",
        "DEVICE=eth1\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=10.9.9.9\nPREFIX=24\n",
    ),
    "network-scripts": (
        "/etc/sysconfig/network-scripts/ifcfg-ont",
        "DEVICE=eth1\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=10.9.9.9\nPREFIX=24\n",
    ),
    "ifupdown-dhclient": (
        "/etc/network/interfaces.d/ont", "auto eth1\niface eth1 inet static\n    address 10.9.9.9/24\n"),
    "ifupdown-dhcpcd": (
        "/etc/network/interfaces.d/ont", "allow-hotplug eth1\niface eth1 inet static\n    address 10.9.9.9/24\n"),
}  # fmt: skip


# Where our file comes before all others; theirs stays. What brings theirs into force:
OURS_IS_FIRST = {"netplan": "netplan apply", "networkd": "networkctl reload; networkctl reconfigure eth1"}


def take_over(world):
    for stack in SWITCHES:
        world.variables[stack].pop("nic_dhcp_backend")

    def configure(site):
        path, text = THEIRS[site.backend]
        site.run(f"umask 077; cat > {path} <<'END'\n{text}END\n")
        if site.backend in OURS_IS_FIRST:
            site.run(f"chmod 644 {path}; {OURS_IS_FIRST[site.backend]}")

    world.each(configure)
    before = world.each(lambda site: site.snapshot())
    refused = world.play()
    between = world.each(lambda site: site.snapshot())
    world.play(nic_dhcp_take_over=True)
    world.attempt(lambda site: site.lease())
    beside = world.each(lambda site: site.run(f"ls {THEIRS[site.backend][0]} 2>/dev/null", check=False).strip())
    second = world.play(nic_dhcp_take_over=True)
    leased = world.attempt(lambda site: site.lease())
    world.play(nic_dhcp_state="absent")
    after = world.each(lambda site: site.snapshot())
    return {
        "before": before, "refused": refused, "between": between, "beside": beside, "second": second, "leased": leased,
        "after": after,
    }  # fmt: skip


def test_a_nic_that_is_configured_elsewhere_is_refused_by_name_unless_ours_is_first(world, site):
    found = world.once("taken", lambda: take_over(world))
    path = re.escape(THEIRS[site.backend][0])
    said = re.sub(r"\s+", " ", found["refused"].stdout)
    if site.backend in OURS_IS_FIRST:
        assert recap(found["refused"])[site.name]["failed"] == 0
    else:
        assert recap(found["refused"])[site.name]["failed"] == 1
        assert re.search(rf"{site.name}: eth1 is configured already, in {path}", said), said[-3000:]
    assert found["between"][site.stack]["etc"] == found["before"][site.stack]["etc"]


def test_what_was_there_is_put_aside_and_back_or_comes_after_ours(world, site):
    found = world.once("taken", lambda: take_over(world))
    assert found["beside"][site.stack] == (THEIRS[site.backend][0] if site.backend in OURS_IS_FIRST else "")
    assert changed(found["second"], site) == 0
    result(found["leased"][site.stack])
    assert found["after"][site.stack]["etc"] == found["before"][site.stack]["etc"]


REFUSED = chosen(
    {
        "netplan": ({"tr069_interface": "eth7"}, r"there is no NIC eth7.*This site has .*eth1"),
        "networkd": ({"tr069_interface": "eth0"}, r"eth0 \(tr069_interface\) carries the default route"),
        "networkmanager": (
            {"nic_dhcp_backend": "netplan"},
            r"nic_dhcp_backend is netplan, but this site has networkmanager",
        ),
        "ifupdown-dhclient": (
            {"nic_dhcp_mac": "01:00:5e:00:00:01"},
            r'nic_dhcp_mac is "01:00:5e:00:00:01"; it must be',
        ),
        "ifupdown-dhcpcd": ({"nic_dhcp_vlan_id": 46}, r'nic_dhcp_vlan_parent is ""; it must be the NIC'),
    }
)


def refuse(world):
    world.each(lambda site: site.run(f"rm -f {THEIRS[site.backend][0]}"))
    for stack, (variables, _) in REFUSED.items():
        world.variables[stack] = variables
    before = world.each(lambda site: site.snapshot()["etc"])
    done = world.play(only=REFUSED)
    return {"before": before, "done": done, "after": world.each(lambda site: site.snapshot()["etc"])}


@pytest.mark.parametrize("stack", REFUSED)
def test_a_slip_is_told_before_anything_is_changed(world, stack):
    found = world.once("refused", lambda: refuse(world))
    site = world.sites[stack]
    said = re.sub(r"\s+", " ", found["done"].stdout)
    assert re.search(rf"{site.name}: {REFUSED[stack][1]}", said.replace('\\"', '"')), said[-4000:]
    assert found["after"][stack] == found["before"][stack]
    assert recap(found["done"])[site.name]["failed"] == 1


# The lab's kernel has no VLANs. What each network manager makes of its files, short of making the interface:
VLANS = {
    "netplan": (
        (
            "mkdir -p /tmp/vlan/run && netplan generate --root-dir /tmp/vlan && cd /tmp/vlan"
            " && cat run/systemd/network/10-netplan-vlan46.netdev etc/systemd/network/10-netplan-vlan46.netdev.d/sitelink.conf"
        ),
        ["Id=46", "EgressQOSMaps=0-7 1-7"],
    ),
    "networkd": ("cat /tmp/vlan/etc/systemd/network/*.netdev", ["Id=46", "EgressQOSMaps=0-7 1-7"]),
    "networkmanager": (
        (
            "cd /tmp/vlan/etc/NetworkManager/system-connections; cp * /run/NetworkManager/system-connections;"
            " nmcli connection load /run/NetworkManager/system-connections/sitelink-vlan46.nmconnection;"
            " nmcli connection show sitelink-vlan46; rm /run/NetworkManager/system-connections/sitelink-*;"
            " nmcli connection reload"
        ),
        [
            r"vlan.id: +46",
            r"vlan.egress-priority-map: +0:7,1:7,2:7",
            r"vlan.parent: +eth1",
            r"ipv4.never-default: +yes",
        ],
    ),
    "networkmanager-ifcfg": (
        (
            "cd /etc/sysconfig/network-scripts; cp /tmp/vlan/etc/sysconfig/network-scripts/* .;"
            " nmcli connection load $PWD/ifcfg-eth1 $PWD/ifcfg-vlan46; nmcli connection show sitelink-vlan46;"
            " rm ifcfg-eth1 ifcfg-vlan46; nmcli connection reload"
        ),
        [
            r"vlan.id: +46",
            r"vlan.egress-priority-map: +0:7,1:7,2:7",
            r"vlan.parent: +eth1",
            r"ipv4.never-default: +yes",
        ],
    ),
    # Its part that makes the interface needs the kernel's, and is not run.
    "network-scripts": (
        "cd /tmp/vlan/etc/sysconfig/network-scripts && . ./ifcfg-vlan46 && echo $VLAN $PHYSDEV $VID",
        ["yes eth1 46"],
    ),
    "ifupdown-dhclient": (
        "ifquery -i /tmp/vlan/etc/network/interfaces.d/sitelink-vlan46 vlan46",
        ["type vlan id 46 .*0:7 1:7"],
    ),
    "ifupdown-dhcpcd": (
        "ifquery -i /tmp/vlan/etc/network/interfaces.d/sitelink-vlan46 vlan46",
        ["up: dhcpcd .* vlan46"],
    ),
}


def tag(world):
    """The plans for a tagged port; a site without VLANs cannot go through with them."""
    for stack, site in world.sites.items():
        world.variables[stack] = {
            "nic_dhcp_backend": site.backend,
            "tr069_interface": "vlan46",
            "nic_dhcp_vlan_parent": "eth1",
            "nic_dhcp_vlan_id": 46,
            "nic_dhcp_vlan_priority": 7,
            "nic_dhcp_lease_timeout": 1,
        }
    done = world.play()
    plans = world.attempt(lambda site: json.loads(site.run("cat /etc/sitelink/nic-vlan46.json")))
    world.play(nic_dhcp_state="absent")
    return {"done": done, "plans": plans}


def test_a_tagged_port_is_what_the_real_parser_reads(world, site):
    found = world.once("tagged", lambda: tag(world))
    assert recap(found["done"])[site.name]["failed"] == 1
    for item in result(found["plans"][site.stack])["files"]:
        path, text = f"/tmp/vlan{item['path']}", "\n".join(item["lines"])
        site.run(f"mkdir -p $(dirname {path}); cat > {path} <<'END'\n{text}\nEND\nchmod 600 {path}")
    command, wanted = VLANS[site.backend]
    said = site.run(command)
    for words in wanted:
        assert re.search(words, said), said


# What is at fault below, and the words that name it. 桥接 is what the ONT's page calls the bridge.
FAULTS = chosen(
    {
        "netplan": ("unplugged", {}, r"eth1 has no carrier; plug its cable into the ONT"),
        "networkd": ("silent", {}, r"no IPv4 address though its cable is plugged in; .*桥接"),
        "networkmanager": (
            "outside",
            {"tr069_networks": ["10.250.0.0/16"]},
            r"outside the underlay 10.250.0.0/16; .*桥接",
        ),
    }
)


def break_things(world):
    for stack, (_, variables, _) in FAULTS.items():
        world.variables[stack] = {"nic_dhcp_lease_timeout": 15, **variables}
    carrier.plug([world.sites["netplan"].lab], False)
    podman.execute(carrier.NAME, carrier.stop_script(world.sites["networkd"].lab))
    return world.play(only=FAULTS)


@pytest.mark.parametrize("stack", FAULTS)
def test_without_a_lease_the_layer_at_fault_is_named(world, stack):
    done = world.once("broken", lambda: break_things(world))
    said = re.sub(r"\s+", " ", done.stdout)
    assert re.search(
        rf"{world.sites[stack].name}: no usable address on eth1 after 15 s. .*?{FAULTS[stack][2]}", said
    ), said[-4000:]
