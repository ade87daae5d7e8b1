# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink status`: what is, per layer, with reasons. Reads the kernel and the daemons' files; changes nothing."""

import os
import socket
import time

from . import __version__, config, ddns, firewall, gateway, handover, icmp, lease, loaded, netlink, nftables, state, wg

SETTLE_SECONDS = 30  # a name that was just published is found within some seconds; who is silent for longer is so for another reason


def collect(probe=False):
    """The whole status as one object. probe: ask every peer for an echo over the overlay (takes up to 1 s)."""
    kernel = netlink.Kernel()
    result = {
        "version": __version__,
        "site": socket.gethostname(),
        "time": int(time.time()),
        "gateway": [],
        "firewall": [],
        "ddns": None,
        "mesh": [],
        "exit": [],
        "outdated": [],
        "faults": [],
    }
    for interface in config.configured("gateway"):
        _gateway(kernel, interface, result)
    for interface in config.configured("firewall"):
        _firewall(interface, result)
    _ddns(result)
    for interface in config.configured("mesh"):
        _mesh(kernel, interface, probe, result)
        _exit(interface, result)
    for kind in ("gateway", "firewall", "mesh"):
        for interface in config.configured(kind):
            _outdated(kind, interface, result)
    if not result["gateway"] and not result["mesh"]:
        _fault(result, "gateway", "sitelink", "%s holds no configuration; run the playbook for this site" % config.ETC)
    for fault in result["faults"]:
        fault["site"] = result["site"]
    return result


def settle(look=collect, sleep=time.sleep):
    """Wait for peers that have been silent for a moment only, as all are right behind the run that made the mesh."""
    for _ in range(2 * SETTLE_SECONDS):
        peers = [peer for mesh in look()["mesh"] for peer in mesh["peers"] if not peer["alive"] and not peer["external"]]
        if not any(peer["since"] is not None and peer["since"] < SETTLE_SECONDS for peer in peers):
            return
        sleep(0.5)


def _fault(result, layer, subject, message):
    result["faults"].append({"layer": layer, "subject": subject, "message": message})


def _gateway(kernel, interface, result):
    try:
        cfg = config.load_gateway(interface)
        running = state.is_locked(config.run_path("gateway", interface, "lock"))
        told = state.read_json(config.run_path("gateway", interface, "json")) if running else {}
        routers = told.get("routers") or []
        leased = lease.Lease(told.get("address"), routers, [])
        view = gateway.inspect(kernel, cfg, leased, told.get("gateway"))
    except (config.ConfigError, OSError) as error:
        _fault(result, "gateway", interface, str(error))
        return
    known = told.get("errors") or [], told.get("silent") or [], routers
    found = gateway.report(cfg, view, *known)
    result["gateway"].append(found)
    for layer, reason in gateway.reasons(cfg, view, *known):
        _fault(result, layer, interface, reason)
    if not running:
        found["state"] = "fault"
        message = "the daemon does not run; start it with: systemctl start sitelink-gateway@%s" % interface
        found["reason"] = "; ".join(part for part in (found["reason"], message) if part)
        _fault(result, "gateway", interface, message)


def _firewall(interface, result):
    if os.geteuid() != 0:
        _fault(result, "firewall", interface, "only root can read the tables of nftables; run: sudo sitelink status")
        return
    try:
        found = firewall.report(interface)
    except nftables.NftError as error:
        _fault(result, "firewall", interface, str(error))
        return
    result["firewall"].append(found)
    if found["reason"]:
        _fault(result, "firewall", interface, found["reason"])


def _ddns(result):
    try:
        result["ddns"] = found = ddns.report()
    except config.ConfigError as error:
        _fault(result, "ddns", "sitelink-ddns", str(error))
        return
    if found and found["reason"]:
        _fault(result, "ddns", "sitelink-ddns", found["reason"])


