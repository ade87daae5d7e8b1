# SPDX-License-Identifier: GPL-3.0-or-later
"""A benchmark whose events did not happen says so by its exit code: what a script calls may rely on it."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[3] / "bench"
NAMES = sorted(path.name for path in BENCH.iterdir() if path.is_file())


@pytest.fixture
def load(monkeypatch):
    """A benchmark as a module, to be given a world of straw."""

    def found(name, *arguments):
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        loader = importlib.machinery.SourceFileLoader("bench_" + name.partition(".")[0], str(BENCH / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(module)
        return module

    return found


def code(module):
    """What the shell would be told."""
    try:
        value = module.main()
    except SystemExit as end:
        value = end.code
    return value if isinstance(value, int) else int(value is not None)


@pytest.mark.parametrize("name", NAMES)
def test_what_main_says_is_the_exit_code(name):
    assert (BENCH / name).read_text().endswith('\n\nif __name__ == "__main__":\n    sys.exit(main())\n')


def nothing(*_, **__):
    return None


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [
        ([0.5, 0.7], [12.0, None], 0),
        ([0.5, 0.7], [None, None], 0),  # that is what the comparison shows
        ([0.5, None], [12.0], 1),
        ([None], [12.0], 1),
        ([], [12.0], 1),
        ([0.5], [], 1),
        ([0.0], [12.0], 0),
    ],
)
def test_heal(load, monkeypatch, ours, theirs, expected, capsys):
    heal = load("heal", "--runs", "1", "--article-runs", "1", "one")
    monkeypatch.setattr(heal.mesh_watch, "Watch", nothing)
    monkeypatch.setattr(heal.cli, "size", lambda: 3)
    monkeypatch.setattr(heal.signal, "signal", nothing)
    monkeypatch.setattr(heal, "wait_quiet", nothing)
    for way in (heal.Sitelink, heal.Article):
        for name in ("start", "stop", "recover"):
            monkeypatch.setattr(way, name, nothing)
    monkeypatch.setattr(
        heal, "EVENTS", {"one": ("one", lambda way, limit: ours if way.name == heal.Sitelink.name else theirs, 1, 1)}
    )
    assert code(heal) == expected
    assert "one" in capsys.readouterr().out


def test_heal_runs_each_event_as_often_as_its_figure_takes(load, monkeypatch):
    heal = load("heal", "--article-runs", "0")
    monkeypatch.setattr(heal.mesh_watch, "Watch", nothing)
    monkeypatch.setattr(heal.cli, "size", lambda: 3)
    monkeypatch.setattr(heal.signal, "signal", nothing)
    monkeypatch.setattr(heal, "wait_quiet", nothing)
    for name in ("start", "stop"):
        monkeypatch.setattr(heal.Sitelink, name, nothing)
    run = []
    events = {
        name: (name, lambda way, limit, name=name: run.append(name) or [0.5], 1, number)
        for name, number in (("a", 3), ("b", 2))
    }
    monkeypatch.setattr(heal, "EVENTS", events)
    assert code(heal) == 0 and run == ["a", "a", "a", "b", "b"]


def test_heal_without_any_run(load, monkeypatch):
    heal = load("heal", "--runs", "0", "--article-runs", "0", "one")
    monkeypatch.setattr(heal.mesh_watch, "Watch", nothing)
    monkeypatch.setattr(heal.cli, "size", lambda: 3)
    monkeypatch.setattr(heal.signal, "signal", nothing)
    assert code(heal) == 1


@pytest.mark.parametrize("packets, expected", [((40, 38), 0), ((0, 38), 1), ((40, 0), 1)])
def test_idle(load, monkeypatch, packets, expected):
    idle = load("idle", "--minutes", "1")
    rows = iter([(count * 100, count, 0) for count in packets])
    monkeypatch.setattr(idle.cli, "size", lambda: 3)
    monkeypatch.setattr(idle.podman, "execute", nothing)
    monkeypatch.setattr(idle.time, "sleep", nothing)
    monkeypatch.setattr(idle, "measure", lambda *_: next(rows))
    assert code(idle) == expected


@pytest.mark.parametrize("tunnel, expected", [(94e6, 0), (0, 1)])
def test_link(load, monkeypatch, tunnel, expected):
    link = load("link", "--runs", "1")
    answers = {"address": "10.1.1.1", "address show": "192.168.11.2"}

    def execute(name, command):
        if "iperf3 --client" in command:
            rate = tunnel if "192.168.11.2" in command else 98e6
            return SimpleNamespace(stdout=json.dumps({"end": {"sum_received": {"bits_per_second": rate}}}))
        return SimpleNamespace(stdout=next((text for word, text in sorted(answers.items()) if word in command), ""))

    monkeypatch.setattr(link.cli, "size", lambda: 3)
    monkeypatch.setattr(link.podman, "execute", execute)
    monkeypatch.setattr(link.subprocess, "run", nothing)
    monkeypatch.setattr(link.time, "sleep", nothing)
    monkeypatch.setattr(
        link, "said", lambda name, command: "192.168.11.2" if "wg0" in command else execute(name, command).stdout
    )
    assert code(link) == expected


@pytest.mark.parametrize("rate, expected", [(94e6, 0), (0, 1)])
def test_exit(load, monkeypatch, rate, expected):
    bench = load("exit", "--runs", "1")
    said = json.dumps({"end": {"sum_received": {"bits_per_second": rate}}})
    monkeypatch.setattr(bench.cli, "size", lambda: 3)
    monkeypatch.setattr(bench.podman, "execute", lambda *_: SimpleNamespace(stdout=said))
    monkeypatch.setattr(bench.internet, "suspend", nothing)
    monkeypatch.setattr(bench.time, "sleep", nothing)
    monkeypatch.setattr(bench, "wait_for", nothing)
    monkeypatch.setattr(bench, "shape", nothing)
    assert code(bench) == expected


def test_exit_that_is_not_used(load, monkeypatch):
    bench = load("exit", "--runs", "1")
    monkeypatch.setattr(bench, "WAIT", 0)
    monkeypatch.setattr(bench, "used", lambda: None)
    monkeypatch.setattr(bench.time, "sleep", nothing)
    with pytest.raises(SystemExit, match="uses the internet of None"):
        bench.wait_for("site-a")


@pytest.mark.parametrize(
    "counts, play, expected", [((100, 0), 0, 0), ((100, 7), 0, 0), ((100, 0), 2, 2), ((0, -1), 0, 1)]
)
def test_loss(load, monkeypatch, tmp_path, counts, play, expected):
    monkeypatch.setenv("SITELINK_LAB_STATE", str(tmp_path))
    loss = load("loss", "--unchanged", "site-a", "site-b")

    class Pings(dict):
        def __init__(self, pairs):
            super().__init__(dict.fromkeys(pairs, (50, 0)))
            self[("site-a", "site-b")] = counts

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(loss, "pings", Pings)
    monkeypatch.setattr(loss.time, "sleep", nothing)
    monkeypatch.setattr(
        loss.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], play, "PLAY RECAP ***", "")
    )
    assert code(loss) == expected


@pytest.mark.parametrize("ended, expected", [((0, "1.25\n"), 0), ((1, ""), 1)])
def test_ddns(load, monkeypatch, ended, expected):
    ddns = load("ddns", "1")

    class Watch:
        returncode = ended[0]
        stdout = SimpleNamespace(readline=nothing)

        def __init__(self, *_, **__):
            pass

        def communicate(self, timeout):
            return ended[1], ""

    monkeypatch.setattr(ddns.subprocess, "Popen", Watch)
    monkeypatch.setattr(ddns, "lab", nothing)
    assert code(ddns) == expected


@pytest.mark.parametrize(
    "name, arguments",
    [("ddns", ["0"]), ("flush", ["0"]), ("gateway", ["--changes", "0"]), ("mesh_plan", ["--play"])],
)
def test_nothing_asked_for_is_nothing_measured(load, monkeypatch, name, arguments):
    bench = load(name, *arguments)
    if name == "mesh_plan":
        monkeypatch.setattr(bench.argparse.ArgumentParser, "parse_args", lambda *_: SimpleNamespace(count=[], play=[]))
    assert code(bench) not in (0, None)


def test_gateway_that_never_gets_its_route(load, monkeypatch):
    gateway = load("gateway", "--changes", "1", "--article-changes", "0", "--idle", "0", "--silences", "0")
    monkeypatch.setattr(gateway, "SETTLED", 0)
    monkeypatch.setattr(gateway.cli, "size", lambda: 3)
    monkeypatch.setattr(gateway.time, "sleep", nothing)
    monkeypatch.setattr(gateway.carrier, "renumber", nothing)
    watch = SimpleNamespace(times=[], stop=nothing)
    monkeypatch.setattr(gateway, "Watch", lambda name: watch)
    assert code(gateway) == 1
    for milliseconds in (3.2, 0.0):  # at once: the ratio to it is none
        watch.times = [milliseconds]
        assert code(gateway) == 0


def test_gateway_whose_daemon_never_gets_right(load, monkeypatch):
    gateway = load("gateway")
    monkeypatch.setattr(gateway, "SETTLED", 0)
    with pytest.raises(SystemExit, match="the right state"):
        gateway.wait_for(lambda: False, "the right state", 0)


def test_a_peer_that_was_made_anew_is_heard_though_it_counts_to_where_it_was(load, monkeypatch):
    """The counters of a session like the one before come to the same number of bytes."""
    watch = object.__new__(load("heal").mesh_watch.Watch)
    watch.names = ["site-a", "site-b"]
    then, anew = ("308", "1", "0"), ("308", "9", "0")
    looks = {
        "site-a": iter([{"site-b": then}, {}, {"site-b": anew}, {"site-b": anew}]),
        "site-b": iter([{"site-a": then}, {"site-a": then}, {"site-a": then}, {"site-a": anew}]),
    }
    last = {"site-a": {"site-b": anew}, "site-b": {"site-a": anew}}
    monkeypatch.setattr(watch, "received", lambda name: next(looks[name], last[name]), raising=False)
    asked = []
    answer = SimpleNamespace(done=lambda: True, result=lambda: True)
    monkeypatch.setattr(
        watch,
        "asked",
        lambda *pair: asked.append(next(looks["site-b"], "after the last look")) or answer,
        raising=False,
    )
    found = watch.through([("site-a", "site-b")], 5)
    assert asked == ["after the last look"] and found["site-a", "site-b"] is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces")
def test_idle_counts_by_rules_that_nft_takes(load):
    """`all`, the name of its chain, is a word of nft's language."""
    done = subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", "-"],
        input=load("idle").DNS, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
