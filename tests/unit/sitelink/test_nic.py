# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the underlay NIC's configuration: applied, confirmed, taken back, given up."""

import json
import os
import stat

import pytest

from sitelink import config, networkd, nic

NETWORK = "/etc/systemd/network/05-sitelink-eth1.network"
SYSCTL = "/etc/sysctl.d/60-sitelink-eth1.conf"
KEYFILE = "/etc/NetworkManager/system-connections/sitelink-eth1.nmconnection"


def plan(backend="networkd", files=((NETWORK, "0644", ["[Match]", "Name=eth1"]),), revert_after=90):
    return {
        "interface": "eth1",
        "backend": backend,
        "files": [{"path": path, "mode": mode, "lines": lines} for path, mode, lines in files],
        "up": [["up", backend]],
        "down": [["-down", backend]],
        "gone": [["gone", backend]],
        "rescue": [["rescue", backend]],
        "revert_after": revert_after,
    }


class Site:
    """A root directory, and commands that only say that they were run."""

    def __init__(self, directory):
        self.root = str(directory / "root")
        self.said = []
        self.failing = ()

    def execute(self, argv):
        self.said.append(" ".join(argv))
        return (1, "no such thing") if argv[0] in self.failing else (0, "")

    def nic(self):
        return nic.Nic("eth1", self.root, self.execute)

    def change(self, data, **options):
        """Returns (what changes, the commands that were run)."""
        self.said = []
        target = None
        if data:
            with open(os.path.join(config.ETC, "nic-eth1.json"), "w") as file:
                json.dump(data, file)
            target = nic.load("eth1")
        with self.nic() as handle:
            return handle.change(target, **options), self.commands()

    def keep(self):
        with self.nic() as handle:
            handle.keep()

    def revert(self, rescue=True):
        self.said = []
        with self.nic() as handle:
            return handle.revert(rescue), self.commands()

    def commands(self):
        """Without those that set and stop the timer."""
        return [line for line in self.said if line.split()[0] in ("up", "down", "gone", "rescue")]

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)
        os.chmod(self.root + path, mode)

    def files(self):
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(directory, name)
                with open(path) as file:
                    found[path[len(self.root) :]] = (stat.S_IMODE(os.stat(path).st_mode), file.read())
        return found


@pytest.fixture
def site(directories):
    return Site(directories)


def test_files_come_before_the_commands_and_a_timer_before_both(site):
    changes, commands = site.change(plan())
    assert changes == ["write " + NETWORK]
    assert commands == ["up networkd"]
    assert site.files() == {NETWORK: (0o644, "[Match]\nName=eth1\n")}
    armed = [index for index, line in enumerate(site.said) if line.startswith("systemd-run ")]
    assert armed and armed[0] < site.said.index("up networkd")
    assert "--on-active=90" in site.said[armed[0]] and "nic eth1 --revert" in site.said[armed[0]]


def test_nothing_to_do_does_nothing(site):
    site.change(plan())
    site.keep()
    assert site.change(plan()) == ([], [])
    assert site.said == []


def test_a_file_that_somebody_changed_or_removed_is_put_right(site):
    site.change(plan())
    site.keep()
    site.write(NETWORK, "[Match]\nName=eth1\n", 0o600)
    assert site.change(plan())[0] == ["write " + NETWORK]
    site.keep()
    os.unlink(site.root + NETWORK)
    assert site.change(plan())[0] == ["write " + NETWORK]


def test_a_dry_run_touches_nothing(site):
    assert site.change(plan(), dry=True) == (["write " + NETWORK], [])
    assert site.files() == {} and os.listdir(config.LIB) == [] and site.said == []


def test_what_nobody_confirms_is_taken_back(site):
    site.change(plan(files=((NETWORK, "0644", ["old"]), (SYSCTL, "0644", ["both"]))))
    site.keep()
    before = site.files()
    site.change(plan(files=((NETWORK, "0600", ["new"]),)))
    assert site.files() != before
    done, commands = site.revert()
    assert done and site.files() == before
    assert commands == ["up networkd", "rescue networkd"]
    # and the next run tries again
    assert site.change(plan(files=((NETWORK, "0600", ["new"]),)))[0] == ["write " + NETWORK, "remove " + SYSCTL]


