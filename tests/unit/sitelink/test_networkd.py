# SPDX-License-Identifier: GPL-3.0-or-later
"""By which file systemd-networkd configures a NIC, and what of others waits to be read."""

import os

import pytest

from sitelink import networkd

OURS = "/run/systemd/network/10-netplan-00-sitelink-eth1.network"
ETH0 = "/run/systemd/network/10-netplan-eth0.network"
TEXT = "[Match]\nName=eth0\n\n[Network]\nAddress=192.168.1.2/24\n"


class Root:
    """A root directory with NICs, networkd's state of them, and a generator of netplan that copies what it is told to."""

    def __init__(self, directory, monkeypatch):
        self.path = str(directory)
        self.generated = {}
        self.result = (0, "")
        self.nics = 0
        monkeypatch.setattr(networkd.shutil, "which", lambda name: "/usr/sbin/" + name)

    def write(self, path, text, age=0):
        os.makedirs(os.path.dirname(self.path + path), exist_ok=True)
        with open(self.path + path, "w") as file:
            file.write(text)
        os.utime(self.path + path, (10**9 - age, 10**9 - age))

    def nic(self, name, network_file="", age=0, state="routable"):
        self.nics += 1
        self.write("/sys/class/net/%s/ifindex" % name, "%d\n" % self.nics)
        self.write(
            "%s/%d" % (networkd.LINKS, self.nics),
            "ADMIN_STATE=configured\nOPER_STATE=%s\nNETWORK_FILE=%s\n" % (state, network_file),
            age,
        )

    def netplan(self, text=TEXT):
        """A netplan site whose file for eth0 is in force."""
        self.write("/etc/netplan/50-cloud-init.yaml", "network: {version: 2}\n")
        self.write(ETH0, text)
        self.nic("eth0", ETH0)
        self.generated = {os.path.basename(ETH0): text}

    def execute(self, argv):
        assert argv[:3] == ["netplan", "generate", "--root-dir"]
        assert os.path.exists(argv[3] + "/etc/netplan/50-cloud-init.yaml")
        os.makedirs(argv[3] + networkd.GENERATED)
        for name, text in self.generated.items():
            with open(os.path.join(argv[3] + networkd.GENERATED, name), "w") as file:
                file.write(text)
        return self.result

    def pending(self):
        return networkd.pending(["eth1"], self.execute, self.path)


@pytest.fixture
def root(tmp_path, monkeypatch):
    return Root(tmp_path, monkeypatch)


def test_the_file_in_force_is_what_networkd_says(root):
    root.nic("eth1", OURS)
    assert networkd.file_of("eth1", root.path) == OURS
    assert networkd.file_of("eth2", root.path) == ""
    assert networkd.wrong_file("eth1", OURS, root.path) is None


def test_another_file_in_force_is_named_with_what_to_change(root):
    other = "/run/systemd/network/10-netplan-all-eth.network"
    root.nic("eth1", other)
    sentence = networkd.wrong_file("eth1", OURS, root.path, wait=3, sleep=lambda seconds: None)
    assert other in sentence and "10-netplan-00-sitelink-eth1.network" in sentence and "[Match]" in sentence


def test_networkd_has_time_to_take_the_file(root):
    root.nic("eth1", "/run/systemd/network/10-netplan-eth1.network")
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            root.nics = 0
            root.nic("eth1", OURS)

    assert networkd.wrong_file("eth1", OURS, root.path, sleep=sleep) is None
    assert len(waited) == 3


def test_a_nic_that_networkd_does_not_manage_is_told_as_that(root):
    root.nic("eth1", "")
    assert "does not configure eth1" in networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None)


def test_nothing_is_pending_where_all_is_in_force(root):
    root.netplan()
    root.generated[os.path.basename(OURS)] = "ours is not judged"
    root.generated["10-netplan-eth1.network"] = "nor what the operator says of the NIC that is ours"
    assert root.pending() == []


@pytest.mark.parametrize("generated", [{}, {"10-netplan-eth0.network": TEXT + "DHCP=yes\n"},
                                       {"10-netplan-eth0.network": TEXT, "10-netplan-all-eth.network": "[Match]\nName=eth*\n"}])  # fmt: skip
def test_a_change_in_netplan_that_was_not_applied_is_named(root, generated):
    root.netplan()
    root.generated = generated
    (sentence,) = root.pending()
    assert "/etc/netplan" in sentence and "netplan try" in sentence and ".network" in sentence


def test_what_netplan_refuses_is_told_in_its_words(root):
    root.netplan()
    root.result = (1, "/etc/netplan/90-third-nic.yaml:5:7: unknown key 'adresses'\n")
    (sentence,) = root.pending()
    assert "90-third-nic.yaml:5:7" in sentence and "adresses" in sentence


