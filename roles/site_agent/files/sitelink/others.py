# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else uses the table, the mark or the rule priority of a gateway: asked before its daemon starts.

The trap is that wg-quick takes a FwMark's number for its routing table, and 0x131 is 305: a second tunnel with that mark
sends the whole internet to the carrier, or takes the mesh's way out for itself.
"""

import glob
import os
import re

from . import config, front, gateway, wg

# What comes last counts: /etc over what the package brings.
TABLES = (
    "/usr/lib/iproute2/rt_tables",
    "/usr/share/iproute2/rt_tables",
    "/etc/iproute2/rt_tables",
    "/etc/iproute2/rt_tables.d/*.conf",
)
CRONTABS = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")


def users(kernel, cfg, mesh):
    """Sentences, one per user. mesh: the WireGuard interface that may have the mark. Raises OSError."""
    ours = {mesh, *config.configured("mesh")}  # one under an old name too, which the same run takes away
    return _in_kernel(kernel, cfg) + _gateways(cfg) + _devices(kernel, cfg, ours) + _files(cfg, ours) + _article(cfg)


def _in_kernel(kernel, cfg):
    link = kernel.link(cfg.interface)
    view = gateway.inspect(kernel, cfg)
    found = list(view.faults)
    for route in view.stale_routes:
        # On our own NIC it is the article's, which the daemon replaces.
        if route.protocol not in gateway.OWN and (link is None or route.oif != link.index):
            found.append(
                "table %d holds a route that is not sitelink's: %s; remove it with ip route del, or set another "
                "tr069_table" % (cfg.table, gateway.describe_route(route))
            )
    for rule in view.stale_rules:
        if rule.priority != cfg.priority:  # the daemon would take it away from whoever made it
            found.append(
                "a rule that is not sitelink's leads into table %d: %s; remove it with ip rule del, or set another "
                "tr069_table (wg-quick takes a FwMark's number as a table unless its file says Table = off)"
                % (cfg.table, gateway.describe_rule(rule))
            )
    for route in kernel.routes6(cfg.table) if any(rule.table == cfg.table == rule.mark for rule in kernel.rules6()) else ():
        found.append(
            "IPv6's table %d holds a route that is not sitelink's: %s; remove it with ip -6 route del, or set another tr069_table "
            "(wg-quick takes a FwMark's number as a table unless its file says Table = off)"
            % (cfg.table, gateway.describe_route(route))
        )
    rules, in_front = kernel.rules(), []
    if view.missing_routes or view.missing_rules:  # else they are among the faults
        in_front = gateway.in_front(kernel, cfg, view.wanted, rules, None if link is None else link.index, proven=False)
    for rule in rules:
        if rule.table == cfg.table or rule.protocol in gateway.OWN:
            continue  # another underlay NIC's, or one of the three that every host has
        text = gateway.describe_rule(rule)
        if rule.priority == cfg.priority:
            found.append(
                "another rule has the priority %d: %s; remove it with ip rule del, or set another tr069_rule_priority"
                % (cfg.priority, text)
            )
        elif rule.mark and _catches(rule, cfg):
            found.append(
                "another rule uses the mark 0x%x: %s; remove it with ip rule del, or set another tr069_fwmark"
                % (cfg.fwmark, text)
            )
        else:
            found += [text for way, text in in_front if way.rule == rule]
    return found


def _catches(rule, cfg):
    """Whether a rule is about our mark itself, or about some of its bits and comes before ours."""
    exact = (rule.mark, rule.mask) == (cfg.fwmark, 0xFFFFFFFF)
    return exact or (rule.priority < cfg.priority and not front.inverted(rule) and cfg.fwmark & rule.mask == rule.mark)


def _gateways(cfg):
    """The other underlay NICs of this site."""
    found = []
    for interface in config.configured("gateway"):
        if interface == cfg.interface:
            continue
        try:
            other = config.load_gateway(interface)
        except config.ConfigError:
            continue  # its own daemon says so
        for name, variable in (("table", "tr069_table"), ("fwmark", "tr069_fwmark")):
            if getattr(other, name) == getattr(cfg, name):
                found.append(
                    "the gateway of %s has the %s %d already; every underlay NIC needs a %s of its own: set another %s"
                    % (interface, name, getattr(cfg, name), name, variable)
                )
    return found


def _devices(kernel, cfg, ours):
    found = []
    for interface, mark in sorted(wg.fwmarks().items()):
        # wg also lists what a user space WireGuard has in another network namespace
        if mark == cfg.fwmark and interface not in ours and kernel.link(interface) is not None:
            found.append(
                "the WireGuard interface %s has the mark 0x%x, so its packets to the underlay would leave by %s; give it "
                "another FwMark, or set another tr069_fwmark" % (interface, mark, cfg.interface)
            )
    return found


def _files(cfg, ours):
    """Tunnels of wg-quick that are not up now. The mesh's own file is rendered with Table = off."""
    found = []
    for path in sorted(glob.glob(os.path.join(config.WIREGUARD, "*.conf"))):
        if path in [config.wireguard_path(interface) for interface in ours]:
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        mark, table = _setting(text, "FwMark"), _setting(text, "Table") or "auto"
        number = _number(mark)
        names = _tables()
        if _table(table, names) == cfg.table:
            found.append(
                "%s says Table = %s, so wg-quick would put its routes into the table %d; give it another Table, or set "
                "another tr069_table" % (path, table, cfg.table)
            )
        elif table.lower() == "auto" and number == cfg.table:
            found.append(
                "%s says FwMark = %s without Table = off, and wg-quick takes the FwMark's number, %d, for its routing "
                "table; give it another FwMark, or set another tr069_table" % (path, mark, cfg.table)
            )
        elif number == cfg.fwmark:
            found.append(
                "%s says FwMark = %s, so its packets to the underlay would leave by %s; give it another FwMark, or set "
                "another tr069_fwmark" % (path, mark, cfg.interface)
            )
        else:
            found += ["%s says %s, which is about the %s of tr069_%s; give it another one, or set another tr069_%s" % (
                path, line, word, variable, variable) for line, word, variable in _commands(text, cfg, names)]  # fmt: skip
    return found


