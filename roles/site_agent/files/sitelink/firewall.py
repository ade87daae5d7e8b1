# SPDX-License-Identifier: GPL-3.0-or-later
"""An underlay NIC stays closed, whatever flushes the rules of this host.

The role renders the table `sitelink_<nic>` into a file, which a unit of its own loads at boot. This daemon

- holds the same rules in a second table, `sitelink_<nic>_held`, with `flags owner`: no other process can flush or change
  it (nft 1.0.1 or newer, Linux 5.12 or newer). It goes with its owner, so the first one stands beside it;
- watches the kernel's events, restores the first table as soon as it is gone or changed, and tells who did it;
- tells other firewalls that would drop the mesh's forwarded packets, where the operator wants that: Docker by the chain
  DOCKER-USER, which Docker has for rules of its users.

Stopping the daemon leaves the first table in place. Only remove() takes it away.
"""

import collections
import re
import shlex
import subprocess
import time

from . import config, loaded, log, nftables, state
from .loop import Loop

SAFETY_SECONDS = 30  # events the kernel dropped; iptables-legacy, which has no events
SETTLE_SECONDS = 0.3  # Docker changes its rules in many small steps
RETRY_SECONDS = 1  # after nft refused something
OWNER_SECONDS = 5  # for the held table to appear
EVENTS_KEPT = 20
COMMENT = "sitelink"  # by which our rules in other people's chains are known
DOCKER_CHAIN = "DOCKER-USER"
DROPS = {"in_dropped", "out_dropped", "forward_dropped", "spoofed", "strayed"}  # counters of the table


def table_name(interface):
    return "sitelink_" + interface


def held_name(interface):
    return table_name(interface) + "_held"


def held_ruleset(text, interface, exists):
    """The commands that make the held table out of those that make the first one.

    Its chains come one step earlier, so that its counters, which no flush sets back, see everything.
    exists: there is one of an earlier load, to be replaced in the same transaction. Raises ConfigError.
    """
    head = "table inet %s {\n" % table_name(interface)
    _, found, body = text.rpartition(head)
    if not found:
        raise config.ConfigError("%s does not define the table" % config.firewall_path(interface, "nft"))
    name = held_name(interface)
    body = re.sub(r"(?<= priority )-?\d+(?=;)", lambda match: str(int(match.group()) - 1), body)
    delete = "delete table inet %s\n" % name if exists else ""
    return "%stable inet %s {\n    flags owner\n%s" % (delete, name, body)


def docker_rules(cfg):
    """What Docker must let through, as the words after `iptables -A`: the LAN's packets from and to the mesh, and those of
    the sites that may use this one's broadband.

    Which of them may pass is the first table's business, whose drop is final.
    """
    if "docker" not in cfg.adapt:
        return []
    rules = []
    for lan in cfg.lan_subnets:
        if ":" not in lan:
            rules.append(["-d", lan, "-i", cfg.mesh_interface])
            rules.append(["-s", lan, "-o", cfg.mesh_interface])
    for guest in cfg.guests:
        rules.append(["-s", guest, "-i", cfg.mesh_interface, "-o", cfg.uplink])
        rules.append(["-d", guest, "-i", cfg.uplink, "-o", cfg.mesh_interface])
    return [[DOCKER_CHAIN] + rule + ["-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"] for rule in rules]


def adapt_docker(wanted):
    """Bring DOCKER-USER to hold our rules as wanted, and nobody's otherwise. Returns what was done, as sentences."""
    code, text = _iptables("-S", DOCKER_CHAIN)
    if code:
        return []  # no Docker, or none that touches iptables
    present = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("-A ")]
    ours = [rule for rule in present if COMMENT in rule]
    done = []
    for verb, rules in (
        ("-D", [rule for rule in ours if rule not in wanted]),
        ("-I", [r for r in wanted if r not in ours]),
    ):
        for rule in rules:
            code, text = _iptables(verb, *rule)
            done.append("iptables %s %s%s" % (verb, " ".join(rule), ": " + text.strip() if code else ""))
    return done


