# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory lacks of sites that were set up by hand, and where it says otherwise than these do."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import IPNetwork
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import PLACEHOLDER

_DEFAULTS = {"wireguard_mesh_port": "22000", "wireguard_mesh_network": "192.168.11.0/24", "ddns_provider": "cloudflare"}
_LATER = "Once all sites are taken over, it may go again"


class _Lines:
    """Collects each site's lines, and what contradicts the inventory."""

    def __init__(self, hostvars: Mapping[str, t.Any]) -> None:
        self.hostvars = hostvars
        self.lines: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def has(self, site: str, variable: str) -> str:
        value = self.hostvars[site].get(variable)
        text = "" if value is None else str(value).strip()
        return "" if PLACEHOLDER in text.upper() else text

    def want(self, site: str, variable: str, value: str, where: str) -> None:
        value = value or ""
        has = self.lines.get((site, variable)) or self.has(site, variable) or _DEFAULTS.get(variable, "")
        if not value or has == value:
            return
        if has and (self.has(site, variable) or (site, variable) in self.lines):
            self.problems.append(
                f"{site}: {variable} is {has}, but {where} has {value}. Write {variable}: {value} into host_vars/{site}, or "
                "correct it there."
            )
            return
        self.lines[site, variable] = value


def _key_of(lines: _Lines, site: str) -> str:
    """The public key of a private key in the inventory."""
    try:
        return _keys.public_key(lines.has(site, "wireguard_mesh_private_key"))
    except _keys.KeyFault:
        return ""


def _host(endpoint: str) -> tuple[str, str]:
    host, _colon, port = endpoint.rpartition(":")
    return host.lower(), port


def read(
    found: Mapping[str, t.Any], hostvars: Mapping[str, t.Any], named: list[str], sites: list[str]
) -> dict[str, t.Any]:
    """What `article.py look` said, by site; named: those that are to be taken over."""
    lines = _Lines(hostvars)
    by_hand = {site: item["conf"] for site, item in found.items() if isinstance(item["conf"], Mapping)}
    for site, conf in by_hand.items():
        _own(lines, site, conf, found[site]["ddns"])
    for site in named:
        if site not in found:
            lines.problems.append(f"{site}: Ansible cannot reach it, so nothing of it can be taken over.")
        elif found[site]["conf"] is None:
            lines.problems.append(
                f"{site}: there is no WireGuard configuration to take over. For a new site run "
                "ansible-playbook sitelink.tr069.site."
            )
    for site, conf in by_hand.items():
        for peer, name in _peers(lines, site, conf, sites):
            if name is None:
                others = hostvars[site].get("wireguard_mesh_external_peers") or []
                if site in named and peer["public_key"] not in [other.get("public_key") for other in others]:
                    lines.problems.append(_stranger(site, peer))
            elif not (name in found and found[name]["conf"] == "ours"):
                _peer(lines, site, name, peer)
            if (
                site in named
                and not peer["preshared"]
                and _true(hostvars[site].get("wireguard_mesh_preshared_keys", True))
            ):
                problem = (
                    "The tunnels made by hand have no preshared keys. Write wireguard_mesh_preshared_keys: false into "
                    f"group_vars/all/mesh.yml. {_LATER}."
                )
                if problem not in lines.problems:
                    lines.problems.append(problem)
    return {
        "lines": [
            {"site": site, "variable": key, "value": value} for (site, key), value in sorted(lines.lines.items())
        ],
        "problems": lines.problems,
        # Also of those that are not named: a site whose name is in the inventory needs its token there too.
        "tokens": [
            site
            for site, item in found.items()
            if (item["ddns"] or {}).get("token") and not lines.has(site, "ddns_token")
        ],
    }


def _true(value: t.Any) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1")


