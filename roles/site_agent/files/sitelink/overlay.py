# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay interface as it should be: keys, peers, addresses, MTU and routes, brought about by differences only."""

import errno
import ipaddress
import os
import re
import socket
import sys

from . import config, log, netlink, wg

INTERNET = "0.0.0.0/0"
OVERHEAD_IPV4 = 60  # bytes that WireGuard adds to a packet on IPv4
# Bridges that programs make for themselves: Docker, libvirt, LXC, podman, CNI.
VIRTUAL = re.compile(r"docker\d|br-[0-9a-f]{12}|virbr\d|lxc|lxd|podman\d|cni|flannel")


def load_conf(plan, exit_address=None):
    """wg0.conf, when it belongs to the plan. Raises wg.ConfError and wg.WgError.

    exit_address: the overlay address of the peer that the internet is reached through now, which no file says.
    """
    conf = wg.load_conf(config.wireguard_path(plan.interface))
    # between two files of a running play, or an edit by hand: to apply half of it could cut off every peer
    same_peers = set(conf.peers) == {peer.public_key for peer in plan.peers}
    if not same_peers or wg.public_key(conf.private_key) != plan.public_key:
        raise wg.ConfError(
            "%s and %s name different %s; run the playbook again"
            % (
                config.wireguard_path(plan.interface),
                config.mesh_path(plan.interface),
                "keys of this site" if same_peers else "peers",
            )
        )
    for peer in plan.peers:
        if peer.address == exit_address:
            conf.peers[peer.public_key].allowed_ips |= {INTERNET}
    return conf


def drift(kernel, plan, link, handover, exit_address=None):
    """In which respects the running interface is not what the files say; a list of words. Changes nothing.

    Raises wg.ConfError, wg.WgError and OSError.
    """
    conf = load_conf(plan, exit_address)
    device = wg.show(plan.interface)
    handover.settle(plan, conf, device)
    cfg = handover.plan_in_use(plan)
    found = wg.differences(handover.conf_in_use(plan, conf), device)
    if conf.mtu is not None and link.mtu != conf.mtu:
        found.append("MTU")
    if any(address_changes(conf.addresses, kernel.overlay_addresses(link.index))):
        found.append("addresses")
    connected, underlay_index = _connected(kernel, cfg, link.index)
    present = kernel.routes(netlink.MAIN_TABLE, oif=link.index)
    wanted = {
        str(network)
        for network in wanted_prefixes(cfg, conf.addresses)
        if conflict(network, connected, underlay_index) is None
    }
    if not wanted <= {route.dst for route in present} or any(
        route.protocol == config.PROTOCOL and route.dst not in wanted for route in present
    ):
        found.append("routes")
    return found


def reconcile(kernel, plan, link, handover, exit_address=None):
    """Bring a WireGuard link that is up to its configuration, with the keys that are in use.

    Returns (faults, peer_faults, conf): sentences about the interface, {public key: sentence}, and wg0.conf or None. Raises
    wg.WgError and OSError when the device cannot be read.
    """
    faults, peer_faults = [], {}
    try:
        files = load_conf(plan, exit_address)
    except wg.ConfError as error:
        return [str(error)], peer_faults, None
    if files.table != "off":
        faults.append(
            "%s says Table = %s instead of off, so wg-quick may put routes of its own beside those of this site; run the "
            "playbook again" % (config.wireguard_path(plan.interface), files.table)
        )
    device = wg.show(plan.interface)
    handover.settle(plan, files, device)
    cfg, conf = handover.plan_in_use(plan), handover.conf_in_use(plan, files)
    changed = wg.differences(conf, device)
    if changed:
        log.log(log.INFO, "%s: applying changed %s" % (cfg.interface, ", ".join(changed)))
        wg.apply(cfg.interface, conf, device)
    # The one does not wait for the other: an address of IPv6 that is refused is no matter of the routes to the LANs.
    for change in (lambda: _link(kernel, link, conf), lambda: _routes(kernel, cfg, conf, link, faults, peer_faults)):
        try:
            change()
        except OSError as error:
            faults.append("the kernel refused a change of %s: %s" % (cfg.interface, error.strerror))
    return faults, peer_faults, files


