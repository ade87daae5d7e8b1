# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the source article stands in other places than it says: jobs are put aside, the rest is named and left alone."""

import io
import json
import sys

import pytest
from test_article import CONF, article, hand, tree

GATEWAY = "/usr/bin/set-tr069-gateway eth1"
DDNS = "/usr/bin/python3 /usr/src/DDNS/run.py -c /usr/src/DDNS/config.json"
PLACES = [
    "/etc/crontab",
    "/etc/cron.d/tr069",
    "/var/spool/cron/root",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/crontabs/admin",
    "/var/spool/cron/admin",
]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Writes files below a root; the article's own programs are there."""
    monkeypatch.setattr(
        article.Article, "public_key", staticmethod(lambda private: "public of " + private if private else "")
    )
    monkeypatch.setattr(article.Article, "running", lambda self: False)

    def write(path, text, mode=0o644):
        path = tmp_path / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    write("/usr/bin/set-tr069-gateway", "#!/bin/bash\necho table 305\n", 0o755)
    write("/usr/bin/get-interface-ip", "#!/bin/bash\n", 0o755)
    write("/usr/src/DDNS/run.py", "")
    write("/usr/src/DDNS/config.json", json.dumps({"dns": "cloudflare", "token": "very secret"}))
    write.root = tmp_path
    return write


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    "job",
    [
        "* * * * * root %s\n" % GATEWAY,
        "* * * * * %s\n" % GATEWAY,
        "@reboot root %s\n" % GATEWAY,
        "*/5 * * * * root %s >/dev/null 2>&1\n" % GATEWAY,
        '* * * * * root bash -c "%s"\n' % GATEWAY,
        '* * * * * root bash -c "/usr/bin/set-tr069-gateway"\n',
        "* * * * * root set-tr069-gateway eth1\n",
        "* * * * * root /usr/local/bin/set-tr069-gateway eth1\n",
        "* * * * * root /root/set-tr069-gateway.sh eth1\n",
        "* * * * * root %s; %s\n" % (GATEWAY, DDNS),
        "* * * * * %s\n" % DDNS,
        "* * * * * root cd /usr/src/DDNS && python3 run.py\n",
        "* * * * * root cd /usr/src/DDNS; ./run.py -c config.json >> /var/log/ddns.log\n",
        "* * * * * root /usr/bin/python3 '/usr/src/DDNS/run.py' -c '/usr/src/DDNS/config.json'\n",
        "* * * * * root /usr/bin/flock -n /tmp/l %s\n" % DDNS,
        "* * * * * root python3 /usr/src/DDNS/run.py\r\n",
    ],
)
def test_a_job_of_the_article_is_put_aside_wherever_it_stands(site, path, job):
    rest = "# mine\n0 3 * * * root backup\n"
    file = site(path, rest + job)

    def everything():
        return {
            path: what
            for path, what in tree(site.root).items()
            if not path.endswith(("/var", "/var/lib", "/var/lib/sitelink"))
        }

    before = everything()
    assert len(hand(site.root).look()["cron"]) == 1
    hand(site.root).aside()
    assert file.read_text() == rest
    hand(site.root).back()
    assert everything() == before


# What has nothing of the article, though it looks a little like it.
OTHERS = {
    "/etc/crontab": [
        "# * * * * * root %s" % GATEWAY,
        "   # * * * * * %s" % DDNS,
        "30 5 * * * root /usr/bin/wg show",
        "305 3 * * * root backup --table 305",
        "5 30 5 * * root wget -q https://example.net/305",
        "* * * * * root /usr/bin/wg-quick save wg1",
        "0 0 * * * root /usr/bin/set-tr069-gateway-report",
    ],
    "/etc/cron.daily/apt": ["#!/bin/sh", "exec /usr/lib/apt/apt.systemd.daily"],
    "/etc/iproute2/rt_tables": ["255 local", "254 main", "#305 tr069", "306 vpn", "1305 other"],
    "/etc/rc.local": ["#!/bin/sh", "# ip rule add pref 305 lookup 305", "ip route add 10.9.0.0/16 dev wg1 table 306", "exit 0"],
    "/etc/netplan/01.yaml": ["network:", "  ethernets:", "    eth0:", "      routing-policy:", "      - {from: 10.9.0.1, table: 3051}"],
    "/etc/wireguard/wg1.conf": ["[Interface]", "FwMark = 0x1310", "PostUp = ip rule add fwmark 0x1310 table 51820"],
    "/etc/systemd/system/backup.timer": ["[Timer]", "OnCalendar=*-*-* 03:05:00"],
    "/etc/systemd/system/sitelink-gateway@.service": ["[Service]", "# ip rule add pref 305 lookup 305", "ExecStart=sitelink gateway"],
    "/etc/network/interfaces": ["auto eth0", "iface eth0 inet static", "  address 192.168.3.05"],
    "/etc/NetworkManager/dispatcher.d/10-ifcfg": ["#!/bin/bash", "ip rule add table 254"],
    "/usr/local/bin/tool": ["#!/bin/sh", "echo table 305 is full"],
}  # fmt: skip


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_not_of_the_article_is_neither_taken_nor_named(site, path):
    file = site(path, "\n".join(OTHERS[path]) + "\n")
    found = hand(site.root).look()
    assert found["cron"] == [] and found["named"] == []
    hand(site.root).aside()
    assert file.read_text() == "\n".join(OTHERS[path]) + "\n"


