# SPDX-License-Identifier: GPL-3.0-or-later
"""What passes each cable of each site, counted at the cable's other end.

There, in the lab's namespace, no firewall role and no `nft flush ruleset` of a site can touch the counters. Bytes are
those of the IP packet. A packet larger than the MTU (segmentation offload) counts once, with all its bytes.
"""

import json

from . import podman
from .topology import WIREGUARD_PORT, Site

TABLE = "sitelink_count"
NICS = ("eth0", "eth1")
DIRECTIONS = {"out": ("iifname", "prerouting"), "in": ("oifname", "postrouting")}


def ruleset(chosen: list[Site]) -> str:
    """A bridge table with two counters, wireguard and other, per site, NIC and direction as the site sees it."""
    lines = [f"add table bridge {TABLE}", f"delete table bridge {TABLE}", f"add table bridge {TABLE}"]
    for direction, (match, hook) in DIRECTIONS.items():
        lines.append(f"add chain bridge {TABLE} {direction} {{ type filter hook {hook} priority 0; policy accept; }}")
        for site in chosen:
            for nic in NICS:
                cable, chain = f'{match} "{site.name}.{nic}"', f"{site.name}_{nic}_{direction}".replace("-", "_")
                wireguard, other = f"{chain}_wireguard", f"{chain}_other"
                lines += [f"add counter bridge {TABLE} {wireguard}", f"add counter bridge {TABLE} {other}"]
                lines.append(f"add chain bridge {TABLE} {chain}")
                for port in ("sport", "dport"):
                    rule = f"ether type ip udp {port} {WIREGUARD_PORT} counter name {wireguard} return"
                    lines.append(f"add rule bridge {TABLE} {chain} {rule}")
                lines.append(f"add rule bridge {TABLE} {chain} counter name {other}")
                lines.append(f"add rule bridge {TABLE} {direction} {cable} jump {chain}")
    return "\n".join(lines) + "\n"


def nft(*argv: str, **options):
    return podman.run(*podman.inside("nft", *argv), **options)


def install(chosen: list[Site]) -> None:
    """Count from zero for these sites."""
    nft("-f", "-", stdin=ruleset(chosen))


def installed() -> bool:
    return nft("list", "table", "bridge", TABLE, check=False).returncode == 0


def read(chosen: list[Site]) -> dict:
    """{site: {nic: {in|out: {wireguard|other: {packets, bytes}}}}}."""
    listed = json.loads(nft("-j", "list", "counters", "table", "bridge", TABLE).stdout)["nftables"]
    values = {each["counter"]["name"]: each["counter"] for each in listed if "counter" in each}

    def value(site: Site, *rest: str) -> dict[str, int]:
        found = values["_".join([site.name.replace("-", "_"), *rest])]
        return {"packets": found["packets"], "bytes": found["bytes"]}

    return {
        site.name: {
            nic: {
                direction: {kind: value(site, nic, direction, kind) for kind in ("wireguard", "other")}
                for direction in ("in", "out")
            }
            for nic in NICS
        }
        for site in chosen
    }


def reset() -> None:
    nft("reset", "counters", "table", "bridge", TABLE)
