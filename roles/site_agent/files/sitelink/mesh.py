# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon of one WireGuard interface: it owns the endpoints of the peers, the overlay routes, and the agreement of
the running device with its configuration file.

wg0.conf names no endpoints, so that a name that does not resolve keeps nothing from coming up; they are set here, one
peer at a time, each together with its keepalive (which without an endpoint would burn WireGuard's one initiation per
5 s). Stopping the daemon touches no tunnel.
"""

import signal
import time

from . import config, icmp, log, netlink, overlay, state, wg
from .loop import Loop
from .peers import Peers
from .resolve import Resolver

RECONCILE_SECONDS = 60
RETRY_SECONDS = 2  # after wg or the kernel failed
POLL_SECONDS = 5  # between looks at the receive counters when nothing happens
FAST_POLL_SECONDS = 1  # and for a while after something did
FAST_FOR_SECONDS = 30
REPORT_SECONDS = 0.2
ECHO_AGAIN_SECONDS = 1  # a peer that was not heard by then is told the new address a second time


def way_out(kernel, cfg):
    """(source address, gateway) of marked packets into the underlay, or None while they have no way through the NIC."""
    link = kernel.link(cfg.underlay_interface)
    if link is None or not link.carrier:
        return None
    route = kernel.lookup(config.probe_address(cfg.networks[0]), cfg.fwmark)
    if route is None or route.oif != link.index:
        return None
    return route.prefsrc, route.gateway


def run(interface):
    """The daemon. Returns an exit code; raises ConfigError."""
    cfg = config.load_mesh(interface)
    held = state.lock(config.run_path("mesh", interface, "lock"))
    if held is None:
        log.log(log.ERROR, "another sitelink mesh %s is running already" % interface)
        return 1
    loop = Loop()
    Daemon(cfg, loop)
    loop.run()
    return 0


class Daemon:
    def __init__(self, cfg, loop):
        self.cfg = cfg
        self.loop = loop
        self.kernel = netlink.Kernel()
        self.events = netlink.Events(["link", "address", "route", "rule"])
        self.resolver = Resolver(loop)
        self.peers = Peers(cfg)
        self.index = None  # of the interface while it is up
        self.faults, self.peer_faults = [], {}
        self.config_fault = ""
        self.poll_timer = self.retry_timer = self.report_timer = None
        self.fast_until = 0.0
        saved = state.read_json(self.status_path())
        self.peers.restore(saved.get("peers") or {})
        self.way = tuple(saved.get("way") or ()) or None  # the last one there was
        self.cut = self.way is None  # there is none now
        loop.watch(self.events, self.on_events)
        loop.every(RECONCILE_SECONDS, self.reconcile)
        loop.on_signal(signal.SIGHUP, self.reload)
        self.reconcile()
        loop.notifier.send("READY=1")

    def status_path(self):
        return config.run_path("mesh", self.cfg.interface, "json")

    def reload(self):
        """A changed plan, told by SIGHUP."""
        try:
            self.cfg = config.load_mesh(self.cfg.interface)
            self.config_fault = ""
            self.peers.update(self.cfg)
        except config.ConfigError as error:
            self.config_fault = str(error)
        self.reconcile()

    def on_events(self):
        events, lost = self.events.read()
        if lost or any(self.touches_overlay(event) for event in events):
            self.reconcile()
        elif events:
            self.look_at_way()

    def touches_overlay(self, event):
        item = event.item
        if event.kind == "link":
            return item.name == self.cfg.interface or item.index == self.index
        if event.kind == "address":
            return item.index == self.index
        return event.kind == "route" and event.deleted and item.protocol == config.PROTOCOL and item.oif == self.index

    def reconcile(self):
        """Bring link, device and routes to the configuration, then look after the peers."""
        link = self.kernel.link(self.cfg.interface)
        # wg-quick sets the link up last; to act sooner would race with its wg setconf, which wipes endpoints
        index = link.index if link is not None and link.up else None
        if index != self.index:
            self.index = index
            self.peers.forget()
            self.hurry()
            log.log(log.INFO, "%s is %s" % (self.cfg.interface, "up" if index else "gone or down"))
        self.faults, self.peer_faults = [], {}
        if index is None:
            self.faults.append(
                "%s %s; start it with: systemctl start wg-quick@%s"
                % (self.cfg.interface, "does not exist" if link is None else "is down", self.cfg.interface)
            )
        else:
            try:
                self.faults, self.peer_faults = overlay.reconcile(self.kernel, self.cfg, link)
            except (wg.WgError, OSError) as error:
                self.failed(error)
        self.look_at_way()
        self.poll()

    def failed(self, error):
        """Say so, and try again soon."""
        if str(error) not in self.faults:
            self.faults.append(str(error))
        if self.retry_timer is not None:
            self.retry_timer.cancel()
        self.retry_timer = self.loop.after(RETRY_SECONDS, self.reconcile)

    def look_at_way(self):
        """Notice that the own address or its gateway changed, or that the way is open again, and tell every peer."""
        way = way_out(self.kernel, self.cfg)
        self.peers.own_address = way[0] if way else None
        if way is None:
            self.cut = True
            return
        if way == self.way and not self.cut:
            return
        self.way, self.cut = way, False
        log.log(log.INFO, "the way out is from %s via %s on %s" % (way + (self.cfg.underlay_interface,)))
        self.hurry()
        self.peers.retry()
        if self.index is not None:
            self.announce()
        self.poll()

    def announce(self):
        """Let every peer that has an endpoint hear from the new address at once: WireGuard itself would say nothing.

        Setting the same endpoint makes wireguard-go drop the source address it remembers; the echo request is a packet
        to send.
        """
        endpoints = {key: peer.endpoint for key, peer in self.peers.states.items() if peer.endpoint}
        if not endpoints:
            return
        self.set_endpoints(endpoints)
        received = {key: self.peers.states[key].rx for key in endpoints}
        self.echo(received)
        self.loop.after(ECHO_AGAIN_SECONDS, lambda: self.echo_again(received))

    def echo_again(self, received):
        self.poll()
        states = self.peers.states
        self.echo([key for key, rx in received.items() if key in states and states[key].rx == rx])

    def echo(self, keys):
        try:
            with icmp.Echo(self.cfg.interface) as echo:
                for key in keys:
                    echo.send(self.peers.states[key].plan.address)
        except OSError as error:
            log.log(log.WARNING, "no echo request could be sent by %s: %s" % (self.cfg.interface, error.strerror))

    def hurry(self):
        self.fast_until = time.monotonic() + FAST_FOR_SECONDS

    def poll(self):
        """Look at the receive counters, find the dead, and do what is due for them."""
        if self.poll_timer is not None:
            self.poll_timer.cancel()
        now = time.monotonic()
        quiet = []
        if self.index is not None:
            try:
                device = wg.show(self.cfg.interface)
            except wg.WgError as error:
                device = None
                self.failed(error)
            if device is not None:
                before = {key for key, peer in self.peers.states.items() if peer.alive}
                lacking = self.peers.observe(device, now, time.time())
                self.tell(before)
                quiet = self.peers.quiet(now)
                if quiet:
                    self.echo(quiet)
                if not self.cut:  # else WireGuard would spend its one initiation per 5 s on nothing
                    lacking.update(self.look_for_peers(now))
                self.set_endpoints(lacking)
        fast = quiet or now < self.fast_until
        self.poll_timer = self.loop.after(FAST_POLL_SECONDS if fast else POLL_SECONDS, self.poll)
        self.report()

    def look_for_peers(self, now):
        endpoints, lookups = self.peers.attempt(now)
        for peer in lookups:
            host = peer.plan.endpoint[0]
            self.resolver.lookup(host, lambda *answer, peer=peer, host=host: self.on_answer(peer, host, *answer))
        return endpoints

    def tell(self, before):
        """Log who came and who went."""
        for key, peer in self.peers.states.items():
            if peer.alive and key not in before:
                log.log(log.INFO, "%s is alive at %s (%s)" % (peer.plan.name, peer.endpoint, peer.source))
            elif not peer.alive and key in before:
                log.log(log.WARNING, "%s is silent" % peer.plan.name)
                self.hurry()

    def on_answer(self, peer, host, addresses, reason):
        peer.busy = False
        key = peer.plan.public_key
        if self.index is None or self.peers.states.get(key) is not peer:
            return
        if peer.plan.endpoint is None or peer.plan.endpoint[0] != host:  # the plan changed meanwhile
            return
        endpoint = self.peers.offer(peer, addresses, "dns", reason)
        if endpoint:
            self.set_endpoints({key: endpoint})
            self.hurry()
        if self.report_timer is None:  # the answers for many peers arrive together
            self.report_timer = self.loop.after(REPORT_SECONDS, self.report)

    def set_endpoints(self, endpoints):
        if not endpoints:
            return
        try:
            wg.set_endpoints(self.cfg.interface, endpoints, self.cfg.keepalive)
        except wg.WgError as error:  # the interface is going away; its return brings everything back
            log.log(log.WARNING, str(error))

    def report(self):
        """Leave for `sitelink status` what only the daemon knows."""
        if self.report_timer is not None:
            self.report_timer.cancel()
            self.report_timer = None
        reasons = ([self.config_fault] if self.config_fault else []) + self.faults
        peers = {}
        for key, peer in self.peers.states.items():
            parts = [part for part in (self.peer_faults.get(key), peer.reason) if part]
            peers[key] = {
                "name": peer.plan.name,
                "alive": peer.alive,
                "endpoint": peer.endpoint or (peer.known[0] if peer.known else None),
                "source": peer.source if peer.endpoint or not peer.known else peer.known[1],
                "reason": "; ".join(parts),
            }
        alive = sum(1 for peer in peers.values() if peer["alive"])
        self.loop.notifier.status("; ".join(reasons) or "%d of %d peers alive" % (alive, len(peers)))
        state.write_json(
            self.status_path(),
            {
                "interface": self.cfg.interface,
                "mesh": self.cfg.mesh,
                "state": "fault" if reasons else "ok",
                "reason": "; ".join(reasons),
                "way": list(self.way) if self.way else None,
                "peers": peers,
            },
        )
