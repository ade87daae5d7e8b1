# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervision of a name concludes from answers, failures and time; on every Python of a site."""

import email.utils
import os
import socket
import ssl
import time
from urllib.error import URLError

import pytest

from sitelink import config, ddns, ddns_client, dns, state


def answer(outcome, records=(), authoritative=True, server="1.1.1.1"):
    return dns.Answer(outcome, list(records), 60, authoritative, None, (server, 53))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([answer(dns.FOUND, ["10.0.0.1"])], ddns.RIGHT),
        ([answer(dns.FOUND, ["10.0.0.1"]), answer(dns.TIMED_OUT, authoritative=False)], ddns.RIGHT),
        ([answer(dns.FOUND, ["10.0.0.2"])], ddns.WRONG),
        ([answer(dns.FOUND, ["10.0.0.1", "10.0.0.2"])], ddns.WRONG),
        ([answer(dns.NXDOMAIN)], ddns.WRONG),
        ([answer(dns.NODATA), answer(dns.REFUSED)], ddns.WRONG),
        ([answer(dns.FOUND, ["10.0.0.1"]), answer(dns.FOUND, ["10.0.0.2"])], ddns.LAGGING),
        ([answer(dns.FOUND, ["10.0.0.1"], authoritative=False)], ddns.RIGHT),
        ([answer(dns.FOUND, ["10.0.0.2"], authoritative=False)], ddns.UNKNOWN),
        ([answer(dns.STRIPPED, authoritative=False)], ddns.UNKNOWN),
        ([answer(dns.REFUSED), answer(dns.FAILED), answer(dns.MALFORMED)], ddns.UNKNOWN),
    ],
)
def test_verdicts(answers, verdict):
    found = ddns.judge(answers, "10.0.0.1")
    assert found[0] == verdict and bool(found[2]) == (verdict != ddns.RIGHT)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_an_hour_costs_at_most_twenty_requests(tmp_path, monkeypatch):
    """Three requests an update; a run every 30 s; the record right, never checkable, and taken but never shown."""
    record = {
        "name": "a.lab.test",
        "kind": "A",
        "provider": "cloudflare",
        "interface": "eth1",
        "networks": ["10.0.0.0/7"],
    }
    outcome = {"ok": True, "reason": "", "credentials": False, "retry_after": 0}
    for verdict in (ddns.RIGHT, ddns.UNKNOWN, ddns.WRONG):
        clock, runs = Clock(), []
        updater = ddns.Updater(
            [ddns.Name(record)], {"verify": True, "interval": 30}, "", str(tmp_path / verdict), ["127.0.0.1"], clock
        )

        def read_back(name, record, refresh=False, verdict=verdict):
            record.update(verdict=verdict, published=[], reason="" if verdict == ddns.RIGHT else "x")

        monkeypatch.setattr(updater, "read_back", read_back)
        monkeypatch.setattr(updater, "note", lambda name, record: "")
        monkeypatch.setattr(ddns, "SETTLE_SECONDS", 0)
        monkeypatch.setattr(
            ddns, "run_client", lambda *_, runs=runs, clock=clock: runs.append(clock.now) or {"a.lab.test/A": outcome}
        )
        for _ in range(4 * 120):
            updater.once({"a.lab.test/A": ("10.0.0.1", "")})
            clock.now += 30
        last_hour = [at for at in runs if at > clock.now - 3600]
        assert 3 * len(last_hour) <= 20, verdict
        assert (len(last_hour) == 0) == (verdict == ddns.RIGHT)


def test_a_token_that_a_provider_quotes_is_masked(tmp_path):
    path = tmp_path / "ddns.json"
    path.write_text('{"providers": [{"token": "s3cret-token", "id": null}]}')
    assert ddns.mask("no token s3cret-token here", str(path)) == "no token *** here"
    assert "s3cret" not in ddns.mask("s3cret-token", str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("status", "body", "words", "credentials"),
    [
        (
            403,
            {"errors": [{"code": 9109, "message": "Invalid token"}]},
            ["HTTP 403 (9109 Invalid token)", "check the token"],
            True,
        ),
        (200, {"success": False, "errors": [{"code": 10000, "message": "no"}]}, ["HTTP 200", "check the token"], True),
        (
            400,
            {"Code": "Throttling.User", "Message": "slow\n down"},
            ["Throttling.User slow  down", "too many requests"],
            False,
        ),
        (400, {"Code": "Forbidden.RAM", "Message": "no"}, ["Forbidden.RAM no", "check the token"], True),
        (400, {"Code": "Other", "Message": "of 10000 records 9109 are Forbidden"}, ["Other of 10000"], False),
        (500, None, ["api.example.com refused: HTTP 500"], False),
        (404, ["?"], ["HTTP 404"], False),
    ],
)
def test_a_refusal_is_one_line_in_the_providers_words(status, body, words, credentials):
    text, refused = ddns_client.refusal("api.example.com", status, body)
    assert all(word in text for word in words) and "\n" not in text
    assert refused is credentials


