# SPDX-License-Identifier: GPL-3.0-or-later
"""When the operator's command is run, and with what. The metrics: tests/metrics."""

import json
import os

import pytest

from sitelink import config, metrics, state, status, watch

from test_parts import put

SETTINGS = {"textfile": "", "command": [], "interval": 15, "settle": 60, "pause": 600, "language": "zh"}


OK = frozenset()
FAULT = frozenset([("peer", "site-b")])
WORSE = FAULT | {("firewall", "eth1")}


class TestHealth:
    def test_a_change_is_told_once_it_has_lasted(self):
        health = watch.Health(60, 600)
        assert [health.change(OK, now) for now in (0, 100)] == [False, False]  # nothing happened
        assert [health.change(FAULT, now) for now in (110, 125, 169, 170, 185)] == [False, False, False, True, False]

    def test_a_flap_is_no_change(self):
        health = watch.Health(60, 0)
        seen = [health.change(value, now) for now, value in enumerate([FAULT, OK] * 100)]
        assert not any(seen)

    def test_not_more_often_than_wanted_and_then_what_is(self):
        health = watch.Health(0, 600)
        assert health.change(FAULT, 1000)
        assert not health.change(OK, 1100) and not health.change(OK, 1599)
        assert health.change(OK, 1600)
        assert not health.change(FAULT, 1700) and not health.change(OK, 2300)  # it recovered in the meantime

    def test_a_second_fault_is_news(self):
        health = watch.Health(0, 600)
        assert health.change(FAULT, 0) and not health.change(FAULT, 5000)
        assert health.change(WORSE, 6000) and not health.change(WORSE, 9000) and health.change(FAULT, 9001)

    @pytest.mark.parametrize(
        "told, seen, news",
        [(FAULT, OK, True), (FAULT, WORSE, True), (WORSE, FAULT, True), (OK, FAULT, True), (FAULT, FAULT, False), (OK, OK, False)],
        ids=["healed", "worse", "better", "new", "the same", "well"],
    )  # fmt: skip
    def test_a_daemon_that_starts_anew_tells_what_is_not_as_it_was_told(self, told, seen, news):
        health = watch.Health(60, 600, told)
        assert [health.change(seen, now) for now in (5, 30, 64, 65, 80, 1000)] == [False] * 3 + [news] + [False] * 2


class Loop:
    class notifier:
        send = status = staticmethod(lambda *words: None)

    def every(self, seconds, callback):
        self.again = callback


@pytest.fixture
def hook(directories):
    """A command that keeps what it was told, and the settings with it."""
    told = str(directories / "told")
    command = ["/bin/sh", "-c", "cat > %s; env | grep ^SITELINK_ | sort >> %s" % (told, told)]
    return told, dict(SETTINGS, command=command, settle=0, textfile=str(directories / "x" / "sitelink.prom"))


def test_the_command_is_told_in_the_language_asked_for(directories, hook):
    """Without a configuration every site is ill."""
    told, settings = hook
    daemon = watch.Daemon(settings, Loop())
    with open(told) as file:
        text = file.read()
    assert text.startswith(status.collect()["site"] + ": [config] 这个站点没有")
    assert "SITELINK_HEALTH=fault\nSITELINK_LAYER=config\n" in text and "SITELINK_TEXT=" in text
    os.unlink(told)
    daemon.look()
    assert not os.path.exists(told)  # nothing changed
    with open(settings["textfile"]) as file:
        assert 'sitelink_faults{layer="gateway"} 1' in file.read()


