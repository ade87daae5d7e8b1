# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer comes to a site and goes again; what is to be done follows from what is there."""

import os

import pytest
from ansible_collections.sitelink.tr069.plugins.module_utils._layer import wanted

import world as worlds
from world import UNITS, command, copy, directory, file, secret, sha256, undo, values_of

CONFIG, UNIT_FILE, UNIT = (
    "/etc/sitelink/gateway-eth1.json",
    UNITS + "/sitelink-gateway@.service",
    "sitelink-gateway@eth1.service",
)
KEYS, SYSCTLS, BEFORE = "/etc/sitelink/keys.conf", "/etc/sysctl.d/60-sitelink.conf", "/var/lib/sitelink/before.conf"
FORWARD, ARP = "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/eth1.7/arp_ignore"
CLIENT, MADE = "/etc/sitelink/client.whl", "/etc/sitelink/made"
VALUES = "# why\nnet.ipv4.ip_forward = 1\nnet/ipv4/conf/eth1.7/arp_ignore=1\n"


def layer(text="one\n", **more):
    """A layer with one of everything."""
    found = {
        "directories": [directory("/var/lib/metrics/here")],
        "files": [
            file(CONFIG, text, validate=["check", "%s"]),
            file(UNIT_FILE, "[Service]\n", needed_by="/etc/sitelink/gateway-*.json"),
            secret(KEYS, "a-key " + text, ours="a-key"),
            file(SYSCTLS, VALUES),
            copy(CLIENT, "a client, %s" % text, sent=True),
        ],
        "commands": [command("make", MADE, creates=MADE)],
        "sysctls": [values_of(SYSCTLS, before=BEFORE)],
        "units": ["table.service", UNIT],
        "undo": [undo(CONFIG)],
        "state_files": ["/run/sitelink/gateway-eth1.*", MADE],
    }
    return dict(found, **more)


@pytest.fixture
def fresh(world):
    world.reads[UNIT] = [CONFIG, UNIT_FILE]
    world.put(FORWARD, "0\n")
    world.put(ARP, "0\n")
    return world


@pytest.fixture
def finished(fresh):
    fresh.play(**layer())
    fresh.put("/run/sitelink/gateway-eth1.json", "{}")
    return fresh


def refused(world, **options):
    with pytest.raises(wanted.Refused) as caught:
        world.play(**options)
    return caught.value.problems


def test_a_fresh_site_gets_all_of_it_and_a_second_run_does_nothing(fresh):
    done = fresh.play(**layer()).done
    assert done == [
        "made the directory /var/lib/metrics/here", "wrote " + CONFIG, "wrote " + UNIT_FILE, "wrote " + KEYS, "wrote " + SYSCTLS,
        "wrote " + CLIENT, "ran make " + MADE,
        "net/ipv4/conf/eth1.7/arp_ignore is 1 now instead of 0", "net/ipv4/ip_forward is 1 now instead of 0",
        "started table.service", "started " + UNIT,
    ]  # fmt: skip
    assert os.stat(fresh.at(KEYS)).st_mode & 0o777 == 0o600 and os.stat(fresh.at(CONFIG)).st_mode & 0o777 == 0o644
    assert fresh.text(FORWARD) == "1" and fresh.text(ARP) == "1"
    assert os.stat(fresh.at("/var/lib/metrics")).st_mode & 0o777 == 0o755
    again = fresh.play(**layer())
    assert (again.done, again.diff, fresh.said) == ([], [], [])


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("site", ["fresh", "finished"])
def test_check_mode_tells_the_same_and_touches_nothing(request, site, state):
    world = request.getfixturevalue(site)
    before = world.look()
    tried = world.play(check=True, **layer("two\n", state=state))
    assert world.look() == before and world.said == []
    done = world.play(**layer("two\n", state=state))
    assert (tried.done, tried.diff, tried.kept) == (done.done, done.diff, done.kept)
    assert bool(done.done) == (state == "present" or site == "finished")


def test_a_daemon_whose_file_changes_is_restarted_and_check_mode_knows(finished):
    assert finished.play(check=True, **layer("two\n")).done[-1] == "restarted " + UNIT
    finished.play(**layer("two\n"))
    assert finished.said == ["restart " + UNIT]


