# SPDX-License-Identifier: GPL-3.0-or-later
"""What nic_dhcp sees of a site's network before it changes anything: states as sites have them."""

import pytest
from nic_sites import Site

MAIN = "/etc/network/interfaces"
D = "/etc/network/interfaces.d"
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
