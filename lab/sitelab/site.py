# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites (systemd as PID 1, as an installer left them) and the LAN host behind each."""

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import podman
from .podman import LIMIT, LabError, Nic
from .topology import RESOLVER, Site


def nics(site: Site) -> list[Nic]:
    """eth0 gets its address from networkd; eth1's cable is not in before the state without it is on record."""
    return [
        Nic("eth0", site.home, site.mac(0)),
        Nic("eth1", site.ont, site.mac(1), plugged=False),
    ]


def lan_nics(site: Site) -> list[Nic]:
    return [Nic("eth0", site.home, site.mac(2), (f"{site.lan_host}/{site.home_network.prefixlen}",))]


IFCFG = {
    "/etc/sysconfig/network-scripts/ifcfg-eth0": (
        0o644,
        """\
DEVICE=eth0
NAME=eth0
TYPE=Ethernet
ONBOOT=yes
BOOTPROTO=none
IPADDR={ip}
PREFIX={prefix}
GATEWAY={router}
DNS1={resolver}
IPV6INIT=no
""",
    )
}
# As Debian's cloud images have it.
CLOUD = "network:\n    version: 2\n    ethernets:\n" + "".join(
    f"""\
        all-{kind}:
            match:
                name: {kind}*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
            dhcp6-overrides:
                use-domains: true
"""
    for kind in ("en", "eth")
)
# Who configures eth0: the service, and its files. netplan's generator starts networkd itself.
MANAGERS: dict[str, tuple[str, dict[str, tuple[int, str]]]] = {
    "netplan": (
        "",
        {
            "/etc/netplan/50-cloud-init.yaml": (
                0o600,
                """\
network:
  version: 2
  ethernets:
    eth0:
      addresses: [{address}]
      routes: [{{to: 0.0.0.0/0, via: {router}}}]
""",
            )
        },
    ),
    "netplan-cloud": ("", {"/etc/netplan/90-default.yaml": (0o644, CLOUD)}),
    "networkd": (
        "systemd-networkd.service",
        {"/etc/systemd/network/10-eth0.network": (
            0o644, "[Match]\nName=eth0\n\n[Network]\nAddress={address}\nGateway={router}\n")},
    ),
    "networkmanager": (
        "NetworkManager.service",
        {
            # It leaves containers' NICs alone by default, as it does on Ubuntu's servers.
            "/etc/NetworkManager/conf.d/eth0.conf": (0o644, "[device-eth0]\nmatch-device=interface-name:=eth0\nmanaged=1\n"),
            "/etc/NetworkManager/system-connections/eth0.nmconnection": (
                0o600,
                """\
[connection]
id=eth0
uuid=7f5bd2f4-7a0c-4d5c-9d0e-2f6a3b8f0a00
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1={address},{router}
dns={resolver};
""",
            ),
        },
    ),
    "ifcfg": ("NetworkManager.service", IFCFG),
    "network-scripts": ("network.service", IFCFG),
    "ifupdown": (
        "networking.service",
        {"/etc/network/interfaces": (
            0o644,
            """\
source /etc/network/interfaces.d/*
auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
    address {address}
    gateway {router}
""",
        )},
    ),
}  # fmt: skip


def files(site: Site, state_directory: Path, manager: str = "netplan") -> dict[str, tuple[int, str]]:
    """What an installer would have left: {path: (mode, text)}."""
    prefix = site.home_network.prefixlen
    words = {
        "address": f"{site.address}/{prefix}",
        "ip": site.address,
        "prefix": prefix,
        "router": site.router,
        "resolver": RESOLVER,
    }
    service, own = MANAGERS[manager]
    network = {path: (mode, text.format(**words)) for path, (mode, text) in own.items()}
    if service:
        wants = f"[Unit]\nWants={service}\nAfter={service}\n"
        network["/etc/systemd/system/multi-user.target.d/lab.conf"] = (0o644, wants)
    host_key = state_directory / "host_keys" / site.name
    return {
        **network,
        "/etc/resolv.conf": (0o644, f"nameserver {RESOLVER}\n"),
        "/etc/hostname": (0o644, f"{site.name}\n"),
        "/etc/hosts": (0o644, f"127.0.0.1 localhost\n127.0.1.1 {site.name}\n"),
        "/etc/ssh/ssh_host_ed25519_key": (0o600, host_key.read_text()),
        "/etc/ssh/ssh_host_ed25519_key.pub": (0o644, host_key.with_suffix(".pub").read_text()),
        "/root/.ssh/authorized_keys": (0o600, (state_directory / "id_ed25519.pub").read_text()),
    }