def test_the_diff_shows_what_changes_and_nothing_of_a_secret(finished):
    shown = finished.play(**layer("two\n")).diff
    sums = ["SHA-256 %s\n" % sha256("a client, %s\n" % text) for text in ("one", "two")]
    assert shown == [
        {"before": "one\n", "after": "two\n", "before_header": CONFIG, "after_header": CONFIG},
        {"before": sums[0], "after": sums[1], "before_header": CLIENT, "after_header": CLIENT},
    ]
    os.chmod(finished.at(CONFIG), 0o600)
    (shown,) = finished.play(**layer("two\n")).diff
    assert "0600" in shown["before"] and "0644" in shown["after"] and finished.text(CONFIG) == "two\n"
    gone = finished.play(**layer("two\n", state="absent"))
    assert "a-key" not in repr([gone.diff, gone.done]) and [
        each["before"] for each in gone.diff if "two" in each["before"]
    ]


def test_what_goes_leaves_nothing_and_stops_before_it_goes(finished):
    done = finished.play(**layer(state="absent")).done
    assert finished.said == [
        "disable " + UNIT,
        "stop " + UNIT,
        "disable table.service",
        "stop table.service",
        "undo",
        "daemon-reload",
    ]
    assert done.index("ran undo") < done.index("removed " + KEYS)
    assert done[-2:] == ["let systemd read its units anew", "removed " + CONFIG], "the undo needs it, and known_by"
    for path in (CONFIG, UNIT_FILE, KEYS, SYSCTLS, BEFORE, CLIENT, MADE, "/run/sitelink/gateway-eth1.json"):
        assert not os.path.exists(finished.at(path)), path
    assert (finished.text(FORWARD), finished.text(ARP)) == ("0", "0")
    assert finished.play(**layer(state="absent")).done == []


def test_a_file_of_the_controller_is_sent_where_the_site_has_not_got_it(fresh):
    sent, named = ({"files": [copy(CLIENT, "a client", sent=way)]} for way in (True, False))
    assert fresh.lacking(**named) == [CLIENT] and fresh.lacking(**sent) == []
    assert fresh.play(check=True, **named).done == ["wrote " + CLIENT]
    assert fresh.play(**sent).done == ["wrote " + CLIENT] and fresh.text(CLIENT) == "a client"
    assert fresh.lacking(**named) == [] and fresh.play(**named).done == []
    fresh.put(CLIENT, "")
    assert fresh.lacking(**named) == [CLIENT] and fresh.play(check=True, **named).done == ["wrote " + CLIENT]
    fresh.play(**sent)
    os.chmod(fresh.at(CLIENT), 0o600)
    fresh.play(**named)
    assert (fresh.text(CLIENT), os.stat(fresh.at(CLIENT)).st_mode & 0o777) == ("a client", 0o644)


def test_in_check_mode_what_runs_counts_as_reading_a_file_that_is_not_sent(finished):
    finished.reads[UNIT].append(CLIENT)
    finished.play(**layer())
    newer = {"files": [copy(CLIENT, "newer", sent=False)], "units": [UNIT]}
    assert finished.play(check=True, **newer).done == ["wrote " + CLIENT, "restarted " + UNIT]


def test_a_command_that_fails_is_told_and_runs_again(fresh):
    fresh.programs["make"] = lambda words, stdin: worlds.site.Done(1, "", "no space\n")
    assert refused(fresh, **layer()) == ["make %s: no space" % MADE]
    assert fresh.active == set(), "what would need it does not start"
    fresh.programs["make"] = fresh.make
    assert "ran make " + MADE in fresh.play(**layer()).done


def test_what_may_fail_holds_up_nothing_and_is_returned(fresh):
    fresh.refuses.add("table.service")
    done = fresh.play(**layer(may_fail=["table.service"]))
    assert done.refused == ["table.service: it failed"] and fresh.active == {UNIT}
    fresh.refuses.clear()
    done = fresh.play(**layer(may_fail=["table.service"]))
    assert (done.refused, done.done) == ([], ["started table.service"])
    fresh.refuses.add(UNIT)
    fresh.active.discard(UNIT)
    assert refused(fresh, **layer(may_fail=["table.service"])) == [UNIT + ": it failed"]