def test_the_first_change_is_taken_back_to_nothing(site):
    site.change(plan())
    assert site.revert() == (True, ["down networkd", "gone networkd", "rescue networkd"])
    assert site.files() == {} and os.listdir(config.LIB) == []


def test_what_was_confirmed_is_not_taken_back(site):
    site.change(plan())
    site.keep()
    assert site.revert() == (False, [])
    assert NETWORK in site.files()


def test_a_confirmation_that_comes_too_late_is_refused(site):
    site.change(plan())
    site.revert()
    with pytest.raises(nic.NicError):
        site.keep()


def test_a_change_on_top_of_an_unconfirmed_one_goes_back_to_the_confirmed_one(site):
    site.change(plan(files=((NETWORK, "0644", ["one"]),)))
    site.keep()
    site.change(plan(files=((NETWORK, "0644", ["two"]),)))
    site.change(plan(files=((NETWORK, "0644", ["three"]), (SYSCTL, "0644", ["new"]))))
    site.revert()
    assert site.files() == {NETWORK: (0o644, "one\n")}


def test_an_unconfirmed_change_is_applied_again_though_its_files_stand(site):
    site.change(plan())  # and the site was switched off, and on
    changes, commands = site.change(plan())
    assert changes and commands == ["up networkd"]


def test_a_command_that_fails_leaves_all_as_it_was(site):
    site.change(plan(files=((NETWORK, "0644", ["old"]),)))
    site.keep()
    site.failing = ("up",)
    with pytest.raises(nic.NicError) as error:
        site.change(plan(files=((NETWORK, "0644", ["new"]),)))
    assert "no such thing" in str(error.value) and "is back" in str(error.value)
    assert site.files() == {NETWORK: (0o644, "old\n")}
    assert "rescue networkd" not in site.said
    assert not site.revert()[0]


def test_nothing_is_touched_when_the_timer_cannot_be_set(site):
    site.failing = ("systemd-run",)
    with pytest.raises(nic.NicError):
        site.change(plan())
    assert site.files() == {} and site.commands() == [] and os.listdir(config.LIB) == []


def test_another_backend_leaves_nothing_of_the_first(site):
    site.change(plan())
    site.keep()
    changes, commands = site.change(plan("networkmanager", ((KEYFILE, "0600", ["[connection]"]),)))
    assert changes == ["networkmanager instead of networkd", "write " + KEYFILE, "remove " + NETWORK]
    assert commands == ["down networkd", "gone networkd", "up networkmanager"]
    assert site.files() == {KEYFILE: (0o600, "[connection]\n")}


def test_a_file_that_two_backends_share_is_not_read_once_more_by_the_first(site):
    site.change(plan("ifupdown-dhclient", [(NETWORK, "0644", ["by dhclient"])]))
    site.keep()
    seen = {}
    execute = site.execute
    site.execute = lambda argv: (seen.setdefault(argv[0], site.files().get(NETWORK)), execute(argv))[1]
    site.change(plan("ifupdown-dhcpcd", [(NETWORK, "0644", ["by dhcpcd"])]))
    assert (seen["down"], seen["gone"], seen["up"]) == ((0o644, "by dhclient\n"), None, (0o644, "by dhcpcd\n"))
    assert site.revert()[0]
    assert site.files()[NETWORK] == (0o644, "by dhclient\n")


def test_what_was_put_aside_comes_back(site):
    other, same = "/etc/systemd/network/20-eth1.network", NETWORK
    site.write(other, "theirs\n", 0o640)
    site.write(same, "theirs too\n", 0o600)
    before = site.files()
    changes, commands = site.change(plan(), take=[other, same])
    assert "put %s aside" % other in changes
    assert commands == ["down networkd", "up networkd"]
    assert site.files() == {NETWORK: (0o644, "[Match]\nName=eth1\n")}
    site.keep()
    assert site.change(plan()) == ([], [])
    changes, commands = site.change(None)
    assert "put %s back" % other in changes and commands == ["down networkd", "gone networkd"]
    assert site.files() == before
    site.keep()
    assert os.listdir(config.LIB) == []


