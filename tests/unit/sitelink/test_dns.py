# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to chosen servers: against servers that misbehave on purpose, and against whatever bytes there are."""

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitelink import dns

from packets import encoded, record, reply
from throwaway import LIMIT, wait_for

NAME = "site-a.lab.test"


@pytest.fixture
def server():
    """A server on the loopback that sends what a function makes of each question; TCP too, on the same port."""
    for _ in range(50):  # a port that is free for both
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
            break
        except OSError:
            udp.close()
            tcp.close()
    tcp.listen(5)

    class Server:
        address = udp.getsockname()
        questions = clients = None
        answer = staticmethod(lambda question: [])  # over UDP: a list of packets
        answer_tcp = staticmethod(lambda question: b"")

    def serve_udp():
        while True:
            try:
                question, client = udp.recvfrom(4096)
            except OSError:
                return
            if question == b"end":
                return
            Server.questions.append(question)
            Server.clients.append(client)
            for packet in Server.answer(question):
                udp.sendto(packet, client)

    def serve_tcp():
        while True:
            try:
                connection, _ = tcp.accept()
            except OSError:
                return
            with connection:
                question = connection.recv(4096)
                if question == b"":
                    return
                connection.sendall(Server.answer_tcp(question[2:]))

    threads = [threading.Thread(target=serve_udp), threading.Thread(target=serve_tcp)]
    for thread in threads:
        thread.start()
    Server.questions, Server.clients = [], []
    yield Server
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", Server.address)
    socket.create_connection(Server.address).close()
    for thread in threads:
        thread.join()
    udp.close()
    tcp.close()


def ask(server, kind="A", timeout=10, **way):
    return dns.ask(server.address, NAME, kind, timeout, **way)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("A", "10.23.64.7"), ("AAAA", "2001:db8::7"), ("NS", "ns.lab.test"), ("SOA", "ns.lab.test")],
)
def test_each_type_is_read(server, kind, value):
    server.answer = lambda question: [reply(question, [record(NAME, kind, value, 42)])]
    answer = ask(server, kind)
    assert answer[:4] == (dns.FOUND, [value], 42, True)
    assert answer.server == server.address


def test_an_alias_is_followed(server):
    server.answer = lambda question: [
        reply(question, [record(NAME, "CNAME", "x.lab.test", 5), record("x.lab.test", "A", "10.0.0.1")])
    ]
    answer = ask(server)
    assert (answer.outcome, answer.records, answer.ttl) == (dns.FOUND, ["10.0.0.1"], 5)


def test_a_circle_of_aliases_ends(server):
    server.answer = lambda question: [
        reply(question, [record(NAME, "CNAME", "x.lab.test"), record("x.lab.test", "CNAME", NAME)])
    ]
    assert ask(server).outcome == dns.NODATA


def test_records_of_other_names_do_not_count(server):
    server.answer = lambda question: [reply(question, [record("evil.test", "A", "10.0.0.1")])]
    assert ask(server).records == []


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (lambda q: reply(q, rcode=3, authorities=[record("lab.test", "SOA", "ns.lab.test")]), dns.NXDOMAIN),
        (lambda q: reply(q, authorities=[record("lab.test", "SOA", "ns.lab.test")]), dns.NODATA),
        (lambda q: reply(q, authorities=[record("lab.test", "SOA", "ns.lab.test")], flags=0x8180), dns.NODATA),
        (lambda q: reply(q, authorities=[record("lab.test", "NS", "ns.lab.test")], flags=0x8000), dns.NODATA),
        (lambda q: reply(q, flags=0x8180), dns.STRIPPED),
        (lambda q: reply(q, flags=0x8580), dns.STRIPPED),  # dnsmasq --stop-dns-rebind
        (lambda q: reply(q, rcode=5), dns.REFUSED),
        (lambda q: reply(q, rcode=2), dns.FAILED),
        (lambda q: reply(q, rcode=4), dns.FAILED),
        (lambda q: q[:2] + b"\x81\x05" + bytes(8), dns.REFUSED),  # without the question
        (lambda q: reply(q, [record(NAME, "A", "10.0.0.1")])[:-1], dns.MALFORMED),
        (lambda q: reply(q, [encoded(NAME) + struct.pack("!HHIH", 1, 1, 60, 3) + b"abc"]), dns.MALFORMED),
        (lambda q: reply(q, [b"\xc0\xff" + bytes(10)]), dns.MALFORMED),
        (lambda q: q[:2] + b"\x84\x00" + struct.pack("!4H", 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", dns.MALFORMED),
    ],
)  # fmt: skip
def test_outcomes_are_told_apart(server, make, outcome):
    server.answer = lambda question: [make(question)]
    answer = ask(server)
    assert (answer.outcome, answer.records) == (outcome, [])
    assert dns.describe(answer)