def test_whatever_a_request_meets_has_a_sentence():
    met = [socket.timeout(), ConnectionRefusedError(), socket.gaierror(-2, "Name or service not known"), OSError(113, "No route"),
           ssl.CertificateError("hostname mismatch"), URLError(ssl.SSLError("bad"))]  # fmt: skip
    texts = [ddns_client.unreachable("api.example.com", error) for error in met]
    assert len(set(texts)) == len(texts) and all("api.example.com" in text for text in texts)
    assert sum("not to be trusted" in text for text in texts) == 2


def test_retry_after_is_seconds_or_a_date(monkeypatch):
    assert [ddns_client.seconds(value) for value in (None, "", "120", "soon")] == [0, 0, 120, 0]
    now = 1700000000
    monkeypatch.setattr(ddns_client.time, "time", lambda: now)
    assert ddns_client.seconds(email.utils.formatdate(now + 60, usegmt=True)) == 60
    assert ddns_client.seconds(email.utils.formatdate(now - 60, usegmt=True)) == 0


def test_a_certificate_out_of_its_time_points_at_the_clock():
    expired = ssl.SSLError(1, "certificate verify failed")
    expired.verify_message = "certificate has expired"
    assert "check this site's clock, which says 20" in ddns_client.unreachable("api.example.com", URLError(expired))
    assert "clock" not in ddns_client.unreachable("api.example.com", ssl.CertificateError("hostname mismatch"))


def test_a_peers_record_is_left_to_the_peer_while_it_may_do_it_itself(tmp_path, monkeypatch):
    """A run every 30 s. What the zone says, the address at which the peer is heard, and when the client ran."""
    record = {"name": "b.lab.test", "kind": "A", "provider": "cloudflare", "interface": "eth1", "networks": ["10.0.0.0/7"],
              "peer": "site-b"}  # fmt: skip
    clock, runs, zone = Clock(), [], {"says": "10.0.0.1"}
    settings = {"verify": True, "interval": 30}
    updater = ddns.Updater([ddns.Name(record)], settings, "", str(tmp_path), ["127.0.0.1"], clock)

    def read_back(name, record, refresh=False):
        answers = [answer(dns.FOUND, [zone["says"]])]
        record["verdict"], record["published"], record["reason"] = ddns.judge(answers, record["address"])

    def run_client(settings, path, keys):
        runs.append(clock.now)
        zone["says"] = heard[0]
        return {key: {"ok": True, "reason": "", "credentials": False, "retry_after": 0} for key in keys}

    monkeypatch.setattr(updater, "read_back", read_back)
    monkeypatch.setattr(updater, "note", lambda name, record: "")
    monkeypatch.setattr(ddns, "run_client", run_client)

    def rounds(address, count):
        heard[:] = [address]
        for _ in range(count):
            result = updater.once({"b.lab.test/A": (address, "" if address else "it is not heard")})
            assert result["state"] == "ok", result
            clock.now += 30

    heard = []
    rounds("10.0.0.1", 4)  # right, and nothing to prove: the peer has its own service
    rounds(None, 4)  # silent
    zone["says"] = "10.0.0.2"
    rounds("10.0.0.1", 2)  # the peer published a new address; here it is still heard at the old one
    rounds("10.0.0.2", 4)
    assert runs == []
    begun = clock.now
    rounds("10.0.0.3", 6)  # it moved, and its record stays behind
    assert runs == [begun + 90] and zone["says"] == "10.0.0.3"
    zone["says"] = "10.0.0.4"
    rounds("10.0.0.3", 2)
    rounds(None, 1)
    rounds("10.0.0.3", 2)  # silence in between begins anew
    assert len(runs) == 1


def test_stale_or_missing_state_is_a_fault(directories, monkeypatch):
    assert ddns.report() is None
    path = directories / "etc" / "ddns-site.json"
    path.write_text('{"python": "", "client": "", "verify": true, "interval": 30, "names": []}')
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "no update has run" in ddns.report()["reason"]
    told = {"state": "ok", "reason": "", "names": {}, "checked": time.monotonic() - 5000}
    state.write_json(os.path.join(ddns.state_directory(), "status.json"), told)
    assert "no update ran for" in ddns.report()["reason"]
    path.write_text('{"names": [{"name": "x"}]}')
    with pytest.raises(config.ConfigError):
        ddns.report()
