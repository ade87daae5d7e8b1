# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of every peer, and which endpoint it is to have. Pure logic: time, chance and devices come from outside.

A peer is alive, suspect (alive, but it is to prove it) or dead. Sources only ever add candidates, endpoints at which a
peer may be; here alone is decided which of them is tried and when, and an endpoint of a live peer is never touched.
"""

import ipaddress
import random

from . import config
from .address import listed

# In keepalive intervals. Every packet sent or received starts WireGuard's keepalive timer anew (wireguard paper, 6.5), so
# the end whose timer is the first to fire keeps the other end from ever sending: silence alone means little.
QUIET = 1.8
# Seconds that a silent peer has to answer echo requests. Where a firewall drops them WireGuard itself answers the packet
# after 10 s (KEEPALIVE_TIMEOUT).
QUIET_PATIENCE = 12
# A site answers by itself, in our own words. With the silence before it, a peer whose handshakes are refused for good (its clock
# was set back) is made anew within 55 s of its last packet.
SITE_PATIENCE = 5
# That one has who has just come to life by its own call: whoever calls while it is made anew at the other end holds a session that
# nobody has there any more.
CAME_PATIENCE = 3.0
HANDOVER_PATIENCE = 7.0  # after a new key: WireGuard begins a second handshake after 5 s
MOVED_PATIENCE = 1.0  # seconds that it has when there is a reason to think that the link is broken
ECHOES = 4  # requests in that time
SESSION_SECONDS = 200  # WireGuard refuses a session after 180 s (REJECT_AFTER_TIME), so a live one has renewed it
# It is renewed with the first packet after 120 s (REKEY_AFTER_TIME), on an idle pair a keepalive; and that may need some attempts.
RENEWAL_SECONDS = 120 + 55

TRY_SECONDS = 2  # that a candidate has before the next one's turn
FIRST_TRY_SECONDS = 1  # that it has when a new one arrives meanwhile
STAGGER_SECONDS = 0.3  # that one end of a pair waits: of two handshakes begun at the same time none succeeds
PROVEN_SECONDS = 15  # that an endpoint which once worked waits for its next turn behind those that nobody has tried
EAGER_SECONDS = 120  # after a loss the candidates take turns without pause, and DNS is asked often
PAUSE, LAST_PAUSE = 5, 60  # seconds between two turns of the same candidates; WireGuard initiates once in 5 s anyway
LOOKUP_SECONDS = 4  # between two DNS lookups for one dead peer while eager
LOOKUPS_PER_SECOND = 4  # for all dead peers together
FIRST_QUESTION, LAST_QUESTION = 1, 30  # seconds between questions to the live peers
TOLD_SECONDS = 5  # between two changes of what one peer tells about another that are heeded
TOLD_AGE = 3600  # seconds; who heard a peer longer ago than this knows nothing
NEWS_SECONDS = 120  # an endpoint that changed less than this ago is news to a peer that moved itself
JITTER = 0.25  # of intervals, so that sites do not act in step after a power cut
REMEMBERED = 4  # endpoints per peer on disk

# The order of sources: what somebody set on the running device, what a live peer hears now, what worked last, what others wrote down.
RANK = {"hand": 0, "peer": 1, "roamed": 2, "disk": 3, "dns": 4, "seed": 5}


class Candidate:
    """An endpoint at which a peer may be; tried_at: monotonic seconds of its last turn, None before the first, for which it
    waits since waits_at."""

    __slots__ = ("source", "tried_at", "waits_at")

    def __init__(self):
        self.source = self.tried_at = self.waits_at = None

    def begin(self):
        """The search begins anew."""
        self.tried_at = self.waits_at = None


class PeerState:
    """One peer. endpoint: "ip:port" or None; source: where it came from (a key of RANK) or "none"; since: when it came to
    be alive or dead; heal: (seconds, source) of the last heal or None. Times are of the monotonic clock, None for never.

    What each source names stands apart, and the candidates are all of it: seen (on the device), told, remembered (endpoints
    that worked, the last one first), resolved, elsewhere, seeds.
    """

    __slots__ = (
        "plan", "present", "endpoint", "source", "alive", "rx", "rx_at", "handshake", "handshake_at", "remembered",
        "sources", "since", "changed_at", "suspect", "lost_at", "heal", "candidates", "told", "tries", "passes",
        "eager_until", "next_try", "next_lookup", "next_question", "questions", "busy", "note", "restored",
        "kept", "seen", "resolved", "elsewhere", "seeds", "lookups", "was_new", "was_told", "replaced", "mute",
    )  # fmt: skip

    def __init__(self, plan):
        self.plan = plan
        self.alive = False
        self.remembered = []
        self.kept = None  # the one of them at which this daemon heard the peer last
        self.seen = None  # (endpoint, "hand" or "roamed", when): the device had it, but not from here, and it proved nothing
        self.seeds = []  # endpoints that the inventory names
        self.mute = False  # it lived, and did not answer in the time that sites need: only WireGuard itself answers for it
        self.resolved, self.elsewhere = [], []  # that the system's resolver names, and that others do
        self.sources = {}  # of endpoints that worked, for a daemon or device that starts anew
        self.since = self.changed_at = self.lost_at = self.heal = None
        self.restored = False  # since is what the last daemon of this boot had, and this one has not looked yet
        self.busy = False  # a lookup is under way
        self.note = ""  # what the last attempt to find an endpoint had to say
        self.told = {}  # {who told: (endpoint or None, when)}
        self.candidates = {}
        self.forget()

    def forget(self, now=None):
        """The device is gone or new, since now if that is known: what was counted on the old one means nothing."""
        self.present = True
        if self.alive:
            self.since = None
            self.lost_at = now if self.lost_at is None else self.lost_at
        self.alive = False
        self.suspect = None  # [reason, since, patience, next echo]
        self.endpoint, self.source = None, "none"
        self.rx = self.rx_at = self.handshake = self.handshake_at = None
        self.tries = self.passes = self.questions = self.lookups = 0
        self.was_new = False  # the last turn was one of an endpoint that nobody had tried
        self.was_told = False  # and a peer had told it
        self.replaced = False  # a source took back in this search what had its turn, and may go on with that for ever
        self.next_try = self.next_lookup = self.next_question = 0.0
        self.eager_until = None  # from the next opportunity on
        for candidate in self.candidates.values():
            candidate.begin()

    def renew(self):
        """Bring the candidates to what the sources name. Returns whether there is a new one.

        A candidate is there for as long as one of them names it, with the rank of the best that does: what one source says
        takes away nothing that another knows, least of all what was proven.
        """
        named, seen = {}, {"hand": [], "roamed": [endpoint for endpoint in self.remembered if endpoint == self.kept]}
        if self.seen is not None:
            seen[self.seen[1]].append(self.seen[0])
        for source, endpoints in (
            ("hand", seen["hand"]),
            ("peer", [endpoint for endpoint, _ in self.told.values() if endpoint]),
            ("roamed", seen["roamed"]),
            ("disk", self.remembered),
            ("dns", self.resolved + self.elsewhere),
            ("seed", self.seeds),
        ):
            for endpoint in endpoints:
                named.setdefault(endpoint, source)
        before, self.candidates = self.candidates, {}
        for endpoint, source in named.items():
            candidate = self.candidates[endpoint] = before.get(endpoint) or Candidate()
            candidate.source = source
        if any(each.tried_at is not None and endpoint not in named for endpoint, each in before.items()):
            self.replaced = True
        return any(endpoint not in before for endpoint in named)

    def forget_words(self):
        """What peers told of it was wrong. Who told what, and when, still limits how often he is heeded."""
        self.told = {sender: (None, when) for sender, (_, when) in self.told.items()}
        self.renew()

    @property
    def reason(self):
        """Why the peer is not reached; "" when it is."""
        if self.alive:
            return ""
        if not self.present:
            return "the running device has no such peer, as if it had been removed by hand; sitelink puts it back"
        if self.endpoint is None:
            return self.note or "no endpoint is known yet"
        text = "no answer from %s; check that %s is on and its ONT too" % (self.endpoint, self.plan.name)
        return text + ("; " + self.note if self.note else "")


class Changes:
    """What an observation found. lacking: {key: endpoint} whose keepalive has to be set; lost, came: keys that died and
    that came to life; moved: keys of live peers with a new endpoint; removed: keys that the device had and has no more."""

    __slots__ = ("lacking", "lost", "came", "moved", "removed")

    def __init__(self):
        self.lacking, self.lost, self.came, self.moved, self.removed = {}, [], [], [], []


class Actions:
    """What is due. tries: {key: endpoint} to give to dead peers; echoes: keys to send an echo request; lookups: states
    whose names are to be looked up (they are busy until answer()); questions: keys of dead peers to ask the others for."""

    __slots__ = ("tries", "echoes", "lookups", "questions")

    def __init__(self):
        self.tries, self.echoes, self.lookups, self.questions = {}, [], [], []


class Peers:
    def __init__(self, cfg, chance=random.uniform):
        self.states = {}
        self.own_address = None
        self._chance = chance
        self.update(cfg)

    def update(self, cfg):
        """Take over a changed plan; peers that stay keep what is known of them."""
        self.networks, self.keepalive, self.own_key = cfg.networks, cfg.keepalive, cfg.public_key
        old, self.states = self.states, {}
        keys = {plan.public_key for plan in cfg.peers}
        left = {key: state for key, state in old.items() if key not in keys}
        for plan in cfg.peers:
            state = old.get(plan.public_key)
            if state is None:
                state = self._with_another_key(plan, left)
            if state is None:
                state = PeerState(plan)
            elif (state.plan.endpoint, state.plan.seeds) != (plan.endpoint, plan.seeds):
                state.next_try = state.next_lookup = 0.0
                state.resolved, state.elsewhere = [], []
            state.plan = plan
            self.states[plan.public_key] = state
            written = plan.seeds + _literal(plan)
            state.seeds = [endpoint for endpoint in written if self._usable(endpoint, plan)]
            for endpoint in written:
                if endpoint not in state.seeds:
                    state.note = self._refusal(plan.name, [_host(endpoint)])
            state.renew()
        # who may tell of others
        self.by_address = {state.plan.address: key for key, state in self.states.items() if not state.plan.external}

    @staticmethod
    def _with_another_key(plan, left):
        """The state of the same peer under its former key, or None. What worked is still where to look for it first; that
        it lives it has to prove anew."""
        for same in ("name", "address"):
            for key, state in left.items():
                if getattr(state.plan, same) == getattr(plan, same):
                    state.rx = state.handshake = None
                    state.present = True
                    return left.pop(key)
        return None

    def forget(self, now):
        for state in self.states.values():
            state.forget(now)

    def remember(self, saved):
        """Take the endpoints of the file on disk, the last one first: {public key: {"name": ..., "endpoints": ["ip:port", ...]}},
        or {public key: ["ip:port", ...]} as it was written before. A key that is not known any more may be a peer's former one.
        """
        names = {state.plan.name: state for key, state in self.states.items() if key not in saved}
        for key, item in saved.items():
            state, endpoints = self.states.get(key), item
            if isinstance(item, dict):
                name, endpoints = item.get("name"), item.get("endpoints")
                if state is None and isinstance(name, str):
                    state = names.get(name)
            if state is None or not isinstance(endpoints, list):
                continue
            for endpoint in endpoints[:REMEMBERED]:
                if parse_endpoint(endpoint) and self._usable(endpoint, state.plan) and endpoint not in state.remembered:
                    state.remembered.append(endpoint)
            state.renew()

    def to_remember(self):
        return {
            key: {"name": state.plan.name, "endpoints": state.remembered}
            for key, state in self.states.items()
            if state.remembered
        }

    def restore(self, saved):
        """Take what the status file of this boot's last run says, {public key: {...}}."""
        for key, item in saved.items():
            state = self.states.get(key)
            if state is None or not isinstance(item, dict):
                continue
            if item.get("endpoint") and item.get("source") in RANK:
                state.sources[str(item["endpoint"])] = item["source"]
            if isinstance(item.get("since"), float) and item.get("alive"):
                state.since, state.restored = item["since"], True
            heal = item.get("heal")
            if isinstance(heal, list) and len(heal) == 2:
                state.heal = tuple(heal)

    def observe(self, device, now, wall):
        """Compare with the running device; wall: seconds since the epoch, to judge a handshake of old. Returns Changes."""
        changes = Changes()
        for key, state in self.states.items():
            running = device.peers.get(key)
            if running is not None and state.plan.allowed_ips and not running.allowed_ips:
                # `wg set` knows no "only if it is there": set for a peer that somebody removed within a millisecond before,
                # an endpoint makes one that is nothing but an endpoint.
                running = None
            was_alive, before, looked = state.alive, state.endpoint, state.rx is not None
            first = state.restored  # the daemon was away, not the tunnel
            state.present = running is not None
            if running is None:
                if state.rx is not None:  # it was seen on this device
                    changes.removed.append(key)
                state.forget(now)
                state.present = False
            else:
                self._observe(state, running, now, wall)
                if state.endpoint and running.keepalive != self.keepalive_of(key):
                    changes.lacking[key] = state.endpoint
            if state.since is None or (was_alive != state.alive and not first):
                state.since = now
            if was_alive and not state.alive:
                self._lose(state, now)
                changes.lost.append(key)
            if state.alive and not was_alive:
                self._welcome(state, now)
                if looked and not state.plan.external:
                    self._suspect(state, now, now, self._patience(state, CAME_PATIENCE))
                changes.came.append(key)
            elif state.alive and state.endpoint != state.kept and state.rx_at == now:
                changes.moved.append(key)
            elif running is not None and before != state.endpoint:
                self._see(state, before, now)
                continue
            else:
                continue
            state.changed_at = now
            self._keep(state)
        return changes

    def _see(self, state, before, now):
        """The device has another endpoint for a peer, and nobody gave it one here: somebody set it by hand, or the peer calls and
        our answer has not arrived. It has the next turn; a call has a second to come to something."""
        endpoint, source = state.endpoint, "roamed" if state.rx_at == now else "hand"
        if endpoint is None or not self._usable(endpoint, state.plan):
            return
        if before is None and (endpoint in state.candidates or endpoint in state.sources):
            return  # this daemon has just begun to look, and the last one had set it
        again = state.seen is not None and now - state.seen[2] < TOLD_SECONDS
        if again and (source != "hand" or endpoint == state.seen[0]):
            return  # old calls of it can be played again from anywhere, and somebody's script may set the same one all the time
        state.seen, state.source = (endpoint, source, now), source
        if endpoint in state.candidates:
            state.candidates[endpoint].begin()
        self._renew(state, now)
        state.next_try = now if source == "hand" else now + FIRST_TRY_SECONDS

    def _observe(self, state, running, now, wall):
        if state.rx is None or running.rx < state.rx:  # seen for the first time, or the device is a new one
            # a tunnel that lived when the daemon started gets the time to prove it, also after the clock was set back
            # and forward: the last daemon of this boot had it for alive
            recent = wall - running.handshake < SESSION_SECONDS or state.restored
            lived = running.handshake and running.rx and recent
            state.rx_at = state.handshake_at = now if lived else None
        else:
            # Bytes and handshake are counted one after the other, and this look may be between the two.
            if running.handshake and running.handshake != state.handshake:
                state.handshake_at = now
            if running.rx != state.rx:
                state.rx_at = now
                if state.suspect is not None:
                    state.suspect = None
                    state.forget_words()
        state.rx, state.handshake, state.restored = running.rx, running.handshake, False
        if running.endpoint != state.endpoint:
            state.source = state.sources.get(running.endpoint, "roamed") if running.endpoint else "none"
            state.endpoint = running.endpoint
        heard = (
            state.endpoint is not None
            and state.rx_at is not None
            and state.handshake_at is not None
            and now - state.handshake_at <= max(SESSION_SECONDS, RENEWAL_SECONDS + self.keepalive)
        )
        if not heard:
            state.alive = False
        elif state.alive:
            if state.suspect is None and now - state.rx_at > QUIET * self.keepalive:
                self._suspect(state, state.rx_at, now, self._patience(state, SITE_PATIENCE))
            if state.suspect is not None and now - state.suspect[1] >= state.suspect[2]:
                state.alive = False
        else:
            state.alive = now in (state.rx_at, state.handshake_at)  # only what is heard now makes the dead live

    @staticmethod
    def _patience(state, seconds):
        """Seconds that a peer has to answer: these, if it answers as sites do."""
        return QUIET_PATIENCE if state.plan.external or state.mute else seconds

    def _suspect(self, state, lost_at, now, patience):
        if state.suspect is None or state.suspect[1] + state.suspect[2] > now + patience:
            state.suspect = [lost_at, now, patience, now]

    def _lose(self, state, now):
        state.lost_at = state.suspect[0] if state.suspect else now
        if state.suspect is not None and state.suspect[1] == state.changed_at:
            state.mute = True  # it was heard when it came, and not once since; the next time it gets longer
        state.suspect = None
        self._search(state, now)

    def _search(self, state, now):
        """Look for a dead peer from the beginning, and eagerly."""
        state.tries = state.passes = state.questions = state.lookups = 0
        state.eager_until = now + EAGER_SECONDS
        state.next_try = state.next_lookup = state.next_question = now
        if state.plan.public_key < self.own_key:
            state.next_try += STAGGER_SECONDS
        state.replaced = False
        for candidate in state.candidates.values():
            candidate.begin()

    def _welcome(self, state, now):
        if state.lost_at is not None:
            state.heal = (round(now - state.lost_at, 3), state.source)
            state.lost_at = None
        state.note = ""
        state.suspect = None

    def _keep(self, state):
        """Only ever called for a peer that was heard, authenticated, at its endpoint."""
        endpoint = state.kept = state.endpoint
        state.seen = None
        if not self._usable(endpoint, state.plan):
            return
        state.sources = {endpoint: state.source}
        state.remembered = ([endpoint] + [item for item in state.remembered if item != endpoint])[:REMEMBERED]
        state.told.clear()
        state.elsewhere = []
        state.renew()

    def answered(self, key):
        """The peer says in our own words that it is there."""
        self.states[key].mute = False

    def not_tried(self, key, running):
        """The turn that due() gave a peer did not take place. running: what the device has of it, or None."""
        state = self.states[key]
        if running is None:
            state.forget()
        else:
            state.rx, state.handshake = running.rx, running.handshake

    def exchanged(self, keys, now):
        """These peers, or this site, took a new key into use: the live ones get some time to prove that they live."""
        for key in keys:
            state = self.states[key]
            if state.alive:
                state.rx = state.handshake = 0
                state.rx_at = state.handshake_at = now
                state.suspect = None
                self._suspect(state, now, now, HANDOVER_PATIENCE)

    def keepalive_of(self, key):
        """The seconds that a peer's keepalive is to have, 0 for none: a phone shall sleep, whatever this site does."""
        return 0 if roams(self.states[key].plan) else self.keepalive

    def moved(self, now):
        """The own address changed, or the way is open again: whoever lives is to prove it, the dead are looked for. A peer that is
        no site may drop echo requests, and does not speak as sites do: only WireGuard itself answers for it, after 10 s."""
        for state in self.states.values():
            if state.alive:
                state.suspect = None
                self._suspect(state, now, now, QUIET_PATIENCE if state.plan.external else MOVED_PATIENCE)
                state.suspect[3] = now + MOVED_PATIENCE / ECHOES  # the announcement is the first echo request
            else:
                self._search(state, now)

    def doubt(self, name, now):
        """The peer of that name, if it is alive, is to prove it. Not in a hurry: its firewall may drop echo requests."""
        for state in self.states.values():
            if state.plan.name == name and state.alive:
                self._suspect(state, now, now, QUIET_PATIENCE)

    def told(self, sender, entries, now):
        """What a peer says of others: [(overlay address, "ip:port", age in seconds)]. Returns whether anything is due.

        sender: the overlay address that the message came from. Nothing of it touches a live peer; a live one of which
        another endpoint is told has to prove that it lives.
        """
        due = False
        if sender not in self.by_address:
            return due
        for address, endpoint, age in entries:
            key = self.by_address.get(address)
            if key is None or address == sender or age > TOLD_AGE or not self._usable(endpoint):
                continue
            state = self.states[key]
            if endpoint == state.endpoint and state.alive:
                continue
            last = state.told.get(sender)
            if last is not None and (last[0] == endpoint or now - last[1] < TOLD_SECONDS):
                continue
            state.told[sender] = (endpoint, now)  # one candidate per peer that tells, so that a liar gets one turn of many
            due = True
            if state.alive:
                self._suspect(state, now, now, MOVED_PATIENCE)
            self._renew(state, now)
        return due

    @staticmethod
    def _renew(state, now):
        """A source has something else to say. A new candidate is the next to be tried; a known one only changes its rank."""
        begun = [each.tried_at for each in state.candidates.values() if each.tried_at is not None]
        if state.renew() and not state.alive:
            soonest = max(begun) + FIRST_TRY_SECONDS if begun else now
            state.next_try = min(state.next_try, max(now, soonest))

    def answer(self, state, addresses, reason, now, others=False):
        """The answer of DNS: of the system's resolver, or of others. Returns whether it holds an address of the underlay; else
        `reason` or a better one is noted. It takes the place of the last one of the same, and of nothing else."""
        host, port = state.plan.endpoint
        valid = [item for item in addresses if self._usable("%s:%d" % (item, port), state.plan)][:REMEMBERED]
        if valid:
            state.note, fresh = "", ["%s:%d" % (item, port) for item in valid]
            if others:
                state.elsewhere = fresh
            else:
                state.resolved = fresh
            self._renew(state, now)
        else:
            state.note = self._refusal(host, addresses) if addresses else reason
        return bool(valid)

    def _refusal(self, host, addresses):
        if self.own_address in addresses:
            return "%s leads to %s, this site's own address; its record is out of date" % (host, self.own_address)
        return "%s leads to %s, which is outside the underlay %s" % (host, listed(addresses), listed(self.networks))

    def _usable(self, endpoint, plan=None):
        address, _, _ = endpoint.rpartition(":")
        try:
            if plan is not None and plan.external:
                return address != self.own_address
            return address != self.own_address and config.inside(address, self.networks)
        except ValueError:
            return False

    def due(self, now):
        """The Actions that are due; to be called right after observe(), so that nobody who lives is touched."""
        actions = Actions()
        dead = sum(1 for state in self.states.values() if not state.alive)
        some_live = dead < len(self.states)
        for key, state in self.states.items():
            if not state.present:
                continue
            if state.alive:
                if state.suspect is not None and now >= state.suspect[3]:
                    state.suspect[3] = now + state.suspect[2] / ECHOES
                    actions.echoes.append(key)
                continue
            if now >= state.next_try:
                self._try(state, key, actions, now)
            if self._to_look_up(state) and now >= state.next_lookup:
                interval = max(self._pause(state, LOOKUP_SECONDS, now), dead / LOOKUPS_PER_SECOND)
                state.next_lookup = now + self._jitter(interval)
                state.busy = True
                state.lookups += 1
                actions.lookups.append(state)
            if some_live and not state.plan.external and now >= state.next_question:
                state.next_question = now + min(LAST_QUESTION, FIRST_QUESTION * 2 ** min(state.questions, 10))
                state.questions += 1
                actions.questions.append(key)
            if not state.candidates and not state.plan.endpoint:
                state.note = "it has no endpoint in the plan; it has to call this site"
        return actions

    def _try(self, state, key, actions, now):
        usable = {item: each for item, each in state.candidates.items() if self._usable(item, state.plan)}
        if not usable or roams(state.plan):
            state.next_try = now + PAUSE
            return
        for each in usable.values():
            each.waits_at = now if each.waits_at is None else each.waits_at
        endpoint = min(usable, key=lambda item: self._turn(state, item, now))
        candidate = usable[endpoint]
        state.was_new = candidate.tried_at is None
        state.was_told = state.was_new and candidate.source == "peer"
        candidate.tried_at = now
        state.tries += 1
        state.passes = state.tries // len(usable)
        following = usable[min(usable, key=lambda item: self._turn(state, item, now))]
        wait = TRY_SECONDS
        if all(each.tried_at is not None for each in usable.values()):
            wait = max(wait, following.tried_at + self._pause(state, PAUSE, now) - now)
        state.next_try = now + self._jitter(wait)
        state.endpoint, state.source = endpoint, candidate.source
        state.sources = {item: source for item, source in state.sources.items() if item in state.candidates}
        state.sources[endpoint] = candidate.source
        actions.tries[key] = endpoint
        state.rx = state.handshake = 0  # the peer is made anew, and its counters with it
        state.rx_at = state.handshake_at = None

    @staticmethod
    def _turn(state, endpoint, now):
        """The order of turns: the untried, the better source first, then who waited longest. Of what worked only the last one goes
        before the names: that a peer is where it was before it moved is less likely than that its record is right. Nobody waits for
        ever, be it for new addresses of a name, for what was proven or for what others tell: who waited for long goes first, where
        new ones took the place of others somebody that waited goes after each, and of two that were told the second one lets
        whoever waited for long and the last proven one go first.
        """
        candidate, proven = state.candidates[endpoint], endpoint in state.remembered
        new, rank = candidate.tried_at is None, RANK[candidate.source]
        since = candidate.waits_at if new else candidate.tried_at
        older = endpoint in state.remembered[1:] and candidate.source in ("roamed", "disk")
        if new and candidate.source == "peer" and state.was_told:
            return (1, 1, 0)
        if new and candidate.source not in ("dns", "seed") and not older:
            return (0, rank, 0)
        patience = PAUSE if state.was_new and state.replaced else LAST_PAUSE
        if now - since >= (PROVEN_SECONDS if new or proven else patience):
            return (1, 0, since)
        if not new:
            return (3, 0, since)
        return (2, RANK["dns"] + 0.5 if older else rank, since)

    def _pause(self, state, first, now):
        if state.eager_until is None:
            state.eager_until = now + EAGER_SECONDS
        if now < state.eager_until:
            return first
        return min(LAST_PAUSE, first * 2 ** min(state.passes, 10))

    def _jitter(self, seconds):
        return seconds * self._chance(1 - JITTER, 1 + JITTER)

    @staticmethod
    def _to_look_up(state):
        return not state.busy and state.plan.endpoint is not None and not _literal(state.plan)

    def next_due(self, now):
        """Seconds until something has to be done for somebody, None while all live and none is suspect."""
        times, some_live = [], any(state.alive for state in self.states.values())
        for state in self.states.values():
            if not state.present:
                continue
            if state.alive:
                if state.suspect is not None:
                    times += [state.suspect[3], state.suspect[1] + state.suspect[2]]
                continue
            times.append(state.next_try)
            if some_live and not state.plan.external:
                times.append(state.next_question)
            if self._to_look_up(state):
                times.append(state.next_lookup)
        return max(0.0, min(times) - now) if times else None

    def heard(self, keys, now):
        """What can be told of peers: [(overlay address, "ip:port", age)] of those that are alive and not suspect."""
        found = []
        for key in keys:
            state = self.states[key]
            proven = state.suspect is None or state.rx_at == state.suspect[1]  # who has just come is asked, and was heard
            known = state.alive and proven and state.endpoint == state.kept
            if known and not state.plan.external and self._usable(state.endpoint):
                found.append((state.plan.address, state.endpoint, max(0, int(now - state.rx_at))))
        return found

    def news(self, now):
        """The keys of live peers whose endpoint changed lately."""
        return [
            key
            for key, state in self.states.items()
            if state.alive and state.changed_at is not None and now - state.changed_at < NEWS_SECONDS
        ]

    def live(self):
        return [key for key, state in self.states.items() if state.alive]


def roams(plan):
    """Whether only the peer itself knows where it is, such as a phone, which shall sleep as well."""
    return plan.external and plan.endpoint is None


def parse_endpoint(value):
    """Whether a value of a file is "IPv4 address:port"."""
    if not isinstance(value, str) or len(value) > 21:
        return False
    address, _, port = value.rpartition(":")
    return _is_address(address) and port.isdigit() and 0 < int(port) < 65536


def _host(endpoint):
    return endpoint.rpartition(":")[0]


def _literal(plan):
    """The plan's endpoint as a list, empty when it is a name or there is none."""
    return ["%s:%d" % plan.endpoint] if plan.endpoint and _is_address(plan.endpoint[0]) else []


def _is_address(host):
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
