# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in the lab and their end: each is a context in which it is there."""

import contextlib
import json
import threading

from sitelab import internet

from lab_tests import OVERLAY, ROOT, SITES, STATE, lab, run, status, underlay_address, wait_for

SITE, PEER, EXIT = "site-a", "site-b", "site-c"
DROP = "nft 'add table inet fault; add chain inet fault c {{ type filter hook {} priority 0; }}; add rule inet fault c {} drop'"


def inside(site, command, check=True):
    """Run a shell command at a site without its network."""
    return run(ROOT / "lab" / "lab", "exec", site, "--", "sh", "-c", command, check=check).stdout


def carrier(command):
    lab("exec", "carrier", "--", "sh", "-c", command)


def pings(site, names):
    return all("1 received" in inside(site, f"ping -c 1 -W 1 {OVERLAY[name]}", check=False) for name in names)


def healthy():
    for site in SITES:
        others = [name for name in SITES if name != site]
        wait_for(lambda site=site, others=others: pings(site, others), lambda site=site: f"{site} reaches the others")
    wait_for(lambda: not status(SITE)["faults"], lambda: status(SITE)["faults"])


@contextlib.contextmanager
def commands(site, break_it, mend_it):
    """Broken and mended by shell commands at a site."""
    inside(site, break_it)
    try:
        yield
    finally:
        inside(site, mend_it)


@contextlib.contextmanager
def carrier_drops(rule):
    """The carrier drops what a rule of nftables matches."""
    carrier(DROP.format("forward", rule))
    try:
        yield
    finally:
        carrier("nft delete table inet fault")


@contextlib.contextmanager
def unplugged(site):
    lab("unplug", site)
    try:
        yield
    finally:
        lab("plug", site)


@contextlib.contextmanager
def bridge_gone():
    """Nobody answers DHCP any more, and the lease has run out."""
    carrier("kill $(cat /run/ont-a.pid)")
    inside(SITE, "ip -4 address flush dev eth1")
    try:
        yield
    finally:
        carrier("dnsmasq --conf-file=/run/ont-a.conf --pid-file=/run/ont-a.pid --log-facility=/var/log/ont-a.log")
        inside(SITE, "networkctl reconfigure eth1")


@contextlib.contextmanager
def gateway_silent():
    carrier("ip link set ont-a arp off")
    inside(SITE, "ip neighbour flush dev eth1")
    try:
        yield
    finally:
        carrier("ip link set ont-a arp on")


@contextlib.contextmanager
def another_answer(mark=""):
    """A rule of somebody's takes the answers to the broadband, and the filter is strict.

    mark: of the answers that the rule is about. The filter asks about those without a mark, and WireGuard's have one.
    """
    rule = f"from {underlay_address(SITE)} to 10.0.0.0/7 {mark} lookup main pref 200"
    with commands(SITE, f"sysctl -qw net.ipv4.conf.eth1.rp_filter=1; ip rule add {rule}",
                  f"sysctl -qw net.ipv4.conf.eth1.rp_filter=0; ip rule del {rule}"):  # fmt: skip
        yield


@contextlib.contextmanager
def one_way():
    """What site-a sends site-b is lost; site-b, whose interface is new, calls."""
    with carrier_drops(f"ip saddr {underlay_address(SITE)} ip daddr {underlay_address(PEER)} udp dport 22000"):
        inside(PEER, "systemctl restart wg-quick@wg0")
        yield


@contextlib.contextmanager
def wrong_key():
    """site-b has a key pair of its own making."""
    conf = "/etc/wireguard/wg0.conf"
    change = f'cp -p {conf} /root/kept; key=$(wg genkey); sed -i "s|^PrivateKey.*|PrivateKey = $key|" {conf}'
    with commands(PEER, f"{change}; systemctl restart wg-quick@wg0",
                  f"cp -p /root/kept {conf}; rm /root/kept; systemctl restart wg-quick@wg0"):  # fmt: skip
        yield


@contextlib.contextmanager
def no_dns():
    lab("dns", "stop")
    try:
        yield
    finally:
        lab("dns", "start")


@contextlib.contextmanager
def rebind_protection():
    """A resolver as home routers have it."""
    inside("internet", "ip address replace 198.18.0.9/32 dev lo; dnsmasq --conf-file=/dev/null --no-resolv --no-hosts "
           "--bind-interfaces --listen-address=198.18.0.9 --server=/lab.test/198.18.0.53 --stop-dns-rebind "
           "--pid-file=/run/rebind.pid")  # fmt: skip
    try:
        with commands(SITE, "cp /etc/resolv.conf /root/kept; echo nameserver 198.18.0.9 > /etc/resolv.conf",
                      "cat /root/kept > /etc/resolv.conf; rm /root/kept"):  # fmt: skip
            yield
    finally:
        inside("internet", "kill $(cat /run/rebind.pid); ip address delete 198.18.0.9/32 dev lo")


@contextlib.contextmanager
def wrong_record():
    """Somebody else writes the record as well, and faster."""
    stop = threading.Event()

    def write():
        while not stop.is_set():
            internet.command(STATE, do="set", name=f"{SITE}.lab.test", value="10.9.9.9", ttl=60)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):  # once in a while the record is right in the very moment in which it is read
            inside(SITE, "systemctl start sitelink-ddns", check=False)
            if status(SITE)["ddns"]["names"][0]["fault"] == "record":
                break
        yield
    finally:
        stop.set()
        thread.join()
        inside(SITE, "systemctl start sitelink-ddns", check=False)


@contextlib.contextmanager
def token_refused():
    lab("fault", json.dumps([{"provider": "cloudflare", "behaviour": "status", "status": 403}]))
    lab("records", "--set", f"{SITE}.lab.test", "10.9.9.9")
    inside(SITE, "systemctl start sitelink-ddns", check=False)
    try:
        yield
    finally:
        lab("fault", "[]")
        inside(SITE, "systemctl start sitelink-ddns", check=False)


@contextlib.contextmanager
def exit_gone():
    """site-a's broadband is gone, and that of the one site whose internet it may use."""
    for site in (SITE, EXIT):
        lab("suspend", site)
    try:
        wait_for(lambda: status(SITE)["exit"][0]["exits"][EXIT] == "failed", lambda: f"nothing answers through {EXIT}")
        yield
    finally:
        for site in (SITE, EXIT):
            lab("resume", site)
        wait_for(lambda: not status(SITE)["exit"][0]["away"], lambda: "site-a is back on its broadband")


@contextlib.contextmanager
def clock(seconds):
    """Containers share the machine's clock: what Python is told of it is shifted. Files are older than that."""
    path = "/usr/lib/python3/dist-packages/wrong-clock.pth"
    line = f"import time; time.time = lambda real=time.time: real() + {seconds}"
    aged = "find /etc/sitelink /var/lib/sitelink -mindepth 1 -maxdepth 1 -exec touch -d '-1 day' {} +"
    with commands(SITE, f"{aged}; echo '{line}' > {path}", f"rm {path}"):
        yield


def between(one, other):
    one, other = underlay_address(one), underlay_address(other)
    return f"ip saddr {{ {one}, {other} }} ip daddr {{ {one}, {other} }}"
