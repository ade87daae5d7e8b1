# SPDX-License-Identifier: GPL-3.0-or-later
"""The same for every network manager: where the gateway comes from, that nothing marked strays, two carriers, and the end.

The tests stand in the order of events. What happens, happens to all sites at once.
"""

import json
import re
import subprocess
import time

import pytest

from sitelab import carrier, counters, podman

import marked
from conftest import ROLES
from lab_stacks import changed, result
from lab_tests import lab, wait_for

UNIT = "sitelink-gateway@eth1"
PAUSE = 0.005  # between two marked packets of a site
TURNS = 2  # of each event


def told(site):
    """What the daemon of eth1 says."""
    return json.loads(site.run("cat /run/sitelink/gateway-eth1.json"))


def table(site, number=305):
    return podman.in_container(site.name, "ip", "route", "show", "table", str(number), check=False).stdout


def counted(site, nic):
    """Marked packets that came out of a NIC, counted at the other end of its cable."""
    return counters.read([site.lab])[site.name][nic]["out"]["wireguard"]["packets"]


def eventually(site, condition):
    said = "cat /run/sitelink/gateway-*.json; ip address show dev eth1; ip rule; ip route show table 305"
    wait_for(condition, lambda: f"{site.stack}: {site.run(said)}")


def goes_on(site):
    """The route is that of the carrier's prefix, and marked packets leave by eth1."""
    network = site.lease()
    eventually(site, lambda: f"default via {network[1]} dev eth1 " in table(site) and told(site)["state"] == "ok")
    before = counted(site, "eth1")
    eventually(site, lambda: counted(site, "eth1") > before + 20)


# Where the gateway comes from


def serve(world, number):
    """Each server names this host of its prefix as the router from now on."""
    for site in world.sites.values():
        network = site.lab.underlay(carrier.generation(site.lab))
        router = network[number] if number > 1 else None
        podman.execute(carrier.NAME, carrier.serve_script(site.lab, carrier.generation(site.lab), router))


def gateway(site, number, source):
    network = site.lab.underlay(carrier.generation(site.lab))
    eventually(site, lambda: (told(site)["gateway"], told(site)["source"]) == (str(network[number]), source))
    assert f"default via {network[number]} dev eth1 " in table(site)


def apply(world):
    serve(world, 2)
    done = {
        "sysctl": world.each(sysctls),
        "fresh": world.play("--check", "--diff", tr069_gateway_source="lease"),
        "first": world.play(tr069_gateway_source="lease"),
    }
    done["taken"] = world.attempt(lambda site: gateway(site, 2, "lease"))
    done["second"] = world.play(tr069_gateway_source="lease")
    done["finished"] = world.play("--check", "--diff", tr069_gateway_source="lease")
    return done


def test_the_roles_run_and_then_change_nothing(world, site):
    done = world.once("applied", lambda: apply(world))
    changed(done["fresh"], site)
    assert changed(done["first"], site) > 0
    assert changed(done["second"], site) == changed(done["finished"], site) == 0


def test_the_router_of_the_lease_is_the_gateway(world, site):
    result(world.once("applied", lambda: apply(world))["taken"][site.stack])


def renew(world):
    """The servers name another router. Nobody tells the sites, whose leases are renewed in time."""
    serve(world, 3)
    acknowledged = world.each(lambda site: (site.log().count("DHCPACK"), carrier.addresses(site.name, "eth1")))

    def look(site):
        count, addresses = acknowledged[site.stack]
        eventually(site, lambda: site.log().count("DHCPACK") > count)
        gateway(site, 3, "lease")
        assert carrier.addresses(site.name, "eth1") == addresses

    return world.attempt(look)


def test_another_router_is_taken_with_the_next_lease(world, site):
    world.once("applied", lambda: apply(world))
    result(world.once("renewed", lambda: renew(world))[site.stack])