def address_changes(wanted, present):
    """What to add and what to delete: two lists of (address, prefix length). wanted: "192.168.11.1/24" texts."""
    interfaces = [ipaddress.ip_interface(item) for item in wanted]
    wanted = [(str(item.ip), item.network.prefixlen) for item in interfaces]
    present = [(item.address, item.prefixlen) for item in present]
    return [item for item in wanted if item not in present], [item for item in present if item not in wanted]


def wanted_prefixes(cfg, addresses):
    """{prefix: peer} of what lies behind peers and not in the overlay's own prefix, which is connected already.

    Of IPv6 there is nothing else: LANs are reached by IPv4.
    0.0.0.0/0 is no matter of the main table: WireGuard may carry it, but who uses it has a table of its own.
    """
    connected = [ipaddress.ip_interface(item).network for item in addresses]
    found = {}
    for peer in cfg.peers:
        for item in peer.allowed_ips:
            network = ipaddress.ip_network(item)
            if network.version != 4 or network.prefixlen == 0:
                continue
            if not any(net.version == 4 and config.within(network, net) for net in connected) and network not in found:
                found[network] = peer
    return found


def conflict(network, connected, underlay_index):
    """The connected route that forbids a route to network, or None.

    A prefix inside a network that this host is connected to would take part of it away, the operator's own way in
    perhaps; with the underlay's leased prefix any overlap is refused. connected: Routes of the kernel's own making.
    """
    for route in connected:
        own = ipaddress.IPv4Network(route.dst)
        if config.within(network, own) or (route.oif == underlay_index and network.overlaps(own)):
            return route
    return None


def warnings(kernel, cfg):
    """What works, but is probably not meant: a LAN that a virtual network of this site has as well; a list of sentences."""
    names = {item.index: item.name for item in kernel.links()}
    found = []
    for route in _connected_routes(kernel):
        name = names.get(route.oif, "")
        if not VIRTUAL.match(name):
            continue
        for subnet in cfg.lan_subnets:
            if ipaddress.IPv4Network(subnet).overlaps(ipaddress.IPv4Network(route.dst)):
                found.append(
                    "%s: wireguard_mesh_lan_subnets holds %s, which overlaps %s of %s on the site itself: what comes from the "
                    "mesh goes there and not to the LAN. Give one of the two another network"
                    % (cfg.site, subnet, route.dst, name)
                )
    return found


def refusals(kernel, cfg):
    """Why this plan does not fit the networks that the site is connected to now; a list of sentences."""
    link = kernel.link(cfg.interface)
    connected, underlay_index = _connected(kernel, cfg, link.index if link else None)
    found = ["%s: %s" % (cfg.site, fault) for fault in _lan_faults(cfg, connected, underlay_index)]
    if len(cfg.addresses) > 1 and not ipv6_possible():
        found.append(
            "%s: wireguard_mesh_network6: IPv6 is switched off on this site (net.ipv6.conf.default.disable_ipv6), and %s would not "
            "come up; switch it on there, or leave wireguard_mesh_network6 out" % (cfg.site, cfg.interface)
        )
    underlay = kernel.link(cfg.underlay_interface)
    if underlay is not None and underlay.mtu < cfg.mtu + OVERHEAD_IPV4:
        found.append(
            "%s: wireguard_mesh_underlay_mtu: %s has an MTU of %d, into which the overlay's %d does not fit; write %d there"
            % (cfg.site, cfg.underlay_interface, underlay.mtu, cfg.mtu, underlay.mtu)
        )
    leased = [route for route in connected if route.oif == underlay_index]
    for network, peer in wanted_prefixes(cfg, cfg.addresses).items():
        blocking = conflict(network, leased, underlay_index)
        if blocking is not None:
            found.append("%s: %s (wireguard_mesh_lan_subnets): %s" % (cfg.site, peer.name, _blocked(network, blocking)))
    return found + overlaps(kernel, cfg)


