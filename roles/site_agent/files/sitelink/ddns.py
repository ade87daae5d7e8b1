# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a site follow its addresses, provably: publish by the client, then ask the zone's own servers.

One run of the service: find the addresses, read the records back from the authoritative servers, let the client update
what is wrong, read back again. What they say decides, not what the client believes; where they say the right thing, no
API request is made at all.
"""

import fcntl
import ipaddress
import json
import os
import subprocess
import time

from . import address, config, dns, loaded, log, netlink, state

SETTINGS = loaded.DDNS_SETTINGS  # below config.ETC; without secrets
CLIENT_SETTINGS = "ddns.json"  # below config.ETC or the service's credentials; with the tokens

CLIENT_SECONDS = 25  # the client's own timeout is 10 s per wait; a fault that ends must find it trying again soon
SETTLE_SECONDS = 15  # until the zone's servers have what the API took
BLIND_SECONDS = 600  # between updates while the zone's servers cannot be asked: 18 requests an hour
FIRST_REPEAT, LAST_REPEAT = 60, 600  # seconds between updates that the API takes and the zone's servers do not show
SERVERS_SECONDS = 3600  # how long the zone's servers are remembered
LONGEST_WAIT = 3600  # seconds of Retry-After that are believed
CHANGES = 3  # runs in a row when the address changes under them
# Until a NIC has its next address, which follows the end of the last one. systemd.path(5) does not see what changes while the service
# runs: a run that ended in between could have missed it, and the next one would be the timer's.
LEASE_SECONDS = 10
LEASELESS = "dhcp_none"  # the code of an error: the cable is in, and there is no address
# A peer's record is only touched once it was wrong for so long: the peer itself may just have published an address at which
# this site does not hear it yet, and a peer that is not heard counts as dead within a minute.
PEER_SECONDS = 90

RIGHT, WRONG, LAGGING, UNKNOWN = "right", "wrong", "lagging", "unknown"


class Name:
    """One record to keep: its name, kind ("A" or "AAAA"), provider, NIC and the networks its address must lie in.

    peer: None, or the site whose name it is: it is published with the address at which that peer is heard.
    """

    def __init__(self, data):
        self.name = str(data["name"]).rstrip(".").lower()
        if not config.HOST_NAME.fullmatch(self.name) or "." not in self.name:
            raise ValueError("%r is no full name" % self.name)
        self.kind = data["kind"]
        if self.kind not in ("A", "AAAA"):
            raise ValueError("kind must be A or AAAA")
        self.provider = str(data["provider"])
        self.interface = str(data["interface"])
        self.networks = [ipaddress.ip_network(item) for item in data["networks"]]
        self.peer = str(data["peer"]) if data.get("peer") else None

    @property
    def key(self):
        return "%s/%s" % (self.name, self.kind)

    def find(self):
        """The one address to publish. Raises address.NoAddress."""
        if self.peer is not None:
            return address.find_peer(self.peer, self.networks)
        if self.kind == "AAAA":
            return address.find6(self.interface, self.networks)
        return address.find(netlink.Kernel(), self.interface, self.networks)[0]


def state_directory():
    """Belongs to the service's own user."""
    return config.RUN + "-ddns"


def settings_path():
    return os.path.join(config.ETC, SETTINGS)


def load(path=None):
    """Read the settings: (names, data). Raises ConfigError."""
    with config.reading(path or settings_path()) as data:
        names = [Name(item) for item in data["names"]]
        if not isinstance(data["verify"], bool):
            raise config.ConfigError("verify must be true or false")
        return names, {
            "python": str(data["python"]),
            "client": str(data["client"]),
            "verify": data["verify"],
            "interval": int(data["interval"]),
        }


