# SPDX-License-Identifier: GPL-3.0-or-later
"""The one valid underlay address of a NIC or of a peer, or the reason why there is none."""

import ipaddress

from . import config, netlink, state


class NoAddress(Exception):
    """A sentence that names the reason and what to look at. code: the same for `sitelink doctor`, one of its texts."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


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
        raise NoAddress("there is no NIC %s; this host has: %s" % (interface, others), "nic_missing")
    if not link.up:
        text = "%s is switched off (link down); switch it on with: ip link set %s up"
        raise NoAddress(text % (interface, interface), "nic_off")
    usable = [item for item in addresses if not item.flags & (netlink.SECONDARY | netlink.TENTATIVE)]
    valid = [item for item in usable if config.inside(item.address, networks)]
    # "Deprecated" is a word of IPv6: dhcpcd says so of every address whose lease is to be renewed, and it is good until its end.
    valid = [item for item in valid if not item.flags & netlink.DEPRECATED] or valid
    # One address may stand there twice, with an old and a new prefix length, while a DHCP client changes it: the newest is last.
    if len({item.address for item in valid}) == 1:
        _check_prefix(interface, valid[-1], networks)
        return valid[-1]
    if valid:
        raise NoAddress(
            "%s has %d underlay addresses (%s); it must have one, take away those that the carrier's DHCP did not give"
            % (interface, len(valid), listed(item.address for item in valid)),
            "lease_two",
        )
    check_carrier(interface, link)
    if usable:
        raise NoAddress(
            "%s has %s, which is outside the underlay %s; the port of the ONT is bound to another network (桥接), "
            "or the carrier uses other prefixes and tr069_networks lacks them"
            % (interface, listed(item.address for item in usable), listed(networks)),
            "lease_outside",
        )
    raise NoAddress(
        "%s has no IPv4 address though its cable is plugged in; check that the TR069 bridge (桥接) of the ONT still "
        "exists and is bound to this port, and that the DHCP client of %s runs" % (interface, interface),
        "dhcp_none",
    )


# RFC 1918 and 6598: a prefix of these leads nobody's way into the internet astray.
PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")


def _check_prefix(interface, found, networks):
    """Raises NoAddress where the prefix has more than the underlay, and so leads the way of others to the NIC."""
    prefix = ipaddress.IPv4Network("%s/%d" % (found.address, found.prefixlen), strict=False)
    known = ipaddress.collapse_addresses(list(networks) + [ipaddress.IPv4Network(item) for item in PRIVATE])
    if not any(config.within(prefix, network) for network in known):
        raise NoAddress(
            "%s has %s/%d, and its prefix %s reaches outside the underlay %s; the carrier's DHCP gave a wrong mask, or the port of "
            "the ONT is bound to another network (桥接), or tr069_networks lacks a part of %s"
            % (interface, found.address, found.prefixlen, prefix, listed(networks), prefix),
            "lease_wide",
        )


def check_carrier(interface, link):
    """Raises NoAddress when nothing is plugged into the NIC."""
    if not link.carrier:
        text = "%s has no carrier; plug its cable into the ONT, or check that the ONT is on"
        raise NoAddress(text % interface, "link_none")


def find(kernel, interface, networks):
    """Return (address, prefix length) of a NIC that is plugged in. Raises NoAddress."""
    link = kernel.link(interface)
    if link is None:
        select(interface, None, [], networks, kernel.links())
    found = select(interface, link, kernel.addresses(link.index), networks)
    check_carrier(interface, link)
    return found.address, found.prefixlen


def find_peer(name, networks):
    """Return the underlay address at which a peer is heard now, authenticated by its key. Raises NoAddress."""
    reason = "there is no mesh here"
    for interface in config.configured("mesh"):
        if not state.is_locked(config.run_path("mesh", interface, "lock")):
            reason = "the daemon sitelink-mesh@%s does not run" % interface
            continue
        peers = state.read_json(config.run_path("mesh", interface, "json")).get("peers") or {}
        reason = "it is not heard"
        for peer in peers.values():
            if peer.get("name") == name and peer.get("alive") and peer.get("endpoint"):
                host = peer["endpoint"].rpartition(":")[0]
                if ":" not in host and config.inside(host, networks):
                    return host
                reason = "it is heard at %s, which is outside the underlay %s" % (host, listed(networks))
    raise NoAddress("the address of the peer %s is not known: %s" % (name, reason), "peer_unknown")


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
        ), "lease_two")  # fmt: skip
    raise NoAddress("%s has no IPv6 address in %s" % (interface, listed(networks)), "dhcp_none")
