# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP clients that run for eth1, whoever started them, and what nic_dhcp says of them."""

from nic_shipped import DEBIAN, DHCLIENT, ETH1, FREE, IFCFG, IFCFG_RH, MANAGER, NETPLAN, NETWORKD, ROCKY, SCRIPTS, on

OURS = "# Made by the collection sitelink.tr069, role nic_dhcp. Changes are overwritten.\n"
STANZA = {"/etc/network/interfaces.d/sitelink-eth1": OURS + "auto eth1\niface eth1 inet manual\n"}
BY_DHCLIENT, BY_DHCPCD = ({"nic_dhcp_backend": f"ifupdown-{client}"} for client in ("dhclient", "dhcpcd"))
BY_SCRIPTS = {"nic_dhcp_backend": "network-scripts"}
BY_IFCFG = {"nic_dhcp_backend": "networkmanager-ifcfg"}
DHCPCD = {**DHCLIENT, "programs": ("ifup", "ifquery", "dhcpcd")}
CENTOS = {
    "files": {**IFCFG, **IFCFG_RH, f"{SCRIPTS}/ifup-eth": "->/bin/true", "/etc/rc.d/rc3.d/S10network": ""},
    "programs": ("dhclient",),
    "states": FREE,
    "profiles": f"eth0:{SCRIPTS}/ifcfg-eth0\\n",
}
# As each of them is called.
IFUPDOWNS = "dhclient -4 -v -i -pf /run/dhclient.eth1.pid -lf /var/lib/dhcp/dhclient.eth1.leases -I -df /var/lib/dhcp/dhclient6.eth1.leases eth1"
OUR_DHCLIENT = "dhclient -4 -nw -cf /etc/dhcp/sitelink-eth1.conf -pf /run/dhclient.eth1.pid -lf /var/lib/dhcp/dhclient.eth1.leases eth1"
SCRIPTS_DHCLIENT = "/sbin/dhclient -q -cf /etc/dhcp/dhclient-eth1.conf -lf /var/lib/dhclient/dhclient--eth1.lease -pf /var/run/dhclient-eth1.pid eth1"
OUR_IFCFG = {f"{SCRIPTS}/ifcfg-eth1": OURS + "DEVICE=eth1\nNM_CONTROLLED=no\n"}
TITLE = "dhcpcd: eth1 [ip4]"
UDHCPC = "udhcpc -n -R -p /run/udhcpc.eth1.pid -i eth1"

