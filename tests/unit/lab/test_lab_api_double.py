# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import subprocess
import threading
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from sitelab import credentials
from sitelab.api_double import TLS_FAULTS, ZONE_ID, ApiServer, context
from sitelab.topology import ALIDNS_KEYS, API_NAMES, CLOUDFLARE_TOKEN

NAME = "site-a.lab.test"
RECORDS = f"/client/v4/zones/{ZONE_ID}/dns_records"
(KEY, SECRET) = next(iter(ALIDNS_KEYS.items()))


@pytest.fixture
def server(tmp_path):
    """Plain HTTP on the loopback; what it would tell the authoritative server is kept in `published`."""
    published = {}

    def publisher(name, kind, records):
        published[name, kind] = [record["content"] for record in records]

    made = ApiServer(("127.0.0.1", 0), tmp_path / "requests.jsonl", publisher=publisher)
    made.published = published
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.faults.set([])
    made.shutdown()
    made.server_close()
    thread.join()


def ask(server, method, path, body=b"", headers=None, timeout=180):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=timeout)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, text


def cloudflare(server, method, path, body=None, token=CLOUDFLARE_TOKEN, headers=None):
    data = b"" if body is None else json.dumps(body).encode()
    known = {"Host": API_NAMES["cloudflare"], "Authorization": f"Bearer {token}"}
    status, _, text = ask(server, method, path, data, known if headers is None else headers)
    return status, json.loads(text)


def alidns(server, action, key=KEY, secret=SECRET, nonce=None, ahead=timedelta(0), tamper=False, drop=(), **given):
    """A request signed here from the provider's description, not by the double's own code."""
    body = urlencode(sorted(given.items())).encode()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": API_NAMES["alidns"],
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-date": (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
        "x-acs-version": "2015-01-09",
    }
    names = sorted(set(headers) - set(drop))
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{headers['x-acs-content-sha256']}"
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    status, _, text = ask(server, "POST", "/", body + (b"&x=1" if tamper else b""), headers)
    return status, json.loads(text)


def test_cloudflare_transcript(server):
    status, zones = cloudflare(server, "GET", "/client/v4/zones?name.exact=lab.test&per_page=50")
    assert (status, zones["result"][0]["id"]) == (200, ZONE_ID)
    query = f"{RECORDS}?name.exact={NAME}&per_page=10000&type=A"
    assert cloudflare(server, "GET", query)[1]["result"] == []
    body = {"name": NAME, "type": "A", "content": "10.20.30.40", "ttl": 60, "comment": "x"}
    status, made = cloudflare(server, "POST", RECORDS, body)
    assert (status, made["success"], server.published[NAME, "A"]) == (200, True, ["10.20.30.40"])
    identity = made["result"]["id"]
    assert [each["id"] for each in cloudflare(server, "GET", query)[1]["result"]] == [identity]
    status, changed = cloudflare(server, "PUT", f"{RECORDS}/{identity}", {**body, "content": "11.22.33.44"})
    assert (status, changed["result"]["content"], server.published[NAME, "A"]) == (200, "11.22.33.44", ["11.22.33.44"])
    status, changed = cloudflare(server, "PATCH", f"{RECORDS}/{identity}", {"content": "10.9.9.9"})
    assert (status, changed["result"]["ttl"], server.published[NAME, "A"]) == (200, 60, ["10.9.9.9"])


def test_cloudflare_zone_search(server):
    assert cloudflare(server, "GET", "/client/v4/zones?name.exact=example.test")[1]["result"] == []
    assert len(cloudflare(server, "GET", "/client/v4/zones/?name=lab.test")[1]["result"]) == 1
    assert cloudflare(server, "GET", "/client/v4/zones/0123/dns_records")[0] == 404


def test_cloudflare_refuses_credentials(server):
    status, answer = cloudflare(server, "GET", "/client/v4/zones", token="wrong")
    assert (status, answer["success"], answer["errors"][0]["code"]) == (403, False, 9109)
    host = {"Host": API_NAMES["cloudflare"]}
    assert cloudflare(server, "GET", "/client/v4/zones", headers=host)[0] == 400
    global_key = {**host, "X-Auth-Email": "x@example.test", "X-Auth-Key": CLOUDFLARE_TOKEN}
    assert cloudflare(server, "GET", "/client/v4/zones", headers=global_key)[0] == 403
    body = {"name": NAME, "type": "A", "content": "10.1.1.1", "ttl": 60}
    assert cloudflare(server, "POST", RECORDS, body, token="wrong")[0] == 403
    assert server.published == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"content": "11.22.33.44\n10.9.9.9"}, 9005),
        ({"content": "not-an-ip"}, 9005),
        ({"ttl": None}, 9207),
        ({"ttl": 0}, 9021),
        ({"name": "site-a.example.test"}, 9000),
        ({"type": "TXT"}, 9005),
    ],
)
def test_cloudflare_refuses_bad_records(server, change, code):
    body = {"name": NAME, "type": "A", "content": "10.1.1.1", "ttl": 60, **change}
    status, answer = cloudflare(server, "POST", RECORDS, body)
    assert (status, answer["errors"][0]["code"], server.published) == (400, code, {})


