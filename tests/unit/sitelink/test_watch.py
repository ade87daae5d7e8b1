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
