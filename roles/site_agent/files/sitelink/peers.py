# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of every peer, and which endpoint it is to have. Pure logic: time and devices come from outside.

Sources of endpoints (DNS, the inventory's literal addresses) only ever offer(); here alone is decided whether an offer
is good enough to be applied, and a peer that is alive is never touched.
"""

import ipaddress
import random

from . import config
from .address import listed

# In keepalive intervals. Every packet sent or received starts WireGuard's keepalive timer anew (wireguard paper, 6.5), so
# the end whose timer is the first to fire keeps the other end from ever sending: silence alone means little, and a
# silent peer is asked for an echo before it counts as dead.
QUIET, DEAD = 1.8, 2.2
SESSION_SECONDS = 200  # WireGuard refuses a session after 180 s (REJECT_AFTER_TIME), so a live one has renewed it
FIRST_RETRY, LAST_RETRY = 2, 60  # seconds between attempts to find a dead peer
JITTER = 0.25  # of that interval, so that sites do not ask in step after a power cut


class PeerState:
    """One peer. endpoint: "ip:port" or None; source: "dns", "seed" (inventory), "roamed" (learned by the kernel) or
    "none"; known: the last (endpoint, source) that worked; times are of the monotonic clock, None for never."""

    __slots__ = (
        "plan", "present", "endpoint", "source", "alive", "rx", "rx_at", "handshake", "handshake_at", "known",
        "attempts", "next_try", "busy", "note",
    )  # fmt: skip

    def __init__(self, plan):
        self.plan = plan
        self.known = None
        self.busy = False  # a lookup is under way
        self.note = ""  # what the last attempt to find an endpoint had to say
        self.forget()

    def forget(self):
        """The device is gone or new: what was counted on the old one means nothing."""
        self.present = True
        self.alive = False
        self.endpoint, self.source = None, "none"
        self.rx = self.rx_at = self.handshake = self.handshake_at = None
        self.retry()

    def retry(self):
        """Look for the peer at the next opportunity, and quickly for a while."""
        self.attempts = 0
        self.next_try = 0.0

    @property
    def reason(self):
        """Why the peer is not reached; "" when it is."""
        if self.alive:
            return ""
        if not self.present:
            return "the running device has no such peer; see the reason of the mesh"
        if self.endpoint is None:
            return self.note or "no endpoint is known yet"
        text = "no answer from %s; check that %s is on and its ONT too" % (self.endpoint, self.plan.name)
        return text + ("; " + self.note if self.note else "")


class Peers:
    def __init__(self, cfg):
        self.states = {}
        self.update(cfg)

    def update(self, cfg):
        """Take over a changed plan; peers that stay keep what is known of them."""
        self.networks = cfg.networks
        self.keepalive = cfg.keepalive
        self.own_address = None
        old, self.states = self.states, {}
        for plan in cfg.peers:
            state = old.get(plan.public_key) or PeerState(plan)
            if state.plan.endpoint != plan.endpoint:
                state.retry()
            state.plan = plan
            self.states[plan.public_key] = state

    def forget(self):
        for state in self.states.values():
            state.forget()

    def retry(self):
        for state in self.states.values():
            if not state.alive:
                state.retry()

    def restore(self, saved):
        """Take the sources of endpoints from the status file of the daemon's last run, {public key: {...}}."""
        for key, item in saved.items():
            if key in self.states and isinstance(item, dict) and item.get("endpoint"):
                self.states[key].known = (str(item["endpoint"]), str(item.get("source")))

    def observe(self, device, now, wall):
        """Compare with the running device. Returns {key: endpoint} of peers whose keepalive has to be set.

        now: monotonic seconds; wall: seconds since the epoch, used once per peer to judge a handshake of old.
        """
        lacking = {}
        for key, state in self.states.items():
            running = device.peers.get(key)
            was_alive, state.present = state.alive, running is not None
            if running is None:
                state.forget()
                state.present = False
                continue
            self._observe(state, running, now, wall)
            if was_alive and not state.alive:
                state.retry()
            if state.endpoint and running.keepalive != self.keepalive:
                lacking[key] = state.endpoint
        return lacking

    def _observe(self, state, running, now, wall):
        if state.rx is None or running.rx < state.rx:  # seen for the first time, or the device is a new one
            # a tunnel that lived when the daemon started gets the time to prove it, also after the clock was set back
            lived = running.handshake and running.rx and wall - running.handshake < SESSION_SECONDS
            state.rx_at = state.handshake_at = now if lived else None
        elif running.rx != state.rx:
            state.rx_at = now
            if running.handshake and running.handshake != state.handshake:
                state.handshake_at = now
        state.rx, state.handshake = running.rx, running.handshake
        if running.endpoint != state.endpoint:
            state.source = "roamed" if running.endpoint else "none"
            if state.known and state.known[0] == running.endpoint:
                state.source = state.known[1]
            state.endpoint = running.endpoint
        state.alive = (
            state.endpoint is not None
            and state.rx_at is not None
            and now - state.rx_at <= DEAD * self.keepalive
            and state.handshake_at is not None
            and now - state.handshake_at <= SESSION_SECONDS
        )
        if state.alive:
            state.known = (state.endpoint, state.source)
            state.note = ""

    def quiet(self, now):
        """The keys of living peers that are to prove it."""
        return [key for key, state in self.states.items() if state.alive and now - state.rx_at > QUIET * self.keepalive]

    def attempt(self, now):
        """The peers to look for now. Returns ({key: endpoint to set}, [states whose names are to be looked up])."""
        endpoints, lookups = {}, []
        for key, state in self.states.items():
            if state.alive or not state.present or state.busy or now < state.next_try:
                continue
            interval = min(LAST_RETRY, FIRST_RETRY * 2 ** min(state.attempts, 10))
            state.next_try = now + interval * random.uniform(1 - JITTER, 1 + JITTER)
            state.attempts += 1
            if state.endpoint is None and state.known:  # wg0 was restarted: what worked last is the best guess
                state.endpoint, state.source = state.known
                endpoints[key] = state.endpoint
            elif state.plan.endpoint is None:
                state.note = "it has no endpoint in the plan; it has to call this site"
            elif _is_address(state.plan.endpoint[0]):
                endpoint = self.offer(state, [state.plan.endpoint[0]], "seed")
                if endpoint:
                    endpoints[key] = endpoint
            else:
                state.busy = True
                lookups.append(state)
        return endpoints, lookups

    def offer(self, state, addresses, source, reason=""):
        """An answer of a source. Returns the endpoint to set, or None; a refusal is noted with its reason."""
        if state.alive or not state.present:
            return None
        host, port = state.plan.endpoint
        valid = [item for item in addresses if config.inside(item, self.networks) and item != self.own_address]
        if not valid:
            if self.own_address in addresses:
                reason = "%s leads to %s, this site's own address; its record is out of date" % (host, self.own_address)
            elif addresses:
                reason = "%s leads to %s, which is outside the underlay %s" % (
                    host, listed(addresses), listed(self.networks)
                )  # fmt: skip
            state.note = reason
            return None
        state.note = ""
        endpoint = "%s:%d" % (valid[(state.attempts - 1) % len(valid)], port)  # of several, each in turn
        if endpoint == state.endpoint:
            return None
        state.endpoint, state.source = endpoint, source
        return endpoint


def _is_address(host):
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
