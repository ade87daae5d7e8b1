# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules by promtool: on what real sites wrote in the lab, and on what the program makes of made-up states."""

import copy
import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "browser"))

from sitelink import metrics

import generated
import rules

pytestmark = pytest.mark.skipif(not rules.promtool(), reason="needs promtool")
NOW = 1700000000


def sites(count=3):
    return {name: copy.deepcopy(told["status"]) for name, told in generated.sites(count).items()}


def written(found, later=None):
    """{site: what it writes, and what a round later}"""
    return {
        name: (metrics.render(report, NOW), metrics.render((later or found)[name], NOW + rules.ROUND))
        for name, report in found.items()
    }


def peers(report):
    return report["mesh"][0]["peers"]


def test_promtool_is_content_with_metrics_and_rules():
    report = sites()["site-001"]
    peers(report)[0]["name"] = 'quoted "name" \\ and\nmore'
    assert rules.check_metrics(metrics.render(report, NOW)) == ""
    assert rules.check_metrics("bad_total_metric{} x\n") != ""  # it would be seen
    assert subprocess.run([rules.promtool(), "check", "rules", str(rules.RULES)]).returncode == 0


def test_a_healthy_mesh_raises_nothing():
    rules.raised(written(sites()), {})


def test_a_site_that_is_down_is_told_apart_from_a_dead_peer():
    found = sites()
    del found["site-003"]
    for report in found.values():
        for peer in peers(report):
            peer["alive"] = peer["name"] != "site-003"
    rules.raised(written(found), {"SitelinkSiteDown": 1, "SitelinkPeerDead": 2})
    found = sites()
    peers(found["site-001"])[0]["alive"] = False
    rules.raised(written(found), {"SitelinkPeerDead": 1})


@pytest.mark.parametrize(
    ("part", "values", "alert"),
    [
        ("gateway", {"state": "fault", "address": None}, "SitelinkWayOutWrong"),
        ("firewall", {"loaded": False}, "SitelinkFirewallOpen"),
    ],
)
def test_a_part_that_is_wrong(part, values, alert):
    found = sites()
    found["site-002"][part][0].update(values)
    rules.raised(written(found), {alert: 1})


@pytest.mark.parametrize(
    "values", [{"verdict": "wrong", "fault": "record"}, {"verdict": "right", "fault": "provider"}, {"verdict": None}]
)
def test_a_stale_record(values):
    found = sites()
    found["site-002"]["ddns"]["names"][0].update(values)
    rules.raised(written(found), {"SitelinkRecordStale": 1})


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "unknown"},
        {"verdict": "unknown", "peer": "site-003", "address": None},
        {"verdict": "unknown", "address": None, "reason": "eth1 has no address", "fault": "address"},
    ],
    ids=["nobody checks it", "a silent peer's", "a site without its lease"],
)
def test_a_record_that_is_no_fault_of_this_site(values):
    found = sites()
    found["site-002"]["ddns"]["names"][0].update(values)
    rules.raised(written(found), {})


def test_packets_that_stray():
    before, after = sites(), sites()
    before["site-002"]["firewall"][0]["packets"]["strayed"] = 7
    after["site-002"]["firewall"][0]["packets"]["strayed"] = 8
    rules.raised(written(before, after), {"SitelinkPacketsStray": 1})
    rules.raised(written(before), {})


def test_metrics_that_nobody_writes_any_more():
    texts = written(sites())
    texts["site-001"] = texts["site-001"][:1] * 2
    rules.raised(texts, {"SitelinkWatchSilent": 1})


def test_every_metric_of_rules_and_dashboard_exists():
    there = set(re.findall(r"# TYPE (\w+)", metrics.render(sites()["site-001"], NOW)))
    heal = "sitelink_peer_last_heal_seconds"  # only where there was one
    for name in ("sitelink.rules.yml", "sitelink.dashboard.json"):
        text = (rules.ROOT / "monitoring" / name).read_text()
        assert set(re.findall(r"sitelink_\w+", text)) <= there | {heal}, name
    assert json.loads((rules.ROOT / "monitoring" / "sitelink.dashboard.json").read_text())["panels"]