@pytest.mark.parametrize("given_back", [True, False], ids=["given back", "taken back"])
def test_directories_that_were_made_go_with_their_files(site, given_back):
    os.makedirs(site.root + "/etc/systemd/network")
    before = [names for _, names, _ in os.walk(site.root)]
    dropin, other = "/etc/systemd/network/10-eth1.network.d/sitelink.conf", "/etc/of/some/sitelink.conf"
    site.change(plan(files=((dropin, "0644", ["x"]), (other, "0644", ["x"]))))
    if given_back:
        site.keep()
        site.change(plan(files=((dropin, "0644", ["y"]), (other, "0644", ["x"]))))
        site.keep()
        site.write("/etc/of/theirs", "not ours\n")
        site.change(None)
        before = [["etc"], ["systemd", "of"], ["network"], [], []]
    else:
        site.revert()
    assert sorted(map(sorted, (names for _, names, _ in os.walk(site.root)))) == sorted(map(sorted, before))


def test_the_newest_of_what_was_put_aside_comes_back(site):
    other = "/etc/systemd/network/20-eth1.network"
    site.write(other, "old\n")
    site.change(plan(), take=[other])
    site.keep()
    site.write(other, "new\n")
    site.change(plan(), take=[other])
    site.keep()
    site.change(None)
    assert site.files() == {other: (0o644, "new\n")}


def test_giving_back_can_be_taken_back_too(site):
    site.change(plan())
    site.keep()
    before = site.files()
    site.change(None)
    assert site.files() == {}
    site.revert()
    assert site.files() == before
    assert site.change(plan()) == ([], [])


@pytest.mark.parametrize("key", ["interface", "files", "up", "revert_after"])
def test_a_plan_without_a_key_is_refused(site, key):
    data = plan()
    del data[key]
    with pytest.raises(config.ConfigError) as error:
        site.change(data)
    assert key in str(error.value)


def networkd_plan(**changes):
    return dict(plan(**changes), network=NETWORK, nics=["eth1"])


def test_a_file_that_networkd_does_not_go_by_is_taken_back_with_the_reason(site, monkeypatch):
    monkeypatch.setattr(networkd, "pending", lambda nics, execute, root: [])
    monkeypatch.setattr(
        networkd, "wrong_file", lambda name, wanted, root, wait: "%s is not what %s goes by" % (wanted, name)
    )
    with pytest.raises(nic.NicError) as error:
        site.change(networkd_plan())
    assert NETWORK + " is not what eth1 goes by" in str(error.value) and "is back" in str(error.value)
    assert site.files() == {} and not os.path.exists(config.lib_path("nic", "eth1", "json"))
    monkeypatch.setattr(networkd, "wrong_file", lambda name, wanted, root, wait: None)
    assert site.change(networkd_plan())[0] == ["write " + NETWORK]


def test_a_change_of_others_that_waits_is_told_before_anything_is_touched(site, monkeypatch):
    waiting = ["eth0 waits"]
    monkeypatch.setattr(networkd, "pending", lambda nics, execute, root: waiting if nics == ["eth1"] else [])
    monkeypatch.setattr(networkd, "wrong_file", lambda name, wanted, root, wait: None)
    for dry in (True, False):
        with pytest.raises(nic.NicError) as error:
            site.change(networkd_plan(), dry=dry)
        assert "eth0 waits" in str(error.value)
        assert site.said == [] and site.files() == {}
    waiting.clear()
    assert site.change(networkd_plan())[0] == ["write " + NETWORK]
    site.keep()
    # Nothing to do is nothing to refuse.
    waiting.append("eth0 waits")
    assert site.change(networkd_plan()) == ([], [])


@pytest.mark.parametrize("runs", [True, False])
def test_a_networkd_that_does_not_run_is_the_reason(site, monkeypatch, runs):
    monkeypatch.setattr(networkd, "pending", lambda nics, execute, root: [])
    monkeypatch.setattr(networkd, "wrong_file", lambda name, wanted, root, wait: "something about a file")
    execute = site.execute
    site.execute = lambda argv: (
        (3, "inactive") if argv[:2] == ["systemctl", "is-active"] and not runs else execute(argv)
    )
    with pytest.raises(nic.NicError) as error:
        site.change(networkd_plan())
    assert ("systemd-networkd does not run" in str(error.value)) is not runs
    assert ("something about a file" in str(error.value)) is runs
