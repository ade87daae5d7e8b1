# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd-networkd 237 (Ubuntu 18.04) knows of the files: a key that it does not know is left out, and the server's offer taken."""

import configparser

import pytest

from nic_rendered import files, plans

# Of src/network/networkd-network-gperf.gperf at v237, the sections that the files have. All of it holds up to 256 at least.
KNOWN = {
    "Match": {"MACAddress", "Path", "Driver", "Type", "Name", "Host", "Virtualization", "KernelCommandLine", "Architecture"},
    "Link": {"MACAddress", "MTUBytes", "ARP", "Unmanaged", "RequiredForOnline"},
    "Network": {
        "Description", "Bridge", "Bond", "VLAN", "DHCP", "DHCPServer", "LinkLocalAddressing", "IPv4LLRoute", "LLDP", "EmitLLDP",
        "Address", "Gateway", "Domains", "DNS", "LLMNR", "MulticastDNS", "DNSSEC", "NTP", "IPForward", "IPMasquerade",
        "IPv6AcceptRA", "BindCarrier", "ConfigureWithoutCarrier",
    },
    "DHCP": {
        "ClientIdentifier", "UseDNS", "UseNTP", "UseMTU", "UseHostname", "UseDomains", "UseRoutes", "Anonymize", "SendHostname",
        "Hostname", "RequestBroadcast", "CriticalConnection", "VendorClassIdentifier", "RouteMetric", "RouteTable", "UseTimezone",
        "IAID", "ListenPort",
    },
    "DHCPv4": {"UseDNS", "UseMTU", "UseHostname"},
}  # fmt: skip
# What it does not know, and needs no refusal there: it has no per-link default route of DNS (240), and asks for no SIP servers (244).
NEWER = {("Network", "DNSDefaultRoute"), ("DHCPv4", "UseSIP")}
TAGGED = {"nic_dhcp_interface": "vlan46", "nic_dhcp_vlan_parent": "eth1", "nic_dhcp_vlan_id": 46}
OPTIONS = {
    "nic_dhcp_mac": "02:6a:00:00:00:01",
    "nic_dhcp_client_id": "mac",
    "nic_dhcp_vendor_class": "ONT HG8245/1.0",
    "nic_dhcp_hostname": "meter",
}
CASES = [("networkd", {}), ("networkd", OPTIONS), ("networkd", {**TAGGED, **OPTIONS}), ("netplan", {**TAGGED, **OPTIONS}),
         ("netplan", OPTIONS)]  # fmt: skip


def read(text):
    """{section: {key: value}} of a file of systemd."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """[(backend, variables, path, sections)] of all files that configure a NIC."""
    return [
        (*case, path, read(text))
        for case, plan in zip(CASES, plans(tmp_path_factory.mktemp("nic"), CASES), strict=True)
        for path, text in files(plan).items()
        if path.startswith("/etc/systemd/network/") and (path.endswith(".network") or ".network.d/" in path)
    ]


@pytest.mark.long
def test_systemd_237_knows_every_line(networks):
    assert len(networks) == 6
    for *_, path, sections in networks:
        given = {(section, key) for section, keys in sections.items() for key in keys}
        assert {(section, key) for section, key in given - NEWER if key not in KNOWN.get(section, ())} == set(), path


@pytest.mark.long
def test_all_that_a_server_offers_is_refused_where_systemd_237_reads_it(networks):
    whole = [
        (variables, sections) for _, variables, path, sections in networks if path.endswith("05-sitelink-eth1.network")
    ]
    whole += [(variables, sections) for _, variables, path, sections in networks if path.endswith("vlan46.network")]
    whole = [(variables, sections) for variables, sections in whole if sections["Network"]["DHCP"] == "ipv4"]
    assert len(whole) == 4
    for variables, sections in whole:
        for name in ("Routes", "DNS", "Domains", "Hostname", "NTP", "MTU", "Timezone"):
            assert sections["DHCP"][f"Use{name}"] == "no", sections
        assert sections["DHCP"]["RouteMetric"] == "4096"
        assert sections["DHCP"]["SendHostname"] == ("yes" if "nic_dhcp_hostname" in variables else "no")
        assert sections["DHCP"].get("VendorClassIdentifier") == variables.get("nic_dhcp_vendor_class")
