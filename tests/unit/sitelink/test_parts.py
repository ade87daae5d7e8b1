# SPDX-License-Identifier: GPL-3.0-or-later
"""The small parts: configuration, state files, log, loop, notification, lookups, echo requests, command line."""

import collections
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from sitelink import cli, config, icmp, log, loop, notify, resolve, state, status

from throwaway import FILES, LIMIT

MESH = {
    "mesh": "sitelink", "site": "site-a", "interface": "wg0", "underlay_interface": "eth1", "networks": ["10.0.0.0/7"],
    "port": 22000, "fwmark": 305, "mtu": 1420, "keepalive": 25, "addresses": ["192.168.11.1/24"], "lan_subnets": [],
    "public_key": "k", "peers": [
        {"name": "site-b", "public_key": "kb", "address": "192.168.11.2", "allowed_ips": ["192.168.11.2/32"],
         "endpoint": {"host": "site-b.lab.test", "port": 22000},
         "seeds": []},
    ],
}  # fmt: skip


def put(path, data):
    with open(str(path), "w") as file:
        file.write(data if isinstance(data, str) else json.dumps(data))


class TestConfig:
    def test_both_kinds(self, directories, gateway_json):
        put(config.gateway_path("eth1"), gateway_json)
        put(config.mesh_path("wg0"), MESH)
        assert config.load_gateway("eth1").gateway == config.FIRST_HOST
        assert config.load_mesh("wg0").peers[0].endpoint == ("site-b.lab.test", 22000)
        assert (config.configured("gateway"), config.configured("mesh")) == (["eth1"], ["wg0"])

    def test_a_plan_of_an_earlier_version_is_read(self, directories):
        """A run that brings a site up to date starts today's daemon with it, before it writes the plan anew."""
        earlier = {key: value for key, value in MESH["peers"][0].items() if key != "seeds"}
        put(config.mesh_path("wg0"), dict(MESH, peers=[earlier]))
        plan = config.load_mesh("wg0")
        assert (plan.peers[0].seeds, plan.peers[0].external, plan.uplink, plan.exit) == ([], False, "", None)

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"networks": []}, "is empty"),
            ({"networks": ["10.0.0.1/7"]}, "is not a list of IPv4 networks"),
            ({"networks": None}, "is not a list"),
            ({"table": 0}, "table must be a whole number"),
            ({"table": True}, "table must be a whole number"),
            ({"fwmark": "305"}, "fwmark must be"),
            ({"priority": 32766}, "priority must be"),
            ({"gateway": "leased"}, "first_host, lease or an IPv4 address"),
            ({"interface": "eth2"}, "eth2"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_file(self, directories, gateway_json, change, words):
        path = config.gateway_path("eth1")
        put(path, dict(gateway_json, **change))
        with pytest.raises(config.ConfigError) as caught:
            config.load_gateway("eth1")
        assert words in str(caught.value) and path in str(caught.value)

    @pytest.mark.parametrize("host", ["-oops", "a b", "a..b", "", "x" * 300, "a/b", "a.-b"])
    def test_a_host_that_could_be_an_option_is_refused(self, directories, host):
        peer = dict(MESH["peers"][0], endpoint={"host": host, "port": 22000})
        put(config.mesh_path("wg0"), dict(MESH, peers=[peer]))
        with pytest.raises(config.ConfigError, match="neither a host name"):
            config.load_mesh("wg0")

    def test_files_that_are_none(self, directories):
        with pytest.raises(config.ConfigError, match="cannot be read: No such file"):
            config.load_gateway("eth1")
        for text in ("", "[]", "{", "{}"):
            put(config.gateway_path("eth1"), text)
            with pytest.raises(config.ConfigError, match="gateway-eth1.json"):
                config.load_gateway("eth1")

    def test_networks(self):
        assert config.inside("11.255.255.255", config.networks(["10.0.0.0/7"]))
        assert not config.inside("12.0.0.0", config.networks(["10.0.0.0/7"]))
        one, two = config.networks(["10.0.0.0/8", "10.1.0.0/16"])
        assert config.within(two, one) and config.within(one, one) and not config.within(one, two)


class TestState:
    def test_written_only_when_changed(self, tmp_path):
        path = str(tmp_path / "run" / "x.json")
        assert state.write_json(path, {"a": "桥接"}) is True
        before = os.stat(path)
        assert state.write_json(path, {"a": "桥接"}) is False
        assert os.stat(path).st_ino == before.st_ino and before.st_mode & 0o777 == 0o644
        assert state.write_json(path, {"a": 2}) is True
        assert state.read_json(path) == {"a": 2} and os.listdir(os.path.dirname(path)) == ["x.json"]

    def test_damage_is_emptiness(self, tmp_path):
        for text in ("", "[1]", '{"a"', "\0"):
            put(tmp_path / "x", text)
            assert state.read_json(str(tmp_path / "x")) == {}
        assert state.read_json(str(tmp_path / "none")) == {}

    def test_locks_tell_who_runs(self, tmp_path):
        path = str(tmp_path / "x.lock")
        assert not state.is_locked(path)
        held = state.lock(path)
        assert state.is_locked(path) and state.lock(path) is None
        held.close()
        assert not state.is_locked(path)


def test_log_lines_are_one_line_with_a_priority_for_the_journal(capsys, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.log(log.WARNING, "two\nlines")
    assert capsys.readouterr().err == "<4>two lines\n"
    monkeypatch.delenv("JOURNAL_STREAM")
    log.log(log.WARNING, "plain")
    assert capsys.readouterr().err == "plain\n"


def test_notify(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
        notifier = notify.Notifier(environ)
        assert environ == {} and notifier.watchdog == 20
        notifier.send("READY=1")
        notifier.status("all\nwell")
        assert (manager.recv(99), manager.recv(99)) == (b"READY=1", b"STATUS=all well")
    notifier.send("WATCHDOG=1")  # nobody listens any more
    assert notify.Notifier({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).watchdog is None


@pytest.fixture
def running_loop():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    made = loop.Loop()
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)


class TestLoop:
    def test_timers_files_and_signals(self, running_loop):
        seen = []
        one, other = socket.socketpair()
        running_loop.watch(one, lambda: (seen.append(one.recv(9)), os.kill(os.getpid(), signal.SIGHUP)))
        running_loop.on_signal(signal.SIGHUP, lambda: (seen.append("HUP"), os.kill(os.getpid(), signal.SIGTERM)))
        running_loop.after(0.05, lambda: seen.append("never")).cancel()
        running_loop.after(0.02, lambda: seen.append("second"))
        running_loop.after(0.01, lambda: seen.append("first"))
        running_loop.after(0.05, lambda: other.send(b"data"))
        running_loop.run()
        assert seen == ["first", "second", b"data", "HUP"]
        one.close()
        other.close()

    def test_a_loop_that_hangs_gives_no_sign_of_life(self, tmp_path, monkeypatch, request):
        """Only the loop itself may say that it lives: systemd ends and starts anew who does not (WatchdogSec)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(LIMIT)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            monkeypatch.setenv("WATCHDOG_USEC", "30000")  # a sign of life every 10 ms
            monkeypatch.delenv("WATCHDOG_PID", raising=False)
            running_loop = request.getfixturevalue("running_loop")
            heard = []

            def hang():
                manager.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        heard.append(manager.recv(99))
                time.sleep(1)  # the span in which a hundred would come: no wait for anything
                with pytest.raises(BlockingIOError):
                    manager.recv(99)
                manager.settimeout(LIMIT)
                heard.append("hung")
                running_loop.after(0.05, running_loop.stop)

            running_loop.after(0.05, hang)
            running_loop.run()
            assert heard[0] == b"WATCHDOG=1" and heard[-1] == "hung"
            assert manager.recv(99) == b"WATCHDOG=1"

    def test_every(self, running_loop):
        ticks = []
        running_loop.every(0.01, lambda: ticks.append(1) if len(ticks) < 3 else running_loop.stop())
        running_loop.run()
        assert len(ticks) == 3


class TestResolve:
    def test_parse(self):
        text = "10.1.1.1     STREAM site-b.lab.test\n10.1.1.1     DGRAM  \n10.2.2.2 RAW\nfe80::1 STREAM\n\njunk\n"
        assert resolve.parse(text) == ["10.1.1.1", "10.2.2.2"]

    def lookup(self, made, tmp_path, monkeypatch, *hosts, timeout=LIMIT, release_after=()):
        """{host: (addresses, reason)} in the order of the answers. Slow names wait until those of release_after have theirs."""
        path = tmp_path / "getent"
        path.write_text(
            '#!/bin/sh\n[ "$1" = ahostsv4 ] || exit 1\ncase "$2" in\n'
            'good*) echo "10.1.1.1 STREAM $2";;\nslow*) until [ -e %s/released ]; do sleep 0.2; done; exit 2;;\n'
            "*) exit 2;;\nesac\n" % tmp_path
        )
        path.chmod(0o755)
        monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
        monkeypatch.setattr(resolve, "TIMEOUT", timeout)
        resolver, answers = resolve.Resolver(made), collections.OrderedDict()

        def answered(host, addresses, reason):
            answers[host] = (addresses, reason)
            if answers.keys() >= set(release_after):
                (tmp_path / "released").write_text("")
            if len(answers) == len(hosts):
                made.stop()

        for host in hosts:
            resolver.lookup(host, lambda *answer, host=host: answered(host, *answer))
        made.after(LIMIT, made.stop)
        made.run()
        return answers

    def test_a_silent_name_delays_no_other(self, running_loop, tmp_path, monkeypatch):
        slow = ["slow%d" % number for number in range(20)]
        answers = self.lookup(running_loop, tmp_path, monkeypatch, *slow, "bad", "good", release_after=["bad", "good"])
        assert set(list(answers)[:2]) == {"bad", "good"} and len(answers) == 22
        assert answers["good"][0] == ["10.1.1.1"]
        assert answers["bad"][0] == [] and "bad has no IPv4 address" in answers["bad"][1]

    def test_a_silent_name_is_given_up(self, running_loop, tmp_path, monkeypatch):
        answers = self.lookup(
            running_loop, tmp_path, monkeypatch, "slow1", "slow2", timeout=0.2, release_after=["never"]
        )
        (tmp_path / "released").write_text("")
        assert [addresses for addresses, _ in answers.values()] == [[], []]
        assert all("did not answer for slow%d within" % number in answers["slow%d" % number][1] for number in (1, 2))

    def test_more_names_than_children(self, running_loop, tmp_path, monkeypatch):
        monkeypatch.setattr(resolve, "AT_ONCE", 3)
        names = ["good%d" % number for number in range(30)]
        answers = self.lookup(running_loop, tmp_path, monkeypatch, *names)
        assert len(answers) == 30 and all(answer[0] for answer in answers.values())

    def test_without_getent(self, running_loop, monkeypatch):
        monkeypatch.setenv("PATH", "/nonexistent")
        answers = []
        resolve.Resolver(running_loop).lookup("x", lambda *answer: (answers.append(answer), running_loop.stop()))
        running_loop.run()
        assert answers[0][0] == [] and "getent" in answers[0][1]


class TestIcmp:
    def test_checksum(self):
        assert icmp.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # the example of RFC 1071
        data = struct.pack("!BBHHH", 8, 0, 0, 1, 2) + b"odd"
        assert icmp.checksum(data[:2] + struct.pack("!H", icmp.checksum(data)) + data[4:]) == 0

    def test_ping(self, namespaces, monkeypatch):
        namespace = namespaces()
        namespace.sh("ip addr add 192.168.11.1/24 dev lo; ip addr add 192.168.11.2/24 dev lo")
        with namespace.entered():
            with monkeypatch.context() as patch:
                waited, select = [], icmp.select.select
                patch.setattr(
                    icmp.select, "select", lambda *args: waited.append(select(*args)[0]) or (waited[-1], [], [])
                )
                found = icmp.ping(["192.168.11.1", "192.168.11.2"], "lo", LIMIT)
            assert waited and all(waited)  # no waiting when all have answered
            assert all(value >= 0 for value in found.values()) and len(found) == 2
            assert icmp.ping(["192.168.11.2", "203.0.113.1"], "lo", 0.2)["203.0.113.1"] is None
            assert icmp.ping([], "lo") == {}
            with icmp.Echo("lo") as echo:
                assert echo.parse(b"", "x") is None and echo.parse(b"\x45" * 20, "x") is None
                assert echo.parse(b"\x4f" + b"\0" * 40, "x") is None
                reply = b"\x45" + b"\0" * 19 + struct.pack("!BBHHH", 0, 0, 0, echo._id, 7)
                assert echo.parse(reply + echo._token, "x") == ("x", 7)
                assert echo.parse(reply + b"another's token!", "x") is None

    def test_clocks(self, namespaces, monkeypatch):
        """The kernel answers with its own time; whole days do not show."""
        namespace = namespaces()
        namespace.sh("ip addr add 192.168.11.1/24 dev lo; ip addr add 192.168.11.2/24 dev lo")
        now = time.time
        with namespace.entered():
            for ahead, shown in ((0, 0), (8 * 3600, -8 * 3600), (-5 * 86400 - 60, 60)):
                monkeypatch.setattr(icmp.time, "time", lambda ahead=ahead: now() + ahead)
                found = icmp.clocks(["192.168.11.1", "192.168.11.2"], "lo")
                assert sorted(found) == ["192.168.11.1", "192.168.11.2"]
                assert all(abs(seconds - shown) < 30 for seconds in found.values())
            assert icmp.clocks(["203.0.113.1"], "lo", 0.2) == {} and icmp.clocks([], "lo") == {}
            with icmp.Clock("lo") as clock:
                reply = b"\x45" + b"\0" * 19 + struct.pack("!BBHHH", 14, 0, 0, clock._id, 0) + clock._token
                assert clock.parse(reply + struct.pack("!II", 0, 5000), "x") == ("x", 5.0)
                assert clock.parse(reply + struct.pack("!II", 0, 1 << 31), "x") is None  # a time of no standard
                assert clock.parse(reply + b"short", "x") is None and clock.parse(b"", "x") is None


class TestCommandLine:
    def test_usage(self, capsys):
        for arguments in ([], ["nonsense"], ["address", "../etc"], ["gateway", "eth1 "]):
            with pytest.raises(SystemExit) as caught:
                cli.main(arguments)
            assert caught.value.code == 2
        with pytest.raises(SystemExit):
            cli.main(["--version"])
        assert capsys.readouterr().out == "sitelink 0.1.0\n"

    @pytest.mark.parametrize("command", ["address eth1", "gateway eth1", "gateway eth1 --remove", "mesh wg0"])
    def test_without_configuration(self, directories, capsys, command):
        assert cli.main(command.split()) == 1
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "cannot be read" in err

    def test_chinese_in_the_c_locale(self, namespaces):
        namespace = namespaces()
        namespace.sh("ip link add eth1 type veth peer name ont; ip link set eth1 up; ip link set ont up")
        done = subprocess.run(
            ["ip", "netns", "exec", namespace.name, sys.executable, "-m", "sitelink", "address", "eth1", "--network", "10.0.0.0/7"],
            env={"LC_ALL": "C", "PATH": os.environ["PATH"], "PYTHONPATH": FILES, "PYTHONCOERCECLOCALE": "0",
                 "PYTHONUTF8": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert done.returncode == 1 and "桥接" in done.stderr.decode("utf-8")


class TestStatus:
    def test_nothing_configured(self, directories):
        assert "run the playbook" in status.collect()["faults"][0]["message"]

    def test_daemons_that_do_not_run_are_faults(self, directories, gateway_json):
        put(config.gateway_path("no-such-nic0"), dict(gateway_json, interface="no-such-nic0"))
        put(config.mesh_path("no-such-wg0"), dict(MESH, interface="no-such-wg0"))
        put(config.gateway_path("broken"), "{")
        result = status.collect(probe=True)
        assert result["site"] == "site-a"
        said = {(fault["layer"], fault["subject"]): fault["message"] for fault in result["faults"]}
        assert "there is no NIC no-such-nic0" in said["address", "no-such-nic0"]
        assert "systemctl start sitelink-gateway@no-such-nic0" in said["gateway", "no-such-nic0"]
        assert "systemctl start sitelink-mesh@no-such-wg0" in said["mesh", "no-such-wg0"]
        assert "is not JSON" in said["gateway", "broken"]
        peer = result["mesh"][0]["peers"][0]
        assert (peer["alive"], peer["endpoint"], peer["endpoint_source"], peer["nic"]) == (False, None, "none", None)
        text = status.render(result)
        assert "DEAD" in text and "Faults:" in text
        json.dumps(result)


def silent(since, external=False, alive=False):
    return {"alive": alive, "external": external, "since": since}


@pytest.mark.parametrize(
    ("peers", "waits"),
    [
        ([silent(600, alive=True)], 0),
        ([silent(1, alive=True)], 0),
        ([silent(31)], 0),  # off for long: told at once
        ([silent(None)], 0),  # no daemon runs
        ([silent(5, external=True)], 0),  # a phone
        ([silent(5), silent(600)], 3),
    ],
)
def test_who_is_silent_for_a_moment_only_is_waited_for(peers, waits):
    slept = []

    def look():
        found = [dict(peer, alive=True) if len(slept) == 3 else peer for peer in peers]
        return {"mesh": [{"peers": found}]}

    status.settle(look, slept.append)
    assert len(slept) == waits


def test_who_stays_silent_is_not_waited_for_for_ever():
    slept = []
    status.settle(lambda: {"mesh": [{"peers": [silent(2)]}]}, slept.append)
    assert sum(slept) == status.SETTLE_SECONDS
