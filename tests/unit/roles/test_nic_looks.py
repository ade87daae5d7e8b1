# SPDX-License-Identifier: GPL-3.0-or-later
"""What nic_dhcp sees of a site's network before it changes anything: states as sites have them."""

import pytest
from nic_sites import Site

MAIN = "/etc/network/interfaces"
D = "/etc/network/interfaces.d"
SETTINGS = "/etc/NetworkManager/system-connections"
MADE = "/run/network/interfaces.d"
LO = "auto lo\niface lo inet loopback\n"
DEBIAN = f"source {D}/*\n\n{LO}\nallow-hotplug eth0\niface eth0 inet dhcp\n"
ETH1 = "auto eth1\niface eth1 inet dhcp\n"
IFUPDOWN = ("ifup", "ifquery", "dhclient")


@pytest.fixture
def elsewhere(tmp_path):
    """A function: the files that a site with these files says something of eth1 in, with how."""

    def look(files, **site):
        found = Site(tmp_path, files, **site).look()
        return {line[1]: line[2] for line in found if line[0] == "elsewhere"}, [
            line[1] for line in found if line[0] == "present"
        ]

    return look


@pytest.mark.parametrize(
    ("main", "d", "seen"),
    [
        # what Debian installs, and what people add
        (DEBIAN, {}, {}),
        (DEBIAN + ETH1, {}, {MAIN: "shared"}),
        (DEBIAN, {"eth1": ETH1}, {f"{D}/eth1": "alone"}),
        (DEBIAN, {"lan": "allow-hotplug eth1\niface eth1 inet static\n  address 10.1.1.2/24\n"}, {f"{D}/lan": "alone"}),
        (DEBIAN, {"lan": "iface eth1 inet6 auto\n"}, {f"{D}/lan": "alone"}),
        (DEBIAN, {"lan": "auto eth2 eth1\niface eth2 inet dhcp\niface eth1 inet dhcp\n"}, {f"{D}/lan": "shared"}),
        (DEBIAN + "\tauto\teth2\t eth1\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto eth2 \\\n  eth1\n", {}, {MAIN: "shared"}),
        (DEBIAN + "iface \\\n  eth1 inet dhcp\n", {}, {MAIN: "shared"}),
        # other names in a file of its own: they would go with it
        (DEBIAN, {"lan": "auto eth0 eth1\niface eth1 inet dhcp\n"}, {f"{D}/lan": "shared"}),
        (DEBIAN, {"lan": ETH1 + f"source {D}/more/*\n"}, {f"{D}/lan": "shared"}),
        # names that only look like it
        (DEBIAN, {"lan": "auto eth1.46\niface eth1.46 inet dhcp\n"}, {}),
        (DEBIAN, {"lan": "auto vlan46\niface vlan46 inet dhcp\n  vlan-raw-device eth1\n"}, {}),
        (DEBIAN, {"lan": "auto eth10\niface eth10 inet dhcp\n  up echo eth1\n"}, {}),
        (DEBIAN, {"lan": "".join(f"#{line}\n" for line in ETH1.splitlines())}, {}),
        (DEBIAN + "# auto eth1 \\\n", {}, {}),
        # a second address of eth1
        (DEBIAN, {"lan": "auto eth1:0\niface eth1:0 inet static\n  address 10.1.1.2/24\n"}, {f"{D}/lan": "alone"}),
        # an address that depends on where the site is
        (DEBIAN + "auto eth1=home\niface home inet dhcp\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto /eth*=home\niface home inet dhcp\n", {}, {MAIN: "shared"}),
        (DEBIAN + "mapping eth*\n  script /usr/local/bin/where\n", {}, {MAIN: "shared"}),
        (DEBIAN + "mapping eth1\n  script /usr/local/bin/where\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto /eth*\nno-auto-down eth1\nno-scripts eth1\nrename eth1=ont\n", {}, {}),
        (DEBIAN + "iface base inet dhcp\niface eth1 inherits base\n", {}, {MAIN: "shared"}),
        # a port of a bridge that is not up yet
        (DEBIAN + "auto br0\niface br0 inet dhcp\n  bridge_ports eth1 eth2\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto br0\niface br0 inet dhcp\n\tbridge-ports eth1\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto br0\niface br0 inet dhcp\n  bridge_ports all\n", {}, {MAIN: "shared"}),
        (DEBIAN + "auto br0\niface br0 inet dhcp\n  bridge_ports eth10 eth1.46\n", {}, {}),
        (DEBIAN, {"bond": "iface bond0 inet dhcp\n  bond-slaves eth1 eth2\n"}, {f"{D}/bond": "shared"}),
        # what is read, in all forms
        ("source-directory interfaces.d\n", {"eth1": ETH1}, {f"{D}/eth1": "alone"}),
        ("source-directory /etc/network/interfaces.d/\n", {"eth1": ETH1}, {f"{D}/eth1": "alone"}),
        ("source-directory interfaces.d\n", {"eth1.cfg": ETH1, "eth1.bak": ETH1}, {}),
        ("source interfaces.d/*.cfg\n", {"eth1.cfg": ETH1, "eth1.bak": ETH1}, {f"{D}/eth1.cfg": "alone"}),
        ("source\tinterfaces.d/a interfaces.d/b*\n", {"a": ETH1, "bc": ETH1}, {f"{D}/a": "alone", f"{D}/bc": "alone"}),
        (f" source {D}/*\nsource {D}/*\n", {"eth1": ETH1}, {f"{D}/eth1": "alone"}),
        (LO, {"eth1": ETH1}, {}),
        (f"#source {D}/*\n", {"eth1": ETH1}, {}),
        ("source interfaces.d/*\n", {"a": "source more/*\n", "more/b": ETH1}, {f"{D}/more/b": "alone"}),
        ("source interfaces.d/*\n", {"a": "source a\n" + ETH1}, {f"{D}/a": "shared"}),
        ("source /srv/net/*.conf\n", {"/srv/net/ont.conf": ETH1}, {"/srv/net/ont.conf": "alone"}),
        # what Debian's cloud images make at each start
        (f"source-directory {MADE}\n", {f"{MADE}/eth1": ETH1}, {f"{MADE}/eth1": "alone"}),
        # ours
        (DEBIAN, {"sitelink-eth1": ETH1}, {}),
    ],
)  # fmt: skip
def test_what_ifupdown_configures_the_nic_by(elsewhere, main, d, seen):
    files = {path if path[0] == "/" else f"{D}/{path}": text for path, text in d.items()}
    assert elsewhere({MAIN: main, **files}, programs=IFUPDOWN)[0] == seen


