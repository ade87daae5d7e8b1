# SPDX-License-Identifier: GPL-3.0-or-later
"""Which alerts what sites wrote would raise, by promtool."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring" / "sitelink.rules.yml"
RECORDED = pathlib.Path(__file__).resolve().parent / "recorded"
ROUND, ROUNDS = 15, 80  # seconds, and how many of them: 20 minutes

# What situations of the lab must raise. The scenario doctor makes each of them, and what its sites write then is kept in
# RECORDED, so that the rules are tested on real metrics without a lab too.
SITUATIONS = {
    "healthy": {},
    "site-down": {"SitelinkSiteDown": 1, "SitelinkPeerDead": 2},
    "cable-pulled": {"SitelinkWayOutWrong": 1, "SitelinkSiteDown": 1, "SitelinkPeerDead": 4},
    "peer-dead": {"SitelinkPeerDead": 2},
    "record-stale": {"SitelinkRecordStale": 1},
    "firewall-open": {"SitelinkFirewallOpen": 1},
    "packets-stray": {"SitelinkPacketsStray": 1},
    "watch-silent": {"SitelinkWatchSilent": 1},
}


def promtool():
    """The program's path, or None; scripts/test unpacks it into .cache."""
    unpacked = ROOT / ".cache" / "prometheus" / "usr" / "bin" / "promtool"
    return str(unpacked) if unpacked.exists() else shutil.which("promtool")


def check_metrics(text):
    """What `promtool check metrics` has to say; "" when it is content."""
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True)
    return "" if done.returncode == 0 and not done.stderr else f"{done.returncode}: {done.stderr}{done.stdout}"


def parse(text):
    """({series: value}, {name of a family: type}) of a textfile."""
    values, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            types.update([line.split()[2:]])
        elif not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            values[name, labels or ""] = float(value)
    return values, types


def shape(text):
    """What a textfile says whatever its values: the names of its series, each with the names of its labels."""
    return {(name, tuple(re.findall(r'(\w+)="', labels))) for name, labels in parse(text)[0]}


def series(first, later, instance):
    """The input of a rule test from what a site wrote at two moments: its counters go on as they did between the two."""
    (old, _), (new, types) = parse(first), parse(later)
    begun, now = (values["sitelink_written_timestamp_seconds", ""] for values in (old, new))
    found = []
    for (name, labels), value in new.items():
        step = 0.0
        if name == "sitelink_written_timestamp_seconds":
            value, step = 0.0, ROUND if now > begun else 0
        elif name.endswith("_timestamp_seconds"):
            value -= now  # a rule test begins at 1970
        elif types[name] == "counter" and now > begun:
            step = (value - old.get((name, labels), 0.0)) * ROUND / (now - begun)
        shown = f'{name}{{{labels + "," if labels else ""}instance="{instance}"}}'
        found.append({"series": shown, "values": f"{value}{step:+}x{ROUNDS}"})
    return found


def record(directory, sites):
    """Keep what sites wrote: {instance: (first, later)}."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, texts in sites.items():
        for moment, text in zip(("first", "later"), texts, strict=True):
            (directory / f"{name}.{moment}.prom").write_text(text)


def recorded(situation):
    """What record() kept."""
    names = sorted(path.name.partition(".")[0] for path in (RECORDED / situation).glob("*.first.prom"))
    return {
        name: tuple((RECORDED / situation / f"{name}.{moment}.prom").read_text() for moment in ("first", "later"))
        for name in names
    }


def raised(sites, expected):
    """Assert which alerts fire after twenty minutes. sites: {instance: (first, later)}; expected: {alert: how many}."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{ROUND}s",
        "tests": [{
            "interval": f"{ROUND}s",
            "input_series": [item for name, texts in sites.items() for item in series(*texts, name)],
            "promql_expr_test": [{
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "20m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in expected.items()],
            }],
        }],
    }  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump(test, file)
        file.flush()
        done = subprocess.run([promtool(), "test", "rules", file.name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
