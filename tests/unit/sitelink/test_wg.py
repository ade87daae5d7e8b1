# SPDX-License-Identifier: GPL-3.0-or-later
import base64
import hashlib
import os
import re
import types

import pytest

from sitelink import config, others, wg


def key(name):
    """A key, clamped as private ones of `wg genkey` are."""
    data = bytearray(hashlib.sha256(str(name).encode()).digest())
    data[0] &= 248
    data[31] = data[31] & 127 | 64
    return base64.b64encode(bytes(data)).decode()


def peer_line(number, endpoint="10.1.2.3:22000"):
    allowed = "192.168.11.2/32,10.66.2.0/24"
    return "\t".join([key(number), "(none)", endpoint, allowed, "1700000000", "148", "92", "25"])


CONF = """
# made by ansible
[Interface]
Address = 192.168.11.1/24, 192.168.12.1/24
PrivateKey = {private}
ListenPort = 22000
FwMark = 0x131
MTU = 1420
Table = off
PostUp = echo = [x]

[peer]
# friendly_name=site-b
# endpoint=site-b.lab.test:22000
PUBLICKEY = {b}   # a comment
PresharedKey={psk}
AllowedIPs = 192.168.11.2/32
AllowedIPs = 10.66.2.7/24,fd00::1/64
[Peer]
PublicKey = {c}
""".format(private=key("private"), b=key("b"), c=key("c"), psk=key("psk"))


def test_a_dump_of_500_peers():
    head = "\t".join([key("private"), key("public"), "22000", "0x131"])
    lines = [head] + [peer_line(number) for number in range(499)] + [peer_line("x", "(none)").replace("\t25", "\toff")]
    device = wg.parse_dump("\n".join(lines) + "\n")
    assert (device.port, device.fwmark, len(device.peers)) == (22000, 0x131, 500)
    peer = device.peers[key(498)]
    assert (peer.endpoint, peer.handshake, peer.keepalive) == ("10.1.2.3:22000", 1700000000, 25)
    assert (peer.rx, peer.tx) == (148, 92)
    assert peer.allowed_ips == {"192.168.11.2/32", "10.66.2.0/24"} and peer.preshared_key is None
    assert device.peers[key("x")].endpoint is None and device.peers[key("x")].keepalive == 0


@pytest.mark.parametrize("text", ["", "a\tb\n", "k\tk\tx\toff\n", "k\tk\t1\toff\nonly\tthree\tfields\n"])
def test_what_is_no_dump(text):
    with pytest.raises(wg.WgError):
        wg.parse_dump(text)


def test_a_configuration():
    conf = wg.parse_conf(CONF)
    assert conf.addresses == ["192.168.11.1/24", "192.168.12.1/24"]
    assert (conf.private_key, conf.port, conf.fwmark, conf.mtu) == (key("private"), 22000, 0x131, 1420)
    assert list(conf.peers) == [key("b"), key("c")]
    assert conf.peers[key("b")].preshared_key == key("psk")
    assert conf.peers[key("b")].allowed_ips == {"192.168.11.2/32", "10.66.2.0/24", "fd00::/64"}


@pytest.mark.parametrize(
    "line, words",
    [
        ("PublicKey = {}", "line 21: publickey is malformed or given twice"),
        ("PresharedKey = tooshort", "line 21: presharedkey"),
        ("AllowedIPs = 10.0.0.0/33", "line 21: allowedips"),
        ("nonsense", "line 21: neither"),
        ("[Pear]", "line 21: unknown section"),
        ("[Peer]", "a peer lacks its PublicKey"),
    ],
)
def test_a_malformed_configuration_is_refused_without_its_values(line, words):
    with pytest.raises(wg.ConfError) as caught:
        wg.parse_conf(CONF + line.format(key("b")) + "\n")
    assert words in str(caught.value)
    assert "tooshort" not in str(caught.value) and key("b") not in str(caught.value)