def name_nobody(world):
    """The servers name a router that is not there."""
    for site in world.sites.values():
        generation = carrier.generation(site.lab)
        network = site.lab.underlay(generation)
        podman.execute(
            carrier.NAME,
            carrier.serve_script(site.lab, generation, network[3])
            + f"ip address delete {network[3]}/{network.prefixlen} dev {site.lab.ont}; ip neighbour flush all",
        )
    world.each(lambda site: podman.in_container(site.name, "ip", "neighbour", "flush", "dev", "eth1"))
    world.attempt(lambda site: site.run(site.renew))
    return world.attempt(lambda site: site.lease() and gateway(site, 1, "first_host"))


def test_where_the_router_does_not_answer_the_first_host_is_taken(world, site):
    result(world.once("nobody", lambda: name_nobody(world))[site.stack])


# Nothing strays


class Watch:
    """The kernel's own list of what became of rules and routes: a gap too short for a packet stands there too."""

    def __init__(self, site):
        self.site = site
        argv = ["nsenter", f"--net={podman.network_namespace(site.name)}", "ip", "-4", "monitor", "route", "rule"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)

    def gaps(self):
        """Stop, and return the lines that tell of what must never go away."""
        self.process.terminate()
        lines = self.process.communicate()[0].splitlines()
        held = re.compile(r"^Deleted.*(unreachable default .*table 305|fwmark 0x131)")
        return [line for line in lines if held.search(line)]


def send(world):
    """With the default configuration, until the end."""
    serve(world, 1)
    world.play()
    world.each(lambda site: site.run(marked.start(PAUSE)))
    world.attempt(goes_on)


@pytest.fixture
def sending(world):
    world.once("sending", lambda: send(world))


def move(world):
    """The carrier gives every site another prefix, and the sites ask for it at once."""
    carrier.renumber([site.lab for site in world.sites.values()], natural=True)
    return world.attempt(lambda site: site.run(site.anew))


def expire(world):
    """The carrier gives every site another prefix; the sites notice when their lease cannot be renewed."""
    carrier.renumber([site.lab for site in world.sites.values()], natural=True)
    return world.attempt(lambda site: carrier.wait_for_lease([site.lab], 150) and None)


def pull(world):
    members = [site.lab for site in world.sites.values()]
    carrier.plug(members, False)
    time.sleep(2)
    carrier.plug(members, True)


BY_HAND = {
    "netplan": "networkctl reconfigure eth1",
    "networkd": "networkctl down eth1; sleep 1; networkctl up eth1",
    **dict.fromkeys(
        ["networkmanager", "networkmanager-ifcfg"],
        "nmcli connection down sitelink-eth1; sleep 1; nmcli connection up sitelink-eth1",
    ),
    **dict.fromkeys(["ifupdown-dhclient", "ifupdown-dhcpcd", "network-scripts"], "ifdown eth1; sleep 1; ifup eth1"),
}


def by_hand(world):
    return world.attempt(lambda site: site.run(BY_HAND[site.backend]))


def restart(world):
    return world.attempt(lambda site: site.run(site.restart))


def kill(world):
    return world.attempt(lambda site: site.run(f"systemctl kill -s KILL {UNIT}"))


EVENTS = {
    "another prefix": move,
    "the lease cannot be renewed": expire,
    "the cable is pulled": pull,
    "the NIC goes down and up": by_hand,
    "the network manager is restarted": restart,
    "the daemon is killed": kill,
    "the daemon is restarted": lambda world: world.attempt(lambda site: site.run(f"systemctl restart {UNIT}")),
}


def happen(world, event):
    """{stack: (packets that strayed, gaps, packets sent)} or what went wrong."""
    before = world.each(lambda site: (counted(site, "eth0"), site.run(f"cat {marked.COUNTS}")))
    watches = world.each(Watch)
    failed = {}
    for _ in range(TURNS):
        done = EVENTS[event](world) or {}
        done = {**done, **{key: found for key, found in world.attempt(goes_on).items() if found}}
        failed.update((key, found) for key, found in done.items() if isinstance(found, Exception))
    found = {}
    for stack, site in world.sites.items():
        strayed, sent = before[stack]
        now = marked.counts(site.run(f"cat {marked.COUNTS}"))
        found[stack] = (
            counted(site, "eth0") - strayed,
            watches[stack].gaps(),
            sum(now) - sum(marked.counts(sent)),
        )
    return {**found, **failed}


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_strays_when(world, sending, site, event):
    strayed, gaps, sent = result(world.once(event, lambda: happen(world, event))[site.stack])
    assert (strayed, gaps) == (0, [])
    assert sent > 100


