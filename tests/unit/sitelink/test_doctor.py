# SPDX-License-Identifier: GPL-3.0-or-later
"""What doctor concludes from what is seen. That it sees right, molecule/doctor shows."""

import copy
import errno
import json
import re
import socket
import struct
import sys

import pytest

from sitelink import address, cli, dns, doctor, status, text, text_en, text_zh

from test_parts import MESH, put
from throwaway import connect


def peer(name, latency=1.0):
    return {"name": name, "public_key": name, "address": "192.168.11.2", "latency": latency, "reason": "", "alive": True, "external": False,
            "endpoint": "10.1.1.1:22000"}  # fmt: skip


REPORT = {
    "site": "site-a", "version": "1", "faults": [],
    "gateway": [{"interface": "eth1", "address": "10.23.64.9", "gateway": "10.23.64.1", "table": 305, "rules": True,
                 "route": True, "backstop": True, "reason": ""}],
    "firewall": [{"interface": "eth1", "loaded": True, "reason": ""}],
    "mesh": [{"interface": "wg0", "reason": "", "peers": [peer("site-b"), peer("site-c")]}],
    "ddns": {"reason": "", "note": "", "names": [
        {"name": "a.lab.test", "provider": "cloudflare", "address": "10.23.64.9", "published": [], "fault": "", "peer": None}]},
}  # fmt: skip
GOOD = doctor.Silent(False, set(), set(), True, "10.1.1.1:22000")


class Look:
    """A site on which all is well but what a test sets."""

    def __init__(self, **seen):
        self.seen = dict(
            {"configured": [], "running": True, "exists": True, "address": None, "gateway_answers": True,
             "reverse_path_drops": False, "other_firewalls": "ip filter", "strayed_routes": [], "mtu_holes": [],
             "unforwarded": [], "unforwarded_guests": [], "files_from_the_future": "", "clocks": {}, "peer_names": [], "listen": ({}, ""),
             "resolvers": [dns.Answer(dns.FOUND, ["10.23.64.9"], 60, False, None, ("1.1.1.1", 53))]}, **seen)  # fmt: skip
        self.asked = []

    def __getattr__(self, name):
        def answer(*arguments):
            self.asked.append(name)
            value = self.seen[name]
            return value(*arguments) if callable(value) else value

        return answer


def codes(look, report=REPORT):
    return [item.code for item in doctor.diagnose(report, look)]


def changed(part, **values):
    report = copy.deepcopy(REPORT)
    (report[part] if part == "ddns" else report[part][0]).update(values)
    return report


def away(**values):
    item = {"interface": "wg0", "when": "broadband_down", "uplink": "eth0", "broadband": "down", "used": "site-c", "serves": [],
            "exits": {"site-b": "silent", "site-c": "used"}, "reason": "", "names_reason": ""}  # fmt: skip
    return dict(REPORT, exit=[dict(item, **values)])


def silent(*names):
    report = copy.deepcopy(REPORT)
    for item in report["mesh"][0]["peers"]:
        if item["name"] in names:
            item["latency"] = None
    return report


def test_a_healthy_site_reports_nothing():
    look = Look()
    assert codes(look) == []
    assert "listen" not in look.asked and "gateway_answers" not in look.asked  # nothing is sent for what is known


