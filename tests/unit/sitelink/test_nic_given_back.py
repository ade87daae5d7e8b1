# SPDX-License-Identifier: GPL-3.0-or-later
"""What stood in the place of our files comes back as it was, and a NIC that nobody has is left as it was."""

import os

import pytest
from test_nic import NETWORK, SYSCTL, Site, plan

from sitelink import nic, owners

CONF = "/etc/dhcp/dhclient-eth1.conf"
OURS = "# Made by the collection sitelink.tr069, role nic_dhcp. Changes are overwritten."
SCRIPTS = plan("network-scripts", ((CONF, "0644", [OURS, "ours"]), (SYSCTL, "0644", [OURS])))


@pytest.fixture
def site(directories):
    return Site(directories)


def test_a_file_in_the_place_of_ours_is_put_aside_unasked_and_comes_back(site):
    site.write(CONF, "theirs\n", 0o640)
    before = site.files()
    checked, _ = site.change(SCRIPTS, dry=True)
    changes, commands = site.change(SCRIPTS)
    assert checked == changes and "put %s aside" % CONF in changes and commands == ["up network-scripts"]
    assert site.files()[CONF] == (0o644, OURS + "\nours\n")
    site.keep()
    # once: what is there now is ours
    assert site.change(SCRIPTS) == ([], [])
    site.change(plan("network-scripts", ((CONF, "0644", [OURS, "changed"]), (SYSCTL, "0644", [OURS]))))
    site.keep()
    changes, _ = site.change(None)
    assert "put %s back" % CONF in changes and site.files() == before


def test_it_is_back_where_the_change_is_taken_back(site):
    site.write(CONF, "theirs\n", 0o640)
    before = site.files()
    site.change(SCRIPTS)
    assert site.revert()[0] and site.files() == before


def test_it_is_back_with_a_backend_that_does_not_need_its_place(site):
    site.write(CONF, "theirs\n", 0o640)
    site.change(SCRIPTS)
    site.keep()
    site.change(plan())
    site.keep()
    assert site.files() == {CONF: (0o640, "theirs\n"), NETWORK: (0o644, "[Match]\nName=eth1\n")}
    # and is its owner's again
    site.write(CONF, "newer\n", 0o600)
    site.change(plan(files=((NETWORK, "0644", ["other"]),)))
    site.keep()
    site.change(None)
    assert site.files() == {CONF: (0o600, "newer\n")}


def test_one_of_ours_that_no_record_knows_of_is_not_put_aside(site):
    site.write(CONF, OURS + "\nof an earlier release\n")
    assert "put %s aside" % CONF not in site.change(SCRIPTS)[0]
    site.keep()
    site.change(None)
    assert site.files() == {}


@pytest.mark.parametrize("where", ["named", "in the place of ours"])
@pytest.mark.parametrize("there", [True, False], ids=["a file", "dangling"])
@pytest.mark.parametrize("given_back", [True, False])
def test_a_symbolic_link_comes_back_as_one(site, where, there, given_back):
    path = NETWORK if where == "named" else CONF
    target = "/etc/of/the/operator"
    if there:
        site.write(target, "theirs\n", 0o640)
    os.makedirs(os.path.dirname(site.root + path))
    leads = os.path.relpath(site.root + target, os.path.dirname(site.root + path))
    os.symlink(leads, site.root + path)
    site.change(SCRIPTS, take=[NETWORK] if where == "named" else [])
    assert not os.path.islink(site.root + path) and (where == "named") != os.path.exists(site.root + path)
    if given_back:
        site.keep()
        site.change(None)
    else:
        site.revert()
    assert os.readlink(site.root + path) == leads
    assert os.path.exists(site.root + target) == there
    assert [name for name in os.listdir(os.path.dirname(site.root + path)) if name.startswith(".")] == []


def test_a_link_to_a_shared_file_is_cut_in_a_copy_and_comes_back(site):
    text = "auto lo\niface lo inet loopback\n%sauto eth0\niface eth0 inet dhcp\n"
    theirs = text % "auto eth1\niface eth1 inet dhcp\n"
    site.write("/etc/of/the/operator", theirs)
    os.makedirs(site.root + "/etc/network")
    os.symlink("../of/the/operator", site.root + "/etc/network/interfaces")
    site.change(SCRIPTS, shared=["/etc/network/interfaces"])
    site.keep()
    assert site.files()["/etc/network/interfaces"][1] == text % ""
    assert site.files()["/etc/of/the/operator"][1] == theirs
    site.change(None)
    assert os.readlink(site.root + "/etc/network/interfaces") == "../of/the/operator"