def overlaps(kernel, cfg):
    """What the site is connected to, declared or not, and the mesh would take away: the firewall drops the addresses of the
    overlay on every other NIC. The underlay NIC, which may not be configured yet, does not count. A list of sentences.
    """
    link = kernel.link(cfg.interface)
    connected, underlay_index = _connected(kernel, cfg, link.index if link else None)
    names = {item.index: item.name for item in kernel.links()}
    # The mesh may have had another interface before, which goes.
    own = set(config.configured("mesh"))
    others = [route for route in connected if route.oif != underlay_index and names.get(route.oif) not in own]
    found = []
    for item in cfg.addresses:
        overlay = ipaddress.ip_interface(item).network
        for route in others if overlay.version == 4 else ():
            if overlay.overlaps(ipaddress.IPv4Network(route.dst)):
                found.append(
                    "%s: wireguard_mesh_network: the overlay %s overlaps %s, to which this site is connected by %s, and would cut it "
                    "off; write another prefix in group_vars/all, one that no LAN and no virtual network of a site has, and addresses "
                    "of it in the host_vars of all sites"
                    % (cfg.site, overlay, route.dst, names.get(route.oif, "a NIC"))
                )
    for network, peer in wanted_prefixes(cfg, cfg.addresses).items():
        real = [route for route in others if not VIRTUAL.match(names.get(route.oif, ""))]
        blocking = conflict(network, others, None) or next(
            (route for route in real if network.overlaps(ipaddress.IPv4Network(route.dst))), None
        )
        if blocking is not None:
            found.append("%s: %s (wireguard_mesh_lan_subnets): %s" % (cfg.site, peer.name, _blocked(network, blocking)))
    return found + _way_in(kernel, cfg, others, own, names)


def _way_in(kernel, cfg, others, own, names):
    """Who runs this from behind a router, with an address that will be the mesh's, would not be answered any more."""
    client = come_from()
    if client is None or any(client in ipaddress.IPv4Network(route.dst) for route in others):
        return []
    route = kernel.lookup(str(client))
    if route is not None and names.get(route.oif) in own | {cfg.interface}:  # through the mesh
        return []
    for item in cfg.addresses:
        overlay = ipaddress.ip_interface(item).network
        if overlay.version == 4 and client in overlay:
            return [
                "%s: wireguard_mesh_network: this run comes from %s, which is in the overlay %s, and would be cut off; write another "
                "prefix in group_vars/all, in which no computer is that manages a site, and addresses of it in the host_vars of all "
                "sites" % (cfg.site, client, overlay)
            ]
    for network, peer in wanted_prefixes(cfg, cfg.addresses).items():
        if client in network:
            return [
                "%s: %s (wireguard_mesh_lan_subnets): this run comes from %s, which is in %s behind that site, but not through the mesh, "
                "and would be cut off; take that network out, or run it from another computer"
                % (cfg.site, peer.name, client, network)
            ]
    return []


def _is_connected(client, port):
    """Whether that connection is still there: what was begun within it may live longer."""
    other = "%08X:%04X" % (socket.htonl(int(client)) if sys.byteorder == "little" else int(client), port)
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):  # sshd listens on both kinds by one socket
        try:
            with open(path) as file:
                if any(line.split()[2][-len(other) :] == other for line in file):
                    return True
        except OSError:
            pass
    return False


def come_from():
    """The IPv4Address from which somebody came by SSH to run this, or None. sudo takes it out of the environment, not out of that of
    its parents."""
    process = str(os.getpid())
    try:
        while process not in ("", "0", "1"):
            with open("/proc/%s/environ" % process, "rb") as file:
                found = re.search(rb"(?:^|\0)SSH_CONNECTION=(\S+) (\d+) ", file.read())
            if found:
                client = ipaddress.IPv4Address(found.group(1).decode())
                return client if _is_connected(client, int(found.group(2))) else None
            with open("/proc/%s/status" % process) as file:
                process = re.search(r"(?m)^PPid:\s*(\d+)", file.read()).group(1)
    except (OSError, ValueError, AttributeError):  # not root; IPv6; it has ended
        pass
    return None


def ipv6_possible():
    """Whether a new interface can have IPv6 addresses."""
    try:
        with open(config.IPV6_SWITCH) as file:
            return file.read().strip() == "0"
    except OSError:
        return False


