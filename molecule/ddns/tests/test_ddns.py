# SPDX-License-Identifier: GPL-3.0-or-later
"""The running units against the doubles: addresses, faults, hands at the provider. All cases of faults: tests/unit."""

import json

import pytest

from lab_tests import (
    ADDRESS,
    INVENTORY,
    ROOT,
    SITES,
    STATE,
    lab,
    on,
    run,
    status,
    underlay_address,
    wait_for,
    wait_for_the_names,
)

REQUESTS = STATE / "api" / "requests.jsonl"
SECRETS = {"site-a": "lab-cloudflare-token-0001", "site-c": "lab-alidns-secret-0001"}


def record(site):
    """What the authoritative server says."""
    return lab("exec", "internet", "--", "kdig", "+short", "@198.18.0.53", f"{site}.lab.test", "A").split()


def is_right(site):
    return record(site) == [underlay_address(site)]


def requests(site):
    made = [json.loads(line) for line in REQUESTS.read_text().splitlines()]
    return [request for request in made if request.get("client") == ADDRESS[site] and "method" in request]


def wait_for_the_record(site):
    wait_for(lambda: is_right(site), lambda: (site, record(site), status(site)["ddns"]))


@pytest.fixture
def as_found():
    """For a test that changes addresses, records or what the providers answer: what it leaves is in order again."""
    yield
    lab("fault", "[]")
    for site in SITES:
        wait_for_the_record(site)
    wait_for_the_names()


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize("site", ["site-a", "site-c"])
def test_a_new_address_is_published_at_once(site):
    """By the path unit: the timer alone would need half a minute. How fast it is, bench/ddns measures."""
    on(site, "systemctl stop sitelink-ddns.timer")
    try:
        old = underlay_address(site)
        lab("renumber", site, "--wait")
        assert underlay_address(site) != old
        wait_for_the_record(site)
    finally:
        on(site, "systemctl start sitelink-ddns.timer")


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize(
    ("site", "fault", "word"),
    [
        ("site-a", {"provider": "cloudflare", "behaviour": "success-false", "operation": "PUT"}, "HTTP 200"),
        ("site-a", {"provider": "cloudflare", "behaviour": "wrong-certificate"}, "not to be trusted"),
        ("site-c", {"provider": "alidns", "behaviour": "status", "status": 400}, "Throttling"),
    ],
    ids=["success-false", "wrong-certificate", "throttling"],
)
def test_a_fault_is_a_failed_unit_and_mended_by_the_timer(site, fault, word):
    lab("fault", json.dumps([fault]))
    lab("records", "--set", f"{site}.lab.test", "10.9.9.9")
    assert on(site, "systemctl start sitelink-ddns").rc != 0
    assert on(site, "systemctl show -p Result --value sitelink-ddns").stdout.strip() == "exit-code"
    reason = status(site)["ddns"]["reason"]
    assert word in reason and "\n" not in reason
    assert reason in on(site, "journalctl -u sitelink-ddns -n 30 -o cat").stdout
    assert reason in on(site, "sitelink status").stdout
    assert record(site) == ["10.9.9.9"]
    lab("fault", "[]")
    wait_for_the_record(site)


@pytest.mark.usefixtures("as_found")
def test_a_record_changed_by_hand_is_put_back():
    lab("records", "--set", "site-b.lab.test", "10.9.9.9")
    wait_for_the_record("site-b")


@pytest.mark.usefixtures("as_found")
def test_a_site_without_broadband_is_published_by_a_peer():
    """site-a has its consent. It waits for a while, so as not to undo what the site itself published a moment ago."""
    lab("suspend", "site-c")
    try:
        lab("renumber", "--wait", "site-c")
        wait_for_the_record("site-c")
        assert on("site-c", "systemctl start sitelink-ddns").rc != 0
        assert "for site-c" in on("site-a", "sitelink status").stdout
    finally:
        lab("resume", "site-c")


def test_a_right_record_costs_no_request():
    before = len(requests("site-b"))
    for _ in range(5):
        assert on("site-b", "systemctl start sitelink-ddns").rc == 0
    assert len(requests("site-b")) == before