class TestWhatWasToldIsKept:
    """The daemon starts anew: with a run of the playbook that mends a fault, or after a reboot."""

    @pytest.fixture
    def site(self, hook, monkeypatch):
        """Starts a daemon at a site with these faults; gives what its command is told, "" for nothing."""
        told, settings = hook

        def start(faults, **changes):
            report = dict(status.collect(), faults=[
                {"layer": layer, "subject": subject, "message": "m", "site": "s"} for layer, subject in sorted(faults)
            ])  # fmt: skip
            monkeypatch.setattr(status, "collect", lambda: report)
            monkeypatch.setattr(watch.doctor, "examine", lambda: (report, []))
            if os.path.exists(told):
                os.unlink(told)
            watch.Daemon(dict(settings, **changes), Loop())
            if not os.path.exists(told):
                return ""
            with open(told) as file:
                return file.read().partition("SITELINK_HEALTH=")[2].split()[0]

        return start

    def test_all_is_well_again(self, site):
        assert [site(FAULT), site(OK), site(OK)] == ["fault", "ok", ""]

    def test_a_fault_is_told_once_and_a_new_one_at_any_time(self, site):
        assert [site(FAULT), site(FAULT), site(WORSE), site(WORSE), site(FAULT)] == ["fault", "", "fault", "", "fault"]
        assert [site(OK), site(FAULT)] == ["ok", "fault"]

    def test_where_nothing_was_told_nothing_is_taken_back(self, site):
        assert [site(OK), site(OK)] == ["", ""]

    @pytest.mark.parametrize("command", [["/no/such/program"], ["/bin/false"]])
    def test_what_the_command_did_not_take_was_not_told(self, site, command):
        assert [site(FAULT, command=command), site(OK, command=command)] == ["", ""]
        assert site(FAULT) == "fault"
        assert [site(OK, command=command), site(OK)] == ["", "ok"]

    def test_a_command_that_fails_is_run_again_by_the_next_daemon(self, site, hook):
        shell, option, script = hook[1]["command"]
        fails, works = [[shell, option, script + "; test -e %s" % word] for word in ("/no/such", "/")]
        assert [site(FAULT, command=fails) for _ in range(3)] == ["fault"] * 3
        assert [site(FAULT, command=works) for _ in range(3)] == ["fault", "", ""]

    def test_another_command_knows_nothing_of_it(self, site, hook):
        _, settings = hook
        other = settings["command"] + ["x"]
        assert site(FAULT) == "fault"
        assert site(OK, command=other) == ""
        assert [site(FAULT, command=other), site(FAULT, command=other)] == ["fault", ""]

    def test_without_a_command_nothing_is_kept(self, site):
        site(FAULT, command=[])
        assert not os.path.exists(os.path.join(config.LIB, "watch.json"))

    @pytest.mark.parametrize("spoil", [
        "", "{", "[]", "null", "\x00", '{"command": 5}', "{}", '{"command": "DIGEST"}', '{"command": "DIGEST", "faults": 5}',
        '{"command": "DIGEST", "faults": {"peer": "site-b"}}', '{"command": "DIGEST", "faults": ["peer", 5, null, [], ["peer"]]}',
        '{"command": "DIGEST", "faults": [[["peer"], "site-b"], [5, null], {"a": 1}, ["a", "b", "c"]]}',
    ])  # fmt: skip
    def test_a_damaged_file_is_as_none(self, site, spoil):
        assert site(FAULT) == "fault"
        path = os.path.join(config.LIB, "watch.json")
        with open(path) as file:
            digest = json.load(file)["command"]
        with open(path, "w") as file:
            file.write(spoil.replace("DIGEST", digest))
        assert [site(OK), site(FAULT), site(OK)] == ["", "fault", "ok"]

    def test_a_full_disk_ends_no_daemon(self, site, monkeypatch, capsys):
        put(os.path.join(config.LIB, "file"), "x")
        monkeypatch.setattr(config, "LIB", os.path.join(config.LIB, "file"))
        assert site(FAULT) == "fault" and "watch.json cannot be written" in capsys.readouterr().err


def test_a_command_that_fails_stops_nothing(directories, hook, capsys):
    _, settings = hook
    for command in (["/no/such/program"], ["/bin/false"]):
        watch.Daemon(dict(settings, command=command), Loop())
    said = capsys.readouterr().err
    assert "/no/such/program could not be run" in said and "/bin/false ended with 1" in said


def test_a_textfile_that_cannot_be_written_stops_nothing(directories, capsys):
    put(str(directories / "file"), "x")
    watch.Daemon(dict(SETTINGS, textfile=str(directories / "file" / "sitelink.prom")), Loop())
    assert "sitelink.prom cannot be written" in capsys.readouterr().err


def test_settings(directories):
    put(os.path.join(config.ETC, "watch.json"), SETTINGS)
    assert watch.load() == SETTINGS
    for change, words in (({"language": "de"}, "language must be"), ({"interval": "x"}, "watch.json")):
        put(os.path.join(config.ETC, "watch.json"), dict(SETTINGS, **change))
        with pytest.raises(config.ConfigError, match=words):
            watch.load()


def test_a_textfile_is_replaced_in_one_step(directories):
    path = str(directories / "run" / "a.prom")
    assert state.write_text(path, "a 1\n") and not state.write_text(path, "a 1\n")
    assert os.stat(path).st_mode & 0o777 == 0o644 and os.listdir(os.path.dirname(path)) == ["a.prom"]


def test_labels_are_escaped_and_values_are_numbers():
    text = metrics.Text()
    text.add("x", "Help.", True, name='a"b\\c\nd')
    text.add("x", "Help.", 0.5, name="e")
    text.add("y", "None is nothing.", None)
    assert str(text).splitlines()[2:] == ['sitelink_x{name="a\\"b\\\\c\\nd"} 1', 'sitelink_x{name="e"} 0.5']
    assert json.dumps(str(text))
