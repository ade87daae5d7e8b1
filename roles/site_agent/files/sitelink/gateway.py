# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out through an underlay NIC: a routing table and rules that always are right, and never lead elsewhere.

What is owned, for one NIC, its table T, mark M and rule priority P:

- in T: `default via GATEWAY dev NIC onlink`, while the NIC has its one valid address;
- in T, always: `unreachable default metric 4278198272`, so that nothing falls through to the broadband;
- for each underlay network N, always: the rule `pref P to N fwmark M lookup T`;
- for each N, while there is an address A: the rule `pref P from A to N lookup T`. Packets of peers arrive unmarked, and
  the kernel's reverse path filter asks where an answer from A would go. This is the answer, with rp_filter 0, 1 or 2,
  with and without a default route in the main table, and with a LAN that overlaps the peer's subnet.

Where more than one host may be the gateway (the lease's router, and the first host of its prefix), the one that answers
ARP is taken; where none does, that is reported.

The rules and the unreachable route have the protocol "kernel", since systemd-networkd, which removes what it does not know
when it starts or reconfigures a link, leaves only that alone; without it marked packets leave by the broadband in between.

Entries of ours (protocol 131 or "kernel") that are no longer wanted are removed. So is what would make T carry anything else:
a second default of metric 0, a route to the underlay by anything but the NIC (also one that sends packets on to the next rule:
`throw`), and the rule `not fwmark M lookup T`, by which wg-quick sends the whole internet into T where its file has M and a peer
with 0.0.0.0/0, but no `Table = off`. Whatever else stands in T or leads there was put there by somebody for some reason: it is
reported as a fault and left alone.

Of IPv6 nothing is ours, so a rule that leads into IPv6's table of that number is reported, and left alone.

Removed is also what the carrier's DHCP may put beside the address: a broadcast address of its choice (option 28), which the kernel takes for a
broadcast on the NIC whoever has it, be it the site's router or its DNS server.

Stopping the daemon leaves everything in place. Only remove() takes it away.
"""

import errno
import ipaddress
import socket
import subprocess
from collections import deque, namedtuple

from . import address as underlay
from . import config, front, lease, loaded, log, netlink, state
from .loop import Loop

BACKSTOP_METRIC = 4278198272  # the last but a few: behind every metric that anybody chooses
REFUSING = front.REFUSING  # what lets packets out nowhere
MAKERS = {52: " (of tailscale)", 220: " (of strongSwan)"}  # who has a table of that number, unless told otherwise
SAFETY_SECONDS = 30  # an event that never came; nothing is known to need this
HELD = netlink.PROTOCOL_KERNEL  # of what must not go even for a moment
OWN = (config.PROTOCOL, HELD)  # the kernel itself puts nothing into a table with a number like ours
RETRY_SECONDS = 1  # after the kernel refused something
LOOKS = (0.1, 0.5, 1.5, 4)  # seconds after a change; the kernel asks three times, once a second
PROOF_SECONDS = (
    5  # from one question to the gateway to the next: with PROOF_LOOK, one that falls silent is known within 10 s
)
PROOF_LOOK = 3.5
# Something else takes an entry of ours away again and again: so many times in so many seconds. Then only each second, and
# more and more rarely, is it put back; each time would cost the other one a turn too, and both of them a core.
QUARREL, QUARREL_SECONDS = 20, 10
OTHERS_SECONDS = 1  # between a change of a table that others' rules lead to and a look at all of it
QUARREL_PAUSES = (1, 2, 4, 8)

# address: netlink.Address or None; gateway: text or None; reason: "" when all is well; layer: whose reason it is;
# candidates: what may be the gateway, the preferred one first
Wanted = namedtuple("Wanted", "address gateway route backstop rules reason layer candidates")
# what is, held against what is wanted; changes are lists of Route and Rule
# tables: those to which rules of others in front of ours lead
View = namedtuple("View", "wanted missing_routes missing_rules stale_routes stale_rules faults tables")


# Where lease.set_free() is no help, somebody else took the address away: it comes back with a renewal (systemd issue 16071), or by
# configuring the NIC anew.
FORGOTTEN_SECONDS, FORGOTTEN_PAUSE = lease.FORGOTTEN_SECONDS, 30
CURES = ((), ("networkctl", "renew"), ("networkctl", "reconfigure"))
CURE_SECONDS = 10


class NoGateway(Exception):
    """A sentence."""


def first_host(address, prefixlen):
    """The gateway by the article's rule: the first usable host of the prefix. Raises NoGateway."""
    if prefixlen == 32:
        raise NoGateway(
            "the lease %s/32 names no other host; set the gateway of this site explicitly (tr069_gateway_source)"
            % address
        )
    network = ipaddress.IPv4Network("%s/%d" % (address, prefixlen), strict=False)
    if prefixlen == 31:  # RFC 3021: two hosts, no network address
        first, second = str(network[0]), str(network[1])
        return second if first == address else first
    return str(network[1])


def choices(cfg, found, leased=None):
    """What may be the gateway of an address, the preferred one first. leased: a lease.Lease. Raises NoGateway."""
    offered = []
    if cfg.gateway not in (config.FIRST_HOST, config.LEASE):
        offered.append(cfg.gateway)
    else:
        if cfg.gateway == config.LEASE and leased is not None and leased.address == found.address:
            offered += [item for item in leased.routers if _can_route(item, found)]
        try:
            offered.append(first_host(found.address, found.prefixlen))
        except NoGateway:
            if not offered:
                raise
    others = [item for item in dict.fromkeys(offered) if item != found.address]
    if not all(_is_host(item, found) for item in others):
        raise NoGateway(
            "%s, which tr069_gateway_source names, cannot be the gateway of %s, which has %s/%d: it is no address of a host; correct "
            "tr069_gateway_source" % (cfg.gateway, cfg.interface, found.address, found.prefixlen)
        )
    if not others:
        raise NoGateway(
            "the gateway of %s would be the site's own address %s; set the gateway of this site explicitly "
            "(tr069_gateway_source)" % (cfg.interface, found.address)
        )
    return others


def _is_host(gateway, found):
    """Whether a host can have an address (text) beside found, a netlink.Address: it is nobody's network or broadcast address."""
    gateway = ipaddress.IPv4Address(gateway)
    network = ipaddress.IPv4Network("%s/%d" % (found.address, found.prefixlen), strict=False)
    edges = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
    return lease.usable(gateway) and gateway not in edges


def _can_route(router, found):
    """Whether a router that the DHCP server names can be one: another host of the prefix. A /32 has no other, and any will do."""
    network = ipaddress.IPv4Network("%s/%d" % (found.address, found.prefixlen), strict=False)
    return _is_host(router, found) and (network.prefixlen == 32 or ipaddress.IPv4Address(router) in network)


def choose(candidates, chosen, states, silent, steady=()):
    """The candidate to use: one that answers ARP before one that is not known before one that is silent.

    chosen, the one in use, stays where another is no better; but for a better one, which stands in front of it, that answers time and
    again: who came first by chance, as another box of the carrier, is not used for ever. states: ndm_state by address. silent:
    those that did not answer when they were asked last. steady: those that answered the last two times.
    """

    def rank(item):
        known = states.get(item, 0)
        return 0 if known & netlink.KNOWN else 2 if known & netlink.FAILED or item in silent else 1

    best = min(candidates, key=rank)
    if best in steady and rank(best) == 0:
        return best
    return chosen if chosen in candidates and rank(chosen) == rank(best) else best


def desired(cfg, link, addresses, links=(), leased=None, prefer=None):
    """The state that a NIC's situation asks for. link is None when there is no such NIC; prefer: the candidate to use."""
    found = gateway = None
    candidates = []
    reason, layer = "", "gateway"
    try:
        found = underlay.select(cfg.interface, link, addresses, cfg.networks, links)
        candidates = choices(cfg, found, leased)
        gateway = prefer if prefer in candidates else candidates[0]
        underlay.check_carrier(cfg.interface, link)  # the route stays: it is right again when the cable is back
    except underlay.NoAddress as error:
        reason, layer = str(error), "address"
    except NoGateway as error:
        reason = str(error)
    backstop = netlink.Route(
        "0.0.0.0/0", cfg.table, HELD, netlink.UNREACHABLE, 0, BACKSTOP_METRIC, None, None, None, 0, 0
    )
    route = None
    rules = [_rule(cfg, network, mark=cfg.fwmark) for network in cfg.networks]
    if found is not None:
        rules += [_rule(cfg, network, source=found.address) for network in cfg.networks]
    if gateway is not None:
        route = backstop._replace(
            type=netlink.UNICAST,
            protocol=config.PROTOCOL,
            metric=0,
            gateway=gateway,
            oif=link.index,
            prefsrc=found.address,  # the NIC may have addresses outside the underlay too, for the ONT's web page
            flags=netlink.ONLINK,
        )
    return Wanted(found, gateway, route, backstop, rules, reason, layer, candidates)


def _leads_astray(cfg, route, index):
    """Whether a route of the table takes packets to the underlay somewhere else; index: of the NIC, None without one."""
    if route.protocol in OWN or (route.dst, route.metric, route.tos) == ("0.0.0.0/0", 0, 0):
        return True
    if route.type in REFUSING or (route.type == netlink.UNICAST and route.oif == index):
        return False  # a route by several NICs has no oif
    return any(ipaddress.IPv4Network(route.dst).overlaps(network) for network in cfg.networks)


def _is_wg_quicks(cfg, rule):
    """Whether it is wg-quick's `not fwmark M lookup T`."""
    whole = (rule.src, rule.dst) in (("0.0.0.0/0", "0.0.0.0/0"), ("::/0", "::/0"))
    return whole and (rule.table, rule.mark, rule.extra) == (cfg.table, cfg.fwmark, netlink.NOT)


def wrong_broadcasts(addresses, local):
    """Of the routes of a NIC in the table local, the broadcasts that the prefixes of its addresses do not make."""
    right = set()
    for item in addresses:
        network = ipaddress.IPv4Network("%s/%d" % (item.address, item.prefixlen), strict=False)
        if network.prefixlen < 31:  # before Linux 5.14, the first address is one too
            right |= {str(network.network_address) + "/32", str(network.broadcast_address) + "/32"}
    return [route for route in local if route.type == netlink.BROADCAST and route.dst not in right]


def compare(cfg, wanted, routes, rules, index=None):
    """Hold the routes of the table and all rules of the host against what is wanted. Returns a View. index: of the NIC."""
    wanted_routes = [item for item in (wanted.backstop, wanted.route) if item is not None]
    missing_routes = [item for item in wanted_routes if not any(same_route(item, other) for other in routes)]
    stale_routes, faults = [], []
    for item in routes:
        if any(same_route(item, other) for other in wanted_routes):
            continue
        if _leads_astray(cfg, item, index):
            stale_routes.append(item)
        else:
            faults.append(
                "table %d holds a route that is not sitelink's: %s; remove it with ip route del, or give its maker "
                "another table" % (cfg.table, describe_route(item))
            )
    missing_rules, stale_rules = list(wanted.rules), []
    seen = set()
    for item in rules:
        plain = item._replace(protocol=None)
        if plain in [other._replace(protocol=None) for other in wanted.rules] and plain not in seen:
            seen.add(plain)  # whoever put it there, for instance systemd-networkd natively
            missing_rules = [other for other in missing_rules if other._replace(protocol=None) != plain]
        elif item.table == cfg.table:
            if (item.priority == cfg.priority and item.protocol in (None,) + OWN) or _is_wg_quicks(cfg, item):
                stale_rules.append(item)
            elif plain not in seen:
                faults.append(
                    "a rule that is not sitelink's leads into table %d: %s; remove it with ip rule del, or give its "
                    "maker another table (wg-quick takes a FwMark's number as a table unless wg0.conf says Table = off)"
                    % (cfg.table, describe_rule(item))
                )
    return View(wanted, missing_routes, missing_rules, stale_routes, stale_rules, faults, [])


def inspect(kernel, cfg, leased=None, prefer=None):
    """Read the kernel's state and judge it. Also what `sitelink status` shows. Raises OSError."""
    link = kernel.link(cfg.interface)
    local, addresses = [], []
    if link is None:
        wanted = desired(cfg, None, [], kernel.links())
    else:
        # In this order: of an address that comes in between, there is a broadcast too few, and none too many.
        local = kernel.routes(netlink.LOCAL_TABLE, oif=link.index)
        addresses = kernel.addresses(link.index)
        wanted = desired(cfg, link, addresses, (), leased, prefer)
    index, rules = None if link is None else link.index, kernel.rules()
    view = compare(cfg, wanted, kernel.routes(cfg.table), rules, index)
    view.stale_routes.extend(wrong_broadcasts(addresses, local))
    view.faults.extend(
        "a rule of IPv6 that is not sitelink's leads into IPv6's table %d: %s; remove it with ip -6 rule del, or give its maker another "
        "table (wg-quick takes a FwMark's number as a table unless its file says Table = off)" % (cfg.table, describe_rule(rule))
        for rule in kernel.rules6() if _is_wg_quicks(cfg, rule)
    )  # fmt: skip
    view.tables.extend(front.tables(cfg, rules, wanted.address))
    if view.missing_routes or view.missing_rules:
        return view
    found = in_front(kernel, cfg, wanted, rules, index, proven=True)
    view.faults.extend(text for _, text in found)
    for network in cfg.networks:  # the proof: where the kernel would send a marked packet
        if any(way.network == network for way, _ in found):
            continue
        probe, taken = front.asked(kernel, network, cfg.fwmark, index)
        if taken is None or taken.type != netlink.UNICAST:
            if wanted.route is not None and not wanted.reason:
                view.faults.append(
                    "packets with mark 0x%x to %s do not leave at all, though %s has its route; look for the rule or route that "
                    "refuses them with: ip rule; ip route get %s mark 0x%x"
                    % (cfg.fwmark, network, cfg.interface, probe, cfg.fwmark)
                )
        elif link is None or taken.oif != link.index:
            view.faults.append(
                "packets with mark 0x%x to %s would leave by %s instead of %s; look for the rule or route that takes "
                "them there with: ip route get %s mark 0x%x"
                % (cfg.fwmark, network, link_name(taken.oif), cfg.interface, probe, cfg.fwmark)
            )
    return view


def in_front(kernel, cfg, wanted, rules, index, proven):
    """[(front.Way, sentence)], one for each rule in front of ours that leads marked packets elsewhere, or refuses them where they could
    leave. proven: whether the kernel has the last word; without our own rules it can say nothing."""
    leaves = wanted.route is not None and not wanted.reason
    found = {}
    for way in front.ways(cfg, rules, kernel.routes, index, wanted.address):
        if way.rule in found:
            continue
        if proven:
            taken = front.probe(kernel, cfg, way)
            refused = taken is None or taken.type in REFUSING
            if not refused and taken.type == netlink.UNICAST and taken.oif == index:
                continue
            way = way._replace(refused=refused, oif=None if refused else taken.oif)
        if leaves or not (way.refused and proven):
            found[way.rule] = way, _way_text(cfg, way)
    return list(found.values())


def _way_text(cfg, way):
    what = "do not leave at all" if way.refused else "would leave by %s instead of %s" % (
        link_name(way.oif) if way.oif else "another way", cfg.interface
    )  # fmt: skip
    rule, maker = way.rule, MAKERS.get(way.rule.table, "")
    cure = "remove it with ip rule del"
    if front.inverted(rule) and 0 < rule.mark == rule.table:  # without a priority the kernel puts it in front of whatever there is
        maker, selector = " (of wg-quick)", "not fwmark 0x%x table %d" % (rule.mark, rule.table)
        cure = "write into its file: PostUp = ip rule del %s; ip rule add pref 32765 %s" % (selector, selector)
    elif rule.priority > 1:
        cure = "set tr069_rule_priority to %d, so that it comes behind, or %s" % (rule.priority - 1, cure)
    return "packets with mark 0x%x to %s %s, because of a rule in front that is not sitelink's: %s%s; %s; see: ip route get %s%s mark 0x%x" % (
        cfg.fwmark, way.part, what, describe_rule(rule), maker, cure,
        way.address, " from " + way.flow.source if way.flow.source else "", cfg.fwmark,
    )  # fmt: skip


def apply(kernel, view):
    """Bring the kernel to what is wanted, in an order that opens no gap. Returns a list of what it refused."""
    wanted, errors = view.wanted, []
    steps = []
    if wanted.backstop in view.missing_routes:
        steps.append((kernel.replace_route, wanted.backstop, "add"))
    steps += [(kernel.add_rule, rule, "add") for rule in view.missing_rules if rule.mark]
    if wanted.route in view.missing_routes:
        steps.append((kernel.replace_route, wanted.route, "set"))
    steps += [(kernel.add_rule, rule, "add") for rule in view.missing_rules if not rule.mark]
    steps += [(kernel.delete_rule, rule, "remove") for rule in view.stale_rules]
    replaced = wanted.route in view.missing_routes
    for route in view.stale_routes:
        if not (replaced and (route.dst, route.metric, route.tos) == ("0.0.0.0/0", 0, 0)):
            steps.append((kernel.delete_route, route, "remove"))
    for action, entry, verb in steps:
        text = describe_rule(entry) if isinstance(entry, netlink.Rule) else describe_route(entry)
        try:
            action(entry)
            log.log(log.INFO, "%s %s" % (verb, text))
        except OSError as error:
            if entry == wanted.route and error.errno in (errno.EINVAL, errno.EHOSTUNREACH, errno.ENETUNREACH):
                errors.append(
                    "the kernel refused %s as the gateway of %s (%s), so it is no address of another host; set the gateway of this "
                    "site explicitly (tr069_gateway_source)" % (entry.gateway, link_name(entry.oif), error.strerror)
                )
            else:
                errors.append("the kernel refused to %s %s: %s" % (verb, text, error.strerror))
    return errors


def reconcile(kernel, cfg, leased=None, prefer=None, missed=None):
    """Make everything right. Returns (view, errors) as they are afterwards. missed: a list that takes what was missing."""
    errors = []
    for _ in range(3):  # a second default behind a replaced one shows up in the second round
        view = inspect(kernel, cfg, leased, prefer)
        if not (view.missing_routes or view.missing_rules or view.stale_routes or view.stale_rules):
            return view, []
        if missed is not None:
            missed += [describe_rule(item) for item in view.missing_rules] + [
                describe_route(item) for item in view.missing_routes
            ]
        errors = apply(kernel, view)
        if errors:
            break
    return inspect(kernel, cfg, leased, prefer), errors


def remove(kernel, cfg, routes=True):
    """Take away what the daemon put into the kernel, and nothing else. routes: those of the table too."""
    for rule in kernel.rules():
        if (rule.priority, rule.table) == (cfg.priority, cfg.table) and rule.protocol in (None,) + OWN:
            kernel.delete_rule(rule)
    for route in kernel.routes(cfg.table) if routes else []:
        if route.protocol in OWN:
            kernel.delete_route(route)


def reasons(cfg, view, errors=(), silent=(), routers=()):
    """What is wrong, as [(layer, sentence)]. errors: what the kernel refused when the daemon last tried. silent: the
    candidates that do not answer ARP. routers: those that the lease names."""
    found = [(view.wanted.layer, view.wanted.reason)] if view.wanted.reason else []
    found += [("gateway", text) for text in list(errors) + view.faults]
    if not found and (view.missing_routes or view.missing_rules):
        text = "entries of table %d or its rules are missing; start their daemon anew: systemctl restart %s@%s"
        found.append(("gateway", text % (cfg.table, "sitelink-gateway", cfg.interface)))
    refused = bool(errors) and view.wanted.route in view.missing_routes  # which says it already
    if view.wanted.gateway in silent and not view.wanted.reason and not refused:
        found.append(("gateway", _silence(cfg, view.wanted, routers)))
    return found


def _silence(cfg, wanted, routers):
    other = [item for item in routers if item not in wanted.candidates]
    advice = "check that the TR069 bridge (桥接) of the ONT still exists and is bound to this port"
    if cfg.gateway == config.FIRST_HOST and other:
        advice = "the lease names the router %s: set tr069_gateway_source to lease" % other[0]
    elif cfg.gateway not in (config.FIRST_HOST, config.LEASE):
        advice = "it was set by tr069_gateway_source: correct it, or " + advice
    if len(wanted.candidates) == 1:
        return "the gateway %s does not answer ARP on %s; %s" % (wanted.gateway, cfg.interface, advice)
    return "no possible gateway (%s) answers ARP on %s; %s" % (
        underlay.listed(wanted.candidates), cfg.interface, advice
    )  # fmt: skip


def report(cfg, view, errors=(), silent=(), routers=()):
    """The gateway's part of `sitelink status`."""
    wanted = view.wanted
    found = reasons(cfg, view, errors, silent, routers)
    return {
        "interface": cfg.interface,
        "state": "fault" if found else "ok",
        "reason": "; ".join(text for _, text in found),
        "address": wanted.address.address if wanted.address else None,
        "prefix": wanted.address.prefixlen if wanted.address else None,
        "gateway": wanted.gateway,
        "source": None if wanted.gateway is None else _source(cfg, wanted, routers),
        "answers": None if wanted.gateway is None else wanted.gateway not in silent,
        "table": cfg.table,
        "rules": not view.missing_rules,
        "route": wanted.route is not None and wanted.route not in view.missing_routes,
        "backstop": wanted.backstop not in view.missing_routes,
    }


def _source(cfg, wanted, routers):
    if cfg.gateway == config.LEASE:
        return config.LEASE if wanted.gateway in routers else config.FIRST_HOST
    return cfg.gateway if cfg.gateway == config.FIRST_HOST else "set"


def run(interface):
    """The daemon. Returns an exit code; raises ConfigError."""
    record = loaded.Record(loaded.unit("gateway", interface))
    cfg = config.load_gateway(interface)
    held = state.lock(config.run_path("gateway", interface, "lock"))
    if held is None:
        log.log(log.ERROR, "another sitelink gateway %s is running already" % interface)
        return 1
    # Two NICs with one table would take each other's routes for remains of their own, without end.
    table_lock = state.lock(config.run_path("table", str(cfg.table), "lock"), interface)
    if table_lock is None:
        holder = state.holder(config.run_path("table", str(cfg.table), "lock"))
        log.log(
            log.ERROR,
            "the routing table %d is held by sitelink-gateway@%s; stop that one (systemctl disable --now sitelink-gateway@%s), or give "
            "%s another tr069_table" % (cfg.table, holder, holder, interface),
        )
        return 1
    record.publish()
    loop = Loop()
    Daemon(cfg, loop)
    loop.run()
    return 0


class Quarrel:
    """Something else takes our entries away as often as they are put back: give way for seconds, and say so."""

    def __init__(self):
        self.times = deque(maxlen=QUARREL)
        self.turns = 0
        self.pause = 0  # seconds until the next look; 0 while there is no quarrel
        self.last = ""

    def seen(self, now, missed, taken_away):
        """What was missing at a look, and whether somebody took it; nothing missing after a pause ends the quarrel."""
        if not missed:
            if taken_away:
                self.turns = self.pause = 0
            return
        if not taken_away:
            return
        self.last = missed[0]
        self.times.append(now)
        if self.pause or (len(self.times) == QUARREL and now - self.times[0] < QUARREL_SECONDS):
            self.pause = QUARREL_PAUSES[min(self.turns, len(QUARREL_PAUSES) - 1)]
            self.turns += 1

    def faults(self):
        if not self.pause:
            return []
        return [
            "something else takes away again and again what belongs here (%s), so it is put back every %d s only; find out what that "
            "is with: ip monitor rule route" % (self.last, self.pause)
        ]


class Daemon:
    def __init__(self, cfg, loop):
        self.cfg = cfg
        self.loop = loop
        self.kernel = netlink.Kernel()
        self.events = netlink.Events(["link", "address", "route", "rule", "rule6"])
        self.reason = None
        self.retry = None
        self.index = None
        self.tables = set()  # View.tables
        self.leased = None  # the lease.Lease of the address that the NIC has, once it is known
        # of the candidates: the one in use where it is not the first, and those that do not answer ARP
        self.situation, self.candidates, self.chosen, self.silent = None, [], None, set()
        self.refused = set()  # of them, those by which the kernel takes no route
        self.answered = set()  # and those that answered at the last look
        self.asked_at = loop.now()  # when all of them began to be asked
        self.looks = []
        self.later = None  # the timer of a look at tables of others
        self.quarrel = Quarrel()
        self.bare = None  # the timer while the NIC has no address at all
        self.cures = 0  # what was tried since then
        loop.watch(self.events, self.on_events)
        loop.every(SAFETY_SECONDS, self.look_again)
        loop.every(PROOF_SECONDS, self.prove)
        told = state.read_json(self.report_path())
        # Until what was before is gone, the report names that: it would be nobody's after a start that broke off.
        self.said, self.silence = None, True
        self.reconcile()
        before = told.get("table", cfg.table), told.get("priority", cfg.priority)
        if before != (cfg.table, cfg.priority):  # of the configuration before this one
            old = cfg._replace(table=before[0], priority=before[1])
            remove(self.kernel, old, routes=old.table != cfg.table)
        self.silence = False
        state.publish(self.report_path(), self.said)
        loop.notifier.send("READY=1")

    def report_path(self):
        return config.run_path("gateway", self.cfg.interface, "json")

    def on_events(self):
        events, lost = self.events.read()
        events = [event for event in events if self.concerns(event)]
        untouched = not lost and all(event.kind in ("route", "rule", "rule6") and not self.is_broadcast(event) for event in events)
        if not lost and events and all(self.is_of_another_table(event) for event in events):
            if self.later is None:  # a router may have thousands of them
                self.later = self.loop.after(OTHERS_SECONDS, self.look_later)
        elif lost or events and not (untouched and self.quarrel.pause):
            self.reconcile(taken_away=untouched)
        if self.cfg.gateway == config.LEASE and any(self.renewed(event) for event in events):
            self.look_out()  # some DHCP clients write down what the server said after they have set the address

    def concerns(self, event):
        item = event.item
        if event.kind == "link":
            return item.name == self.cfg.interface or item.index == self.index
        if event.kind == "address":
            return item.index == self.index
        if event.kind == "route":
            return item.table == self.cfg.table or item.table in self.tables or self.is_broadcast(event)
        if event.kind == "rule6":
            return item.table == self.cfg.table
        return True

    def is_of_another_table(self, event):
        return event.kind == "route" and event.item.table != self.cfg.table and not self.is_broadcast(event)

    def look_later(self):
        self.later = None
        if not self.quarrel.pause:  # else its own look is due, and shows whether that has ended
            self.reconcile()

    def is_broadcast(self, event):
        """Whether a broadcast of the NIC is new."""
        return event.kind == "route" and event.item.type == netlink.BROADCAST and event.item.oif == self.index and not event.deleted

    def renewed(self, event):
        """Whether it may be about a lease: also one that goes on gives its address a new lifetime."""
        return event.kind == "address" and event.item.index == self.index and not event.deleted

    def reconcile(self, taken_away=False):
        """taken_away: whether nothing happened to the NIC that could explain a missing entry."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None
        if self.cfg.gateway == config.LEASE:
            self.leased = self.lease(ask=False)
        missed = []
        view, errors = reconcile(self.kernel, self.cfg, self.leased, self.chosen, missed)
        self.tables = set(view.tables)
        self.quarrel.seen(self.loop.now(), missed, taken_away)
        wanted = view.wanted
        situation = wanted.address, wanted.candidates, wanted.reason
        if situation != self.situation:  # everybody is asked anew
            self.situation, self.candidates, self.chosen, self.silent = situation, wanted.candidates, None, set()
            self.refused = set()
            if wanted.gateway not in wanted.candidates[:1]:
                view, errors = reconcile(self.kernel, self.cfg, self.leased)
            self.look_out()
        while errors and view.wanted.route in view.missing_routes and view.wanted.gateway not in self.refused:
            self.refused.add(view.wanted.gateway)
            # Its own candidates: the NIC may have changed since the look before.
            self.chosen = choose(view.wanted.candidates, view.wanted.gateway, {}, self.silent | self.refused)
            view, errors = reconcile(self.kernel, self.cfg, self.leased, self.chosen)
        if not errors:  # it was the moment, not the address
            self.refused.discard(view.wanted.gateway)
        link = self.kernel.link(self.cfg.interface)
        self.index = link.index if link else None
        if view.wanted.address is not None or not self.lost_lease():
            self.cures = 0
            if self.bare is not None:
                self.bare.cancel()
                self.bare = None
        elif self.bare is None:
            self.bare = self.loop.after(FORGOTTEN_SECONDS, self.lease_again)
        if self.quarrel.pause:
            self.retry = self.loop.after(self.quarrel.pause, lambda: self.reconcile(taken_away=True))
        elif errors or view.missing_routes or view.missing_rules:
            self.retry = self.loop.after(RETRY_SECONDS, self.reconcile)
        self.tell(view, errors + self.quarrel.faults())

    def lost_lease(self):
        return lease.lost(self.kernel, self.kernel.link(self.cfg.interface))

    def lease_again(self):
        self.bare = None
        lost = self.lost_lease()
        if not lost:
            return
        self.bare = self.loop.after(FORGOTTEN_PAUSE, self.lease_again)
        cure = CURES[self.cures % len(CURES)]
        self.cures += 1
        words = " ".join(cure) or "that it is gone, by setting and deleting it"
        text = "systemd-networkd has leased %s for %s and not set it; it is told: %s"
        log.log(log.WARNING, text % (lost[0], self.cfg.interface, words))
        if not cure:
            lease.set_free(self.kernel, self.cfg.interface)
            return
        try:
            done = subprocess.run(
                list(cure) + [self.cfg.interface],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=CURE_SECONDS,
            )  # fmt: skip
            if done.returncode:
                log.log(log.WARNING, "networkctl: " + done.stdout.decode(errors="replace").strip()[-300:])
        except (OSError, subprocess.SubprocessError) as error:
            log.log(log.WARNING, "networkctl: %s" % error)

    def tell(self, view, errors):
        address = view.wanted.address
        fits = self.leased is not None and address is not None and self.leased.address == address.address
        routers = self.leased.routers if fits else []
        silent = self.silent | self.refused
        found = report(self.cfg, view, errors, silent, routers)
        if found["reason"] != self.reason:
            self.reason = found["reason"]
            if self.reason:
                log.log(log.WARNING, self.reason)
            else:
                log.log(log.INFO, "%(interface)s has %(address)s/%(prefix)s, gateway %(gateway)s" % found)
        self.loop.notifier.status(self.reason or "%(address)s/%(prefix)s via %(gateway)s" % found)
        self.said = dict(found, errors=errors, silent=sorted(silent), routers=routers, priority=self.cfg.priority)
        if not self.silence:
            state.publish(self.report_path(), self.said)

    def look_out(self):
        """Something is new: ask, and look, again and again for some seconds."""
        self.asked_at = self.loop.now()
        for timer in self.looks:
            timer.cancel()
        self.looks = []
        self.ask(*LOOKS)

    def ask(self, *seconds):
        """Let the kernel ask the candidates by ARP, and look so many seconds later what came of it."""
        if self.question():
            self.looks = [self.loop.after(number, self.look) for number in seconds]

    def question(self):
        """Ask the candidates by ARP, also those that the kernel believes to know. Returns whether there is a link to ask on."""
        link = self.kernel.link(self.cfg.interface)
        if link is None or not link.carrier:
            return False
        states = self.kernel.neighbours(link.index)
        for candidate in self.candidates:
            try:
                self.kernel.ask_neighbour(link.index, candidate, known=bool(states.get(candidate, 0) & netlink.LEARNED))
            except OSError as error:
                log.log(log.WARNING, "the kernel does not ask for %s: %s" % (candidate, error.strerror))
        return True

    def prove(self):
        """Does the gateway still answer? A look at everything follows only where that has changed."""
        if self.question():
            self.loop.after(PROOF_LOOK, self.judge)

    def judge(self):
        link = self.kernel.link(self.cfg.interface)
        if link is not None and link.carrier:
            before = self.chosen, set(self.silent)
            states = self.hear(link, asked=self.loop.now() - self.asked_at >= PROOF_LOOK)
            if before != (self.chosen, self.silent):
                self.look()
            elif any(states.get(candidate, 0) & netlink.PROBE for candidate in self.candidates):
                self.loop.after(1, self.judge)  # a busy kernel still asks

    def lease(self, ask):
        """The lease.Lease of the NIC's address, or None. ask: whether there is time to ask NetworkManager."""
        link = self.kernel.link(self.cfg.interface)
        addresses = [item.address for item in self.kernel.addresses(link.index)] if link is not None else []
        found = lease.current(link, addresses, ask) if addresses else None
        if found is None and not ask and self.leased is not None and self.leased.address in addresses:
            return self.leased
        return found

    def look_again(self):
        self.refused.clear()  # what the kernel refused once, in a burst of changes, it may take now
        self.look()

    def look(self):
        """What the lease says now, and which candidates answer."""
        link = self.kernel.link(self.cfg.interface)
        if link is None or not link.carrier:
            return self.reconcile()
        # Where the first host is silent, the lease is only read to tell the operator.
        if self.cfg.gateway == config.LEASE or (self.cfg.gateway == config.FIRST_HOST and self.silent):
            leased = self.lease(ask=True)
            if leased != self.leased:
                self.leased = leased
                return self.reconcile()
        self.hear(link)
        return self.reconcile()

    def hear(self, link, asked=False):
        """Which candidates answer, and so which one is used; returns the kernel's state of each. asked: all of them were, so long ago
        that who is not known by now does not answer. The kernel does not always say so: each packet to one that failed makes it
        ask anew, and forget that."""
        states = self.kernel.neighbours(link.index)
        for candidate in self.candidates:
            if candidate in self.refused:
                states.pop(candidate, None)
            elif states.get(candidate, 0) & netlink.KNOWN:
                self.silent.discard(candidate)
            elif asked or states.get(candidate, 0) & netlink.FAILED:
                self.silent.add(candidate)
        if self.candidates:
            now = self.chosen or self.candidates[0]
            answered = {item for item in self.candidates if states.get(item, 0) & netlink.REACHABLE}
            steady, self.answered = answered & self.answered, answered
            self.chosen = choose(self.candidates, now, states, self.silent | self.refused, steady)
            if self.chosen != now:
                why = "which comes first and answers" if now in answered else "because that one does not answer ARP"
                text = "the gateway of %s is now %s instead of %s, %s"
                log.log(log.WARNING, text % (self.cfg.interface, self.chosen, now, why))
        return states


ROUTE_TYPES = {
    netlink.UNICAST: "", netlink.BROADCAST: "broadcast ", netlink.BLACKHOLE: "blackhole ", netlink.UNREACHABLE: "unreachable ",
    netlink.PROHIBIT: "prohibit ", netlink.THROW: "throw ",
}  # fmt: skip


def describe_route(route):
    """A route as `ip route` prints it, as far as it matters here."""
    text = ROUTE_TYPES.get(route.type, "type %d " % route.type)
    text += "default" if route.dst in ("0.0.0.0/0", "::/0") else route.dst
    if route.gateway:
        text += " via " + route.gateway
    if route.oif:
        text += " dev " + link_name(route.oif)
    if route.metric:
        text += " metric %d" % route.metric
    return text + " table %d" % route.table


def link_name(index):
    try:
        return socket.if_indextoname(index)
    except OSError:
        return "if%d" % index


def describe_rule(rule):
    """A rule as `ip rule` prints it, as far as it matters here."""
    text = "pref %d" % rule.priority
    if front.inverted(rule):
        text += " not"
    text += " from " + ("all" if rule.src in ("0.0.0.0/0", "::/0") else rule.src)
    if rule.dst not in ("0.0.0.0/0", "::/0"):
        text += " to " + rule.dst
    if rule.mark or rule.mask:
        text += " fwmark 0x%x" % rule.mark + ("" if rule.mask == 0xFFFFFFFF else "/0x%x" % rule.mask)
    text += front.further(rule)
    if rule.action in REFUSING:
        return text + " " + ROUTE_TYPES[rule.action].strip()
    if rule.action == front.GOTO:
        return text
    return text + " lookup %s" % ("main" if rule.table == netlink.MAIN_TABLE else rule.table)


def _rule(cfg, network, mark=0, source=None):
    return netlink.Rule(
        priority=cfg.priority,
        src=source + "/32" if source else "0.0.0.0/0",
        dst=str(network),
        mark=mark,
        mask=0xFFFFFFFF if mark else 0,
        table=cfg.table,
        protocol=HELD,
        action=1,  # FR_ACT_TO_TBL
        extra=(),
    )


def same_route(one, other):
    """Equal but for who made it: systemd-networkd may hold the backstop natively."""
    return one._replace(protocol=0) == other._replace(protocol=0)
