# SPDX-License-Identifier: GPL-3.0-or-later
"""Ubuntu 18.04 ends with netplan 0.99, which refuses a file, and with it all files, for one key that it does not know.

The table below is what 0.99 reads, from the tables of its parser (src/parse.c). Where that netplan itself is there, the table and
every file are held against it: build `generate` of github.com/canonical/netplan at the tag 0.99 (make generate CFLAGS="-fcommon
-Wno-error"), and put it into .cache/netplan-0.99 with its library beside it.
"""

import itertools
import json
import subprocess

import pytest
import yaml

from nic_rendered import ROLE, ROOT, texts

GENERATE = ROOT / ".cache" / "netplan-0.99" / "generate"
REAL = pytest.mark.skipif(not GENERATE.exists(), reason="netplan 0.99: .cache/netplan-0.99/generate is not there")

# Node types as libyaml names them; what else a scalar must be is said where it is more than a word.
TEXT, LIST, BOOL, NUMBER, ADDRESS = "text", "list", "boolean", "number", "MAC address"
OVERRIDES = {
    "hostname": TEXT, "route-metric": NUMBER, "send-hostname": BOOL, "use-dns": BOOL, "use-domains": TEXT, "use-hostname": BOOL,
    "use-mtu": BOOL, "use-ntp": BOOL, "use-routes": BOOL,
}  # fmt: skip
COMMON = {
    "accept-ra": BOOL, "addresses": LIST, "critical": BOOL, "dhcp4": BOOL, "dhcp6": BOOL, "dhcp-identifier": ["duid", "mac"],
    "dhcp4-overrides": OVERRIDES, "dhcp6-overrides": OVERRIDES, "gateway4": TEXT, "gateway6": TEXT,
    "ipv6-address-generation": ["eui64", "stable-privacy"], "ipv6-mtu": NUMBER, "ipv6-privacy": BOOL, "link-local": LIST,
    "macaddress": ADDRESS, "mtu": NUMBER, "nameservers": {"search": LIST, "addresses": LIST}, "optional": BOOL,
    "optional-addresses": LIST, "renderer": ["networkd", "NetworkManager"], "routes": LIST, "routing-policy": LIST,
}  # fmt: skip
PHYSICAL = {
    "match": {"driver": TEXT, "macaddress": ADDRESS, "name": TEXT}, "set-name": TEXT, "wakeonlan": BOOL, "wakeonwlan": LIST,
    "emit-lldp": BOOL,
}  # fmt: skip
ETHERNET = {**COMMON, **PHYSICAL, "link": TEXT, "virtual-function-count": NUMBER}
VLAN = {**COMMON, "id": NUMBER, "link": TEXT}
KINDS = {"ethernets": ETHERNET, "vlans": VLAN}
# The words that its parser takes for yes and no; YAML's own (true, false) are among them.
WORDS = {"true", "on", "yes", "y", "false", "off", "no", "n"}

# Every way to set what goes into the file.
CHOICES = [
    [
        {},
        {"nic_dhcp_interface": "eth0.46"},  # which the operator's own netplan file makes, by that name below vlans
        {"nic_dhcp_interface": "vlan46", "nic_dhcp_vlan_parent": "eth1", "nic_dhcp_vlan_id": 46},
        {"nic_dhcp_interface": "eth1.46", "nic_dhcp_vlan_parent": "eth1", "nic_dhcp_vlan_id": 46, "nic_dhcp_vlan_priority": 7},
    ],
    [{}, {"nic_dhcp_mac": "02:6a:00:00:00:01"}],
    [{}, {"nic_dhcp_client_id": "mac"}],
    [{}, {"nic_dhcp_hostname": "meter"}, {"nic_dhcp_hostname": "no"}],
]  # fmt: skip
CASES = [{key: value for part in choice for key, value in part.items()} for choice in itertools.product(*CHOICES)]


def wrong(node, schema, where):
    """What of a YAML node does not fit, each as a sentence."""
    if isinstance(schema, dict):
        if node.id != "mapping":
            return [f"{where} is no mapping"]
        found = []
        for key, value in node.value:
            inner = f"{where}.{key.value}"
            found += wrong(value, schema[key.value], inner) if key.value in schema else [f"{inner} is no key of 0.99"]
        return found
    if schema == LIST:
        return [] if node.id == "sequence" else [f"{where} is no list"]
    if node.id != "scalar":
        return [f"{where} is no {schema}"]
    good = {
        TEXT: lambda word: True,
        BOOL: lambda word: word.lower() in WORDS,
        NUMBER: str.isdecimal,
        ADDRESS: lambda word: len(word.split(":")) == 6,
    }
    fits = node.value in schema if isinstance(schema, list) else good[schema](node.value)
    return [] if fits else [f"{where} is {node.value!r}, which is no {schema}"]


