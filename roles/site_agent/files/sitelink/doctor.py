# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink doctor`: which layer is at fault, and what to do. Reads the status, and asks what nobody else knows.

The layers are gone through from the bottom up. A fault of the way out through the underlay NIC explains all that is above
it, so that nothing above is looked at then; a name server that does not answer explains that no record can be read. Here
are only codes and values; the sentences stand in text_en.py and text_zh.py.
"""

import ctypes
import glob
import ipaddress
import os
import select
import socket
import struct
import time
from collections import namedtuple

from . import address, config, dns, icmp, netlink, nftables, state, status, text, wg
from .firewall import held_name, table_name
from .sockets import Held

LISTEN_SECONDS = 12  # that a silent peer has; WireGuard answers data by itself after 10 s (KEEPALIVE_TIMEOUT)
ARP_SECONDS = 1.0
INTERNET_ADDRESS = "223.5.5.5"  # only looked up in the routing table
CLOCK_SECONDS = 300  # that a file may be younger than now, and that the clocks of two sites may differ
DAY = 86400
LOOKS, LOOK_AGAIN_SECONDS = 3, 1.0  # at most, while what is looked at goes away

# The layers from the bottom up; FIRST_EXIT plus the place is the exit code.
LAYERS = (
    "config", "nic", "link", "dhcp", "lease", "gateway", "rule", "rpfilter", "firewall", "wireguard", "peer", "udp",
    "handshake", "route", "mtu", "lan", "clock", "dns", "ddns", "exit",
)  # fmt: skip
FIRST_EXIT = 10

# Every code with its layer; each has its sentences in every language.
CODES = {
    "config_none": "config", "config_bad": "config", "config_old": "config",
    "nic_missing": "nic", "nic_off": "nic",
    "link_none": "link",
    "dhcp_none": "dhcp",
    "lease_outside": "lease", "lease_wide": "lease", "lease_two": "lease",
    "gateway_none": "gateway", "gateway_silent": "gateway",
    "rule_missing": "rule", "rule_foreign": "rule", "rule_daemon": "rule",
    "rpfilter_drops": "rpfilter",
    "firewall_open": "firewall", "firewall_daemon": "firewall", "firewall_foreign": "firewall",
    "wireguard_none": "wireguard", "wireguard_daemon": "wireguard", "wireguard_other": "wireguard",
    "peer_off": "peer", "peers_off": "peer", "peer_unknown": "peer",
    "udp_blocked": "udp", "udp_one_way": "udp",
    "handshake_key": "handshake",
    "route_elsewhere": "route",
    "mtu_hole": "mtu",
    "lan_forwarding": "lan",
    "clock_behind": "clock", "clock_ahead": "clock", "clock_differs": "clock",
    "dns_silent": "dns", "dns_rebind": "dns",
    "ddns_daemon": "ddns", "ddns_record": "ddns", "ddns_refused": "ddns", "ddns_servers": "ddns",
    "exit_gone": "exit", "exit_silent": "exit", "exit_names": "exit", "exit_rules": "exit", "exit_forwarding": "exit",
}  # fmt: skip

# values: what the sentences name; detail: the words of the part that found it, in English
Finding = namedtuple("Finding", "code values detail")
# What was learnt of a silent peer. answers: it answers through the tunnel after all; heard, sent: types of WireGuard's
# messages from it and to it; echo: its underlay address answers; endpoint: where it was looked for
Silent = namedtuple("Silent", "answers heard sent echo endpoint")
INITIATION, RESPONSE = 1, 2  # types of WireGuard's messages


def finding(code, detail="", **values):
    return Finding(code, values, detail)


def examine():
    """(status report, findings) of this site. Raises OSError, WgError, NftError and ConfigError.

    A device may go away while it is looked at, since something makes it anew: then all is looked at once more.
    """
    for attempt in range(LOOKS):
        try:
            report = status.collect(probe=True)
            return report, diagnose(report, Look())
        except (OSError, wg.WgError):
            if attempt == LOOKS - 1:
                raise
        time.sleep(LOOK_AGAIN_SECONDS)


def diagnose(report, look):
    """The findings from the bottom up, for a status report (status.collect(probe=True)). look: a Look, or its double."""
    if not report["gateway"] and not report["mesh"]:
        broken = [fault["message"] for fault in report["faults"]]
        return [finding("config_bad" if look.configured() else "config_none", "; ".join(broken))]
    found = underlay(report, look)
    if not found:
        found = tunnels(report, look)
        silent = {item.values["peer"] for item in found if "peer" in item.values}
        found += overlay(report, look, silent)
    if not any(CODES[item.code] in ("nic", "link", "dhcp", "lease", "gateway") for item in found):
        away = internet(report, look)
        found += away + names(report, look, asleep=any(item.code in ("exit_gone", "exit_silent") for item in away))
    if any(item.code == "clock_behind" for item in found):
        # WireGuard takes a handshake of an earlier time than the last one for a repetition, and does not answer.
        found = [item for item in found if item.code != "udp_blocked"]
    found += [finding("config_old", unit=item["unit"], files=", ".join(item["files"])) for item in report.get("outdated") or []]
    return sorted(found, key=lambda item: LAYERS.index(CODES[item.code]))


def underlay(report, look):
    """From the NIC to the firewall. The first layer that is at fault ends it."""
    answering = [peer for mesh in report["mesh"] for peer in mesh["peers"] if peer["latency"] is not None]
    for item in report["gateway"]:
        nic = item["interface"]
        problem = look.address(nic)
        if problem:
            return [finding(problem.code, str(problem), nic=nic)]
        if item["gateway"] is None:
            return [finding("gateway_none", item["reason"], nic=nic)]
        # A router that carries our packets need not answer an ARP request again to be believed.
        if not answering and not look.gateway_answers(nic, item["address"], item["gateway"]):
            return [finding("gateway_silent", nic=nic, gateway=item["gateway"])]
        running = look.running("gateway", nic)
        if not (item["rules"] and item["route"] and item["backstop"]):
            return [finding("rule_missing", item["reason"], nic=nic, table=item["table"])]
        if not running:
            return [finding("rule_daemon", item["reason"], nic=nic)]
        if item.get("answers") is False:  # by what the daemon saw
            return [finding("gateway_silent", item["reason"], nic=nic, gateway=item["gateway"])]
        if item["reason"]:
            return [finding("rule_foreign", item["reason"], nic=nic, table=item["table"])]
        if look.reverse_path_drops(nic, item["address"]):
            return [finding("rpfilter_drops", nic=nic, address=item["address"])]
    for item in report["firewall"]:
        nic = item["interface"]
        if not item["loaded"]:
            return [finding("firewall_open", item["reason"], nic=nic)]
        if item["reason"]:
            return [finding("firewall_daemon", item["reason"], nic=nic)]
    return []


def tunnels(report, look):
    """The WireGuard interface and its peers."""
    found = []
    for mesh in report["mesh"]:
        interface = mesh["interface"]
        if not look.exists(interface):
            found.append(finding("wireguard_none", mesh["reason"], interface=interface))
            continue
        if not look.running("mesh", interface):
            found.append(finding("wireguard_daemon", mesh["reason"], interface=interface))
        elif mesh["reason"]:
            found.append(finding("wireguard_other", mesh["reason"], interface=interface))
        sites = [peer for peer in mesh["peers"] if not peer["external"]]  # a phone may sleep
        silent = [peer for peer in sites if peer["latency"] is None]
        if not silent:
            continue
        learnt, dropped = look.listen(interface, silent)
        dead = [(peer, learnt[peer["name"]]) for peer in silent if not learnt[peer["name"]].answers]
        if dropped:
            return [finding("firewall_foreign", nic=dropped, others=look.other_firewalls())]
        judged = [silent_peer(peer, known) for peer, known in dead]
        if len(judged) == len(sites) > 1 and {item.code for item in judged} == {"peer_off"}:
            judged = [finding("peers_off", judged[0].detail, count=len(judged))]
        found += judged
    return found


def silent_peer(peer, known):
    """What keeps a peer from answering, by what was heard of it."""
    values = {"peer": peer["name"], "endpoint": known.endpoint or "-"}
    if RESPONSE in known.heard:
        code = "handshake_key"  # there and back, and yet no session: the preshared keys
    elif INITIATION in known.heard:
        code = "udp_one_way" if RESPONSE in known.sent else "handshake_key"  # a key that is not known gets no response
    elif known.endpoint is None:
        code = "peer_unknown"
    else:
        code = "udp_blocked" if known.echo else "peer_off"
    return finding(code, peer["reason"], **values)


def overlay(report, look, silent):
    """Inside the tunnels that work: routes, the size of packets, the LAN."""
    found = []
    for mesh in [item for item in report["mesh"] if look.exists(item["interface"])]:
        live = [peer for peer in mesh["peers"] if peer["name"] not in silent and peer["latency"] is not None]
        for peer, network, nic in look.strayed_routes(mesh["interface"], live):
            found.append(finding("route_elsewhere", peer["reason"], peer=peer["name"], network=network, nic=nic or "-"))
        holes = look.mtu_holes(mesh["interface"], live)
        if holes:
            name = ", ".join(peer["name"] for peer in holes)
            found.append(finding("mtu_hole", peers=name, interface=mesh["interface"]))
        for network, error in look.unforwarded(mesh["interface"], mesh["peers"]):
            found.append(finding("lan_forwarding", "the kernel refuses such a packet (%s)" % error, network=network))
    return found


def internet(report, look):
    """Internet through another site, and that of this site for others."""
    found = []
    for item in report.get("exit") or []:
        values = {"uplink": item["uplink"], "exits": ", ".join(item["exits"])}
        away = item["when"] == config.ALWAYS or item["broadband"] == "down"
        if away and item["used"] is None:
            found.append(finding("exit_gone", item["reason"], **values))
        elif away and item["exits"][item["used"]] == "failed":
            found.append(finding("exit_silent", item["reason"], exit=item["used"], **values))
        elif item["names_reason"]:
            found.append(finding("exit_names", item["names_reason"], **values))
        elif item["reason"]:
            found.append(finding("exit_rules", item["reason"], interface=item["interface"]))
        for peer in look.unforwarded_guests(item["interface"], item["serves"]):
            found.append(finding("exit_forwarding", peer=peer, **values))
    return found


_OF_A_NAME = {
    "provider": "ddns_refused",
    "credentials": "ddns_refused",
    "record": "ddns_record",
    "servers": "ddns_servers",
}


def names(report, look, asleep=False):
    """The clock, DNS, and what the provider publishes. asleep: there is no internet, which explains a silent DNS."""
    found = clock(report, look)
    wrong_clock = bool(found)  # no certificate is believed then
    told = report["ddns"]
    kept = [item["name"] for item in told["names"] if item["peer"] is None] if told else []
    answers = look.resolvers(kept or look.peer_names())
    stripped = [answer.server[0] for answer in answers if answer.outcome == dns.STRIPPED]
    good = [answer for answer in answers if answer.outcome in (dns.FOUND, dns.NODATA, dns.NXDOMAIN)]
    if answers and not good and not stripped:
        if asleep:
            return found
        said = ", ".join("%s: %s" % (answer.server[0], dns.describe(answer)) for answer in answers)
        found.append(finding("dns_silent", said))
        return found
    if stripped and not good:
        found.append(finding("dns_rebind", told["note"] if told else "", server=stripped[0]))
    if told and told["reason"] and not wrong_clock:
        bad = [item for item in told["names"] if item["fault"]]
        for item in bad:
            code = _OF_A_NAME.get(item["fault"])
            if code:
                published = ", ".join(item["published"] or []) or "-"
                values = {"name": item["name"], "provider": item["provider"], "published": published}
                found.append(finding(code, item["reason"], address=item["address"], **values))
        if not bad:
            found.append(finding("ddns_daemon", told["reason"]))
    return found


def clock(report, look):
    """Whether the clock is wrong, by files that were written later than now and by the clocks of the peers."""
    later = look.files_from_the_future()
    told = {}  # {peer: seconds that its clock is ahead}
    for mesh in report["mesh"]:
        asked = [peer for peer in mesh["peers"] if peer["latency"] is not None and not peer["external"]]
        told.update(look.clocks(mesh["interface"], asked))
    like_us = [name for name in told if apart(told[name], 0) <= CLOCK_SECONDS]
    if later and not like_us:  # else the clock was ahead when they were written
        return [finding("clock_behind", later)]
    others = {
        name: [each for each in told if apart(told[each], told[name]) <= CLOCK_SECONDS]
        for name in told
        if name not in like_us
    }
    if not others:
        return []
    most = max(others, key=lambda name: len(others[name]))
    now = time.time()
    here, there = (time.strftime("%H:%M", time.gmtime(at)) for at in (now, now + told[most]))
    detail = "%s by the clock here, %s by that of %s (UTC)" % (here, there, ", ".join(others[most]))
    if len(others[most]) > len(like_us) + 1:
        return [finding("clock_ahead" if told[most] < 0 else "clock_behind", detail)]
    return [] if like_us else [finding("clock_differs", detail, peer=most)]


def apart(one, other):
    """Seconds between two times of day."""
    return abs((one - other + DAY / 2) % DAY - DAY / 2)


class Look:
    """Asks kernel, network and files. Needs root."""

    def __init__(self):
        self.kernel = netlink.Kernel()

    def configured(self):
        return [interface for kind in ("gateway", "mesh") for interface in config.configured(kind)]

    def running(self, kind, interface):
        return state.is_locked(config.run_path(kind, interface, "lock"))

    def exists(self, interface):
        return self.kernel.link(interface) is not None

    def address(self, interface):
        """Why a NIC has no valid address, as the NoAddress with its code, or None."""
        try:
            address.find(self.kernel, interface, config.load_gateway(interface).networks)
        except address.NoAddress as error:
            return error
        return None

    def gateway_answers(self, interface, own, gateway):
        """Whether the gateway answers an ARP request, asked twice."""
        with open("/sys/class/net/%s/address" % interface) as file:
            mac = bytes.fromhex(file.read().strip().replace(":", ""))
        own, gateway = socket.inet_aton(own), socket.inet_aton(gateway)
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + own + b"\0" * 6 + gateway  # RFC 826
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(0x0806)) as arp:
            arp.bind((interface, 0x0806))
            for _ in range(2):
                try:
                    arp.sendto(request, (interface, 0x0806, 0, 0, b"\xff" * 6))
                except OSError:
                    return False
                end = time.monotonic() + ARP_SECONDS
                while select.select([arp], [], [], max(0.0, end - time.monotonic()))[0]:
                    data = arp.recv(1024)
                    if data[6:8] == b"\0\2" and data[14:18] == gateway:
                        return True
        return False

    def reverse_path_drops(self, interface, own):
        """Whether the kernel would drop packets of peers for where it would send the answer."""
        link, networks = self.kernel.link(interface), config.load_gateway(interface).networks
        said = {self.kernel.refuses(config.probe_address(item), own, link.index) for item in networks}
        return bool(said & {"EXDEV", "EINVAL"})

    def other_firewalls(self):
        """The tables of nftables that are not sitelink's, as text."""
        try:
            tables = [line.split()[1:] for line in nftables.run(["list", "tables"]).splitlines()]
        except nftables.NftError as error:
            return str(error)
        return ", ".join(" ".join(table) for table in tables if not table[-1].startswith("sitelink_")) or "iptables"

    def counters(self, nic):
        """(arrived, delivered, begun, left): WireGuard's packets as the firewall counts them, or None."""
        for table in (held_name(nic), table_name(nic)):
            found = nftables.counters(table)
            if "in_delivered" in found:
                return tuple(found[key] for key in ("in_wireguard", "in_delivered", "out_begun", "out_wireguard"))
        return None

    def listen(self, interface, peers):
        """Learn what is heard of silent peers: ({name: Silent}, the NIC where another firewall drops, or "")."""
        cfg = config.load_mesh(interface)
        nic = cfg.underlay_interface
        peers = {peer["public_key"]: peer for peer in peers}
        endpoints = {key: {peer["endpoint"]} - {None} for key, peer in peers.items()}
        received, moved, answers, echoes = {}, set(), set(), set()
        seen = set()  # (address of the other end, whether it sent, type)
        before = self.counters(nic)
        end = time.monotonic() + LISTEN_SECONDS
        asked = 0.0
        with Handshakes(nic, cfg.port) as handshakes, icmp.Echo(interface) as inside, icmp.Echo(nic, cfg.fwmark) as outside:
            while time.monotonic() < end and set(peers) - answers:
                now = time.monotonic()
                if now >= asked:
                    asked = now + 1
                    device = wg.show(interface)
                    for key in set(peers) & set(device.peers):
                        live = device.peers[key]
                        if live.rx > received.setdefault(key, live.rx):
                            moved.add(key)
                        received[key] = live.rx
                        endpoints[key] |= {live.endpoint} - {None}
                        inside.send(peers[key]["address"])
                        for endpoint in endpoints[key]:
                            outside.send(host(endpoint))
                for file in select.select([handshakes, inside, outside], [], [], 0.2)[0]:
                    got = file.receive()
                    if file is handshakes:
                        seen |= {got} - {None}
                    elif got and file is inside:
                        answers |= {key for key, peer in peers.items() if peer["address"] == got[0]}
                    elif got:
                        echoes.add(got[0])
        after = self.counters(nic)
        learnt = {}
        for key, peer in peers.items():
            places = {host(endpoint) for endpoint in endpoints[key]}
            heard = {kind for where, incoming, kind in seen if incoming and where in places}
            learnt[peer["name"]] = Silent(
                # Whose firewall drops echo requests is heard all the same. To be called is not to be answered.
                answers=key in answers or (key in moved and (RESPONSE in heard or INITIATION not in heard)),
                heard=heard,
                sent={kind for where, incoming, kind in seen if not incoming and where in places},
                echo=bool(echoes & places),
                endpoint=max(endpoints[key]) if endpoints[key] else None,
            )
        unanswered = set(peers) - answers
        return learnt, nic if unanswered and before and after and drops(before, after) else ""

    def strayed_routes(self, interface, peers):
        """[(peer, network, NIC)] of what lies behind peers and would leave by another interface."""
        index = self.kernel.link(interface).index
        plans = {plan.name: plan for plan in config.load_mesh(interface).peers}
        found = []
        for peer in peers:
            for item in plans[peer["name"]].allowed_ips:
                if ":" in item or item.endswith("/0"):
                    continue
                route = self.kernel.lookup(config.probe_address(ipaddress.ip_network(item)))
                if route is None or route.oif != index:
                    nic = socket.if_indextoname(route.oif) if route is not None and route.oif else None
                    found.append((peer, item, nic))
        return found

    def mtu_holes(self, interface, peers):
        """The peers that answer, but not packets of full length."""
        length = self.kernel.link(interface).mtu
        left = {peer["address"]: peer for peer in peers}
        for _ in range(3):  # one lost packet is no hole
            answers = icmp.ping(list(left), interface, length=length) if left else {}
            left = {key: peer for key, peer in left.items() if answers[key] is None}
        small = icmp.ping(list(left), interface) if left else {}
        return [peer for key, peer in left.items() if small[key] is not None]

    def unforwarded(self, interface, peers):
        """[(LAN, the kernel's error)] of own LANs to which packets from the peers would not be forwarded."""
        index, found = self.kernel.link(interface).index, []
        for item in config.load_mesh(interface).lan_subnets if peers else []:
            error = self.kernel.refuses(peers[0]["address"], config.probe_address(ipaddress.ip_network(item)), index)
            if error:
                found.append((item, error))
        return found

    def unforwarded_guests(self, interface, guests):
        """The sites that may use this one's broadband, and whose packets the kernel would not forward to there."""
        if not guests:
            return []
        link = self.kernel.link(interface)
        peers = [peer for peer in config.load_mesh(interface).peers if peer.name in guests] if link is not None else []
        return [
            peer.name
            for peer in peers
            if self.kernel.refuses(peer.address, INTERNET_ADDRESS, link.index) == "EHOSTUNREACH"
        ]

    def files_from_the_future(self):
        """The file of ours that was written latest, where that is still to come: the clock went back."""
        paths = [path for directory in (config.ETC, config.LIB) for path in glob.glob(os.path.join(directory, "*"))]
        newest = max(paths, key=os.path.getmtime) if paths else None
        if newest is None or os.path.getmtime(newest) < time.time() + CLOCK_SECONDS:
            return ""
        shown = [time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (time.time(), os.path.getmtime(newest))]
        return "now %s, %s was written %s" % (shown[0], newest, shown[1])

    def clocks(self, interface, peers):
        """{peer: seconds that its clock is ahead of ours} of those that tell."""
        names = {peer["address"]: peer["name"] for peer in peers}
        told = icmp.clocks(list(names), interface) if names else {}  # the interface may not be there
        return {names[address]: seconds for address, seconds in told.items()}

    def peer_names(self):
        plans = [plan for interface in config.configured("mesh") for plan in config.load_mesh(interface).peers]
        return [plan.endpoint[0] for plan in plans if plan.endpoint and not plan.endpoint[0][-1].isdigit()]

    def resolvers(self, wanted):
        """What the system's resolvers answer for a name."""
        return dns.ask_all(dns.system_servers(), wanted[0], "A") if wanted else []