def create(site: Site, image: str, state_directory: Path, *labels: str, manager: str = "netplan") -> None:
    podman.create(site.name, image, "/usr/local/sbin/lab-site", nics(site), *labels, "--systemd=always")
    tar = podman.archive(files(site, state_directory, manager))
    podman.podman("cp", "-", f"{podman.PREFIX}{site.name}:/", stdin=tar)


def start(site: Site) -> None:
    podman.start(site.name, nics(site))


def start_lan_host(site: Site) -> None:
    """The host's way out is the site's server, so that what it sends to another LAN passes there."""
    podman.start(site.lan, lan_nics(site))
    script = f"ip route replace default via {site.address}\necho nameserver {RESOLVER} > /etc/resolv.conf\n"
    podman.execute(site.lan, script)


def wait_until_running(site: Site, may_fail: Sequence[str] = ()) -> None:
    """Return when systemd is done and eth0 answers; LabError with the failed units otherwise, but for those that may."""
    deadline = time.monotonic() + LIMIT
    said = ""
    while time.monotonic() < deadline:
        done = podman.podman("exec", podman.PREFIX + site.name, "systemctl", "is-system-running", "--wait", check=False)
        said = done.stdout.strip()
        if said == "running":
            break
        if said == "degraded":
            failed = podman.execute(site.name, "systemctl --failed --plain --no-legend", check=False).stdout
            if all(line.split()[0] in may_fail for line in failed.splitlines()):
                break
            raise LabError(f"{site.name}: units failed at boot:\n{failed}")
        time.sleep(0.3)
    else:
        raise LabError(f"{site.name}: not running after {LIMIT} s: {said}")
    connect = f"import socket; socket.create_connection(('{site.address}', 22), 10)"
    while podman.run(*podman.inside(sys.executable, "-c", connect), check=False).returncode:
        # Its address may come by DHCP.
        if time.monotonic() < deadline:
            time.sleep(0.3)
            continue
        raise LabError(f"{site.name}: no SSH server answers at {site.address} on eth0")


def snapshot(site: Site) -> dict:
    """What eth1 must not change: routes of the main table, names, and every NIC's MTU and IPv6 addresses."""
    links = json.loads(podman.in_container(site.name, "ip", "-j", "address").stdout)
    routes = {
        family: podman.in_container(site.name, "ip", family, "route", "show", "table", "main").stdout.splitlines()
        for family in ("-4", "-6")
    }
    # CentOS's scripts put a NIC's index into the metric of its link-local route, and a reboot may give it another one.
    indices = {link["ifname"]: link["ifindex"] for link in links}

    def without_index(route: str) -> str:
        found = re.fullmatch(r"(169\.254\.0\.0/16 dev (\S+) .*metric )(\d+)", route)
        return f"{found[1]}of its index" if found and int(found[3]) == 1000 + indices[found[2]] else route

    cat = podman.execute(site.name, "cat /etc/resolv.conf; echo ---; cat /etc/hosts; echo ---; hostname").stdout
    resolv, hosts, hostname = cat.split("---\n")
    return {
        "routes4": [without_index(line.strip()) for line in routes["-4"]],
        "routes6": sorted(line.split(" expires")[0].strip() for line in routes["-6"]),
        "resolv_conf": resolv,
        "hosts": hosts,
        "hostname": hostname.strip(),
        "links": {
            link["ifname"]: {
                "mtu": link["mtu"],
                "inet6": sorted(each["local"] for each in link["addr_info"] if each["family"] == "inet6"),
            }
            for link in links
        },
    }