def _commands(text, cfg, names):
    """(line, word, variable) of what a file of wg-quick has done when its tunnel comes up: with our table, or with our mark."""
    for line in re.findall(r"(?im)^\s*((?:PreUp|PostUp)\s*=[^#\n]*)", text):
        for command in re.split(r"[;&|]+", line.partition("=")[2]):
            adds = re.search(r"\bip\b.*\b(?:route|ro|r|rule|ru)\s+(?:add|append|replace|change|prepend|a)\s(.*)", command)
            if adds:
                table = re.search(r"\b(?:table|lookup)\s+(\S+)", adds.group(1))
                mark = re.search(r"(not\s+)?\b(?:from\s+all\s+)?fwmark\s+([^\s/]+)(\s|$)", adds.group(1))
                if table and _table(table.group(1), names) == cfg.table:
                    yield line.strip(), "table", "table"
                elif mark and not mark.group(1) and _number(mark.group(2)) == cfg.fwmark:
                    yield line.strip(), "mark", "fwmark"
            else:
                mark = re.search(r"\bwg\s+set\s+\S+\s.*\bfwmark\s+(\S+)|--set-x?mark\s+([^\s/]+)|\bmeta\s+mark\s+set\s+(\S+)", command)
                if mark and _number(next(filter(None, mark.groups()))) == cfg.fwmark:
                    yield line.strip(), "mark", "fwmark"


def _tables():
    """The names of routing tables, as `ip` reads them, with their numbers."""
    found = {}
    for pattern in TABLES:
        for path in sorted(glob.glob(pattern)):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            for words in (line.partition("#")[0].split() for line in lines):
                if len(words) >= 2 and _number(words[0]) is not None:
                    found[words[1]] = _number(words[0])
    return found


def _table(text, names):
    return names.get(text, _number(text))


def _article(cfg):
    """The source article's script, which sets the route of its table 305 by cron each minute."""
    found = []
    paths = [path for pattern in CRONTABS for path in sorted(glob.glob(pattern))] if cfg.table == 305 else []
    for path in paths:
        if re.search(r"[.~]", os.path.basename(path)):
            continue  # a copy, which cron passes over
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if re.search(r"(?m)^[^#\n]*/set-tr069-gateway(?![\w.-])", text):
            found.append(
                "%s runs set-tr069-gateway, which sets another route in the table 305 each minute; take the site over, with "
                "its key, by ansible-playbook sitelink.tr069.migrate -e sites=NAME, if it was set up by hand as the article "
                "says. Otherwise remove the line, or set tr069_gateway_remove_article to true, which takes the script and "
                "the line away" % path
            )
    return found


def _setting(text, name):
    """The last value of a key, as wg-quick reads it: whatever its case, without a comment."""
    values = re.findall(r"(?im)^\s*%s\s*=\s*([^#\s]*)" % name, text)
    return values[-1] if values else ""


def _number(text):
    try:
        return int(text, 0)
    except ValueError:
        return None