def drops(before, after):
    """Whether packets of WireGuard's came and none was delivered, or were sent and none left."""
    arrived, delivered, begun, left = [new - old for old, new in zip(before, after)]
    return (arrived > 0 and delivered == 0) or (begun > 0 and left == 0)


def host(endpoint):
    return endpoint.rpartition(":")[0]


class Handshakes(Held):
    """Hears WireGuard's handshake messages on a NIC, before any firewall."""

    # UDP whose first byte is 1, 2 or 3: the data of tunnels that work is none of our business. linux/filter.h
    _FILTER = (
        (0x30, 0, 0, 9), (0x15, 0, 6, 17),  # ldb [9]; jeq udp
        (0xB1, 0, 0, 0), (0x50, 0, 0, 8),  # ldxb 4*([0]&0xf); ldb [x+8]
        (0x35, 0, 3, 1), (0x25, 2, 0, 3),  # jge 1; jgt 3
        (0x06, 0, 0, 256), (0x06, 0, 0, 0), (0x06, 0, 0, 0),
    )  # fmt: skip

    def __init__(self, interface, port):
        self.port = port
        # ETH_P_ALL: others see only what comes in
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, socket.htons(3))
        code = b"".join(struct.pack("=HBBI", *item) for item in self._FILTER)
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("@HP", len(self._FILTER), ctypes.addressof(buffer))
        self.socket.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)

    def receive(self):
        """(address of the other end, whether it sent, type), or None."""
        try:
            data, sender = self.socket.recvfrom(512)
        except OSError:
            return None
        return self.parse(data, sender[2] != 4)  # PACKET_OUTGOING

    def parse(self, data, incoming):
        start = (data[0] & 0xF) * 4 if data else 0
        if start < 20 or len(data) < start + 9 or data[9] != socket.IPPROTO_UDP:
            return None
        ports = struct.unpack_from("!HH", data, start)
        if ports[1 if incoming else 0] != self.port:
            return None
        return socket.inet_ntoa(data[12:16] if incoming else data[16:20]), incoming, data[start + 8]


def exit_code(findings):
    return FIRST_EXIT + LAYERS.index(CODES[findings[0].code]) if findings else 0


def as_data(report, findings):
    """What `--json` prints."""
    return {
        "site": report["site"],
        "version": report["version"],
        "exit": exit_code(findings),
        "status": report,
        "findings": [
            {
                "layer": CODES[item.code],
                "code": item.code,
                "detail": item.detail,
                "peer": item.values.get("peer"),
                "text": {language: text.finding(language, item) for language in text.LANGUAGES},
            }
            for item in findings
        ],
    }


def render(report, findings, language):
    """For people: in the first line the layer at fault and one sentence."""
    words = text.LANGUAGES[language]
    if not findings:
        return "%s: %s" % (report["site"], words["no_fault"])
    lines = []
    for item in findings:
        told = text.finding(language, item)
        lines.append("%s: [%s] %s" % (report["site"], CODES[item.code], told["what"]))
        lines.append("  %s: %s" % (words["to_do"], told["do"]))
        if item.detail:
            lines.append("  %s: %s" % (words["detail"], item.detail))
    return "\n".join(lines)
