# SPDX-License-Identifier: GPL-3.0-or-later
"""What nic_dhcp decides about states of a site's network, before any change: those that systems ship, and those that people make."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml
from nic_sites import Site

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "nic_dhcp"
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
KEYFILE = {"/etc/NetworkManager/system-connections/eth0.nmconnection": "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n"}
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
    "Debian 13 cloud": ({"files": ALL, "running": "systemd-networkd", "programs": ("netplan",), "networkd": BOTH}, "netplan"),
    "Debian 12 cloud-init": ({**NETPLAN, "files": {**CLOUD_INIT, **ALL}}, "netplan"),
    "Debian 11 cloud": ({"files": BULLSEYE, "programs": IFUPDOWN}, "ifupdown-dhclient"),
    "Debian 11 cloud, a second NIC": (
        {"files": {**BULLSEYE, "/run/network/interfaces.d/eth1": BULLSEYE["/run/network/interfaces.d/eth0"].replace("eth0", "eth1")},
         "programs": IFUPDOWN}, "ifupdown-dhclient"),
    "Debian 12": (DHCLIENT, "ifupdown-dhclient"),
    "Debian 13": ({**DHCLIENT, "programs": ("ifup", "ifquery", "dhcpcd")}, "ifupdown-dhcpcd"),
    "Debian desktop": (MANAGER, "networkmanager"),
    "Debian desktop, Wired connection 1": ({**MANAGER, "states": WIRED}, "networkmanager"),
    "Debian networkd": (NETWORKD, "networkd"),
    "Ubuntu 18.04": (NETPLAN, "netplan"),
    "Ubuntu 22.04 with NetworkManager beside": (
        {**NETPLAN, "running": "systemd-networkd NetworkManager", "states": OURS_TO_LEAVE, "config": UBUNTU_CONF}, "netplan"),
    "Ubuntu 24.04 installed": (on(NETPLAN, {"/etc/netplan/00-installer-config.yaml":
        "network:\n  ethernets:\n    eth0:\n      dhcp4: true\n    eth1:\n      dhcp4: true\n  version: 2\n"},
        networkd={**ONE, "eth1": "/run/systemd/network/10-netplan-eth1.network"}), "netplan"),
    "Ubuntu desktop": (
        {"files": {"/etc/netplan/01-network-manager-all.yaml": "network:\n  version: 2\n  renderer: NetworkManager\n"},
         "running": "NetworkManager systemd-networkd", "programs": ("netplan",), "states": WIRED, "networkd": {}}, "networkmanager"),
    "CentOS 7": ({"files": {**IFCFG, f"{SCRIPTS}/ifup-eth": "", **IFCFG_RH}, "states": FREE,
                  "profiles": f"eth0:{SCRIPTS}/ifcfg-eth0\\n"}, "networkmanager-ifcfg"),
    "Rocky 8": (ROCKY, "networkmanager-ifcfg"),
    "Rocky 9": ({"files": KEYFILE, "states": FREE, "profiles": f"eth0:{SETTINGS}/eth0.nmconnection\\n"}, "networkmanager"),
    "Fedora": ({"files": {}, "states": WIRED, "profiles": "eth0:/run/NetworkManager/system-connections/Wired connection 1.nmconnection\\n",
                "config": "[main]\nplugins=keyfile"}, "networkmanager"),
    "Armbian": (on(MANAGER, {"/etc/network/interfaces": f"source /etc/network/interfaces.d/*\n{LO}", "/etc/netplan/10-dhcp-all-interfaces.yaml":
        "network:\n  version: 2\n  renderer: NetworkManager\n"}, programs=("netplan",),
        config="[keyfile]\nunmanaged-devices=interface-name:p2p*;interface-name:wlx*,interface-name:zt*"), "networkmanager"),
    "Raspberry Pi OS 13": ({"files": {"/etc/netplan/90-NM-75a1216a.yaml":
        'network:\n  version: 2\n  ethernets:\n    NM-75a1216a:\n      renderer: NetworkManager\n      match: {}\n      dhcp4: true\n'},
        "states": WIRED, "running": "NetworkManager", "programs": ("netplan",),
        "profiles": "eth0:/run/NetworkManager/system-connections/netplan-NM-75a1216a.nmconnection\\n"}, "networkmanager"),
    "Raspberry Pi OS 12": ({"files": {f"{SETTINGS}/preconfigured.nmconnection": "[connection]\nid=preconfigured\ntype=wifi\n[wifi]\nssid=x\n"},
                            "states": WIRED, "running": "NetworkManager dhcpcd@wlan0"}, "networkmanager"),
}  # fmt: skip

# A site, the role's variables, and what the role says; an empty text where it goes on.
BY_MANAGER = {"nic_dhcp_backend": "networkmanager"}
MADE = {
    "ifupdown, with NetworkManager that has eth1": (
        {**DHCLIENT, "states": {**FREE, "eth0": "unmanaged"}}, {"nic_dhcp_backend": "ifupdown-dhclient"},
        "eth1: NetworkManager runs beside ifupdown-dhclient and has it too (it is disconnected there)"),
    "ifupdown, with NetworkManager's Wired connection 1": (
        {**DHCLIENT, "states": {**WIRED, "eth0": "unmanaged"}}, {"nic_dhcp_backend": "ifupdown-dhclient"},
        '"match-device=interface-name:eth1" and "managed=0" to /etc/NetworkManager/conf.d/90-ont.conf'),
    "networkd, with NetworkManager that waits for a cable": (
        {**NETWORKD, "states": {"eth0": "unmanaged", "eth1": "unavailable"}}, {}, "has it too (it is unavailable there)"),
    "netplan, with NetworkManager that leaves it alone": ({**NETPLAN, "states": OURS_TO_LEAVE}, {}, ""),
    "networkd, with NetworkManager that only looks": (
        {**NETWORKD, "states": {"eth0": "connected (externally)", "eth1": "connected (externally)"}}, {}, ""),
    "from NetworkManager to netplan": (
        on(NETPLAN, {"/etc/NetworkManager/conf.d/60-sitelink-eth1.conf": ""}, states={"eth0": "unmanaged", "eth1": "connected"}), {}, ""),
    # NetworkManager is kept from it
    "unmanaged by name": ({**MANAGER, "states": LEFT, "config": "[keyfile]\nunmanaged-devices=interface-name:eth1"}, {},
                          "eth1: unmanaged-devices= in /etc/NetworkManager/NetworkManager.conf keeps NetworkManager from it"),
    "unmanaged in a file": (
        on(MANAGER, {"/etc/NetworkManager/conf.d/10-ont.conf": "[keyfile]\nunmanaged-devices = interface-name:=eth1 ; mac:00:11:22:33:44:55\n"},
           states=LEFT, config="[keyfile]\nunmanaged-devices=interface-name:=eth1;mac:00:11:22:33:44:55"), {},
        "unmanaged-devices= in /etc/NetworkManager/conf.d/10-ont.conf keeps"),
    "unmanaged by Ubuntu's package": (
        on(MANAGER, {"/usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf": UBUNTU_CONF}, states=LEFT, config=UBUNTU_CONF), {},
        "Add ;except:interface-name:eth1 to that line"),
    "unmanaged by netplan": (
        on(MANAGER, {"/run/NetworkManager/conf.d/netplan.conf": "[keyfile]\nunmanaged-devices+=interface-name:eth1,\n"}, states=LEFT,
           config="[keyfile]\nunmanaged-devices=interface-name:eth1"), {}, "unmanaged-devices= in /run/NetworkManager/conf.d/netplan.conf"),
    "unmanaged by MAC": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=mac:52:54:00:00:00:0B"}, {}, "keeps NetworkManager from it"),
    "unmanaged by an old MAC": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=52:54:00:00:00:0b"}, {}, "keeps NetworkManager"),
    "unmanaged by pattern": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:eth*"}, {}, "keeps NetworkManager"),
    "unmanaged by ~pattern": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:~eth?"}, {}, "keeps NetworkManager"),
    "unmanaged by type": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=type:ethernet"}, {}, "keeps NetworkManager"),
    "unmanaged but for it": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=*,except:interface-name:eth1"}, {}, ""),
    "unmanaged but for what nobody knows": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=*,except:driver:virtio_net"}, {}, ""),
    "unmanaged others": ({**MANAGER, "config": "[keyfile]\nunmanaged-devices=interface-name:eth10;interface-name:veth*;driver:veth"}, {}, ""),
    "unmanaged in another section": ({**MANAGER, "config": "[main]\nunmanaged-devices=interface-name:eth1\n[keyfile]\n"}, {}, ""),
    "unmanaged by udev, which our file overrules": ({**MANAGER, "states": LEFT}, {}, ""),
    # profiles
    "a profile by name": (on(MANAGER, {f"{SETTINGS}/My ONT.nmconnection": "[connection]\ntype=ethernet\ninterface-name = eth1\n"}), {},
                          f"eth1 is configured already, in {SETTINGS}/My ONT.nmconnection"),
    "a profile without a suffix": (on(MANAGER, {f"{SETTINGS}/Wired connection 2": "[connection]\ninterface-name=eth1\n"}), {}, "Wired connection 2"),
    "a profile by MAC": (on(MANAGER, {f"{SETTINGS}/ont.nmconnection": "[connection]\ntype=ethernet\n[ethernet]\nmac-address=52:54:00:00:00:0B\n"}),
                         {}, f"eth1 is configured already, in {SETTINGS}/ont.nmconnection"),
    "a profile by an old section's MAC": (
        on(MANAGER, {f"{SETTINGS}/ont": "[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address=52:54:00:00:00:0b\n"}), {}, f"{SETTINGS}/ont"),
    "a profile by a match": (on(MANAGER, {f"{SETTINGS}/ont.nmconnection": "[match]\ninterface-name=eth1;\n"}), {}, f"{SETTINGS}/ont.nmconnection"),
    "a profile of a bridge's port": (
        on(MANAGER, {f"{SETTINGS}/p.nmconnection": "[connection]\ninterface-name=eth1\nmaster=br0\nslave-type=bridge\n"}), {}, f"{SETTINGS}/p.nmconnection"),
    "two profiles": (on(MANAGER, {f"{SETTINGS}/{n}.nmconnection": "[connection]\ninterface-name=eth1\n" for n in "ab"}), {},
                     f"{SETTINGS}/a.nmconnection, {SETTINGS}/b.nmconnection"),
    "a profile that is taken over": (
        on(MANAGER, {f"{SETTINGS}/a.nmconnection": "[connection]\ninterface-name=eth1\n"}), {"nic_dhcp_take_over": True}, ""),
    "profiles of others": (on(MANAGER, {
        f"{SETTINGS}/any.nmconnection": "[connection]\ntype=ethernet\nautoconnect-priority=-999\n[ethernet]\n",
        f"{SETTINGS}/pattern.nmconnection": "[connection]\ntype=ethernet\n[match]\ninterface-name=eth*;\n",
        f"{SETTINGS}/vlan.nmconnection": "[connection]\ntype=vlan\ninterface-name=eth1.46\n[vlan]\nparent=eth1\n",
        f"{SETTINGS}/wlan.nmconnection": "[connection]\ntype=wifi\n[wifi]\nmac-address=52:54:00:00:00:0b\n",
        f"{SETTINGS}/eth0mac.nmconnection": "[connection]\ninterface-name=eth0\n[ethernet]\nmac-address=52:54:00:00:00:0b\n",
        f"{SETTINGS}/old.nmconnection~": "[connection]\ninterface-name=eth1\n",
        f"{SETTINGS}/off.nmconnection": "[connection]\n#interface-name=eth1\n"}), {}, ""),
    # files that another backend reads
    "a stanza of ifupdown": (on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}), {}, "set nic_dhcp_take_over: true"),
    "a stanza of ifupdown, taken over": (on(DHCLIENT, {"/etc/network/interfaces.d/ont": ETH1}), {"nic_dhcp_take_over": True}, ""),
    "a stanza of ifupdown beside netplan": (on(NETPLAN, {"/etc/network/interfaces": ETH1}), {}, "/etc/network/interfaces. Take what concerns it out"),
    "a stanza of ifupdown among others": (on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + ETH1}), {"nic_dhcp_take_over": True},
                                          "eth1 is configured already, in /etc/network/interfaces. Take what concerns it out"),
    "a stanza of ifupdown among others, cut out": (
        on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + ETH1}), {"nic_dhcp_take_over": True, "nic_dhcp_take_over_shared": True}, ""),
    "a stanza that Debian's cloud image made, and one by hand": (
        on(DHCLIENT, {"/etc/network/interfaces": DEBIAN + "source /run/network/interfaces.d/*\n", "/run/network/interfaces.d/eth1": ETH1,
                      "/etc/network/interfaces.d/ont": ETH1}), {}, "is configured already, in /etc/network/interfaces.d/ont. Remove it"),
    "ifupdown that would not read ours": (
        on(DHCLIENT, {"/etc/network/interfaces": f"source interfaces.d/*.cfg\n{LO}"}), {"nic_dhcp_backend": "ifupdown-dhclient"},
        "/etc/network/interfaces must have the line: source /etc/network/interfaces.d/*"),
    "netplan's file in /run, beside NetworkManager": (
        on(MANAGER, {"/run/netplan/ont.yaml": "network: {ethernets: {eth1: {dhcp4: true}}}\n"}), {"nic_dhcp_take_over": True},
        "eth1 is configured already, in /run/netplan/ont.yaml"),
    "netplan's file in /run": (on(NETPLAN, {"/run/netplan/ont.yaml": "network: {ethernets: {eth1: {dhcp4: true}}}\n"}), {}, ""),
    "an ifcfg file": (on(ROCKY, {f"{SCRIPTS}/ifcfg-ont": "DEVICE=eth1\n"}), {}, f"eth1 is configured already, in {SCRIPTS}/ifcfg-ont"),
    "an ifcfg file's routes, taken over": (on(ROCKY, {f"{SCRIPTS}/route-eth1": "x\n"}), {"nic_dhcp_take_over": True}, ""),
    # systemd-networkd
    "networkd beside NetworkManager": (
        {**MANAGER, "running": "systemd-networkd", "networkd": {"eth1": "/etc/systemd/network/80-all.network"}}, BY_MANAGER,
        "eth1: systemd-networkd runs beside networkmanager and configures it by /etc/systemd/network/80-all.network"),
    "networkd beside ifupdown": (
        {**DHCLIENT, "running": "systemd-networkd", "networkd": {"eth1": "/run/systemd/network/10-netplan-all-eth.network"}},
        {"nic_dhcp_backend": "ifupdown-dhclient"}, "configures it by /run/systemd/network/10-netplan-all-eth.network. Let it leave it alone"),
    "networkd that leaves it alone": (
        on(MANAGER, {"/run/systemd/netif/links/3": "ADMIN_STATE=unmanaged\nNETWORK_FILE=/etc/systemd/network/00-ont.network\n"},
           running="systemd-networkd"), BY_MANAGER, ""),
    "networkd that is off": ({**MANAGER, "networkd": {"eth1": "/etc/systemd/network/80-all.network"}}, BY_MANAGER, ""),
    "from networkd to NetworkManager": (
        {**MANAGER, "running": "systemd-networkd", "networkd": {"eth1": "/etc/systemd/network/05-sitelink-eth1.network"}}, BY_MANAGER, ""),
    "a file of networkd that comes first": (
        {**NETWORKD, "networkd": {**NETWORKD["networkd"], "eth1": "/etc/systemd/network/01-all.network"}}, {},
        "eth1: systemd-networkd configures it by /etc/systemd/network/01-all.network, whose name comes before"),
    "a file of networkd that comes before netplan's": (
        {**NETPLAN, "networkd": {**ONE, "eth1": "/etc/systemd/network/10-dhcp.network"}}, {},
        "(10-netplan-00-sitelink-...). Let the [Match] of that file leave eth1 out"),
    "a file of networkd that comes behind": ({**NETWORKD, "networkd": {**NETWORKD["networkd"], "eth1": "/etc/systemd/network/10-all.network"}}, {}, ""),
    # others
    "dhcpcd for all": ({**DHCLIENT, "running": "dhcpcd"}, {}, 'Write the line "denyinterfaces eth1" at the head of /etc/dhcpcd.conf'),
    "dhcpcd5 for all": (on(DHCLIENT, {"/etc/dhcpcd.conf": "hostname\n#denyinterfaces eth1\ninterface eth0\n"}, running="dhcpcd5"), {}, "denyinterfaces eth1"),
    "dhcpcd for others": (on(DHCLIENT, {"/etc/dhcpcd.conf": "denyinterfaces wlan0 eth1\n"}, running="dhcpcd"), {}, ""),
    "dhcpcd but for a pattern": (on(DHCLIENT, {"/etc/dhcpcd.conf": "denyinterfaces veth*,eth[1-9]\n"}, running="dhcpcd"), {}, ""),
    "dhcpcd for one": (on(DHCLIENT, {"/etc/dhcpcd.conf": "allowinterfaces eth0\n"}, running="dhcpcd"), {}, ""),
    "dhcpcd for both": (on(DHCLIENT, {"/etc/dhcpcd.conf": "allowinterfaces eth*\n"}, running="dhcpcd"), {}, "dhcpcd.service takes all"),
    "ConnMan": ({**NETWORKD, "running": "systemd-networkd connman"}, {}, "Add it to NetworkInterfaceBlacklist= below [General] in /etc/connman/main.conf"),
    "ConnMan for others": (on(NETWORKD, {"/etc/connman/main.conf": "[General]\nNetworkInterfaceBlacklist = vmnet, eth1\n"},
                              running="systemd-networkd connman"), {}, ""),
    "wicked": (on(NETWORKD, {"/etc/sysconfig/network/ifcfg-eth1": "BOOTPROTO=dhcp\n"}, running="systemd-networkd wickedd"), {},
               "wicked runs beside networkd and configures it by /etc/sysconfig/network/ifcfg-eth1"),
    "wicked for others": ({**NETWORKD, "running": "systemd-networkd wickedd"}, {}, ""),
}  # fmt: skip


ABOUT_MANAGERS = (
    "Refuse a site without a known backend",
    "Refuse a NIC that another network manager has",
    "Refuse a NIC that is configured elsewhere",
)
# The role's variables that a case may set.
DEFAULTS = {"nic_dhcp_backend": "auto", "nic_dhcp_take_over": False, "nic_dhcp_take_over_shared": False}


def of_all_cases(tasks):
    """The refusals that are about network managers, each as a task that says for every case what it would say."""
    for number, name in enumerate(ABOUT_MANAGERS):
        task = next(task for task in tasks if task["name"] == name)
        said = {**task.get("vars", {}), "__said": task["ansible.builtin.fail"]["msg"], "__site_agent_seen": "{{ item.seen }}"}
        yield {
            "ansible.builtin.debug": {"msg": "{{ __said }}"},
            "when": task["when"],
            "loop": "{{ cases }}",
            "loop_control": {"label": ""},
            "register": f"said_{number}",
            "vars": {**said, **{name: "{{ item." + name + " }}" for name in DEFAULTS}},
        }


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """{name: (the backend, what the role says)}, by the role's own words, in one run for all."""
    directory = tmp_path_factory.mktemp("sites")
    cases, backends = [], []
    for number, (name, (site, *more)) in enumerate([*SHIPPED.items(), *MADE.items()]):
        lines = Site(directory / str(number), **site).look()
        backends.append("".join(line[1] for line in lines if line[0] == "auto"))
        seen = {"nic_dhcp eth1": "".join("\t".join(line) + "\n" for line in lines)}
        cases.append({**DEFAULTS, **(more[0] if len(more) == 2 else {}), "name": name, "seen": seen})
    tasks = list(of_all_cases(yaml.safe_load((ROLE / "tasks" / "preflight.yml").read_text())))
    results = "{{ [" + ", ".join(task["register"] for task in tasks) + "] | map(attribute='results') | list | to_json }}"
    answer = {"ansible.builtin.copy": {"content": results, "dest": str(directory / "answer")}}
    play = {"hosts": "all", "gather_facts": False, "tasks": [*tasks, answer]}
    play["vars_files"] = [str(ROLE / part / "main.yml") for part in ("defaults", "vars")]
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    (directory / "extra.json").write_text(json.dumps({
        "cases": cases, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}))  # fmt: skip
    argv = ["ansible-playbook", "-i", "shenzhen,", "-e", f"@{directory}/extra.json", directory / "play.yml"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    refusals = zip(*json.loads((directory / "answer").read_text()), strict=True)
    said = ("\n".join(str(each["msg"]) for each in of_case if "msg" in each) for of_case in refusals)
    return dict(zip((case["name"] for case in cases), zip(backends, said, strict=True), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_site_as_its_distribution_ships_it_is_served_without_a_word(decided, name):
    assert decided[name] == (SHIPPED[name][1], "")


@pytest.mark.parametrize("name", MADE)
def test_what_configures_the_nic_is_named_before_any_change(decided, name):
    words, said = MADE[name][2], " ".join(decided[name][1].split())
    assert (words in said and said.startswith("shenzhen: ")) if words else said == ""
