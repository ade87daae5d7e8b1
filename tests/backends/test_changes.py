# SPDX-License-Identifier: GPL-3.0-or-later
"""The same for every backend: a change that cuts the site off, another backend, what was there before, slips. In the order of events."""

import json
import re
import time

import pytest

from sitelab import carrier, podman

from conftest import chosen
from lab_stacks import changed, result
from lab_tests import lab, recap, wait_for


@pytest.fixture(scope="module", autouse=True)
def configured(world):
    world.once("runs", lambda: world.play())


REVERT_AFTER = 60
RESCUE = 60  # seconds that a network manager may take to start anew; docs/*/nic.md name them


def fall_and_start_anew(site):
    """What happens to eth0 when a change cuts it off and the site's rescue comes, without a change."""
    (rescue,) = json.loads(site.run("cat /etc/sitelink/nic-eth1.json"))["rescue"]
    site.run(f"ip link set eth0 down; sleep {REVERT_AFTER}; {' '.join(rescue)}")


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
    # What a network manager makes of an eth0 that was down for so long is its own matter: with IPV6INIT=no NetworkManager does not bring
    # back the link-local address that was there before it started.
    world.each(fall_and_start_anew)
    world.attempt(lambda site: site.lease())
    time.sleep(3)
    before = world.each(lambda site: site.snapshot())
    done = world.play(nic_dhcp_mtu=1492, nic_dhcp_revert_after=REVERT_AFTER, ansible_timeout=15)
    pending = "ls /var/lib/sitelink/nic-eth1.pending.json 2>/dev/null"
    returned = world.attempt(lambda site: wait_for(lambda: not site.run(pending, check=False)))
    world.attempt(lambda site: site.lease())
    time.sleep(3)
    after = world.each(lambda site: site.snapshot())
    was_cut = world.each(lambda site: "was-cut" in site.run("ls /run"))
    return {"done": done, "back": returned, "before": before, "after": after, "cut": was_cut}


def test_a_change_that_cuts_the_site_off_is_taken_back(world, site):
    found = world.once("cut", lambda: cut(world))
    assert found["cut"][site.stack] and result(found["back"][site.stack])
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
# By what NetworkManager has to have eth1 up, beside a profile that a desktop saved for any NIC.
BY_OURS = chosen(
    {
        "networkmanager": "/etc/NetworkManager/system-connections/sitelink-eth1.nmconnection",
        "networkmanager-ifcfg": "/etc/sysconfig/network-scripts/ifcfg-eth1",
    }
)
SAVED = "/etc/NetworkManager/system-connections/Wired connection 1.nmconnection"
SAVE = f"""
umask 077
cat > '{SAVED}' <<'END'
[connection]
id=Wired connection 1
uuid=7f5bd2f4-7a0c-4d5c-9d0e-2f6a3b8f0a02
type=ethernet
autoconnect-priority=-999

[ipv4]
method=auto
END
nmcli connection reload
"""
AFTER = ["reload", "cable", "reboot"]


def beside_a_saved_profile(world):
    """{event: {stack: the active connections with their files, or what went wrong}}"""
    ours = [world.sites[stack] for stack in BY_OURS]
    members = [site.lab for site in ours]

    def look(site):
        if site.stack not in BY_OURS:
            return ""
        site.lease()
        assert "Wired connection 1" in site.run("nmcli -t -f NAME connection show").splitlines()
        return site.run("nmcli -t -f DEVICE,FILENAME connection show --active").splitlines()

    found = {}
    for event in AFTER:
        if event == "reload":
            for site in ours:
                site.run(SAVE)
        elif event == "cable":
            carrier.plug(members, False)
            time.sleep(10)  # NetworkManager takes a shorter one for none
            carrier.plug(members, True)
        else:
            lab("reboot", *[site.name for site in ours], timeout=1200)
        found[event] = world.attempt(look)
    for site in ours:
        site.run(f"rm '{SAVED}'; nmcli connection reload")
    return found


@pytest.mark.parametrize("event", AFTER)
@pytest.mark.parametrize("stack", BY_OURS)
def test_a_saved_profile_for_any_nic_comes_behind_ours(world, stack, event):
    found = world.once("saved", lambda: beside_a_saved_profile(world))
    assert f"eth1:{BY_OURS[stack]}" in result(found[event][stack])


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


RENEWAL = 70  # seconds: the lab's leases are of two minutes, and renewed after one


def questions(site):
    """What the site has asked the carrier's DHCP server so far."""
    return re.findall("DHCP(?:DISCOVER|REQUEST).*", site.log())


def give_back(world):
    stop = world.pings()
    checked = world.play("--check", "--diff", nic_dhcp_state="absent")
    world.play(nic_dhcp_state="absent")
    again = world.play(nic_dhcp_state="absent")
    lost, asked = stop(), world.each(questions)
    time.sleep(RENEWAL)  # whoever still holds a lease asks by now
    return {"checked": checked, "again": again, "lost": lost, "asked": asked}


def test_absent_leaves_nothing(world, site):
    done = world.once("absent", lambda: give_back(world))
    assert changed(done["checked"], site) > 0 and changed(done["again"], site) == 0
    assert done["lost"][site.stack] == 0
    found = site.snapshot()
    assert found["etc"] == site.before["etc"]
    assert site.run("find /etc /var/lib/sitelink -name '*nic-eth1*' -o -name '*sitelink-eth1*'") == ""
    if site.manager != "networkmanager":  # which has ideas of its own on NICs that nobody configured
        assert questions(site) == done["asked"][site.stack]
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
            r"vlan.egress-priority-map: +" + "[ ,]".join(f"{each}:7" for each in range(8)),
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
            r"vlan.egress-priority-map: +" + "[ ,]".join(f"{each}:7" for each in range(8)),
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
            "nic_dhcp_vlan_priority": 0 if site.backend == "network-scripts" else 7,  # which it cannot
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
