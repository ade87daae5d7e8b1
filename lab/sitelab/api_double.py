# SPDX-License-Identifier: GPL-3.0-or-later
"""Doubles of the Cloudflare v4 and AliDNS APIs: one HTTPS server, told apart by host name, one store of records.

They check the token or the ACS3-HMAC-SHA256 signature as the providers do, and publish what they were told by
RFC 2136 updates to the authoritative server. A Unix socket takes the lab's own commands: one JSON object per line,
one JSON object back. The request log holds no header and no body, hence no secret.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from .topology import ALIDNS_KEYS, API, API_NAMES, AUTHORITATIVE, CLOUDFLARE_TOKEN, ZONE

ZONE_ID = hashlib.md5(ZONE.encode(), usedforsecurity=False).hexdigest()
DATE_WINDOW = timedelta(minutes=15)  # of x-acs-date, by the provider's documentation
SIGNED_HEADERS = {
    "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version",
}  # fmt: skip
ADDRESS_TYPES = {"A": IPv4Address, "AAAA": IPv6Address}
ALIDNS_FAULTS = {400: "Throttling.User", 403: "Forbidden.RAM", 404: "InvalidAccessKeyId.NotFound", 429: "Throttling"}
TLS_FAULTS = ("wrong-certificate", "wrong-name")
HTTP_FAULTS = ("status", "success-false", "hang", "garbage")


class Refusal(Exception):
    """An answer other than success: HTTP status, the provider's error code and message."""

    def __init__(self, status: int, code: int | str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def content_error(kind: str, content: object) -> str | None:
    """What is wrong with a record's type and content, or None."""
    if kind not in ADDRESS_TYPES:
        return f"this double keeps {' and '.join(ADDRESS_TYPES)} records only"
    try:
        ADDRESS_TYPES[kind](content)
    except ValueError:
        return f"Content for {kind} record must be a valid {ADDRESS_TYPES[kind].__name__}."
    return None


def publish(name: str, kind: str, records: list[dict]) -> None:
    """Make the authoritative server answer with these records. A server that is stopped is told on its next start."""
    lines = [f"server {AUTHORITATIVE}", f"zone {ZONE}", f"update delete {name}. {kind}"]
    for record in records:
        content = str(API) if record["proxied"] else record["content"]  # a proxied name answers with the proxy
        lines.append(f"update add {name}. {300 if record['ttl'] == 1 else record['ttl']} {kind} {content}")
    script = "\n".join([*lines, "send", ""])
    done = subprocess.run(
        ["knsupdate", "-t", "2", "-r", "0"], input=script, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"not published: {name} {kind}: {done.stderr.strip()}", file=sys.stderr, flush=True)


class Records:
    """The zone's records as an account sees them, whichever provider's API it uses."""

    def __init__(self, publisher=publish):
        self.lock = threading.RLock()
        self.all: list[dict] = []
        self.publisher = publisher

    def find(self, **wanted) -> list[dict]:
        with self.lock:
            return [dict(record) for record in self.all if all(record[key] == wanted[key] for key in wanted)]

    def add(self, name: str, type: str, content: str, ttl: int, **extra) -> dict:
        record = {
            "id": uuid.uuid4().hex, "name": name, "type": type, "content": content, "ttl": ttl,
            "proxied": False, "comment": None, "tags": [], "settings": {}, "line": "default", **extra,
        }  # fmt: skip
        with self.lock:
            self.all.append(record)
            self.publisher(name, type, self.find(name=name, type=type))
            return dict(record)

    def update(self, identity: str, **changes) -> dict:
        """KeyError when there is no such record."""
        with self.lock:
            record = next((each for each in self.all if each["id"] == identity), None)
            if record is None:
                raise KeyError(identity)
            before = (record["name"], record["type"])
            record.update(changes)
            for name, kind in {before, (record["name"], record["type"])}:
                self.publisher(name, kind, self.find(name=name, type=kind))
            return dict(record)

    def delete(self, name: str) -> None:
        with self.lock:
            kinds = {record["type"] for record in self.all if record["name"] == name}
            self.all = [record for record in self.all if record["name"] != name]
            for kind in kinds:
                self.publisher(name, kind, [])

    def publish_all(self) -> None:
        with self.lock:
            for name, kind in {(record["name"], record["type"]) for record in self.all}:
                self.publisher(name, kind, self.find(name=name, type=kind))


class Faults:
    """What goes wrong, on demand: {provider, behaviour, operation?, status?, retry_after?, count?}.

    operation is the HTTP method (Cloudflare) or the action (AliDNS), every one when absent; behaviour one of
    HTTP_FAULTS and TLS_FAULTS; count how often, for ever when absent.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.all: list[dict] = []
        self.changed = threading.Event()

    def set(self, faults: list[dict]) -> None:
        """Replace all faults; hanging requests end. ValueError for one that makes no sense."""
        for fault in faults:
            unknown = set(fault) - {"provider", "behaviour", "operation", "status", "retry_after", "count"}
            if unknown or fault.get("provider") not in API_NAMES:
                raise ValueError(f"no such fault: {fault}")
            if fault.get("behaviour") not in HTTP_FAULTS + TLS_FAULTS:
                raise ValueError(f"behaviour is one of {', '.join(HTTP_FAULTS + TLS_FAULTS)}")
            if fault["behaviour"] == "status" and fault.get("status") not in range(400, 600):
                raise ValueError("status is a number from 400 to 599")
            if fault["behaviour"] == "success-false" and fault["provider"] != "cloudflare":
                raise ValueError("only Cloudflare has success:false")
        with self.lock:
            self.all = [dict(fault) for fault in faults]
            self.changed.set()
            self.changed = threading.Event()

    def take(self, provider: str, operation: str | None, behaviours: tuple[str, ...]) -> dict | None:
        """The fault that this request meets, counted."""
        with self.lock:
            for fault in self.all:
                if fault["provider"] != provider or fault["behaviour"] not in behaviours:
                    continue
                if fault.get("operation", operation) != operation or fault.get("count") == 0:
                    continue
                if "count" in fault:
                    fault["count"] -= 1
                return dict(fault)
        return None


class Cloudflare:
    """https://developers.cloudflare.com/api: zones and DNS records, as far as DDNS clients use them."""

    def __init__(self, records: Records):
        self.records = records

    @staticmethod
    def operation(request: "Handler") -> str:
        return request.command

    @staticmethod
    def refused(refusal: Refusal) -> dict:
        error = {"code": refusal.code, "message": refusal.message}
        return {"success": False, "errors": [error], "messages": [], "result": None}

    @classmethod
    def fault(cls, status: int) -> dict:
        return cls.refused(Refusal(status, 10000 + status, "injected by the lab"))

    @staticmethod
    def authenticate(request: "Handler") -> None:
        if "X-Auth-Key" in request.headers or "X-Auth-Email" in request.headers:
            raise Refusal(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refusal(400, 6003, "Invalid request headers")
        if not hmac.compare_digest(token.encode(), CLOUDFLARE_TOKEN.encode()):
            raise Refusal(403, 9109, "Invalid access token")

    def answer(self, request: "Handler") -> dict:
        self.authenticate(request)
        path = request.url.path.rstrip("/")
        found = re.fullmatch(r"/client/v4/zones(?:/(?P<zone>\w+)/dns_records(?:/(?P<record>\w+))?)?", path)
        if not found:
            raise Refusal(400, 7000, "No route for that URI")
        zone, record = found["zone"], found["record"]
        if zone not in (None, ZONE_ID):
            raise Refusal(404, 7003, "Could not route to that zone, perhaps its identifier is invalid")
        wanted = request.query.get("name.exact") or request.query.get("name")
        if request.command == "GET" and zone is None:
            names = [] if wanted not in (None, ZONE) else [ZONE]
            return self.page([{"id": ZONE_ID, "name": name, "status": "active"} for name in names])
        if request.command == "GET" and record is None:
            filters = {"name": wanted, "type": request.query.get("type")}
            if "proxied" in request.query:
                filters["proxied"] = request.query["proxied"] == "true"
            chosen = {key: value for key, value in filters.items() if value is not None}
            return self.page([self.shown(each) for each in self.records.find(**chosen)])
        if (request.command, zone is not None, record is not None) == ("POST", True, False):
            return self.success(self.shown(self.write(request, None)))
        if request.command in ("PUT", "PATCH") and record is not None:
            return self.success(self.shown(self.write(request, record)))
        raise Refusal(405, 10405, "Method not allowed for this endpoint")

    def write(self, request: "Handler", identity: str | None) -> dict:
        try:
            body = json.loads(request.body)
            given = {"type": str, "name": str, "content": str, "ttl": int, "proxied": bool, "comment": str | None}
            fields = {key: body[key] for key in [*given, "tags", "settings"] if key in body}
            if not all(isinstance(fields[key], given[key]) for key in fields if key in given):
                raise ValueError
        except (ValueError, TypeError):
            raise Refusal(400, 9207, "Failed to parse request body") from None
        old = None
        if identity is not None:
            old = next(iter(self.records.find(id=identity)), None)
            if old is None:
                raise Refusal(404, 81044, "Record does not exist.")
        complete = {**old, **fields} if request.command == "PATCH" else fields
        if missing := [key for key in ("type", "name", "content") if key not in complete]:
            raise Refusal(400, 9000, f"Missing {', '.join(missing)}")
        # Like a paid plan, and shorter than any real one, so that tests need not wait. 1 means automatic.
        if complete.get("ttl") not in range(1, 86401):
            raise Refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
        if not (complete["name"] == ZONE or complete["name"].endswith(f".{ZONE}")):
            raise Refusal(400, 9000, f"DNS name {complete['name']} is not in the zone {ZONE}")
        if error := content_error(complete["type"], complete["content"]):
            raise Refusal(400, 9005, error)
        request.note(complete["name"], complete["content"])
        same = self.records.find(name=complete["name"], type=complete["type"], content=complete["content"])
        if any(each["id"] != identity for each in same):
            raise Refusal(400, 81058, "An identical record already exists.")
        if identity is not None:
            return self.records.update(identity, **fields)
        rest = {key: value for key, value in fields.items() if key not in ("name", "type", "content", "ttl")}
        return self.records.add(fields["name"], fields["type"], fields["content"], fields["ttl"], **rest)

    @staticmethod
    def shown(record: dict) -> dict:
        kept = {key: value for key, value in record.items() if key != "line"}
        return {**kept, "zone_id": ZONE_ID, "zone_name": ZONE, "proxiable": True}

    @staticmethod
    def success(result) -> dict:
        return {"success": True, "errors": [], "messages": [], "result": result}

    @classmethod
    def page(cls, result: list) -> dict:
        count = len(result)
        info = {"page": 1, "per_page": max(count, 20), "count": count, "total_count": count, "total_pages": 1}
        return {**cls.success(result), "result_info": info}


class AliDNS:
    """Alibaba Cloud DNS, API version 2015-01-09, signed by ACS3-HMAC-SHA256."""

    VERSION = "2015-01-09"

    def __init__(self, records: Records):
        self.records = records
        self.nonces: dict[str, datetime] = {}
        self.lock = threading.Lock()

    @staticmethod
    def operation(request: "Handler") -> str:
        return request.headers.get("X-Acs-Action", "")

    @staticmethod
    def refused(refusal: Refusal) -> dict:
        return {"RequestId": str(uuid.uuid4()), "Code": refusal.code, "Message": refusal.message}

    @classmethod
    def fault(cls, status: int) -> dict:
        return cls.refused(Refusal(status, ALIDNS_FAULTS.get(status, "ServiceUnavailable"), "injected by the lab"))

    def authenticate(self, request: "Handler") -> None:
        header = request.headers.get("Authorization", "")
        found = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})", header
        )
        if not found:
            raise Refusal(400, "IncompleteSignature", "The request signature does not conform to the standard.")
        key, names, signature = found[1], found[2].split(";"), found[3]
        if key not in ALIDNS_KEYS:
            raise Refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if not SIGNED_HEADERS <= set(names) or any(name not in request.headers for name in names):
            raise Refusal(400, "IncompleteSignature", "A header that must be signed is not.")
        if request.headers["X-Acs-Version"] != self.VERSION:
            raise Refusal(400, "InvalidVersion", "Specified parameter Version is not valid.")
        try:
            date = datetime.strptime(request.headers["X-Acs-Date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise Refusal(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from None
        now = datetime.now(UTC)
        if abs(now - date) > DATE_WINDOW:
            raise Refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        expected = self.signature(ALIDNS_KEYS[key], request, names)
        digest = hashlib.sha256(request.body).hexdigest()
        if digest != request.headers["X-Acs-Content-Sha256"] or not hmac.compare_digest(expected, signature):
            raise Refusal(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
        nonce = request.headers["X-Acs-Signature-Nonce"]
        with self.lock:
            self.nonces = {each: seen for each, seen in self.nonces.items() if now - seen < 2 * DATE_WINDOW}
            if nonce in self.nonces:
                raise Refusal(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self.nonces[nonce] = now

    @staticmethod
    def signature(secret: str, request: "Handler", names: list[str]) -> str:
        query = "&".join(
            f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(request.query.items())
        )
        headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in sorted(names))
        canonical = "\n".join([
            request.command, request.url.path, query, headers, ";".join(names), hashlib.sha256(request.body).hexdigest(),
        ])  # fmt: skip
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()

    def answer(self, request: "Handler") -> dict:
        self.authenticate(request)
        given = {**request.query, **dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))}
        actions = {
            "GetMainDomainName": self.main_domain, "DescribeSubDomainRecords": self.describe,
            "AddDomainRecord": self.add, "UpdateDomainRecord": self.update,
        }  # fmt: skip
        action = actions.get(self.operation(request))
        if request.command != "POST" or action is None:
            raise Refusal(404, "InvalidAction.NotFound", "Specified api is not found.")
        try:
            return {"RequestId": str(uuid.uuid4()), **action(request, given)}
        except KeyError as missing:
            raise Refusal(400, f"Missing{missing.args[0]}", f"{missing.args[0]} is mandatory.") from None

    @staticmethod
    def main_domain(_request: "Handler", given: dict) -> dict:
        name = given["InputString"]
        labels = len(ZONE.split(".")) if name == ZONE or name.endswith(f".{ZONE}") else 2
        parts = name.split(".")
        return {"DomainName": ".".join(parts[-labels:]), "RR": ".".join(parts[:-labels]) or "@", "DomainLevel": 1}

    @staticmethod
    def own(domain: str) -> None:
        if domain != ZONE:
            raise Refusal(404, "InvalidDomainName.NoExist", "The specified domain name does not exist.")

    def describe(self, _request: "Handler", given: dict) -> dict:
        name = given["SubDomain"]
        self.own(given.get("DomainName") or name[-len(ZONE) :])
        found = self.records.find(name=name, **({"type": given["Type"]} if given.get("Type") else {}))
        if given.get("Line"):
            found = [each for each in found if each["line"] == given["Line"]]
        return {
            "TotalCount": len(found),
            "PageNumber": 1,
            "DomainRecords": {"Record": [self.shown(each) for each in found]},
        }

    def add(self, request: "Handler", given: dict) -> dict:
        self.own(given["DomainName"])
        fields = self.fields(request, given)
        if self.records.find(name=fields["name"], type=fields["type"], content=fields["content"]):
            raise Refusal(400, "DomainRecordDuplicate", "The DNS record already exists.")
        return {"RecordId": self.records.add(**fields)["id"]}

    def update(self, request: "Handler", given: dict) -> dict:
        identity, fields = given["RecordId"], self.fields(request, given)
        old = next(iter(self.records.find(id=identity)), None)
        if old is None:
            raise Refusal(400, "DomainRecordNotBelongToUser", "The DNS record does not belong to the user.")
        if all(old[key] == value for key, value in fields.items()):
            raise Refusal(400, "DomainRecordDuplicate", "The DNS record already exists.")
        return {"RecordId": self.records.update(identity, **fields)["id"]}

    @staticmethod
    def fields(request: "Handler", given: dict) -> dict:
        host, kind, value = given["RR"], given["Type"], given["Value"]
        name = ZONE if host == "@" else f"{host}.{ZONE}"
        ttl = given.get("TTL", "600")
        if not ttl.isdecimal() or int(ttl) not in range(1, 86401):  # as the dearest plan allows
            raise Refusal(400, "InvalidTTL", "The specified TTL is not valid.")
        if error := content_error(kind, value):
            raise Refusal(400, "InvalidValue", error)
        request.note(name, value)
        return {"name": name, "type": kind, "content": value, "ttl": int(ttl), "line": given.get("Line") or "default"}

    @staticmethod
    def shown(record: dict) -> dict:
        host = record["name"].removesuffix(ZONE).rstrip(".") or "@"
        return {
            "DomainName": ZONE, "RecordId": record["id"], "RR": host, "Type": record["type"], "Value": record["content"],
            "TTL": record["ttl"], "Line": record["line"], "Status": "ENABLE", "Locked": False, "Weight": 1,
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One request to one of the two APIs, told apart by the Host header."""

    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte from the client
    server: "ApiServer"

    def note(self, name: str, value: str) -> None:
        """Name and value for the request log."""
        self.log_fields.update(name=name, value=value)

    def answer(self, status: int, body: bytes, headers: dict | None = None) -> None:
        """Log, then send: who has the answer finds it in the log."""
        self.server.log(**self.log_fields, status=status)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        self.url = urlsplit(self.path)
        self.query = dict(parse_qsl(self.url.query, keep_blank_values=True))
        length = self.headers.get("Content-Length", "0")
        self.body = self.rfile.read(min(int(length), 1 << 20)) if length.isdecimal() else b""
        host = self.headers.get("Host", "").partition(":")[0].lower()
        provider = next((key for key, name in API_NAMES.items() if name == host), None)
        self.log_fields = {"client": self.client_address[0], "provider": provider}
        self.log_fields.update(method=self.command, path=self.url.path)
        if provider is None:
            self.answer(421, b"{}")
            return
        api = self.server.apis[provider]
        operation = self.log_fields["operation"] = api.operation(self)
        # A fault stands before the account's own checks, as a provider's overloaded front end does.
        ended = self.server.faults.changed
        if fault := self.server.faults.take(provider, operation, HTTP_FAULTS):
            self.fail(api, fault, ended)
            return
        try:
            status, body = 200, api.answer(self)
        except Refusal as refusal:
            status, body = refusal.status, api.refused(refusal)
            self.log_fields["code"] = refusal.code
        self.answer(status, json.dumps(body).encode())

    def fail(self, api: Cloudflare | AliDNS, fault: dict, ended: threading.Event) -> None:
        behaviour = self.log_fields["fault"] = fault["behaviour"]
        if behaviour == "hang":
            self.server.log(**self.log_fields)
            ended.wait(600)
            self.close_connection = True
            return
        status = fault["status"] if behaviour == "status" else 200
        body = b'{"success": tr<html>' if behaviour == "garbage" else json.dumps(api.fault(status)).encode()
        self.answer(status, body, {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def log_message(self, format: str, *args) -> None:
        """Silenced: the request log is `ApiServer.log`."""


class ApiServer(ThreadingHTTPServer):
    """Both doubles on one address. `contexts`: {"": the right one, **TLS_FAULTS}, or None to speak plain HTTP."""

    daemon_threads = True

    def __init__(self, address, log_file: Path, contexts: dict[str, ssl.SSLContext] | None = None, publisher=publish):
        super().__init__(address, Handler)
        self.records, self.faults = Records(publisher), Faults()
        self.apis = {"cloudflare": Cloudflare(self.records), "alidns": AliDNS(self.records)}
        self.contexts, self.log_file, self.log_lock = contexts, log_file, threading.Lock()
        if contexts:
            contexts[""].sni_callback = self.choose_certificate

    def choose_certificate(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        provider = next((key for key, value in API_NAMES.items() if value == name), "")
        if fault := self.faults.take(provider, None, TLS_FAULTS):
            connection.context = self.contexts[fault["behaviour"]]
            self.log(provider=provider, fault=fault["behaviour"])

    def finish_request(self, request: socket.socket, client_address) -> None:
        """In the connection's own thread, so that a slow handshake keeps nobody waiting."""
        if not self.contexts:
            return super().finish_request(request, client_address)
        request.settimeout(30)
        try:
            with self.contexts[""].wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError as error:
            self.log(client=client_address[0], tls=getattr(error, "reason", None) or type(error).__name__)

    def log(self, **fields) -> None:
        with self.log_lock, self.log_file.open("a") as log:
            log.write(json.dumps({"time": round(time.time(), 3), **fields}) + "\n")

    def control(self, command: dict) -> dict:
        """The lab's own commands, see sitelab.internet. ValueError and KeyError for what makes no sense."""
        if command["do"] == "records":
            return {"records": self.records.find()}
        if command["do"] == "set":
            kind = command.get("type", "A")
            if error := content_error(kind, command["value"]):
                raise ValueError(error)
            with self.records.lock:
                found = self.records.find(name=command["name"], type=kind)
                if found:
                    self.records.update(found[0]["id"], content=command["value"], ttl=command["ttl"])
                else:
                    self.records.add(command["name"], kind, command["value"], command["ttl"])
        elif command["do"] == "delete":
            self.records.delete(command["name"])
        elif command["do"] == "publish":
            self.records.publish_all()
        elif command["do"] == "fault":
            self.faults.set(command["faults"])
        elif command["do"] == "faults":
            return {"faults": self.faults.all}
        else:
            raise ValueError(f"no such command: {command['do']}")
        return {}


class ControlHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        try:
            reply = self.server.api.control(json.loads(self.rfile.readline()))
        except (ValueError, KeyError, TypeError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        self.wfile.write(json.dumps(reply).encode() + b"\n")


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def main(directory: str) -> None:
    """Serve for ever. `directory` holds api.pem, wrong-certificate.pem and wrong-name.pem (key and certificate each)."""
    home = Path(directory)
    contexts = {"": context(home / "api.pem"), **{name: context(home / f"{name}.pem") for name in TLS_FAULTS}}
    server = ApiServer((str(API), 443), home / "requests.jsonl", contexts)
    control = home / "control.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(control)
    commands = socketserver.ThreadingUnixStreamServer(str(control), ControlHandler)
    commands.daemon_threads, commands.api = True, server
    threading.Thread(target=commands.serve_forever, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
