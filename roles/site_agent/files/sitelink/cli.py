# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

import argparse
import errno
import io
import json
import os
import re
import sys
import time

from . import (
    __version__,
    address,
    config,
    ddns,
    doctor,
    exits,
    firewall,
    gateway,
    lease,
    log,
    mesh,
    names,
    netlink,
    nftables,
    nic,
    others,
    overlay,
    service,
    settle,
    state,
    status,
    text,
    watch,
    wg,
)

STATUS_FAULT, STATUS_UNKNOWN = 1, 2


def main(arguments=None):
    """Run one subcommand. Returns the exit code: 0, 1 with one line on stderr, 2 for wrong usage."""
    _speak_utf8()
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (config.ConfigError, address.NoAddress, nftables.NftError, wg.WgError) as error:
        log.log(log.ERROR, "sitelink: %s" % error)
    except PermissionError as error:
        log.log(log.ERROR, "sitelink: %s; this needs root" % error.strerror)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
    return 1


def _parser():
    parser = argparse.ArgumentParser(prog="sitelink", description="Keeps a site in the mesh over the TR-069 network.")
    parser.add_argument("--version", action="version", version="sitelink " + __version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True

    command = commands.add_parser("address", help="print the one valid underlay address of a NIC, or why there is none")
    whose = command.add_mutually_exclusive_group(required=True)
    whose.add_argument("interface", type=_interface, nargs="?")
    whose.add_argument(
        "--peer", metavar="SITE", help="the address at which a peer is heard in the --network given instead"
    )
    command.add_argument("--network", action="append", help="an underlay prefix (default: the NIC's configuration)")
    command.add_argument("--ipv6", action="store_true", help="the IPv6 address in the --network given instead")
    command.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="wait so long for an address to arrive")
    command.set_defaults(run=_address)

    command = commands.add_parser("nic", help="put the configuration of an underlay NIC in place, or take it back")
    command.add_argument("interface", type=_interface)
    action = command.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--apply",
        metavar="FILE",
        nargs="?",
        const="",
        help="apply the NIC's configuration, or that in the file, until --keep or a timeout",
    )
    action.add_argument("--remove", action="store_true", help="take it away, likewise, and put back what it replaced")
    action.add_argument("--keep", action="store_true", help="the site still answers: the change stays")
    action.add_argument("--revert", action="store_true", help="take a change back that --keep has not confirmed")
    command.add_argument("--take", action="append", default=[], metavar="FILE", help="with --apply: put it aside")
    command.add_argument("--cut", action="append", default=[], metavar="FILE", help="likewise: take the NIC out of it")
    command.add_argument("--dry-run", action="store_true", help="only say what would change")
    command.set_defaults(run=_nic)

    command = commands.add_parser("gateway", help="keep the way out through an underlay NIC right (daemon)")
    command.add_argument("interface", type=_interface)
    command.add_argument("--remove", action="store_true", help="take away the routes and rules that the daemon made")
    command.add_argument("--check", metavar="FILE", help="only say who else uses what this configuration needs")
    command.add_argument("--mesh", type=_interface, default="wg0", help="the WireGuard interface that may use it")
    command.set_defaults(run=_gateway)

    command = commands.add_parser("firewall", help="keep an underlay NIC closed whatever flushes rules (daemon)")
    command.add_argument("interface", type=_interface)
    command.add_argument(
        "--remove", action="store_true", help="take away the tables, and what other firewalls were told"
    )
    command.set_defaults(run=_firewall)

    command = commands.add_parser("mesh", help="look after the peers of a WireGuard interface (daemon)")
    command.add_argument("interface", type=_interface)
    command.add_argument("--check", metavar="FILE", help="only say whether this configuration fits the site now")
    command.add_argument(
        "--connected", metavar="FILE", help="only say whether it would cut the site off from a network"
    )
    command.add_argument(
        "--own-key",
        action="store_true",
        help="with --check: and whether a private key of it, which never left the site, is there",
    )
    command.add_argument(
        "--remove", action="store_true", help="take away the routes and rules to the internet of another site"
    )
    command.set_defaults(run=_mesh)

    command = commands.add_parser(
        "names",
        help="ask other DNS servers while the internet is reached through another site (sitelink-names@wg0.service)",
    )
    command.add_argument("interface", type=_interface)
    command.add_argument("--restore", action="store_true", help="put back what was there before")
    command.set_defaults(run=lambda options: names.run(options.interface, options.restore))

    command = commands.add_parser(
        "ddns", help="publish the addresses and read the records back (sitelink-ddns.service)"
    )
    command.set_defaults(run=lambda options: ddns.run())

    command = commands.add_parser("watch", help="write metrics, and tell a command of changes (sitelink-watch.service)")
    command.set_defaults(run=lambda options: watch.run())

    command = commands.add_parser("service", help="let units run what is written, and say what was done")
    command.add_argument("unit", nargs="*")
    command.add_argument(
        "--upgrade", action="store_true", help="instead: restart the daemons that run an older program"
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command.add_argument(
        "--as-if", metavar="FILE", help="with --dry-run: as if files had these SHA-256 digests, {path: digest} in JSON"
    )
    command.set_defaults(run=_service)

    command = commands.add_parser("status", help="show what is, layer by layer")
    command.add_argument("--json", action="store_true", help="for machines")
    command.add_argument(
        "--probe", action="store_true",
        help="measure the latency of every peer over the overlay; waits up to %d s for those that were lost just now"
        % status.SETTLE_SECONDS,
    )  # fmt: skip
    command.set_defaults(run=_status)
    command.epilog = "The exit code is 0 when all is well, %d when there is a fault, %d when it cannot tell." % (
        STATUS_FAULT,
        STATUS_UNKNOWN,
    )

    command = commands.add_parser(
        "doctor",
        help="name the layer that is at fault, and what to do",
        description="Names the layer at fault. The exit code is 0 without a fault, else %s."
        % ", ".join("%d %s" % (doctor.FIRST_EXIT + place, layer) for place, layer in enumerate(doctor.LAYERS)),
    )
    command.add_argument("--json", action="store_true", help="for machines, in all languages")
    command.add_argument(
        "--lang", choices=sorted(text.LANGUAGES), default=text.language(), help="default: the locale's"
    )
    command.set_defaults(run=_doctor)
    return parser


def _stopped(kind, interface):
    if state.is_locked(config.run_path(kind, interface, "lock")):
        raise config.ConfigError(
            "the daemon runs and would put everything back; stop it first: systemctl stop sitelink-%s@%s"
            % (kind, interface)
        )


def _interface(value):
    if not re.match(config.INTERFACE_NAME.pattern + r"\Z", value):
        raise argparse.ArgumentTypeError("not the name of an interface: %r" % value)
    return value


def _address(options):
    if options.peer:
        print(address.find_peer(options.peer, config.networks(options.network or [])))
        return 0
    if options.ipv6:
        print(address.find6(options.interface, config.networks6(options.network)))
        return 0
    networks = config.networks(options.network) if options.network else config.load_gateway(options.interface).networks
    begun, helped = time.monotonic(), False
    while True:
        kernel = netlink.Kernel()
        try:
            print(address.find(kernel, options.interface, networks)[0])
            return 0
        except address.NoAddress:
            waited = time.monotonic() - begun
            if waited >= options.wait:
                raise
        if waited >= lease.FORGOTTEN_SECONDS and not helped:
            helped = lease.set_free(kernel, options.interface)
        time.sleep(0.5)


def _nic(options):
    try:
        return _change_nic(options)
    except PermissionError:
        raise
    except OSError as error:
        raise nic.NicError("%s: %s" % (options.interface, error)) from None


def _change_nic(options):
    if options.keep:
        nic.keep(options.interface)
    elif options.revert:
        nic.revert(options.interface)
    else:
        if options.apply is not None:
            changes = nic.apply(options.interface, options.apply, options.take, options.cut, options.dry_run)
        else:
            changes = nic.remove(options.interface, options.dry_run)
        for line in changes:
            print(line)
    return 0


def _gateway(options):
    if options.check:
        cfg = config.load_gateway(options.interface, options.check)
        found = others.users(netlink.Kernel(), cfg, options.mesh)
        for sentence in found:
            print(sentence)
        return 1 if found else 0
    if not options.remove:
        return gateway.run(options.interface)
    cfg = config.load_gateway(options.interface)
    _stopped("gateway", options.interface)
    table = config.run_path("table", str(cfg.table), "lock")
    if state.is_locked(table):  # it was refused this table, and never put anything there
        log.log(log.INFO, "the routing table %d is held by sitelink-gateway@%s and left alone" % (cfg.table, state.holder(table)))
        return 0
    gateway.remove(netlink.Kernel(), cfg)
    return 0


def _firewall(options):
    if not options.remove:
        return firewall.run(options.interface)
    _stopped("firewall", options.interface)
    firewall.remove(options.interface)
    return 0


def _mesh(options):
    if options.remove:
        _stopped("mesh", options.interface)
        told = state.read_json(config.run_path("mesh", options.interface, "json")).get("exit")
        if told:
            exits.remove(netlink.Kernel(), told["table"], told["priority"])
        return 0
    if not options.check and not options.connected:
        return mesh.run(options.interface)
    kernel, cfg = netlink.Kernel(), config.load_mesh(options.interface, options.check or options.connected)
    if options.connected:
        refusals = overlay.overlaps(kernel, cfg)
    else:
        refusals = overlay.refusals(kernel, cfg) + [
            "%s: %s" % (cfg.site, fault) for fault in exits.refusals(kernel, cfg)
        ]
    if refusals:
        raise config.ConfigError("; ".join(refusals))
    if options.check:
        if options.own_key:
            settle.own_key(cfg)
        # On standard error, where site_layer takes them for warnings.
        for warning in overlay.warnings(kernel, cfg):
            log.log(log.WARNING, warning)
    return 0


def _service(options):
    as_if = state.read_json(options.as_if) if options.as_if and options.dry_run else {}
    do = service.Service(dry_run=options.dry_run, as_if=as_if)
    return _say(do.upgrade() if options.upgrade else do.bring(options.unit))


def _say(sentences):
    """Each as soon as it is true."""
    for sentence in sentences:
        print(sentence, flush=True)
    return 0


def _status(options):
    try:
        if options.probe:
            status.settle()
        result = status.collect(options.probe)
    except (OSError, config.ConfigError, nftables.NftError, wg.WgError) as error:
        log.log(log.ERROR, "sitelink: the status cannot be told: %s" % error)
        return STATUS_UNKNOWN
    print(json.dumps(result, indent=1, ensure_ascii=False) if options.json else status.render(result))
    if os.geteuid() != 0:
        return STATUS_UNKNOWN
    return STATUS_FAULT if result["faults"] else 0


def _doctor(options):
    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    try:
        report, findings = doctor.examine()
    except (OSError, wg.WgError) as error:
        log.log(log.ERROR, "sitelink: doctor could not look: %s" % error)
        return 1
    if options.json:
        print(json.dumps(doctor.as_data(report, findings), indent=1, ensure_ascii=False))
    else:
        print(doctor.render(report, findings, options.lang))
    return doctor.exit_code(findings)


def _speak_utf8():
    """Python 3.6 takes the C locale, which units run in, for ASCII; the texts quote the ONT's Chinese pages."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding or "").lower().replace("-", "") != "utf8":
            setattr(sys, name, io.TextIOWrapper(stream.detach(), "utf-8", "replace", line_buffering=True))