def run(client_settings=None):
    """What the service does. Returns an exit code; raises ConfigError."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", config.ETC)
    client = os.path.join(config.ETC, CLIENT_SETTINGS)
    before = loaded.told(loaded.DDNS).get("files") or {}
    record = loaded.Record(loaded.DDNS, {client: os.path.join(directory, CLIENT_SETTINGS)})
    names, settings = load()
    try:
        held = os.open(state_directory(), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise config.ConfigError("this is run by its service: systemctl start sitelink-ddns") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        log.log(log.ERROR, "another sitelink ddns is running already; start it by: systemctl start sitelink-ddns")
        return 1
    try:
        updater = Updater(names, settings, client_settings or os.path.join(directory, CLIENT_SETTINGS))
        if before.get(client) != record.found["files"][client]:
            updater.forget()
        record.publish(ok=False)
        for _ in range(CHANGES):
            addresses = updater.leased()
            result = updater.once(addresses)
            if updater.addresses() == addresses:  # else a change that came during the run would wait for the timer
                break
        record.publish(ok=result["state"] == "ok")
        return 0 if record.found["ok"] else 1
    finally:
        os.close(held)


class Updater:
    def __init__(self, names, settings, client_settings, directory=None, resolvers=None, clock=time.monotonic):
        """clock: seconds that all runs since the boot share (what is remembered goes away with /run)."""
        self.names, self.settings, self.client_settings = names, settings, client_settings
        self.path = os.path.join(directory or state_directory(), "status.json")
        self.resolvers = resolvers
        self.clock = clock

    def addresses(self):
        """{key: (address or None, reason)}"""
        return self.look()[0]

    def leased(self):
        """The same, of a NIC that is between two leases when it has the next one, or not within LEASE_SECONDS."""
        deadline = time.monotonic() + LEASE_SECONDS
        while True:
            found, codes = self.look()
            if LEASELESS not in codes or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def look(self):
        """(addresses(), the codes of what is wrong)"""
        found, codes = {}, set()
        for name in self.names:
            try:
                found[name.key] = name.find(), ""
            except address.NoAddress as error:
                found[name.key] = None, str(error)
                codes.add(error.code if name.kind == "A" else "")  # a lease brings no IPv6 address
        return found, codes

    def forget(self):
        """New credentials must prove themselves, even where the record is right."""
        if os.path.exists(self.path):
            os.unlink(self.path)

    def once(self, addresses):
        """One round. Writes and returns what `sitelink status` shows."""
        old = state.read_json(self.path)
        known = old.get("names") if isinstance(old.get("names"), dict) else {}
        self.zones = old.get("zones") if isinstance(old.get("zones"), dict) else {}
        self.not_before = old.get("not_before") if isinstance(old.get("not_before"), dict) else {}
        records = {}
        for name in self.names:
            kept = known.get(name.key)
            record = records[name.key] = dict(kept) if isinstance(kept, dict) else {}
            record.update(name=name.name, kind=name.kind, provider=name.provider, note="", refused="")
            record["address"], record["reason"] = addresses[name.key]
            if record["address"] is None and name.peer is not None:
                record["reason"] = ""  # a peer that is silent is told of by the mesh
            if record["address"] is None:
                record.update(verdict=UNKNOWN, published=[])
            else:
                self.read_back(name, record, refresh=record.get("repeats", 0) > 0)
        due = [name for name in self.names if self.due(name, records[name.key])]
        if due:
            self.update(due, records)
        for name in self.names:
            record = records[name.key]
            if record["verdict"] == RIGHT and not record["reason"]:
                record["note"] = self.note(name, record)
                record["repeats"] = 0
            record["fault"] = fault(record)
        result = {"names": records, "zones": self.zones, "not_before": self.not_before, "checked": self.clock()}
        result["interval"] = self.settings["interval"]
        faults = ["%(name)s: %(reason)s" % records[name.key] for name in self.names if records[name.key]["reason"]]
        result["reason"] = "; ".join(faults)
        result["state"] = "fault" if faults else "ok"
        state.write_json(self.path, result)
        self.tell(old, result)
        return result

    def tell(self, old, result):
        if result["reason"]:
            log.log(log.ERROR, result["reason"])
        shown = ", ".join("%(name)s is %(address)s" % record for record in result["names"].values())
        before = old.get("names") or {}
        if result["state"] == "ok" and (
            old.get("state") != "ok"
            or {key: before.get(key, {}).get("address") for key in result["names"]}
            != {key: record["address"] for key, record in result["names"].items()}
        ):
            log.log(log.NOTICE, shown)

    def due(self, name, record):
        """Whether the client has to run for a name."""
        now = self.clock()
        if name.peer is not None and not self.helps(record, now):
            return False
        if record["address"] is None:
            return False
        accepted = record.get("accepted")  # {address, at}: what the API took last
        if not accepted or accepted["address"] != record["address"]:
            return True  # new, or credentials that have not proved themselves since the boot
        age = now - accepted["at"]
        if record["verdict"] == WRONG:
            repeats = record.get("repeats", 0)
            return repeats == 0 or age >= min(FIRST_REPEAT * 2 ** (repeats - 1), LAST_REPEAT)
        return record["verdict"] == UNKNOWN and age >= BLIND_SECONDS

    @staticmethod
    def helps(record, now):
        """Whether a peer's record has been wrong for so long, at one address of the peer, that it cannot do it itself."""
        if record["address"] is None or record["verdict"] != WRONG:
            record.pop("wrong", None)
            return False
        wrong = record.get("wrong")
        if not wrong or wrong["address"] != record["address"]:
            wrong = record["wrong"] = {"address": record["address"], "at": now}
        if now - wrong["at"] < PEER_SECONDS:
            record["reason"] = ""  # its own service is at it
            return False
        return True

    def update(self, due, records):
        """Run the client for these names, then read back."""
        now = self.clock()
        ready = []
        for name in due:
            wait = min(self.not_before.get(name.provider, 0) - now, LONGEST_WAIT)
            if wait > 0:
                text = "%s asked to wait, %d s more" % (name.provider, wait)
                records[name.key]["reason"] = "; ".join(filter(None, [text, records[name.key]["reason"]]))
                records[name.key]["refused"] = "provider"
            else:
                ready.append(name)
        if not ready:
            return
        results = run_client(self.settings, self.client_settings, [name.key for name in ready])
        now = self.clock()
        for name in ready:
            record, outcome = records[name.key], results[name.key]
            if outcome["retry_after"]:
                self.not_before[name.provider] = now + min(outcome["retry_after"], LONGEST_WAIT)
            else:
                self.not_before.pop(name.provider, None)
            if not outcome["ok"]:
                record.pop("accepted", None)  # so that the next run tries again
                record["refused"] = "credentials" if outcome["credentials"] else "provider"
                record["reason"] = "%s: %s" % (name.provider, outcome["reason"] or "the client failed without a word")
                continue
            seen = record.get("accepted") or {}
            unseen = seen.get("address") == record["address"] and record["verdict"] == WRONG
            record["repeats"] = record.get("repeats", 0) + 1 if unseen or record["verdict"] != RIGHT else 0
            record["accepted"] = {"address": record["address"], "at": now}
            record["reason"] = ""
        self.settle([name for name in ready if results[name.key]["ok"]], records)

    def settle(self, names, records):
        """Wait until the zone's servers have what the API took."""
        end = self.clock() + SETTLE_SECONDS
        pause = 0.1
        while names:
            for name in names:
                self.read_back(name, records[name.key])
            names = [name for name in names if records[name.key]["verdict"] in (WRONG, LAGGING)]
            if not names or self.clock() + pause > end:
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 2)
        for name in names:
            record = records[name.key]
            if record["verdict"] == WRONG:
                record["reason"] = "%s took the update, but %s" % (name.provider, record["reason"])

    def read_back(self, name, record, refresh=False):
        """Fill in verdict, published and reason from what the zone's servers say."""
        if not self.settings["verify"]:
            record.update(verdict=UNKNOWN, published=[], reason="")
            return
        zone = self.zones.get(name.name)
        fresh = isinstance(zone, dict) and self.clock() - zone["at"] < SERVERS_SECONDS
        reason = ""
        for attempt in range(2):
            if refresh or attempt or not fresh:
                found, servers, reason = dns.authorities(name.name, self.resolvers or dns.system_servers())
                if servers:
                    zone = self.zones[name.name] = {"zone": found, "servers": servers, "at": self.clock()}
            if not isinstance(zone, dict):
                record.update(verdict=UNKNOWN, published=[], reason=reason)
                return
            answers = dns.ask_all(zone["servers"], name.name, name.kind, recursive=False)
            record["verdict"], record["published"], record["reason"] = judge(answers, record["address"])
            if record["verdict"] != UNKNOWN or refresh or not fresh:
                return

    def note(self, name, record):
        """What else an operator should know of a name that is right: the system's resolver may hide it."""
        if not self.settings["verify"] or not ipaddress.ip_address(record["address"]).is_private:
            return ""
        for resolver in (self.resolvers or dns.system_servers())[:1]:
            answer = dns.ask(resolver, name.name, name.kind)
            if answer.outcome == dns.STRIPPED:
                return (
                    "the record is right, but the resolver %s takes private addresses out of answers (rebind "
                    "protection), so this site finds nobody by name; allow %s there (dnsmasq: rebind-domain-ok=/%s/)"
                    % (resolver if isinstance(resolver, str) else resolver[0], *[self.zones[name.name]["zone"]] * 2)
                )
        return ""