def refused(site):
    """Packets of its sender that its kernel had no way for, so far."""
    return marked.counts(site.run(f"cat {marked.COUNTS}"))[1]


def stand_still(world):
    """Without the daemon, all that takes routes and rules away comes to pass."""
    before = world.each(lambda site: counted(site, "eth0"))
    watches = world.each(Watch)
    world.each(lambda site: site.run(f"systemctl stop {UNIT}"))
    restart(world)
    by_hand(world)
    move(world)
    world.attempt(lambda site: site.lease())
    refusals = world.each(refused)
    more = world.attempt(lambda site: eventually(site, lambda: refused(site) > refusals[site.stack] + 20))
    routes = world.each(table)
    strayed = world.each(lambda site: counted(site, "eth0") - before[site.stack])
    gaps = world.each(lambda site: watches[site.stack].gaps())
    world.each(lambda site: site.run(f"systemctl start {UNIT}"))
    return {"strayed": strayed, "gaps": gaps, "refused": more, "routes": routes, "after": world.attempt(goes_on)}


def test_nothing_strays_while_the_daemon_is_stopped(world, sending, site):
    found = world.once("stopped", lambda: stand_still(world))
    assert (found["strayed"][site.stack], found["gaps"][site.stack]) == (0, [])
    assert "unreachable default" in found["routes"][site.stack]
    assert "default via" not in found["routes"][site.stack]  # the address went, and with it the route
    result(found["refused"][site.stack])
    result(found["after"][site.stack])


def boot(world):
    before = world.each(lambda site: counted(site, "eth0"))
    lab("reboot", *[site.name for site in world.sites.values()], timeout=1200)
    after = world.attempt(goes_on)
    return {"strayed": world.each(lambda site: counted(site, "eth0") - before[site.stack]), "after": after}


def test_nothing_strays_when_the_site_boots(world, sending, site):
    found = world.once("booted", lambda: boot(world))
    result(found["after"][site.stack])
    assert found["strayed"][site.stack] == 0


def let_go(world):
    """The control: both ways of counting see what strays."""
    before = world.each(lambda site: counted(site, "eth0"))
    watches = world.each(Watch)
    world.each(lambda site: site.run(f"systemctl stop {UNIT}; sitelink gateway eth1 --remove"))
    strayed = world.attempt(lambda site: eventually(site, lambda: counted(site, "eth0") > before[site.stack] + 100))
    world.each(lambda site: site.run(f"systemctl start {UNIT}"))
    world.attempt(goes_on)
    return {"strayed": strayed, "gaps": world.each(lambda site: watches[site.stack].gaps())}


def test_without_the_rules_marked_packets_do_stray(world, sending, site):
    found = world.once("control", lambda: let_go(world))
    result(found["strayed"][site.stack])
    assert len(found["gaps"][site.stack]) == 2


# Two carriers

SECOND = {
    "tr069_gateway_interface": "eth2",
    "tr069_gateway_table": 306,
    "tr069_gateway_fwmark": "0x132",
    "tr069_gateway_rule_priority": 306,
}
TWO = [
    *ROLES,
    {"role": "sitelink.tr069.nic_dhcp", "vars": {"nic_dhcp_interface": "eth2"}},
    {"role": "sitelink.tr069.tr069_gateway", "vars": SECOND},
]


def cable(world):
    """Every site gets an eth2 in the segment of the next site."""
    members = list(world.sites.values())
    for number, site in enumerate(members):
        other = members[(number + 1) % len(members)].name
        bridge = json.loads(podman.ip("-j", "link", "show", f"{other}.eth1").stdout)[0]["master"]
        end = f"{site.name}.eth2"
        podman.ip("link", "add", end, "type", "veth", "peer", "name", "eth2", "address", f"02:6b:00:00:00:{number:02x}",
                  "netns", podman.network_namespace(site.name))  # fmt: skip
        podman.ip("link", "set", end, "master", bridge, "up")
        podman.in_container(site.name, "ip", "link", "set", "eth2", "up")


