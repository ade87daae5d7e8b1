# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall daemon in a real kernel: not one packet of a stranger's gets in, whatever flushes the rules."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from sitelink.state import read_json

from throwaway import connect, wait_for

RULES = """\
table inet sitelink_eth1
delete table inet sitelink_eth1
table inet sitelink_eth1 {
    counter in_dropped { }
    chain prerouting {
        type filter hook prerouting priority -310; policy accept;
        iifname "eth1" meta l4proto udp counter name in_dropped drop
    }
}
"""
OTHER = "table inet other { chain input { type filter hook input priority 0; policy accept; }; }"


@pytest.fixture(scope="module")
def net(namespaces):
    if shutil.which("nft") is None:
        pytest.skip("needs nftables")
    site, stranger = namespaces(), namespaces()
    connect(site, "eth1", stranger, "ont")
    site.sh("ip addr add 10.23.64.5/20 dev eth1")
    stranger.sh("ip addr add 10.23.64.66/20 dev ont")
    return site, stranger


@pytest.fixture
def site(net):
    site = net[0]
    site.write("firewall-eth1.nft", RULES)
    site.write(
        "firewall-eth1.json",
        {"interface": "eth1", "mesh_interface": "wg0", "lan_subnets": ["192.168.1.0/24"], "adapt": ["docker"]},
    )
    yield site
    for process in site.processes:
        if process.poll() is None:
            site.stop(process, signal.SIGKILL)
    wait_for(lambda: "_held" not in site.sh("nft list tables"))
    site.sh("nft flush ruleset")
    for name in os.listdir(site.run_dir):
        os.unlink(os.path.join(site.run_dir, name))


@pytest.fixture
def old_nft(tmp_path, monkeypatch):
    """An nft that knows no owner, as before 1.0.1."""
    program = tmp_path / "nft"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = --check ]; then echo "syntax error, unexpected string: owner" >&2; exit 1; fi\n'
        'exec %s "$@"\n' % shutil.which("nft")
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))


def start(site):
    process = site.daemon("firewall", "eth1")
    wait_for(lambda: os.path.exists(site.run_dir + "/firewall-eth1.json"), process.log)
    return process


def state(site):
    [found] = site.status()["firewall"]
    return found


def told(site):
    """What the daemon itself told last."""
    return read_json(site.run_dir + "/firewall-eth1.json")


def tables(site):
    return site.sh("nft list tables").split("\n")


class Stranger:
    """Sends numbers without pause; `entered` has those that were let in."""

    def __init__(self, net):
        site, stranger = net
        with site.entered():
            self.inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with stranger.entered():
            self.outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inner.bind(("0.0.0.0", 5353))
        self.inner.settimeout(0.2)
        self.sent, self.entered, self.running = 0, [], True
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]

    def send(self):
        while self.running:
            self.outer.sendto(b"%d" % self.sent, ("10.23.64.5", 5353))
            self.sent += 1
            time.sleep(0.0002)

    def receive(self):
        while self.running:
            with contextlib.suppress(socket.timeout):
                self.entered.append(int(self.inner.recvfrom(100)[0]))

    def sends_more(self, packets=200):
        """Wait until so many more were sent."""
        begun = self.sent
        wait_for(lambda: self.sent >= begun + packets)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        for thread in self.threads:
            thread.join()
        self.inner.close()
        self.outer.close()


def flush_often(site, times=10):
    for _ in range(times):
        before = told(site)["restored"]
        site.sh("nft flush ruleset")
        wait_for(lambda before=before: told(site)["restored"] > before)
    # One flush may count twice, when the daemon reads of the one before and of it at the same time. In the end there is a table.
    wait_for(lambda: state(site)["loaded"])


def test_a_held_table_lets_nothing_in_while_everything_is_flushed(net, site):
    start(site)
    found = state(site)
    assert found["state"] == "ok" and found["held"], found
    with Stranger(net) as stranger:
        flush_often(site)
        stranger.sends_more()
    assert stranger.entered == []
    found = state(site)
    assert found["packets"]["in_dropped"] >= stranger.sent - 5  # the proof that they arrived
    assert found["events"][-1]["what"] == "sitelink_eth1 was removed by nft"
    assert "sitelink_eth1_held" in site.sh("nft list tables") and found["state"] == "ok"


def test_the_stranger_gets_in_without_the_daemon(net, site):
    """The control: the test above can fail."""
    site.sh("nft -f %s/firewall-eth1.nft" % site.etc)
    with Stranger(net) as stranger:
        stranger.sends_more()
        assert stranger.entered == []
        site.sh("nft flush ruleset")
        wait_for(lambda: stranger.entered)


