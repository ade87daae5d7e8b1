# SPDX-License-Identifier: GPL-3.0-or-later
"""What files of wg-quick say of the table and the mark of a gateway: by number, by the table's name, and in what they have done."""

import collections

import pytest

from sitelink import config, others

Cfg = collections.namedtuple("Cfg", "interface table fwmark")
CFG = Cfg("eth1", 305, 0x131)


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A function: what is said of a file of wg-quick with these lines."""
    (tmp_path / "wg").mkdir()
    (tmp_path / "rt_tables").write_text("# reserved\n255\tlocal\n0x131 tr069\n  400   office # 305 tr\n305\n")
    (tmp_path / "more.d").mkdir()
    (tmp_path / "more.d" / "a.conf").write_text("305 carrier\n")
    monkeypatch.setattr(config, "WIREGUARD", str(tmp_path / "wg"))
    monkeypatch.setattr(
        others, "TABLES", (str(tmp_path / "rt_tables"), str(tmp_path / "more.d" / "*.conf"), "/no/such")
    )

    def found(text):
        (tmp_path / "wg" / "office.conf").write_text(f"[Interface]\n{text}\n[Peer]\nAllowedIPs = 0.0.0.0/0\n")
        return others._files(CFG, {"wg0", "wg7"})

    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Table = 305", "put its routes into the table 305"),
        ("Table = 0x131", "put its routes into the table 305"),
        ("Table = tr069", "says Table = tr069"),
        ("table=carrier # by name", "put its routes into the table 305"),
        (
            "Table = off\nPostUp = ip route add default dev %i table 305",
            "PostUp = ip route add default dev %i table 305",
        ),
        ("Table = off\nPreUp=ip -4 route replace 10.9.0.0/16 dev wg1 table tr069; true", "set another tr069_table"),
        ("Table = off\nPostUp = true && ip ro add default dev wg1 table 0x131", "set another tr069_table"),
        ("Table = off\nPostUp = ip rule add to 10.9.0.0/16 lookup carrier", "set another tr069_table"),
        ("Table = off\nPostUp = ip rule add fwmark 0x131 table 51820", "set another tr069_fwmark"),
        ("Table = off\nPostUp = ip rule add fwmark 305 table 51820", "set another tr069_fwmark"),
        ("Table = off\nPostUp = wg set %i fwmark 0x131", "PostUp = wg set %i fwmark 0x131"),
        (
            "Table = off\nPostUp = iptables -t mangle -A OUTPUT -p udp -j MARK --set-mark 0x131",
            "set another tr069_fwmark",
        ),
        ("Table = off\nPostUp = iptables -A OUTPUT -j MARK --set-xmark 305/0xffffffff", "set another tr069_fwmark"),
        ("Table = off\nPostUp = nft add rule ip a b udp dport 9 meta mark set 0x131", "set another tr069_fwmark"),
    ],
)
def test_a_file_that_takes_the_table_or_the_mark_is_named(found, text, words):
    (said,) = found(text)
    assert words in said and "office.conf says " in said


@pytest.mark.parametrize(
    "text",
    [
        "Table = office",
        "Table = nobody",
        "Table = off",
        "Table = off\nPostUp = ip route add default dev %i table 306; ip rule add to 10.9.0.0/16 lookup 400",
        "Table = off\nPostDown = ip rule add fwmark 0x131 table 51820",
        "Table = off\nPostUp = ip rule del fwmark 0x131 table 305",
        "Table = off\nPostUp = ip rule add not fwmark 0x131 table 51820",
        "Table = off\nPostUp = ip rule add fwmark 0x100/0x100 table 51820",
        "Table = off\nPostUp = ip rule add fwmark 0x131/0xff table 51820",
        "Table = off\n#PostUp = ip route add default dev %i table 305",
        "Table = off\nPostUp = ip route show table 305 | logger",
        "Table = off\nPostUp = wg set %i fwmark 0x132; iptables -A OUTPUT -m mark --mark 0x131 -j ACCEPT",
    ],
)
def test_others_are_not(found, text):
    assert found(text) == []


def test_a_mesh_of_ours_under_an_old_name_is_no_other_user(tmp_path, monkeypatch):
    """The run that gives it another name takes it away; in check mode it is still there."""
    monkeypatch.setattr(config, "WIREGUARD", str(tmp_path))
    monkeypatch.setattr(config, "ETC", str(tmp_path))
    for part in ("_in_kernel", "_gateways", "_article"):
        monkeypatch.setattr(others, part, lambda *_given: [])
    monkeypatch.setattr(others.wg, "fwmarks", lambda: {"wg0": CFG.fwmark, "wg7": CFG.fwmark})
    (tmp_path / "wg0.conf").write_text("[Interface]\nTable = off\nFwMark = 0x131\n")

    class Kernel:
        @staticmethod
        def link(_name):
            return True

    assert len(others.users(Kernel, CFG, "wg7")) == 2
    (tmp_path / "mesh-wg0.json").write_text("{}")
    assert others.users(Kernel, CFG, "wg7") == []
