# SPDX-License-Identifier: GPL-3.0-or-later
"""States that people made of a site's network, and what nic_dhcp says of them."""

from nic_shipped import (
    DEBIAN,
    DHCLIENT,
    ETH1,
    FREE,
    LEFT,
    LO,
    MANAGER,
    NETPLAN,
    NETWORKD,
    ONE,
    OURS_TO_LEAVE,
    ROCKY,
    SCRIPTS,
    SETTINGS,
    UBUNTU_CONF,
    WIRED,
    on,
)

# A site, the role's variables, and what the role says; an empty text where it goes on. `backend`: what has to be chosen.
# ifupdown has eth0 up.
UP = {"ifup": "exit 1\n", "ifquery": "[ $2 = eth0 ]\n", "dhclient": "exit 1\n"}
BY_MANAGER = {"nic_dhcp_backend": "networkmanager"}
MADE = {
    "ifupdown, with NetworkManager that has eth1": (
        {**DHCLIENT, "states": {**FREE, "eth0": "unmanaged"}},
        {"nic_dhcp_backend": "ifupdown-dhclient"},
        "eth1: NetworkManager runs beside ifupdown-dhclient and has it too (it is disconnected there)",
    ),
    "ifupdown, with NetworkManager's Wired connection 1": (
        {**DHCLIENT, "states": {**WIRED, "eth0": "unmanaged"}},
        {"nic_dhcp_backend": "ifupdown-dhclient"},
        '"match-device=interface-name:eth1" and "managed=0" to /etc/NetworkManager/conf.d/90-ont.conf',
    ),
    "networkd, with NetworkManager that waits for a cable": (
        {**NETWORKD, "states": {"eth0": "unmanaged", "eth1": "unavailable"}},
        {},
        "has it too (it is unavailable there)",
    ),
    "netplan, with NetworkManager that leaves it alone": ({**NETPLAN, "states": OURS_TO_LEAVE}, {}, ""),
    "networkd, with NetworkManager that only looks": (
        {**NETWORKD, "states": {"eth0": "connected (externally)", "eth1": "connected (externally)"}},
        {},
        "",
    ),
    "from NetworkManager to netplan": (
        on(
            NETPLAN,
            {"/etc/NetworkManager/conf.d/60-sitelink-eth1.conf": ""},
            states={"eth0": "unmanaged", "eth1": "connected"},
        ),
        {},
        "",
    ),
    # NetworkManager is kept from it
    "unmanaged by name": (
        {**MANAGER, "states": LEFT, "config": "[keyfile]\nunmanaged-devices=interface-name:eth1"},
        {},
        "eth1: unmanaged-devices= in /etc/NetworkManager/NetworkManager.conf keeps NetworkManager from it",
    ),
    "unmanaged in a file": (
        on(
            MANAGER,
            {
                "/etc/NetworkManager/conf.d/10-ont.conf": "[keyfile]\nunmanaged-devices = interface-name:=eth1 ; mac:00:11:22:33:44:55\n"
            },
            states=LEFT,
            config="[keyfile]\nunmanaged-devices=interface-name:=eth1;mac:00:11:22:33:44:55",
        ),
        {},
        "unmanaged-devices= in /etc/NetworkManager/conf.d/10-ont.conf keeps",
    ),
    "unmanaged by Ubuntu's package": (
        on(
            MANAGER,
            {"/usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf": UBUNTU_CONF},
            states=LEFT,
            config=UBUNTU_CONF,
        ),
        {},
        "Add ;except:interface-name:eth1 to that line",
    ),
    "unmanaged by netplan": (
        on(
            MANAGER,
            {"/run/NetworkManager/conf.d/netplan.conf": "[keyfile]\nunmanaged-devices+=interface-name:eth1,\n"},
            states=LEFT,
            config="[keyfile]\nunmanaged-devices=interface-name:eth1",
        ),
        {},
        "unmanaged-devices= in /run/NetworkManager/conf.d/netplan.conf",
    ),
    "unmanaged by MAC": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=mac:52:54:00:00:00:0B"},
        {},
        "keeps NetworkManager from it",
    ),
    "unmanaged by an old MAC": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=52:54:00:00:00:0b"},
        {},
        "keeps NetworkManager",
    ),
    "unmanaged by pattern": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:eth*"},
        {},
        "keeps NetworkManager",
    ),
    "unmanaged by ~pattern": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:~eth?"},
        {},
        "keeps NetworkManager",
    ),
    "unmanaged by type": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=type:ethernet"},
        {},
        "keeps NetworkManager",
    ),
    "unmanaged but for it": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=*,except:interface-name:eth1"},
        {},
        "",
    ),
    "unmanaged but for what nobody knows": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=*,except:driver:virtio_net"},
        {},
        "",
    ),
    "unmanaged others": (
        {**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:eth10;interface-name:veth*;driver:veth"},
        {},
        "",
    ),
    "unmanaged in another section": (
        {**MANAGER, "config": "[main]\nunmanaged-devices=interface-name:eth1\n[keyfile]\n"},
        {},
        "",
    ),
    "unmanaged by udev, which our file overrules": ({**MANAGER, "states": LEFT}, {}, ""),
    # profiles
    "a profile by name": (
        on(MANAGER, {f"{SETTINGS}/My ONT.nmconnection": "[connection]\ntype=ethernet\ninterface-name = eth1\n"}),
        {},
        f"eth1 is configured already, in {SETTINGS}/My ONT.nmconnection",
    ),
    "a profile without a suffix": (
        on(MANAGER, {f"{SETTINGS}/Wired connection 2": "[connection]\ninterface-name=eth1\n"}),
        {},
        "Wired connection 2",
    ),
    "a profile by MAC": (
        on(
            MANAGER,
            {
                f"{SETTINGS}/ont.nmconnection": "[connection]\ntype=ethernet\n[ethernet]\nmac-address=52:54:00:00:00:0B\n"
            },
        ),
        {},
        f"eth1 is configured already, in {SETTINGS}/ont.nmconnection",
    ),
    "a profile by an old section's MAC": (
        on(
            MANAGER,
            {f"{SETTINGS}/ont": "[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address=52:54:00:00:00:0b\n"},
        ),
        {},
        f"{SETTINGS}/ont",
    ),
    "a profile by a match": (
        on(MANAGER, {f"{SETTINGS}/ont.nmconnection": "[match]\ninterface-name=eth1;\n"}),
        {},
        f"{SETTINGS}/ont.nmconnection",
    ),
    "a profile of a bridge's port": (
        on(
            MANAGER,
            {f"{SETTINGS}/p.nmconnection": "[connection]\ninterface-name=eth1\nmaster=br0\nslave-type=bridge\n"},
        ),
        {},
        f"{SETTINGS}/p.nmconnection",
    ),
    "two profiles": (
        on(MANAGER, {f"{SETTINGS}/{n}.nmconnection": "[connection]\ninterface-name=eth1\n" for n in "ab"}),
        {},
        f"{SETTINGS}/a.nmconnection, {SETTINGS}/b.nmconnection",
    ),
    "a profile that is taken over": (
        on(MANAGER, {f"{SETTINGS}/a.nmconnection": "[connection]\ninterface-name=eth1\n"}),
        {"nic_dhcp_take_over": True},
        "",
    ),
    "profiles of others": (
        on(
            MANAGER,
            {
                f"{SETTINGS}/any.nmconnection": "[connection]\ntype=ethernet\nautoconnect-priority=-999\n[ethernet]\n",
                f"{SETTINGS}/pattern.nmconnection": "[connection]\ntype=ethernet\n[match]\ninterface-name=eth*;\n",
                f"{SETTINGS}/vlan.nmconnection": "[connection]\ntype=vlan\ninterface-name=eth1.46\n[vlan]\nparent=eth1\n",
                f"{SETTINGS}/wlan.nmconnection": "[connection]\ntype=wifi\n[wifi]\nmac-address=52:54:00:00:00:0b\n",
                f"{SETTINGS}/eth0mac.nmconnection": "[connection]\ninterface-name=eth0\n[ethernet]\nmac-address=52:54:00:00:00:0b\n",
                f"{SETTINGS}/old.nmconnection~": "[connection]\ninterface-name=eth1\n",
                f"{SETTINGS}/off.nmconnection": "[connection]\n#interface-name=eth1\n",
            },
        ),
        {},
        "",
    ),
    # files that another backend reads
    "a stanza of ifupdown": (on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}), {}, "set nic_dhcp_take_over: true"),
    "a stanza of ifupdown, taken over": (
        on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}),
        {"nic_dhcp_take_over": True},
        "",
    ),
    "a stanza of ifupdown beside netplan": (
        on(NETPLAN, {"/etc/network/interfaces": ETH1}),
        {},
        "/etc/network/interfaces. Take what concerns it out",
    ),
    "a stanza of ifupdown among others": (
        on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + ETH1}),
        {"nic_dhcp_take_over": True},
        "eth1 is configured already, in /etc/network/interfaces. Take what concerns it out",
    ),
    "a stanza of ifupdown among others, cut out": (
        on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + ETH1}),
        {"nic_dhcp_take_over": True, "nic_dhcp_take_over_shared": True},
        "",
    ),
    "a stanza that Debian's cloud image made, and one by hand": (
        on(
            DHCLIENT,
            {
                "/etc/network/interfaces": DEBIAN + "source /run/network/interfaces.d/*\n",
                "/run/network/interfaces.d/eth1": ETH1,
                "/etc/network/interfaces.d/ont": ETH1,
            },
        ),
        {},
        "is configured already, in /etc/network/interfaces.d/ont. Remove it",
    ),
    "ifupdown that would not read ours": (
        on(DHCLIENT, {"/etc/network/interfaces": f"source interfaces.d/*.cfg\n{LO}"}),
        {"nic_dhcp_backend": "ifupdown-dhclient"},
        "/etc/network/interfaces must have the line: source /etc/network/interfaces.d/*",
    ),
    "netplan's file in /run, beside NetworkManager": (
        on(MANAGER, {"/run/netplan/ont.yaml": "network: {ethernets: {eth1: {dhcp4: true}}}\n"}),
        {"nic_dhcp_take_over": True},
        "eth1 is configured already, in /run/netplan/ont.yaml",
    ),
    "netplan's file in /run": (
        on(NETPLAN, {"/run/netplan/ont.yaml": "network: {ethernets: {eth1: {dhcp4: true}}}\n"}),
        {},
        "",
    ),
    "an ifcfg file": (
        on(ROCKY, {f"{SCRIPTS}/ifcfg-ont": "DEVICE=eth1\n"}),
        {},
        f"eth1 is configured already, in {SCRIPTS}/ifcfg-ont",
    ),
    "an ifcfg file's routes, taken over": (
        on(ROCKY, {f"{SCRIPTS}/route-eth1": "x\n"}),
        {"nic_dhcp_take_over": True},
        "",
    ),
    # systemd-networkd
    "networkd beside NetworkManager": (
        {**MANAGER, "running": "systemd-networkd", "networkd": {"eth1": "/etc/systemd/network/80-all.network"}},
        BY_MANAGER,
        "eth1: systemd-networkd runs beside networkmanager and configures it by /etc/systemd/network/80-all.network",
    ),
    "networkd beside ifupdown": (
        {
            **DHCLIENT,
            "running": "systemd-networkd",
            "networkd": {"eth1": "/run/systemd/network/10-netplan-all-eth.network"},
        },
        {"nic_dhcp_backend": "ifupdown-dhclient"},
        "configures it by /run/systemd/network/10-netplan-all-eth.network. Let it leave it alone",
    ),
    "networkd that leaves it alone": (
        on(
            MANAGER,
            {"/run/systemd/netif/links/3": "ADMIN_STATE=unmanaged\nNETWORK_FILE=/etc/systemd/network/00-ont.network\n"},
            running="systemd-networkd",
        ),
        BY_MANAGER,
        "",
    ),
    "networkd that is off": ({**MANAGER, "networkd": {"eth1": "/etc/systemd/network/80-all.network"}}, BY_MANAGER, ""),
    "from networkd to NetworkManager": (
        {
            **MANAGER,
            "running": "systemd-networkd",
            "networkd": {"eth1": "/etc/systemd/network/05-sitelink-eth1.network"},
        },
        BY_MANAGER,
        "",
    ),
    "a file of networkd that comes first": (
        {**NETWORKD, "networkd": {**NETWORKD["networkd"], "eth1": "/etc/systemd/network/01-all.network"}},
        {},
        "eth1: systemd-networkd configures it by /etc/systemd/network/01-all.network, whose name comes before",
    ),
    "a file of networkd that comes before netplan's": (
        {**NETPLAN, "networkd": {**ONE, "eth1": "/etc/systemd/network/10-dhcp.network"}},
        {},
        "(10-netplan-00-sitelink-...). Let the [Match] of that file leave eth1 out",
    ),
    "a file of networkd that comes behind": (
        {**NETWORKD, "networkd": {**NETWORKD["networkd"], "eth1": "/etc/systemd/network/10-all.network"}},
        {},
        "",
    ),
    "networkd that was stopped": (
        {**MANAGER, "networkd": {"eth0": "/run/systemd/network/10-netplan-eth0.network"}, "programs": ("netplan",)},
        {"backend": "networkmanager"},
        "",
    ),
    "netplan's files, and no netplan": (
        {**NETWORKD, "networkd": ONE},
        {},
        "nic_dhcp_backend is auto, which is netplan by what configures the NIC that Ansible uses now, but this site has networkd of",
    ),
    "ifupdown that would not read ours, by itself": (
        on(
            DHCLIENT,
            {"/etc/network/interfaces": LO + "auto eth0\niface eth0 inet dhcp\n"},
            states=OURS_TO_LEAVE,
            programs=UP,
        ),
        {},
        "which is ifupdown-dhclient by what configures the NIC that Ansible uses now, but this site has networkmanager of",
    ),
    # others
    "dhcpcd for all": (
        {**DHCLIENT, "running": "dhcpcd"},
        {},
        'Write the line "denyinterfaces eth1" at the head of /etc/dhcpcd.conf',
    ),
    "dhcpcd5 for all": (
        on(DHCLIENT, {"/etc/dhcpcd.conf": "hostname\n#denyinterfaces eth1\ninterface eth0\n"}, running="dhcpcd5"),
        {},
        "denyinterfaces eth1",
    ),
    "dhcpcd for others": (on(DHCLIENT, {"/etc/dhcpcd.conf": "denyinterfaces wlan0 eth1\n"}, running="dhcpcd"), {}, ""),
    "dhcpcd but for a pattern": (
        on(DHCLIENT, {"/etc/dhcpcd.conf": "denyinterfaces veth*,eth[1-9]\n"}, running="dhcpcd"),
        {},
        "",
    ),
    "dhcpcd for one": (on(DHCLIENT, {"/etc/dhcpcd.conf": "allowinterfaces eth0\n"}, running="dhcpcd"), {}, ""),
    "dhcpcd for both": (
        on(DHCLIENT, {"/etc/dhcpcd.conf": "allowinterfaces eth*\n"}, running="dhcpcd"),
        {},
        "dhcpcd.service takes all",
    ),
    "ConnMan": (
        {**NETWORKD, "running": "systemd-networkd connman"},
        {},
        "Add it to NetworkInterfaceBlacklist= below [General] in /etc/connman/main.conf",
    ),
    "ConnMan for others": (
        on(
            NETWORKD,
            {"/etc/connman/main.conf": "[General]\nNetworkInterfaceBlacklist = vmnet, eth1\n"},
            running="systemd-networkd connman",
        ),
        {},
        "",
    ),
    "wicked": (
        on(NETWORKD, {"/etc/sysconfig/network/ifcfg-eth1": "BOOTPROTO=dhcp\n"}, running="systemd-networkd wickedd"),
        {},
        "wicked runs beside networkd and configures it by /etc/sysconfig/network/ifcfg-eth1",
    ),
    "wicked for others": ({**NETWORKD, "running": "systemd-networkd wickedd"}, {}, ""),
}