def test_daemons_with_an_older_program_are_restarted_where_that_is_asked_for(finished):
    finished.older = {UNIT}
    asked = {"upgrade": True, "files": [file(CONFIG)]}
    assert finished.play(files=[file(CONFIG)]).done == []
    assert finished.play(check=True, **asked).done == ["restarted " + UNIT] and finished.said == []
    finished.refuses.add(UNIT)
    assert finished.play(**asked).refused == ["the daemons: it failed"]
    finished.refuses.clear()
    assert finished.play(**asked).done == ["restarted " + UNIT] and finished.play(**asked).done == []


def test_what_made_something_that_remains_is_undone_before_it_goes(finished):
    """A user that only an older systemd needed."""
    finished.put("/etc/sitelink/entry", "")
    options = layer(remains=["/etc/sitelink/entr*"], undo=[undo("/etc/sitelink/entry")])
    there = dict(options, files=[*options["files"], file("/etc/sitelink/entry", "")])
    assert finished.play(**there).done == []
    assert finished.play(check=True, **options).done == ["ran undo", "removed /etc/sitelink/entry"]
    assert finished.play(**options).done == ["ran undo", "removed /etc/sitelink/entry"]
    assert finished.said == ["undo"] and finished.play(**options).done == []


def test_a_layer_that_others_need_stays(finished):
    before = finished.look()
    finished.play(**layer(state="absent", needed_by="/etc/systemd/system/sitelink-*"))
    assert finished.look() != before, "its own files do not hold it"
    finished.play(**layer())
    finished.put("/var/lib/sitelink/another", "")
    before = finished.look()
    finished.play(**layer(state="absent", needed_by="/var/lib/sitelink/an*"))
    assert finished.look() == before


def test_what_goes_may_have_lost_its_user(finished):
    files = [file(CONFIG, group="nobody-at-all")]
    assert finished.play(files=files, state="absent").done == ["removed " + CONFIG]


def test_what_another_instance_needs_stays(finished):
    finished.put("/etc/sitelink/gateway-eth9.json", "{}")
    finished.play(**layer(state="absent"))
    assert os.path.exists(finished.at(UNIT_FILE)) and not os.path.exists(finished.at(CONFIG))


def test_what_failed_is_no_failure_any_more(finished):
    finished.active.discard(UNIT)
    finished.failed.add(UNIT)
    finished.play(**layer(state="absent"))
    assert "reset-failed " + UNIT in finished.said and finished.failed == set()


def test_a_unit_that_systemd_still_has_is_forgotten_by_the_next_run(finished):
    """The run before broke off behind the last file."""
    finished.play(**layer(state="absent"))
    finished.outdated.add(UNIT)
    assert finished.play(**layer(state="absent")).done == ["let systemd read its units anew"]


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_changed(fresh):
    os.makedirs(fresh.at(KEYS))
    before = fresh.look()
    problems = refused(
        fresh,
        files=[
            file(CONFIG, "bad one\n", validate=["check", "%s"]),
            secret("/etc/sitelink/other", "bad secret", validate=["check", "%s"]),
            file(KEYS), file("/etc/nowhere/x"), file(SYSCTLS, "net.ipv4.none = 1\n"),
            file("/etc/sitelink/here", validate=["nothing", "%s"]),
        ],
        directories=[directory(FORWARD)],
        sysctls=[values_of(SYSCTLS)],
    )  # fmt: skip
    assert problems == [
        FORWARD + ": it is no directory; move away what is there",
        KEYS + ": it is no file; move away what is there",
        "/etc/nowhere/x: the directory /etc/nowhere is missing",
        "%s: %s says: bad one" % (CONFIG, CONFIG),
        "/etc/sitelink/other: check refuses it; its words are not shown, as they may quote the secret",
        "/etc/sitelink/here: nothing is not there",
        SYSCTLS + ": the kernel has no net/ipv4/none",
    ]
    assert fresh.look() == before


def test_a_content_is_checked_also_where_the_site_has_it(finished):
    """What it is checked against may have changed."""
    finished.put(CONFIG, "bad\n")
    assert refused(finished, files=[file(CONFIG, "bad\n", validate=["check", "%s"])]) == [
        "%s: %s says: bad" % (CONFIG, CONFIG)
    ]