def _iptables(*arguments):
    try:
        done = subprocess.run(
            ["iptables", "-w", "5"] + list(arguments),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout


def remove(interface):
    """Take away what daemon, unit and role put into the kernel. Raises NftError."""
    nftables.delete(table_name(interface))
    for line in adapt_docker([]):
        log.log(log.INFO, line)


def report(interface):
    """The firewall's part of `sitelink status`. Raises NftError; only root can ask."""
    told = state.read_json(config.run_path("firewall", interface, "json"))
    running = state.is_locked(config.run_path("firewall", interface, "lock"))
    held = bool(running and told.get("held"))
    reasons = []
    loaded = bool(nftables.listing(table_name(interface)))
    if not loaded:
        reasons.append("the table %s is missing; load it with: systemctl restart sitelink-firewall-table@%s"
                       % (table_name(interface), interface))  # fmt: skip
    if running:
        reasons += told.get("errors") or []
    else:
        reasons.append("the daemon does not run; start it with: systemctl start sitelink-firewall@%s" % interface)
    return {
        "interface": interface,
        "state": "fault" if reasons else "ok",
        "reason": "; ".join(reasons),
        "loaded": loaded,
        "running": running,
        "held": held,
        "not_held_because": told.get("not_held_because", "") if running else "",
        "restored": told.get("restored", 0),
        "events": told.get("events") or [],
        "packets": nftables.counters((held_name if held else table_name)(interface)),
    }


def run(interface):
    """The daemon. Returns the exit code."""
    record = loaded.Record(loaded.unit("firewall", interface))
    cfg = config.load_firewall(interface)
    lock = state.lock(config.run_path("firewall", interface, "lock"))
    if lock is None:
        log.log(log.ERROR, "another sitelink firewall %s is running already" % interface)
        return 1
    record.publish()
    loop = Loop()
    daemon = Daemon(cfg, loop)
    try:
        loop.run()
    finally:
        daemon.close()
    return 0


class Daemon:
    def __init__(self, cfg, loop):
        self.cfg = cfg
        self.loop = loop
        self.table, self.held_table = table_name(cfg.interface), held_name(cfg.interface)
        self.path = config.firewall_path(cfg.interface, "nft")
        told = state.read_json(config.run_path("firewall", cfg.interface, "json"))
        self.restored = told.get("restored", 0)  # since boot: /run is empty then
        self.history = collections.deque(told.get("events") or [], EVENTS_KEPT)
        self.owner = None
        self.not_held_because = ""
        self.errors = []
        self.loaded = 0.0  # when
        self.expected = None  # the first table as nft lists it
        self.settling = self.retry = None
        self.suspect = self.removed = False  # within a transaction whose end has not been read yet
        self.events = nftables.Events()
        loop.watch(self.events, self.on_events)
        loop.every(SAFETY_SECONDS, self.check)
        self.load()
        self.check()
        loop.notifier.send("READY=1")

    def close(self):
        if self.owner is not None:
            self.owner.close()

    def load(self):
        """Load the first table anew, in one transaction. Returns whether that worked."""
        try:
            nftables.run(["-f", self.path])
            self.loaded = time.monotonic()
            self.expected = nftables.listing(self.table)
            self.errors = [] if self.expected else ["%s does not define the table %s" % (self.path, self.table)]
        except nftables.NftError as error:
            self.errors = ["nft refused %s: %s" % (self.path, error)]
        if self.errors:
            log.log(log.ERROR, self.errors[0])
            if self.retry is None:
                self.retry = self.loop.after(RETRY_SECONDS, self.again)
        return not self.errors

    def again(self):
        self.retry = None
        self.check()

    def hold(self):
        """Make the held table, unless kernel or nft cannot."""
        path = config.run_path("firewall", self.cfg.interface, "nft")
        try:
            with open(self.path, encoding="utf-8") as file:
                ruleset = held_ruleset(file.read(), self.cfg.interface, exists=False)
            nftables.run(["--check", "--file", "-"], ruleset)
            with open(path, "w", encoding="utf-8") as file:
                file.write(ruleset)
            self.owner = nftables.Owner()
            self.loop.watch(self.owner, self.on_owner)
            self.owner.load(path)
            if not nftables.wait_for(self.held_table, OWNER_SECONDS):
                raise nftables.NftError("the table did not appear within %d s" % OWNER_SECONDS)
            self.not_held_because = ""
        except (nftables.NftError, config.ConfigError, OSError) as error:
            self.let_go()
            if self.not_held_because != str(error):
                self.not_held_because = str(error)
                log.log(log.WARNING, "no table with an owner here, only the watched one: %s" % error)

    def let_go(self):
        if self.owner is not None:
            self.loop.unwatch(self.owner)
            self.owner.close()
            self.owner = None

    def on_owner(self):
        if self.owner.ended():
            self.let_go()
            self.remember("the owner of %s ended" % self.held_table, "", 0)
            self.hold()
            self.publish()

    def on_events(self):
        start = time.monotonic()
        changes, lost = self.events.read()
        self.suspect = self.suspect or lost
        for change in changes:
            if change.table is None:
                if self.suspect:
                    self.mend(change.process, start)
                self.suspect = self.removed = False
            elif change.family == nftables.INET and change.table == self.table:
                self.suspect = True
                self.removed = change.removed or (self.removed and not change.made)
            elif change.family == nftables.IPV4 and change.table == "filter" and self.settling is None:
                self.settling = self.loop.after(SETTLE_SECONDS, self.adapt)
        if lost:
            self.mend("", start)
            self.suspect = self.removed = False

    def mend(self, process, start):
        """Restore the first table if it is not what it should be; our own loading of it comes by here too."""
        try:
            listed = "" if self.removed else nftables.listing(self.table)
        except nftables.NftError as error:
            log.log(log.WARNING, str(error))
            return
        if listed == self.expected and listed:
            return
        if self.load():
            what = "was changed" if listed else "was removed"
            self.restored += 1
            self.remember("%s %s" % (self.table, what), process, (self.loaded - start) * 1000)
        self.publish()

    def remember(self, what, process, milliseconds):
        by = " by %s" % process if process else ""
        self.history.append(
            {
                "time": int(time.time()),
                "what": what + by,
                "restored_after_ms": round(milliseconds, 1),
                "held": self.owner is not None,
            }
        )
        closed = "it stayed closed by the held table" if self.owner is not None else "restored"
        log.log(log.WARNING, "%s%s; %s (%.1f ms)" % (what, by, closed, milliseconds))

    def check(self):
        """The slow pass: whatever no event has told."""
        self.removed = False
        self.mend("", time.monotonic())
        if self.owner is None:
            self.hold()
        self.adapt()
        self.publish()

    def adapt(self):
        self.settling = None
        for line in adapt_docker(docker_rules(self.cfg)):
            log.log(log.INFO, line)

    def publish(self):
        held = self.owner is not None
        self.loop.notifier.status("%s, restored %d times" % ("held" if held else "watched", self.restored))
        state.publish(
            config.run_path("firewall", self.cfg.interface, "json"),
            {
                "held": held,
                "not_held_because": self.not_held_because,
                "restored": self.restored,
                "events": list(self.history),
                "errors": self.errors,
            },
        )