def _connected(kernel, cfg, own_index):
    """The connected routes of the other interfaces, and the index of the underlay NIC or None."""
    underlay = kernel.link(cfg.underlay_interface)
    connected = [route for route in _connected_routes(kernel) if route.type == netlink.UNICAST and route.oif != own_index]
    return connected, underlay.index if underlay else None


def _connected_routes(kernel):
    """The routes of the main table that come with an address, by origin: the table may hold thousands of others.

    dhcpcd makes them itself; networkd's route to a single DHCP server looks alike but for its length.
    """
    made = kernel.routes(netlink.MAIN_TABLE, protocol=netlink.PROTOCOL_KERNEL)
    leased = kernel.routes(netlink.MAIN_TABLE, protocol=netlink.PROTOCOL_DHCP)
    return made + [
        route
        for route in leased
        if route.scope == netlink.SCOPE_LINK and route.gateway is None and 0 < ipaddress.IPv4Network(route.dst).prefixlen < 32
    ]


def _lan_faults(cfg, connected, underlay_index):
    leased = [route.dst for route in connected if route.oif == underlay_index]
    return [
        "its LAN %s (wireguard_mesh_lan_subnets) overlaps %s, the prefix that the carrier gave %s now; give the LAN "
        "another prefix" % (subnet, prefix, cfg.underlay_interface)
        for subnet in cfg.lan_subnets
        for prefix in leased
        if ipaddress.IPv4Network(subnet).overlaps(ipaddress.IPv4Network(prefix))
    ]


def _blocked(network, blocking):
    return "its LAN %s overlaps %s, to which this site is connected directly; one of the two needs another prefix" % (
        network, blocking.dst
    )  # fmt: skip


def _link(kernel, link, conf):
    if conf.mtu is not None and link.mtu != conf.mtu:
        kernel.set_mtu(link.index, conf.mtu)
        log.log(log.INFO, "%s: MTU is now %d" % (link.name, conf.mtu))
    for _ in range(2):  # with a primary address the kernel may drop its secondaries, which may be the new ones
        added, deleted = address_changes(conf.addresses, kernel.overlay_addresses(link.index))
        for address, prefixlen in added:
            kernel.add_address(link.index, address, prefixlen)
            log.log(log.INFO, "%s: added address %s/%d" % (link.name, address, prefixlen))
        for address, prefixlen in deleted:
            kernel.delete_address(link.index, address, prefixlen)
            log.log(log.INFO, "%s: removed address %s/%d" % (link.name, address, prefixlen))
        if not deleted:
            break


def _routes(kernel, cfg, conf, link, faults, peer_faults):
    connected, underlay_index = _connected(kernel, cfg, link.index)
    faults += _lan_faults(cfg, connected, underlay_index)
    present = kernel.routes(netlink.MAIN_TABLE, oif=link.index)
    wanted = {}
    for network, peer in wanted_prefixes(cfg, conf.addresses).items():
        blocking = conflict(network, connected, underlay_index)
        if blocking is None:
            wanted[str(network)] = peer
        else:
            peer_faults[peer.public_key] = _blocked(network, blocking)
    for dst, peer in wanted.items():
        if any((route.dst, route.metric, route.tos) == (dst, 0, 0) for route in present):
            continue
        try:
            kernel.add_route(_route(dst, link.index))
            log.log(log.INFO, "%s: added route %s" % (link.name, dst))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            peer_faults[peer.public_key] = (
                "another route to its LAN %s stands in the main table; see who made it: ip route show %s" % (dst, dst)
            )
    for route in present:
        if route.protocol == config.PROTOCOL and route.dst not in wanted:
            kernel.delete_route(route)
            log.log(log.INFO, "%s: removed route %s" % (link.name, route.dst))


def _route(dst, index):
    return netlink.Route(
        dst=dst,
        table=netlink.MAIN_TABLE,
        protocol=config.PROTOCOL,
        type=netlink.UNICAST,
        scope=netlink.SCOPE_LINK,
        metric=0,
        gateway=None,
        oif=index,
        prefsrc=None,
        flags=0,
        tos=0,
    )
