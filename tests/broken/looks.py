# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written and what is loaded at a site, without what differs from moment to moment; runs there and prints JSON."""

import glob
import hashlib
import json
import os
import re
import subprocess

WRITTEN = ["/etc/sitelink/*", "/etc/wireguard/*", "/etc/sysctl.d/*sitelink*", "/etc/systemd/system/*sitelink*"]
WRITTEN += ["/etc/systemd/system/*.wants/*", "/usr/local/lib/sitelink/sitelink/*.py", "/usr/local/sbin/sitelink"]
UNITS = ["sitelink-firewall-table@eth1.service", "sitelink-firewall@eth1.service", "sitelink-gateway@eth1.service"]
UNITS += ["wg-quick@wg0.service", "sitelink-mesh@wg0.service", "sitelink-ddns.timer", "sitelink-ddns.path"]
DDNS = "sitelink-ddns.service"
SYSCTLS = ["net/ipv4/ip_forward", "net/ipv4/conf/eth1/arp_ignore", "net/ipv4/conf/eth1/send_redirects"]


def said(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [re.sub(r" expires \d+sec| valid_lft.*", "", line).strip() for line in done.stdout.splitlines()]


def digest(text):
    return hashlib.sha256(text).hexdigest()


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        return str(error).encode()


def record(path):
    try:
        found = json.loads(read(path).decode())
    except ValueError:
        return None
    found.pop("pid", None)
    return found


# "key\tpreshared key" and the like: which is loaded may be seen, but not what it is.
secrets = digest("\n".join(sorted(said("wg", "show", "wg0", "preshared-keys"))).encode())
shown = ["LoadState", "ActiveState", "NeedDaemonReload"]
print(
    json.dumps(
        {
            "files": {
                path: f"{os.stat(path).st_mode:o} {digest(read(path))}"
                for pattern in WRITTEN
                for path in sorted(glob.glob(pattern))
                if os.path.isfile(path)
            },
            "units": {
                unit: said("systemctl", "is-enabled", unit)
                + said("systemctl", "show", *["--property=" + name for name in shown], unit)
                for unit in UNITS
            },
            "ddns": said("systemctl", "show", "--property=LoadState,Result,NeedDaemonReload", DDNS),
            "timer": re.findall(
                r"OnUnitInactiveUSec=\w+", " ".join(said("systemctl", "show", "--property=TimersMonotonic", UNITS[-2]))
            ),
            "told": {path: record(path) for path in sorted(glob.glob("/run/sitelink*/loaded*.json"))},
            "service": said("/usr/local/sbin/sitelink", "service", "--dry-run", *UNITS, DDNS),
            "rules": said("ip", "rule"),
            "routes": said("ip", "route", "show", "table", "all"),
            "link": re.findall(r"mtu \d+", " ".join(said("ip", "link", "show", "wg0"))),
            "addresses": said("ip", "-o", "address", "show", "wg0"),
            "tables": {
                name: said("nft", "-s", "list", "table", "inet", name)
                for name in ("sitelink_eth1", "sitelink_eth1_held")
            },
            "wireguard": {
                key: sorted(said("wg", "show", "wg0", key))
                for key in ("public-key", "listen-port", "fwmark", "allowed-ips")
            },
            "preshared keys": secrets,
            "sysctls": {name: read("/proc/sys/" + name).decode().strip() for name in SYSCTLS},
            "faults": json.loads("\n".join(said("/usr/local/sbin/sitelink", "status", "--json")))["faults"],
        }
    )
)
