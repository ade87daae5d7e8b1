# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables: the program nft, a table that only its owner can change, and the kernel's events about tables.

Constants are from linux/netfilter/nfnetlink.h and nf_tables.h.
"""

import errno
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections import namedtuple

from .netlink import _attributes, _messages  # the framing of every netlink family is the same

NFT = "nft"
SECONDS = 20  # a ruleset takes milliseconds; a machine that swaps needs more
INET, IPV4 = 1, 2  # NFPROTO_*

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_NEWTABLE, _DELTABLE, _NEWGEN = 0, 2, 15
_GROUP = 7  # NFNLGRP_NFTABLES
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_NFGENMSG = 4  # bytes: family, version, resource

_DYNAMIC = re.compile(r"(\n\t\tflags dynamic[^}]*?)\n\t\telements = \{[^}]*\}")

# One thing that happened to a table, or (table None) the end of a transaction with the name of the process that made it.
Change = namedtuple("Change", "family table made removed process")


class NftError(Exception):
    """What nft said, as one line."""


def run(arguments, data=None):
    """Run nft; returns its output. Raises NftError."""
    try:
        done = subprocess.run(
            [NFT] + arguments,
            input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=SECONDS,
            **({} if data is not None else {"stdin": subprocess.DEVNULL})
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NftError("nft did not answer within %d s" % SECONDS) from None
    except OSError as error:
        raise NftError("nft cannot be started: %s" % error.strerror) from None
    if done.returncode:
        raise NftError(" ".join((done.stderr.strip() or "nft failed").split("\n")[0].split()))
    return done.stdout


def listing(table):
    """A table of family inet as text to compare, without counts and what packets put into dynamic sets.

    "" when there is none. Raises NftError.
    """
    try:
        text = run(["--stateless", "list", "table", "inet", table])
        return _DYNAMIC.sub(r"\1", text)
    except NftError as error:
        if "No such file" in str(error):
            return ""
        raise


def counters(table):
    """{name: packets} of the named counters of a table of family inet; {} when there is none. Raises NftError."""
    try:
        found = json.loads(run(["--json", "list", "counters", "table", "inet", table]))
    except NftError as error:
        if "No such file" in str(error):
            return {}
        raise
    named = [item["counter"] for item in found["nftables"] if "counter" in item]
    return {item["name"]: item["packets"] for item in named if item["table"] == table}


def delete(table):
    """Remove a table of family inet. One that is gone already is no error. Raises NftError."""
    try:
        run(["delete", "table", "inet", table])
    except NftError as error:
        if "No such file" not in str(error):
            raise


class Owner:
    """A child process whose netlink socket owns a table: while it lives, no other process can change or flush it."""

    def __init__(self):
        # HOME: an interactive nft keeps a history there
        self._process = subprocess.Popen(
            [NFT, "--interactive"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, HOME="/nonexistent"),
        )  # fmt: skip

    def fileno(self):
        """Becomes readable when the child has ended (it prints nothing that is not asked for)."""
        return self._process.stdout.fileno()

    def load(self, path):
        """Run a file of commands as one transaction, without waiting for it. Raises NftError when the child has ended."""
        try:
            self._process.stdin.write(b'include "%s"\n' % path.encode())
            self._process.stdin.flush()
        except OSError as error:
            raise NftError("the owner of the table has ended: %s" % error.strerror) from None

    def ended(self):
        """Drain what the child printed; returns whether it has ended."""
        return os.read(self.fileno(), 65536) == b""

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class Events:
    """Changes of tables as they happen. read() is to be called when the file descriptor is readable."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 12)  # NETLINK_NETFILTER
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 21)  # SO_RCVBUFFORCE: `nft -f` of others can be long
        except OSError:
            pass
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        self._socket.setblocking(False)

    def fileno(self):
        return self._socket.fileno()

    def read(self):
        """Return (changes, lost): what has arrived, and whether the kernel had to drop some (look at everything)."""
        changes, lost = [], False
        for _ in range(1000):  # a storm must not keep the caller from acting
            try:
                data, sender = self._socket.recvfrom(1 << 17)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            if sender[0] == 0:  # from the kernel
                changes += parse(data)
        return changes, lost


def parse(data):
    """The changes in a datagram of the kernel's. Raises OSError when it is truncated."""
    found = []
    for kind, _, _, payload in _messages(data):
        if kind >> 8 != _SUBSYSTEM or len(payload) < _NFGENMSG:
            continue
        family = struct.unpack_from("=B", payload)[0]
        attributes = _attributes(payload, _NFGENMSG)
        message = kind & 0xFF
        if message == _NEWGEN:
            found.append(Change(family, None, False, False, _text(attributes.get(3))))  # NFTA_GEN_PROC_NAME
        else:  # the first attribute of every other message is the name of the table
            found.append(Change(family, _text(attributes.get(1)), message == _NEWTABLE, message == _DELTABLE, ""))
    return found


def _text(value):
    return (value or b"").rstrip(b"\0").decode(errors="replace")


def wait_for(table, seconds):
    """Wait until a table of family inet exists. Returns whether it does."""
    deadline = time.monotonic() + seconds
    while not listing(table):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