@pytest.mark.parametrize(
    "code, seen, report",
    [
        ("link_none", {"address": address.NoAddress("no carrier", "link_none")}, REPORT),
        ("gateway_none", {}, changed("gateway", gateway=None)),
        ("gateway_silent", {"gateway_answers": False}, silent("site-b", "site-c")),
        ("rule_missing", {"running": False}, changed("gateway", rules=False)),
        ("rule_missing", {}, changed("gateway", route=False)),
        ("rule_missing", {}, changed("gateway", backstop=False)),
        ("rule_daemon", {"running": lambda kind, interface: kind != "gateway"}, REPORT),
        ("rule_foreign", {}, changed("gateway", reason="a rule that is not sitelink's")),
        ("rpfilter_drops", {"reverse_path_drops": True}, REPORT),
        ("firewall_open", {}, changed("firewall", loaded=False, reason="missing")),
        ("firewall_daemon", {}, changed("firewall", reason="does not run")),
        ("wireguard_none", {"exists": False}, changed("mesh", peers=[])),
        ("wireguard_daemon", {"running": lambda kind, interface: kind != "mesh"}, REPORT),
        ("wireguard_other", {}, changed("mesh", reason="they name different peers")),
        ("route_elsewhere", {"strayed_routes": [(peer("site-b"), "10.66.2.0/24", "eth0")]}, REPORT),
        ("mtu_hole", {"mtu_holes": [peer("site-b")]}, REPORT),
        ("lan_forwarding", {"unforwarded": [("192.168.1.0/24", "EHOSTUNREACH")]}, REPORT),
        ("clock_behind", {"files_from_the_future": "now 1970"}, REPORT),
        ("ddns_daemon", {}, changed("ddns", reason="no update ran")),
        ("config_old", {}, dict(REPORT, outdated=[{"unit": "sitelink-mesh@wg0.service", "files": ["/etc/sitelink/mesh-wg0.json"]}])),
    ],
)  # fmt: skip
def test_one_fault_is_one_finding(code, seen, report):
    assert codes(Look(**seen), report) == [code]


@pytest.mark.parametrize(
    "fault, code",
    [
        ("provider", "ddns_refused"),
        ("credentials", "ddns_refused"),
        ("record", "ddns_record"),
        ("servers", "ddns_servers"),
    ],
)
def test_what_is_wrong_with_the_record(fault, code):
    report = changed("ddns", reason="x")
    report["ddns"]["names"][0].update(fault=fault, reason="x")
    assert codes(Look(), report) == [code]
    silence = [dns.Answer(dns.TIMED_OUT, [], None, False, None, ("1.1.1.1", 53))]
    assert codes(Look(resolvers=silence), report) == ["dns_silent"]  # explains that nothing can be published


HOUR = 3600


@pytest.mark.parametrize(
    "told, code",
    [
        ({"b": -1.0, "c": 299.0}, None),
        ({"b": -8 * HOUR, "c": -8 * HOUR + 9}, "clock_ahead"),
        ({"b": 301.0, "c": 8 * HOUR, "d": 8 * HOUR}, "clock_behind"),
        ({"b": 12 * HOUR - 1, "c": 1 - 12 * HOUR}, "clock_behind"),  # half a day: the same time of day
        ({"b": 8 * HOUR, "c": 1.0}, None),  # b's own doctor says so
        ({"b": 8 * HOUR, "c": 8 * HOUR, "d": 0.0}, None),  # two against two
        ({"b": 8 * HOUR}, "clock_differs"),
        ({"b": 8 * HOUR, "c": -8 * HOUR}, "clock_differs"),
    ],
)
def test_the_clock_is_judged_by_those_of_the_peers(told, code):
    found = doctor.diagnose(changed("ddns", reason="x"), Look(clocks=told))
    assert [item.code for item in found] == [code or "ddns_daemon"]  # with a wrong clock nothing can be published
    assert not code or "by that of" in found[0].detail


def test_a_phone_that_sleeps_is_no_fault():
    report = copy.deepcopy(REPORT)
    report["mesh"][0]["peers"].append(dict(peer("phone", latency=None), external=True))
    look = Look()
    assert codes(look, report) == [] and "listen" not in look.asked
    learnt = {name: GOOD._replace(echo=False) for name in ("site-b", "site-c")}
    for item in report["mesh"][0]["peers"]:
        item["latency"] = None
    assert codes(Look(listen=(learnt, "")), report) == ["peers_off"]


def test_phones_and_silent_peers_are_not_asked_for_the_time():
    report = silent("site-b")
    report["mesh"][0]["peers"].append(dict(peer("phone"), external=True))
    asked = []
    doctor.clock(report, Look(clocks=lambda interface, peers: asked.append((interface, peers)) or {}))
    assert [(interface, [each["name"] for each in peers]) for interface, peers in asked] == [("wg0", ["site-c"])]


