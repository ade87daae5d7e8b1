# SPDX-License-Identifier: GPL-3.0-or-later
"""One NIC taken out of a file that configures others too."""

import json

import pytest

from sitelink import config, cut, nic

NETPLAN = """\
# by hand
network:
  version: 2
  ethernets:
    eth0:
      addresses: [192.168.1.2/24]
      # the router
      routes: [{to: 0.0.0.0/0, via: 192.168.1.1}]
%s"""
ETH1 = """\
    eth1:
      dhcp4: true
      dhcp4-overrides:

        use-routes: false
"""
VLANS = "  vlans:\n    vlan5: {id: 5, link: eth0}\n"
INTERFACES = "source /etc/network/interfaces.d/*\n# the LAN\nauto lo%s\niface lo inet loopback\n%siface eth0 inet static\n    address 192.168.1.2/24\n"


@pytest.mark.parametrize("rest", ["", "    eth2: {dhcp4: true}\n", VLANS, "# the end\n"])
@pytest.mark.parametrize("eth1", [ETH1, "    eth1: {dhcp4: true}\n", '    "eth1":\n        dhcp4: true\n'])
def test_only_the_lines_of_the_nic_leave_a_file_of_netplan(eth1, rest):
    assert cut.without("/etc/netplan/50-cloud-init.yaml", NETPLAN % (eth1 + rest), "eth1") == NETPLAN % rest


@pytest.mark.parametrize(
    "text",
    [
        NETPLAN % "    eth2: {dhcp4: true}\n",
        NETPLAN % (ETH1 + "  vlans:\n    vlan5: {id: 5, link: eth1}\n"),
        NETPLAN % (ETH1 + "  bridges:\n    br0:\n      interfaces: [eth1]\n"),
        "network:\n  ethernets:\n" + ETH1 + VLANS,
        '{"network": {"ethernets": {\n  "eth0": {\n    "dhcp4": true\n  },\n  "eth1": {\n    "dhcp4": true\n  }\n}}}\n',
    ],
)
def test_what_cannot_be_taken_out_of_netplan_is_told(text):
    with pytest.raises(cut.CutError):
        cut.without("/etc/netplan/a.yaml", text, "eth1")


ETH2 = "    eth2:\n      dhcp4: true\n"


@pytest.mark.parametrize(
    "text",
    [
        NETPLAN % ("    eth1: &a\n      dhcp4: true\n    eth2: *a\n"),
        NETPLAN % ("    eth1: &a {dhcp4: true}\n    eth2: {<<: *a, optional: true}\n"),
        NETPLAN % ("    eth1:\n      <<: &a {dhcp4: true}\n    eth2:\n      <<: *a\n"),
        NETPLAN % ("    eth1:\n      dhcp4-overrides: &over\n        use-dns: false\n    eth2:\n      dhcp4-overrides: *over\n"),
        NETPLAN % ("    eth1:\n      nameservers: {addresses: &dns [1.1.1.1]}\n    eth2:\n      nameservers: {addresses: *dns}\n"),
        NETPLAN.replace("ethernets:", "ethernets: &all") % (ETH1 + "  modems: *all\n"),
    ],
)  # fmt: skip
def test_what_others_refer_to_is_not_taken_out(text):
    with pytest.raises(cut.CutError, match="in another place"):
        cut.without("/etc/netplan/a.yaml", text, "eth1")


@pytest.mark.parametrize(
    "rest",
    [
        ETH2,
        ETH2.replace("eth2:", "eth2: &b") + "    eth3: *b\n",
        '    all:\n      match: {name: "*a"}\n',
        "    all:\n      match:\n        name: en*a\n",
    ],
)
def test_references_of_others_among_themselves_are_no_matter(rest):
    eth1 = "    eth1: &a\n      dhcp4: true\n" if "*b" in rest or "name" in rest else "    eth1: *x\n"
    assert cut.without("/etc/netplan/a.yaml", NETPLAN % (eth1 + rest), "eth1") == NETPLAN % rest