def test_in_check_mode_a_program_that_is_not_there_is_no_answer_and_a_refusal_is(fresh):
    for argv in (["nothing", "%s"], ["check", "%s"]):
        fresh.play(check=True, files=[file("/etc/later/x", validate=argv)])
    assert refused(fresh, check=True, files=[file(CONFIG, "bad", validate=["check", "%s"])])
    del fresh.programs[worlds.PROGRAM]
    assert fresh.play(check=True, **layer()).done[-1] == (
        "would see that table.service, %s run what is written (%s is not there)" % (UNIT, worlds.PROGRAM)
    )
    assert refused(fresh, **layer()) == ["table.service, %s: %s is not there" % (UNIT, worlds.PROGRAM)]


def test_a_file_of_somebody_else_is_kept_once_and_comes_back(fresh):
    fresh.put(KEYS, "by hand\n", 0o640)
    done = fresh.play(**layer())
    assert done.kept == [KEYS] and fresh.text(KEYS + ".before-sitelink") == "by hand\n"
    fresh.put(KEYS, "by another hand\n")
    assert fresh.play(**layer()).kept == [] and fresh.text(KEYS) == "a-key one\n"
    fresh.play(**layer(state="absent"))
    assert fresh.text(KEYS) == "by hand\n" and os.stat(fresh.at(KEYS)).st_mode & 0o777 == 0o640
    assert not os.path.exists(fresh.at(KEYS + ".before-sitelink"))
    assert fresh.play(**layer(state="absent")).done == []


def test_a_link_of_somebody_else_is_kept_as_a_link(fresh):
    os.symlink("/dev/null", fresh.at(KEYS))
    fresh.play(**layer())
    assert fresh.text(KEYS) == "a-key one\n" and os.readlink(fresh.at(KEYS + ".before-sitelink")) == "/dev/null"
    fresh.play(**layer(state="absent"))
    assert os.readlink(fresh.at(KEYS)) == "/dev/null"


def test_what_somebody_put_there_later_is_left_to_them(finished):
    finished.put(KEYS, "by hand\n")
    finished.play(**layer(state="absent"))
    assert finished.text(KEYS) == "by hand\n"


def test_a_file_of_ours_is_replaced_and_not_kept(finished):
    finished.play(**layer("two\n"))
    assert finished.text(KEYS) == "a-key two\n" and not os.path.exists(finished.at(KEYS + ".before-sitelink"))


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_a_run_that_broke_off_left_beside_a_file_goes(finished, state):
    """Also where the file is by now as that run would have had it, or goes."""
    finished.put("/etc/sitelink/.gateway-eth1.json.sitelink-new", "half")
    said = "removed what a run that broke off left of " + CONFIG
    assert said in finished.play(**layer(state=state)).done
    assert not os.path.exists(finished.at("/etc/sitelink/.gateway-eth1.json.sitelink-new"))
    assert finished.play(**layer(state=state)).done == []


def test_remains_go_and_what_is_wanted_stays(finished):
    for name in ("sitelink-old.service", "sitelink-old@.service"):
        finished.put(UNITS + "/" + name, "[Service]\n")
    finished.put("/etc/sitelink/gateway-eth9.json", "{}")
    finished.active.add("sitelink-old.service")
    finished.enabled.add("sitelink-old.service")
    remains = [UNITS + "/sitelink-old*.service", "/etc/sitelink/gateway-*.json", "/etc/sitelink/never"]
    done = finished.play(**layer(remains=remains)).done
    assert finished.said == ["disable sitelink-old.service", "stop sitelink-old.service", "daemon-reload"]
    assert done == [
        "disabled sitelink-old.service", "stopped sitelink-old.service", "removed /etc/sitelink/gateway-eth9.json",
        "removed %s/sitelink-old.service" % UNITS, "removed %s/sitelink-old@.service" % UNITS, "let systemd read its units anew",
    ]  # fmt: skip
    assert os.path.exists(finished.at(CONFIG)) and not os.path.exists(finished.at("/etc/sitelink/gateway-eth9.json"))
    assert finished.play(**layer(remains=remains)).done == []