def test_rebind_protection_is_no_silence():
    stripped = dns.Answer(dns.STRIPPED, [], None, False, None, ("192.168.1.1", 53))
    found = doctor.diagnose(REPORT, Look(resolvers=[stripped]))
    assert [item.code for item in found] == ["dns_rebind"] and found[0].values["server"] == "192.168.1.1"
    assert codes(Look(resolvers=[stripped, stripped._replace(outcome=dns.FOUND)])) == []


def test_the_way_out_explains_what_is_above_it_but_not_forwarding_of_dns():
    """Without an address nobody is reached and nothing is published."""
    report = silent("site-b", "site-c")
    report["ddns"].update(reason="x")
    look = Look(address=address.NoAddress("none", "dhcp_none"))
    assert codes(look, report) == ["dhcp_none"] and "listen" not in look.asked


def test_independent_faults_come_from_the_bottom_up():
    look = Look(unforwarded=[("192.168.1.0/24", "EHOSTUNREACH")], reverse_path_drops=True, files_from_the_future="x")
    assert codes(look) == ["rpfilter_drops", "clock_behind"]


def test_nobody_is_asked_for_the_time_over_an_interface_that_is_gone():
    assert doctor.Look.clocks(None, "slt-gone", []) == {}


@pytest.mark.parametrize(
    "seen", [{"files_from_the_future": "now 2019"}, {"clocks": {"site-b": 8 * HOUR, "site-c": 8 * HOUR}}]
)
def test_a_clock_that_is_behind_explains_handshakes_that_nobody_answers(seen):
    """No clock on the board and no internet: what the site sends looks like a repetition to the others."""
    listen = ({"site-c": GOOD}, "")
    assert codes(Look(listen=listen), silent("site-c")) == ["udp_blocked"]
    assert codes(Look(listen=listen, **seen), silent("site-c")) == ["clock_behind"]
    unreached = ({"site-c": GOOD._replace(echo=False)}, "")
    assert codes(Look(listen=unreached, **seen), silent("site-c")) == ["peer_off", "clock_behind"]


@pytest.mark.parametrize(
    "known, code",
    [
        ({}, "udp_blocked"),
        ({"echo": False}, "peer_off"),
        ({"endpoint": None, "echo": False}, "peer_unknown"),
        ({"heard": {1}}, "handshake_key"),
        ({"heard": {1}, "sent": {1}}, "handshake_key"),
        ({"heard": {1}, "sent": {1, 2}}, "udp_one_way"),
        ({"heard": {1, 2}, "sent": {1, 2}}, "handshake_key"),
        ({"sent": {1}, "echo": False}, "peer_off"),
        ({"answers": True}, None),
    ],
)
def test_a_silent_peer(known, code):
    found = doctor.diagnose(silent("site-b"), Look(listen=({"site-b": GOOD._replace(**known)}, "")))
    assert [(item.code, item.values["peer"]) for item in found] == ([(code, "site-b")] if code else [])


def test_all_peers_off_is_one_finding():
    learnt = {name: GOOD._replace(echo=False) for name in ("site-b", "site-c")}
    assert codes(Look(listen=(learnt, "")), silent("site-b", "site-c")) == ["peers_off"]
    assert codes(Look(listen=(learnt, "")), silent("site-b")) == ["peer_off"]


def test_another_firewall_explains_all_silent_peers():
    learnt = {name: GOOD for name in ("site-b", "site-c")}
    found = doctor.diagnose(silent("site-b", "site-c"), Look(listen=(learnt, "eth1")))
    assert [item.code for item in found] == ["firewall_foreign"] and found[0].values["others"] == "ip filter"


@pytest.mark.parametrize(
    "after, dropped",
    [
        ((15, 5, 9, 9), True),
        ((15, 6, 9, 9), False),
        ((10, 5, 12, 9), True),
        ((10, 5, 12, 10), False),
        ((10, 5, 9, 9), False),
    ],
)
def test_packets_that_do_not_come_out_at_the_other_end(after, dropped):
    assert doctor.drops((10, 5, 9, 9), after) is dropped


