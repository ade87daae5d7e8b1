# SPDX-License-Identifier: GPL-3.0-or-later
"""All English sentences for operators, by code: doctor's findings (what is at fault, what to do), and the status page's."""

_ONT = (
    "Open the ONT's page, 网络 (network), 连接 (connections), and look for the connection that you made: 封装类型 IPoE, 业务类型 其他, "
    "连接模式 桥接 (bridge), VLAN ID and 802.1p as in the TR069 connection, LAN端口绑定 on the port of {nic}. If it is gone, make "
    "it anew (docs/en/ont.md)."
)

_CLOCK = (
    "Set it: timedatectl set-ntp true; without broadband, date -s with the time. If it is wrong again after a restart, write it into "
    "the hardware's clock too (hwclock --systohc) and check the battery of the board. DDNS needs the right time."
)

TEXT = {
    "no_fault": "no fault found.",
    "to_do": "to do",
    "detail": "seen",
    "layers": {
        "config": "configuration", "nic": "network card", "link": "cable", "dhcp": "DHCP", "lease": "leased address",
        "gateway": "gateway", "rule": "rules and table", "rpfilter": "reverse path filter", "firewall": "firewall",
        "wireguard": "WireGuard", "peer": "other site", "udp": "UDP between the sites", "handshake": "handshake",
        "route": "overlay route", "mtu": "packet size (MTU)", "lan": "LAN forwarding", "clock": "clock", "dns": "DNS",
        "ddns": "published record", "exit": "internet through another site",
    },
    "page": {
        "title": "The mesh",
        "made": "As of",
        "sum_sites": "sites",
        "sum_unknown": "without an answer",
        "sum_faults": "faults",
        "sum_links": "links alive",
        "faults": "Faults",
        "no_faults": "No fault found.",
        "unreachable": "No answer: the controller cannot reach this site, or ansible-playbook sitelink.tr069.site has not run on it.",
        "more": " and {count} more",
        "days": "days",
        "hours": "h",
        "minutes": "min",
        "seconds": "s",
        "picture": "Picture",
        "matrix": "Matrix",
        "matrix_note": "From the site on the left to the site on top: latency, packets lost, age of the handshake, endpoint and where it came from.",
        "sites": "Sites",
        "history": "What happened",
        "no_history": "Nothing.",
        "ago": "ago",
        "healed": "healed in",
        "held": "closed (locked)",
        "watched": "closed (watched)",
        "open": "OPEN",
        "dropped": "packets dropped",
        "alive": "alive",
        "fine": "fine",
        "faulty": "fault",
        "gateway": "gateway",
        "ddns": "record",
        "firewall": "firewall",
        "peers": "other sites",
        "clients": "other devices",
    },
    "findings": {
        "config_none": (
            "This site has no configuration of sitelink.",
            "Run ansible-playbook sitelink.tr069.site for it.",
        ),
        "config_bad": (
            "The configuration of sitelink cannot be used.",
            "Run ansible-playbook sitelink.tr069.site for this site; it writes the files below /etc/sitelink anew.",
        ),
        "config_old": (
            "{unit} does not run {files} as it is written; a run of the playbook broke off.",
            "Run ansible-playbook sitelink.tr069.site again for this site, or type there: sitelink service {unit}.",
        ),
        "nic_missing": (
            "There is no network card {nic}.",
            "Look at ip -br link. If the card has another name, write it as tr069_interface and run the playbook; if it is "
            "missing, check that it is seated, or attached to the virtual machine.",
        ),
        "nic_off": (
            "{nic} is switched off.",
            "Switch it on: ip link set {nic} up. If it goes off again, look who does that: networkctl status {nic}.",
        ),
        "link_none": (
            "No signal on the cable of {nic}.",
            "Plug it into the ONT's port that is bridged, check that the ONT is on, try another cable.",
        ),
        "dhcp_none": (
            "{nic} has a link, but no address: nobody answers its DHCP requests.",
            _ONT,
        ),
        "lease_outside": (
            "The address of {nic} does not belong to the TR-069 network: its port of the ONT leads to another network.",
            _ONT + " If you are sure that it is the TR-069 network, add its prefix to tr069_networks.",
        ),
        "lease_wide": (
            "The prefix of the address of {nic} reaches outside the TR-069 network: it would take packets to others along.",
            _ONT + " If all of that prefix is the TR-069 network, add it to tr069_networks. Otherwise the carrier gives a wrong mask.",
        ),
        "lease_two": (
            "{nic} has more than one address of the TR-069 network.",
            "Keep the one that DHCP gave, and take the others away: ip -4 address show {nic}, ip address del ... dev {nic}.",
        ),
        "gateway_none": (
            "Which gateway belongs to the address of {nic} is not known: none was given, and none follows from it.",
            "Ask the carrier, or look what the ONT shows, and set tr069_gateway_source for this site.",
        ),
        "gateway_silent": (
            "The gateway {gateway} does not answer on {nic}.",
            "Switch the ONT off and on. If it stays silent, compare VLAN ID and 802.1p of your bridge with those of the TR069 "
            "connection on the ONT's page; if they are equal, the carrier's network is at fault.",
        ),
        "rule_missing": (
            "Rules or routes of table {table} are missing; tunnels cannot leave by {nic}.",
            "Start their daemon anew: systemctl restart sitelink-gateway@{nic}. If they vanish again, see who takes them: "
            "journalctl -u sitelink-gateway@{nic}.",
        ),
        "rule_daemon": (
            "The daemon that keeps the rules and the table of {nic} does not run.",
            "Start it: systemctl start sitelink-gateway@{nic}. If it does not stay, see journalctl -u sitelink-gateway@{nic}.",
        ),
        "rule_foreign": (
            "A rule or route of another program leads the tunnels' packets away from {nic}.",
            "Take it away, or let its program use another table than {table}; what was seen names it.",
        ),
        "rpfilter_drops": (
            "The reverse path filter of this host drops what peers send to {address}: the answer would not leave by {nic}.",
            "Find the rule that takes the answer elsewhere (ip rule: its number is below that of sitelink) and remove it, or "
            "set the filter to loose: sysctl net.ipv4.conf.{nic}.rp_filter=2.",
        ),
        "firewall_open": (
            "The firewall of {nic} is not in place.",
            "Load it: systemctl restart sitelink-firewall-table@{nic} sitelink-firewall@{nic}. See who removed it: "
            "journalctl -u sitelink-firewall@{nic}.",
        ),
        "firewall_daemon": (
            "Nobody watches the firewall of {nic}: its daemon does not run.",
            "Start it: systemctl start sitelink-firewall@{nic}. If it does not stay, see journalctl -u sitelink-firewall@{nic}.",
        ),
        "firewall_foreign": (
            "Another firewall of this host drops WireGuard's packets on {nic}.",
            "Find it among {others}, and let UDP port 22000 (or your wireguard_mesh_port) pass on {nic} there.",
        ),
        "wireguard_none": (
            "The WireGuard interface {interface} does not exist.",
            "Start it: systemctl restart wg-quick@{interface}. If that fails: systemctl status wg-quick@{interface}.",
        ),
        "wireguard_daemon": (
            "The daemon that looks after the peers of {interface} does not run.",
            "Start it: systemctl start sitelink-mesh@{interface}. If it does not stay, see journalctl -u sitelink-mesh@{interface}.",
        ),
        "wireguard_other": (
            "The WireGuard interface {interface} is not as configured.",
            "Do what was seen below, or run ansible-playbook sitelink.tr069.site for this site.",
        ),
        "peer_off": (
            "{peer} is not reached at all; its last address {endpoint} does not answer.",
            "Is {peer} on, and its ONT? Run sitelink doctor there. If it finds nothing, the carrier lets nothing pass between the two.",
        ),
        "peers_off": (
            "None of the {count} other sites is reached, though this site's gateway answers.",
            "Switch this site's ONT off and on. If other sites reach each other, the carrier has cut this one off.",
        ),
        "peer_unknown": (
            "Where {peer} is now is not known: no live peer, no name and no list says so.",
            "Repair DNS here or at {peer}, or write its present address into wireguard_mesh_endpoint_seeds.",
        ),
        "udp_blocked": (
            "{peer} answers at {endpoint}, but WireGuard's UDP packets do not come through.",
            "Run sitelink doctor at {peer} (a firewall there?). If it finds nothing, the carrier blocks the UDP port: set another "
            "wireguard_mesh_port for all sites.",
        ),
        "udp_one_way": (
            "WireGuard's packets from {peer} arrive here, those from here do not arrive at {endpoint}.",
            "Run sitelink doctor at {peer}: a firewall there, or the carrier, drops what it is sent.",
        ),
        "handshake_key": (
            "{peer} calls, but the keys of the two sites do not fit together, or the clock of {peer} went back.",
            "Look at date there. Then run ansible-playbook sitelink.tr069.site over all sites, with the same wireguard_mesh_secret.",
        ),
        "route_elsewhere": (
            "Packets for {network} behind {peer} leave by {nic} instead of the tunnel.",
            "See which route takes them: ip route get and ip rule. Remove it, or give one of the two networks another prefix.",
        ),
        "mtu_hole": (
            "Large packets to {peers} are lost, small ones arrive.",
            "Set a smaller wireguard_mesh_mtu for all sites, such as 1340, and run the playbook. docs/en/ont.md says where the ONT "
            "shows its MTU.",
        ),
        "lan_forwarding": (
            "This server does not forward packets from the mesh to its LAN {network}.",
            "Set wireguard_mesh_lan_gateway: true for this site and run the playbook; until then: sysctl net.ipv4.ip_forward=1.",
        ),
        "clock_behind": (
            "The clock of this server is behind. Other sites take its handshakes for repetitions of old ones and do not answer them, "
            "unless they call first.",
            _CLOCK,
        ),
        "clock_ahead": (
            "The clock of this server is ahead.",
            _CLOCK,
        ),
        "clock_differs": (
            "The clocks of this server and of {peer} differ, and one of the two is wrong.",
            "Look at a watch, and at date on both. " + _CLOCK,
        ),
        "dns_silent": (
            "No DNS server of this server answers.",
            "Is the broadband up? Look at /etc/resolv.conf, and ask the router for a name. Tunnels go on without DNS, but this "
            "site's own record cannot follow its address.",
        ),
        "dns_rebind": (
            "The DNS server {server} takes private addresses out of its answers (rebind protection).",
            "Allow your domain there (OpenWrt: DHCP and DNS, domain whitelist; dnsmasq: rebind-domain-ok), or use another one.",
        ),
        "ddns_daemon": (
            "Nobody publishes the address of this site.",
            "Start it: systemctl start sitelink-ddns.timer. If it does not help, see journalctl -u sitelink-ddns.",
        ),
        "ddns_record": (
            "The record of {name} says {published}, but this site is at {address}.",
            "It is put right within a minute. If it stays wrong, look who else writes it: another DDNS client, or a second record.",
        ),
        "ddns_refused": (
            "{provider} does not take the record of {name}.",
            "Read what it said. For a token that is refused make a new one, enter it with ansible-vault edit, and run the "
            "playbook; else it is tried again by itself.",
        ),
        "ddns_servers": (
            "The servers of the zone of {name} cannot be asked.",
            "Look whether the domain is still delegated to {provider}, and whether something on the way answers in their place.",
        ),
        "exit_gone": (
            "The broadband by {uplink} does not work, and none of the sites is reached whose internet this one may use: {exits}.",
            "Repair the broadband, or switch one of those sites on. wireguard_mesh_exits may name more of them.",
        ),
        "exit_silent": (
            "{exit} is reached, but nothing of the internet answers through it.",
            "Is the broadband of {exit} up? Run sitelink doctor there. Another firewall there may drop what it forwards from wg0 "
            "to its broadband.",
        ),
        "exit_names": (
            "The internet is reached through another site, but names are still asked for where no answer comes from.",
            "Do what was seen below, or set wireguard_mesh_exit_resolvers to [] and give this server DNS servers of the internet.",
        ),
        "exit_rules": (
            "The routes to the internet of another site are not in place.",
            "Do what was seen below. If it does not help: systemctl restart sitelink-mesh@{interface}.",
        ),
        "exit_forwarding": (
            "This server does not forward packets of {peer} to the internet, though wireguard_mesh_exit_for names it.",
            "Run ansible-playbook sitelink.tr069.site for this site; until then: sysctl net.ipv4.ip_forward=1. If its own "
            "broadband is down, repair that.",
        ),
    },
}