def test_an_undo_runs_before_the_unit_stops_that_it_names(finished):
    finished.play(**layer(state="absent", undo=[undo(CONFIG, before="table.service")]))
    stops = [words for words in finished.said if not words.startswith("disable")]
    assert stops == ["stop " + UNIT, "undo", "stop table.service", "daemon-reload"]


def test_what_remains_is_undone_before_it_goes_and_nothing_else_is(finished):
    old = UNITS + "/sitelink-old@wg0.service"
    finished.put(old, "[Service]\n")
    finished.active.add("sitelink-old@wg0.service")
    options = layer(remains=[old], undo=[undo(CONFIG), undo(old, argv=["undo", "old"])])
    done = finished.play(**options).done
    assert finished.said == ["stop sitelink-old@wg0.service", "undo", "daemon-reload"]
    assert done[1:3] == ["ran undo old", "removed " + old] and finished.play(**options).done == []


def test_nothing_is_touched_where_the_layer_never_was(finished):
    """Somebody else may have a unit of this name."""
    known_by = ["/etc/sitelink/never", CONFIG]
    before = finished.look()
    assert finished.play(**layer(state="absent", known_by=known_by[:1])).done == [] and finished.look() == before
    finished.play(**layer(state="absent", known_by=known_by))
    assert not os.path.exists(finished.at(KEYS)) and finished.active == set()


def test_what_a_check_says_and_does_not_refuse_is_a_warning(finished):
    odd = finished.play(**layer("odd\n"))
    assert odd.warnings == [CONFIG + " says: odd"] and "wrote " + CONFIG in odd.done
    again = finished.play(**layer("odd\n"))
    assert again.warnings == odd.warnings and again.done == []
    hidden = [secret(CONFIG, "odd\n", validate=["check", "%s"])]
    assert finished.play(files=hidden).warnings == []


def test_a_whole_directory_of_the_root_is_nobodys(finished):
    assert refused(finished, remains=["/etc"]) == ["/etc: no layer takes a whole directory of / away"]
    assert os.path.exists(finished.at(CONFIG))


def test_a_value_that_does_not_stay_is_told(fresh, monkeypatch):
    """Some are clamped by the kernel."""
    real = fresh.open_a_value
    monkeypatch.setattr(fresh, "open_a_value", lambda path, mode="r": real(os.devnull if mode == "w" else path, mode))
    options = {"files": [file(SYSCTLS, "net.ipv4.ip_forward = 1\n")], "sysctls": [values_of(SYSCTLS)]}
    assert refused(fresh, **options) == [FORWARD + ": was set to 1, and is 0"]


def test_a_value_that_is_not_there_is_left_out_where_that_is_said(fresh):
    options = {"files": [file(SYSCTLS, "net/ipv4/conf/eth8/arp_ignore = 1\nnet.ipv4.ip_forward = 1\n")]}
    assert refused(fresh, sysctls=[values_of(SYSCTLS)], **options) == [
        SYSCTLS + ": the kernel has no net/ipv4/conf/eth8/arp_ignore"
    ]
    assert fresh.play(sysctls=[values_of(SYSCTLS, missing_ok=True)], **options).done[1:] == [
        "net/ipv4/ip_forward is 1 now instead of 0"
    ]


@pytest.mark.parametrize("name", ["net.ipv4.conf.eth1/7.arp_ignore", "net/ipv4/conf/eth1.7/arp_ignore"])
def test_a_nic_with_a_dot_is_named_in_either_form(fresh, name):
    fresh.play(files=[file(SYSCTLS, name + " = 2 # why\n")], sysctls=[values_of(SYSCTLS)])
    assert fresh.text(ARP) == "2"


def test_a_value_that_is_not_wanted_any_more_comes_back(finished):
    """wireguard_mesh_lan_gateway was switched off."""
    options = {"files": [file(SYSCTLS, "# none\n")], "sysctls": [values_of(SYSCTLS, before=BEFORE)]}
    assert finished.play(check=True, **options).done[1:] == finished.play(**options).done[1:] != []
    assert (finished.text(FORWARD), finished.text(ARP)) == ("0", "0") and not os.path.exists(finished.at(BEFORE))
    finished.put(FORWARD, "1\n")  # somebody else's, such as Docker's
    assert finished.play(**options).done == [] and finished.text(FORWARD) == "1\n"


