# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else uses the table, the mark or the rule priority of a gateway: asked before its daemon starts.

The trap is that wg-quick takes a FwMark's number for its routing table, and 0x131 is 305: a second tunnel with that mark
sends the whole internet to the carrier, or takes the mesh's way out for itself.
"""

import glob
import os
import re

from . import config, front, gateway, wg

CRONTABS = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")


def users(kernel, cfg, mesh):
    """Sentences, one per user. mesh: the WireGuard interface that may have the mark. Raises OSError."""
    return _in_kernel(kernel, cfg) + _gateways(cfg) + _devices(kernel, cfg, mesh) + _files(cfg, mesh) + _article(cfg)


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
    for route in kernel.routes6(cfg.table):
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


def _devices(kernel, cfg, mesh):
    found = []
    for interface, mark in sorted(wg.fwmarks().items()):
        # wg also lists what a user space WireGuard has in another network namespace
        if mark == cfg.fwmark and interface != mesh and kernel.link(interface) is not None:
            found.append(
                "the WireGuard interface %s has the mark 0x%x, so its packets to the underlay would leave by %s; give it "
                "another FwMark, or set another tr069_fwmark" % (interface, mark, cfg.interface)
            )
    return found


def _files(cfg, mesh):
    """Tunnels of wg-quick that are not up now. The mesh's own file is rendered with Table = off."""
    found = []
    for path in sorted(glob.glob(os.path.join(config.WIREGUARD, "*.conf"))):
        if path == config.wireguard_path(mesh):
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        mark, table = _setting(text, "FwMark"), _setting(text, "Table") or "auto"
        number = _number(mark)
        if _number(table) == cfg.table:
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
    return found


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