def fault(record):
    """Whose fault the reason of a name is: "" for none, "address", "provider", "credentials" (which the provider refused), "record" or
    "servers" (of the zone)."""
    if not record["reason"]:
        return ""
    if record["address"] is None:
        return "address"
    if record["refused"]:
        return record["refused"]
    return "record" if record["verdict"] in (WRONG, LAGGING) else "servers"


def judge(answers, wanted):
    """(verdict, records, reason) from the answers of a zone's servers."""
    own = [answer for answer in answers if answer.authoritative and answer.outcome in _SAYS]
    right = [answer for answer in own if answer.records == [wanted]]
    wrong = [answer for answer in own if answer.records != [wanted]]
    if wrong:
        verdict = LAGGING if right else WRONG
        texts = ["%s, a server of its zone, says: %s" % (answer.server[0], dns.describe(answer)) for answer in wrong]
        return verdict, wrong[0].records, "%s instead of %s" % (texts[0], wanted)
    if right:
        return RIGHT, [wanted], ""
    # Somebody on the way who answers in the server's place (carriers do that to port 53) may have an old answer.
    if any(answer.outcome == dns.FOUND and answer.records == [wanted] for answer in answers):
        return RIGHT, [wanted], ""
    found = next((answer for answer in answers if answer.outcome in _SAYS or answer.outcome == dns.STRIPPED), None)
    if found is not None:
        text = "something on the way answers in the place of %s, a server of its zone (%s), so the record cannot be checked"
        return UNKNOWN, found.records, text % (found.server[0], dns.describe(found))
    texts = ["%s: %s" % (answer.server[0], dns.describe(answer)) for answer in answers]
    return UNKNOWN, [], "the record cannot be checked, no server of its zone answers (%s)" % ", ".join(texts)


