# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon of one WireGuard interface: it owns the endpoints of the peers, the overlay routes, and the agreement of
the running device with its configuration file.

wg0.conf names no endpoints, so that a name that does not resolve keeps nothing from coming up; they are set here, one
peer at a time, each together with its keepalive (which without an endpoint would burn WireGuard's one initiation per
5 s). Stopping the daemon touches no tunnel.
"""

import itertools
import random
import signal
import time

from . import config, dns, exits, front, handover, icmp, lease, loaded, log, netlink, overlay, state, tell, wg
from .loop import Loop
from .peers import Peers, roams
from .resolve import Questions, Resolver
from .revive import Revive

RECONCILE_SECONDS = 60
RETRY_SECONDS = 2  # after wg or the kernel failed
POLL_SECONDS = 5  # between looks at the receive counters when nothing happens
FAST_POLL_SECONDS = 0.2  # and for a while after something did
FAST_FOR_SECONDS = 15
REPORT_SECONDS = 0.2
SAVE_SECONDS = 10  # between two writings of the endpoints to disk
ASKED, TOLD = 8, 32  # peers at most that are asked for others, and told of another's new endpoint
ASK_READY_SECONDS = 1  # between two questions whether the peers know the new key of this site
# Seconds after which the peer of a site with a new key begins a handshake, should that site's own have come too early:
# WireGuard begins one in 5 s only, and one that meets the old key is lost.
HANDSHAKE_AFTER_SWITCH = 0.1
# Seconds that a site with a new key may need from saying so to using it; what it sends meanwhile is under the old one.
UNDER_WAY_SECONDS = 0.05
RESOLVERS = 3  # live peers at most whose DNS is asked


def way_out(kernel, cfg):
    """(source address, gateway) of marked packets into the underlay, or None while they have no way through the NIC."""
    link = kernel.link(cfg.underlay_interface)
    if link is None or not link.carrier:
        return None
    _, route = front.asked(kernel, cfg.networks[0], cfg.fwmark, link.index)
    if route is None or route.oif != link.index:
        return None
    return route.prefsrc, route.gateway


def run(interface):
    """The daemon. Returns an exit code; raises ConfigError."""
    record = loaded.Record(loaded.unit("mesh", interface))
    cfg = config.load_mesh(interface)
    held = state.lock(config.run_path("mesh", interface, "lock"))
    if held is None:
        log.log(log.ERROR, "another sitelink mesh %s is running already" % interface)
        return 1
    loop = Loop()
    daemon = Daemon(cfg, loop, record)
    loop.run()
    daemon.close()
    return 0


class Daemon:
    def __init__(self, cfg, loop, record):
        self.record = record
        self.plan = self.cfg = cfg  # what the files say, and the same with the keys that are in use
        self.conf, self.device = None, None  # as of the last look
        self.loop = loop
        self.kernel = netlink.Kernel()
        self.events = netlink.Events(["link", "address", "route", "rule"])
        self.resolver = Resolver(loop)
        self.handover = handover.Handover(state.read_json(self.keys_path()))
        self.cfg = self.handover.plan_in_use(cfg)
        self.peers = Peers(self.cfg)
        self.asking, self.asking_since = None, None
        self.index = None  # of the interface while it is up
        self.faults, self.peer_faults = [], {}
        self.config_fault = ""
        self.poll_timer = self.retry_timer = self.report_timer = self.save_timer = None
        self.fast_until = 0.0
        self.post, self.post_fault, self.limit = None, "", tell.Limit()
        saved = state.read_json(self.status_path())
        self.peers.remember(state.mapping(state.read_json(self.disk_path()).get("peers")))
        self.peers.restore(state.mapping(saved.get("peers")))
        self.exits = exits.Exits(loop, self.kernel, time.monotonic, self.exit_changed, self.doubt, saved.get("exit") or {})
        self.exits.configure(self.plan)
        self.revive = Revive(loop, cfg.interface, lambda: self.kernel.link(cfg.interface) is None)
        self.way = tuple(saved.get("way") or ()) or None  # the last one there was
        self.cut = self.way is None  # there is none now
        loop.watch(self.events, self.on_events)
        loop.every(RECONCILE_SECONDS, self.reconcile)
        loop.on_signal(signal.SIGHUP, self.reload)
        self.reconcile()
        loop.notifier.send("READY=1")

    def close(self):
        """The last word before a reboot: endpoints that changed lately."""
        if self.save_timer is not None:
            self.save()

    def status_path(self):
        return config.run_path("mesh", self.cfg.interface, "json")

    def disk_path(self):
        return config.lib_path("mesh", self.cfg.interface, "json")

    def keys_path(self):
        return config.lib_path("keys", self.plan.interface, "json")

    def reload(self):
        """A changed plan, told by SIGHUP."""
        record = loaded.Record(self.record.name)
        try:
            self.plan = config.load_mesh(self.plan.interface)
            self.conf = None  # it was of the plan before, until the next look that succeeds
            # The program and the unit are those of the start.
            self.record.found["files"] = record.found["files"]
            self.config_fault = ""
            self.use_keys()
            self.close_post()
            self.exits.configure(self.plan)
        except config.ConfigError as error:
            self.config_fault = str(error)
        self.reconcile()

    def on_events(self):
        events, lost = self.events.read()
        if lost or any(self.touches_overlay(event) for event in events):
            self.reconcile()
        elif events:
            for event in events:
                if self.exits.concerns(event):
                    self.exits.on_event(event)
                    break
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
        self.record.read(config.wireguard_path(self.cfg.interface))
        link = self.kernel.link(self.cfg.interface)
        # wg-quick sets the link up last; to act sooner would race with its wg setconf, which wipes endpoints
        index = link.index if link is not None and link.up else None
        if index != self.index:
            self.index = index
            self.peers.forget(time.monotonic())
            self.close_post()
            self.hurry()
            log.log(log.INFO, "%s is %s" % (self.cfg.interface, "up" if index else "gone or down"))
        self.faults, self.peer_faults = [], {}
        if not self.exits.routed:  # no packet looks for an exit when AllowedIPs names none
            self.exits.apply()
        if index is None:
            self.faults.append(
                "%s %s; start it with: systemctl restart wg-quick@%s"
                % (self.cfg.interface, "does not exist" if link is None else "is down", self.cfg.interface)
            )
            if link is None:
                self.revive.missing()
        else:
            self.revive.present()
            try:
                self.faults, self.peer_faults, self.conf = overlay.reconcile(
                    self.kernel, self.plan, link, self.handover, self.exits.address
                )
                if self.conf is not None:
                    self.use_keys()
                self.open_post()
                self.ask_ready()
            except (wg.WgError, OSError) as error:
                self.failed(error)
        if self.exits.routed:
            self.exits.apply()
        self.record.publish()
        self.look_at_way()
        self.poll()

    def use_keys(self):
        """Go on with the keys that are in use now, and keep them for whoever starts anew."""
        cfg = self.handover.plan_in_use(self.plan)
        if cfg != self.cfg:
            self.cfg = cfg
            self.peers.update(cfg)
        if self.conf is not None:
            state.publish(self.keys_path(), self.handover.to_save(), 0o600)

    def ask_ready(self):
        """While a new key of this site waits: ask whether the peers know it, and use it once all do."""
        if self.asking is not None:
            self.asking.cancel()
            self.asking = None
        if self.conf is None or self.index is None or not self.handover.own_pending(self.plan):
            self.asking_since = None
            return
        now = time.monotonic()
        if self.asking_since is None:
            self.asking_since = now
            log.log(log.INFO, "a new key of this site waits until its peers know it")
        lacking = self.handover.lacking(now)
        if not lacking:
            self.switch()
            return
        for address in self.handover.waits:
            question = self.question(address)
            if self.post is not None and question is not None:
                self.post.send(address, tell.build(tell.KEYS, [question]))
        self.asking = self.loop.after(ASK_READY_SECONDS, self.ask_ready)

    def question(self, address):
        """What the site at that address is asked to know: the new key of this site, and the preshared key of the two."""
        key = next((peer.public_key for peer in self.plan.peers if peer.address == address), None)
        if key is None or self.conf is None:
            return None
        return handover.key_bytes(self.plan.public_key) + handover.digest(self.conf.peers[key].preshared_key)

    def switch(self):
        """Use the new key of this site, all peers knowing it. Who is told puts it into the place of the old one once
        the packets under the old one have arrived."""
        new, live = self.plan.public_key, self.peers.live()
        try:
            device = wg.show(self.plan.interface)
            self.handover.use_own(self.plan)
            conf = self.handover.conf_in_use(self.plan, self.conf)
            self.use_keys()
            self.send(live, tell.build(tell.SWITCH, [handover.key_bytes(new)]) * 2)
            wg.apply(self.plan.interface, conf, device)
        except wg.WgError as error:
            self.failed(error)
            return
        log.log(log.INFO, "the new key of this site is in use")
        self.asking_since = None
        self.peers.exchanged(live, time.monotonic())
        self.echo(live)
        self.hurry()

    def on_switch(self, address, key):
        """A peer says that it takes its new key into use."""
        if any(peer.address == address and self.handover.pending(peer) for peer in self.plan.peers):
            self.loop.after(UNDER_WAY_SECONDS, lambda: self.swap(address, key))

    def swap(self, address, key):
        """Put the new key of a peer into the place of the old one."""
        peer = next((peer for peer in self.plan.peers if peer.address == address), None)
        if self.conf is None or peer is None or not self.handover.pending(peer):
            return
        old = self.handover.key(peer)
        if not self.handover.use_peer(self.plan, peer, key) or old == key:
            return
        endpoint = self.peers.states[old].endpoint
        try:
            wanted = self.handover.conf_in_use(self.plan, self.conf).peers[key]
            wg.swap_peer(self.plan.interface, old, key, wanted, endpoint)
        except wg.WgError as error:
            self.failed(error)
        self.use_keys()
        self.peers.exchanged([key], time.monotonic())
        log.log(log.INFO, "%s uses its new key" % peer.name)
        self.hurry()
        self.loop.after(HANDSHAKE_AFTER_SWITCH, self.poll)  # which sets the keepalive, and that begins one

    def try_other_keys(self, now):
        """Peers with two keys: one that lives shows which it uses, one that is silent may use the other."""
        changed = False
        for peer in self.plan.peers:
            if not self.handover.pending(peer):
                continue
            if self.peers.states[self.handover.key(peer)].alive:
                changed = self.handover.heard(self.plan, peer) or changed
            elif not self.cut:
                changed = self.handover.try_other(peer, now) or changed
        if changed:
            self.use_keys()
            self.retry_soon()

    def failed(self, error):
        """Say so, and try again soon."""
        if str(error) not in self.faults:
            self.faults.append(str(error))
        self.retry_soon(RETRY_SECONDS)

    def retry_soon(self, seconds=0):
        if self.retry_timer is not None:
            self.retry_timer.cancel()
        self.retry_timer = self.loop.after(seconds, self.reconcile)

    def open_post(self):
        if self.post is not None or not self.cfg.addresses:
            return
        try:
            self.post = tell.Post(self.cfg.interface, self.cfg.addresses[0].split("/")[0])
            self.loop.watch(self.post, self.on_post)
            self.post_fault = ""
        except OSError as error:
            self.post_fault = "peers cannot tell this site of others: UDP port %d of %s: %s" % (
                tell.PORT, self.cfg.interface, error.strerror
            )  # fmt: skip

    def close_post(self):
        if self.post is not None:
            self.loop.unwatch(self.post)
            self.post.close()
            self.post = None

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
        # A daemon that just started does not know yet who lives, and who moved as well has an endpoint that is newer than
        # the last look: an older one must not be set over it.
        self.learn()
        self.peers.moved(time.monotonic())
        if self.index is not None:
            self.announce()
        self.poll()

    def exit_changed(self):
        """First of all tell who starts anew after a crash."""
        self.report()
        self.retry_soon()

    def doubt(self, name):
        """The internet does not answer through this peer: is it there at all?"""
        self.peers.doubt(name, time.monotonic())
        self.poll()

    def announce(self):
        """Let every live peer hear from the new address at once: WireGuard itself would say nothing. After learn().

        Setting the same endpoint makes wireguard-go drop the source address it remembers, but sends nothing: the message
        and the echo request are the packets. Who gets the message tells what is news, and tells others of this site.
        """
        live = self.peers.live()
        self.set_endpoints({key: self.peers.states[key].endpoint for key in live})
        self.send(live, tell.build(tell.MOVED))
        self.echo(live)

    def send(self, keys, messages):
        if self.post is not None:
            for key in keys:
                self.post.send(self.peers.states[key].plan.address, messages)

    def on_post(self):
        now = time.monotonic()
        known = self.peers.by_address
        wanted, due, heard = [], False, False
        for sender, kind, records in self.post.receive(known, self.limit, now):
            if kind == tell.TOLD:
                due = self.peers.told(sender, records, now) or due
            elif kind == tell.SWITCH:
                self.on_switch(sender, handover.key_text(records[0]))
            elif kind == tell.KEYS:
                key, preshared = handover.key_text(records[0][:32]), records[0][32:]
                if self.conf is not None and self.handover.knows(self.plan, self.conf, sender, key, preshared):
                    self.use_keys()  # what is promised is kept
                    self.post.send(sender, tell.build(tell.READY, records))
            elif kind == tell.READY:
                if records[0] == self.question(sender):
                    self.handover.ready[sender] = now
            elif kind == tell.ASK:
                self.post.send(sender, tell.build(tell.ANSWER))
            elif kind == tell.ANSWER:
                self.peers.answered(known[sender])
                heard = heard or self.peers.states[known[sender]].suspect is not None
            else:
                wanted.append((sender, records if kind == tell.QUESTION else None))
        # Not for a question: each site asks of a dead one for as long as it is dead, and that may be for good.
        if due or any(addresses is None for _, addresses in wanted):
            self.hurry()
        if wanted or due or heard:
            self.poll()  # the message came from where WireGuard has its sender now: learn that, then answer
            known = self.peers.by_address  # a silent peer with two keys may have got the other one's turn
        for sender, addresses in wanted:
            if addresses is None:
                keys = self.peers.news(now)
            else:
                keys = [known[address] for address in addresses if address in known]
            self.tell_of(keys, [known[sender]])

    def tell_of(self, keys, listeners):
        """Tell peers where others are heard."""
        now = time.monotonic()
        for listener in listeners:
            records = self.peers.heard([key for key in keys if key != listener], now)
            if records:
                self.send([listener], tell.build(tell.TOLD, records))

    def echo(self, keys):
        """Let these prove that they live: by an echo request, and in our own words, since many a firewall drops the former."""
        if not keys:
            return
        self.send(keys, tell.build(tell.ASK))
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
        device = self.learn()
        if device is not None:
            self.act(device, now)
            self.try_other_keys(now)
        self.exits.decide({self.peers.states[key].plan.name for key in self.peers.live()})
        wait = FAST_POLL_SECONDS if now < self.fast_until else POLL_SECONDS
        due = self.peers.next_due(now) if self.index is not None and not self.cut else None
        if due is not None:
            wait = min(wait, max(due, FAST_POLL_SECONDS / 2))
        self.poll_timer = self.loop.after(wait, self.poll)
        self.report()

    def learn(self):
        """Look at the device: who lives, and where. Returns it, or None while there is none."""
        if self.index is None:
            return None
        try:
            device = wg.show(self.cfg.interface)
        except wg.WgError as error:
            self.failed(error)
            return None
        changes = self.peers.observe(device, time.monotonic(), time.time())
        self.set_endpoints(changes.lacking)
        self.after_changes(changes)
        return device

    def after_changes(self, changes):
        """Log who came and who went, and let others know."""
        states = self.peers.states
        for key in changes.came:
            log.log(
                log.INFO, "%s is alive at %s (%s)" % (states[key].plan.name, states[key].endpoint, states[key].source)
            )
        for key in changes.moved:
            log.log(log.INFO, "%s moved to %s" % (states[key].plan.name, states[key].endpoint))
        for key in changes.lost:
            log.log(log.WARNING, "%s is silent" % states[key].plan.name)
            self.hurry()
        for key in changes.removed:
            log.log(
                log.WARNING, "%s was removed from %s by hand; it is put back" % (states[key].plan.name, self.cfg.interface)
            )
        if changes.removed:
            self.retry_soon()
        if changes.came or changes.moved:
            if self.save_timer is None:
                self.save_timer = self.loop.after(SAVE_SECONDS, self.save)
            live = self.peers.live()
            self.tell_of(changes.came + changes.moved, random.sample(live, min(TOLD, len(live))))
        if changes.came:
            dead = [peer.plan.address for peer in states.values() if not peer.alive]
            if dead:
                self.send(changes.came, tell.build(tell.QUESTION, dead))

    def save(self):
        """Keep the endpoints that worked for the next boot."""
        self.save_timer = None
        state.publish(self.disk_path(), {"peers": self.peers.to_remember()})

    def act(self, device, now):
        if self.cut:  # WireGuard would spend its one initiation per 5 s on nothing
            return
        actions = self.peers.due(now)
        if actions.tries:
            try:
                wg.replace_peers(self.cfg.interface, device, actions.tries, self.cfg.keepalive)
            except wg.WgError as error:
                for key in actions.tries:
                    self.peers.not_tried(key, device.peers.get(key))
                self.failed(error)
        self.echo(actions.echoes)
        if actions.questions:
            live = self.peers.live()
            dead = [self.peers.states[key].plan.address for key in actions.questions]
            self.send(random.sample(live, min(ASKED, len(live))), tell.build(tell.QUESTION, dead))
        for peer in actions.lookups:
            host = peer.plan.endpoint[0]
            self.resolver.lookup(host, lambda *answer, peer=peer, host=host: self.on_answer(peer, host, *answer))

    def lost_interest(self, peer, host):
        """Whether the plan or the peer changed while its name was looked up."""
        endpoint = peer.plan.endpoint
        return self.peers.states.get(peer.plan.public_key) is not peer or endpoint is None or endpoint[0] != host

    def on_answer(self, peer, host, addresses, reason):
        """What the system's resolver says. If that is of no use, or of none so far, other resolvers are asked directly: a portal
        answers every name, perhaps with an address that could be one of the underlay."""
        wanted = not self.lost_interest(peer, host)
        useful = wanted and self.peers.answer(peer, addresses, reason, time.monotonic())
        if useful or not wanted:
            self.after_answer()  # its turn does not wait for the others
            if not wanted or peer.alive or peer.lookups < 2:
                peer.busy = False
                return
        live = [self.peers.states[key].plan for key in self.peers.live()]
        overlay_dns = [plan.address for plan in live if not roams(plan)]
        overlay_dns = random.sample(overlay_dns, min(RESOLVERS, len(overlay_dns)))
        underlay = {"interface": self.cfg.underlay_interface, "mark": self.cfg.fwmark}
        servers = [(address, {}) for address in dns.system_servers()]
        servers += [(address, {"interface": self.cfg.interface}) for address in overlay_dns]
        servers += [(address, underlay) for address in lease.dns_servers(self.kernel, self.cfg.underlay_interface)]
        Questions(self.loop, host, servers, lambda answers: self.on_answers(peer, host, answers, useful))

    def on_answers(self, peer, host, answers, useful=False):
        """What other resolvers say, each its first address before the second one of any; useful: so was what the system's said."""
        peer.busy = False
        if not self.lost_interest(peer, host):
            rows = itertools.zip_longest(*[answer.records for answer in answers if answer.outcome == dns.FOUND])
            addresses = [address for row in rows for address in row if address is not None]
            stripped = [answer.server[0] for answer in answers if answer.outcome == dns.STRIPPED]
            reason = peer.note
            if stripped:
                reason = (
                    "the resolver %s takes private addresses out of its answers (DNS rebind protection); allow them for %s "
                    "there" % (stripped[0], host)
                )
            self.peers.answer(peer, list(dict.fromkeys(addresses)), reason, time.monotonic(), others=True)
            if useful:
                peer.note = ""
        self.after_answer()

    def after_answer(self):
        """The answers for many peers arrive together; look at them once."""
        if self.report_timer is None:
            self.report_timer = self.loop.after(REPORT_SECONDS, self.on_report_timer)

    def on_report_timer(self):
        self.report_timer = None
        self.poll()

    def set_endpoints(self, endpoints):
        if not endpoints:
            return
        try:
            both = {key: (endpoint, self.peers.keepalive_of(key)) for key, endpoint in endpoints.items()}
            wg.set_endpoints(self.cfg.interface, both)
        except wg.WgError as error:  # the interface is going away; its return brings everything back
            log.log(log.WARNING, str(error))

    def waiting_fault(self):
        now = time.monotonic()
        if self.asking_since is None or now - self.asking_since < handover.WAIT_SECONDS:
            return ""
        lacking = self.handover.lacking(now)
        names = [peer.name for peer in self.plan.peers if peer.address in lacking]
        return (
            "the new key of this site is not in use yet, because not all know it: %s; run the playbook for them, or take those "
            "that are gone out of the mesh" % ", ".join(names)
        )

    def old_keys_fault(self):
        names = self.handover.overdue(self.plan, time.monotonic())
        if not names:
            return ""
        return (
            "the old key of %s is still in use; run the playbook for all sites, or, if others may have that key, with "
            "wireguard_mesh_key_at_once: true in the host_vars of the site that it is of" % ", ".join(names)
        )

    def report(self):
        """Leave for `sitelink status` what only the daemon knows."""
        keys = [self.waiting_fault(), self.old_keys_fault()]
        reasons = [fault for fault in [self.config_fault] + self.faults + [self.post_fault] + keys if fault]
        peers = {}
        for key, peer in self.peers.states.items():
            parts = [part for part in (self.peer_faults.get(key), peer.reason) if part]
            peers[key] = {
                "name": peer.plan.name,
                "alive": peer.alive,
                "since": peer.since,
                "endpoint": peer.endpoint,
                "source": peer.source,
                "heal": peer.heal,
                "reason": "; ".join(parts),
            }
        alive = sum(1 for peer in peers.values() if peer["alive"])
        self.loop.notifier.status("; ".join(reasons) or "%d of %d peers alive" % (alive, len(peers)))
        state.publish(
            self.status_path(),
            {
                "interface": self.cfg.interface,
                "mesh": self.cfg.mesh,
                "state": "fault" if reasons else "ok",
                "reason": "; ".join(reasons),
                "way": list(self.way) if self.way else None,
                "exit": self.exits.report(),
                "peers": peers,
            },
        )
