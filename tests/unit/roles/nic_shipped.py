# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites as their distributions ship them, and what other states are made of."""

LO = "auto lo\niface lo inet loopback\n"
DEBIAN = f"source /etc/network/interfaces.d/*\n\n{LO}\nallow-hotplug eth0\niface eth0 inet dhcp\n"
ALL = {
    "/etc/netplan/90-default.yaml": """\
network:
    version: 2
    ethernets:
        all-en:
            match:
                name: en*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
        all-eth:
            match:
                name: eth*
            dhcp4: true
"""
}
CLOUD_INIT = {
    "/etc/netplan/50-cloud-init.yaml": """\
# This file is generated from information provided by the datasource.
network:
    ethernets:
        eth0:
            dhcp4: true
            match:
                macaddress: 52:54:00:00:00:0a
            set-name: eth0
    version: 2
"""
}
BULLSEYE = {
    "/etc/network/interfaces": "source-directory /etc/network/interfaces.d\nsource-directory /run/network/interfaces.d\n",
    "/etc/network/interfaces.d/50-cloud-init": "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n",
    "/run/network/interfaces.d/eth0": "auto eth0\nallow-hotplug eth0\niface eth0 inet dhcp\niface eth0 inet6 manual\n  try_dhcp 1\n",
}
SCRIPTS = "/etc/sysconfig/network-scripts"
IFCFG = {
    f"{SCRIPTS}/ifcfg-eth0": 'TYPE="Ethernet"\nBOOTPROTO="dhcp"\nNAME="eth0"\nDEVICE="eth0"\nONBOOT="yes"\n',
    f"{SCRIPTS}/ifcfg-lo": "DEVICE=lo\nIPADDR=127.0.0.1\n",
}
IFCFG_RH = {"/usr/lib64/NetworkManager/1.40.16/libnm-settings-plugin-ifcfg-rh.so": ""}
KEYFILE = {
    "/etc/NetworkManager/system-connections/eth0.nmconnection": "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n"
}
SETTINGS = "/etc/NetworkManager/system-connections"
FREE = {"eth0": "connected", "eth1": "disconnected", "lo": "unmanaged"}
WIRED = {"eth0": "connected", "eth1": "connected", "lo": "connected (externally)"}
LEFT = {"eth0": "connected", "eth1": "unmanaged", "lo": "unmanaged"}
OURS_TO_LEAVE = {"eth0": "unmanaged", "eth1": "unmanaged"}
UBUNTU_CONF = "[keyfile]\nunmanaged-devices=*,except:type:wifi,except:type:gsm,except:type:cdma"
# systemd-networkd as a netplan site has it, where a definition for all NICs has ours too, and where none has.
BOTH = {nic: "/run/systemd/network/10-netplan-all-eth.network" for nic in ("eth0", "eth1")}
ONE = {"eth0": "/run/systemd/network/10-netplan-eth0.network"}
IFUPDOWN = ("ifup", "ifquery", "dhclient")

NETPLAN = {"files": CLOUD_INIT, "running": "systemd-networkd", "programs": ("netplan",), "networkd": ONE}
NETWORKD = {"files": {"/etc/systemd/network/20-eth0.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"},
            "running": "systemd-networkd", "networkd": {"eth0": "/etc/systemd/network/20-eth0.network"}}  # fmt: skip
DHCLIENT = {"files": {"/etc/network/interfaces": DEBIAN}, "programs": IFUPDOWN}
MANAGER = {"files": {"/etc/network/interfaces": LO, **KEYFILE}, "states": FREE, "running": "NetworkManager"}
ETH1 = "auto eth1\niface eth1 inet dhcp\n"
ROCKY = {"files": {**IFCFG, **IFCFG_RH}, "states": FREE, "profiles": f"eth0:{SCRIPTS}/ifcfg-eth0\\n"}


def on(base, files=None, **rest):
    """A site like another one, with more files."""
    return {**base, "files": {**base["files"], **(files or {})}, **rest}