def problems(text):
    """What netplan 0.99 does not read of a file."""
    root = yaml.compose(text, yaml.SafeLoader)
    network = {"version": ["2"], "renderer": ["networkd", "NetworkManager"], **dict.fromkeys(KINDS, None)}
    found = []
    (top,) = root.value
    assert top[0].value == "network"
    for key, value in top[1].value:
        if key.value in KINDS:
            for name, definition in value.value:
                found += wrong(definition, KINDS[key.value], f"{key.value}.{name.value}")
        else:
            found += (
                wrong(value, network[key.value], key.value)
                if key.value in network
                else [f"{key.value} is no key of 0.99"]
            )
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The netplan file of every combination of options."""
    return texts(tmp_path_factory.mktemp("nic"), "netplan.yaml.j2", [("netplan", case) for case in CASES])


def test_every_file_holds_only_what_netplan_099_reads(files):
    assert len(files) == len(CASES)
    assert {text: problems(text) for text in files if problems(text)} == {}


def test_every_file_takes_an_address_and_nothing_else(files):
    for text, case in zip(files, CASES, strict=True):
        network = yaml.safe_load(text)["network"]
        assert set(network) <= {"version", *KINDS}  # a renderer here would hold for the NICs of all other files
        devices = {**network["ethernets"], **network.get("vlans", {})}
        tagged = "nic_dhcp_vlan_id" in case
        assert len(devices) == (2 if tagged else 1)
        if not tagged:
            # Never the operator's own id: netplan would take it for another definition of his NIC, and refuse another kind of it.
            nic = case.get("nic_dhcp_interface", "eth1")
            assert {name: device["match"] for name, device in devices.items()} == {f"00-sitelink-{nic}": {"name": nic}}
        for name, device in devices.items():
            leases = not tagged or name in network["vlans"]
            for key, wanted in {
                "renderer": "networkd", "optional": True, "dhcp4": leases, "dhcp6": False, "accept-ra": False, "link-local": [],
            }.items():  # fmt: skip
                assert device[key] == wanted, (text, key)
            assert "addresses" not in device and "routes" not in device
            if not leases:
                continue
            overrides = device["dhcp4-overrides"]
            wanted = dict.fromkeys([key for key in OVERRIDES if key.startswith("use-")], False)
            assert {key: value for key, value in overrides.items() if key.startswith("use-")} == wanted, text
            assert overrides["route-metric"] == 4096
            assert overrides["send-hostname"] == ("nic_dhcp_hostname" in case)
            assert overrides.get("hostname") == case.get("nic_dhcp_hostname")


def test_every_option_that_the_file_knows_is_among_these_cases():
    """A new option of the template would otherwise be in no case."""
    template = (ROLE / "templates" / "netplan.yaml.j2").read_text()
    words = {word.strip("{}%()'\"") for word in template.split()}
    used = {word for word in words if word.startswith("nic_dhcp_")}
    assert used <= {key for case in CASES for key in case}, used


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("activation-mode: manual", "activation-mode is no key of 0.99"),  # 0.103
        ("ignore-carrier: true", "ignore-carrier is no key of 0.99"),  # 0.104
        ("dhcp4: maybe", "dhcp4 is 'maybe'"),
        ("link-local: ipv4", "link-local is no list"),
        ("dhcp4-overrides: {use-domains: false, use-domain: false}", "dhcp4-overrides.use-domain is no key"),
    ],
)
def test_what_netplan_099_does_not_read_is_seen(line, words):
    (found,) = problems(f"network:\n  version: 2\n  ethernets:\n    eth1:\n      {line}\n")
    assert words in found


def generate(directory, text):
    """The real one: (exit code, what it said, {name: text} of what networkd gets)."""
    (directory / "etc" / "netplan").mkdir(parents=True)
    (directory / "etc" / "netplan" / "60.yaml").write_text(text)
    done = subprocess.run(
        [GENERATE, "--root-dir", directory],
        env={"LD_LIBRARY_PATH": str(GENERATE.parent)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    made = directory / "run" / "systemd" / "network"
    return done.returncode, done.stdout, {path.name: path.read_text() for path in made.glob("*")}


@REAL
def test_netplan_099_itself_reads_every_file(files, tmp_path):
    for number, (text, case) in enumerate(zip(files, CASES, strict=True)):
        code, said, made = generate(tmp_path / str(number), text)
        assert (code, said) == (0, ""), text
        nic = case.get("nic_dhcp_interface", "eth1")
        device = nic if "nic_dhcp_vlan_id" in case else f"00-sitelink-{nic}"  # the ID of a VLAN is its name
        lines = made[f"10-netplan-{device}.network"].splitlines()
        for wanted in ("Routes", "DNS", "Domains", "NTP", "MTU", "Hostname"):
            assert f"Use{wanted}=false" in lines, (text, lines)
        assert {"DHCP=ipv4", "IPv6AcceptRA=no", "LinkLocalAddressing=no", "RouteMetric=4096"} <= set(lines)
        assert [line for line in lines if line.startswith(("Hostname=", "SendHostname="))] == [
            f"Hostname={case['nic_dhcp_hostname']}" if "nic_dhcp_hostname" in case else "SendHostname=false"
        ]


SAMPLES = {TEXT: "x", LIST: [], BOOL: True, NUMBER: 1, ADDRESS: "02:6a:00:00:00:01"}


def levels(schema, path=()):
    """Each key of the table, as the path to it."""
    for key, inner in schema.items():
        yield (*path, key), inner
        if isinstance(inner, dict):
            yield from levels(inner, (*path, key))


@REAL
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_that_of_netplan_099(kind, tmp_path):
    """Of each key of the table the real one does not say that it does not know it; of another one, at each level, it does."""

    def unknown(path, value):
        inner = value
        for key in reversed(path):
            inner = {key: inner}
        text = json.dumps({"network": {"version": 2, kind: {"eth1": inner}}})
        return "unknown key" in generate(tmp_path / f"{len(list(tmp_path.iterdir()))}", text)[1]

    for path, inner in levels(KINDS[kind]):
        sample = {} if isinstance(inner, dict) else inner[0] if isinstance(inner, list) else SAMPLES[inner]
        assert not unknown(path, sample), path
        if isinstance(inner, dict):
            assert unknown((*path, "of-no-version"), "x"), path
    assert unknown(("activation-mode",), "manual")
