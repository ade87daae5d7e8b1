# SPDX-License-Identifier: GPL-3.0-or-later
"""The internet: every home's router, DNS for the test zone, the doubles of the providers' APIs, packages for download."""

import json
import os
import socket
from pathlib import Path

from . import podman
from .podman import LIMIT, LabError, Nic
from .topology import (
    API,
    API_NAMES,
    AUTHORITATIVE,
    PACKAGES,
    PACKAGES_NAME,
    RESOLVER,
    ZONE,
    ZONE_MINIMUM,
    Site,
    sites,
)

NAME = "internet"
HOME = "/run/lab"  # the state directory's api/, as the container sees it
CODE = "/usr/local/lib/lab"
DOWNLOADS = "/srv/packages"

KNOT = f"""\
server:
    listen: {AUTHORITATIVE}@53
    rundir: /run/knot
    user: knot:knot
log:
  - target: /var/log/knot.log
    any: info
acl:
  - id: double
    address: {AUTHORITATIVE}
    action: update
zone:
  - domain: {ZONE}
    storage: /var/lib/knot
    file: {ZONE}.zone
    zonefile-sync: 0
    journal-content: none
    acl: double
"""

ZONEFILE = f"""\
{ZONE}. 60 SOA ns.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 {ZONE_MINIMUM}
{ZONE}. 60 NS ns.{ZONE}.
ns.{ZONE}. 60 A {AUTHORITATIVE}
{PACKAGES_NAME}. 60 A {PACKAGES}
""" + "".join(f"{name}. 60 A {API}\n" for name in API_NAMES.values())

FIREWALL = """\
table inet lab {
    set suspended { type ifname; }
    chain in { type filter hook prerouting priority raw; udp dport 67 accept; iifname @suspended drop; }
    chain out { type filter hook output priority raw; udp sport 67 accept; oifname @suspended drop; }
}
"""

START_DNS = f"""\
mkdir -p /run/knot && chown knot:knot /run/knot
[ -f /run/knot/knot.pid ] || knotd -d -c /etc/knot/knot.conf
[ -f /run/resolver.pid ] || dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \\
    --listen-address={RESOLVER} --server=/{ZONE}/{AUTHORITATIVE} --pid-file=/run/resolver.pid
for _ in $(seq {LIMIT * 10}); do knotc -c /etc/knot/knot.conf zone-status {ZONE} >/dev/null 2>&1 && exit; sleep 0.1; done
echo "knot does not serve {ZONE} after {LIMIT} s; its log ends:" >&2
tail -n 20 /var/log/knot.log >&2
exit 1
"""

STOP_DNS = f"""\
for pid in /run/knot/knot.pid /run/resolver.pid; do
    [ -f $pid ] || continue
    number=$(cat $pid)
    kill $number || true
    for _ in $(seq {LIMIT * 20}); do [ -d /proc/$number ] || break; sleep 0.05; done
    rm -f $pid
done
"""


def start_service(name: str, module: str, listens: str, stale: str = "") -> str:
    """Start one of the lab's own modules (with its arguments) unless it runs, and wait until `listens` says that it does.

    stale: what one that ended with its container may have left.
    """
    return f"""\
[ -f /run/{name}.pid ] && [ -d /proc/$(cat /run/{name}.pid) ] && exit
cd /
rm -f {stale}
PYTHONPATH={CODE} setsid python3 -B -u -m sitelab.{module} </dev/null >>/var/log/{name}.log 2>&1 &
echo $! > /run/{name}.pid
for _ in $(seq {LIMIT * 10}); do
    {listens} && exit
    [ -d /proc/$! ] || break
    sleep 0.1
done
cat /var/log/{name}.log >&2
exit 1
"""


def nics(count: int) -> list[Nic]:
    """A router's NIC per home; the services' addresses are on lo."""
    return [
        Nic(site.home, site.home, site.mac(3), (f"{site.router}/{site.home_network.prefixlen}",))
        for site in sites(count)
    ]


def options(state_directory: Path) -> list[str]:
    code = Path(__file__).resolve().parent
    return [
        f"--volume={code}:{CODE}/sitelab:ro",
        f"--volume={state_directory / 'api'}:{HOME}",
        f"--volume={state_directory / 'packages'}:{DOWNLOADS}:ro",
    ]