@pytest.mark.parametrize(
    ("names", "stanza"),
    [
        ("", "auto eth1\niface eth1 inet dhcp\n"),
        (" eth1", "iface eth1 inet dhcp\n    # mine\n\n    metric 5\n"),
        ("", "allow-hotplug eth1\niface eth1 inet dhcp\n"),
        ("", "auto eth1\niface eth1 inet dhcp\niface eth1 inet6 manual\n"),
        ("", "auto eth1\niface eth1 inet static\n    address \\\n    10.1.1.2/24\n"),
        (" eth1 eth1:0", "iface eth1 inet dhcp\niface eth1:0 inet static\n    address 10.1.1.2/24\n"),
    ],
)
def test_only_the_stanzas_of_the_nic_leave_a_file_of_ifupdown(names, stanza):
    found = cut.without("/etc/network/interfaces", INTERFACES % (names, stanza), "eth1")
    assert found == INTERFACES % ("", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "auto br0\niface br0 inet dhcp\n    bridge_ports eth1 eth2\n",
            "a port of another NIC .bridge_ports eth1 eth2.",
        ),
        ("auto br0\niface br0 inet dhcp\n    bridge-ports all\n", "a port"),
        ("iface bond0 inet dhcp\n    bond-slaves eth1\n", "a port"),
        ("auto eth1=home\niface home inet dhcp\n", "brings eth1 up as home"),
        ("auto /eth*=home\niface home inet dhcp\n", "brings eth1 up as home"),
        ("mapping eth1\n    script /bin/where\n", "maps eth1"),
        ("mapping eth*\n    script /bin/where\n", "maps eth1"),
        ("auto eth0 \\\n    eth1\niface eth1 inet dhcp\n", "goes on"),
        ("auto eth1 \\\n    eth0\n", "goes on"),
    ],
)
def test_what_cannot_be_taken_out_of_ifupdown_is_told(text, why):
    with pytest.raises(cut.CutError, match=why):
        cut.without("/etc/network/interfaces", INTERFACES % ("", text), "eth1")


def test_names_that_only_look_like_the_nic_stay():
    text = INTERFACES % (
        "",
        "auto eth1.46 eth10\niface eth1.46 inet dhcp\niface eth10 inet dhcp\nmapping eth[2-9]\n    script x\n",
    )
    assert cut.without("/etc/network/interfaces", text, "eth1") == text


def test_a_comment_of_the_next_stanza_stays():
    text = INTERFACES % ("", "auto eth1\niface eth1 inet dhcp\n# the way in\n")
    assert cut.without("/etc/network/interfaces", text, "eth1") == INTERFACES % ("", "# the way in\n")


@pytest.fixture
def site(directories):
    root = directories / "root"
    (root / "etc/netplan").mkdir(parents=True)
    (root / "etc/netplan/50.yaml").write_text(NETPLAN % ETH1)
    data = {"interface": "eth1", "backend": "netplan", "revert_after": 90, "up": [["up"]], "down": [], "gone": [],
            "rescue": [], "files": [{"path": "/etc/netplan/60.yaml", "mode": "0600", "lines": ["ours"]}]}  # fmt: skip
    with open(str(directories / "nic.json"), "w") as file:
        json.dump(data, file)

    def change(target, **options):
        with nic.Nic("eth1", str(root), lambda argv: (0, "")) as handle:
            found = handle.change(nic._setup(data) if target else None, **options)
            if found and not options.get("dry"):
                handle.keep()
        return found

    return root / "etc/netplan/50.yaml", change


def test_the_copy_comes_back_when_the_nic_is_given_back(site):
    path, change = site
    path.chmod(0o600)
    assert "take eth1 out of /etc/netplan/50.yaml" in change(True, shared=["/etc/netplan/50.yaml"])
    assert path.read_text() == NETPLAN % "" and path.stat().st_mode & 0o777 == 0o600
    assert change(True) == []
    assert path.read_text() == NETPLAN % ""
    assert change(False)
    assert path.read_text() == NETPLAN % ETH1 and path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["50.yaml"]


def test_what_was_changed_since_is_not_overwritten(site):
    path, change = site
    change(True, shared=["/etc/netplan/50.yaml"])
    path.write_text(NETPLAN % "" + "# changed\n")
    change(False)
    assert path.read_text() == NETPLAN % "" + "# changed\n"
    assert (path.parent / ".50.yaml.before-sitelink").read_text() == NETPLAN % ETH1


def test_a_file_that_cannot_be_cut_stops_everything(site):
    path, change = site
    path.write_text(NETPLAN % "")
    with pytest.raises(config.ConfigError, match="take it out by hand"):
        change(True, shared=["/etc/netplan/50.yaml"])
    assert path.read_text() == NETPLAN % ""
