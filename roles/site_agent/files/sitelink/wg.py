# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's own tool, and its configuration file. Keys pass through pipes only, never argv, messages or files."""

import base64
import binascii
import collections
import ipaddress
import itertools
import os
import re
import subprocess

TIMEOUT = 5  # seconds; wg answers within milliseconds, unless a user space implementation hangs
_GROUPS_PER_COMMAND = 100  # far below the limit of an argument list


class WgError(Exception):
    """A sentence without keys."""


class ConfError(Exception):
    """What is wrong with a wg0.conf, with the line's number and without its value."""


class Device:
    """A device as it is (wg show) or as it should be (wg0.conf). Holds secrets: has no readable form."""

    __slots__ = ("private_key", "public_key", "port", "fwmark", "addresses", "mtu", "table", "peers")

    def __init__(self):
        self.private_key = self.public_key = self.port = self.mtu = None
        self.table = "auto"  # wg-quick's, only from a file
        self.fwmark = 0
        self.addresses = []  # "192.168.11.1/24", only from a file
        self.peers = {}  # by public key


class Peer:
    """preshared_key: text or None; allowed_ips: frozenset of prefixes; endpoint: "ip:port" or None;
    handshake: seconds since the epoch, 0 for never; keepalive: seconds, 0 for off."""

    __slots__ = ("preshared_key", "endpoint", "allowed_ips", "handshake", "rx", "tx", "keepalive")

    def __init__(self):
        self.preshared_key = self.endpoint = None
        self.allowed_ips = frozenset()
        self.handshake = self.rx = self.tx = self.keepalive = 0


def show(interface):
    """The running device. Raises WgError."""
    return parse_dump(_run(["show", interface, "dump"]))


def fwmarks():
    """{interface: mark} of all running devices that have one; empty where there is no wg."""
    try:
        lines = _run(["show", "all", "fwmark"]).splitlines()
    except WgError:
        return {}
    pairs = [line.split("\t") for line in lines]
    return {name: int(mark, 0) for name, mark in pairs if mark != "off"}


class _Secret(str):
    """A key among the words of `wg set`, which gets there through a pipe; an empty one takes away what was set."""


def _set(interface, groups):
    """`wg set` with groups of words, as many in a command as an argument list takes. Raises WgError."""
    for start in range(0, len(groups), _GROUPS_PER_COMMAND):
        words, pipes = ["set", interface], []
        try:
            for word in itertools.chain.from_iterable(groups[start : start + _GROUPS_PER_COMMAND]):
                if isinstance(word, _Secret):
                    if word:
                        pipes.append(_pipe(word))
                    word = "/proc/self/fd/%d" % pipes[-1] if word else "/dev/null"
                words.append(word)
            _run(words, pass_fds=pipes)
        finally:
            for reader in pipes:
                os.close(reader)


def _pipe(secret):
    """The end to read a secret from, which so comes into neither arguments nor files."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        file.write(secret + "\n")
    return reader


def _allowed_ips(peer):
    return ["allowed-ips", ",".join(sorted(peer.allowed_ips))]


def _whole(key, peer):
    """The words for a peer that is not there yet."""
    secret = ["preshared-key", _Secret(peer.preshared_key)] if peer.preshared_key else []
    return ["peer", key] + secret + _allowed_ips(peer)


def set_endpoints(interface, endpoints):
    """Set {public key: ("ip:port", keepalive in seconds, 0 for none)}, both in the same step. Raises WgError."""
    _set(
        interface,
        [
            ["peer", key, "endpoint", endpoint, "persistent-keepalive", str(keepalive)]
            for key, (endpoint, keepalive) in sorted(endpoints.items())
        ],
    )


def public_key(private_key):
    """The public key of a private key. Raises WgError."""
    return _run(["pubkey"], private_key + "\n").strip()


def swap_peer(interface, old, new, peer, endpoint):
    """Put a peer with a new key (a Peer as it is to be) into the place of one with an old key, in one step. It begins no
    handshake by itself. Raises WgError."""
    _set(interface, [["peer", old, "remove"] + _whole(new, peer) + (["endpoint", endpoint] if endpoint else [])])


def replace_peers(interface, device, endpoints, keepalive):
    """Make peers of the running device anew, each with another endpoint: {public key: "ip:port"}. Raises WgError.

    A new peer begins a handshake at once, where an old one waits up to 5 s after its last attempt (REKEY_TIMEOUT), and
    takes one from a peer whose clock went back. Its sessions are lost, so that this is for peers that are dead.
    """
    groups = []
    for key, endpoint in sorted(endpoints.items()):
        words = ["endpoint", endpoint, "persistent-keepalive", str(keepalive)]
        groups.append(["peer", key, "remove"] + _whole(key, device.peers[key]) + words)
    _set(interface, groups)


def apply(interface, conf, device):
    """Bring the running device (a Device, as it is) to a configuration. Raises WgError.

    Only what differs is set. `wg syncconf` sets all of it anew, and that costs the other tunnels packets now and then: the
    prefixes of each peer are nobody's for a moment, and wireguard-go opens its socket anew for the port that it has.
    """
    _set(interface, [words for _, words in _changes(conf, device)])


def differences(conf, device):
    """In which respects the running device is not what the configuration says; a list of words."""
    return list(collections.OrderedDict.fromkeys(respect for respect, _ in _changes(conf, device)))


def _changes(conf, device):
    """[(the respect in which the running device is not what the configuration says, the words of `wg set` for it)].

    What a peer has to give up and what another one gets may come in any order: each list of prefixes is set as a whole.
    """
    found = []
    if device.private_key != conf.private_key:
        found.append(("private key", ["private-key", _Secret(conf.private_key)]))
    if conf.port is not None and device.port != conf.port:
        found.append(("port", ["listen-port", str(conf.port)]))
    if device.fwmark != conf.fwmark:
        found.append(("mark", ["fwmark", "0x%x" % conf.fwmark]))
    wanted = sorted(conf.peers.items())
    found += [("peers", ["peer", key, "remove"]) for key in sorted(device.peers) if key not in conf.peers]
    found += [("peers", _whole(key, peer)) for key, peer in wanted if key not in device.peers]
    both = [(key, peer, device.peers[key]) for key, peer in wanted if key in device.peers]
    for key, peer, running in both:
        if peer.preshared_key != running.preshared_key:
            found.append(("preshared keys", ["peer", key, "preshared-key", _Secret(peer.preshared_key or "")]))
    for key, peer, running in both:
        if peer.allowed_ips != running.allowed_ips:
            found.append(("allowed IPs", ["peer", key] + _allowed_ips(peer)))
    return found


def parse_dump(text):
    """Parse `wg show INTERFACE dump`. Raises WgError when it is not one."""
    lines = [line.split("\t") for line in text.splitlines()]
    device = Device()
    try:
        device.private_key, device.public_key, port, fwmark = lines[0]
        device.port, device.fwmark = int(port), _mark(fwmark)
        for key, preshared, endpoint, allowed, handshake, rx, tx, keepalive in lines[1:]:
            peer = device.peers[key] = Peer()
            peer.preshared_key = None if preshared == "(none)" else preshared
            peer.endpoint = None if endpoint == "(none)" else endpoint
            peer.allowed_ips = frozenset() if allowed == "(none)" else frozenset(allowed.split(","))
            peer.handshake, peer.rx, peer.tx = int(handshake), int(rx), int(tx)
            peer.keepalive = 0 if keepalive == "off" else int(keepalive)
    except (ValueError, IndexError):
        raise WgError("wg show printed something unexpected") from None
    return device


def load_conf(path):
    """Read a wg-quick configuration. Raises ConfError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConfError("%s cannot be read: %s" % (path, error.strerror)) from None
    except ValueError:
        raise ConfError("%s is not text in UTF-8" % path) from None
    try:
        return parse_conf(text)
    except ConfError as error:
        raise ConfError("%s: %s" % (path, error)) from None