def _own(lines: _Lines, site: str, conf: Mapping[str, t.Any], ddns: Mapping[str, t.Any] | None) -> None:
    where = "its WireGuard configuration"
    for item in conf["addresses"]:
        if ":" not in item:
            address, _slash, prefix = item.partition("/")
            lines.want(site, "wireguard_mesh_address", address, where)
            network = str(IPNetwork(item).cidr) if prefix not in ("", "32") else ""
            has = lines.has(site, "wireguard_mesh_network") or _DEFAULTS["wireguard_mesh_network"]
            if network and network != has:
                lines.problems.append(
                    f"{site}: wireguard_mesh_network is {has}, but {where} has {network}. Write wireguard_mesh_network: {network} "
                    "into group_vars/all/mesh.yml."
                )
    lines.want(site, "wireguard_mesh_port", conf["port"], where)
    running = conf.get("running_key")
    if not conf.get("tools", True):
        lines.problems.append(
            f"{site}: it has no program wg. Install wireguard-tools there, which its tunnel needs too."
        )
    elif not conf["public_key"]:
        lines.problems.append(f"{site}: {where} holds no private key that can be used.")
    elif running and running != conf["public_key"]:
        lines.problems.append(
            f"{site}: {where} holds the key of {conf['public_key']}, but the tunnel that is up has {running}, which its peers know. Write "
            "the right PrivateKey into that file (wg show shows it: wg show INTERFACE private-key), or restart wg-quick with it."
        )
    elif _key_of(lines, site) != conf["public_key"]:
        lines.want(site, "wireguard_mesh_public_key", conf["public_key"], where)
    if ddns:
        where = "/usr/src/DDNS/config.json"
        lines.want(site, "ddns_provider", ddns["provider"], where)
        if ddns["names"]:
            lines.want(site, "ddns_hostname", ddns["names"][0].lower(), where)
        lines.want(site, "ddns_id", ddns["id"], where)


def _peers(
    lines: _Lines, site: str, conf: Mapping[str, t.Any], sites: list[str]
) -> Iterator[tuple[Mapping[str, t.Any], str | None]]:
    """Each peer of a wg0.conf, with the site that it is."""
    variables = ("wireguard_mesh_address", "wireguard_mesh_public_key", "ddns_hostname")
    for peer in conf["peers"]:
        marks = {item.partition("/")[0] for item in peer["allowed_ips"] if item.endswith("/32")}
        marks |= {peer["public_key"], _host(peer["endpoint"])[0]} - {""}
        yield (
            peer,
            next(
                (
                    name
                    for name in sites
                    if name != site
                    and marks & {lines.lines.get((name, key)) or lines.has(name, key) for key in variables} - {""}
                ),
                None,
            ),
        )


def _peer(lines: _Lines, site: str, name: str, peer: Mapping[str, t.Any]) -> None:
    where = f"the WireGuard configuration of {site}"
    single = [item for item in peer["allowed_ips"] if item.endswith("/32")]
    if single:
        lines.want(name, "wireguard_mesh_address", single[0].partition("/")[0], where)
    if _key_of(lines, name) != peer["public_key"]:
        lines.want(name, "wireguard_mesh_public_key", peer["public_key"], where)
    host, port = _host(peer["endpoint"])
    if host:
        lines.want(name, "wireguard_mesh_port", port, where)
        if not lines.has(name, "wireguard_mesh_endpoint"):
            lines.want(name, "ddns_hostname" if not host[-1].isdigit() else "wireguard_mesh_endpoint", host, where)
    lans = [item for item in peer["allowed_ips"] if item not in single[:1]]
    # What the inventory says of LANs counts: nothing of the old depends on it.
    if lans and lines.has(name, "wireguard_mesh_lan_subnets") in ("", "[]"):
        lines.lines[name, "wireguard_mesh_lan_subnets"] = f"[{', '.join(lans)}]"


def _stranger(site: str, peer: Mapping[str, t.Any]) -> str:
    single = next((item.partition("/")[0] for item in peer["allowed_ips"] if item.endswith("/32")), "")
    host = _host(peer["endpoint"])[0]
    words = [f"wireguard_mesh_address: {single}", f"wireguard_mesh_public_key: {peer['public_key']}"]
    words += [f"ddns_hostname: {host}"] if host else []
    return (
        f"{site}: its WireGuard configuration has a peer that is no site of the inventory. List it as one (new_inventory), with "
        f"these lines in its host_vars file: {'  '.join(words)}  Or, where it is no site, in wireguard_mesh_external_peers with "
        "preshared_key: false, and then take it out of that configuration."
    )