def test_cloudflare_record_that_is_not_there_or_twice(server):
    body = {"name": NAME, "type": "A", "content": "10.1.1.1", "ttl": 60}
    assert cloudflare(server, "PUT", f"{RECORDS}/0123", body)[0] == 404
    assert cloudflare(server, "POST", RECORDS, body)[0] == 200
    assert cloudflare(server, "POST", RECORDS, body)[1]["errors"][0]["code"] == 81058


def test_a_proxied_name_does_not_answer_with_its_content(server):
    body = {"name": NAME, "type": "A", "content": "10.1.1.1", "ttl": 60, "proxied": True}
    assert cloudflare(server, "POST", RECORDS, body)[1]["result"]["proxied"] is True
    assert cloudflare(server, "GET", f"{RECORDS}?name={NAME}&proxied=false")[1]["result"] == []


def test_alidns_transcript(server):
    status, answer = alidns(server, "GetMainDomainName", InputString=NAME)
    assert (status, answer["DomainName"], answer["RR"]) == (200, "lab.test", "site-a")
    search = {"DomainName": "lab.test", "PageSize": "500", "SubDomain": NAME, "Type": "A"}
    assert alidns(server, "DescribeSubDomainRecords", **search)[1]["DomainRecords"] == {"Record": []}
    record = {"RR": "site-a", "TTL": "600", "Type": "A", "Value": "10.20.30.40"}
    status, answer = alidns(server, "AddDomainRecord", DomainName="lab.test", **record)
    identity = answer["RecordId"]
    assert (status, server.published[NAME, "A"]) == (200, ["10.20.30.40"])
    found = alidns(server, "DescribeSubDomainRecords", **search)[1]
    assert (found["TotalCount"], found["DomainRecords"]["Record"][0]["RecordId"]) == (1, identity)
    update = {**record, "RecordId": identity, "Line": "default"}
    status, answer = alidns(server, "UpdateDomainRecord", **update)
    assert (status, answer["Code"]) == (400, "DomainRecordDuplicate")
    status, _ = alidns(server, "UpdateDomainRecord", **{**update, "Value": "11.22.33.44"})
    assert (status, server.published[NAME, "A"]) == (200, ["11.22.33.44"])


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"secret": "wrong"}, 400, "SignatureDoesNotMatch"),
        ({"key": "LTAI-nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"tamper": True}, 400, "SignatureDoesNotMatch"),
        ({"drop": ["x-acs-date"]}, 400, "IncompleteSignature"),
        ({"ahead": timedelta(minutes=-20)}, 400, "InvalidTimeStamp.Expired"),
        ({"ahead": timedelta(minutes=20)}, 400, "InvalidTimeStamp.Expired"),
    ],
)
def test_alidns_refuses_credentials(server, options, status, code):
    record = {"DomainName": "lab.test", "RR": "site-a", "TTL": "600", "Type": "A", "Value": "10.1.1.1"}
    found, answer = alidns(server, "AddDomainRecord", **options, **record)
    assert (found, answer["Code"], server.published) == (status, code, {})


def test_alidns_without_authorization(server):
    status, _, text = ask(server, "POST", "/", b"", {"Host": API_NAMES["alidns"]})
    assert (status, json.loads(text)["Code"]) == (400, "IncompleteSignature")


def test_alidns_nonce_is_good_once_but_survives_an_injected_error(server):
    server.faults.set([{"provider": "alidns", "behaviour": "status", "status": 503, "count": 1}])
    assert alidns(server, "GetMainDomainName", nonce="1", InputString=NAME)[0] == 503
    assert alidns(server, "GetMainDomainName", nonce="1", InputString=NAME)[0] == 200
    status, answer = alidns(server, "GetMainDomainName", nonce="1", InputString=NAME)
    assert (status, answer["Code"]) == (400, "SignatureNonceUsed")


def test_alidns_faults_of_the_caller(server):
    assert alidns(server, "DeleteEverything")[0] == 404
    status, answer = alidns(server, "AddDomainRecord", DomainName="lab.test", RR="x", Type="A")
    assert (status, answer["Code"]) == (400, "MissingValue")
    other = {"RR": "x", "Type": "A", "Value": "10.1.1.1", "DomainName": "example.test"}
    assert alidns(server, "AddDomainRecord", **other)[1]["Code"] == "InvalidDomainName.NoExist"
    lost = {"RR": "x", "Type": "A", "Value": "10.1.1.1", "RecordId": "0"}
    assert alidns(server, "UpdateDomainRecord", **lost)[1]["Code"] == "DomainRecordNotBelongToUser"


