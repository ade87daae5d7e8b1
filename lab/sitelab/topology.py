# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses of the lab. Pure data, nothing here touches the machine."""

import os
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from string import ascii_lowercase

# Several checkouts may each have a lab at the same time, by different names; all of them use the same addresses.
NAME = os.environ.get("SITELINK_LAB", "sitelink")
NETNS = f"{NAME}-lab"
PREFIX = f"{NAME}-"
MAX_SITES = len(ascii_lowercase)
DEFAULT_SITES = 3

ZONE = "lab.test"
ZONE_MINIMUM = 5  # seconds a resolver may remember that a name does not exist
AUTHORITATIVE = IPv4Address("198.18.0.53")
RESOLVER = IPv4Address("198.18.0.8")
API = IPv4Address("198.18.0.80")
PACKAGES = IPv4Address("198.18.0.82")
PACKAGES_NAME = f"packages.{ZONE}"
API_NAMES = {"cloudflare": f"cloudflare.api.{ZONE}", "alidns": f"alidns.api.{ZONE}"}
CLOUDFLARE_TOKEN = "lab-cloudflare-token-0001"
ALIDNS_KEYS = {"LTAI-lab-0001": "lab-alidns-secret-0001"}

WIREGUARD_PORT = 22000
GENERATIONS = 16  # underlay prefixes per segment, used in turn


@dataclass(frozen=True)
class Site:
    """A site by its index (1 is site-a), with its home network (eth0) and its ONT segment (eth1)."""

    index: int

    @property
    def letter(self) -> str:
        return ascii_lowercase[self.index - 1]

    @property
    def name(self) -> str:
        return f"site-{self.letter}"

    @property
    def lan(self) -> str:
        return f"lan-{self.letter}"

    @property
    def home(self) -> str:
        """Name of the home network, and of the router's NIC in it."""
        return f"home-{self.letter}"

    @property
    def ont(self) -> str:
        """Name of the ONT segment, and of the carrier's NIC in it."""
        return f"ont-{self.letter}"

    @cached_property
    def home_network(self) -> IPv4Network:
        if self.index == 2:  # in 10/8 on purpose, as many Chinese LANs are
            return IPv4Network("10.66.2.0/24")
        third = 111 if self.index == 11 else self.index  # 192.168.11.0/24 is the inventories' overlay
        return IPv4Network(f"192.168.{third}.0/24")

    @property
    def router(self) -> IPv4Address:
        return self.home_network[1]

    @property
    def address(self) -> IPv4Address:
        return self.home_network[2]

    @property
    def lan_host(self) -> IPv4Address:
        return self.home_network[10]

    @property
    def controller(self) -> IPv4Address:
        """Where Ansible sits in this home network: on the bridge itself."""
        return self.home_network[254]

    def underlay(self, generation: int) -> IPv4Network:
        """The segment's prefix after so many renumberings; no two of any site and generation overlap."""
        step = generation % GENERATIONS
        if self.index == 1:
            return IPv4Network(f"10.{23 + step}.{(64 + 32 * step) % 256}.0/20")
        if self.index == 2:
            return IPv4Network(f"10.{140 + step}.16.0/21")
        if self.index == 3:
            return IPv4Network(f"11.{34 + step}.128.0/19")
        return IPv4Network(f"10.{172 + self.index}.{4 * step}.0/22")

    def generation(self, gateway: IPv4Address) -> int:
        """The generation whose first host is `gateway`. ValueError when there is none."""
        return [self.underlay(step)[1] for step in range(GENERATIONS)].index(gateway)

    @property
    def advertised(self) -> IPv6Network:
        """The prefix of the carrier's router advertisements, which no site should take."""
        return IPv6Network(f"fd77:{self.index:x}::/64")

    def mac(self, role: int) -> str:
        """A locally administered MAC that survives a reboot. Roles: 0 and 1 eth0 and eth1, 2 LAN host, 3 router, 4 carrier."""
        return f"02:69:{role:02x}:00:00:{self.index:02x}"


def sites(count: int) -> list[Site]:
    return [Site(index) for index in range(1, count + 1)]


def site(name: str, count: int) -> Site:
    """The site called `site-b`, or `b`. ValueError when the lab of `count` sites has none of that name."""
    for candidate in sites(count):
        if name in (candidate.name, candidate.letter):
            return candidate
    raise ValueError(f"no site {name!r}: the lab has {', '.join(each.name for each in sites(count))}")


def networks() -> list[IPv4Network | IPv6Network]:
    """Everything the lab could ever have an address or a route in."""
    found: list[IPv4Network | IPv6Network] = [IPv4Network("198.18.0.0/15"), IPv4Network("192.168.11.0/24")]
    for each in sites(MAX_SITES):
        found += [each.home_network, each.advertised]
        found += [each.underlay(step) for step in range(GENERATIONS)]
    return found