def test_no_private_key_is_no_configuration(tmp_path):
    with pytest.raises(wg.ConfError, match="no PrivateKey"):
        wg.parse_conf(CONF.replace("PrivateKey", "PreUp"))
    with pytest.raises(wg.ConfError, match="cannot be read"):
        wg.load_conf(str(tmp_path / "wg0.conf"))


def test_differences_are_named():
    def changed(change):
        device = wg.parse_conf(CONF)
        change(device)
        return wg.differences(wg.parse_conf(CONF), device)

    assert changed(lambda device: None) == []
    assert changed(lambda device: setattr(device, "private_key", key("other"))) == ["private key"]
    assert changed(lambda device: setattr(device, "port", 1)) == ["port"]
    assert changed(lambda device: setattr(device, "fwmark", 0)) == ["mark"]
    assert changed(lambda device: device.peers.pop(key("c"))) == ["peers"]
    assert changed(lambda device: setattr(device.peers[key("b")], "preshared_key", None)) == ["preshared keys"]
    assert changed(lambda device: setattr(device.peers[key("b")], "allowed_ips", frozenset())) == ["allowed IPs"]


def fake_wg(tmp_path, monkeypatch, script):
    path = tmp_path / "wg"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))


def test_keys_do_not_pass_through_arguments_or_messages(tmp_path, monkeypatch):
    fake_wg(tmp_path, monkeypatch, 'echo "$@" > %s/argv; cat "$4" > %s/key; echo "bad key: %s" >&2; exit 1\n'
            % (tmp_path, tmp_path, key("psk")))  # fmt: skip
    with pytest.raises(wg.WgError) as caught:
        wg.apply("wg0", wg.parse_conf(CONF), wg.Device())
    argv = (tmp_path / "argv").read_text()
    assert argv.startswith("set wg0 private-key /proc/self/fd/") and "preshared-key /proc/self/fd/" in argv
    assert not any(key(name) in argv for name in ("private", "psk"))
    assert (tmp_path / "key").read_text() == key("private") + "\n"
    assert key("psk") not in str(caught.value) and "(key)" in str(caught.value)


@pytest.mark.parametrize(
    "change, argv",
    [
        (lambda device: None, []),
        (lambda device: setattr(device, "private_key", key("other")), ["private-key FD"]),
        (lambda device: setattr(device, "port", 1), ["listen-port 22000"]),
        (lambda device: setattr(device, "fwmark", 0), ["fwmark 0x131"]),
        (lambda device: device.peers.pop(key("c")), ["peer %s allowed-ips " % key("c")]),
        (lambda device: device.peers.pop(key("b")),
         ["peer %s preshared-key FD allowed-ips 10.66.2.0/24,192.168.11.2/32,fd00::/64" % key("b")]),
        (lambda device: device.peers.update({key("x"): wg.Peer()}), ["peer %s remove" % key("x")]),
        (lambda device: setattr(device.peers[key("b")], "preshared_key", None), ["peer %s preshared-key FD" % key("b")]),
        (lambda device: setattr(device.peers[key("c")], "preshared_key", key("psk")),
         ["peer %s preshared-key /dev/null" % key("c")]),
        (lambda device: setattr(device.peers[key("b")], "allowed_ips", frozenset()),
         ["peer %s allowed-ips 10.66.2.0/24,192.168.11.2/32,fd00::/64" % key("b")]),
        (lambda device: setattr(device.peers[key("b")], "keepalive", 25), []),
    ],
)  # fmt: skip
def test_what_is_as_it_should_be_is_not_set_anew(tmp_path, monkeypatch, change, argv):
    fake_wg(tmp_path, monkeypatch, 'echo "$@" >> %s/argv\n' % tmp_path)
    device = wg.parse_conf(CONF)
    change(device)
    wg.apply("wg0", wg.parse_conf(CONF), device)
    said = (tmp_path / "argv").read_text() if (tmp_path / "argv").exists() else ""
    assert re.sub(r"/proc/self/fd/\d+", "FD", said).splitlines() == ["set wg0 " + words for words in argv]