# As it comes from the distribution: the backend that is right, and not a word.
SHIPPED = {
    "Debian 13 cloud": (
        {"files": ALL, "running": "systemd-networkd", "programs": ("netplan",), "networkd": BOTH},
        "netplan",
    ),
    "Debian 12 cloud-init": ({**NETPLAN, "files": {**CLOUD_INIT, **ALL}}, "netplan"),
    "Debian 11 cloud": ({"files": BULLSEYE, "programs": IFUPDOWN}, "ifupdown-dhclient"),
    "Debian 11 cloud, a second NIC": (
        {
            "files": {
                **BULLSEYE,
                "/run/network/interfaces.d/eth1": BULLSEYE["/run/network/interfaces.d/eth0"].replace("eth0", "eth1"),
            },
            "programs": IFUPDOWN,
        },
        "ifupdown-dhclient",
    ),
    "Debian 12": (DHCLIENT, "ifupdown-dhclient"),
    "Debian 13": ({**DHCLIENT, "programs": ("ifup", "ifquery", "dhcpcd")}, "ifupdown-dhcpcd"),
    "Debian desktop": (MANAGER, "networkmanager"),
    "Debian desktop, Wired connection 1": ({**MANAGER, "states": WIRED}, "networkmanager"),
    "Debian networkd": (NETWORKD, "networkd"),
    "Ubuntu 18.04": (NETPLAN, "netplan"),
    "Ubuntu 22.04 with NetworkManager beside": (
        {**NETPLAN, "running": "systemd-networkd NetworkManager", "states": OURS_TO_LEAVE, "config": UBUNTU_CONF},
        "netplan",
    ),
    "Ubuntu 24.04 installed": (
        on(
            NETPLAN,
            {
                "/etc/netplan/00-installer-config.yaml": "network:\n"
                "  ethernets:\n    eth0:\n      dhcp4: true\n    eth1:\n      dhcp4: true\n  version: 2\n"
            },
            networkd={**ONE, "eth1": "/run/systemd/network/10-netplan-eth1.network"},
        ),
        "netplan",
    ),
    "Ubuntu desktop": (
        {
            "files": {
                "/etc/netplan/01-network-manager-all.yaml": "network:\n  version: 2\n  renderer: NetworkManager\n"
            },
            "running": "NetworkManager systemd-networkd",
            "programs": ("netplan",),
            "states": WIRED,
            "networkd": {},
        },
        "networkmanager",
    ),
    "CentOS 7": (
        {
            "files": {**IFCFG, f"{SCRIPTS}/ifup-eth": "", **IFCFG_RH},
            "states": FREE,
            "profiles": f"eth0:{SCRIPTS}/ifcfg-eth0\\n",
        },
        "networkmanager-ifcfg",
    ),
    "Rocky 8": (ROCKY, "networkmanager-ifcfg"),
    "Rocky 9": (
        {"files": KEYFILE, "states": FREE, "profiles": f"eth0:{SETTINGS}/eth0.nmconnection\\n"},
        "networkmanager",
    ),
    "Fedora": (
        {
            "files": {},
            "states": WIRED,
            "profiles": "eth0:/run/NetworkManager/system-connections/Wired connection 1.nmconnection\\n",
            "config": "[main]\nplugins=keyfile",
        },
        "networkmanager",
    ),
    "Armbian": (
        on(
            MANAGER,
            {
                "/etc/network/interfaces": f"source /etc/network/interfaces.d/*\n{LO}",
                "/etc/netplan/10-dhcp-all-interfaces.yaml": "network:\n  version: 2\n  renderer: NetworkManager\n",
            },
            programs=("netplan",),
            config="[keyfile]\nunmanaged-devices=interface-name:p2p*;interface-name:wlx*,interface-name:zt*",
        ),
        "networkmanager",
    ),
    "Armbian minimal": (
        {
            **NETPLAN,
            "files": {
                "/etc/netplan/10-dhcp-all-interfaces.yaml": "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n"
                "    all-eth-interfaces:\n      match:\n        name: 'e*'\n      dhcp4: yes\n      dhcp6: yes\n"
            },
            "networkd": {nic: "/run/systemd/network/10-netplan-all-eth-interfaces.network" for nic in ("eth0", "eth1")},
        },
        "netplan",
    ),
    "Raspberry Pi OS 13": (
        {
            "files": {
                "/etc/netplan/90-NM-75a1216a.yaml": "network:\n  version: 2\n  ethernets:\n"
                "    NM-75a1216a:\n      renderer: NetworkManager\n      match: {}\n      dhcp4: true\n"
            },
            "states": WIRED,
            "running": "NetworkManager",
            "programs": ("netplan",),
            "profiles": "eth0:/run/NetworkManager/system-connections/netplan-NM-75a1216a.nmconnection\\n",
        },
        "networkmanager",
    ),
    "Raspberry Pi OS 12": (
        {
            "files": {
                f"{SETTINGS}/preconfigured.nmconnection": "[connection]\nid=preconfigured\ntype=wifi\n[wifi]\nssid=x\n"
            },
            "states": WIRED,
            "running": "NetworkManager dhcpcd@wlan0",
        },
        "networkmanager",
    ),
}