_SAYS = (dns.FOUND, dns.NODATA, dns.NXDOMAIN)


def run_client(settings, client_settings, keys):
    """Run the client for some names. Returns {key: {"ok", "reason", "credentials", "retry_after"}}, see there."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ddns_client.py")
    command = [settings["python"], "-I", "-B", program, settings["client"], client_settings] + keys

    def all_failed(reason):
        return {key: {"ok": False, "reason": reason, "credentials": False, "retry_after": 0} for key in keys}

    # No proxy and no DDNS_* of whoever started this.
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
    except OSError as error:
        return all_failed("the client cannot be run: %s: %s" % (settings["python"], error.strerror))
    try:
        output, errors = process.communicate(timeout=CLIENT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return all_failed("the client did not end within %d s" % CLIENT_SECONDS)
    try:
        told = json.loads(output.decode())
        results = {
            key: {
                "ok": told[key]["ok"] is True,
                "reason": str(told[key]["reason"]),
                "credentials": told[key]["credentials"] is True,
                "retry_after": int(told[key]["retry_after"]),
            }
            for key in keys
        }  # fmt: skip
    except (ValueError, KeyError, TypeError):
        results = all_failed("")
    last = mask(last_error(errors.decode(errors="replace")), client_settings)
    for result in results.values():
        if not result["ok"]:
            result["reason"] = mask(result["reason"], client_settings) or last
    return results


def last_error(text):
    """The last line with an error of the client's log."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    found = [line for line in lines if "ERROR" in line or "CRITICAL" in line] or lines
    if any("找不到 zone_id" in line for line in found):
        return "the account has no zone that holds this name, or the token may not read it"
    return found[-1][:300] if found else ""


def mask(text, client_settings):
    """Take every token out of a text; a provider may quote what it was sent."""
    try:
        with open(client_settings, encoding="utf-8") as file:
            providers = json.load(file)["providers"]
        secrets = {entry.get(key) for entry in providers for key in ("token", "id")}
    except (OSError, ValueError, KeyError, AttributeError):
        return "the client's configuration cannot be read"
    for secret in sorted(filter(None, map(str, secrets)), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def report():
    """The part of `sitelink status`, or None where no name is to be kept. Raises ConfigError."""
    if not os.path.exists(settings_path()):
        return None
    names, settings = load()
    found = {"state": "fault", "reason": "", "names": [], "note": ""}
    path = os.path.join(state_directory(), "status.json")
    told = state.read_json(path)
    if not told:
        if os.geteuid() != 0:
            found["reason"] = "only root can read how it stands; run: sudo sitelink status"
        else:
            found["reason"] = "no update has run yet; see: systemctl status sitelink-ddns.timer sitelink-ddns.service"
    elif time.monotonic() - told.get("checked", 0) > 3 * settings["interval"] + 2 * (CLIENT_SECONDS + SETTLE_SECONDS):
        found["reason"] = "no update ran for %d s; start them with: systemctl start sitelink-ddns.timer" % (
            time.monotonic() - told.get("checked", 0)
        )
    else:
        found["state"], found["reason"] = told["state"], told["reason"]
    known = told.get("names") or {}
    for name in names:
        record = known.get(name.key) or {}
        item = {"name": name.name, "kind": name.kind, "provider": name.provider}
        item.update({key: record.get(key) for key in ("address", "published", "verdict", "fault", "reason")}, peer=name.peer)
        found["names"].append(item)
        found["note"] = found["note"] or record.get("note", "")
    return found
