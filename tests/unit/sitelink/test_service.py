# SPDX-License-Identifier: GPL-3.0-or-later
"""Units come to run what is written, wherever the run before broke off; `systemctl` and the daemons are doubles."""

import json
import os

import pytest

from sitelink import config, loaded, service

GATEWAY, FIREWALL, MESH = (
    loaded.unit(kind, nic) for kind, nic in (("gateway", "eth1"), ("firewall", "eth1"), ("mesh", "wg0"))
)
TABLE, WG_QUICK, TIMER = "sitelink-firewall-table@eth1.service", "wg-quick@wg0.service", "sitelink-ddns.timer"


class Systemd:
    """What systemd does with units, and each daemon when it is started or told to reload."""

    def __init__(self):
        self.units = {}
        self.said = []
        self.broken, self.deaf = set(), set()
        self.pids = iter(range(100, 1000))

    def unit(self, name):
        empty = {"active": "inactive", "enabled": "disabled", "pid": "0", "read": None, "result": "success"}
        return self.units.setdefault(name, empty)

    @staticmethod
    def text(name):
        path = loaded.unit_path(name)
        return open(path).read() if os.path.exists(path) else None

    def show(self, name):
        unit, text = self.unit(name), self.text(name)
        return {
            "LoadState": "not-found" if text is not None and unit["read"] is None else "loaded",
            "ActiveState": unit["active"],
            "NeedDaemonReload": "yes" if unit["read"] != text and unit["read"] is not None else "no",
            "MainPID": unit["pid"],
            "Result": unit["result"],
        }

    def enabled(self, name):
        return self.unit(name)["enabled"]

    def do(self, verb, name=None):
        self.said.append(" ".join(filter(None, [verb, name])))
        if verb == "daemon-reload":
            for each, unit in self.units.items():
                unit["read"] = self.text(each)
        elif verb == "enable":
            self.unit(name)["enabled"] = "enabled"
        elif name in self.broken:
            self.unit(name).update(active="failed", result="exit-code")
            raise config.ConfigError("systemctl %s %s: it failed" % (verb, name))
        elif name not in self.deaf:
            self.run(name, verb)

    def run(self, name, verb="start"):
        unit = self.unit(name)
        if loaded.files(name) is None:
            unit["active"] = "active"
            return
        record = loaded.Record(name)
        record.found["program"] = loaded.program()
        if name == loaded.DDNS:
            unit.update(active="inactive", result="success")
            record.publish(ok=True)
            return
        if verb == "reload":
            record.found.update({key: loaded.told(name)[key] for key in ("program", "unit")}, pid=int(unit["pid"]))
        else:
            unit.update(active="active", pid=str(next(self.pids)))
            record.found["pid"] = int(unit["pid"])
        record.publish()


class Mesh:
    """What settle has, of an interface that is as its files say."""

    def __init__(self):
        self.differs, self.strays, self.composed = [], [], True

    def drift(self, interface):
        return self.differs

    def compose(self, interface, dry_run, as_if):
        return not self.composed

    def stray(self, interface):
        return interface in self.strays

    def take_down(self, interface):
        self.strays.remove(interface)


class Site:
    def __init__(self, directory):
        self.directory = directory
        self.systemd = Systemd()
        self.mesh = Mesh()

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def write_all(self, text, *units):
        for unit in units:
            for path in (loaded.files(unit) or []) + [loaded.unit_path(unit)]:
                self.write(path, json.dumps({"text": text}))

    def bring(self, *units, **options):
        """What was done, as sentences."""
        return list(service.Service(self.systemd, mesh=self.mesh, **options).bring(units))

    def upgrade(self, **options):
        return list(service.Service(self.systemd, **options).upgrade())


@pytest.fixture
def site(directories, monkeypatch):
    monkeypatch.setattr(loaded, "UNITS", str(directories / "units"))
    monkeypatch.setattr(loaded, "COMMAND", str(directories / "sitelink"))
    made = Site(directories)
    made.write(str(directories / "sitelink"), "#!/usr/bin/python3\n")
    os.makedirs(config.RUN + "-ddns")
    return made


@pytest.fixture
def finished(site):
    """A site on which a run came to its end."""
    site.units = [FIREWALL, GATEWAY, MESH, loaded.WATCH, loaded.DDNS]
    site.write_all("one", *site.units)
    for unit in site.units:
        site.systemd.unit(unit)
        if unit == loaded.DDNS:
            site.systemd.unit(unit)["enabled"] = "static"
    site.bring(*site.units)
    assert site.bring(*site.units) == []
    site.systemd.said.clear()
    return site


