# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in the lab, layer by layer. Each is there while site-a's doctor is asked, and gone before the next one."""

import json
import re
import shutil
import subprocess

import pytest

import chromium
import faults
from faults import DROP, PEER, SITE, between, carrier_drops, commands, healthy
from lab_tests import ADDRESS, INVENTORY, ROOT, SITES, playbook, recap, run, underlay_address

TABLE = []  # (injected, named, first line in English and in Chinese)


def doctor(site=SITE):
    """(exit code, what `--json` says)."""
    done = run(ROOT / "lab" / "lab", "exec", site, "--", "sitelink", "doctor", "--json", check=False)
    assert done.stdout.startswith("{"), done
    return done.returncode, json.loads(done.stdout)


NO_GATEWAY_DAEMON = "systemctl stop sitelink-gateway@eth1"
GATEWAY_DAEMON = "systemctl start sitelink-gateway@eth1"
# And the connection that Ansible keeps open after a run.
NO_SSH = "systemctl stop ssh.socket ssh; pkill sshd || true"
HEAL_NOW = "systemctl restart wg-quick@wg0"

# From the bottom up: (what is injected, the layer, the code, how)
FAULTS = [
    ("the NIC has another name", "nic", "nic_missing",
     lambda: commands(SITE, "ip link set eth1 down; ip link set eth1 name eth9",
                      "ip link set eth9 name eth1; ip link set eth1 up")),
    ("the NIC is switched off", "nic", "nic_off",
     lambda: commands(SITE, "ip link set eth1 down", "ip link set eth1 up")),
    ("the cable is pulled", "link", "link_none", lambda: faults.unplugged(SITE)),
    ("the ONT's bridge is gone", "dhcp", "dhcp_none", faults.bridge_gone),
    ("a lease outside the underlay", "lease", "lease_outside",
     lambda: commands(SITE, "ip -4 address flush dev eth1; ip address add 172.20.0.5/24 dev eth1",
                      "ip -4 address flush dev eth1; networkctl reconfigure eth1")),
    ("the gateway is silent", "gateway", "gateway_silent", faults.gateway_silent),
    ("a rule is deleted", "rule", "rule_missing",
     lambda: commands(SITE, f"{NO_GATEWAY_DAEMON}; ip rule del pref 305", GATEWAY_DAEMON)),
    ("the gateway daemon is stopped", "rule", "rule_daemon",
     lambda: commands(SITE, NO_GATEWAY_DAEMON, GATEWAY_DAEMON)),
    ("a foreign rule leads elsewhere", "rule", "rule_foreign",
     lambda: commands(SITE, "ip rule add to 10.0.0.0/7 fwmark 0x131 lookup main pref 200", "ip rule del pref 200")),
    ("a foreign rule takes the answers", "rule", "rule_foreign", faults.another_answer),
    ("rp_filter is strict", "rpfilter", "rpfilter_drops", lambda: faults.another_answer("fwmark 0/0xffffffff")),
    ("the own firewall is removed", "firewall", "firewall_open",
     lambda: commands(SITE, "systemctl stop sitelink-firewall@eth1; nft delete table inet sitelink_eth1",
                      "systemctl restart sitelink-firewall-table@eth1; systemctl start sitelink-firewall@eth1")),
    ("the firewall's daemon is stopped", "firewall", "firewall_daemon",
     lambda: commands(SITE, "systemctl stop sitelink-firewall@eth1", "systemctl start sitelink-firewall@eth1")),
    ("a foreign firewall, incoming", "firewall", "firewall_foreign",
     lambda: commands(SITE, DROP.format("input", "udp dport 22000"), f"nft delete table inet fault; {HEAL_NOW}")),
    ("a foreign firewall, outgoing", "firewall", "firewall_foreign",
     lambda: commands(SITE, DROP.format("output", "udp sport 22000"), f"nft delete table inet fault; {HEAL_NOW}")),
    ("wg-quick is stopped", "wireguard", "wireguard_none",
     lambda: commands(SITE, "systemctl stop wg-quick@wg0", "systemctl start wg-quick@wg0 sitelink-mesh@wg0")),
    ("the mesh daemon is stopped", "wireguard", "wireguard_daemon",
     lambda: commands(SITE, "systemctl stop sitelink-mesh@wg0", "systemctl start sitelink-mesh@wg0")),
    ("the peer's cable is pulled", "peer", "peer_off", lambda: faults.unplugged(PEER)),
    ("the carrier isolates the site", "peer", "peers_off",
     lambda: carrier_drops("ip saddr {0} drop; add rule inet fault c ip daddr {0}".format(underlay_address(SITE)))),
    ("the carrier blocks UDP to the peer", "udp", "udp_blocked",
     lambda: carrier_drops(f"{between(SITE, PEER)} meta l4proto udp")),
    ("the carrier drops one way", "udp", "udp_one_way", faults.one_way),
    ("the peer has another key", "handshake", "handshake_key", faults.wrong_key),
    ("the route to a LAN is replaced", "route", "route_elsewhere",
     lambda: commands(SITE, "ip route replace 10.66.2.0/24 via 192.168.1.1 dev eth0",
                      "ip route del 10.66.2.0/24 via 192.168.1.1; systemctl reload sitelink-mesh@wg0")),
    ("an MTU black hole", "mtu", "mtu_hole", lambda: carrier_drops("ip length > 1400")),
    ("forwarding is off", "lan", "lan_forwarding",
     lambda: commands(SITE, "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1")),
    # And some hours: peers tell the time of day, and one that says the same would be believed.
    ("the clock is three days behind", "clock", "clock_behind", lambda: faults.clock(-3 * 86400 - 3 * 3600)),
    ("the clock is ten minutes behind", "clock", "clock_behind", lambda: faults.clock(-600)),
    ("the clock is eight hours ahead", "clock", "clock_ahead", lambda: faults.clock(8 * 3600)),
    ("DNS is down", "dns", "dns_silent", faults.no_dns),
    ("rebind protection", "dns", "dns_rebind", faults.rebind_protection),
    ("a wrong record", "ddns", "ddns_record", faults.wrong_record),
    ("the token is refused", "ddns", "ddns_refused", faults.token_refused),
    ("the exit's internet is gone", "exit", "exit_silent", faults.exit_gone),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    print(f"\n{'injected':36} {'named':11} first line")
    for injected, named, english, chinese in TABLE:
        print(f"{injected:36} {named:11} {english}\n{'':48} {chinese}")
    right = sum(1 for row in TABLE if row[1] in {layer for text, layer, _, _ in FAULTS if text == row[0]})
    print(f"{right} of {len(FAULTS)} named")


@pytest.mark.parametrize("site", SITES)
def test_a_healthy_mesh_reports_nothing(site):
    healthy()
    code, told = doctor(site)
    assert (code, told["findings"]) == (0, [])


@pytest.mark.parametrize(
    ("injected", "layer", "code", "how"), FAULTS, ids=[fault[2] + "-" + fault[0] for fault in FAULTS]
)
def test_the_layer_at_fault_is_named(injected, layer, code, how):
    try:
        with how():
            result, told = doctor()
    finally:
        healthy()
    first = told["findings"][0] if told["findings"] else {"layer": "none", "code": "", "text": {"en": {"what": ""}}}
    texts = [first["text"].get(language, {}).get("what", "") for language in ("en", "zh")]
    TABLE.append((injected, first["layer"], *texts))
    assert (first["layer"], first["code"]) == (layer, code), told["findings"]
    assert result == told["exit"] >= 10
    assert texts[0].isascii() and any("一" <= letter <= "鿿" for letter in texts[1])


def test_the_playbook_names_the_faults_of_all_sites_and_those_it_cannot_ask():
    """In the language that is asked for; sshd of site-c does not answer."""
    with commands(SITE, "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1"), \
            commands("site-c", NO_SSH, "systemctl start ssh"):  # fmt: skip
        english = playbook("doctor", "-e", "lang=en", check=False)
        chinese = playbook("doctor", "-e", "lang=zh", check=False)
    assert english.returncode != 0 and chinese.returncode != 0
    assert "site-a: [lan] This server does not forward" in english.stdout
    assert (
        "site-c: No answer: the controller cannot reach" in english.stdout
        and "site-b: " not in english.stdout.partition("Say")[2].partition("RECAP")[0]
    )
    assert "site-a: [lan] 这台服务器没有把" in chinese.stdout and "site-c: 没有应答：控制机连不上" in chinese.stdout
    assert playbook("doctor").returncode == 0


def test_the_status_of_all_sites_is_a_table_and_a_page():
    """One site has a fault, one cannot be asked; the page is opened in Chromium where there is one."""
    page = chromium.OUTPUT / "lab.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    with commands(SITE, "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1"), \
            commands("site-c", NO_SSH, "systemctl start ssh"):  # fmt: skip
        done = playbook("status", "-e", f"page={page}", "-e", "lang=zh")
    assert re.search(r"site-a +fault .* 2/2 +lan\b", done.stdout)
    assert re.search(r"site-b +ok .* 2/2", done.stdout) and re.search(r"site-c +no answer", done.stdout)
    assert recap(done)["site-b"]["ok"] <= 2  # tasks
    if not shutil.which("chromium"):
        pytest.skip("the page itself needs Chromium")
    document, errors = chromium.dom(page)
    text = chromium.seen(document)
    assert errors == [] and all(text.count(site) >= 3 for site in SITES)
    assert (
        "这台服务器没有把组网的包转发到它的内网 192.168.1.0/24。" in text and "没有应答：控制机连不上这个站点" in text
    )
    assert underlay_address(SITE) in text and underlay_address(PEER) + ":22000" in text
    chromium.screenshot(page, "lab")


def test_a_hundred_sites_are_asked_in_at_most_two_tasks_each(tmp_path):
    """A hundred names for three sites."""
    hosts = {f"n-{number:03}": {"ansible_host": ADDRESS[SITES[number % len(SITES)]]} for number in range(100)}
    (tmp_path / "hosts.yml").write_text(json.dumps({"sites": {"hosts": hosts}}))
    connection = (INVENTORY / "group_vars" / "sites" / "connection.yml").read_text()
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "sites.yml").write_text(connection)
    done = playbook("status", "-e", f"page={tmp_path / 'page.html'}", inventory=tmp_path / "hosts.yml")
    counts = {host: count for host, count in recap(done).items() if host != "localhost"}
    assert sorted(counts) == sorted(hosts) and "no answer" not in done.stdout
    # The table and the page are made once, at the first host.
    assert all(
        found["ok"] <= 2 and found["failed"] == found["unreachable"] == 0
        for name, found in counts.items()
        if name != "n-000"
    )
    assert counts["n-000"]["ok"] <= 4
    assert all(name in (tmp_path / "page.html").read_text() for name in hosts)


def test_the_first_line_follows_the_locale():
    with commands(SITE, "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1"):
        command = [ROOT / "lab" / "lab", "exec", SITE, "--", "env"]
        said = [subprocess.run([*command, f"LC_ALL={locale}", "sitelink", "doctor"], capture_output=True, text=True)
                for locale in ("C", "zh_CN.UTF-8")]  # fmt: skip
    assert [done.returncode for done in said] == [25, 25]
    assert said[0].stdout.startswith("site-a: [lan] This server") and said[1].stdout.startswith(
        "site-a: [lan] 这台服务器"
    )
