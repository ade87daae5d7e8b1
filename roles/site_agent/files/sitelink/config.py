# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are, and the configuration files that the roles render.

A run of the playbook that brings a site up to date starts the daemons with the new program before it writes their files: what an
earlier version did not write has a default here.
"""

import glob
import ipaddress
import json
import os
import re
from collections import namedtuple

ETC = "/etc/sitelink"
RUN = "/run/sitelink"
LIB = "/var/lib/sitelink"
WIREGUARD = "/etc/wireguard"
SYSTEM = "/etc/systemd/system"

IPV6_SWITCH = "/proc/sys/net/ipv6/conf/default/disable_ipv6"

# The origin (rtm_protocol) of the routes that sitelink makes, by which it knows its own again. Not taken by
# linux/rtnetlink.h or iproute2's rt_protos; chosen to be found easily beside mark 0x131.
PROTOCOL = 131

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
HOST_NAME = re.compile(r"(?=.{1,253}\Z)%s(\.%s)*\.?" % (_LABEL, _LABEL))  # no leading "-": it becomes an argument
INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")  # IFNAMSIZ; no slash, so that it can be part of a file's name

# gateway: FIRST_HOST, LEASE or an address
FIRST_HOST, LEASE = "first_host", "lease"
GatewayConfig = namedtuple("GatewayConfig", "interface networks table fwmark priority gateway")
MeshConfig = namedtuple(
    "MeshConfig",
    "mesh site interface underlay_interface networks port fwmark mtu keepalive addresses lan_subnets public_key peers"
    " uplink exit exit_for at_once",
)
MeshConfig.__new__.__defaults__ = ("", None, (), False)
# endpoint: (host, port) or None; seeds: "ip:port" texts; external: whether it is none of the sites, but a phone or the like;
# at_once: whether its old key must not be used any more once it has a new one
MeshPeer = namedtuple("MeshPeer", "name public_key address allowed_ips endpoint seeds external at_once")
MeshPeer.__new__.__defaults__ = (False,)

# The use of another site's internet. when: BROADBAND_DOWN or ALWAYS; sites: names of peers, the preferred one first;
# targets: addresses that answer echo requests; return_after: seconds that the broadband has to work before it is used again
BROADBAND_DOWN, ALWAYS = "broadband_down", "always"
ExitConfig = namedtuple("ExitConfig", "when sites targets resolvers return_after table priority")

# guests: the prefixes of the sites that use this one's broadband, by uplink; adapt: the other firewalls in which the daemon opens what the mesh needs
FirewallConfig = namedtuple("FirewallConfig", "interface mesh_interface lan_subnets adapt uplink guests")
FirewallConfig.__new__.__defaults__ = ("", ())


class ConfigError(Exception):
    """A sentence for the operator."""


def gateway_path(interface):
    return os.path.join(ETC, "gateway-%s.json" % interface)


def mesh_path(interface):
    return os.path.join(ETC, "mesh-%s.json" % interface)


def firewall_path(interface, suffix="json"):
    return os.path.join(ETC, "firewall-%s.%s" % (interface, suffix))


def wireguard_path(interface):
    return os.path.join(WIREGUARD, interface + ".conf")


def run_path(kind, interface, suffix):
    return os.path.join(RUN, "%s-%s.%s" % (kind, interface, suffix))


def lib_path(kind, interface, suffix):
    return os.path.join(LIB, "%s-%s.%s" % (kind, interface, suffix))


def configured(kind):
    """The interfaces that have a configuration of a kind ("gateway", "firewall" or "mesh"), sorted."""
    paths = glob.glob(os.path.join(ETC, kind + "-*.json"))
    return sorted(os.path.basename(path)[len(kind) + 1 : -len(".json")] for path in paths)


def networks(values):
    """Parse IPv4 prefixes. Raises ConfigError."""
    try:
        result = [ipaddress.IPv4Network(value) for value in values]
    except (ValueError, TypeError):
        raise ConfigError("%r is not a list of IPv4 networks such as 10.0.0.0/7" % (values,)) from None
    if not result:
        raise ConfigError("the list of underlay networks is empty")
    return result


def networks6(values):
    """Parse IPv6 prefixes; all global addresses when there are none. Raises ConfigError."""
    try:
        return [ipaddress.IPv6Network(value) for value in values or ["2000::/3"]]
    except (ValueError, TypeError):
        raise ConfigError("%r is not a list of IPv6 networks such as 2000::/3" % (values,)) from None


def inside(address, nets):
    """Whether an IPv4 address (text) lies in one of the networks."""
    address = ipaddress.IPv4Address(address)
    return any(address in net for net in nets)


def within(network, outer):
    """Whether a network is part of another (IPv4Network.subnet_of of Python 3.7)."""
    return network.prefixlen >= outer.prefixlen and network.network_address in outer


def probe_addresses(network):
    """Addresses of an underlay network to ask the kernel about, the last ones, since the first is often in use: of some, one may be the
    site's own."""
    if network.prefixlen > 30:
        return [str(item) for item in network]
    return [str(network[number]) for number in (-2, -3, 1, network.num_addresses // 2 + 1)[: network.num_addresses - 2]]


def probe_address(network):
    """The first of them."""
    return probe_addresses(network)[0]


def load_gateway(interface, path=None):
    """Read gateway-<interface>.json, or another file of that form. Raises ConfigError."""
    path = path or gateway_path(interface)
    with reading(path) as data:
        gateway = data["gateway"]
        if gateway not in (FIRST_HOST, LEASE):
            try:
                gateway = str(ipaddress.IPv4Address(gateway))
            except ValueError:
                raise ConfigError("gateway must be first_host, lease or an IPv4 address, not %r" % gateway) from None
        return GatewayConfig(
            interface=_same(data["interface"], interface),
            networks=networks(data["networks"]),
            table=_table(data),
            fwmark=_number(data, "fwmark", 1, 0xFFFFFFFF),
            priority=_number(data, "priority", 1, 32765),
            gateway=gateway,
        )


def load_mesh(interface, path=None):
    """Read mesh-<interface>.json, or another file of that form. Raises ConfigError."""
    path = path or mesh_path(interface)
    with reading(path) as data:
        peers = [
            MeshPeer(
                name=str(peer["name"]),
                public_key=str(peer["public_key"]),
                address=str(ipaddress.IPv4Address(peer["address"])),
                allowed_ips=[str(ipaddress.ip_network(item)) for item in peer["allowed_ips"]],
                endpoint=_endpoint(peer["endpoint"]),
                seeds=["%s:%d" % (ipaddress.IPv4Address(host), port) for host, port in map(_endpoint, peer.get("seeds") or [])],
                external=bool(peer.get("external")),
                at_once=bool(peer.get("at_once")),
            )
            for peer in data["peers"]
        ]
        return MeshConfig(
            mesh=str(data["mesh"]),
            site=str(data["site"]),
            interface=_same(data["interface"], interface),
            underlay_interface=str(data["underlay_interface"]),
            networks=networks(data["networks"]),
            port=_number(data, "port", 1, 65535),
            fwmark=_number(data, "fwmark", 0, 0xFFFFFFFF),
            mtu=_number(data, "mtu", 576, 65535),
            keepalive=_number(data, "keepalive", 1, 65535),
            addresses=_addresses(data["addresses"]),
            lan_subnets=[str(ipaddress.IPv4Network(item)) for item in data["lan_subnets"]],
            public_key=str(data["public_key"]),
            peers=peers,
            uplink=str(data.get("uplink") or ""),
            exit=_exit(data["exit"]) if data.get("exit") else None,
            exit_for=tuple(str(item) for item in data.get("exit_for") or ()),
            at_once=bool(data.get("at_once")),
        )


def _exit(data):
    if data["when"] not in (BROADBAND_DOWN, ALWAYS):
        raise ValueError("when must be broadband_down or always, not %r" % (data["when"],))
    return ExitConfig(
        when=data["when"],
        sites=[str(item) for item in data["sites"]],
        targets=[str(ipaddress.IPv4Address(item)) for item in data["targets"]],
        resolvers=[str(ipaddress.IPv4Address(item)) for item in data["resolvers"]],
        return_after=_number(data, "return_after", 1, 86400),
        table=_table(data),
        priority=_number(data, "priority", 1, 32764),
    )


def _addresses(values):
    """Overlay addresses with their prefix lengths, that of IPv4 first: peers know this site by it."""
    found = [ipaddress.ip_interface(item) for item in values]
    if found and found[0].version != 4:
        raise ValueError("the first of the addresses must be an IPv4 address")
    return [str(item) for item in found]


def load_firewall(interface):
    """Read firewall-<interface>.json. Raises ConfigError."""
    with reading(firewall_path(interface)) as data:
        return FirewallConfig(
            interface=_same(data["interface"], interface),
            mesh_interface=str(data["mesh_interface"]),
            lan_subnets=[str(ipaddress.ip_network(item)) for item in data["lan_subnets"]],
            adapt=[str(item) for item in data["adapt"]],
            uplink=str(data.get("uplink") or ""),
            guests=[str(ipaddress.IPv4Network(item)) for item in data.get("guests") or []],
        )


class reading:
    """Opens a JSON object; turns whatever is wrong with it into a ConfigError that names the file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                data = json.load(file)
        except OSError as error:
            raise ConfigError("%s cannot be read: %s" % (self.path, error.strerror)) from None
        except ValueError as error:
            raise ConfigError("%s is not JSON: %s" % (self.path, error)) from None
        if not isinstance(data, dict):
            raise ConfigError("%s does not hold a JSON object" % self.path)
        return data

    def __exit__(self, kind, error, traceback):
        if kind is KeyError:
            raise ConfigError("%s lacks the key %s" % (self.path, error)) from None
        if kind is not None and issubclass(kind, (ValueError, TypeError, ConfigError)):
            raise ConfigError("%s: %s" % (self.path, error)) from None
        return False


def _number(data, key, low, high):
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError("%s must be a whole number from %d to %d" % (key, low, high))
    return value


def _table(data):
    table = _number(data, "table", 1, 0xFFFFFFFF)
    if table in (253, 254, 255):
        raise ValueError("table must be another than 253 to 255, which are the system's own (default, main, local)")
    return table


def _same(value, interface):
    if value != interface:
        raise ValueError("it is about the interface %r" % (value,))
    return value


def _endpoint(value):
    if value is None:
        return None
    host = str(value["host"])
    if not HOST_NAME.fullmatch(host):
        raise ValueError("%r is neither a host name nor an IPv4 address" % host)
    return host, _number(value, "port", 1, 65535)
