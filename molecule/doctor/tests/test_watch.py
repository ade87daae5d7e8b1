# SPDX-License-Identifier: GPL-3.0-or-later
"""The role watch on the lab: real metrics, the alerts they raise, and the operator's command. Then it is taken away."""

import contextlib
import json
import re
import time

import pytest

import rules
from faults import SITE, between, carrier_drops, commands, healthy, token_refused, unplugged
from lab_tests import LIMIT, ROOT, SITES, lab, on, playbook, recap, wait_for

TEXTFILE = "/var/lib/prometheus/node-exporter/sitelink.prom"
PAUSE = 30
OPTIONS = {"watch_command": ["/usr/local/bin/told"], "watch_settle": 5, "watch_interval": 5, "watch_pause": PAUSE}
# Each call: when it was by the clock that only goes on, and what it was told.
COMMAND = r"""#!/bin/sh
echo "$(cut -d. -f1 /proc/uptime) $SITELINK_HEALTH" >> /run/calls
cat >> /run/told
"""


def wrote(site):
    """What a site wrote last; "" when it does not answer."""
    return lab("exec", site, "--", "cat", TEXTFILE, check=False)


def moment(text):
    return rules.parse(text)[0]["sitelink_written_timestamp_seconds", ""]


def observe(situation, sites=SITES, silent=()):
    """What sites write once all of the condition holds, and some rounds later: {site: (first, later)}."""
    condition, deadline = UNTIL[situation], time.monotonic() + LIMIT
    while True:
        first = {site: wrote(site) for site in sites}
        if all(first.values()) and condition(first):
            break
        assert time.monotonic() < deadline, first
        time.sleep(1)
    later, deadline = dict(first), time.monotonic() + LIMIT
    while any(moment(later[site]) < moment(first[site]) + 10 for site in sites if site not in silent):
        assert time.monotonic() < deadline, later
        time.sleep(1)
        later = {site: wrote(site) or later[site] for site in sites}
    return {site: (first[site], later[site]) for site in sites}


def series(text, pattern):
    """The values of the series that match a pattern."""
    return [
        value for (name, labels), value in rules.parse(text)[0].items() if re.search(pattern, f"{name}{{{labels}}}")
    ]


def dead(text, peer):
    return series(text, f'^sitelink_peer_alive.*peer="{peer}"') == [0]


# When a situation has come about, by what the sites write themselves.
UNTIL = {
    "healthy": lambda told: all(not any(series(text, "^sitelink_faults")) for text in told.values()),
    "site-down": lambda told: dead(told["site-a"], "site-c") and dead(told["site-b"], "site-c"),
    "cable-pulled": lambda told: all(dead(*pair) for pair in (
        (told["site-a"], "site-b"), (told["site-c"], "site-b"), (told["site-b"], "site-a"), (told["site-b"], "site-c"))),
    "peer-dead": lambda told: dead(told["site-a"], "site-b") and dead(told["site-b"], "site-a"),
    "record-stale": lambda told: series(told["site-a"], '^sitelink_ddns_right.*name="site-a') == [0],
    "firewall-open": lambda told: series(told["site-b"], "^sitelink_firewall_loaded") == [0],
    "packets-stray": lambda told: any(count > 0 for count in series(told["site-b"], 'verdict="strayed"')),
    "watch-silent": lambda told: time.time() - moment(told["site-b"]) > 15,
}  # fmt: skip


@contextlib.contextmanager
def switched_off():
    lab("exec", "site-c", "--", "systemctl", "poweroff", check=False)
    try:
        yield
    finally:
        lab("reboot", "site-c")