def test_where_nft_knows_no_owner_the_table_is_watched(net, site, old_nft):
    start(site)
    found = state(site)
    assert found["state"] == "ok" and not found["held"] and "owner" in found["not_held_because"]
    with Stranger(net) as stranger:
        flush_often(site)
        late = stranger.sent + 1  # one may be under way
        stranger.sends_more()
    # What came in while it was open has no limit; closed again it is.
    assert [number for number in stranger.entered if number > late] == []


def test_a_changed_rule_is_put_right_and_told(net, site):
    start(site)
    site.sh("nft insert rule inet sitelink_eth1 prerouting accept")
    wait_for(lambda: told(site)["restored"] == 1)
    assert "policy accept;\n\t\tiifname" in site.sh("nft list chain inet sitelink_eth1 prerouting")
    assert state(site)["events"][-1]["what"] == "sitelink_eth1 was changed by nft"


def test_what_others_do_in_their_own_tables_is_left_alone(net, site):
    site.sh("nft '%s'" % OTHER)
    start(site)
    before = site.sh("nft list table inet other")
    site.sh("nft add rule inet other input tcp dport 80 drop")
    # The next event after it: had the daemon done anything about the first, it would be told by now.
    site.sh("nft insert rule inet sitelink_eth1 prerouting accept")
    wait_for(lambda: told(site)["events"])
    assert [event["what"] for event in told(site)["events"]] == ["sitelink_eth1 was changed by nft"]
    assert state(site)["restored"] == 1
    assert site.sh("nft list table inet other") == before.replace("accept;\n", "accept;\n\t\ttcp dport 80 drop\n")


def test_a_killed_owner_has_a_successor(net, site):
    daemon = start(site)
    child = subprocess.check_output(["pgrep", "-f", "nft --interactive", "-P", str(daemon.pid)]).split()
    with Stranger(net) as stranger:
        os.kill(int(child[0]), signal.SIGKILL)
        wait_for(lambda: any("owner" in event["what"] for event in told(site)["events"]))
        wait_for(lambda: state(site)["held"])
    assert stranger.entered == [] and "sitelink_eth1_held" in site.sh("nft list tables")


def test_kill_and_stop_leave_the_first_table_and_remove_takes_it_away(net, site):
    site.sh("nft '%s'" % OTHER)
    daemon = start(site)
    code, _, err = site.sitelink("firewall", "eth1", "--remove")
    assert code == 1 and "stop it first" in err
    with Stranger(net) as stranger:
        site.stop(daemon, signal.SIGKILL)
        wait_for(lambda: "_held" not in site.sh("nft list tables"))
        assert "does not run" in state(site)["reason"] and state(site)["state"] == "fault"
        os.unlink(site.run_dir + "/firewall-eth1.json")
        again = start(site)
        assert site.stop(again) == 0
    assert stranger.entered == []
    assert site.sitelink("firewall", "eth1", "--remove") == (0, "", "")
    assert tables(site) == ["table inet other", ""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(RULES.replace("drop", "dorp"), "nft refused"), ("", "does not define the table")],
    ids=["a slip", "being written"],
)
def test_a_file_that_cannot_be_loaded_is_a_fault_and_tried_again(net, site, text, reason):
    site.write("firewall-eth1.nft", text)
    start(site)
    assert state(site)["state"] == "fault" and reason in state(site)["reason"]
    site.write("firewall-eth1.nft", RULES)
    wait_for(lambda: state(site)["state"] == "ok")


def test_docker_gets_rules_for_the_lan_whenever_it_comes(net, site):
    if shutil.which("iptables") is None:
        pytest.skip("needs iptables")
    start(site)
    site.sh(
        "iptables -N DOCKER-USER; iptables -A DOCKER-USER -s 203.0.113.7 -j DROP; iptables -A DOCKER-USER -j RETURN"
    )
    wait_for(lambda: site.sh("iptables -S DOCKER-USER").count("sitelink") == 2)
    rules = site.sh("iptables -S DOCKER-USER").splitlines()
    assert "-A DOCKER-USER -d 192.168.1.0/24 -i wg0 -m comment --comment sitelink -j ACCEPT" in rules
    assert rules[-2:] == ["-A DOCKER-USER -s 203.0.113.7/32 -j DROP", "-A DOCKER-USER -j RETURN"]
    site.sh("iptables -F DOCKER-USER")  # Docker's own restart
    wait_for(lambda: site.sh("iptables -S DOCKER-USER").count("sitelink") == 2)
    site.stop(site.processes[-1])
    assert site.sitelink("firewall", "eth1", "--remove")[0] == 0
    assert site.sh("iptables -S DOCKER-USER") == "-N DOCKER-USER\n"