def way(site, mark):
    """The NIC that a packet with this mark leaves by, or empty where the kernel refuses it."""
    done = podman.in_container(site.name, "ip", "route", "get", "10.200.0.9", "mark", mark, check=False)
    return (re.findall(r" dev (\S+)", done.stdout) or [""])[0]


def settled(site):
    """Both NICs have what they should."""
    network = site.lease()
    eventually(site, lambda: f"default via {network[1]} dev eth1 " in table(site))
    eventually(site, lambda: " dev eth2 " in table(site, 306))


def two(world):
    cable(world)
    world.roles = TWO
    done = {"first": world.play(), "up": world.attempt(settled), "second": world.play()}
    done["ways"] = world.each(lambda site: (way(site, "0x131"), way(site, "0x132"), way(site, "0")))
    done["status"] = world.each(lambda site: json.loads(site.run("sitelink status --json || true"))["gateway"])
    return done


def test_two_carriers_have_a_table_and_a_mark_each(world, site):
    done = world.once("two", lambda: two(world))
    assert changed(done["first"], site) > 0
    result(done["up"][site.stack])
    assert done["ways"][site.stack] == ("eth1", "eth2", "eth0")
    found = {each["interface"]: (each["state"], each["table"]) for each in done["status"][site.stack]}
    assert found == {"eth1": ("ok", 305), "eth2": ("ok", 306)}


def test_a_second_run_with_two_carriers_changes_nothing(world, site):
    assert changed(world.once("two", lambda: two(world))["second"], site) == 0


def lose_second(world):
    for site in world.sites.values():
        podman.in_container(site.name, "ip", "address", "flush", "dev", "eth2")
    world.each(lambda site: eventually(site, lambda: " dev eth2 " not in table(site, 306)))
    ways = world.each(lambda site: (way(site, "0x131"), way(site, "0x132")))
    world.roles = [{"role": "sitelink.tr069.tr069_gateway", "vars": {**SECOND, "tr069_gateway_state": "absent"}}]
    world.play()
    return {"ways": ways, "left": world.each(lambda site: (site.run("ip rule"), table(site, 306), told(site)["state"]))}


def test_the_loss_of_one_carrier_is_none_of_the_other(world, site):
    done = world.once("lost", lambda: lose_second(world))
    assert done["ways"][site.stack] == ("eth1", "")
    rules, routes, state = done["left"][site.stack]
    assert "306" not in rules and "lookup 305" in rules and routes == "" and state == "ok"


# The end


def sysctls(site):
    """Those of IPv4, but for one that systemd-networkd and dhcpcd set; eth2 came later."""
    lines = site.run("sysctl -a 2>/dev/null | grep '^net.ipv4.conf'").splitlines()
    return [line for line in lines if ".promote_secondaries " not in line and ".eth2." not in line]


def give_back(world):
    world.each(lambda site: site.run(marked.STOP))
    world.roles = ROLES
    checked = world.play("--check", "--diff", tr069_gateway_state="absent")
    world.play(tr069_gateway_state="absent")
    return {"checked": checked, "again": world.play(tr069_gateway_state="absent")}


def test_absent_leaves_nothing(world, site):
    done = world.once("absent", lambda: give_back(world))
    assert changed(done["checked"], site) > 0 and changed(done["again"], site) == 0
    assert site.run("ip rule | grep -E '30[56]' || true") == ""
    assert table(site) == table(site, 306) == ""
    assert site.run("find / -xdev -name '*gateway-eth*' -o -xdev -name 'sitelink-gateway*'; ls /run/sitelink | "
                    "grep gateway || true") == ""  # fmt: skip
    assert sysctls(site) == world.once("applied", lambda: apply(world))["sysctl"][site.stack]
    plans = [json.loads(site.run(f"cat /etc/sitelink/nic-{nic}.json")) for nic in ("eth1", "eth2")]
    ours = {item["path"] for plan in plans for item in plan["files"]}
    left = {path for path in site.snapshot()["etc"].items() if path[0] not in ours}
    assert left == set(site.before["etc"].items())