def test_a_file_of_networkd_that_was_changed_and_not_read_is_named(root):
    path = "/etc/systemd/network/20-lan.network"
    root.write(path, TEXT, age=100)
    root.nic("eth0", path, age=50)
    assert root.pending() == []
    root.write(path, TEXT, age=10)
    (sentence,) = root.pending()
    assert path in sentence and "eth0" in sentence


def test_a_drop_in_that_was_not_read_counts_for_its_file(root):
    path = "/etc/systemd/network/20-lan.network"
    root.write(path, TEXT, age=100)
    root.nic("eth0", path, age=50)
    root.write(path + ".d/more.conf", "[Network]\nDHCP=yes\n", age=10)
    assert len(root.pending()) == 1


@pytest.mark.parametrize(
    ("name", "match", "waits"),
    [
        ("10-all.network", "Name=en* eth*", True),
        ("10-all.network", "Name=!eth0", False),
        ("10-all.network", "MACAddress=02:00:00:00:00:01", True),
        ("10-all.network", "Name=wl*", False),
        ("30-all.network", "Name=eth*", False),  # behind the one in force
        ("05-sitelink-eth1.network", "Name=eth*", False),  # ours
    ],
)
def test_a_new_file_counts_when_it_would_take_the_nic(root, name, match, waits):
    root.write("/etc/systemd/network/20-lan.network", TEXT, age=100)
    root.nic("eth0", "/etc/systemd/network/20-lan.network", age=50)
    root.write("/etc/systemd/network/" + name, "[Match]\n%s\n\n[Network]\nDHCP=yes\n" % match, age=10)
    assert bool(root.pending()) == waits


@pytest.mark.parametrize("state", ["off", "no-carrier", "carrier", "degraded"])
def test_a_change_for_a_nic_without_an_address_cuts_nobody_off(root, state):
    root.netplan()
    root.nic("eth2", state=state)
    root.generated["10-netplan-eth2.network"] = "[Match]\nName=eth2\n\n[Network]\nAddress=192.168.9.2/24\n"
    root.write("/etc/systemd/network/10-eth2.network", "[Match]\nName=eth2\n", age=-10)
    assert root.pending() == []


def test_one_for_a_nic_that_is_not_there_neither(root):
    root.netplan()
    root.generated["10-netplan-eth9.network"] = "[Match]\nName=eth9\n"
    assert root.pending() == []


def without_a_file(root, admin):
    root.nic("eth1", "")
    path = root.path + networkd.LINKS + "/1"
    with open(path, "w") as file:
        file.write("ADMIN_STATE=%s\nOPER_STATE=degraded\n" % admin)


@pytest.mark.parametrize(
    ("admin", "words"),
    [
        ("unmanaged", ["no .network file", "unmanaged", "Unmanaged="]),
        ("pending", ["waits for udev", "systemd-udevd"]),
        ("initialized", ["waits for udev", "systemd-udevd"]),
        ("failed", ["failed", "journalctl -u systemd-networkd"]),
        ("configuring", ["networkctl status eth1"]),
        ("configured", ["networkctl status eth1"]),
        ("", ["networkctl status eth1"]),
    ],
)
def test_a_nic_without_a_file_is_told_by_what_networkd_says_of_it(root, admin, words):
    without_a_file(root, admin)
    sentence = networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None)
    assert all(word in sentence for word in words), sentence
    assert "eth1" in sentence


@pytest.mark.parametrize("admin", ["configuring", "configured", "pending", "degraded"])
def test_with_our_file_in_force_no_state_is_a_fault(root, admin):
    """The address comes later, and is waited for elsewhere."""
    root.nic("eth1", OURS)
    with open(root.path + networkd.LINKS + "/1", "w") as file:
        file.write("ADMIN_STATE=%s\nOPER_STATE=degraded\nNETWORK_FILE=%s\n" % (admin, OURS))
    assert networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None) is None


def test_a_nic_that_networkd_does_not_know_is_told_as_that(root):
    root.write("/sys/class/net/eth1/ifindex", "7\n")
    sentence = networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None)
    assert "does not know eth1" in sentence and "systemctl status systemd-networkd" in sentence


def test_a_nic_that_is_gone_is_told_as_that(root):
    sentence = networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None)
    assert "there is no NIC eth1" in sentence


def test_a_file_of_the_same_name_that_replaces_ours_is_named(root):
    """As somebody made it to change ours: what is in /etc counts before what netplan writes into /run."""
    other = "/etc/systemd/network/" + os.path.basename(OURS)
    root.nic("eth1", other)
    sentence = networkd.wrong_file("eth1", OURS, root.path, wait=1, sleep=lambda seconds: None)
    assert other in sentence and "same name" in sentence and "sorts later" not in sentence