def _mesh(kernel, interface, probe, result):
    try:
        cfg = config.load_mesh(interface)
    except config.ConfigError as error:
        _fault(result, "mesh", interface, str(error))
        return
    result["site"] = cfg.site
    if os.geteuid() == 0:
        cfg = handover.Handover(state.read_json(config.lib_path("keys", interface, "json"))).plan_in_use(cfg)
    told = state.read_json(config.run_path("mesh", interface, "json"))
    reasons = []
    device = None
    if os.geteuid() != 0:
        reasons.append("only root can read %s; run: sudo sitelink status" % interface)
    elif kernel.link(interface) is None:
        reasons.append("%s does not exist; start it with: systemctl restart wg-quick@%s" % (interface, interface))
    else:
        try:
            device = wg.show(interface)
        except wg.WgError as error:
            reasons.append(str(error))
    running = state.is_locked(config.run_path("mesh", interface, "lock"))
    if not running:
        reasons.append("the daemon does not run; start it with: systemctl start sitelink-mesh@%s" % interface)
    elif told.get("reason") and told["reason"] not in reasons:
        reasons.insert(0, told["reason"])
    latency = {}
    if probe and device is not None:
        try:
            latency = icmp.measure([peer.address for peer in cfg.peers], interface)
        except OSError as error:
            reasons.append("the peers could not be probed: %s" % error.strerror)
    peers = []
    for plan in cfg.peers:
        known = (told.get("peers") or {}).get(plan.public_key) or {}
        peers.append(_peer(kernel, cfg, plan, device, known, running, *latency.get(plan.address, (None, None))))
    for reason in reasons:
        _fault(result, "mesh", interface, reason)
    for peer in peers:
        if peer["reason"]:
            _fault(result, "peer", peer["name"], peer["reason"])
    result["mesh"].append(
        {
            "interface": interface,
            "mesh": cfg.mesh,
            "state": "fault" if reasons or any(peer["reason"] for peer in peers) else "ok",
            "reason": "; ".join(reasons),
            "public_key": device.public_key if device else cfg.public_key,
            "address": cfg.addresses[0].split("/")[0] if cfg.addresses else None,
            "peers": peers,
        }
    )


def _outdated(kind, interface, result):
    """A daemon that has not read what is written for it: a run of the playbook broke off."""
    unit = loaded.unit(kind, interface)
    told = loaded.told(unit).get("files")  # root alone may read it
    if told is None or not state.is_locked(config.run_path(kind, interface, "lock")):
        return
    # What lies elsewhere the daemon of the mesh reads by itself, again and again.
    paths = [path for path in loaded.files(unit) if os.path.dirname(path) == config.ETC and loaded.digest(path) != told.get(path)]
    if paths:
        result["outdated"].append({"unit": unit, "files": paths})
        text = "the daemon does not run %s as it is written; run the playbook again, or type: sitelink service %s"
        _fault(result, kind, interface, text % (", ".join(paths), unit))


def _exit(interface, result):
    """The use of another site's internet, and who uses that of this one."""
    try:
        cfg = config.load_mesh(interface)
    except config.ConfigError:
        return  # told with the mesh
    if cfg.exit is None and not cfg.exit_for:
        return
    running = state.is_locked(config.run_path("mesh", interface, "lock"))
    told = (state.read_json(config.run_path("mesh", interface, "json")).get("exit") or {}) if running else {}
    named = state.read_json(config.run_path("named", interface, "json"))
    reasons = [part for part in (told.get("reason"), named.get("reason") if told.get("site") else "") if part]
    found = {
        "interface": interface,
        "when": cfg.exit.when if cfg.exit else "never",
        "uplink": cfg.uplink,
        "broadband": told.get("broadband"),
        "away": bool(told.get("routed")),
        "used": told.get("site"),
        "since": round(time.monotonic() - told["since"], 1) if told.get("since") is not None else None,
        "exits": told.get("sites") or {},
        "names": named.get("by") or None,
        "serves": list(cfg.exit_for),
        "state": "fault" if reasons else "ok",
        "reason": "; ".join(reasons),
        "names_reason": named.get("reason", "") if told.get("site") else "",
    }
    result["exit"].append(found)
    for reason in reasons:
        _fault(result, "exit", interface, reason)


def _peer(kernel, cfg, plan, device, known, running, latency, loss):
    live = device.peers.get(plan.public_key) if device is not None else None
    endpoint = live.endpoint if live else None
    age = max(0, int(time.time()) - live.handshake) if live and live.handshake else None
    alive = bool(known.get("alive")) if running else age is not None and age < 180  # REJECT_AFTER_TIME
    source = "none"
    if endpoint:
        source = known.get("source", "roamed") if known.get("endpoint") == endpoint else "roamed"
    nic = None
    reason = known.get("reason", "") if running else ""
    if endpoint:
        route = kernel.lookup(endpoint.rpartition(":")[0], cfg.fwmark)
        nic = gateway.link_name(route.oif) if route is not None and route.oif else None
    if plan.external:  # it may be anywhere, and asleep
        reason = reason if alive else ""
    elif nic != cfg.underlay_interface and (alive or nic is not None):  # without a way it is the gateway that says why
        reason = "packets to it would leave by %s instead of %s; see the gateway" % (
            nic or "no NIC at all", cfg.underlay_interface
        )  # fmt: skip
    elif not alive and not reason:
        reason = "there is no handshake with it"
    return {
        "site": cfg.site,
        "name": plan.name,
        "address": plan.address,
        "external": plan.external,
        "public_key": plan.public_key,
        "endpoint": endpoint,
        "endpoint_source": source,
        "handshake_age": age,
        "rx_bytes": live.rx if live else 0,
        "tx_bytes": live.tx if live else 0,
        "alive": alive,
        "since": round(time.monotonic() - known["since"], 1) if running and known.get("since") is not None else None,
        "heal": dict(zip(("seconds", "source"), known["heal"])) if known.get("heal") else None,
        "latency": latency,
        "loss": loss,
        "nic": nic,
        "reason": reason,
    }