HOW = {
    "healthy": contextlib.nullcontext,
    "site-down": switched_off,
    "cable-pulled": lambda: unplugged("site-b"),
    "peer-dead": lambda: carrier_drops(f"{between('site-a', 'site-b')} meta l4proto udp"),
    "record-stale": token_refused,
    "firewall-open": lambda: commands("site-b", "systemctl stop sitelink-firewall@eth1; nft delete table inet sitelink_eth1",
                                      "systemctl restart sitelink-firewall-table@eth1; systemctl start sitelink-firewall@eth1"),
    # As tunnels would whose rule somebody took away.
    "packets-stray": lambda: commands("site-b", "systemd-run --quiet --unit=stray ping -q -i 0.5 -m 305 -I eth0 10.23.64.1",
                                      "systemctl stop stray"),
    "watch-silent": lambda: commands("site-b", "systemctl stop sitelink-watch", "systemctl start sitelink-watch"),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def watched():
    for site in SITES:
        on(
            site,
            f"cat > /usr/local/bin/told <<'EOF'\n{COMMAND}EOF\nchmod 755 /usr/local/bin/told; rm -f /run/told /run/calls",
        )
    healthy()
    playbook("watch", "-e", json.dumps(OPTIONS))
    again = recap(playbook("watch", "-e", json.dumps(OPTIONS)))
    assert all(counts["changed"] == 0 for counts in again.values()), again
    yield
    playbook("watch", "-e", "watch_state=absent")
    for site in SITES:
        left = on(site, f"ls {TEXTFILE} /etc/sitelink/watch.json /etc/systemd/system/sitelink-watch.service").stdout
        assert left == "" and on(site, "systemctl is-active sitelink-watch").stdout.strip() == "inactive"
        on(site, "rm -f /usr/local/bin/told /run/told /run/calls")


@pytest.mark.skipif(not rules.promtool(), reason="needs promtool")
@pytest.mark.parametrize("situation", rules.SITUATIONS)
def test_real_metrics_raise_the_alerts_that_they_should(situation):
    sites = [site for site in SITES if (site, situation) != ("site-c", "site-down")]
    try:
        with HOW[situation]():
            texts = observe(situation, sites, silent=["site-b"] if situation == "watch-silent" else [])
    finally:
        healthy()
    rules.record(ROOT / ".build" / "metrics" / situation, texts)
    assert "".join(rules.check_metrics(text) for pair in texts.values() for text in pair) == ""
    rules.raised(texts, rules.SITUATIONS[situation])


def test_the_operators_command_hears_of_a_fault_and_of_its_end_and_not_too_often():
    """What changes to and fro within the pause is told once it is over, as it is then."""
    healthy()
    time.sleep(PAUSE + 2 * OPTIONS["watch_settle"])  # whatever the tests before had to tell
    on(SITE, "rm -f /run/told /run/calls")
    off, back = "systemctl stop sitelink-firewall@eth1", "systemctl start sitelink-firewall@eth1"
    try:
        on(SITE, off)
        told("[firewall] Nobody watches the firewall of eth1")
        for command in (back, off, back):  # each lasts long enough to be told, but for the pause
            on(SITE, command)
            time.sleep(OPTIONS["watch_settle"] + 1)
    finally:
        on(SITE, back)
    told("site-a: no fault found.")
    time.sleep(PAUSE)
    calls = [line.split() for line in on(SITE, "cat /run/calls").stdout.splitlines()]
    assert [health for _, health in calls] == ["fault", "ok"]
    assert int(calls[1][0]) - int(calls[0][0]) >= PAUSE - 1


def test_the_operators_command_hears_of_a_second_fault():
    """A peer that is off for days must not hide that the firewall is gone."""
    on(SITE, "rm -f /run/told /run/calls")
    with commands(SITE, "systemctl stop sitelink-mesh@wg0", "systemctl start sitelink-mesh@wg0"):
        told("[wireguard] The daemon that looks after the peers of wg0")
        with commands(SITE, "systemctl stop sitelink-firewall@eth1", "systemctl start sitelink-firewall@eth1"):
            told("[firewall] Nobody watches the firewall of eth1")
    healthy()


def told(words):
    said = "cat /run/told; journalctl -u sitelink-watch -n 20"
    wait_for(lambda: words in on(SITE, "cat /run/told").stdout, lambda: on(SITE, said).stdout)
