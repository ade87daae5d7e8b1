# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of lab/lab."""

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import carrier, counters, credentials, image, internet, leaks, packages, podman, site, topology
from .podman import PREFIX, LabError, say
from .shapes import SHAPES
from .topology import NETNS, Site

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".lab" / topology.NAME
OWNER = "sitelink.lab.root"  # label: the checkout that the lab belongs to
COUNT = "sitelink.lab.sites"  # label: its number of sites
WORKERS = 4
# Of inotify, which systemd, its daemons and NetworkManager use; without any left a site that is rebooted does not come up. The kernel's
# default of 128 for all of root's is what two labs take.
INSTANCES = 1024
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Of the machine's own ways out, none of which is there in the lab.
WAYS_OUT = re.compile(r"PIP_\w+|(?i:(https?|ftp|all|no)_proxy)|(REQUESTS|CURL)_CA_BUNDLE")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep two commands that change labs of this name apart, from whichever checkouts."""
    with open(f"/run/lock/{NETNS}", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another lab command")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def each(function: Callable, items: list) -> list:
    """Call the function for all items, a few at a time, and raise the first error."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(function, items))


def labels() -> tuple[str, int]:
    """The checkout and the number of sites of the lab of this name, whoever's it is; empty and 0 when there is none.

    They are those of the carrier's container, which is the first to be made.
    """
    template = "{{json .Config.Labels}}"
    done = podman.run("podman", "container", "inspect", "--format", template, PREFIX + carrier.NAME, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    return found.get(OWNER, ""), int(found.get(COUNT, 0))


def containers(*filters: str) -> list[str]:
    """The containers that have a name of this lab."""
    own = ["--filter", f"name=^{PREFIX}(site-[a-z]|lan-[a-z]|{carrier.NAME}|{internet.NAME})$", *filters]
    return podman.run("podman", "ps", "--all", *own, "--format", "{{.Names}}").stdout.split()


def check_owner(owner: str) -> None:
    """LabError when the lab is another checkout's, unless that is gone or nothing of its lab runs."""
    if owner in ("", str(ROOT)) or not Path(owner, "lab").is_dir() or not containers("--filter", "status=running"):
        return
    raise LabError(
        f"the lab {topology.NAME} was made from {owner}, and only that checkout may change it. Run `lab/lab down` there, "
        "or have one of your own beside it: export SITELINK_LAB=another-name"
    )


def free(_options: argparse.Namespace) -> None:
    check_owner(labels()[0])


def size() -> int:
    """The running lab's number of sites. LabError when there is none, or when it is another checkout's."""
    owner, count = labels()
    if not podman.exists() or not count:
        raise LabError("the lab is down: run `lab/lab up`")
    check_owner(owner)
    return count


def chosen(names: list[str]) -> list[Site]:
    count = size()
    return [topology.site(name, count) for name in names]


def make_room() -> None:
    """Let this machine have as many watches of files as the sites need. It keeps that until it is booted anew."""
    allowed = int(INOTIFY.read_text())
    if allowed >= INSTANCES:
        return
    try:
        INOTIFY.write_text(f"{INSTANCES}\n")
        say(f"fs.inotify.max_user_instances of this machine is {INSTANCES} now ({allowed} before)")
    except OSError as error:
        say(
            f"fs.inotify.max_user_instances is {allowed}, and cannot be raised ({error.strerror}): two labs at a time may be too many"
        )


def make_namespace() -> None:
    if not podman.exists():
        podman.run("ip", "netns", "delete", NETNS, check=False)  # the file of a dead one
        podman.run("ip", "netns", "add", NETNS)
    podman.ip("link", "set", "lo", "up")
    # No IPv6 on the bridges, before there is one: they would take the carrier's router advertisements.
    sysctls = {"net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1}
    podman.run(*podman.inside("sysctl", "-qw", *[f"{key}={value}" for key, value in sysctls.items()]))


def make_networks(sites: list[Site]) -> dict[str, str]:
    """Networks without addresses of podman's own. Returns {network: bridge}."""
    names = [name for each in sites for name in (each.home, each.ont)]
    listed = podman.podman("network", "ls", "--format", "{{.Name}}").stdout.split()
    for name in names:
        if PREFIX + name not in listed:
            podman.podman("network", "create", "--internal", "--disable-dns", "--ipam-driver", "none", PREFIX + name)
    found = json.loads(podman.podman("network", "inspect", *[PREFIX + name for name in names]).stdout)
    return {network["name"].removeprefix(PREFIX): network["network_interface"] for network in found}


def up(options: argparse.Namespace) -> None:
    began = time.monotonic()
    owner, running = labels()
    check_owner(owner)
    if owner not in ("", str(ROOT)):
        say(f"removing the dead lab of {owner}")
        down(options)
        running = 0
    count = options.sites or running or topology.DEFAULT_SITES
    if running not in (0, count):
        raise LabError(f"a lab of {running} sites is there: run `lab/lab down` first")
    sites = topology.sites(count)
    image.build()
    credentials.prepare(STATE, sites)
    publish()
    make_room()
    make_namespace()
    bridges = make_networks(sites)
    marks = (f"--label={OWNER}={ROOT}", f"--label={COUNT}={count}")

    creators: dict[str, Callable] = {
        carrier.NAME: lambda: plain(carrier.NAME, carrier.nics(count), *marks),
        internet.NAME: lambda: plain(internet.NAME, internet.nics(count), *marks, *internet.options(STATE)),
    }
    for member in sites:
        creators[member.name] = lambda member=member: new_site(member, *marks)
        creators[member.lan] = lambda member=member: new_lan_host(member, *marks)
    missing = [name for name in creators if podman.state(name) != "running"]
    if missing:
        say(f"starting {', '.join(missing)}")
    before = {member.name: STATE / "before" / f"{member.name}.json" for member in sites}
    for name in missing:
        podman.remove(name)
        if name in before:
            before[name].unlink(missing_ok=True)
    # The carrier first, by its labels: a lab half made is still known to be one.
    if carrier.NAME in missing:
        creators[carrier.NAME]()
    each(lambda name: creators[name](), [name for name in missing if name != carrier.NAME])
    settle_bridges(sites, bridges)
    internet.start(count)
    fresh = [member for member in sites if not before[member.name].exists()]  # also where an earlier up was interrupted
    if fresh or not counters.installed():
        counters.install(sites)
    if fresh:
        say(f"waiting for {', '.join(member.name for member in fresh)} to boot")
        each(site.wait_until_running, fresh)
        (STATE / "before").mkdir(exist_ok=True)
        for member in fresh:
            before[member.name].write_text(json.dumps(site.snapshot(member), indent=1) + "\n")
    carrier.start(count)
    if fresh:
        carrier.plug(fresh, True)
    say(f"up with {count} sites in {time.monotonic() - began:.0f} s")


def publish() -> None:
    """Let the lab's internet serve what was fetched before."""
    packages.publish(STATE / "packages", sorted(image.CACHE.glob("*.whl")), sorted(image.DEBS.glob("*.deb")))


def plain(name: str, nics: list[podman.Nic], *options: str) -> None:
    podman.create(name, image.tag(), "/usr/local/sbin/lab-idle", nics, *options)
    podman.start(name, nics)


def new_site(member: Site, *marks: str) -> None:
    site.create(member, image.tag(), STATE, *marks)
    site.start(member)


def new_lan_host(member: Site, *marks: str) -> None:
    podman.create(member.lan, image.tag(), "/usr/local/sbin/lab-idle", site.lan_nics(member), *marks)
    site.start_lan_host(member)


def settle_bridges(sites: list[Site], bridges: dict[str, str]) -> None:
    """The controller's address in every home network, and nothing between the networks."""
    lines = [
        f"address replace {member.controller}/{member.home_network.prefixlen} dev {bridges[member.home]}"
        for member in sites
    ]
    # The controller is at home at site-a, and has no other way out.
    lines.append(f"route replace {topology.PACKAGES} via {sites[0].router}")
    podman.ip("-batch", "-", stdin="\n".join(lines) + "\n")
    podman.run(*podman.inside("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.bridge.bridge-nf-call-iptables=0"))


def down(_options: argparse.Namespace) -> None:
    """Remove all containers and networks by the lab's names, its namespace and its state; the image stays."""
    check_owner(labels()[0])
    names = containers()
    listed = podman.run("podman", "network", "ls", "--format", "{{.Name}}").stdout.split()
    lab_networks = {PREFIX + name for each in topology.sites(topology.MAX_SITES) for name in (each.home, each.ont)}
    if not podman.exists():
        # After a reboot of the machine only podman's records are left; podman still runs in a namespace of the lab.
        if not (names or lab_networks & set(listed)):
            forget()
            say("nothing to take down")
            return
        make_namespace()
    if names:
        podman.remove(*[name.removeprefix(PREFIX) for name in names])
    if present := sorted(lab_networks & set(listed)):
        podman.podman("network", "rm", "--force", *present)
    podman.run("ip", "netns", "delete", NETNS)
    forget()
    say(f"down: {len(names)} containers removed")


def forget() -> None:
    shutil.rmtree(STATE, ignore_errors=True)
    with contextlib.suppress(OSError):
        STATE.parent.rmdir()  # unless another lab of this checkout is there


def status(options: argparse.Namespace) -> None:
    count = size()
    suspended = internet.suspended()
    rows = {}
    for member in topology.sites(count):
        running = podman.state(member.name) == "running"
        rows[member.name] = {
            "state": podman.state(member.name),
            "eth0": [str(each) for each in carrier.addresses(member.name, "eth0")] if running else [],
            "eth1": [str(each) for each in carrier.addresses(member.name, "eth1")] if running else [],
            "underlay": str(member.underlay(carrier.generation(member))),
            "generation": carrier.generation(member),
            "plugged": running and carrier.plugged(member),
            "suspended": member.home in suspended,
            "rate": carrier.rate(member) if running else None,
            "lan_host": podman.state(member.lan),
        }
    found = {"namespace": NETNS, "dns": internet.dns_runs(), "sites": rows}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print(f"namespace {NETNS}, DNS {'up' if found['dns'] else 'stopped'}")
    for name, row in rows.items():
        words = [row["state"], "eth0 " + (" ".join(row["eth0"]) or "-"), "eth1 " + (" ".join(row["eth1"]) or "-")]
        words.append(f"underlay {row['underlay']} (generation {row['generation']})")
        words += ["plugged" if row["plugged"] else "UNPLUGGED"] + (["SUSPENDED"] if row["suspended"] else [])
        words += [f"shaped to {row['rate'] / 1e6:g} Mbit/s"] if row["rate"] else []
        print(f"{name}: {', '.join(words)}")


def renumber(options: argparse.Namespace) -> None:
    sites = chosen(options.site)
    for name, generation in carrier.renumber(sites, options.natural).items():
        say(f"{name}: now {topology.site(name, topology.MAX_SITES).underlay(generation)}")
    if options.wait:
        for name, seconds in carrier.wait_for_lease(sites, podman.LIMIT).items():
            say(f"{name}: eth1 has its new address after {seconds:.1f} s")


def reboot(options: argparse.Namespace) -> None:
    """Stop the sites and boot them again, with the cable and the shape they had; start those that went down."""
    sites = chosen(options.site)
    found = []
    for member in sites:
        runs = podman.state(member.name) == "running"
        found.append((member, not runs or carrier.plugged(member), carrier.rate(member) if runs else None))
    say(f"rebooting {', '.join(member.name for member in sites)}")
    podman.stop(*[member.name for member in sites])
    for member, plugged, rate in found:
        site.start(member)
        if rate:
            carrier.shape(member, rate)
        if plugged:
            carrier.plug([member], True)
    each(lambda member: site.wait_until_running(member, options.may_fail), sites)


def reinstall(options: argparse.Namespace) -> None:
    shape = SHAPES[options.shape]
    name, manager = options.image or shape.image, options.manager or shape.manager
    sites = chosen(options.site)
    image.build(name)
    publish()
    each(lambda member: install(member, name, manager, shape.script), sites)


def install(member: Site, name: str, manager: str, script: str = "") -> None:
    """A site from nothing, maybe from another image, in the place of the one that was there; then the script on it."""
    podman.stop(member.name)  # its connections end with it
    podman.remove(member.name)
    marks = (f"--label={OWNER}={ROOT}", f"--label={COUNT}={size()}")
    site.create(member, image.tag(name), STATE, *marks, manager=manager)
    site.start(member)
    site.wait_until_running(member)
    podman.execute(member.name, script)
    (STATE / "before" / f"{member.name}.json").write_text(json.dumps(site.snapshot(member), indent=1) + "\n")
    carrier.plug([member], True)


def count(options: argparse.Namespace) -> None:
    sites = topology.sites(size())
    if options.reset:
        counters.reset()
        return
    values = counters.read(sites)
    if options.json:
        print(json.dumps(values, indent=1))
        return
    print(f"{'':8}{'':6}{'WireGuard out':>26}{'WireGuard in':>26}{'other out':>26}{'other in':>26}")
    for name, nics in values.items():
        for nic, ways in nics.items():
            cells = [ways[way][kind] for kind in ("wireguard", "other") for way in ("out", "in")]
            shown = "".join(f"{cell['packets']:>10} p {cell['bytes']:>12} B" for cell in cells)
            print(f"{name:8}{nic:6}{shown}")


def suspend(options: argparse.Namespace) -> None:
    for member in chosen(options.site):
        internet.suspend(member, options.command == "suspend")


def plug(options: argparse.Namespace) -> None:
    carrier.plug(chosen(options.site), options.command == "plug")


def shape(options: argparse.Namespace) -> None:
    carrier.shape(*chosen([options.site]), carrier.parse_rate(options.rate))


def dns(options: argparse.Namespace) -> None:
    size()
    internet.dns(STATE, options.action == "start")


def records(options: argparse.Namespace) -> None:
    size()
    if options.delete:
        internet.command(STATE, do="delete", name=options.delete)
    elif options.set:
        name, value = options.set
        internet.command(STATE, do="set", name=name, value=value, ttl=options.ttl)
    else:
        print(json.dumps(internet.command(STATE, do="records")["records"], indent=1))


def fault(options: argparse.Namespace) -> None:
    size()
    if options.faults is None:
        print(json.dumps(internet.command(STATE, do="faults")["faults"], indent=1))
    else:
        internet.command(STATE, do="fault", faults=json.loads(options.faults))


def snapshot(options: argparse.Namespace) -> None:
    print(json.dumps(site.snapshot(*chosen([options.site])), indent=1))


def prove_no_leaks(_options: argparse.Namespace) -> None:
    found = leaks.found()
    for line in found:
        print(line)
    if found:
        raise LabError(f"{len(found)} traces of the lab in the machine's own network namespace")
    say("nothing of the lab in the machine's own network namespace")


def enter(options: argparse.Namespace) -> None:
    size()
    argv = podman.inside(*command_line(options))
    os.execvpe(argv[0], argv, controller())


def controller() -> dict[str, str]:
    """The environment of a controller in the lab: its package index, and a cache that goes away with the lab."""
    kept = {name: value for name, value in os.environ.items() if not WAYS_OUT.fullmatch(name)}
    return {
        **kept,
        "SITELINK_LAB": topology.NAME,
        "SITELINK_LAB_STATE": str(STATE),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"https://{topology.PACKAGES}/simple/",
        "PIP_CERT": str(STATE / "ca.pem"),
        "XDG_CACHE_HOME": str(STATE / "cache"),
    }


def execute(options: argparse.Namespace) -> None:
    size()
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    name = options.name if options.name.startswith(PREFIX) else PREFIX + options.name
    argv = podman.inside("podman", "--runtime", "runc", "exec", "-i", *terminal, name, *command_line(options))
    os.execvp(argv[0], argv)


def command_line(options: argparse.Namespace) -> list[str]:
    return options.argv[1:] if options.argv[:1] == ["--"] else options.argv


def images(options: argparse.Namespace) -> None:
    image.build(options.name, options.force)


def number_of_sites(text: str) -> int:
    if not 1 <= int(text) <= topology.MAX_SITES:
        raise argparse.ArgumentTypeError(f"1 to {topology.MAX_SITES} sites")
    return int(text)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lab", description="A simulated TR-069 carrier, internet and sites.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Callable, text: str, changes: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(function=function, changes=changes)
        return made

    add("up", up, "build what is missing and start the lab").add_argument("--sites", type=number_of_sites, metavar="N")
    add("down", down, "remove all that up made, but the image")
    add("free", free, "fail if another checkout's lab of this name is up", False)
    add("status", status, "show the sites", False).add_argument("--json", action="store_true")
    command = add("images", images, "build an image")
    command.add_argument("name", nargs="?", default=image.SUITE, choices=image.NAMES)
    command.add_argument("--force", action="store_true", help="even if it is current")
    command = add("reinstall", reinstall, "make sites anew, as an installer would leave them")
    command.add_argument("site", nargs="+")
    command.add_argument("--shape", default="plain", choices=SHAPES, help="what kind of system they are")
    command.add_argument("--image", choices=image.NAMES, help="another one than the shape's")
    command.add_argument("--manager", choices=site.MANAGERS, help="of its network, another one than the shape's")
    command = add("renumber", renumber, "move the sites' segments to other prefixes, all at once")
    command.add_argument("site", nargs="+")
    command.add_argument("--natural", action="store_true", help="no cable flap: clients notice when the lease ends")
    command.add_argument("--wait", action="store_true", help="until eth1 has an address of the new prefix")
    for name, function, text in (
        ("suspend", suspend, "the broadband of the sites' homes is dead"),
        ("resume", suspend, "the broadband works again"),
        ("unplug", plug, "pull the sites' underlay cables"),
        ("plug", plug, "plug the sites' underlay cables in"),
    ):
        add(name, function, text).add_argument("site", nargs="+")
    command = add("reboot", reboot, "boot the sites again")
    command.add_argument("site", nargs="+")
    command.add_argument(
        "--may-fail", action="append", default=[], metavar="UNIT", help="no error if it failed at boot"
    )
    command = add("shape", shape, "limit the ONT link of a site in both directions")
    command.add_argument("site")
    command.add_argument("rate", help="such as 100mbit, or off")
    add("dns", dns, "stop or start the DNS servers").add_argument("action", choices=("stop", "start"))
    command = add("count", count, "packets and bytes per NIC, WireGuard's and other", False)
    command.add_argument("--reset", action="store_true", help="count from zero")
    command.add_argument("--json", action="store_true")
    command = add("records", records, "show or change the zone's records, past the APIs", False)
    command.add_argument("--set", nargs=2, metavar=("NAME", "VALUE"))
    command.add_argument("--ttl", type=int, default=60)
    command.add_argument("--delete", metavar="NAME")
    command = add("fault", fault, "show or replace the API doubles' faults, a JSON list ([] for none)", False)
    command.add_argument("faults", nargs="?")
    add("snapshot", snapshot, "print what eth1 must not change, as .lab/NAME/before has it", False).add_argument("site")
    add("leaks", prove_no_leaks, "fail if the machine's own namespace has anything of the lab", False)
    command = add("enter", enter, "run a command in the lab's network namespace", False)
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    command = add("exec", execute, "run a command in a container", False)
    command.add_argument("name", help="such as site-a, lan-a, carrier, internet")
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return top


def main() -> int:
    options = parser().parse_args()
    if os.geteuid() != 0:
        say("run as root: network namespaces and privileged containers need it")
        return 1
    try:
        with alone() if options.changes else contextlib.nullcontext():
            options.function(options)
    except (LabError, ValueError) as error:
        say(f"error: {error}")
        return 1
    return 0