def render(result):
    """The status as a short table for people."""
    lines = ["%s, sitelink %s" % (result["site"], result["version"])]
    for item in result["gateway"]:
        text = "%(address)s/%(prefix)s via %(gateway)s" % item if item["address"] else "no address"
        lines += ["", "%-6s %-6s %s, table %d" % (item["interface"], item["state"], text, item["table"])]
    for item in result["firewall"]:
        dropped = sum(count for name, count in item["packets"].items() if name in firewall.DROPS)
        text = "held" if item["held"] else "watched"
        lines += ["", "%-6s %-6s firewall, %s, %d packets dropped" % (item["interface"], item["state"], text, dropped)]
        for event in item["events"][-3:]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
            text = "stayed closed" if event["held"] else "open for %.1f ms" % event["restored_after_ms"]
            lines.append("  %s  %s; %s" % (when, event["what"], text))
    if result["ddns"]:
        names = [
            "%s %s by %s%s"
            % (item["name"], item["address"] or "-", item["provider"], " for " + item["peer"] if item["peer"] else "")
            for item in result["ddns"]["names"]
        ]
        lines += ["", "%-6s %-6s %s" % ("ddns", result["ddns"]["state"], ", ".join(names))]
        lines += ["  " + result["ddns"]["note"]] if result["ddns"]["note"] else []
    for item in result["mesh"]:
        lines += ["", "%-6s %-6s %s, mesh %s" % (item["interface"], item["state"], item["address"], item["mesh"])]
        titles = "peer,address,,since,endpoint,from,healed,nic,handshake,latency,received,sent"
        rows = [tuple(titles.split(","))]
        for peer in item["peers"]:
            rows.append(
                (
                    peer["name"],
                    peer["address"],
                    "alive" if peer["alive"] else "DEAD",
                    "-" if peer["since"] is None else _duration(peer["since"]),
                    peer["endpoint"] or "-",
                    peer["endpoint_source"],
                    "in %.1f s by %s" % (peer["heal"]["seconds"], peer["heal"]["source"]) if peer["heal"] else "-",
                    peer["nic"] or "-",
                    "-" if peer["handshake_age"] is None else "%d s" % peer["handshake_age"],
                    "-" if peer["latency"] is None else "%.1f ms" % peer["latency"],
                    _bytes(peer["rx_bytes"]),
                    _bytes(peer["tx_bytes"]),
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for item in result["exit"]:
        lines += ["", "%-6s %-6s %s" % ("exit", item["state"], _exit_line(item))]
    lines.append("")
    if result["faults"]:
        lines.append("Faults:")
        lines += ["  [%(layer)s] %(subject)s: %(message)s" % fault for fault in result["faults"]]
    else:
        lines.append("No fault.")
    return "\n".join(lines)


def _exit_line(item):
    parts = []
    if item["when"] != "never":
        if item["used"]:
            text = "internet through %s" % item["used"]
            text += " since %s" % _duration(item["since"]) if item["since"] is not None else ""
        else:
            text = "internet through none of the exits" if item["away"] or item["broadband"] != "up" else "internet by " + item["uplink"]
        parts.append(text)
        if item["broadband"]:
            parts.append("own broadband %s" % item["broadband"])
        parts.append("exits: " + ", ".join("%s %s" % pair for pair in item["exits"].items()))
    if item["serves"]:
        parts.append("lets use its own: " + ", ".join(item["serves"]))
    return "; ".join(parts)


def _duration(seconds):
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return "%d %s" % (seconds // length, unit)
    return "%d s" % seconds


def _bytes(count):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return "%d %s" % (count, unit)
        count //= 1024
    return "%d GiB" % count
