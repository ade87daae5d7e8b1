# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the NIC's configuration that is broken off: by a reboot, a full disk, a damaged record, a second run."""

import errno
import json
import os

import pytest
from test_nic import NETWORK, SYSCTL, Site, plan

from sitelink import config, nic

BOOT = "sitelink-nic-eth1-revert-boot.service"


@pytest.fixture
def site(directories):
    return Site(directories)


def boot_files():
    found = []
    for directory, _, names in os.walk(config.SYSTEM):
        found += [os.path.relpath(os.path.join(directory, name), config.SYSTEM) for name in names]
    return sorted(found)


def change(site, lines=("new",), more=()):
    return site.change(plan(files=((NETWORK, "0644", list(lines)), *more)))


def confirmed(site, lines=("old",), more=()):
    change(site, lines, more)
    site.keep()
    return site.files()


def fill_the_disk(monkeypatch, after=0):
    """Each file that is written afterwards finds no space, but for so many."""
    real, count = os.fsync, [0]

    def fsync(handle):
        count[0] += 1
        if count[0] > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda: monkeypatch.setattr(os, "fsync", real)


def test_a_reboot_in_between_takes_the_change_back(site):
    """The timer is gone with the reboot, and whoever was cut off switches the site off and on."""
    before = confirmed(site)
    change(site)
    assert boot_files() == ["multi-user.target.wants/" + BOOT, BOOT]
    with open(os.path.join(config.SYSTEM, "multi-user.target.wants", BOOT)) as file:
        text = file.read()
    assert "ExecStart=/usr/local/sbin/sitelink nic eth1 --revert\n" in text and "After=network.target" in text
    assert "ConditionPathExists=" + config.lib_path("nic", "eth1", "pending.json") in text
    assert site.revert()[0] and site.files() == before
    assert boot_files() == []


def test_a_change_that_is_confirmed_leaves_nothing_for_the_next_boot(site):
    confirmed(site)
    assert boot_files() == []
    assert change(site, ["old"]) == ([], []) and boot_files() == []


def test_a_timer_that_cannot_be_set_leaves_nothing_for_the_next_boot(site):
    site.failing = ("systemd-run",)
    with pytest.raises(nic.NicError):
        change(site)
    assert boot_files() == []


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_a_full_disk_leaves_all_as_it_was(site, monkeypatch, after):
    """Whichever file it is that finds no space."""
    before = confirmed(site)
    free = fill_the_disk(monkeypatch, after)
    with pytest.raises((nic.NicError, OSError)) as error:
        change(site, ["new"], ((SYSCTL, "0644", ["more"]), ("/etc/a", "0644", ["more"]), ("/etc/b", "0644", ["more"])))
    assert "No space left on device" in str(error.value)
    free()
    # What could not be put back at once is put back by the timer.
    assert site.files() == before or site.revert()[0]
    assert site.files() == before


def test_a_revert_that_fails_keeps_its_timer_and_says_so(site, monkeypatch):
    before = confirmed(site)
    real = nic.Nic._restore

    def restore(self, path, copy):
        if copy and b"old" in nic.base64.b64decode(copy["data"]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, path, copy)

    monkeypatch.setattr(nic.Nic, "_restore", restore)
    site.failing = ("up",)
    with pytest.raises(nic.NicError) as error:
        change(site)
    assert "cannot be put back" in str(error.value) and "is back" not in str(error.value)
    armed = max(number for number, line in enumerate(site.said) if line.startswith("systemd-run "))
    assert not [line for line in site.said[armed:] if line.startswith("systemctl stop ")]
    monkeypatch.setattr(nic.Nic, "_restore", real)
    site.failing = ()
    assert site.revert()[0] and site.files() == before


@pytest.mark.parametrize("damage", ["", "{", '{"record": {"appl', "[]", "null", "\0\0\0\0"])
def test_with_a_damaged_copy_all_of_ours_goes_and_all_of_others_comes_back(site, damage, capfd):
    """Better a NIC of ours without a configuration than a site that is cut off."""
    other = "/etc/systemd/network/20-eth1.network"
    site.write(other, "theirs\n", 0o640)
    before = site.files()
    site.change(plan(files=((NETWORK, "0644", ["old"]), (SYSCTL, "0644", ["old"]))), take=[other])
    site.keep()
    site.change(plan(files=((NETWORK, "0644", ["new"]), ("/etc/new", "0644", ["new"]))))
    with open(config.lib_path("nic", "eth1", "pending.json"), "w") as file:
        file.write(damage)
    done, commands = site.revert()
    assert done and site.files() == before
    assert commands == ["down networkd", "gone networkd", "rescue networkd"]
    assert os.listdir(config.LIB) == [] and boot_files() == []
    assert "is damaged" in capfd.readouterr().err
    assert change(site)[0] == ["write " + NETWORK]