def test_forgeries_are_passed_over(server):
    right = [record(NAME, "A", "10.0.0.1")]

    def answer(question):
        other = question[:12] + encoded("other.lab.test") + question[-4:]
        identity = struct.unpack_from("!H", question)[0]
        return [
            b"x",
            reply(question, [record(NAME, "A", "6.6.6.6")], identity=identity ^ 1 or 2),
            reply(other, [record("other.lab.test", "A", "6.6.6.6")]),
            reply(question, [record(NAME, "A", "6.6.6.6")], flags=0),  # a question, not an answer
            reply(question, right),
        ]

    server.answer = answer
    assert ask(server).records == ["10.0.0.1"]


def test_a_silent_server_is_asked_twice_and_given_up(server):
    assert ask(server, timeout=2).outcome == dns.TIMED_OUT
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"last", server.address)
    wait_for(lambda: b"last" in server.questions)
    assert len(server.questions) == 3 and server.questions[0] == server.questions[1]


def test_a_second_try_is_enough(server):
    server.answer = lambda question: (
        [reply(question, [record(NAME, "A", "10.0.0.1")])] if len(server.questions) > 1 else []
    )
    assert ask(server, timeout=4).records == ["10.0.0.1"]  # which half a second timeout repeats after two


def test_a_closed_port_is_unreachable():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    address = sock.getsockname()
    sock.close()
    assert dns.ask(address, NAME, "A", 10).outcome == dns.UNREACHABLE