def test_rebind_protection_is_told_apart_from_a_wrong_record():
    """A resolver as home routers have it: dnsmasq that drops private answers."""
    lab("exec", "internet", "--", "sh", "-c", "ip address replace 198.18.0.9/32 dev lo; dnsmasq --conf-file=/dev/null "
        "--no-resolv --no-hosts --bind-interfaces --listen-address=198.18.0.9 --server=/lab.test/198.18.0.53 "
        "--stop-dns-rebind --pid-file=/run/rebind.pid")  # fmt: skip
    on("site-a", "cp /etc/resolv.conf /root/resolv.conf.kept; echo nameserver 198.18.0.9 > /etc/resolv.conf")
    try:
        result = on("site-a", "systemctl start sitelink-ddns")
        told = status("site-a")["ddns"]
        assert result.rc == 0, told
        assert told["state"] == "ok" and "rebind protection" in told["note"] and "198.18.0.9" in told["note"]
    finally:
        on("site-a", "cat /root/resolv.conf.kept > /etc/resolv.conf; rm /root/resolv.conf.kept")
        lab("exec", "internet", "--", "sh", "-c", "kill $(cat /run/rebind.pid); ip address delete 198.18.0.9/32 dev lo")


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize("site", sorted(SECRETS))
def test_no_token_is_where_others_read(site):
    lab("renumber", site, "--wait")
    wait_for_the_record(site)
    secret = SECRETS[site]
    assert on(site, "stat -c '%a %U %G' /etc/sitelink/ddns.json").stdout.split() == ["600", "root", "root"]
    found = on(
        site, f"grep -rlF {secret} /etc /run /var /usr/local /tmp 2>/dev/null | grep -v '^/run/credentials/'"
    ).stdout
    assert found.split() == ["/etc/sitelink/ddns.json"]
    # bytes: a field with a line break is preceded by its length, in binary
    journal = on(site, "journalctl -o export --no-pager | cat").stdout_bytes
    assert b"sitelink-ddns" in journal and secret.encode() not in journal
    assert secret not in on(site, "systemctl show sitelink-ddns.service sitelink-ddns.timer sitelink-ddns.path").stdout
    assert secret not in on(site, "systemctl cat sitelink-ddns.service").stdout


def role(*argv):
    return run(
        "ansible-playbook", "-i", INVENTORY, "--limit=site-b", "--diff", *argv, ROOT / "molecule" / "ddns" / "role.yml"
    )


def test_a_static_user_serves_and_absent_leaves_nothing():
    """The user as on systemd before 247; then nothing of all that, nor of the article's installation; then as before."""
    site = "site-b"
    on(
        site,
        "systemctl stop sitelink-ddns.timer sitelink-ddns.path; rm -rf /run/sitelink-ddns /run/private/sitelink-ddns",
    )
    on(site, "mkdir -p /usr/src/DDNS; echo '{\"token\": \"x\"}' > /usr/src/DDNS/config.json; touch /etc/crontab; "
       "cp -p /etc/crontab /root/crontab; echo '# mine' >> /etc/crontab; echo '* * * * * /usr/bin/python3 "
       "/usr/src/DDNS/run.py -c /usr/src/DDNS/config.json' >> /etc/crontab; touch /usr/bin/get-interface-ip")  # fmt: skip
    try:
        role("-e", "__ddns_dynamic_since=9999")
        assert on(site, "stat -c '%a %G' /etc/sitelink/ddns.json").stdout.split() == ["640", "sitelink-ddns"]
        assert on(site, "systemctl show -p DynamicUser --value sitelink-ddns").stdout.strip() == "no"
        assert on(site, "systemctl start sitelink-ddns").rc == 0
        assert on(site, "runuser -u nobody -- cat /etc/sitelink/ddns.json").rc != 0
        role("-e", '{"ddns_state": "absent", "ddns_remove_article": true}')
        left = on(site, "ls -d /etc/sitelink/ddns* /etc/systemd/system/sitelink-ddns* /run/sitelink-ddns "
                  "/etc/tmpfiles.d/sitelink-ddns.conf /usr/local/lib/sitelink/ddns-* /usr/src/DDNS /usr/bin/get-interface-ip 2>/dev/null; "
                  "grep sitelink-ddns /etc/passwd").stdout  # fmt: skip
        assert left == ""
        assert on(site, "cat /etc/crontab").stdout.splitlines()[-1] == "# mine"
        assert status(site)["ddns"] is None
    finally:
        on(site, "mv /root/crontab /etc/crontab; rm -rf /usr/src/DDNS /usr/bin/get-interface-ip")
        role()
    assert on(site, "stat -c '%a %U %G' /etc/sitelink/ddns.json").stdout.split() == ["600", "root", "root"]
    assert on(site, "systemctl start sitelink-ddns").rc == 0
