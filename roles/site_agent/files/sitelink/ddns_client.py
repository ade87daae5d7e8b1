# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs NewFuture/DDNS so that its outcome can be believed. A program of its own: it runs in the client's Python.

    ddns_client.py CLIENT CONFIG NAME/KIND...

CLIENT is put before sys.path (a wheel, "" for nothing). Of CONFIG's entries those run that are named, each with its one
name and kind (A or AAAA). Prints {"NAME/KIND": {"ok", "reason", "credentials", "retry_after"}} and exits 0 when all went
well. credentials: whether the provider refused those.

Version 4 of the client takes refused writes for done (HTTP 200 with success:false, 404, 409, 429), asks again at once
where it was told to wait, and waits for minutes on a server that hangs. All its API requests pass one function, which is
wrapped here: one try, a short timeout, and every refusal is an error with the provider's own words.
"""

import email.utils
import json
import socket
import ssl
import sys
import time
from urllib.error import URLError
from urllib.parse import urlsplit

TIMEOUT = 10  # seconds for connecting, and for every wait for bytes
MAX_WORDS = 160  # characters of what the provider says

_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "9109", "9103", "6003", "10000")


class Refused(Exception):
    pass


class Watch:
    """What the requests of one entry met."""

    def __init__(self):
        self.reason = ""
        self.suspicion = ""  # a reason only if the client fails
        self.credentials = False  # whether those were refused
        self.retry_after = 0

    def request(self, real, method, url, *args, **kwargs):
        kwargs.update(retries=0, timeout=TIMEOUT)
        host = urlsplit(url).hostname
        try:
            response = real(method, url, *args, **kwargs)
        except Exception as error:
            self.reason = self.reason or unreachable(host, error)
            raise
        try:
            body = json.loads(response.body)
        except ValueError:
            body = None
            self.suspicion = "%s answered with something that is not JSON (HTTP %d)" % (host, response.status)
        if response.status >= 400 or (isinstance(body, dict) and body.get("success") is False):
            if not self.reason:
                self.reason, self.credentials = refusal(host, response.status, body)
            self.retry_after = max(self.retry_after, seconds(response.headers.get("Retry-After")))
            raise Refused(self.reason)
        return response


def refusal(host, status, body):
    """(a sentence, whether it refused the credentials) from the provider's answer: Cloudflare's errors, AliDNS's Code and
    Message, and their likes."""
    words, code = "", ""
    if isinstance(body, dict):
        errors = body.get("errors")
        found = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else body
        parts = [found.get(key) for key in ("code", "Code", "message", "Message", "msg", "error")]
        code = str(found.get("code") or found.get("Code") or "").partition(".")[0]
        words = " ".join(str(part) for part in parts if isinstance(part, (str, int)) and part != "")
    words = "".join(c if c.isprintable() else " " for c in words)[:MAX_WORDS].strip()
    text = "%s refused: HTTP %d%s" % (host, status, " (%s)" % words if words else "")
    credentials = status in (401, 403) or code in _CREDENTIALS
    if credentials:
        text += "; check the token and its id, and that they may change records of this zone"
    elif status == 429 or "Throttling" in words:
        text += "; too many requests of this account"
    return text, credentials


def unreachable(host, error):
    """A sentence for a request that got no answer."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, (ssl.CertificateError, ssl.SSLError)):  # one is no subclass of the other before Python 3.7
        detail = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or str(cause)
        text = "the certificate of %s is not to be trusted (%s); nothing was sent to it" % (host, one_line(detail))
        if "expired" in text or "not yet valid" in text:
            text += "; check this site's clock, which says %s" % time.strftime("%Y-%m-%d")
        return text
    if isinstance(cause, socket.timeout):
        return "%s did not answer within %d s" % (host, TIMEOUT)
    if isinstance(cause, ConnectionRefusedError):
        return "%s refused the connection" % host
    if isinstance(cause, socket.gaierror):
        return "the name %s does not resolve (%s); check this site's DNS" % (host, one_line(cause.strerror))
    return "%s cannot be reached (%s)" % (host, one_line(getattr(cause, "strerror", None) or str(cause)))


def one_line(text):
    return " ".join(str(text).split())[:MAX_WORDS]


def seconds(value):
    """Retry-After as seconds from now, 0 when there is none."""
    if not value:
        return 0
    if value.strip().isdigit():
        return int(value)
    try:
        return max(0, int(email.utils.parsedate_to_datetime(value).timestamp() - time.time()))
    except (TypeError, ValueError):
        return 0


def main(path, config_path, *wanted):
    if path:
        sys.path.insert(0, path)
    try:
        import ddns.__main__ as client
        import ddns.provider._base as base

        real = base.request
    except (ImportError, AttributeError) as error:
        reason = "this is no client that fits, NewFuture/DDNS 4.2 does: %s" % one_line(error)
        print(json.dumps({key: {"ok": False, "reason": reason, "credentials": False, "retry_after": 0} for key in wanted}))
        return 1
    sys.argv = ["ddns", "-c", config_path]
    results = {}
    for config in client.load_configs("", client.__version__, ""):
        key = config.ipv4[0] + "/A" if config.ipv4 else config.ipv6[0] + "/AAAA"
        if key not in wanted:
            continue
        watch = Watch()
        base.request = lambda *args, **kwargs: watch.request(real, *args, **kwargs)  # noqa: B023 - within this turn
        reason = ""
        try:
            ok = client.run(config)
        except Exception as error:  # noqa: BLE001 - whatever the client makes of an answer
            ok, reason = False, one_line(error)
        result = {"ok": bool(ok), "reason": "", "credentials": False, "retry_after": watch.retry_after}
        if not ok:
            result.update(reason=watch.reason or watch.suspicion or reason, credentials=watch.credentials)
        old = results.get(key)  # one name by several accounts: all have to take it
        if old is None or old["ok"]:
            results[key] = result
    print(json.dumps(results))
    return 0 if all(results.get(key, {}).get("ok") for key in wanted) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
