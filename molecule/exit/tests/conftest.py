# SPDX-License-Identifier: GPL-3.0-or-later
"""A page in the lab's internet that tells who asked, and counters of what should never be seen."""

import pathlib
import subprocess
import sys
import textwrap
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "shared"))

from lab_tests import LIMIT, ROOT, SITES, lab, on, playbook, status

PAGE, ADDRESS = "www.lab.test", "198.18.0.81"
SERVER = f"""
import http.server, socket, socketserver, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = self.client_address[0].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers(); self.wfile.write(text)
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    allow_reuse_address = daemon_threads = True
def tell_time():
    clock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    clock.bind(("{ADDRESS}", 123))
    while True:
        _, asker = clock.recvfrom(512)
        clock.sendto(bytes([0x24]) + bytes(11) + socket.inet_aton(asker[0]) + bytes(32), asker)
threading.Thread(target=tell_time, daemon=True).start()
Server(("{ADDRESS}", 80), Page).serve_forever()
"""
FETCH = f"curl -s -m 2 http://{PAGE}/"
# As time synchronisation asks; the server's reference ID is the asker's address.
ASK_TIME = (
    f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(('{PAGE}', 123)); "
    "s.send(bytes([0x23]) + bytes(47)); print(socket.inet_ntoa(s.recv(512)[12:16]))"
)
# A resolver as home routers have one, which is of no use without the broadband.
HOME_RESOLVER = (
    "[ -f /run/home-b.pid ] && kill -0 $(cat /run/home-b.pid) 2>/dev/null || dnsmasq --conf-file=/dev/null --no-resolv --no-hosts "
    "--bind-interfaces --listen-address=10.66.2.1 --server=/lab.test/198.18.0.53 --pid-file=/run/home-b.pid"
)
WATCH = """
table inet watch
delete table inet watch
table inet watch {
    counter strayed { }
    counter beyond { }
    chain in {
        type filter hook prerouting priority -400; policy accept;
        iifname "home-b" ip daddr 198.18.0.0/15 icmp type != echo-request counter name strayed
        iifname "home-b" ip daddr 198.18.0.0/15 meta l4proto { tcp, udp } counter name strayed
        iifname "home-a" ip daddr { 192.168.77.1, 10.200.0.1, 11.99.0.1 } counter name beyond
        iifname { "ont-a", "ont-b" } ip daddr { 198.18.0.0/15, 192.168.77.1, 10.200.0.1, 11.99.0.1 } counter name beyond
    }
}
"""
EXIT_INVENTORY = ROOT / "molecule" / "exit" / "inventory"


def site_yml(*argv):
    """The playbook with the scenario's inventory."""
    return playbook("site", "-i", EXIT_INVENTORY, *argv)


def fetch(where):
    """Who the page says has asked, from a site or a LAN host; "" without an answer within 2 s, those of the resolver included."""
    if where.startswith("lan"):
        return lab("exec", where, "--", *FETCH.split(), check=False).strip()
    return on(where, FETCH).stdout.strip()


def eventually(condition, what):
    """Returns the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < LIMIT, (what, status("site-b")["exit"])
        time.sleep(0.2)
    return time.monotonic() - begun


def counted(name):
    """Packets that a machine of the carrier's and the internet's saw and should not have."""
    found = 0
    for container in ("internet", "carrier"):
        text = lab("exec", container, "--", "nft", "list", "counter", "inet", "watch", name)
        found += int(text.split("packets ")[1].split()[0])
    return found


def watch():
    """Count from zero."""
    for container in ("internet", "carrier"):
        subprocess.run(
            [ROOT / "lab" / "lab", "exec", container, "--", "nft", "-f", "-"], input=WATCH, text=True, check=True
        )


def exit_of(site="site-b"):
    return status(site)["exit"][0]


def traces(site="site-b"):
    """What is there of the use of an exit, and only then."""
    return on(
        site,
        "ip rule | grep -E '^30[67]:'; ip route show table 306 2>/dev/null; wg show wg0 allowed-ips | grep -o 0.0.0.0/0; "
        "grep -l sitelink /etc/resolv.conf; ls /var/lib/sitelink | grep resolv",
    ).stdout


@pytest.fixture(scope="session", autouse=True)
def internet():
    """The page, its name, and a home resolver for site-b."""
    lab("exec", "internet", "--", "sh", "-c", HOME_RESOLVER)
    script = textwrap.dedent(
        f"""
        ip address replace {ADDRESS}/32 dev lo
        ip address replace 192.168.77.1/32 dev lo
        [ -f /run/page.pid ] && kill -0 $(cat /run/page.pid) 2>/dev/null && exit
        cat > /run/page.py
        setsid python3 /run/page.py </dev/null >/dev/null 2>&1 &
        echo $! > /run/page.pid
        """
    )
    subprocess.run(
        [ROOT / "lab" / "lab", "exec", "internet", "--", "sh", "-c", script], input=SERVER, text=True, check=True
    )
    lab("records", "--set", PAGE, ADDRESS)
    on("site-b", "echo nameserver 10.66.2.1 > /etc/resolv.conf")
    yield
    on("site-b", "echo nameserver 198.18.0.8 > /etc/resolv.conf")
    lab(
        "exec",
        "internet",
        "--",
        "sh",
        "-c",
        "kill $(cat /run/home-b.pid /run/page.pid); rm /run/home-b.pid /run/page.pid",
    )
    lab(
        "exec",
        "internet",
        "--",
        "sh",
        "-c",
        f"ip address delete {ADDRESS}/32 dev lo; ip address delete 192.168.77.1/32 dev lo",
    )


@pytest.fixture
def away():
    """site-b without its broadband, on the internet through site-a; everything as it was afterwards."""
    # What the test before did may have made it fail, and then another one has its turn for a minute, and for as long as it is used.
    eventually(lambda: exit_of()["exits"]["site-a"] == "ready", "site-a is an exit as good as any")
    lab("suspend", "site-b")
    eventually(lambda: fetch("site-b") == "192.168.1.2", "site-b is online through site-a")
    watch()
    yield
    restore()


def restore():
    for site in SITES:
        lab("resume", site)
        lab("plug", site)
    eventually(lambda: exit_of()["broadband"] == "up" and not exit_of()["away"], "site-b is back on its broadband")
    alive = lambda: all(peer["alive"] for peer in status("site-b")["mesh"][0]["peers"])
    eventually(alive, "the mesh is whole")