def test_both_apis_see_the_same_zone(server):
    server.control({"do": "set", "name": NAME, "value": "10.5.5.5", "ttl": 5})
    assert cloudflare(server, "GET", f"{RECORDS}?name.exact={NAME}")[1]["result"][0]["content"] == "10.5.5.5"
    assert alidns(server, "DescribeSubDomainRecords", SubDomain=NAME)[1]["TotalCount"] == 1
    server.control({"do": "set", "name": NAME, "value": "10.5.5.6", "ttl": 5})
    assert [each["content"] for each in server.control({"do": "records"})["records"]] == ["10.5.5.6"]
    server.control({"do": "delete", "name": NAME})
    assert server.published == {(NAME, "A"): []}
    with pytest.raises(ValueError):
        server.control({"do": "set", "name": NAME, "value": "nonsense", "ttl": 5})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
def test_injected_status(server, status):
    server.faults.set([
        {"provider": "cloudflare", "behaviour": "status", "operation": "PUT", "status": status, "retry_after": 3}
    ])  # fmt: skip
    headers = {"Host": API_NAMES["cloudflare"], "Authorization": f"Bearer {CLOUDFLARE_TOKEN}"}
    assert ask(server, "GET", "/client/v4/zones", headers=headers)[0] == 200
    found, answered, body = ask(server, "PUT", f"{RECORDS}/1", b"{}", headers)
    assert (found, answered["Retry-After"], json.loads(body)["success"]) == (status, "3", False)


def test_injected_behaviours(server):
    headers = {"Host": API_NAMES["cloudflare"], "Authorization": f"Bearer {CLOUDFLARE_TOKEN}"}
    server.faults.set([{"provider": "cloudflare", "behaviour": "success-false", "count": 1}])
    status, answer = cloudflare(server, "GET", "/client/v4/zones")
    assert (status, answer["success"]) == (200, False)
    assert cloudflare(server, "GET", "/client/v4/zones")[1]["success"] is True
    server.faults.set([{"provider": "cloudflare", "behaviour": "garbage"}])
    with pytest.raises(ValueError):
        json.loads(ask(server, "GET", "/client/v4/zones", headers=headers)[2])
    server.faults.set([{"provider": "cloudflare", "behaviour": "hang"}])
    with pytest.raises(TimeoutError):
        ask(server, "GET", "/client/v4/zones", headers=headers, timeout=0.2)
    assert alidns(server, "GetMainDomainName", InputString=NAME)[0] == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": "nobody", "behaviour": "hang"},
        {"provider": "alidns", "behaviour": "success-false"},
        {"provider": "alidns", "behaviour": "status"},
        {"provider": "alidns", "behaviour": "status", "status": 200},
        {"provider": "alidns", "behaviour": "explode"},
        {"provider": "alidns", "behaviour": "hang", "method": "POST"},
    ],
)
def test_faults_that_make_no_sense(server, fault):
    with pytest.raises(ValueError):
        server.faults.set([fault])


def test_the_log_tells_what_happened_and_no_secret(server, tmp_path):
    body = {"name": NAME, "type": "A", "content": "10.1.1.1", "ttl": 60}
    cloudflare(server, "POST", RECORDS, body)
    cloudflare(server, "POST", RECORDS, body, token="another-secret")
    alidns(server, "GetMainDomainName", secret="third-secret", InputString=NAME)
    assert ask(server, "GET", "/", headers={"Host": "elsewhere.test"})[0] == 421
    text = (tmp_path / "requests.jsonl").read_text()
    first, second, third, fourth = map(json.loads, text.splitlines())
    assert (first["name"], first["value"], first["status"]) == (NAME, "10.1.1.1", 200)
    assert (second["status"], second["code"], third["operation"]) == (403, 9109, "GetMainDomainName")
    assert (fourth["provider"], fourth["status"]) == (None, 421)
    for secret in (CLOUDFLARE_TOKEN, SECRET, "another-secret", "third-secret"):
        assert secret not in text


def test_tls_by_the_labs_own_authority(tmp_path):
    for directory in ("api", "host_keys"):
        (tmp_path / directory).mkdir()
    credentials.prepare(tmp_path, [])
    pems = {name: tmp_path / "api" / f"{name}.pem" for name in ("api", *TLS_FAULTS)}
    assert all(pem.stat().st_mode & 0o077 == 0 for pem in pems.values())
    contexts = {"" if name == "api" else name: context(pem) for name, pem in pems.items()}
    server = ApiServer(("127.0.0.1", 0), tmp_path / "log", contexts, publisher=lambda *_: None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    def connect(name):
        with socket.create_connection(server.server_address, 180) as plain:
            trusting.wrap_socket(plain, server_hostname=name).close()

    try:
        for name in API_NAMES.values():
            connect(name)
        for behaviour, message in zip(TLS_FAULTS, ("local issuer", "Hostname mismatch"), strict=True):
            server.faults.set([{"provider": "cloudflare", "behaviour": behaviour}])
            connect(API_NAMES["alidns"])
            with pytest.raises(ssl.SSLCertVerificationError, match=message):
                connect(API_NAMES["cloudflare"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    shown = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", pems["api"]], capture_output=True, text=True)
    assert "CA:TRUE" not in shown.stdout
