# SPDX-License-Identifier: GPL-3.0-or-later
"""What the underlay's DHCP server said, from what the site's DHCP client keeps: the routers and the DNS servers.

Neither becomes the system's. A router may be the gateway (tr069_gateway_source: lease); the DNS servers are asked for dead
peers. A lease counts only while the NIC has its address, so that no file of a client that is not in use any more does.
"""

import collections
import glob
import ipaddress
import os
import re
import subprocess

from . import log

LIMIT = 3
ROOT = ""  # tests put another directory in front
NETWORKD = (
    "/run/systemd/netif/leases/%d"  # by interface index; ROUTER= and DNS= are there whether networkd uses them or not
)
# Its own client's, by interface index. It is written just before the address is set, with every renewal too.
NETWORKMANAGER = "/run/NetworkManager/devices/%d"
FILES = (
    "/var/lib/dhcp/dhclient.%s.leases",  # Debian
    "/var/lib/dhclient/dhclient*-%s.lease*",  # Enterprise Linux
    "/var/lib/NetworkManager/*-%s.lease",  # with dhclient; of its own client only the address since 1.20
    "/var/lib/dhcpcd*/%s.lease",
    "/var/lib/dhcpcd*/dhcpcd-%s.lease",  # before dhcpcd 8
)
NETWORKMANAGER_RUNS = "/run/NetworkManager"  # the releases whose file has no options have to be asked
NMCLI_SECONDS = 2
FORGOTTEN_SECONDS = 10  # that networkd may take from a lease to its address
BEHIND_ALL = 4096  # metric, as that of the role nic_dhcp: the LAN may have the prefix of the lease

Lease = collections.namedtuple("Lease", "address routers dns")

_COOKIE = b"\x63\x82\x53\x63"  # RFC 2131: what options begin with, at 236
_SUBNET_ROUTERS, _SERVERS, _PAD, _END = 3, 6, 0, 255


def dns_servers(kernel, interface):
    """IPv4 addresses of the lease's DNS servers; empty where there are none or the DHCP client keeps none in a file."""
    link = kernel.link(interface)
    if link is None:
        return []
    found = current(link, [item.address for item in kernel.addresses(link.index)])
    return found.dns if found else []


def current(link, addresses, ask=False):
    """The Lease of one of these addresses of a NIC that names any server, or None.

    ask: also NetworkManager where no file says it, which takes some 50 ms.
    """
    for text in _texts(link, ask):
        found = parse(text)
        if found is not None and found.address in addresses and (found.routers or found.dns):
            return found
    return None


def forgotten(link):
    """The (address, prefix length) that networkd has leased for a NIC, or None; where that NIC has no address, networkd has lost it."""
    try:
        with open(ROOT + NETWORKD % link.index, "rb") as file:
            data = file.read()
    except OSError:
        return None
    found, mask = parse(data), re.search(rb"(?m)^NETMASK=([0-9.]+)$", data)
    try:
        return (found.address, ipaddress.IPv4Network("0.0.0.0/" + mask.group(1).decode()).prefixlen) if found and mask else None
    except ValueError:
        return None


def lost(kernel, link):
    """The (address, prefix length) that networkd holds to be on a NIC which has none; else None."""
    if link is None or not link.carrier or kernel.addresses(link.index):
        return None
    return forgotten(link)


def set_free(kernel, interface):
    """Let networkd set the address of a lease that it waits with for ever. Returns whether there was one.

    networkd (252 and 253, src/network/networkd-address.c) that is told to configure a NIC anew before it set the leased address
    (netplan apply tells it twice at once) waits for the kernel to say that this address is gone, which it never was: neither a
    renewal nor another reconfiguration nor the cable brings it back. Where it is set and deleted once, the kernel says so.
    """
    link = kernel.link(interface)
    found = lost(kernel, link)
    if found is None:
        return False
    try:
        kernel.add_address(link.index, found[0], found[1], BEHIND_ALL)
        kernel.delete_address(link.index, *found)
    except OSError as error:
        log.log(log.WARNING, "the kernel refused to set %s: %s" % (found[0], error.strerror))
    return True


def _texts(link, ask):
    paths = [ROOT + NETWORKD % link.index, ROOT + NETWORKMANAGER % link.index]
    for pattern in FILES:
        paths += glob.glob(ROOT + pattern % glob.escape(link.name))
    for path in paths:
        try:
            with open(path, "rb") as file:
                yield file.read()
        except OSError:
            continue
    if ask and os.path.isdir(ROOT + NETWORKMANAGER_RUNS):
        try:
            yield subprocess.run(
                ["nmcli", "-f", "DHCP4", "device", "show", link.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=NMCLI_SECONDS,
                env=dict(os.environ, LC_ALL="C"),
            ).stdout
        except (OSError, subprocess.SubprocessError):
            pass


def parse(data):
    """The Lease in a file of networkd or NetworkManager, the last one in dhclient's, that in dhcpcd's (the server's message
    itself), or in what nmcli says; None when there is none."""
    if data[236:240] == _COOKIE:
        address = ".".join(str(byte) for byte in data[16:20])
        options = _options(data[240:])
        words = [address], _packed(options.get(_SUBNET_ROUTERS, b"")), _packed(options.get(_SERVERS, b""))
    else:
        # Of dhclient's leases the last one is in force.
        text = data.decode(errors="replace").rpartition("lease {")[2]
        words = (
            _words(text, "ADDRESS=", "fixed-address ", "ip_address = ", "dhcp4.ip_address="),
            _words(text, "ROUTER=", "option routers ", "routers = ", "dhcp4.routers="),
            _words(
                text, "DNS=", "option domain-name-servers ", "domain_name_servers = ", "dhcp4.domain_name_servers="
            ),
        )
    addresses, routers, servers = (_hosts(found) for found in words)
    return Lease(addresses[0], routers, servers) if addresses else None


def _words(text, *keys):
    pattern = r"(?m)^(?:DHCP4\.OPTION\[\d+\]:)?\s*(?:%s)(.*)$" % "|".join(re.escape(key) for key in keys)
    found = re.findall(pattern, text)
    return re.split(r"[\s,;]+", found[-1]) if found else []


def _hosts(words):
    """Those that can be a host's IPv4 address, each once."""
    found = []
    for word in words:
        try:
            address = ipaddress.IPv4Address(word)
        except ValueError:
            continue
        if usable(address) and str(address) not in found:
            found.append(str(address))
    return found[:LIMIT]


def usable(address):
    """Whether an IPv4Address can be a host's."""
    this_network = int(address) < 1 << 24  # 0.0.0.0/8
    return not (this_network or address.is_loopback or address.is_multicast or address.is_reserved)


def _options(data):
    """{code: value} of DHCP options; a code that comes twice is continued (RFC 3396). Ends where the data do."""
    found, offset = {}, 0
    while offset < len(data) and data[offset] != _END:
        if data[offset] == _PAD:
            offset += 1
            continue
        length = data[offset + 1] if offset + 1 < len(data) else 0
        found[data[offset]] = found.get(data[offset], b"") + data[offset + 2 : offset + 2 + length]
        offset += 2 + length
    return found


def _packed(value):
    return [".".join(str(byte) for byte in value[start : start + 4]) for start in range(0, len(value) - 3, 4)]
