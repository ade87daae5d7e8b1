# SPDX-License-Identifier: GPL-3.0-or-later
"""Is anything of the lab in the machine's own network namespace?"""

import ipaddress
import json
import re

from . import podman
from .topology import networks

LINKS = re.compile(r"(site|lan)-[a-z]\.eth[01]|carrier\.ont-[a-z]|internet\.home-[a-z]|(home|ont)-[a-z]|wg0")


def found() -> list[str]:
    """One sentence per link, address or route of the lab in the namespace of this process.

    The NIC that holds the default route is the machine's own: its connected networks may well look like the lab's.
    """
    routes = [
        route
        for family in ("-4", "-6")
        for route in json.loads(podman.run("ip", "-j", family, "route", "show", "table", "all").stdout or "[]")
    ]
    links = json.loads(podman.run("ip", "-j", "address").stdout)
    uplinks = {route.get("dev") for route in routes if route["dst"] == "default"}
    lab = networks()

    def inside(text: str) -> bool:
        if text == "default":
            return False
        network = ipaddress.ip_network(text, strict=False)
        return any(network.version == each.version and network.subnet_of(each) for each in lab)

    report = [f"link {link['ifname']}" for link in links if LINKS.fullmatch(link["ifname"])]
    for link in links:
        if link["ifname"] not in uplinks:
            report += [
                f"address {each['local']} on {link['ifname']}" for each in link["addr_info"] if inside(each["local"])
            ]
    for route in routes:
        if inside(route["dst"]) and not (route.get("dev") in uplinks and "gateway" not in route):
            report.append(f"route {route['dst']} dev {route.get('dev')}")
    return report
