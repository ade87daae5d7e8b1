# SPDX-License-Identifier: GPL-3.0-or-later
"""The units are what the systemd of the site understands, from CentOS 7 to today.

A directive that an old systemd does not know is ignored. That does no harm where it only narrows what a daemon may do; it does where
what remains means something else. The versions are those of systemd's NEWS.
"""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
TEMPLATES = sorted((ROOT / "roles").glob("*/templates/*.*.j2"))
UNITS = [path for path in TEMPLATES if path.suffixes[-2] in (".service", ".path", ".timer")]
# The article's systems and today's: CentOS 7, Ubuntu 18.04, EL 8, Debian 10, 11, 12 and 13.
VERSIONS = [219, 237, 239, 241, 247, 252, 257]

# What is known since when, in [section] or in all. (nothing: since before 219)
SINCE = {
    ("Unit", "StartLimitIntervalSec"): 230,
    ("Service", "DynamicUser"): 235,
    ("Service", "KeyringMode"): 235,
    ("Service", "LoadCredential"): 247,
    ("Service", "LockPersonality"): 235,
    ("Service", "LogLevelMax"): 236,
    ("Service", "MemoryDenyWriteExecute"): 231,
    ("Service", "ProcSubset"): 247,
    ("Service", "ProtectClock"): 245,
    ("Service", "ProtectControlGroups"): 232,
    ("Service", "ProtectHostname"): 242,
    ("Service", "ProtectKernelLogs"): 244,
    ("Service", "ProtectKernelModules"): 232,
    ("Service", "ProtectKernelTunables"): 232,
    ("Service", "ProtectProc"): 247,
    ("Service", "ReadWritePaths"): 231,
    ("Service", "RemoveIPC"): 232,
    ("Service", "RestrictNamespaces"): 233,
    ("Service", "RestrictRealtime"): 231,
    ("Service", "RestrictSUIDSGID"): 242,
    ("Service", "RuntimeDirectoryPreserve"): 235,
    ("Service", "StateDirectory"): 235,
    ("Service", "StateDirectoryMode"): 235,
}
# Without these a unit only may more than it should.
NARROWS = {
    "KeyringMode", "LockPersonality", "LogLevelMax", "MemoryDenyWriteExecute", "ProcSubset", "ProtectClock", "ProtectControlGroups",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "RemoveIPC",
    "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
}  # fmt: skip
# What stands in for one that is not known, in the same unit or on the site.
INSTEAD = {
    "StartLimitIntervalSec": lambda unit: ("Service", "StartLimitInterval", "0") in unit,
    "StateDirectory": lambda unit: True,  # /etc/tmpfiles.d/sitelink.conf
    "StateDirectoryMode": lambda unit: True,
    "ReadWritePaths": lambda unit: True,  # nothing is read-only there: ProtectSystem=strict needs 232
}


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """{(version, name): [(section, directive, value)]}."""
    directory = tmp_path_factory.mktemp("units")
    extra = {"directory": str(directory), "versions": VERSIONS, "templates": [str(path) for path in UNITS]}
    extra.update(ansible_connection="local", ansible_python_interpreter=sys.executable)
    done = subprocess.run(
        ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), ROOT / "tests" / "playbooks" / "units.yml"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    rendered = json.loads((directory / "units.json").read_text())
    found = {}
    for version in VERSIONS:
        for path in UNITS:
            section, lines = "", []
            for line in rendered[f"{version}-{path.name[:-3]}"].splitlines():
                line = line.strip()
                if line.startswith("["):
                    section = line[1:-1]
                elif line and not line.startswith("#"):
                    name, equals, value = line.partition("=")
                    assert equals and section, (path.name, line)
                    lines.append((section, name, value))
            found[version, path.name[:-3]] = lines
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name[:-3])
def test_what_an_old_systemd_ignores_does_no_harm(units, version, path):
    unit = units[version, path.name[:-3]]
    for section, name, _value in unit:
        if SINCE.get((section, name), 0) > version and name not in NARROWS:
            assert name in INSTEAD and INSTEAD[name](unit), (version, section, name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name[:-3])
def test_values_are_ones_that_this_systemd_takes(units, version, path):
    for _section, name, value in units[version, path.name[:-3]]:
        if name.startswith("Exec"):
            assert value.lstrip("-+!:@").startswith("/"), "systemd below 239 wants whole paths: " + value
        if name == "SystemCallFilter":
            assert version >= 239, "@system-service is not known there, and all calls but a few would be refused"
        if name == "RuntimeDirectory":
            assert version >= 235, "the directory would go whenever one of several services stops"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name[:-3])
def test_today_nothing_is_left_out(units, path):
    name = path.name[:-3]
    today = {directive for _section, directive, _value in units[VERSIONS[-1], name]}
    for version in VERSIONS:
        lacking = today - {directive for _section, directive, _value in units[version, name]}
        allowed = set()
        allowed |= {"SystemCallFilter", "SystemCallErrorNumber"} if version < 239 else set()
        allowed |= {"RuntimeDirectory", "RuntimeDirectoryPreserve"} if version < 235 else set()
        if version < 247 and name == "sitelink-ddns.service":
            allowed |= {
                "DynamicUser",
                "LoadCredential",
                "RuntimeDirectory",
                "RuntimeDirectoryMode",
                "RuntimeDirectoryPreserve",
            }
        assert lacking <= allowed, (version, lacking)


def test_the_mesh_comes_up_without_waiting_for_the_network(units):
    """The router may be off. Else the unit is the distribution's, as Debian 11 to 13 and EL have it."""
    unit = units[VERSIONS[-1], "wg-quick.service"]
    assert "network-online" not in " ".join(value for _section, _name, value in unit)
    theirs = pathlib.Path("/usr/lib/systemd/system/wg-quick@.service").read_text().partition("[Service]\n")[2]
    service, _, install = theirs.partition("[Install]\n")
    for section, text in (("Service", service), ("Install", install)):
        ours = [f"{name}={value}" for where, name, value in unit if where == section]
        assert ours == text.split("\n\n")[0].strip().splitlines(), section


def test_no_unit_that_the_mesh_needs_waits_for_the_network(units):
    waiting = {name for (_version, name), unit in units.items() if any("network-online" in line[2] for line in unit)}
    assert waiting == {"sitelink-ddns.service"}


def test_a_daemon_is_started_again_whatever_ends_it(units):
    daemons = {name: unit for (_version, name), unit in units.items() if ("Service", "Type", "notify") in unit}
    assert len(daemons) >= 3
    for name, unit in daemons.items():
        assert ("Service", "Restart", "always") in unit, name
        assert any(directive == "WatchdogSec" for _section, directive, _value in unit), name