def test_a_fresh_site_gets_all_of_it(site):
    site.write_all("one", TABLE, FIREWALL)
    site.write_all("one", GATEWAY)
    done = site.bring(TABLE, FIREWALL)
    assert site.systemd.said == [
        "daemon-reload",
        "enable " + TABLE,
        "start " + TABLE,
        "enable " + FIREWALL,
        "start " + FIREWALL,
    ]
    assert [line.split()[0] for line in done] == ["let", "enabled", "started", "enabled", "started"]
    assert site.bring(TABLE, FIREWALL) == []


def test_a_finished_site_is_left_alone(finished):
    assert finished.bring(*finished.units) == [] and finished.upgrade() == [] and finished.systemd.said == []


FILES = [
    (GATEWAY, "etc/gateway-eth1.json", "restart"), (FIREWALL, "etc/firewall-eth1.json", "restart"),
    (FIREWALL, "etc/firewall-eth1.nft", "restart"), (MESH, "etc/mesh-wg0.json", "reload"), (MESH, "wireguard/wg0.conf", "reload"),
    (loaded.WATCH, "etc/watch.json", "restart"), (loaded.DDNS, "etc/ddns.json", "start"), (loaded.DDNS, "etc/ddns-site.json", "start"),
    (loaded.DDNS, "etc/ddns-ca.pem", "start"),
]  # fmt: skip


@pytest.mark.parametrize("unit, name, verb", FILES, ids=[name for _, name, _ in FILES])
def test_a_run_that_broke_off_behind_a_file_is_finished_by_the_next(finished, unit, name, verb):
    path = str(finished.directory / name)
    finished.write(path, json.dumps({"text": "two"}))
    done = finished.bring(*finished.units)
    assert finished.systemd.said == ["%s %s" % (verb, unit)]
    assert done == ["%sed %s: %s is not what it ran" % (verb, unit, path)]
    assert finished.bring(*finished.units) == []


@pytest.mark.parametrize("unit", [GATEWAY, FIREWALL, MESH, loaded.WATCH])
def test_a_new_unit_is_read_and_its_daemon_started_anew(finished, unit):
    finished.write(loaded.unit_path(unit), "two")
    finished.bring(*finished.units)
    assert finished.systemd.said == ["daemon-reload", "restart " + unit]
    assert finished.bring(*finished.units) == []


def test_also_when_the_run_broke_off_between_the_two(finished):
    finished.write(loaded.unit_path(GATEWAY), "two")
    finished.systemd.do("daemon-reload")
    finished.systemd.said.clear()
    finished.bring(*finished.units)
    assert finished.systemd.said == ["restart " + GATEWAY]


def test_a_daemon_that_crashed_in_between_has_the_old_unit_all_the_same(finished):
    finished.write(loaded.unit_path(GATEWAY), "two")
    finished.systemd.run(GATEWAY)  # by systemd, which has not read the file; the daemon itself sees the new one
    finished.bring(GATEWAY)
    assert finished.systemd.said == ["daemon-reload", "restart " + GATEWAY]


def test_a_timer_needs_systemd_to_read_its_file_and_that_of_its_service(site):
    site.write_all("one", TIMER, loaded.DDNS)
    site.systemd.unit(loaded.DDNS)
    site.bring(TIMER)
    for unit in (TIMER, loaded.DDNS):
        site.write(loaded.unit_path(unit), "two")
        site.systemd.said.clear()
        site.bring(TIMER)
        assert site.systemd.said == ["daemon-reload"]
        assert site.bring(TIMER) == []


def test_what_somebody_stopped_or_disabled_is_started_and_enabled(finished):
    finished.systemd.unit(GATEWAY)["active"] = "inactive"
    finished.systemd.unit(MESH)["enabled"] = "disabled"
    finished.systemd.unit(FIREWALL)["active"] = "failed"
    assert finished.bring(FIREWALL, GATEWAY, MESH) == [
        "started %s: it was failed" % FIREWALL, "started %s: it was inactive" % GATEWAY, "enabled " + MESH
    ]  # fmt: skip