def test_many_endpoints_go_in_few_commands(tmp_path, monkeypatch):
    fake_wg(tmp_path, monkeypatch, 'echo "$@" >> %s/argv\n' % tmp_path)
    wg.set_endpoints("wg0", {key(number): ("10.0.0.1:22000", 25) for number in range(250)})
    lines = (tmp_path / "argv").read_text().splitlines()
    assert len(lines) == 3
    assert sum(line.count(" endpoint 10.0.0.1:22000 persistent-keepalive 25") for line in lines) == 250


def test_a_hanging_or_absent_wg_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(wg, "TIMEOUT", 0.2)
    fake_wg(tmp_path, monkeypatch, "exec sleep 5\n")
    with pytest.raises(wg.WgError, match="did not end"):
        wg.show("wg0")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(wg.WgError, match="install the package wireguard-tools"):
        wg.show("wg0")


def test_marks_of_running_devices(monkeypatch):
    monkeypatch.setattr(wg, "_run", lambda _: "wg0\t0x131\nvpn\toff\nwork\t0x131\naway\t0x131\n")
    assert wg.fwmarks() == {"wg0": 0x131, "work": 0x131, "away": 0x131}
    cfg = config.GatewayConfig("eth1", [], 305, 0x131, 305, config.FIRST_HOST)
    kernel = types.SimpleNamespace(link=lambda name: name if name != "away" else None)
    (sentence,) = others._devices(kernel, cfg, "wg0")
    assert "the WireGuard interface work has the mark 0x131" in sentence and "tr069_fwmark" in sentence

    def missing(_):
        raise wg.WgError("wg cannot be run")

    monkeypatch.setattr(wg, "_run", missing)
    assert wg.fwmarks() == {}


@pytest.mark.parametrize("name", ["crontab", "cron.d/tr069", "cron.d/tr069.bak", "cron/crontabs/root", "cron/root"])
@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("* * * * * root /usr/bin/set-tr069-gateway eth1", True),
        ("@reboot root /usr/local/bin/set-tr069-gateway eth1", True),
        ('* * * * * root bash -c "/usr/bin/set-tr069-gateway"', True),
        ("# * * * * * root /usr/bin/set-tr069-gateway eth1", False),
        ("  # * * * * * root /usr/bin/set-tr069-gateway eth1", False),
        ("305 3 * * * root /usr/bin/set-tr069-gateway-report", False),
        ("0 3 * * * root wg show", False),
    ],
)
def test_the_articles_cron_job_is_another_user_of_the_table(tmp_path, monkeypatch, name, line, runs):
    monkeypatch.setattr(
        others, "CRONTABS", [str(tmp_path / place) for place in ("crontab", "cron.d/*", "cron/crontabs/*", "cron/*")]
    )
    cfg = config.GatewayConfig("eth1", [], 305, 0x131, 305, config.FIRST_HOST)
    assert others._article(cfg) == []
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("17 * * * * root run-parts /etc/cron.hourly\n" + line + "\n")
    said = others._article(cfg)
    assert len(said) == (1 if runs and not name.endswith(".bak") else 0)
    words = ("ansible-playbook sitelink.tr069.migrate", "remove the line", "tr069_gateway_remove_article")
    assert all(text.startswith(str(path)) and [word for word in words if word not in text] == [] for text in said)
    assert others._article(cfg._replace(table=306)) == []


def test_a_private_key_that_openssl_made_is_compared_as_the_device_shows_it():
    """32 random bytes are a key as well; WireGuard sets and clears five bits of them. Else it would be applied anew at each look."""
    raw = base64.b64encode(bytes([0xFF] * 32)).decode()
    key = base64.b64decode(wg.parse_conf("[Interface]\nPrivateKey = %s\n" % raw).private_key)
    assert key == bytes([0xF8]) + bytes([0xFF] * 30) + bytes([0x7F])
    again = wg.parse_conf("[Interface]\nPrivateKey = %s\n" % base64.b64encode(key).decode())
    assert base64.b64decode(again.private_key) == key