RULE = "ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305"
# A path, its text, and the number of the line that is named.
NAMED = [
    ("/etc/rc.local", "#!/bin/sh\n%s\nexit 0\n" % RULE, 2),
    ("/etc/rc.d/rc.local", "#!/bin/sh\n/usr/bin/set-tr069-gateway eth1 &\n", 2),
    ("/etc/rc.local", "#!/bin/sh\nip -4 route replace default via 10.23.64.1 dev eth1 table 305\n", 2),
    ("/etc/rc.local", "#!/bin/sh\nip ro add default via 10.23.64.1 dev eth1 t 305\n", 2),
    ("/etc/cron.hourly/gateway", "#!/bin/sh\n/usr/bin/set-tr069-gateway eth1\n", 2),
    ("/etc/cron.daily/ddns", "#!/bin/sh\ncd /tmp\npython3 /usr/src/DDNS/run.py\n", 3),
    ("/etc/crontab", "* * * * * root python3 /opt/DDNS/run.py -c /opt/DDNS/config.json\n", 1),
    ("/etc/crontab", "* * * * * root python3 /usr/src/DDNS/run.py -c /root/public.json\n", 1),
    ("/etc/cron.d/route", "@reboot root %s\n" % RULE, 1),
    ("/etc/anacrontab", "1 5 ddns python3 /usr/src/DDNS/run.py\n", 1),
    ("/etc/systemd/system/tr069.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/set-tr069-gateway eth1\n", 3),
    ("/etc/systemd/system/ddns.service", "[Service]\nExecStart=/usr/bin/python3 /usr/src/DDNS/run.py\n", 2),
    ("/etc/systemd/system/wg-quick@wg0.service.d/a.conf", "[Service]\nExecStartPost=/sbin/%s\n" % RULE, 2),
    ("/etc/iproute2/rt_tables", "254 main\n305 tr069\n", 2),
    ("/etc/iproute2/rt_tables.d/tr069.conf", "305\ttr069\n", 1),
    ("/etc/netplan/60.yaml", "network:\n  ethernets:\n    eth1:\n      routing-policy:\n      - to: 10.0.0.0/7\n        table: 305\n", 6),
    ("/etc/netplan/60.yaml", "network:\n  ethernets:\n    eth1: {routing-policy: [{to: 10.0.0.0/7, mark: 305, table: 305}]}\n", 3),
    ("/etc/systemd/network/eth1.network", "[RoutingPolicyRule]\nTo=10.0.0.0/7\nTable=305\n", 3),
    ("/etc/network/interfaces", "iface eth1 inet dhcp\n    up %s\n" % RULE, 2),
    ("/etc/network/interfaces.d/eth1", "iface eth1 inet dhcp\n    post-up /usr/bin/set-tr069-gateway $IFACE\n", 2),
    ("/etc/network/if-up.d/tr069", "#!/bin/sh\n%s\n" % RULE, 2),
    ("/etc/NetworkManager/dispatcher.d/90-tr069", "#!/bin/sh\n%s\n" % RULE, 2),
    ("/etc/NetworkManager/dispatcher.d/pre-up.d/90", "#!/bin/sh\n%s\n" % RULE, 2),
    ("/etc/NetworkManager/system-connections/eth1.nmconnection", "[ipv4]\nrouting-rule1=priority 305 fwmark 0x131 table 305\n", 2),
    ("/etc/networkd-dispatcher/routable.d/tr069", "#!/bin/sh\n%s\n" % RULE, 2),
    ("/etc/sysconfig/network-scripts/rule-eth1", "to 10.0.0.0/7 fwmark 0x131 table 305\n", 1),
    ("/etc/sysconfig/network-scripts/route-eth1", "default via 10.23.64.1 dev eth1 table 305\n", 1),
    ("/etc/dhcp/dhclient-exit-hooks.d/tr069", "%s\n" % RULE, 1),
    ("/etc/wireguard/wg1.conf", "[Interface]\nPostUp = %s\n" % RULE, 2),
    ("/usr/local/bin/gw.sh", "#!/bin/bash\n%s\n" % RULE, 2),
    ("/root/set-tr069-gateway.sh", "#!/bin/bash\nROUTE_TXT=\"default via $G dev $1 table 305\"\n", 2),
    ("/opt/tr069/gateway", "#!/bin/bash\n\n%s\n" % RULE, 3),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "line"), NAMED)
def test_what_may_be_of_the_article_is_named_with_its_line_and_left_alone(site, path, text, line):
    file = site(path, text, 0o755)
    (said,) = hand(site.root).look()["named"]
    assert said.startswith("%s, line %d: %s" % (path, line, text.splitlines()[line - 1].strip())), said
    before = file.read_text()
    hand(site.root).aside()
    assert file.read_text() == before
    hand(site.root).back()
    assert file.read_text() == before


