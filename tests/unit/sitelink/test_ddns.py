# SPDX-License-Identifier: GPL-3.0-or-later
"""The name follows the address whatever the provider answers: the real client against the doubles over HTTPS, in a
namespace with an eth1, a name server and the names of the APIs."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import time

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the doubles of the providers' APIs need Python 3.11", allow_module_level=True)

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "lab"))
from sitelab import credentials, topology
from sitelab.api_double import TLS_FAULTS, ApiServer, context
from sitelink.state import read_json, write_json

from packets import NameServer
from throwaway import LIMIT, wait_for

WHEEL = next((ROOT / ".cache").glob("ddns-*.whl"), None)
ALIDNS_ID, ALIDNS_SECRET = next(iter(topology.ALIDNS_KEYS.items()))
TOKENS = {"cloudflare": topology.CLOUDFLARE_TOKEN, "alidns": ALIDNS_SECRET}
# The product's own limits end waits for others' servers; here the others are on the same machine, however busy it is.
PATIENT = {"ddns.CLIENT_SECONDS": LIMIT, "ddns.SETTLE_SECONDS": LIMIT, "ddns.LEASE_SECONDS": 1}
CLIENT_PYTHON = """\
#!%s -IB
import re, sys
del sys.argv[:3]
with open(sys.argv[0]) as file:
    code, found = re.subn("(?m)^TIMEOUT = [0-9]+", "TIMEOUT = %s", file.read())