@pytest.mark.parametrize(
    ("main", "there"),
    [
        (DEBIAN, True),
        ("source-directory interfaces.d\n", True),
        (f"source-directory {D}/\n", True),
        ("source-dir\tinterfaces.d\n", True),
        ("source /srv/*\tinterfaces.d/*\n", True),
        (f"source {D}/sitelink-*\n", True),
        ("source more\n", True),
        ("source interfaces.d/*.cfg\n", False),
        (f"source {D}/eth0\n", False),
        (f"source {D}/*.cfg\nsource-directory /run/network/interfaces.d\n", False),
        (LO, False),
        (f"#source {D}/*\n", False),
    ],
)
def test_ifupdown_is_a_backend_where_it_reads_the_file_that_is_made(elsewhere, main, there):
    found = elsewhere({MAIN: main, "/etc/network/more": f"source {D}/*\n"}, programs=IFUPDOWN)[1]
    assert ("ifupdown-dhclient" in found) is there


NET = "network:\n  version: 2\n  renderer: NetworkManager\n"
DHCP = "      dhcp4: true\n"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (NET + "  ethernets:\n    eth1:\n" + DHCP, "alone"),
        (NET + "  ethernets:\n    'eth1' :\n" + DHCP, "alone"),
        (NET + "  # mine\n  ethernets:\n    eth1: # the ONT\n" + DHCP, "alone"),
        (NET + "  ethernets:\n    eth0:\n" + DHCP + "    eth1:\n" + DHCP, "shared"),
        (NET + "  ethernets:\n    eth1:\n" + DHCP + "  vlans:\n    vlan5:\n      id: 5\n", "shared"),
        (NET + "  ethernets: {eth1: {dhcp4: true}}\n", "shared"),
        (NET + '  ethernets: {"eth0": {}, "eth1" : {dhcp4: true}}\n', "shared"),
        ('{"network": {"version": 2, "ethernets": {"eth1": {"dhcp4": true}}}}\n', "shared"),
        (NET + "  bridges:\n    br0:\n      interfaces: [eth1, eth2]\n", "shared"),
        (NET + '  bonds:\n    bond0:\n      interfaces: [ eth2, "eth1" ]\n', "shared"),
        (NET + "  bonds:\n    bond0:\n      interfaces:\n        - eth2\n        - eth1\n", "shared"),
        (NET + "  bonds:\n    bond0:\n      interfaces:\n      - 'eth1' # the ONT\n", "shared"),
        (NET + "  bridges:\n    br0: {interfaces: [eth2,\n      eth1]}\n", "shared"),
        (
            NET + "  ethernets:\n    ont:\n      match: {macaddress: 52:54:00:00:00:0b}\n      set-name: eth1\n",
            "alone",
        ),
        (NET + "  ethernets:\n    ont:\n      match:\n        name: eth1\n", "alone"),
        # as NetworkManager keeps its profiles on Ubuntu 24.04
        (NET + '  ethernets:\n    NM-75a1:\n      match:\n        name: "eth1"\n      dhcp4: true\n', "alone"),
        (
            NET + "  ethernets:\n    a:\n      match:\n        name: eth1\n    b:\n      match:\n        name: eth2\n",
            "shared",
        ),
        (
            NET + "  ethernets:\n    a:\n      match: {name: eth0}\n      set-name: eth1\n    b: {dhcp4: true}\n",
            "shared",
        ),
        (NET + "  ethernets:\n    ont: {match: {name: eth1}, dhcp4: true}\n", "shared"),
        # other names, patterns, and what is built upon it
        (NET, None),
        (NET + "  ethernets:\n    eth10:\n" + DHCP + "    #eth1:\n", None),
        (NET + "  ethernets: {eth0: {dhcp4: true}} # eth1: {dhcp4: true}\n", None),
        (NET + "  ethernets:\n    all:\n      match: {name: 'eth*'}\n", None),
        (NET + "  ethernets:\n    all:\n      match: {driver: virtio_net}\n", None),
        (NET + "  vlans:\n    eth1.46: {id: 46, link: eth1}\n    vlan47:\n      link: eth1\n", None),
        (NET + "  bridges:\n    br0:\n      interfaces: [eth10, eth1.46, veth1]\n", None),
        ("\t: {{{ not YAML\n", None),
    ],
)
@pytest.mark.parametrize("directory", ["/etc/netplan", "/run/netplan", "/lib/netplan"])
def test_what_netplan_configures_the_nic_by(elsewhere, directory, text, how):
    path = f"{directory}/50-site.yaml"
    assert elsewhere({path: text})[0] == ({path: how} if how else {})