def test_a_nic_that_nobody_kept_a_value_of_gets_what_a_new_one_gets(fresh):
    os.makedirs(fresh.at("/proc/sys/net/ipv4/conf/default"))
    fresh.put("/proc/sys/net/ipv4/conf/default/arp_ignore", "2\n")
    options = {
        "files": [file(SYSCTLS, "net.ipv4.conf.eth1/7.arp_ignore = 1\nnet.ipv4.conf.gone.arp_ignore = 1\n")],
        "sysctls": [values_of(SYSCTLS, inherit="net/ipv4/conf/default", missing_ok=True)],
    }
    fresh.play(**options)
    assert fresh.text(ARP) == "1"
    fresh.play(**dict(options, state="absent"))
    assert fresh.text(ARP) == "2"
    fresh.put(ARP, "1\n")
    assert fresh.play(**dict(options, state="absent")).done == [] and fresh.text(ARP) == "1\n", (
        "it is somebody else's by now"
    )


def test_what_an_early_version_kept_without_changing_it_does_not_come_back(finished):
    finished.put(BEFORE, "net.ipv4.ip_forward=0\n")
    options = {"files": [file(SYSCTLS, "# none\n")], "sysctls": [values_of(SYSCTLS, before=BEFORE)]}
    finished.play(**options)
    assert finished.text(FORWARD) == "1" and not os.path.exists(finished.at(BEFORE))
    finished.put(BEFORE, "net.ipv4.ip_forward=0\n")
    finished.play(**dict(options, state="absent"))
    assert finished.text(FORWARD) == "0", "what leaves the site puts everything back"


