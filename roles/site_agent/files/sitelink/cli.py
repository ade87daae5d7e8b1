# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

import argparse
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
    firewall,
    gateway,
    log,
    mesh,
    netlink,
    nftables,
    overlay,
    state,
    status,
)


def main(arguments=None):
    """Run one subcommand. Returns the exit code: 0, 1 with one line on stderr, 2 for wrong usage."""
    _speak_utf8()
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (config.ConfigError, address.NoAddress, nftables.NftError) as error:
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
    command.add_argument("interface", type=_interface)
    command.add_argument("--network", action="append", help="an underlay prefix (default: the NIC's configuration)")
    command.add_argument("--ipv6", action="store_true", help="the IPv6 address in the --network given instead")
    command.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="wait so long for an address to arrive")
    command.set_defaults(run=_address)

    command = commands.add_parser("gateway", help="keep the way out through an underlay NIC right (daemon)")
    command.add_argument("interface", type=_interface)
    command.add_argument("--remove", action="store_true", help="take away the routes and rules that the daemon made")
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
    command.set_defaults(run=_mesh)

    command = commands.add_parser(
        "ddns", help="publish the addresses and read the records back (sitelink-ddns.service)"
    )
    command.set_defaults(run=lambda options: ddns.run())

    command = commands.add_parser("status", help="show what is, layer by layer")
    command.add_argument("--json", action="store_true", help="for machines")
    command.add_argument("--probe", action="store_true", help="measure the latency of every peer over the overlay")
    command.set_defaults(run=_status)
    return parser


def _interface(value):
    if not re.match(config.INTERFACE_NAME.pattern + r"\Z", value):
        raise argparse.ArgumentTypeError("not the name of an interface: %r" % value)
    return value


def _address(options):
    if options.ipv6:
        print(address.find6(options.interface, config.networks6(options.network)))
        return 0
    networks = config.networks(options.network) if options.network else config.load_gateway(options.interface).networks
    deadline = time.monotonic() + options.wait
    while True:
        try:
            print(address.find(netlink.Kernel(), options.interface, networks)[0])
            return 0
        except address.NoAddress:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)


def _gateway(options):
    if not options.remove:
        return gateway.run(options.interface)
    cfg = config.load_gateway(options.interface)
    if state.is_locked(config.run_path("gateway", options.interface, "lock")):
        raise config.ConfigError(
            "the daemon runs and would put everything back; stop it first: systemctl stop sitelink-gateway@%s"
            % options.interface
        )
    gateway.remove(netlink.Kernel(), cfg)
    return 0


def _firewall(options):
    if not options.remove:
        return firewall.run(options.interface)
    if state.is_locked(config.run_path("firewall", options.interface, "lock")):
        raise config.ConfigError(
            "the daemon runs and would put everything back; stop it first: systemctl stop sitelink-firewall@%s"
            % options.interface
        )
    firewall.remove(options.interface)
    return 0


def _mesh(options):
    if not options.check:
        return mesh.run(options.interface)
    refusals = overlay.refusals(netlink.Kernel(), config.load_mesh(options.interface, options.check))
    if refusals:
        raise config.ConfigError("; ".join(refusals))
    return 0


def _status(options):
    result = status.collect(options.probe)
    print(json.dumps(result, indent=1, ensure_ascii=False) if options.json else status.render(result))
    return 0


def _speak_utf8():
    """Python 3.6 takes the C locale, which units run in, for ASCII; the texts quote the ONT's Chinese pages."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding or "").lower().replace("-", "") != "utf8":
            setattr(sys, name, io.TextIOWrapper(stream.detach(), "utf-8", "replace", line_buffering=True))
