# SPDX-License-Identifier: GPL-3.0-or-later
"""What was set up by hand as the source article says: found, put aside, put back."""

import importlib.util
import json
import os
import pathlib
import stat

import pytest

PATH = pathlib.Path(__file__).resolve().parents[3] / "roles/site_agent/files/article.py"
SPEC = importlib.util.spec_from_file_location("article", str(PATH))
article = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(article)

JOBS = [
    "* * * * * /usr/bin/python3 /usr/src/DDNS/run.py -c /usr/src/DDNS/config.json\n",
    "* * * * * root /usr/bin/set-tr069-gateway eth1\n",
]
CRONTAB = (
    "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n# set-tr069-gateway is below\n" + "".join(JOBS) + "\n"
)
CONF = """\
[Interface]
Address = 192.168.11.1/24
PrivateKey = PRIVATE
ListenPort = 22000
FwMark = 0x131

[Peer]  # the other
PublicKey = PUBLIC
AllowedIPs = 192.168.11.2/32, 192.168.2.0/24
Endpoint = example2.example.com:22000
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    def write(path, text, mode=0o644):
        path = tmp_path / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    write("/etc/crontab", CRONTAB)
    write("/etc/wireguard/wg0.conf", CONF, 0o600)
    write("/usr/bin/set-tr069-gateway", "#!/bin/sh\necho \"$1\" > '%s/ran'\n" % tmp_path, 0o755)
    write("/usr/bin/get-interface-ip", "#!/bin/sh\n", 0o755)
    write("/usr/src/DDNS/run.py", "")
    config = {"dns": "cloudflare", "id": "", "ipv4": ["example1.example.com"], "token": "very secret"}
    write("/usr/src/DDNS/config.json", json.dumps(config), 0o640)
    write("/root/privatekey", "PRIVATE\n")
    monkeypatch.setattr(article.Article, "public_key", staticmethod(lambda private: "public of " + private))
    monkeypatch.setattr(article.Article, "running_key", lambda self: "")
    monkeypatch.setattr(article.shutil, "which", lambda name: "/usr/bin/" + name)
    return tmp_path


def hand(root):
    return article.Article("wg0", "eth1", str(root))


def tree(root):
    found = {}
    for directory, names, files in os.walk(str(root)):
        for name in names + files:
            path = os.path.join(directory, name)
            text = ""
            if os.path.isfile(path):
                with open(path) as file:
                    text = file.read()
            found[path] = (stat.S_IMODE(os.stat(path).st_mode), text)
    return found


def test_what_is_there_is_told_without_secrets(root):
    found = hand(root).look()
    assert found["conf"] == {
        "addresses": ["192.168.11.1/24"],
        "port": "22000",
        "public_key": "public of PRIVATE",
        "peers": [
            {
                "public_key": "PUBLIC",
                "allowed_ips": ["192.168.11.2/32", "192.168.2.0/24"],
                "endpoint": "example2.example.com:22000",
                "preshared": False,
            }
        ],
        "running_key": "",
        "tools": True,
    }
    assert found["ddns"] == {"provider": "cloudflare", "id": "", "names": ["example1.example.com"], "token": True}
    assert len(found["cron"]) == 2 and "/usr/src/DDNS" in found["files"]
    assert "very secret" not in json.dumps(found)
    assert hand(root).token() == {"token": "very secret"}


def test_aside_and_back_leave_everything_as_it_was(root):
    before = tree(root)
    assert hand(root).aside(dry=True) and tree(root) == before
    assert len(hand(root).aside()) == 5
    kept = root / "var/lib/sitelink/article"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert (root / "etc/crontab").read_text() == CRONTAB.replace("".join(JOBS), "")
    assert not (root / "usr/src/DDNS").exists() and not (root / "root/privatekey").exists()
    assert hand(root).aside() == []
    assert hand(root).back(dry=True)
    renamed = article.Article("wg7", "eth7", str(root))  # what the inventory says by now
    renamed.back()
    assert (root / "ran").read_text() == "eth1\n"  # the way out is there before the tunnel is
    (root / "ran").unlink()
    after = {path: what for path, what in tree(root).items() if "/var" not in path[len(str(root)) :]}
    assert after == before
    assert hand(root).back() == []


def test_a_crontab_that_was_changed_since_only_gets_its_jobs_back(root):
    hand(root).aside()
    with (root / "etc/crontab").open("a") as file:
        file.write("0 1 * * * root backup\n")
    hand(root).back()
    assert (root / "etc/crontab").read_text() == CRONTAB.replace(
        "".join(JOBS), ""
    ) + "0 1 * * * root backup\n" + "".join(JOBS)


def test_the_key_stays_on_the_site_once(root):
    for _ in range(2):
        hand(root).aside(key=True)
    found = list((root / "etc/wireguard").glob("wg0.key.??????"))
    assert [path.read_text() for path in found] == ["PRIVATE\n"]
    assert stat.S_IMODE(found[0].stat().st_mode) == 0o600


def test_a_configuration_of_ours_is_known(root):
    path = root / "etc/wireguard/wg0.conf"
    path.write_text("# by sitelink-mesh@wg0.service\n" + CONF)
    assert hand(root).look()["conf"] == "ours"
    path.unlink()
    assert hand(root).look()["conf"] is None


@pytest.mark.parametrize(
    "text",
    [
        CONF.replace("\n", "\r\n"),
        "\ufeff" + CONF,
        CONF.replace("[Interface]", "[interface]").replace("PrivateKey", "privatekey").replace("[Peer]", "[PEER]"),
        CONF.replace("ListenPort", "[Interface]\nListenPort"),
        CONF.replace("[Peer]", "# [Peer]\nTable = off\nDNS = 192.168.1.1\nSaveConfig = true\n[Peer]"),
        CONF.replace("PrivateKey = PRIVATE", "PostUp = wg set %i private-key /root/privatekey"),
        CONF.replace(
            "PrivateKey = PRIVATE", "PostUp = wg set wg0 listen-port 22000 private-key /etc/wireguard/%i.key; true"
        ),
    ],
    ids=[
        "CRLF",
        "BOM",
        "other cases",
        "[Interface] twice",
        "what wg-quick knows",
        "key in a file",
        "key in a file of its name",
    ],
)
def test_a_configuration_is_read_as_wg_quick_reads_it(root, text):
    (root / "etc/wireguard/wg0.key").write_text("PRIVATE\n")
    wanted = hand(root).look()["conf"]
    (root / "etc/wireguard/wg0.conf").write_bytes(text.encode())
    assert hand(root).look()["conf"] == wanted
    hand(root).aside(key=True)
    assert [path.read_text() for path in (root / "etc/wireguard").glob("wg0.key.??????")] == ["PRIVATE\n"]


def test_a_key_that_the_running_tunnel_does_not_have_is_told(root, monkeypatch):
    monkeypatch.setattr(article.Article, "running_key", lambda self: "public of OTHER")
    assert hand(root).look()["conf"]["running_key"] == "public of OTHER"


def test_a_site_without_wg_is_told_as_that(root, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(root))
    found = hand(root).look()["conf"]
    assert (found["public_key"], found["running_key"], found["tools"]) == ("", "", False)


def test_a_run_of_the_script_prints_json(root, capsys):
    article.main(["look", "wg0", "eth1"], str(root))
    assert json.loads(capsys.readouterr().out)["conf"]["port"] == "22000"