def test_a_unit_that_does_not_start_is_told_with_what_was_done_before(fresh):
    fresh.programs[worlds.PROGRAM] = lambda words, stdin: worlds.site.Done(
        1, "started table.service\n", "sitelink: it failed\n"
    )
    assert refused(fresh, **layer()) == ["table.service, %s: it failed" % UNIT]


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"files": [file("etc/x")]}, "'etc/x': write the whole path, without . and .. in it"),
        ({"files": [file("/etc/../x")]}, "'/etc/../x': write the whole path, without . and .. in it"),
        ({"files": [file("/etc/x", mode="644")]}, '/etc/x: the mode 644 is none; write four octal digits in quotes, such as "0644"'),
        ({"files": [file("/etc/x", owner="nobody-at-all")]}, "/etc/x: its owner nobody-at-all is not on this site"),
        ({"files": [file("/etc/x", ours="[")]}, "/etc/x: ours: [ is no regular expression: unterminated character set at position 0"),
        ({"files": [file("/etc/x", validate=["check"])]}, "/etc/x: validate needs %s where the name of the file to check is to stand"),
        ({"files": [file("/etc/x"), file("/etc/x")]}, "/etc/x: it is wanted twice"),
        ({"sysctls": [values_of("/etc/x")]}, "/etc/x: sysctls names it, and it is none of the files with src or content"),
        ({"commands": [command("make")]}, "make: write either creates, or dry_run for one that says by itself what it changes"),
        ({"commands": [command("make", creates="/x", dry_run=["-n"])]}, "make: write either creates, or dry_run for one that says by itself what it changes"),
        ({"commands": [command("make", creates="/x", reads="/y")]}, "make: write %s where the name of the file in reads is to stand"),
        ({"commands": [command("make", "%s", creates="/x", reads="/y")]}, "make %s: reads names /y, and it is none of the files with src or content"),
        ({"may_fail": ["x.service"]}, "x.service: may_fail names it, and it is none of the units"),
        ({"files": [copy("/etc/x", "", sent=False, validate=["check", "%s"])]}, "/etc/x: validate looks at the content, which is not sent each time where it is given by copy"),
        ({"files": [dict(copy("/etc/x", "other", sent=True), sha256="1")]}, "/etc/x: what came from the controller has not the SHA-256 1"),
        ({"undo": [undo("/etc/x", before="x.service")]}, "undo: before names x.service, and it is none of the units"),
        ({"remains": ["/e*/x"]}, "'/e*/x': only the last part of a path may be a pattern, and not one of what lies in /"),
        ({"remains": ["/*"]}, "'/*': only the last part of a path may be a pattern, and not one of what lies in /"),
        ({"files": [file("/etc/x")], "state_files": ["/etc/*"]}, "/etc/x: it is one of the files, and state_files has it as well"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_meant_is_refused(world, options, problem):
    assert refused(world, **options) == [problem]


def test_an_owner_that_is_not_there_yet_is_no_problem_in_check_mode(world):
    world.play(check=True, files=[file("/etc/sitelink/x", owner="nobody-at-all")])


def test_what_is_as_stated_is_judged_so_and_a_look_changes_nothing(finished):
    before = finished.look()
    assert finished.judge(layer(), layer()) == ([], [])
    assert finished.judge() == (["nothing is stated of the site"], [])
    unsent = layer()
    unsent["files"][-1] = copy(CLIENT, "a client, one\n", sent=False)
    assert finished.judge(unsent) == ([], []), "what the controller has need not be sent"
    assert finished.judge(layer(), layer("two\n"), layer("three\n"))[0][:2] == [
        "layer-2: wrote " + CONFIG, "layer-2: wrote " + KEYS,
    ]  # fmt: skip
    assert finished.look() == before and finished.said == []


@pytest.mark.parametrize(
    "breaks, said",
    [
        (lambda world: world.put(CONFIG, "two\n"), "wrote " + CONFIG),
        (lambda world: os.chmod(world.at(KEYS), 0o644), "set the mode and the owner of " + KEYS),
        (lambda world: os.unlink(world.at(MADE)), "ran make " + MADE),
        (lambda world: world.put(FORWARD, "0\n"), "net/ipv4/ip_forward is 1 now instead of 0"),
        (lambda world: os.unlink(world.at(BEFORE)), "what %s keeps is to be written anew" % BEFORE),
        (lambda world: world.active.discard(UNIT), "started " + UNIT),
        (lambda world: world.enabled.discard(UNIT), "enableed " + UNIT),
        (lambda world: world.runs.update({UNIT: "older"}), "restarted " + UNIT),
        (lambda world: world.put("/etc/sitelink/gateway-eth9.json", ""), "removed /etc/sitelink/gateway-eth9.json"),
        (lambda world: os.rmdir(world.at("/var/lib/metrics/here")), "made the directory /var/lib/metrics/here"),
    ],
)
def test_each_thing_that_differs_is_told(finished, breaks, said):
    options = layer(remains=["/etc/sitelink/gateway-eth9.json"])
    assert finished.judge(options) == ([], [])
    breaks(finished)
    assert said in told(finished.judge(options))
    finished.play(**options)
    assert finished.judge(options) == ([], []), "a run has mended it"


def told(judged):
    assert judged[1] == [] and all(sentence.startswith("layer-1: ") for sentence in judged[0])
    return [sentence[len("layer-1: ") :] for sentence in judged[0]]


def test_what_gives_no_answer_differs_and_is_not_refused(finished):
    """Check mode lets it pass, as the program may not be there yet."""
    for code, argv in ((127, ["nothing", "%s"]), (2, ["odd", "%s"]), (1, ["check", "%s"])):
        finished.programs["odd"] = lambda words, stdin: worlds.site.Done(2, "", "no such option\n")
        text = "bad\n" if code == 1 else "one\n"
        finished.put(CONFIG, text)
        assert len(told(finished.judge({"files": [file(CONFIG, text, validate=argv)]}))) == 1, argv
    finished.put(CONFIG, "one\n")
    assert told(finished.judge(layer(units=["table.service"], program="nothing"))) == [
        "would see that table.service run what is written (nothing is not there)"
    ]
    assert told(finished.judge({"files": [file(CONFIG, mode="644")]}))[0].startswith(CONFIG + ": the mode 644")
    assert told(finished.judge({}, problems=["x is no option"])) == ["x is no option"]
    os.makedirs(finished.at("/etc/sitelink/directory"))
    assert told(finished.judge({"files": [file("/etc/sitelink/directory")]})) != []
    secrets = {"files": [secret(KEYS, "bad a-key\n", validate=["check", "%s"])]}
    assert "a-key" not in repr(finished.judge(secrets)) and finished.judge(secrets)[0] != []


def test_a_condition_that_does_not_hold_differs(finished):
    finished.programs["lease"] = lambda words, stdin: worlds.site.Done(int(words[0]), "10.1.2.3\n", "no address\n")
    assert finished.judge(layer(), conditions=[["lease", "0"]]) == ([], [])
    assert told(finished.judge(layer(), conditions=[["lease", "0"], ["lease", "3"]])) == ["lease 3: no address"]
    assert told(finished.judge(layer(), conditions=[["nothing"]])) == ["nothing: nothing is not there"]


def test_what_goes_is_judged_as_well(finished):
    gone = layer(state="absent")
    assert "removed " + CONFIG in told(finished.judge(gone))
    finished.play(**gone)
    assert finished.judge(gone) == ([], [])


def test_warnings_are_told_where_nothing_differs_and_by_the_run_elsewhere(finished):
    finished.play(**layer("odd\n"))
    assert finished.judge(layer("odd\n")) == ([], [CONFIG + " says: odd"])
    assert finished.judge(layer("odd\n"), layer("two\n"))[1] == []


def settled(text, **options):
    says = command("settle", "%s", MADE, reads=CONFIG, dry_run=["--dry-run"])
    return dict({"files": [file(CONFIG, text)], "commands": [says]}, **options)


def test_a_command_that_knows_what_is_to_be_done_is_asked_each_time(fresh):
    done = fresh.play(**settled("one\n"))
    assert done.done == ["wrote " + CONFIG, "settled " + MADE] and done.said == ["settled " + MADE]
    assert fresh.play(**settled("one\n")).done == []
    fresh.put(MADE, "somebody else's\n")
    assert fresh.play(**settled("one\n")).done == ["settled " + MADE] and fresh.text(MADE) == "one\n"
    assert refused(fresh, **settled("never\n")) == ["settle %s %s: it is never so" % (CONFIG, MADE)]


def test_check_mode_asks_it_about_what_would_be_written(fresh):
    fresh.play(**settled("one\n"))
    assert fresh.play(check=True, **settled("one\n")).done == []
    done = fresh.play(check=True, **settled("two\n"))
    assert done.said == ["settled " + MADE] and fresh.text(MADE) == fresh.text(CONFIG) == "one\n"
    assert refused(fresh, check=True, **settled("never\n")) == ["settle %s %s: it is never so" % (CONFIG, MADE)]


def test_an_undo_that_knows_what_is_to_be_done_says_it(fresh):
    fresh.play(**settled("one\n"))
    gone = settled("one\n", undo=[undo(MADE, argv=["unsettle", MADE], dry_run=["--dry-run"])], state="absent")
    checked = fresh.play(check=True, **gone)
    assert checked.done == ["unsettled " + MADE, "removed " + CONFIG] and fresh.text(MADE) == "one\n"
    assert told(fresh.judge(gone))[0] == "unsettled " + MADE
    done = fresh.play(**gone)
    assert done.done == checked.done and done.said == checked.said == ["unsettled " + MADE]
    assert not os.path.exists(fresh.at(MADE)) and fresh.play(**gone).done == []


def test_check_mode_says_that_a_program_would_run_which_is_not_there_yet(fresh):
    options = settled("one\n")
    options["commands"][0]["argv"][0] = "nowhere"
    done = fresh.play(check=True, **options)
    assert done.done == ["wrote " + CONFIG, "would run nowhere %s %s" % (CONFIG, MADE)] and done.said == []


def test_a_command_that_knows_what_is_to_be_done_is_judged_by_what_it_says(fresh):
    fresh.play(**settled("one\n"))
    assert fresh.judge(settled("one\n")) == ([], [])
    fresh.put(MADE, "somebody else's\n")
    assert told(fresh.judge(settled("one\n"))) == ["settled " + MADE] and fresh.text(MADE) == "somebody else's\n"
    options = settled("one\n")
    options["commands"][0]["argv"][0] = "nowhere"
    assert told(fresh.judge(options)) == ["would run nowhere %s %s" % (CONFIG, MADE)]
