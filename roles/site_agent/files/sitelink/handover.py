# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are in use while the plan's keys change, so that no pair of sites stops talking on the way.

A plan with new keys arrives at one site after the other, and WireGuard knows one key per peer and one of its own. So a new
key in the files is not used at once:

- a peer's new key waits until the peer says that it takes it into use (SWITCH), or until the old one leads nowhere;
- the own new key waits until every site that had the old one says that it knows the new one (READY), each asked by KEYS.
  Of two sites that wait for each other, the one with the lower overlay address goes first.

A pair's preshared key changes with the last of its two ends. What is in use is on disk, for a device or a site that starts
anew meanwhile has what the files say. Peers are known by their overlay addresses here, since their keys change, and by their
names where an address changes with the key.

Nothing waits, and the old key goes at once, where somebody else may have it (at_once), where the peer is no site, which says
nothing about its keys and gets its new one by hand, and where another peer has the address by now.
"""

import base64
import hashlib
import socket

from . import state, wg

FRESH_SECONDS = 3  # that a peer's READY counts
WAIT_SECONDS = 30  # that a new key may wait for others before it is a fault
OTHER_KEY_SECONDS = 10  # that a silent peer is looked for by one of its two keys, before the other's turn


def digest(preshared_key):
    """What two sites compare to know that they have the same preshared key; tells nothing about it."""
    return hashlib.sha256(b"sitelink preshared key " + (preshared_key or "").encode()).digest()


class Handover:
    """saved: what to_save() gave."""

    def __init__(self, saved):
        self.site = saved.get("site") if isinstance(saved.get("site"), str) else None  # of this one
        self.names = {address: name for address, name in state.mapping(saved.get("names")).items() if isinstance(name, str)}
        self.own = saved.get("own")  # public key in use
        self.private = saved.get("private")  # its private key, while it is not that of the files
        self.waits = [item for item in state.items(saved.get("waits")) if isinstance(item, str)]  # addresses that have to know the new key
        # {address: [public key in use]}, and the preshared key in use while it is not that of the file
        self.peers = {address: list(item) for address, item in state.mapping(saved.get("peers")).items() if state.items(item)}
        self.ready, self.asked = {}, None  # {address: when it said so}, and the plan that this is about
        self.promised = {address: tuple(item) for address, item in state.mapping(saved.get("promised")).items() if state.items(item)}
        # {address: (public key, preshared key)}: what this site said to know, maybe of an earlier plan
        self.other = set()  # addresses whose new key is tried, although they said nothing
        self.turns = {}  # {address: when the other key of a silent peer is to be tried}
        self.pending_since = {}  # {address: when it was first seen that another key than the plan's is in use}

    def to_save(self):
        promised = {address: list(item) for address, item in self.promised.items()}
        return {
            "site": self.site,
            "names": self.names,
            "own": self.own,
            "private": self.private,
            "waits": self.waits,
            "peers": self.peers,
            "promised": promised,
        }

    def settle(self, plan, conf, device):
        """Hold what is in use against the files' plan and the running device."""
        if plan != self.asked:
            self.ready, self.asked = {}, plan
        at_once = plan.at_once or self.site not in (None, plan.site)
        self._follow(plan)
        if self.own is None:
            self.own = device.public_key or plan.public_key
        if self.own == plan.public_key:
            self.private, self.waits = None, []
        else:
            if device.public_key == self.own:
                self.private = device.private_key
            if at_once or self.private is None:  # nobody is to have the old one any more, or has it
                self.use_own(plan)
            elif not self.waits:
                sites = {peer.address for peer in plan.peers if not peer.external}
                self.waits = sorted(address for address in self.peers if address in sites)
        keys = {peer.public_key for peer in plan.peers}
        found = {peer.address: self._in_use(peer, plan, conf, device, keys) for peer in plan.peers}
        self.peers = found
        self.waits = [address for address in self.waits if address in found]
        pending = {peer.address for peer in plan.peers if found[peer.address][0] != peer.public_key}
        self.other &= pending
        self.promised = {address: item for address, item in self.promised.items() if address in pending}
        self.turns = {address: when for address, when in self.turns.items() if address in pending}

    def _follow(self, plan):
        """A peer with another address keeps what was noted of it, and who has the address of another one begins anew."""
        before = {name: address for address, name in self.names.items()}
        moved = {}  # {address before: address}; a record of an early version has no names
        for peer in plan.peers:
            source = before.get(peer.name, None if peer.address in self.names else peer.address)
            if source is not None:
                moved[source] = peer.address
        self.peers = {moved[address]: item for address, item in self.peers.items() if address in moved}
        self.promised = {moved[address]: item for address, item in self.promised.items() if address in moved}
        self.turns = {moved[address]: when for address, when in self.turns.items() if address in moved}
        self.pending_since = {moved[address]: when for address, when in self.pending_since.items() if address in moved}
        self.waits = [moved[address] for address in self.waits if address in moved]
        self.other = {moved[address] for address in self.other if address in moved}
        self.site, self.names = plan.site, {peer.address: peer.name for peer in plan.peers}

    def _in_use(self, peer, plan, conf, device, keys):
        """What `peers` has of a peer of the plan. keys: the public keys of the plan."""
        item = self.peers.get(peer.address, [peer.public_key])
        running = device.peers.get(item[0])
        if item[0] != peer.public_key and item[0] in keys:  # it is another peer's by now
            item, running = [peer.public_key], device.peers.get(peer.public_key)
        elif item[0] != peer.public_key and peer.at_once:
            item = [peer.public_key] + item[1:]
        if item[0] == peer.public_key and self.own == plan.public_key:
            return item[:1]
        if len(item) > 1:
            return item
        if running is not None:
            return [item[0], running.preshared_key]
        return [peer.public_key] + [conf.peers[peer.public_key].preshared_key] * (self.own != plan.public_key)

    def pending(self, peer):
        """Whether a peer of the plan (as the files have it) still has another key in use."""
        return self.peers.get(peer.address, [peer.public_key])[0] != peer.public_key

    def overdue(self, plan, now):
        """The names of peers whose old keys are in use for longer than a change of keys takes."""
        pending = [peer for peer in plan.peers if self.pending(peer)]
        self.pending_since = {peer.address: self.pending_since.get(peer.address, now) for peer in pending}
        return [peer.name for peer in pending if now - self.pending_since[peer.address] >= WAIT_SECONDS]

    def heard(self, plan, peer):
        """A peer lives with the key that it is tried with. Returns whether that is its new one."""
        self.turns.pop(peer.address, None)
        if peer.address in self.other:
            self.use_peer(plan, peer)
            return True
        return False

    def own_pending(self, plan):
        return self.own is not None and self.own != plan.public_key

    def key(self, peer):
        if peer.address in self.other:
            return peer.public_key
        return self.peers.get(peer.address, [peer.public_key])[0]

    def plan_in_use(self, plan):
        """The plan with the keys that are in use."""
        peers = [peer._replace(public_key=self.key(peer)) for peer in plan.peers]
        return plan._replace(public_key=self.own or plan.public_key, peers=peers)

    def conf_in_use(self, plan, conf):
        """The configuration with the keys that are in use. Call settle() before."""
        own_pending = self.own_pending(plan)
        found = wg.Device()
        found.port, found.fwmark, found.addresses, found.mtu = conf.port, conf.fwmark, conf.addresses, conf.mtu
        found.private_key = self.private if own_pending else conf.private_key
        for peer in plan.peers:
            wanted = conf.peers[peer.public_key]
            item = self.peers[peer.address]
            used = wg.Peer()
            used.allowed_ips = wanted.allowed_ips
            used.preshared_key = wanted.preshared_key
            peer_pending = self.pending(peer) and peer.address not in self.other
            if (own_pending or peer_pending) and len(item) == 2:
                used.preshared_key = item[1]
            found.peers[self.key(peer)] = used
        return found

    def use_own(self, plan):
        """The new key of this site is in use from now on."""
        self.own, self.private, self.waits = plan.public_key, None, []
        self.ready = {}
        for peer in plan.peers:
            if peer.address in self.peers and not self.pending(peer):
                del self.peers[peer.address][1:]  # the preshared key is the file's from now on

    def use_peer(self, plan, peer, key=None):
        """A new key of a peer of the plan is in use from now on. Returns whether this site knows it."""
        if key not in (None, peer.public_key):
            if self.promised.get(peer.address, ("",))[0] != key:
                return False
            self.peers[peer.address] = list(self.promised[peer.address])
        else:
            kept = self.peers[peer.address][1:] if self.own_pending(plan) else []
            self.peers[peer.address] = [peer.public_key] + kept
        self.other.discard(peer.address)
        self.turns.pop(peer.address, None)
        return True

    def try_other(self, peer, now):
        """A silent peer may use its new key although it was not heard to say so. Returns whether the key changes."""
        due = self.turns.get(peer.address)
        if due is None or now >= due:
            self.turns[peer.address] = now + OTHER_KEY_SECONDS
        if due is None or now < due:
            return False
        self.other ^= {peer.address}
        return True

    def knows(self, plan, conf, address, key, preshared):
        """Whether this site is ready for the new key of the site at that address, and does not want to go first."""
        peer = next((peer for peer in plan.peers if peer.address == address), None)
        if peer is None or peer.public_key != key or digest(conf.peers[key].preshared_key) != preshared:
            return False
        if self.own_pending(plan):
            if _order(plan.addresses[0].split("/")[0]) < _order(address):
                return False
            self.promised[address] = (key,) + tuple(self.peers[address][1:])
        else:
            self.promised[address] = (key, conf.peers[key].preshared_key)
        return True

    def lacking(self, now):
        """The addresses that have not said that they know the new key."""
        return [address for address in self.waits if now - self.ready.get(address, -FRESH_SECONDS) >= FRESH_SECONDS]


def _order(address):
    return socket.inet_aton(address)


def key_bytes(key):
    return base64.b64decode(key)


def key_text(data):
    return base64.b64encode(data).decode()