def test_a_table_is_known_by_the_name_that_somebody_gave_it(site):
    site("/etc/iproute2/rt_tables", "305 tr069\n")
    site("/etc/rc.local", "ip route add default via 10.23.64.1 dev eth1 table tr069\nip rule add lookup tr069x\n")
    named = hand(site.root).look()["named"]
    assert len(named) == 2 and named[1].startswith("/etc/rc.local, line 1: ")


def test_a_script_that_something_else_still_runs_stays(site):
    site("/etc/crontab", "* * * * * root %s\n" % GATEWAY)
    site("/etc/systemd/system/mine.service", "[Service]\nExecStart=/usr/bin/get-interface-ip eth0\n")
    site("/etc/cron.d/public", "* * * * * root python3 /usr/src/DDNS/run.py -c /root/public.json\n")
    hand(site.root).aside()
    left = [path for path in article.FILES if (site.root / path.lstrip("/")).exists()]
    assert left == ["/usr/bin/get-interface-ip", "/usr/src/DDNS"]


@pytest.mark.parametrize(("path", "text", "goes"), [
    ("/root/privatekey", "PRIVATE\n", True), ("/root/publickey", "public of PRIVATE\n", True), ("/etc/wireguard/privatekey", "PRIVATE\n", True),
    ("/root/privatekey", "of another tunnel\n", False), ("/root/publickey", "of another tunnel\n", False),
])  # fmt: skip
def test_only_copies_of_its_own_key_go(site, path, text, goes):
    site("/etc/wireguard/wg0.conf", CONF)
    file = site(path, text)
    hand(site.root).aside()
    assert file.exists() is not goes
    hand(site.root).back()
    assert file.read_text() == text


def test_a_key_file_that_the_tunnel_reads_stays(site):
    site(
        "/etc/wireguard/wg0.conf",
        CONF.replace("PrivateKey = PRIVATE", "PostUp = wg set %i private-key /root/privatekey"),
    )
    file = site("/root/privatekey", "PRIVATE\n")
    hand(site.root).aside()
    assert file.exists()


def test_no_secret_of_a_job_is_told(site):
    site("/etc/crontab", "* * * * * root python3 /usr/src/DDNS/run.py --token hush --dns cloudflare\n")
    site("/etc/cron.hourly/x", "#!/bin/sh\nTOKEN=hush python3 /opt/DDNS/run.py --token=hush\n")
    found = hand(site.root).look()
    assert len(found["cron"]) == 1 == len(found["named"])
    assert "hush" not in json.dumps(found) and "hush" not in json.dumps(hand(site.root).aside())


@pytest.mark.parametrize(
    "path", ["/etc/cron.d/tr069.bak", "/etc/cron.d/tr069~", "/etc/cron.d/.tr069.swp", "/etc/rc.local.dpkg-old"]
)
def test_a_copy_that_nobody_runs_is_no_remains(site, path):
    site(path, "* * * * * root %s\n" % GATEWAY)
    found = hand(site.root).look()
    assert found["cron"] == [] == found["named"]


def test_a_fresh_site_has_nothing_of_it(tmp_path):
    found = hand(tmp_path).look()
    assert (found["conf"], found["ddns"], found["cron"], found["files"], found["named"]) == (None, None, [], [], [])
    assert hand(tmp_path).aside() == []


def test_what_cannot_be_read_is_passed_over(site):
    big = site("/usr/local/bin/program", "x")
    big.write_bytes(b"\x7fELF\0" + RULE.encode() * 1000)
    (site.root / "etc").mkdir(exist_ok=True)
    (site.root / "etc/rc.local").symlink_to("/nonexistent")
    (site.root / "etc/cron.d/sub").mkdir(parents=True)
    assert hand(site.root).look()["named"] == []


@pytest.mark.parametrize(
    "words",
    ["--token\thush", "--token='hush hush'", 'token="hush hush"', "--token hush", "TOKEN: hush", "token='hush' hus"],
)
def test_a_secret_is_hidden_in_every_form(site, words):
    site("/etc/cron.hourly/x", "#!/bin/sh\npython3 /opt/DDNS/run.py %s\n" % words)
    [named] = hand(site.root).look()["named"]
    assert "hush" not in named


def test_a_line_of_another_encoding_is_told_in_utf_8(site, monkeypatch):
    """One byte that is not would end the play for all sites."""
    path = site("/opt/a/x.sh", "")
    path.write_bytes(b"#!/bin/sh\n" + RULE.encode() + b" # \xb1\xb8 \xe5\xa4\x87\n")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    article.main(["look", "wg0", "eth1"], str(site.root))
    sys.stdout.flush()
    [named] = json.loads(sys.stdout.buffer.getvalue().decode("utf-8"))["named"]
    named.encode()
    assert "x.sh" in named and "\u5907" in named