def test_units_of_others_are_started_and_no_more(site):
    site.bring(WG_QUICK)
    assert site.systemd.said == ["enable " + WG_QUICK, "start " + WG_QUICK]
    assert site.bring(WG_QUICK) == []


def test_an_interface_that_was_changed_by_hand_is_mended_by_its_daemon(finished):
    finished.mesh.differs = ["peers"]
    assert finished.bring(MESH) == ["reloaded %s: the running wg0 has other peers than its files" % MESH]


def test_an_interface_that_its_unit_knows_nothing_of_is_taken_down_first(site):
    site.mesh.strays = ["wg0"]
    said = ["enabled " + WG_QUICK, "took down wg0, of which %s knew nothing" % WG_QUICK]
    assert site.bring(WG_QUICK, dry_run=True)[:2] == said and site.mesh.strays == ["wg0"]
    assert site.bring(WG_QUICK)[:2] == said and site.mesh.strays == []
    site.mesh.strays = ["wg0"]
    assert site.bring(WG_QUICK) == [], "by now it is the unit's"
    site.systemd.unit(WG_QUICK)["active"] = "activating"
    site.bring(WG_QUICK)
    assert site.mesh.strays == ["wg0"], "it comes up"


def test_a_dry_run_knows_the_file_of_one_instance_as_well(site):
    site.bring(WG_QUICK)
    path = os.path.join(loaded.UNITS, WG_QUICK)
    assert site.bring(WG_QUICK, dry_run=True, as_if={path: "another digest"}) == [
        "let systemd read anew the files of " + WG_QUICK
    ]


def test_the_sites_own_key_is_in_its_file_before_anything_starts(finished):
    finished.mesh.composed = False
    path = config.wireguard_path("wg0")
    said = "put the site's own key into " + path
    reloaded = "reloaded %s: %s is not what it ran" % (MESH, path)
    assert finished.bring(WG_QUICK, MESH, dry_run=True)[0::3] == [said, reloaded]
    assert finished.bring(WG_QUICK, MESH)[0] == said and finished.bring(GATEWAY) == []


def test_a_new_program_restarts_every_daemon_that_runs_and_no_other(finished):
    finished.systemd.unit(GATEWAY)["active"] = "inactive"
    finished.write(loaded.COMMAND, "#!/usr/bin/python3.12\n")
    finished.upgrade()
    assert finished.systemd.said == ["restart %s" % unit for unit in (FIREWALL, MESH, loaded.WATCH)]
    assert finished.upgrade() == []


def test_one_that_came_before_daemons_told_what_they_run_is_restarted(finished):
    os.unlink(loaded.record_path(GATEWAY))
    assert finished.upgrade() == ["restarted %s: it ran an older program" % GATEWAY]
    os.unlink(loaded.record_path(MESH))
    assert finished.bring(MESH) == ["restarted %s: it does not tell what it runs" % MESH]


def test_what_another_process_said_does_not_count(finished):
    finished.systemd.unit(GATEWAY)["pid"] = "7"
    assert finished.bring(GATEWAY) == ["restarted %s: it does not tell what it runs" % GATEWAY]


def test_of_an_upgrade_one_refusal_does_not_keep_the_others(finished):
    finished.write(loaded.COMMAND, "#!/usr/bin/python3.12\n")
    finished.systemd.broken.add(FIREWALL)
    with pytest.raises(config.ConfigError, match="systemctl restart sitelink-firewall@eth1.service: it failed"):
        finished.upgrade()
    assert finished.systemd.said == ["restart %s" % unit for unit in (FIREWALL, GATEWAY, MESH, loaded.WATCH)]


def test_a_unit_that_does_not_start_is_an_error_and_found_again(site):
    site.write_all("one", GATEWAY)
    site.systemd.broken.add(GATEWAY)
    for _ in range(2):
        with pytest.raises(config.ConfigError, match="systemctl start sitelink-gateway@eth1.service: it failed"):
            site.bring(GATEWAY)
    site.systemd.broken.clear()
    assert site.bring(GATEWAY) == ["started %s: it was failed" % GATEWAY]


def test_a_daemon_that_does_not_take_its_files_is_an_error(finished, monkeypatch):
    monkeypatch.setattr(service, "RELOAD_SECONDS", 0)
    finished.write(config.mesh_path("wg0"), "two")
    finished.systemd.deaf.add(MESH)
    with pytest.raises(config.ConfigError, match="does not take .*mesh-wg0.json"):
        finished.bring(MESH)


