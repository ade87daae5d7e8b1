# SPDX-License-Identifier: GPL-3.0-or-later
"""The one valid underlay address of a NIC, or the reason why there is none."""

import ipaddress

from . import config, netlink


class NoAddress(Exception):
    """A sentence that names the reason and what to look at."""


def listed(items):
    """Networks or addresses as text."""
    return ", ".join(str(item) for item in items)


def select(interface, link, addresses, networks, links=()):
    """Return the one netlink.Address of a NIC that lies in the underlay. Raises NoAddress.

    link is None when the NIC does not exist; links then says which do. A link without carrier keeps its address:
    whether that counts is for check_carrier().
    """
    if link is None:
        others = listed(item.name for item in links if item.name != "lo") or "none"
        raise NoAddress("there is no NIC %s; this host has: %s" % (interface, others))
    if not link.up:
        raise NoAddress("%s is switched off (link down); switch it on with: ip link set %s up" % (interface, interface))
    unusable = netlink.SECONDARY | netlink.DEPRECATED | netlink.TENTATIVE
    usable = [item for item in addresses if not item.flags & unusable]
    valid = [item for item in usable if config.inside(item.address, networks)]
    if len(valid) == 1:
        return valid[0]
    if valid:
        raise NoAddress(
            "%s has %d underlay addresses (%s); it must have one, take away those that the carrier's DHCP did not give"
            % (interface, len(valid), listed(item.address for item in valid))
        )
    check_carrier(interface, link)
    if usable:
        raise NoAddress(
            "%s has %s, which is outside the underlay %s; the port of the ONT is bound to another network (桥接), "
            "or the carrier uses other prefixes and tr069_networks lacks them"
            % (interface, listed(item.address for item in usable), listed(networks))
        )
    raise NoAddress(
        "%s has no IPv4 address though its cable is plugged in; check that the TR069 bridge (桥接) of the ONT still "
        "exists and is bound to this port, and that the DHCP client of %s runs" % (interface, interface)
    )


def check_carrier(interface, link):
    """Raises NoAddress when nothing is plugged into the NIC."""
    if not link.carrier:
        raise NoAddress("%s has no carrier; plug its cable into the ONT, or check that the ONT is on" % interface)


def find(kernel, interface, networks):
    """Return (address, prefix length) of a NIC that is plugged in. Raises NoAddress."""
    link = kernel.link(interface)
    if link is None:
        select(interface, None, [], networks, kernel.links())
    found = select(interface, link, kernel.addresses(link.index), networks)
    check_carrier(interface, link)
    return found.address, found.prefixlen


def find6(interface, networks, path="/proc/net/if_inet6"):
    """Return the one stable IPv6 address of a NIC in the networks, as text. Raises NoAddress."""
    unusable = netlink.SECONDARY | netlink.DEPRECATED | netlink.TENTATIVE  # "secondary" is temporary (RFC 8981) here
    found = []
    try:
        with open(path) as file:
            for line in file:
                digits, _, _, _, flags, name = line.split()
                if name == interface and not int(flags, 16) & unusable:
                    found.append(ipaddress.IPv6Address(int(digits, 16)))
    except OSError:
        pass  # IPv6 is switched off
    valid = [item for item in found if any(item in network for network in networks)]
    if len(valid) == 1:
        return str(valid[0])
    if valid:
        raise NoAddress("%s has %d IPv6 addresses in %s (%s); one is needed" % (
            interface, len(valid), listed(networks), listed(sorted(valid))
        ))  # fmt: skip
    raise NoAddress("%s has no IPv6 address in %s" % (interface, listed(networks)))