def parse_conf(text):
    """Parse the text of a wg-quick configuration; keys that only wg-quick heeds are skipped. Raises ConfError."""
    conf = Device()
    section, peer, key = None, None, None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            section = line.lower()
            if section not in ("[interface]", "[peer]"):
                raise ConfError("line %d: unknown section" % number)
            if section == "[peer]":
                _complete(peer, key)
                peer, key = Peer(), None
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or section is None:
            raise ConfError("line %d: neither a section nor a setting" % number)
        try:
            if section == "[interface]":
                _interface_setting(conf, name, value)
            elif name == "publickey":
                key = _key(value)
                if key in conf.peers:
                    raise ValueError
                conf.peers[key] = peer
            elif name == "presharedkey":
                peer.preshared_key = _key(value)
            elif name == "allowedips":
                peer.allowed_ips |= frozenset(str(ipaddress.ip_network(item, strict=False)) for item in _items(value))
        except ValueError:
            raise ConfError("line %d: %s is malformed or given twice" % (number, name)) from None
    _complete(peer, key)
    if conf.private_key is None:
        raise ConfError("there is no PrivateKey")
    return conf


def _interface_setting(conf, name, value):
    if name == "privatekey":
        conf.private_key = _clamped(_key(value))
    elif name == "listenport":
        conf.port = int(value)
    elif name == "fwmark":
        conf.fwmark = _mark(value)
    elif name == "mtu":
        conf.mtu = int(value)
    elif name == "table":
        conf.table = value
    elif name == "address":
        conf.addresses += [str(ipaddress.ip_interface(item)) for item in _items(value)]


def _complete(peer, key):
    if peer is not None and key is None:
        raise ConfError("a peer lacks its PublicKey")


def _items(value):
    return [item.strip() for item in value.split(",") if item.strip()]


def _key(value):
    try:
        if len(base64.b64decode(value, validate=True)) == 32:
            return value
    except binascii.Error:
        pass
    raise ValueError("not a key")


def _clamped(key):
    """A private key as the device shows it (RFC 7748): one made otherwise than by `wg genkey` may have other bits set."""
    data = bytearray(base64.b64decode(key))
    data[0] &= 248
    data[31] = data[31] & 127 | 64
    return base64.b64encode(bytes(data)).decode("ascii")


def _mark(value):
    return 0 if value == "off" else int(value, 0)


def _run(arguments, text=None, pass_fds=()):
    try:
        process = subprocess.Popen(
            ["wg"] + arguments,
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            pass_fds=pass_fds,
        )
    except OSError as error:
        raise WgError("wg cannot be run (%s); install the package wireguard-tools" % error.strerror) from None
    try:
        output, errors = process.communicate(text, TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise WgError("wg %s did not end within %d s" % (arguments[0], TIMEOUT)) from None
    if process.returncode:
        reason = re.sub(r"[A-Za-z0-9+/]{20,}=*", "(key)", " ".join(errors.split()))  # wg quotes malformed keys
        raise WgError("wg %s failed: %s" % (arguments[0], reason or "exit code %d" % process.returncode))
    return output