NOBODY = {
    "ifquery --state": (1, ""),
    "ifquery --list": (0, "lo\neth0\n"),
    "nmcli": (0, "10 (unmanaged)\n"),
    "systemctl is-active": (0, "active\n"),
    "ip -o address": (0, "3: eth1    inet6 2001:db8::5/64 scope global dynamic mngtmpaddr \\ valid_lft 9sec\n"),
}


@pytest.fixture
def given_back(site, monkeypatch):
    """A function: whether eth1 is set down in the end; `said` is what the site's programs say, in place of NOBODY's words."""
    monkeypatch.setattr(owners, "WAIT", 0)

    def run(down=True, said=None, files=None, state="unmanaged", take=(), end="given back"):
        answers = {**NOBODY, **(said or {})}
        execute = site.execute
        site.execute = lambda argv: (
            execute(argv),
            next((answer for words, answer in answers.items() if " ".join(argv).startswith(words)), (0, "")),
        )[1]
        site.write("/sys/class/net/eth1/flags", "0x1002\n" if down else "0x1003\n")
        site.write("/sys/class/net/eth1/ifindex", "3\n")
        site.write("/run/systemd/netif/links/3", "ADMIN_STATE=%s\n" % state)
        for path, text in (files or {}).items():
            site.write(path, text)
        site.change(plan(), take=take)
        site.write("/sys/class/net/eth1/flags", "0x1003\n")
        if end == "taken back":
            site.revert()
        else:
            site.keep()
            site.change(plan(files=((NETWORK, "0644", ["changed"]),)))
            site.keep()
            site.change(None)
        return "ip link set dev eth1 down" in site.said

    return run


@pytest.mark.parametrize("end", ["given back", "taken back"])
def test_a_nic_that_was_down_and_that_nobody_has_is_down_again(given_back, end):
    assert given_back(end=end)


@pytest.mark.parametrize(
    "case",
    [
        {"down": False},
        {"said": {"nmcli": (127, ""), "ifquery --state": (127, ""), "ifquery --list": (127, ""), "ip -o address": (0, "3: eth1 inet 10.1.1.1/24 scope global eth1\n")}},
        {"said": {"nmcli": (0, "30 (disconnected)\n")}},
        {"said": {"ifquery --list": (0, "lo\neth1\n")}},
        {"said": {"ifquery --state": (0, "eth1=eth1\n")}},
        {"state": "configured"},
        {"state": "pending"},
        {"files": {"/etc/sysconfig/network-scripts/ifcfg-eth1": ""}},
        {"files": {"/sys/class/net/eth1/upper_vlan7/ifindex": "9\n"}},
        {"files": {"/sys/class/net/eth1/master/ifindex": "9\n"}},
        {"files": {"/etc/theirs": "x\n"}, "take": ["/etc/theirs"]},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("end", ["given back", "taken back"])
def test_a_nic_that_was_up_or_that_somebody_has_is_let_alone(given_back, case, end):
    assert not given_back(**case, end=end)


def test_a_record_that_does_not_say_whether_it_was_down_lets_it_alone(given_back, monkeypatch):
    monkeypatch.setattr(nic.Nic, "_down", lambda self, nics: [])
    assert not given_back()


@pytest.mark.parametrize(("after", "had"), [(0, False), (2, False), (30, True)])
def test_networkd_is_given_time_to_let_go(tmp_path, after, had):
    directory = tmp_path / "sys/class/net/eth1"
    directory.mkdir(parents=True)
    (directory / "ifindex").write_text("3\n")
    state = tmp_path / "run/systemd/netif/links/3"
    state.parent.mkdir(parents=True)
    state.write_text("ADMIN_STATE=configured\nNETWORK_FILE=%s\n" % NETWORK)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == after:
            state.write_text("ADMIN_STATE=unmanaged\n")

    if after == 0:
        state.write_text("ADMIN_STATE=unmanaged\n")

    def execute(argv):
        answers = (answer for words, answer in NOBODY.items() if " ".join(argv).startswith(words))
        return next(answers)

    assert owners.any_of("eth1", execute, str(tmp_path), 10, sleep) is had