def test_with_both_damaged_the_plan_says_what_is_ours(site):
    change(site)
    for name in ("pending.json", "json"):
        with open(config.lib_path("nic", "eth1", name), "w") as file:
            file.write("{")
    done, _ = site.revert()
    assert done and site.files() == {} and os.listdir(config.LIB) == []


def give_back(site, dry=False):
    site.said = []
    with site.nic() as handle:
        return handle.give_back(dry), site.commands()


def test_a_run_behind_one_that_gave_the_nic_back_and_did_not_keep_that_keeps_it(site):
    """Else the timer would bring it up again, when the firewall and the program are gone."""
    confirmed(site)
    assert give_back(site) == (["remove " + NETWORK], ["down networkd", "gone networkd"])
    os.unlink(os.path.join(config.ETC, "nic-eth1.json"))
    for dry in (True, False):
        assert give_back(site, dry) == ([nic.UNCONFIRMED], [])
    site.keep()
    assert give_back(site) == ([], []) and site.files() == {}
    assert os.listdir(config.LIB) == [] and boot_files() == [] and not site.revert()[0]


def test_what_the_timer_took_back_is_given_back_by_the_next_run_without_a_plan(site):
    before = confirmed(site)
    give_back(site)
    os.unlink(os.path.join(config.ETC, "nic-eth1.json"))
    site.revert()
    assert site.files() == before
    assert give_back(site)[0] == ["remove " + NETWORK] and site.files() == {}


def test_a_first_configuration_that_broke_off_is_no_removal_to_be_kept(site):
    change(site)
    os.unlink(config.lib_path("nic", "eth1", "json"))  # as if the power had gone before it was written
    assert give_back(site, dry=True) == ([], []) and site.files() != {}
    assert give_back(site)[0] == [] and site.files() == {} and os.listdir(config.LIB) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", "\0\0\0\0"])
def test_a_damaged_record_does_not_leave_our_files_behind(site, capfd, damage):
    confirmed(site)
    with open(config.lib_path("nic", "eth1", "json"), "w") as file:
        file.write(damage)
    changes, commands = site.change(None)
    assert changes == ["remove " + NETWORK] and "down networkd" in commands and site.files() == {}
    assert "is damaged" in capfd.readouterr().err


def test_a_damaged_record_is_written_anew_by_the_next_run(site):
    confirmed(site)
    path = config.lib_path("nic", "eth1", "json")
    with open(path, "w") as file:
        file.write("{")
    site.change(plan(files=((NETWORK, "0644", ["old"]),)))
    with open(path) as file:
        assert json.load(file)["applied"]["backend"] == "networkd"


def test_a_fresh_site_has_no_damaged_record(site, capfd):
    change(site)
    assert "damaged" not in capfd.readouterr().err


def test_the_timer_does_not_go_by_the_clock(site):
    """It may be stepped in between: on a first run time is set by NTP."""
    change(site)
    (line,) = [line for line in site.said if line.startswith("systemd-run ")]
    assert "--on-active=90" in line and "--on-calendar" not in line


def test_a_run_that_was_killed_before_it_confirmed_is_taken_back_by_the_timer_and_the_next_one_begins_anew(site):
    before = confirmed(site)
    change(site)
    site.revert()
    assert site.files() == before
    with pytest.raises(nic.NicError, match="not confirmed in time"):
        site.keep()
    changes, _ = change(site)
    assert changes == ["write " + NETWORK]


def test_a_record_that_cannot_be_written_does_not_keep_the_network_managers_from_their_restart(site, monkeypatch):
    confirmed(site)
    site.failing = ()
    change(site)
    monkeypatch.setattr(
        nic.state,
        "write_json",
        lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
    )
    with pytest.raises(nic.NicError, match="No space left on device"):
        site.revert()
    assert [line for line in site.said if line.startswith("rescue ")]


def test_a_confirmation_stands_where_the_file_for_the_next_boot_cannot_go(site, monkeypatch):
    """Such as on a file system that became read-only meanwhile."""
    confirmed(site)
    change(site)
    real = os.unlink

    def unlink(path, *more, **options):
        if str(path).startswith(config.SYSTEM):
            raise OSError(errno.EROFS, "Read-only file system")
        real(path, *more, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    site.keep()
    assert not site.revert()[0]
