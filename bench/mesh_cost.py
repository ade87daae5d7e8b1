# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mesh daemon costs with many peers on one interface: share of a core, and resident memory.

    python bench/mesh_cost.py [PEERS [SECONDS]]

Live peers are as many WireGuard interfaces in another namespace, each with its own wireguard-go, so 300 of them need about
4 GB of memory and a limit fs.inotify.max_user_instances above their number. Dead peers with a seed each are tried in turn, eagerly for the first two minutes. Needs root.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "roles" / "site_agent" / "files"), str(ROOT / "tests" / "unit" / "sitelink")]

from throwaway import Namespace, connect, wait_for

NAME = "sltcost"
OWN = "172.31.255.1"
CARRIER = "10.23.64.1"


def wg(*arguments, text=None):
    done = subprocess.run(["wg", *arguments], input=text, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.strip()


def seconds_of_cpu(pid):
    """Of a process and of the children that it waited for."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100


def overlay(number):
    return f"172.31.{number // 250}.{number % 250 + 1}"


def live_peers(namespace, privates, public):
    """The other ends, each with an interface of its own that calls nobody."""
    namespace.sh("for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done")
    for number, private in enumerate(privates):
        name, address, table = f"sltp{number}", overlay(number), 1000 + number
        namespace.sh(
            f"""
wireguard-go {name} >/dev/null 2>&1
printf %s '{private}' | wg set {name} private-key /dev/stdin listen-port {30000 + number} \\
    peer {public} allowed-ips {OWN}/32 persistent-keepalive 25
ip link set {name} mtu 1420 up
ip address add {address}/32 dev {name}
ip rule add from {address} lookup {table}
ip route add {OWN}/32 dev {name} table {table}
echo 0 > /proc/sys/net/ipv4/conf/{name}/rp_filter
"""
        )


def measure(count, seconds, live):
    with tempfile.TemporaryDirectory() as directory:
        (one, other) = (pathlib.Path(directory, part) for part in ("one", "other"))
        one.mkdir()
        other.mkdir()
        namespace, carrier = Namespace(one), Namespace(other)
        try:
            connect(namespace, "eth1", carrier, "ont")
            namespace.sh(f"ip addr add 10.23.64.5/20 dev eth1; ip route add default via {CARRIER}")
            carrier.sh(f"ip addr add {CARRIER}/20 dev ont")
            private = wg("genkey")
            privates = [wg("genkey") for _ in range(count)]
            keys = [wg("pubkey", text=each + "\n") for each in privates]
            peers = [
                {
                    "name": f"p{number}", "public_key": key, "address": overlay(number),
                    "allowed_ips": [f"{overlay(number)}/32"], "endpoint": None,
                    "seeds": [{"host": CARRIER, "port": 30000 + number}],
                }
                for number, key in enumerate(keys)
            ]  # fmt: skip
            if live:
                live_peers(carrier, privates, wg("pubkey", text=private + "\n"))
            plan = {
                "mesh": "cost", "site": "site-a", "interface": NAME, "underlay_interface": "eth1", "networks": ["10.0.0.0/7"],
                "port": 22000, "fwmark": 0, "mtu": 1420, "keepalive": 25, "addresses": [OWN + "/16"],
                "lan_subnets": [], "public_key": wg("pubkey", text=private + "\n"), "peers": peers,
            }  # fmt: skip
            lines = [
                "[Interface]",
                f"Address = {OWN}/16",
                f"PrivateKey = {private}",
                "ListenPort = 22000",
                "Table = off",
            ]
            for peer in peers:
                lines += ["[Peer]", f"PublicKey = {peer['public_key']}", f"AllowedIPs = {peer['allowed_ips'][0]}"]
            namespace.write(f"mesh-{NAME}.json", plan)
            namespace.write(f"{NAME}.conf", "\n".join(lines) + "\n", 0o600)
            namespace.sh(f"wg-quick up {namespace.wireguard}/{NAME}.conf >{directory}/up 2>&1")
            daemon = namespace.daemon("mesh", NAME)
            if live:
                wait_for(lambda: wg("show", NAME, "latest-handshakes").count("\t0") == 0, "all peers are alive")
            time.sleep(30)  # ip netns exec and setpriv replace themselves: the daemon has this number
            before = seconds_of_cpu(daemon.pid)
            time.sleep(seconds)
            used = (seconds_of_cpu(daemon.pid) - before) / seconds * 100
            if namespace.kernel().link(NAME) is None or daemon.poll() is not None:
                raise SystemExit(pathlib.Path(daemon.log).read_text())
            if "(none)" in wg("show", NAME, "endpoints"):
                raise SystemExit("not every peer was tried: " + pathlib.Path(daemon.log).read_text())
            status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
            return used, int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024
        finally:
            namespace.destroy()
            carrier.destroy()


def main():
    count, seconds = (int(value) for value in (sys.argv[1:] + ["300", "60"][len(sys.argv) - 1 :])[:2])
    print(f"{count} peers, {seconds} s{'':<14}CPU      resident")
    for live, text in ((True, "all live"), (False, "all are searched eagerly")):
        used, resident = measure(count, seconds, live)
        print(f"{text:<26}{used:6.2f} %  {resident:6.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