def homes(count: int) -> str:
    """dnsmasq's configuration as the DHCP server in every home, which knows the site's eth0 and nobody else."""
    lines = [
        "port=0",
        "no-resolv",
        "no-hosts",
        "no-ping",
        "bind-interfaces",
        "except-interface=lo",
        "dhcp-authoritative",
    ]
    lines += ["dhcp-leasefile=/run/homes.leases", f"dhcp-option=6,{RESOLVER}"]
    for site in sites(count):
        network = site.home_network
        lines.append(f"interface={site.home}")
        lines.append(f"dhcp-range={network.network_address},static,{network.netmask},12h")
        lines.append(f"dhcp-host={site.mac(0)},{site.address}")
    return "\n".join(lines) + "\n"


def start(count: int) -> None:
    """Start what does not run yet: the routers' filter and DHCP server, DNS, the API doubles, the packages."""
    podman.execute(
        NAME,
        f"""
sysctl -qw net.ipv4.ip_forward=0  # a router of a home is no way into another home
for address in {AUTHORITATIVE} {RESOLVER} {API} {PACKAGES}; do ip address replace $address/32 dev lo; done
nft list table inet lab >/dev/null 2>&1 || nft -f - <<'END'
{FIREWALL}END
cmp -s /etc/knot/knot.conf - <<'END' || first=yes
{KNOT}END
if [ -n "$first" ]; then
    cat > /etc/knot/knot.conf <<'END'
{KNOT}END
    cat > /var/lib/knot/{ZONE}.zone <<'END'
{ZONEFILE}END
    chown knot:knot /var/lib/knot/{ZONE}.zone
fi
if ! [ -f /run/homes.pid ]; then
    cat > /etc/homes.conf <<'END'
{homes(count)}END
    dnsmasq --conf-file=/etc/homes.conf --pid-file=/run/homes.pid
fi
""",
    )
    podman.execute(NAME, START_DNS)
    control = f"{HOME}/control.sock"
    podman.execute(NAME, start_service("api", f"api_double {HOME}", f"[ -S {control} ]", control))
    listens = f"ss -Hltn src {PACKAGES}:443 | grep -q ."
    podman.execute(NAME, start_service("packages", f"packages {DOWNLOADS} {HOME}/packages.pem", listens))


def dns(state_directory: Path, running: bool) -> None:
    """Start or stop both the authoritative server and the resolver. What the APIs were told meanwhile is published."""
    podman.execute(NAME, START_DNS if running else STOP_DNS)
    if running:
        command(state_directory, do="publish")


def dns_runs() -> bool:
    return podman.execute(NAME, "[ -f /run/knot/knot.pid ]", check=False).returncode == 0


def suspend(site: Site, dead: bool) -> None:
    """Let the home's router drop all that comes from the home and all it would send there, but DHCP, or stop doing so."""
    if dead != (site.home in suspended()):
        verb = "add" if dead else "delete"
        podman.in_container(NAME, "nft", verb, "element", "inet", "lab", "suspended", f'{{ "{site.home}" }}')


def shape(site: Site, bits: int | None) -> None:
    """Limit the site's broadband to `bits` per second in each direction, or lift the limit."""
    podman.shape((f"{site.name}.eth0", f"{NAME}.{site.home}"), bits)


def suspended() -> list[str]:
    """Names of the dead home networks."""
    found = json.loads(podman.in_container(NAME, "nft", "-j", "list", "set", "inet", "lab", "suspended").stdout)
    return next(each["set"].get("elem", []) for each in found["nftables"] if "set" in each)


def command(state_directory: Path, **request) -> dict:
    """Ask the API doubles' control socket. LabError with its own words when it refuses."""
    directory = os.open(state_directory / "api", os.O_PATH)  # a socket's path may have 107 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{directory}/control.sock")
            with connection.makefile("rw") as stream:
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                reply = json.loads(stream.readline())
    finally:
        os.close(directory)
    if "error" in reply:
        raise LabError(reply["error"])
    return reply