def packet(kind, source="10.1.1.1", target="10.23.64.9", ports=(22000, 22000), protocol=17, options=b""):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 0, 0, 0, 64, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target) + options
    return head + struct.pack("!HHHH", ports[0], ports[1], 0, 0) + bytes([kind, 0, 0, 0])


def test_handshake_messages_are_known_whichever_way_they_go():
    ear = doctor.Handshakes.__new__(doctor.Handshakes)
    ear.port = 22000
    assert ear.parse(packet(1, ports=(4000, 22000)), True) == ("10.1.1.1", True, 1)
    assert ear.parse(packet(2, options=b"\1" * 8), False) == ("10.23.64.9", False, 2)
    assert ear.parse(packet(1, ports=(22000, 53)), True) is None
    assert ear.parse(packet(1, protocol=6), True) is None
    for data in (b"", b"\x45", packet(1)[:24], b"\x41" * 60):
        assert ear.parse(data, True) is None


def test_the_kernels_verdicts_and_the_filter(namespaces):
    """Handshake messages pass the filter, data does not; a strict filter and missing forwarding are told apart."""
    one, other = namespaces(), namespaces()
    connect(one, "eth1", other, "eth1")
    one.sh("ip addr add 10.1.1.1/24 dev eth1; ip link set eth1 up")
    other.sh("ip addr add 10.1.1.2/24 dev eth1; ip link set eth1 up")
    with other.entered():
        kernel = doctor.Look().kernel
        index = kernel.link("eth1").index
        for value, said in (("0", {""}), ("1", {"EXDEV", "EINVAL"})):
            other.sh("echo %s > /proc/sys/net/ipv4/conf/eth1/rp_filter; ip route replace 11.0.0.0/8 dev lo" % value)
            assert kernel.refuses("11.1.1.1", "10.1.1.2", index) in said
        other.sh("echo 0 > /proc/sys/net/ipv4/conf/eth1/rp_filter; echo 0 > /proc/sys/net/ipv4/ip_forward")
        other.sh("ip addr add 172.20.0.1/24 dev lo")
        assert kernel.refuses("10.1.1.1", "172.20.1.9", index) == "EHOSTUNREACH"
        with doctor.Handshakes("eth1", 22000) as ear:
            for kind in (4, 1, 0, 3):
                one.sh("%s -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                       "s.sendto(bytes([%d, 0, 0, 0]), ('10.1.1.2', 22000))\"" % (sys.executable, kind))  # fmt: skip
            heard = [ear.receive() for _ in range(4)]
        assert [item for item in heard if item] == [("10.1.1.1", True, 1), ("10.1.1.1", True, 3)]


class TestStrings:
    def test_every_language_has_every_string(self):
        def shape(item):
            if isinstance(item, dict):
                return {key: shape(value) for key, value in item.items()}
            return [sorted(set(re.findall(r"{(\w+)}", part))) for part in item] if isinstance(item, tuple) else str

        assert shape(text_en.TEXT) == shape(text_zh.TEXT)

    def test_every_code_and_layer_has_its_sentences(self):
        for words in text.LANGUAGES.values():
            assert sorted(words["findings"]) == sorted(doctor.CODES)
            assert sorted(words["layers"]) == sorted(doctor.LAYERS)
        assert set(doctor.CODES.values()) == set(doctor.LAYERS)

    def test_no_sentence_stands_in_the_wrong_language(self):
        assert not re.search("[一-鿿]", "".join(what for what, _ in text_en.TEXT["findings"].values()))
        for code, (what, step) in text_zh.TEXT["findings"].items():
            assert re.search("[一-鿿]", what) and re.search("[一-鿿]", step), code

    @pytest.mark.parametrize(
        "environ, name",
        [
            ({}, "en"),
            ({"LANG": "zh_CN.UTF-8"}, "zh"),
            ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
            ({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "C"}, "zh"),
        ],
    )
    def test_the_language_of_the_locale(self, environ, name):
        assert text.language(environ) == name


