# SPDX-License-Identifier: GPL-3.0-or-later
"""What many sites might say, for the page."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles" / "site_agent" / "files"))

from sitelink import doctor

FAULTS = {
    7: doctor.finding("dhcp_none", "eth1 has no IPv4 address <b>though</b> its cable is plugged in", nic="eth1"),
    23: doctor.finding("mtu_hole", peers="site-004", interface="wg0"),
    42: doctor.finding("ddns_refused", "cloudflare: HTTP 403", provider="cloudflare", name="site-042.example.com",
                       published="-", address="10.1.42.9"),
}  # fmt: skip
GONE = (13, 77)


def name(index):
    return f"site-{index:03}"


def peer(index, other):
    dead = other in GONE or 7 in (index, other)
    return {
        "site": name(index), "name": name(other), "external": False, "address": f"192.168.{other // 250}.{other % 250 + 1}",
        "endpoint": None if dead else f"10.1.{other}.9:22000", "endpoint_source": "none" if dead else "roamed",
        "handshake_age": None if dead else (index * other) % 120, "rx_bytes": 1, "tx_bytes": 1, "alive": not dead,
        "since": 60.0 * other, "heal": {"seconds": 1.5, "source": "peer"} if (index + other) % 50 == 0 else None,
        "latency": None if dead else 1 + (index + other) % 9, "loss": 100 if dead else 0,
        "nic": None if dead else "eth1", "reason": "no answer" if dead else "",
    }  # fmt: skip


def phone(index):
    """A peer that is no site, and sleeps."""
    return {**peer(index, GONE[0]), "name": "phone", "external": True, "reason": ""}


def told(index, count):
    """What `sitelink doctor --json` says on one of so many sites."""
    status = {
        "version": "0.1.0", "site": name(index), "time": 1700000000, "faults": [],
        "gateway": [{"interface": "eth1", "state": "ok", "reason": "", "address": f"10.1.{index}.9", "prefix": 20,
                     "gateway": f"10.1.{index}.1", "table": 305, "rules": True, "route": True, "backstop": True}],
        "firewall": [{"interface": "eth1", "state": "ok", "reason": "", "loaded": True, "running": True, "held": True,
                      "not_held_because": "", "restored": 0, "packets": {"in_dropped": index, "out_dropped": 0},
                      "events": [{"time": 1699999000, "what": "sitelink_eth1 was removed by nft", "held": True,
                                  "restored_after_ms": 1.0}] if index == 5 else []}],
        "ddns": {"state": "ok", "reason": "", "note": "", "names": [
            {"name": f"{name(index)}.example.com", "kind": "A", "provider": "cloudflare", "address": f"10.1.{index}.9",
             "published": [f"10.1.{index}.9"], "verdict": "right", "fault": "", "reason": "", "peer": None}]},
        "mesh": [{"interface": "wg0", "mesh": "m", "state": "ok", "reason": "", "address": f"192.168.0.{index}",
                  "public_key": "k", "peers": [*(peer(index, other) for other in range(1, count + 1) if other != index), phone(index)]}],
    }  # fmt: skip
    off = [
        doctor.finding("peer_off", "no answer", peer=name(other), endpoint=f"10.1.{other}.9:22000")
        for other in GONE
        if other <= count
    ]
    return doctor.as_data(status, [FAULTS[index]] if index in FAULTS else off)


def sites(count):
    """{site: what it said, None for those that do not answer}"""
    return {name(index): None if index in GONE else told(index, count) for index in range(1, count + 1)}