def test_the_name_is_published_again_after_a_run_that_failed(finished):
    finished.systemd.unit(loaded.DDNS)["result"] = "exit-code"
    assert finished.bring(loaded.DDNS) == ["started %s: the last run failed" % loaded.DDNS]
    told = loaded.told(loaded.DDNS)
    loaded.Record(loaded.DDNS).publish(program=told["program"], ok=False)  # run by hand: systemd knows of no failure
    assert finished.bring(loaded.DDNS) == ["started %s: the last run failed" % loaded.DDNS]
    os.unlink(loaded.record_path(loaded.DDNS))
    assert finished.bring(loaded.DDNS) == ["started %s: it has not run yet" % loaded.DDNS]


def test_a_run_of_the_timer_that_is_under_way_is_no_change(finished):
    finished.systemd.unit(loaded.DDNS)["active"] = "activating"
    told = loaded.told(loaded.DDNS)
    loaded.Record(loaded.DDNS).publish(program=told["program"], ok=False)  # as it begins
    assert finished.bring(loaded.DDNS, dry_run=True) == [] and finished.systemd.said == []
    assert finished.bring(loaded.DDNS) == [] and finished.systemd.said == ["start %s" % loaded.DDNS]
    finished.systemd.unit(loaded.DDNS)["active"] = "activating"
    finished.systemd.broken.add(loaded.DDNS)
    loaded.Record(loaded.DDNS).publish(program=told["program"], ok=False)
    with pytest.raises(config.ConfigError):
        finished.bring(loaded.DDNS)


def test_a_dry_run_says_the_same_and_does_nothing(finished):
    finished.write(config.gateway_path("eth1"), "two")
    finished.write(loaded.unit_path(MESH), "two")
    finished.write(loaded.COMMAND, "#!/usr/bin/python3.12\n")
    tried = [finished.bring(GATEWAY, MESH, dry_run=True), finished.upgrade(dry_run=True)]
    assert finished.systemd.said == []
    assert tried == [finished.bring(GATEWAY, MESH), tried[1]] and len(tried[0]) == 3 and len(tried[1]) == 4


@pytest.mark.parametrize(
    "unit, path, verb", [(GATEWAY, "etc/gateway-eth1.json", "restart"), (MESH, "wireguard/wg0.conf", "reload")]
)
def test_a_dry_run_may_be_asked_as_if_a_file_were_written(finished, unit, path, verb):
    """Check mode writes nothing, and says what would run something older then."""
    path = str(finished.directory / path)
    tried = finished.bring(unit, dry_run=True, as_if={path: "another digest"})
    assert tried == ["%sed %s: %s is not what it ran" % (verb, unit, path)]
    assert finished.bring(unit, dry_run=True, as_if={path: loaded.digest(path)}) == [] and finished.systemd.said == []
    tried = finished.bring(unit, dry_run=True, as_if={loaded.unit_path(unit): "another digest"})
    assert [line.split()[0] for line in tried] == ["let", "restarted"]


def test_what_a_daemon_runs_is_for_root_alone(finished):
    for unit in finished.units:
        assert os.stat(loaded.record_path(unit)).st_mode & 0o777 == 0o600


def test_systemctl_is_asked_for_what_an_old_one_knows(directories, monkeypatch):
    command = directories / "systemctl"
    command.write_text(
        '#!/bin/sh\necho "$*" >> %s/asked\ncase $1 in\n'
        "show) echo LoadState=loaded; echo ActiveState=active; echo NeedDaemonReload=no; echo MainPID=7;;\n"
        "is-enabled) echo disabled; exit 1;;\nrestart) echo 'Job failed.' >&2; echo 'See.' >&2; exit 1;;\nesac\n"
        % directories
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (directories, os.environ["PATH"]))
    systemd = service.Systemd()
    assert systemd.show(GATEWAY) == {
        "LoadState": "loaded",
        "ActiveState": "active",
        "NeedDaemonReload": "no",
        "MainPID": "7",
    }
    assert systemd.enabled(GATEWAY) == "disabled"
    with pytest.raises(config.ConfigError, match="systemctl restart x: Job failed. See."):
        systemd.do("restart", "x")
    systemd.do("daemon-reload")
    asked = (directories / "asked").read_text().splitlines()
    assert asked[0] == " ".join(["show"] + ["--property=" + name for name in service.PROPERTIES] + [GATEWAY])