class TestOutput:
    def test_the_first_line_names_the_layer_and_the_exit_code_is_its_own(self):
        found = doctor.diagnose(REPORT, Look(mtu_holes=[peer("site-b")], files_from_the_future="now 1970"))
        shown = doctor.render(REPORT, found, "en").splitlines()
        assert shown[0] == "site-a: [mtu] Large packets to site-b are lost, small ones arrive."
        assert shown[2].startswith("site-a: [clock]") and shown[-1] == "  seen: now 1970"
        assert doctor.render(REPORT, found, "zh").startswith("site-a: [mtu] 发往 site-b 的大包丢失")
        data = doctor.as_data(REPORT, found)
        assert data["exit"] == doctor.exit_code(found) == 24 and json.dumps(data)
        assert data["findings"][0]["text"]["zh"]["what"].startswith("发往 site-b")

    def test_nothing_found(self):
        assert doctor.render(REPORT, [], "en") == "site-a: no fault found."
        assert doctor.exit_code([]) == 0

    def test_a_site_without_configuration(self, directories, capsys, monkeypatch):
        monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
        assert cli.main(["doctor", "--lang", "zh"]) == 10
        assert "[config] 这个站点没有" in capsys.readouterr().out
        put(str(directories / "etc" / "mesh-wg0.json"), dict(MESH, peers="x"))
        assert doctor.diagnose(status.collect(), Look(configured=["wg0"]))[0].code == "config_bad"

    @pytest.mark.parametrize("failures", [1, doctor.LOOKS])
    def test_what_goes_away_is_looked_at_again(self, directories, capsys, monkeypatch, failures):
        """As when wg0 is made anew meanwhile; what stays away is said in a sentence."""
        monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
        monkeypatch.setattr(doctor, "LOOK_AGAIN_SECONDS", 0)
        collect, left = status.collect, [OSError(errno.ENODEV, "No such device")] * failures

        def goes_away(probe=False):
            if left:
                raise left.pop()
            return collect(probe)

        monkeypatch.setattr(status, "collect", goes_away)
        assert cli.main(["doctor", "--lang", "en"]) == (10 if failures < doctor.LOOKS else 1)
        said = capsys.readouterr()
        assert ("[config]" in said.out) == (failures < doctor.LOOKS)
        assert ("could not look" in said.err) == (failures == doctor.LOOKS)

    def test_only_root_may_ask(self, directories, capsys, monkeypatch):
        monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
        assert cli.main(["doctor"]) == 1
        assert "needs root" in capsys.readouterr().err


@pytest.mark.parametrize(
    "values, found",
    [
        ({}, []),
        ({"broadband": "up", "used": None}, []),
        ({"used": None, "reason": "none is reached"}, ["exit_gone"]),
        ({"when": "always", "broadband": None, "used": None}, ["exit_gone"]),
        ({"exits": {"site-b": "silent", "site-c": "failed"}, "reason": "nothing answers"}, ["exit_silent"]),
        ({"reason": "resolvectl: no", "names_reason": "resolvectl: no"}, ["exit_names"]),
        ({"reason": "the kernel refused a route"}, ["exit_rules"]),
    ],
)
def test_internet_through_another_site(values, found):
    assert codes(Look(), away(**values)) == found


def test_without_any_internet_a_silent_dns_is_no_news():
    look = Look(resolvers=[dns.Answer(dns.TIMED_OUT, [], 0, False, None, ("1.1.1.1", 53))])
    assert codes(look, away(used=None)) == ["exit_gone"]
    assert codes(look, away()) == ["dns_silent"]


def test_an_exit_that_does_not_forward():
    look = Look(unforwarded_guests=["site-b"])
    assert codes(look, away(when="never", broadband=None, used=None, exits={}, serves=["site-b"])) == [
        "exit_forwarding"
    ]


def test_files_of_a_clock_that_was_ahead_say_nothing_against_the_peers_clocks():
    for clocks, expected in (({"b": 0.2}, []), ({}, ["clock_behind"]), ({"b": 8 * HOUR}, ["clock_behind"])):
        assert codes(Look(files_from_the_future="now 2027", clocks=clocks)) == expected