def test_a_long_answer_comes_over_tcp(server):
    server.answer = lambda question: [reply(question, flags=0x8600)]

    def answer_tcp(question):
        packet = reply(question, [record(NAME, "A", "10.1.%d.%d" % (n // 256, n % 256)) for n in range(100)])
        return struct.pack("!H", len(packet)) + packet

    server.answer_tcp = answer_tcp
    assert len(ask(server).records) == 100
    server.answer_tcp = lambda question: b"\0"  # closes in the middle
    assert ask(server).outcome == dns.UNREACHABLE
    server.answer_tcp = lambda question: b"\0\2ab"
    assert ask(server).outcome == dns.MALFORMED


def test_many_servers_are_asked_at_once(server):
    server.answer = lambda question: [reply(question, [record(NAME, "A", "10.0.0.1")])]
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    answers = dns.ask_all([silent.getsockname(), server.address, silent.getsockname()], NAME, "A", 2)
    assert [answer.outcome for answer in answers] == [dns.TIMED_OUT, dns.FOUND, dns.TIMED_OUT]
    silent.close()


def test_ids_and_ports_differ(server):
    server.answer = lambda question: [reply(question, [record(NAME, "A", "10.0.0.1")])]
    for _ in range(20):
        ask(server)
    assert len({question[:2] for question in server.questions}) > 15
    assert len({port for _, port in server.clients}) > 15


def test_recursion_is_asked_for_only_where_wanted(server):
    server.answer = lambda question: [reply(question)]
    ask(server)
    ask(server, recursive=False)
    assert [question[2] & 1 for question in server.questions] == [1, 0]


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "中.test", ".".join(["x" * 60] * 5)])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError):
        dns.build(1, name, "A")


def test_the_way_of_a_question_is_chosen(namespaces):
    """Source address, NIC and mark, as the kernel of another namespace sees them."""
    box = namespaces()
    box.sh("ip address add 198.18.9.1/32 dev lo; ip address add 198.18.9.2/32 dev lo; ip link add ve0 type veth")
    with box.entered():
        target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        target.bind(("198.18.9.1", 0))
        target.settimeout(LIMIT)
        address = target.getsockname()
        question = dns.Question(address, NAME, "A", source="198.18.9.2", mark=0x131)
        assert question._socket.getsockopt(socket.SOL_SOCKET, 36) == 0x131
        assert question.send() is None
        assert target.recvfrom(512)[1][0] == "198.18.9.2"
        question.close()
        assert dns.ask(address, NAME, "A", 0.1, interface="ve0").outcome in (dns.UNREACHABLE, dns.TIMED_OUT)
        assert dns.ask(address, NAME, "A", 0.1, interface="none0").outcome == dns.UNREACHABLE
        target.close()


def test_resolvers_of_the_system(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# x\nnameserver 198.18.0.8\nnameserver nonsense\nsearch a\nnameserver fe80::1%eth0\n")
    assert dns.system_servers(str(path)) == ["198.18.0.8", "fe80::1%eth0"]
    assert dns.system_servers(str(tmp_path / "none")) == ["127.0.0.1"]


def test_the_servers_of_a_zone_are_found(server):
    soa = record("lab.test", "SOA", "ns.lab.test")

    def answer(question):
        kind = struct.unpack("!H", question[-4:-2])[0]
        name = dns._name(question, 12)[0]
        known = {
            ("lab.test", dns.TYPES["NS"]): [record(name, "NS", "ns2.lab.test"), record(name, "NS", "ns1.lab.test")],
            ("ns1.lab.test", 1): [record(name, "A", "198.18.0.53"), record(name, "A", "198.18.0.54")],
            ("ns2.lab.test", 1): [record(name, "A", "198.18.0.55")],
        }
        found = known.get((name, kind))
        return [reply(question, found)] if found else [reply(question, rcode=3, authorities=[soa])]

    server.answer = answer
    found = dns.authorities("deep.site-a.lab.test", [server.address])
    assert found == ("lab.test", ["198.18.0.53", "198.18.0.55", "198.18.0.54"], "")
    zone, addresses, reason = dns.authorities("x.elsewhere.test", [server.address])
    assert zone is None and addresses == [] and "x.elsewhere.test" in reason


@given(st.binary(max_size=600))
def test_no_bytes_raise(data):
    dns.parse(data, 1, NAME, "A", ("127.0.0.1", 53))


@given(st.data())
def test_no_damage_to_an_answer_raises_or_invents_addresses(data):
    question = dns.build(7, NAME, "A")
    packet = bytearray(reply(question, [record(NAME, "A", "10.0.0.1"), record(NAME, "CNAME", "b.c")]))
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(2, len(packet) - 1))] = data.draw(st.integers(0, 255))
    del packet[data.draw(st.integers(12, len(packet))) :]
    answer = dns.parse(bytes(packet), 7, NAME, "A", ("127.0.0.1", 53))
    assert answer is None or (answer.outcome == dns.FOUND) == bool(answer.records)
    for address in answer.records if answer else []:
        socket.inet_aton(address)


def test_a_resolver_of_a_family_that_this_host_lacks_is_only_unreachable(monkeypatch):
    """`nameserver fe80::1%eth0` in resolv.conf, and ipv6.disable=1."""
    real = socket.socket

    def without_ipv6(family=socket.AF_INET, *arguments, **options):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *arguments, **options)

    monkeypatch.setattr(dns.socket, "socket", without_ipv6)
    question = dns.Question("fe80::1", "site-a.example.com", "A")
    assert question.fileno() >= 0
    assert question.send().outcome == dns.UNREACHABLE
    question.close()