assert found == 1
exec(compile(code, sys.argv[0], "exec"))
"""
NAMES = {"cloudflare": "site-a.lab.test", "alidns": "site-c.lab.test"}


class World:
    """A site's namespace with the internet in it."""

    def __init__(self, namespace, directory):
        self.namespace = namespace
        self.state = namespace.run_dir + "-ddns"
        os.makedirs(self.state)
        self.site_address, self.provider, self.address = 1, None, None
        self.log = directory / "requests.jsonl"
        credentials.prepare(directory, [])
        api = directory / "api"
        contexts = {name: context(api / ("%s.pem" % name)) for name in TLS_FAULTS}
        contexts[""] = context(api / "api.pem")
        namespace.sh(
            "ip link add eth1 type veth peer name ont; ip link set ont up; ip link set eth1 up; nft add table inet t;"
            "nft 'add chain inet t i { type filter hook input priority 0; }';"
            "for a in %s %s; do ip address add $a/32 dev lo; done" % (topology.AUTHORITATIVE, topology.API)
        )
        etc = pathlib.Path("/etc/netns", namespace.name)
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text("nameserver %s\n" % topology.AUTHORITATIVE)
        (etc / "hosts").write_text("".join("%s %s\n" % (topology.API, name) for name in topology.API_NAMES.values()))
        with namespace.entered():
            self.names = NameServer(str(topology.AUTHORITATIVE), topology.ZONE)
            self.api = ApiServer((str(topology.API), 443), self.log, contexts, self.publish)
        self.thread = threading.Thread(target=self.api.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.published = True
        self.ca = directory / "ca.pem"
        namespace.constants.update(PATIENT)
        self.python = os.path.join(os.path.dirname(self.state), "python")

    def publish(self, name, kind, records):
        if self.published:
            self.names.records[name, kind] = [record["content"] for record in records]

    def configure(self, provider, **changes):
        """As the role does, for one name; forgets what happened before."""
        entry = {
            "provider": provider,
            "id": ALIDNS_ID if provider == "alidns" else None,
            "token": TOKENS[provider],
            "endpoint": "https://" + topology.API_NAMES[provider],
            "ipv4": [NAMES[provider]],
            "ipv6": [],
            "index4": ["shell:" + self.program()],
            "index6": False,
            "ttl": 60,
        }
        if provider == "cloudflare":
            entry["extra"] = {"proxied": False}
        entry.update(changes)
        self.provider = provider
        self.wait_for_answers(LIMIT)
        client = {"ssl": str(self.ca), "cache": False, "log": {"level": "WARNING"}, "providers": [entry]}
        self.namespace.write("ddns.json", client, 0o600)
        self.namespace.write("ddns-site.json", self.settings())
        self.forget()
        self.faults()

    def make_right(self, provider):
        """A name that is right, and nothing before it."""
        self.configure(provider)
        self.move()
        assert self.run() == (0, "%s is %s\n" % (NAMES[provider], self.address))

    def is_right(self, provider):
        """Whether the test before has left the name of this provider right."""
        return self.provider == provider and self.record() == [self.address]

    def settings(self, **changes):
        record = {
            "name": NAMES[self.provider],
            "kind": "A",
            "provider": self.provider,
            "interface": "eth1",
            "networks": ["10.0.0.0/7"],
        }
        found = {"python": self.python, "client": str(WHEEL), "verify": True, "interval": 30, "names": [record]}
        return dict(found, **changes)

    def wait_for_answers(self, seconds):
        """What the client waits for each answer of an API. The same client otherwise."""
        with open(self.python, "w") as file:
            file.write(CLIENT_PYTHON % (sys.executable, seconds))
        os.chmod(self.python, 0o755)

    def program(self, name="sitelink", *arguments):
        """What the client asks for the address, as /usr/local/sbin/sitelink on a site."""
        path = os.path.join(os.path.dirname(self.state), name)
        words = self.namespace._command(["address", *(arguments or ["eth1", "--network", "10.0.0.0/7"])])[4:]
        with open(path, "w") as file:
            file.write("#!/bin/sh\nexec %s\n" % " ".join(map(shlex.quote, words)))
        os.chmod(path, 0o755)
        return path

    def forget(self):
        for name in os.listdir(self.state):
            os.unlink(os.path.join(self.state, name))

    def move(self):
        """A new address on eth1."""
        self.site_address = self.site_address % 250 + 1
        self.address = "10.23.64.%d" % self.site_address
        self.namespace.sh("ip address flush dev eth1; ip address add %s/20 dev eth1" % self.address)
        return self.address

    def faults(self, **fault):
        self.api.faults.set([dict(fault, provider=self.provider)] if fault else [])

    def run(self):
        """One run of the service: (exit code, log)."""
        code, out, err = self.namespace.sitelink("ddns")
        assert out == "" and "Traceback" not in err, err
        return code, err

    def record(self, kind="A"):
        return self.names.records.get((NAMES[self.provider], kind))

    def requests(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def told(self):
        return self.namespace.status()["ddns"]

    def close(self):
        self.api.faults.set([])
        self.api.shutdown()
        self.api.server_close()
        self.names.stop()


@pytest.fixture(scope="module")
def world(namespaces, tmp_path_factory):
    if WHEEL is None:
        pytest.skip("needs the DDNS client: scripts/setup")
    made = World(namespaces(), tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture(params=sorted(NAMES))
def right(world, request):
    """The world with a name that is right."""
    world.make_right(request.param)
    return world


TABLE = []

# (provider, operation, fault, a word of the reason)
FAULTS = [
    ("cloudflare", operation, {"behaviour": "status", "status": status}, "HTTP %d" % status)
    for operation, statuses in (("PUT", (400, 401, 403, 404, 409, 429, 500, 503)), ("GET", (403, 404, 429, 503)))
    for status in statuses
]
FAULTS += [
    ("cloudflare", "PUT", {"behaviour": "success-false"}, "HTTP 200"),
    ("cloudflare", "GET", {"behaviour": "success-false"}, "HTTP 200"),
    ("cloudflare", "PUT", {"behaviour": "hang"}, "did not answer within"),
    ("cloudflare", "GET", {"behaviour": "garbage"}, "not JSON"),
    ("cloudflare", None, {"behaviour": "wrong-certificate"}, "not to be trusted"),
    ("cloudflare", None, {"behaviour": "wrong-name"}, "not to be trusted"),
    ("cloudflare", None, "refused", "refused the connection"),
]
FAULTS += [
    ("alidns", "UpdateDomainRecord", {"behaviour": "status", "status": status}, word)
    for status, word in (
        (400, "Throttling"), (401, "HTTP 401"), (403, "Forbidden.RAM"), (404, "InvalidAccessKeyId"), (409, "HTTP 409"),
        (429, "Throttling"), (500, "HTTP 500"), (503, "HTTP 503"),
    )
]  # fmt: skip
FAULTS += [
    ("alidns", "GetMainDomainName", {"behaviour": "status", "status": 400}, "Throttling"),
    ("alidns", "GetMainDomainName", {"behaviour": "garbage"}, "not JSON"),
    ("alidns", "UpdateDomainRecord", {"behaviour": "hang"}, "did not answer within"),
    ("alidns", None, {"behaviour": "wrong-certificate"}, "not to be trusted"),
    ("alidns", None, {"behaviour": "wrong-name"}, "not to be trusted"),
    ("alidns", None, "refused", "refused the connection"),
]


@pytest.fixture(scope="module", autouse=True)
def table(request):
    """Print all cases at the end, whatever pytest captures."""
    yield
    if TABLE:
        rows = [("provider", "operation", "fault", "seconds", "reason while it lasts")] + TABLE
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        text = "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)) + "  " + row[4]
            for row in rows
        )
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(
                "\n%s\n%d cases; seconds: from the end of the fault, for the run that puts it right"
                % (text, len(TABLE))
            )


def sort(provider, operation, fault, word):
    """The gate has the first fault of each sort: what differs in the number of a status alone, and what happens to a connection, which is
    the same for each provider, is left to the part `long`."""
    if fault == "refused":
        return fault
    return (provider, re.sub("HTTP [0-9]+", "", word)) if "status" in fault else fault["behaviour"]


def is_of_credentials(fault, word):
    return "status" in fault and (fault["status"] in (401, 403) or word == "InvalidAccessKeyId")


SORTS = [sort(*each) for each in FAULTS]


@pytest.mark.parametrize(
    ("provider", "operation", "fault", "word"),
    [pytest.param(*each, marks=[pytest.mark.long] * (SORTS.index(SORTS[n]) != n)) for n, each in enumerate(FAULTS)],
)
def test_a_fault_is_told_and_mended(world, provider, operation, fault, word):
    if not world.is_right(provider):
        world.make_right(provider)
    old = world.record()
    new = world.move()
    requests = world.requests()
    if fault == "refused":
        world.namespace.sh("nft add rule inet t i tcp dport 443 reject with tcp reset")
    else:
        world.faults(**dict(fault, **({"operation": operation} if operation else {})))
        if fault["behaviour"] == "hang":
            world.wait_for_answers(1)
    code, log = world.run()
    told = world.told()
    world.wait_for_answers(LIMIT)
    if fault == "refused":
        world.namespace.sh("nft flush chain inet t i")
    elif fault["behaviour"] in TLS_FAULTS:  # the double sees handshakes only: no request, so no token
        lines = world.log.read_text().splitlines()[requests:]
        assert lines and not [line for line in lines if "method" in line]
    assert code == 1 and world.record() == old
    assert log.count("\n") == 1 and word in log and NAMES[provider] in log, log
    assert (told["state"], told["reason"]) == ("fault", log.replace("sitelink: ", "").strip())
    assert [item["fault"] for item in told["names"]] == ["credentials" if is_of_credentials(fault, word) else "provider"]
    assert TOKENS[provider] not in log + str(told)
    world.faults()
    start = time.monotonic()
    code, log = world.run()
    seconds = time.monotonic() - start
    assert (code, world.record()) == (0, [new]), log
    behaviour = fault if fault == "refused" else fault["behaviour"]
    if behaviour == "status":
        behaviour = "HTTP %d" % fault["status"]
    TABLE.append((provider, operation or "connection", behaviour, "%.1f" % seconds, told["reason"]))


def test_nobody_is_asked_again_before_the_time_it_named(world):
    world.configure("cloudflare")
    world.move()
    assert world.run()[0] == 0
    world.move()
    world.faults(behaviour="status", status=429, retry_after=3600, operation="PUT", count=1)
    assert "429" in world.run()[1]
    requests = world.requests()
    code, log = world.run()
    assert code == 1 and "asked to wait" in log and world.requests() == requests
    path = os.path.join(world.state, "status.json")
    told = read_json(path)
    assert list(told["not_before"]) == ["cloudflare"]
    told["not_before"]["cloudflare"] = 0  # the hour has passed
    write_json(path, told)
    assert world.run()[0] == 0 and world.record() == [world.address]


def test_a_right_record_costs_no_request(right):
    requests = right.requests()
    assert [right.run() for _ in range(3)] == [(0, "")] * 3
    assert right.requests() == requests


def test_a_record_changed_by_hand_is_put_back(right):
    for record in right.api.records.find(name=NAMES[right.provider]):
        right.api.records.update(record["id"], content="10.9.9.9")
    assert right.record() == ["10.9.9.9"]
    assert right.run()[0] == 0 and right.record() == [right.address]
    right.api.records.delete(NAMES[right.provider])
    assert right.run()[0] == 0 and right.record() == [right.address]


def test_a_record_is_never_proxied(world):
    world.configure("cloudflare")
    world.move()
    assert world.run()[0] == 0
    record = world.api.records.find(name=NAMES["cloudflare"])[0]
    world.api.records.update(record["id"], proxied=True)
    world.names.records[NAMES["cloudflare"], "A"] = ["104.16.0.1"]
    assert world.run()[0] == 0
    assert not world.api.records.find(name=NAMES["cloudflare"])[0]["proxied"]


def test_new_credentials_prove_themselves(right):
    right.forget()
    requests = right.requests()
    assert right.run()[0] == 0
    assert right.requests() > requests


def test_new_settings_of_the_client_count_as_run_once_a_run_with_them_ended_well(right):
    """What `sitelink service` goes by; the role writes the file and no more."""
    settings = os.path.join(right.namespace.etc, "ddns.json")
    path = os.path.join(right.state, "loaded.json")
    before, content = right.requests(), read_json(settings)
    right.namespace.write(
        "ddns.json", dict(content, providers=[dict(content["providers"][0], token="no-token-of-anybody")]), 0o600
    )
    assert right.run()[0] == 1 and right.requests() > before, "the record is right, but the token is not"
    assert read_json(path)["ok"] is False
    right.namespace.write("ddns.json", content, 0o600)
    assert right.run()[0] == 0 and read_json(path)["ok"] is True
    assert os.stat(path).st_mode & 0o777 == 0o600
    before = right.requests()
    assert right.run()[0] == 0 and right.requests() == before, "one proof is enough"


def test_an_update_that_is_taken_and_not_shown_is_a_failure(world, monkeypatch):
    """The zone's servers say nothing new: wrong, with a budget of requests."""
    world.configure("cloudflare")
    world.move()
    assert world.run()[0] == 0
    world.published = False
    world.namespace.constants["ddns.SETTLE_SECONDS"] = 1
    try:
        old, new = world.address, world.move()
        code, log = world.run()
        assert code == 1 and "took the update, but" in log and old in log and new in log
        requests = world.requests()
        code, log = world.run()
        assert code == 1 and world.requests() == requests  # not again at once
    finally:
        world.published = True
        world.namespace.constants.update(PATIENT)
    world.names.records[NAMES["cloudflare"], "A"] = [new]
    assert world.run()[0] == 0


@pytest.mark.parametrize(
    ("setup", "word"),
    [
        ("ip address add 10.99.0.1/16 dev eth1", "2 underlay addresses"),
        ("ip address flush dev eth1", "no IPv4 address"),
        ("ip address flush dev eth1; ip address add 172.16.0.9/24 dev eth1", "outside the underlay"),
        ("ip address flush dev eth1; ip link set ont down", "no carrier"),
    ],
)
def test_without_one_valid_address_nothing_is_published(right, setup, word):
    requests, record = right.requests(), right.record()
    right.namespace.sh(setup)
    code, log = right.run()
    right.namespace.sh("ip link set ont up")
    assert code == 1 and word in log
    assert (right.requests(), right.record()) == (requests, record)


def test_an_address_that_comes_during_the_run_is_published_by_it(right):
    """systemd.path does not see what changes meanwhile. Nothing else would start another run before the timer."""
    right.namespace.constants["ddns.LEASE_SECONDS"] = LIMIT
    right.namespace.sh("ip address flush dev eth1")
    told = os.path.join(right.state, "loaded.json")

    def move():
        wait_for(lambda: read_json(told).get("ok") is False)  # it has begun
        time.sleep(1)  # and has looked: a run that does not wait is over
        right.move()

    mover = threading.Thread(target=move)
    mover.start()
    try:
        assert right.run() == (0, "%s is %s\n" % (NAMES[right.provider], right.address))
    finally:
        mover.join()
        right.namespace.constants.update(PATIENT)
    assert right.record() == [right.address]


def test_a_secondary_address_changes_nothing(right):
    right.namespace.sh("ip address add 10.23.64.251/20 dev eth1")
    assert right.run()[0] == 0 and right.record() == [right.address]


def test_who_cannot_read_back_is_told_so_and_asks_the_api_seldom(right):
    right.names.mode = "silent"
    try:
        requests = right.requests()
        code, log = right.run()
        assert code == 1 and "cannot be checked" in log
        assert right.requests() == requests
    finally:
        right.names.mode = "right"
    assert right.run()[0] == 0


def test_rebind_protection_is_no_wrong_record(right):
    """The resolver drops private addresses; the zone's own servers are asked elsewhere."""
    with right.namespace.entered():
        right.namespace.sh("ip address replace 198.18.0.8/32 dev lo")
        resolver = NameServer("198.18.0.8", topology.ZONE, dict(right.names.records))
    resolver.records["ns." + topology.ZONE, "A"] = [str(topology.AUTHORITATIVE)]
    resolver.mode = "stripping"
    pathlib.Path("/etc/netns", right.namespace.name, "resolv.conf").write_text("nameserver 198.18.0.8\n")
    right.forget()
    try:
        assert right.run()[0] == 0
        told = right.told()
        assert told["state"] == "ok" and "rebind protection" in told["note"] and "198.18.0.8" in told["note"]
        assert "rebind" in right.namespace.sitelink("status")[1]
    finally:
        resolver.stop()
        path = pathlib.Path("/etc/netns", right.namespace.name, "resolv.conf")
        path.write_text("nameserver %s\n" % topology.AUTHORITATIVE)


def test_an_ipv6_name_follows_its_address(world):
    world.configure("cloudflare")
    world.namespace.sh(
        "ip address flush dev eth1; sysctl -qw net.ipv6.conf.eth1.disable_ipv6=0 net.ipv6.conf.eth1.accept_dad=0;"
        "ip link set eth1 down; ip link set eth1 up; ip address add 2001:db8::5/64 dev eth1 nodad"
    )
    shell = "shell:" + world.program("sitelink6", "--ipv6", "eth1", "--network", "2001:db8::/32")
    world.configure("cloudflare", ipv4=[], ipv6=[NAMES["cloudflare"]], index4=False, index6=[shell])
    settings = world.settings()
    settings["names"][0].update(kind="AAAA", networks=["2001:db8::/32"])
    world.namespace.write("ddns-site.json", settings)
    assert world.run()[0] == 0
    assert world.record("AAAA") == ["2001:db8::5"]


def test_two_runs_do_not_overlap(world):
    world.configure("cloudflare")
    world.move()
    world.faults(behaviour="hang")
    arguments = world.namespace._command(["ddns"])
    first = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: any("hang" in line for line in world.log.read_text().splitlines()[-2:]))
    code, log = world.run()
    assert code == 1 and "already" in log
    world.faults()
    first.communicate()


def test_a_token_is_in_no_process_list(world):
    world.configure("cloudflare")
    world.move()
    world.faults(behaviour="hang")
    process = subprocess.Popen(world.namespace._command(["ddns"]), stderr=subprocess.DEVNULL)

    def processes():
        """What everybody can read of all processes, once the client is among them."""
        seen = ""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as cmdline, open("/proc/%s/environ" % pid, "rb") as environ:
                    seen += (cmdline.read() + environ.read()).decode(errors="replace")
            except OSError:
                continue
        return seen if "ddns_client.py" in seen else ""

    seen = wait_for(processes)
    assert topology.CLOUDFLARE_TOKEN not in seen
    world.faults()
    process.wait()