def test_of_files_of_netplan_with_one_name_the_first_counts(elsewhere):
    text = NET + "  ethernets:\n    eth1:\n" + DHCP
    assert elsewhere({"/etc/netplan/50.yaml": NET, "/run/netplan/50.yaml": text, "/lib/netplan/60.yaml": text})[0] == {
        "/lib/netplan/60.yaml": "alone"
    }


SCRIPTS = "/etc/sysconfig/network-scripts"
READER = {
    "/usr/lib64/NetworkManager/1.40.16/libnm-settings-plugin-ifcfg-rh.so": "",
    f"{SCRIPTS}/ifcfg-eth0": "DEVICE=eth0\n",
}


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        ({}, ()),
        ({"ifcfg-eth1": "BOOTPROTO=static\nONBOOT=no\n"}, ["ifcfg-eth1"]),
        ({"ifcfg-eth1": "NM_CONTROLLED=no\n"}, ["ifcfg-eth1"]),
        ({"ifcfg-lan": 'TYPE=Ethernet\nDEVICE="eth1"\n'}, ["ifcfg-lan"]),
        ({"ifcfg-lan": "DEVICE='eth1'  # the ONT\n"}, ["ifcfg-lan"]),
        ({"ifcfg-lan": " DEVICE=eth1\r\n"}, ["ifcfg-lan"]),
        ({"ifcfg-a": "DEVICE=eth1\n", "ifcfg-b": "DEVICE=eth1\nBRIDGE=br0\n"}, ["ifcfg-a", "ifcfg-b"]),
        ({"ifcfg-port": "DEVICE=eth1\nMASTER=bond0\nSLAVE=yes\n"}, ["ifcfg-port"]),
        ({"ifcfg-ont": 'TYPE=Ethernet\nHWADDR="52:54:00:00:00:0B"\n'}, ["ifcfg-ont"]),
        ({"ifcfg-eth1:0": "DEVICE=eth1:0\nIPADDR=10.1.1.2\n"}, ["ifcfg-eth1:0"]),
        ({"ifcfg-second": "DEVICE=eth1:1\nIPADDR=10.1.1.2\n"}, ["ifcfg-second"]),
        ({"ifcfg-eth1-range0": "IPADDR_START=10.1.1.2\n"}, ["ifcfg-eth1-range0"]),
        (
            {"route-eth1": "10.0.0.0/8 via 10.1.1.1\n", "rule-eth1": "from 10.1.1.2 table 5\n"},
            ["route-eth1", "rule-eth1"],
        ),
        # others
        ({"ifcfg-eth1.46": "DEVICE=eth1.46\nVLAN=yes\n"}, ()),
        ({"ifcfg-vlan46": "DEVICE=vlan46\nPHYSDEV=eth1\nVLAN=yes\n"}, ()),
        ({"ifcfg-eth10": "DEVICE=eth10\n", "route-eth10": "x\n"}, ()),
        ({"ifcfg-lan": "#DEVICE=eth1\nDEVICE=eth2\n"}, ()),
        ({"ifcfg-lan": "DEVICE=eth0\nHWADDR=52:54:00:00:00:0b\n"}, ()),
        ({"ifcfg-br1": "TYPE=Bridge\nDEVICE=br1\nNAME=eth1\n"}, ()),
        (
            {"ifcfg-eth1.bak": "DEVICE=eth1\n", "ifcfg-eth1~": "DEVICE=eth1\n", "ifcfg-eth1.rpmsave": "DEVICE=eth1\n"},
            (),
        ),
        ({"route-eth1": ""}, ()),
        ({"ifcfg-eth1": "# Made by the collection sitelink.tr069, role nic_dhcp.\nDEVICE=eth1\n"}, ()),
    ],
)
def test_what_ifcfg_files_configure_the_nic_by(elsewhere, files, seen):
    states = {"eth0": "connected", "eth1": "disconnected"}
    found = elsewhere({**READER, **{f"{SCRIPTS}/{name}": text for name, text in files.items()}}, states=states)
    assert found == ({f"{SCRIPTS}/{name}": "alone" for name in seen}, ["networkmanager", "networkmanager-ifcfg"])


def test_a_route_of_a_system_without_a_reader_of_ifcfg_files_is_of_no_matter(elsewhere):
    assert elsewhere({f"{SCRIPTS}/route-eth1": "10.0.0.0/8 via 10.1.1.1\n"}, states={"eth1": "disconnected"})[0] == {}


def test_the_nic_below_a_vlan_is_looked_at_too(tmp_path):
    ruled = {"eth1": "/etc/systemd/network/01-all.network"}
    site = Site(
        tmp_path,
        {MAIN: DEBIAN + ETH1, f"{SETTINGS}/ont": "[connection]\ninterface-name=eth1\n"},
        "systemd-networkd",
        networkd=ruled,
    )
    found = [line for line in site.look("vlan46", "eth1") if line[0] in ("elsewhere", "also")]
    assert found == [
        ["elsewhere", MAIN, "shared"],
        ["elsewhere", f"{SETTINGS}/ont", "alone"],
        ["also", "networkd", "eth1", ruled["eth1"]],
    ]