ALONE = "eth1: a DHCP client runs for it alone (process and command: 100 %s"
CLIENTS = {
    # somebody else's
    "dhcpcd as a unit": (
        {**DHCPCD, "running": "dhcpcd@eth1", "processes": [TITLE]},
        {},
        "eth1: dhcpcd@eth1.service is a DHCP client for it alone, and two of one NIC take its address from each other. Run systemctl disable --now",
    ),
    "dhclient as a unit": ({**NETPLAN, "running": "systemd-networkd dhclient@eth1"}, {}, "dhclient@eth1.service is a DHCP client"),
    "dhcpcd beside netplan": ({**NETPLAN, "processes": ["dhcpcd -b eth1"]}, {}, ALONE % "dhcpcd -b eth1)"),
    "dhcpcd of today beside netplan": ({**NETPLAN, "processes": [TITLE + " [ip6]"]}, {}, ALONE % (TITLE + " [ip6])")),
    "dhclient beside networkd": ({**NETWORKD, "processes": ["/sbin/dhclient eth1"]}, {}, ALONE % "/sbin/dhclient eth1)"),
    "dhclient beside NetworkManager": ({**MANAGER, "processes": ["dhclient -4 -v eth0 eth1"]}, {}, ALONE % "dhclient -4"),
    "udhcpc": ({**NETWORKD, "processes": [UDHCPC]}, {}, ALONE % UDHCPC),
    "udhcpc of busybox": ({**NETWORKD, "processes": ["busybox udhcpc -ieth1"]}, {}, ALONE % "busybox udhcpc -ieth1"),
    "dhclient of both families": ({**NETWORKD, "processes": ["dhclient -4 -6 eth1"]}, {}, ALONE % "dhclient"),
    "dhcpcd in ours' way": (
        on(DHCPCD, {**STANZA, "/etc/sitelink/dhcpcd-eth1.conf": OURS, "/run/dhcpcd/eth1.pid": "100\n"}, processes=[TITLE]),
        BY_DHCPCD,
        ALONE % TITLE,
    ),
    "dhclient beside ours": (on(DHCLIENT, STANZA, processes=["dhclient eth1", OUR_DHCLIENT]), {}, ALONE % "dhclient eth1)"),
    "ifupdown's beside netplan": (
        on(NETPLAN, {"/etc/network/interfaces": DEBIAN + ETH1}, processes=[IFUPDOWNS]),
        {"nic_dhcp_take_over": True, "nic_dhcp_take_over_shared": True},
        "eth1: ifupdown has started a DHCP client for it",
    ),
    "scripts' beside NetworkManager": (
        on(CENTOS, processes=[SCRIPTS_DHCLIENT]),
        BY_IFCFG,
        "eth1: network-scripts have started a DHCP client for it",
    ),
    # the manager's own, which is taken over
    "ifupdown's dhclient": (
        on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}, processes=[IFUPDOWNS]),
        {"nic_dhcp_take_over": True},
        "",
    ),
    "ifupdown's dhcpcd": (
        on(DHCPCD, {"/etc/network/interfaces.d/ont": ETH1}, processes=[TITLE + " [ip6]"]),
        {"nic_dhcp_take_over": True},
        "",
    ),
    "ifupdown's udhcpc": (
        on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}, processes=[UDHCPC]),
        {"nic_dhcp_take_over": True},
        "",
    ),
    "Debian's cloud image's": (
        on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + "source /run/network/interfaces.d/*\n",
                      "/run/network/interfaces.d/eth1": ETH1}, processes=[IFUPDOWNS]),
        {},
        "",
    ),
    "scripts' dhclient": (
        on(CENTOS, {f"{SCRIPTS}/ifcfg-eth1": "DEVICE=eth1\n"}, processes=[SCRIPTS_DHCLIENT]),
        {**BY_SCRIPTS, "nic_dhcp_take_over": True},
        "",
    ),
    "NetworkManager's dhclient": (
        {**MANAGER, "processes": ["/usr/sbin/NetworkManager --no-daemon",
            "> /sbin/dhclient -d -q -sf /usr/libexec/nm-dhcp-helper -pf /run/NetworkManager/dhclient-eth1.pid eth1"]},
        {},
        "",
    ),
    "NetworkManager's dhcpcd": (
        {**MANAGER, "processes": ["/usr/sbin/NetworkManager --no-daemon", "> " + TITLE, f"> {TITLE}"]},
        {},
        "",
    ),
    # ours, on a second run and on the way to another backend
    "our dhclient": (on(DHCLIENT, STANZA, processes=[OUR_DHCLIENT]), BY_DHCLIENT, ""),
    "our dhclient, and dhcpcd next": (
        on(DHCLIENT, STANZA, programs=("ifup", "ifquery", "dhclient", "dhcpcd"), processes=[OUR_DHCLIENT]),
        BY_DHCPCD,
        "",
    ),
    "our dhcpcd": (
        on(DHCPCD, {**STANZA, "/etc/sitelink/dhcpcd-eth1.conf": OURS, "/run/dhcpcd/eth1-4.pid": "100\n"}, processes=[
            TITLE, "> dhcpcd: [privileged proxy] eth1 [ip4]", "dhcpcd: [BPF ARP] eth1 10.23.64.5"]),
        BY_DHCPCD,
        "",
    ),
    "our dhcpcd before 9": (
        on(DHCPCD, {**STANZA, "/etc/sitelink/dhcpcd-eth1.conf": OURS, "/run/dhcpcd-eth1-4.pid": "100\n"}, processes=[
            "dhcpcd -q -b -4 -f /etc/sitelink/dhcpcd-eth1.conf eth1"]),
        BY_DHCPCD,
        "",
    ),
    "our network-scripts": (on(CENTOS, OUR_IFCFG, processes=[SCRIPTS_DHCLIENT]), BY_SCRIPTS, ""),
    "our network-scripts, and NetworkManager next": (on(CENTOS, OUR_IFCFG, processes=[SCRIPTS_DHCLIENT]), BY_IFCFG, ""),
    # of other NICs, networks and families
    "clients of others": (
        {**NETWORKD, "running": "systemd-networkd dhcpcd@eth10", "processes": [
            "dhclient eth0", "dhclient eth1.46", "dhcpcd: eth10 [ip4]", "dhcpcd: [manager] [ip4] [ip6]", "dhcpcd: [BPF ARP] eth1 10.1.1.1",
            "udhcpc -i eth10", "busybox httpd -h eth1", "@ dhclient eth1", "@ udhcpc -i eth1", "dhclient -6 eth1", "dhcpcd: eth1 [ip6]",
            "vim eth1"]},
        {},
        "",
    ),
    # network-scripts at boot
    "network-scripts that nothing starts": (
        on(ROCKY, {f"{SCRIPTS}/ifup-eth": "->/bin/true"}, programs=("dhclient",)),
        BY_SCRIPTS,
        "no lease. Where NetworkManager runs (EL 8), set nic_dhcp_backend to networkmanager-ifcfg",
    ),
    "network-scripts that nothing starts, of no matter": (
        on(ROCKY, {f"{SCRIPTS}/ifup-eth": "->/bin/true"}, programs=("dhclient",)),
        {"backend": "networkmanager-ifcfg"},
        "",
    ),
    "network-scripts by SysV": (CENTOS, BY_SCRIPTS, ""),
    "network-scripts, with hooks of the site's own": (
        on(CENTOS, {f"/etc/dhcp/dhclient-{when}-hooks": "echo $reason\n" for when in ("enter", "exit")}), BY_SCRIPTS, "",
    ),
    "network-scripts by systemd": (
        on(ROCKY, {f"{SCRIPTS}/ifup-eth": "->/bin/true"}, programs=("dhclient",), running="network"),
        BY_SCRIPTS,
        "",
    ),
    "a reader of ifcfg files of CentOS 7.3": (
        {**ROCKY, "files": {**IFCFG, "/usr/lib64/NetworkManager/libnm-settings-plugin-ifcfg-rh.so": ""}},
        {"backend": "networkmanager-ifcfg"},
        "",
    ),
}  # fmt: skip
