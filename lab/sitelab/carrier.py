# SPDX-License-Identifier: GPL-3.0-or-later
"""The carrier: one segment and one hostile DHCP and RA server per ONT, routed between each other."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Interface

from . import podman
from .podman import LIMIT, LabError, Nic
from .topology import GENERATIONS, Site, sites

NAME = "carrier"
# What the server calls so. Some clients cannot refuse it, and no site of the lab needs that address.
BROADCAST = "203.0.113.28"
LEASE = "2m"  # dnsmasq's shortest
FLAP = 1.0  # seconds without carrier; networkd asks at once then, unless it takes the MTU from DHCP (5 s)


def nics(count: int) -> list[Nic]:
    return [
        Nic(site.ont, site.ont, site.mac(4), (f"{site.advertised[1]}/{site.advertised.prefixlen}",))
        for site in sites(count)
    ]


def dnsmasq(site: Site, generation: int, router: IPv4Address | None = None) -> str:
    """A server that sends all that could harm a site, requested or not, by DHCP options and router advertisements.

    router: what it names as such, its own address otherwise.
    """
    network = site.underlay(generation)
    gateway, advertised = network[1], site.advertised[1]
    return f"""\
no-resolv
no-hosts
no-ping
port=0
interface={site.ont}
except-interface=lo
bind-interfaces
dhcp-authoritative
dhcp-leasefile=/run/{site.ont}.leases
dhcp-range={network[10]},{network[200]},{network.netmask},{LEASE}
dhcp-option-force=3,{router or gateway}
dhcp-option-force=6,{gateway}
dhcp-option-force=12,evilhost
dhcp-option-force=15,carrier.example
dhcp-option-force=26,1400
dhcp-option-force=28,{BROADCAST}
dhcp-option-force=33,203.0.113.7,{gateway}
dhcp-option-force=42,{network[9]}
dhcp-option-force=119,evil.example
dhcp-option-force=120,{gateway}
dhcp-option-force=121,0.0.0.0/0,{gateway},192.168.0.0/16,{gateway}
dhcp-option-force=249,0.0.0.0/0,{gateway}
enable-ra
ra-param={site.ont},mtu:1380,10,1800
dhcp-range={site.advertised.network_address},ra-only,64,1h
dhcp-option=option6:dns-server,[{advertised}]
dhcp-option=option6:domain-search,ra.evil.example
"""


def stop_script(site: Site) -> str:
    pid = f"/run/{site.ont}.pid"
    return f"""\
if [ -f {pid} ]; then
    kill $(cat {pid}) || true
    for _ in $(seq {LIMIT * 20}); do [ -d /proc/$(cat {pid}) ] || break; sleep 0.05; done
    rm -f {pid}
fi
"""


def serve_script(site: Site, generation: int, router: IPv4Address | None = None) -> str:
    """The server moves to this prefix, and knows nothing of earlier leases. router: another of its addresses, to be named."""
    network = site.underlay(generation)
    also = f"ip address add {router}/{network.prefixlen} dev {site.ont}\n" if router else ""
    return f"""\
{stop_script(site)}
rm -f /run/{site.ont}.leases
ip -4 address flush dev {site.ont}
ip address add {network[1]}/{network.prefixlen} dev {site.ont}
{also}cat > /run/{site.ont}.conf <<'END'
{dnsmasq(site, generation, router)}END
dnsmasq --conf-file=/run/{site.ont}.conf --pid-file=/run/{site.ont}.pid --log-facility=/var/log/{site.ont}.log --log-dhcp
"""


def start(count: int) -> None:
    """Serve generation 0 on every segment that has no server yet."""
    running = podman.execute(NAME, "cat /run/*.pid 2>/dev/null | wc -l; ls /run").stdout
    script = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n"
    for site in sites(count):
        if f"{site.ont}.pid" not in running.split():
            script += serve_script(site, 0)
    podman.execute(NAME, script)


def addresses(container: str, nic: str) -> list[IPv4Interface]:
    """IPv4 addresses of a container's NIC."""
    link = json.loads(podman.in_container(container, "ip", "-j", "-4", "address", "show", "dev", nic).stdout)
    return [
        IPv4Interface(f"{each['local']}/{each['prefixlen']}") for each in (link[0]["addr_info"] if link else [])
    ]  # fmt: skip


def generation(site: Site) -> int:
    """How often the segment was renumbered, modulo GENERATIONS, by the carrier's own address in it."""
    return site.generation(IPv4Address(addresses(NAME, site.ont)[0].ip))


def renumber(chosen: list[Site], natural: bool = False) -> dict[str, int]:
    """Move the segments to their next prefixes, all at once, and flap their cables unless `natural`.

    Without a flap clients keep the old address until their lease ends, a minute or more. Returns {site: generation}.
    """
    following = {site.name: (generation(site) + 1) % GENERATIONS for site in chosen}
    podman.execute(NAME, "".join(serve_script(site, following[site.name]) for site in chosen))
    if not natural:
        up = [site for site in chosen if plugged(site)]
        plug(up, False)
        time.sleep(FLAP)
        plug(up, True)
    return following


def plugged(site: Site) -> bool:
    """Is the site's underlay cable in?"""
    return "UP" in json.loads(podman.ip("-j", "link", "show", f"{site.name}.eth1").stdout)[0]["flags"]


def plug(chosen: list[Site], into: bool) -> None:
    """Plug the underlay cables of these sites in, or pull them: eth1 gains or loses its carrier."""
    lines = [f"link set {site.name}.eth1 {'up' if into else 'down'}" for site in chosen]
    podman.ip("-batch", "-", stdin="\n".join(lines) + "\n")


def wait_for_lease(chosen: list[Site], seconds: float) -> dict[str, float]:
    """Seconds until eth1 of each of these sites had an address of its segment's prefix. LabError after `seconds`."""
    began = time.monotonic()

    def one(site: Site) -> float:
        network = site.underlay(generation(site))
        while time.monotonic() - began < seconds:
            if any(each.ip in network for each in addresses(site.name, "eth1")):
                return time.monotonic() - began
            time.sleep(0.1)
        raise LabError(f"{site.name}: no address of {network} on eth1 within {seconds:.0f} s")

    with ThreadPoolExecutor(len(chosen)) as pool:
        return dict(zip([site.name for site in chosen], pool.map(one, chosen), strict=True))


def ends(site: Site) -> tuple[str, str]:
    """The two cables of the ONT link, in the lab's namespace: what goes to the site, and what comes from it."""
    return f"{site.name}.eth1", f"{NAME}.{site.ont}"


def shape(site: Site, bits: int | None) -> None:
    """Limit the ONT link to `bits` per second in each direction, or lift the limit."""
    podman.shape(ends(site), bits)


def rate(site: Site) -> int | None:
    """The ONT link's limit in bits per second, or None."""
    return podman.rate(ends(site)[0])


def parse_rate(text: str) -> int | None:
    """Bits per second of "100mbit", None of "off". ValueError otherwise."""
    if text == "off":
        return None
    found = re.fullmatch(r"(\d+)([kmg]?)bit", text)
    if not found or int(found[1]) == 0:
        raise ValueError(f"{text!r} is not a rate such as 100mbit, nor off")
    return int(found[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[found[2]]
