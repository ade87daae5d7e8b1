# SPDX-License-Identifier: GPL-3.0-or-later
"""The real DHCP clients of the images with the files that the role writes, each in a throw-away namespace with a forcing server.

What the suite beside this one cannot show, since its images hold no time daemon: what hooks of chrony, timesyncd and ntpsec make of a
lease of eth1. And what needs another value per run: the client identifier, which has to be the same bytes from every client.
"""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from sitelab import image

from nic_rendered import files, plans

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
LIMIT = 120

# All that a server can send, whether asked for or not; 42 are the time servers, 120 those of SIP. The router is the prefix's broadcast
# address, and the broadcast address is the router of eth0.
SERVER = """\
port=0
no-ping
log-dhcp
log-facility=/run/dnsmasq.log
interface=ont
bind-interfaces
dhcp-authoritative
dhcp-leasefile=/run/leases
dhcp-range=10.23.64.10,10.23.64.200,255.255.240.0,2m
dhcp-option-force=3,10.23.79.255
dhcp-option-force=6,10.23.64.1
dhcp-option-force=12,evilhost
dhcp-option-force=15,carrier.example
dhcp-option-force=26,1400
dhcp-option-force=28,192.168.1.1
dhcp-option-force=33,203.0.113.7,10.23.64.1
dhcp-option-force=42,10.23.64.9
dhcp-option-force=44,10.23.64.8
dhcp-option-force=119,evil.example
dhcp-option-force=120,10.23.64.7
dhcp-option-force=121,0.0.0.0/0,10.23.64.1,192.168.0.0/16,10.23.64.1
"""
MAKE = """
set -e
cd {directory}
mount -t tmpfs tmpfs {directory}
cd {directory}
mkdir up work root
mount -t overlay overlay -o lowerdir={lower},upperdir=$PWD/up,workdir=$PWD/work root
mount -t tmpfs tmpfs root/run
mount -t proc proc root/proc
# Read-only, or NetworkManager waits for udev.
mount -t sysfs -o ro sysfs root/sys
mount --rbind /dev root/dev
mount -t tmpfs tmpfs /run
ip link set lo up
ip netns add carrier
ip link add eth1 type veth peer name ont netns carrier
ip netns exec carrier ip address add 10.23.64.1/20 dev ont
ip netns exec carrier ip link set ont up
ip link add eth0 type dummy 2>/dev/null || ip link add eth0 type veth peer name lan
ip address add 192.168.1.2/24 dev eth0
ip link set eth0 up
[ ! -e /sys/class/net/lan ] || ip link set lan up
ip route add default via 192.168.1.1 dev eth0
cp -a {written}/. root/
ip netns exec carrier chroot root dnsmasq --conf-file=/etc/dnsmasq-carrier.conf --user=root
touch root/run/made
exec sleep infinity
"""


def podman(*argv):
    """Not by the lab's way, which goes into its namespace."""
    done = subprocess.run(["podman", "image", *argv], text=True, stdout=subprocess.PIPE, check=True)
    return done.stdout.strip()


class Host:
    """A namespace with eth0, eth1 and the carrier behind that, and an image of its own to write in."""

    def __init__(self, directory, name):
        self.image = image.tag(name)
        self.lower, self.directory = podman("mount", self.image), directory
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.inside = None

    def start(self, written):
        for path, text, mode in [("/etc/dnsmasq-carrier.conf", SERVER, 0o644), *written]:
            target = self.directory / "written" / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            target.chmod(mode)
        (self.directory / "host").mkdir()
        script = MAKE.format(directory=self.directory / "host", written=self.directory / "written", lower=self.lower)
        self.holder.stdin.write(script)
        self.holder.stdin.close()

        def made():
            assert self.holder.poll() is None, self.holder.stdout.read()
            found = subprocess.run(
                ["pgrep", "-P", str(self.holder.pid)], stdout=subprocess.PIPE, text=True
            ).stdout.split()
            self.inside = found[0] if found else None
            return self.inside and self.run("test -e /run/made", check=False).returncode == 0

        wait_for(made)

    def run(self, script, check=True):
        """Run a shell script in the image, in that namespace."""
        argv = [
            "nsenter",
            "-t",
            self.inside,
            "-n",
            "-m",
            "-p",
            "chroot",
            self.directory / "host" / "root",
            "sh",
            "-c",
            script,
        ]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        done = subprocess.run(
            argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=LIMIT
        )
        assert not check or done.returncode == 0, f"{script}: exit {done.returncode}: {done.stdout}"
        return done

    def read(self, path):
        return self.run(f"cat {path} 2>/dev/null", check=False).stdout

    def stop(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        podman("unmount", self.image)


def wait_for(condition, what=""):
    deadline = time.monotonic() + LIMIT
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, what() if callable(what) else what or condition
        time.sleep(0.1)


# The stand-in for Red Hat's dhclient-script in what concerns this: its order, and the names of its variables. The real one is run by
# the suite's network-scripts, where it was fetched.
RED_HAT = """#!/bin/bash
make_resolv_conf() {
    [ "$PEERDNS" = no ] && return
    [ -z "$new_domain_name_servers" ] || echo "nameserver $new_domain_name_servers" >/etc/resolv.conf
}
leave() {
    exit_status=$1
    [ ! -x /etc/dhcp/dhclient-exit-hooks ] || . /etc/dhcp/dhclient-exit-hooks
    exit $exit_status
}
if [ -x /etc/dhcp/dhclient-enter-hooks ]; then
    exit_status=0
    . /etc/dhcp/dhclient-enter-hooks
    [ "$exit_status" -eq 0 ] || exit "$exit_status"
fi
env | grep ^new_ >/run/left
. "/etc/sysconfig/network-scripts/ifcfg-$interface"
case $reason in
    BOUND | RENEW | REBIND | REBOOT)
        ip -4 address add "$new_ip_address/20" broadcast "$new_broadcast_address" dev "$interface"
        [ -z "$new_interface_mtu" ] || ip link set dev "$interface" mtu "$new_interface_mtu"
        [ -z "$new_classless_static_routes" ] || ip route replace default via 10.23.64.1 dev "$interface"
        [ -z "$new_static_routes" ] || ip route replace 203.0.113.0/24 via 10.23.64.1 dev "$interface"
        [ "$DEFROUTE" = no ] || [ -z "$new_routers" ] || ip route replace default via "$new_routers" dev "$interface"
        make_resolv_conf
        [ -z "$new_host_name" ] || echo "$new_host_name" >/run/name
        for file in /etc/dhcp/dhclient.d/*.sh; do
            [ ! -x "$file" ] || { . "$file"; name=${file##*/}; "${name%.sh}_config"; }
        done
        leave 0
        ;;
    PREINIT) ip link set dev "$interface" up ;;
    EXPIRE | FAIL | RELEASE | STOP) ip -4 address flush dev "$interface" ;;
esac
leave 0
"""

# What time daemons' packages install, in few words: the same variables, reasons and files. Those of chrony have a file per NIC, those
# of timesyncd and ntpsec one for all, which ends with a lease that has no time servers.
ONE_FOR_ALL = """
case $reason in
    BOUND | RENEW | REBIND | REBOOT)
        if [ -z "$new_ntp_servers$DHCP4_NTP_SERVERS" ]; then rm -f {file}
        else mkdir -p {directory}; echo "server $new_ntp_servers$DHCP4_NTP_SERVERS" >{file}; fi ;;
    EXPIRE | FAIL | RELEASE | STOP) rm -f {file} ;;
esac
"""
NTPSEC, TIMESYNCD = "/run/ntpsec/ntp.conf.dhcp", "/run/systemd/timesyncd.conf.d/01-dhclient.conf"
CHRONY = """
case $reason in
    BOUND | RENEW | REBIND | REBOOT)
        mkdir -p /run/chrony-dhcp; rm -f /run/chrony-dhcp/$interface.sources
        for server in $new_ntp_servers; do echo "server $server" >>/run/chrony-dhcp/$interface.sources; done ;;
esac
"""
SAMBA = '[ -z "$new_netbios_name_servers" ] || { mkdir -p /run/samba; echo $new_netbios_name_servers >/run/samba/dhcp.conf; }\n'
RESOLVCONF = 'make_resolv_conf() { echo "nameserver $new_domain_name_servers" >/etc/resolv.conf; }\n'
HOOK = "/etc/dhcp/dhclient-%s-hooks.d/%s"
DISPATCHER = "/etc/NetworkManager/dispatcher.d/"
ntpsec = ONE_FOR_ALL.format(file=NTPSEC, directory=os.path.dirname(NTPSEC))
timesyncd = ONE_FOR_ALL.format(file=TIMESYNCD, directory=os.path.dirname(TIMESYNCD))
RED_HAT_NTP = """
ntp_config() {{ [ "$PEERNTP" = no ] || [ -z "$new_ntp_servers" ] || echo "$new_ntp_servers" >/run/ntp.conf; }}
"""
OTHERS = [
    # The site's own, with which the manager has nothing to do.
    ("/etc/NetworkManager/conf.d/eth0.conf", "[main]\ndns=none\n\n[keyfile]\nunmanaged-devices=interface-name:eth0,interface-name:lan\n", 0o644),
    (HOOK % ("enter", "samba"), SAMBA, 0o644),
    (HOOK % ("enter", "resolvconf"), RESOLVCONF, 0o644),
    (HOOK % ("exit", "chrony"), CHRONY, 0o644),
    (HOOK % ("exit", "ntpsec"), ntpsec, 0o644),
    (HOOK % ("exit", "timesyncd"), timesyncd, 0o644),
    ("/etc/dhcp/dhclient.d/ntp.sh", RED_HAT_NTP.format(), 0o755),
    *[(f"/etc/dhcp/dhclient-{when}-hooks", f"set | grep -E '^(new|old)_' >>/run/{when}\n", 0o755) for when in ("enter", "exit")],
    ("/usr/lib/dhcpcd/dhcpcd-hooks/70-time", "interface=$interface\n" + CHRONY + ntpsec + timesyncd, 0o644),
    (DISPATCHER + "20-chrony-dhcp", (f"#!/bin/sh\necho $2 $1 >>/run/dispatched\ninterface=$1; new_ntp_servers=$DHCP4_NTP_SERVERS\n"
     f"case $2 in up | dhcp4-change) reason=BOUND ;; esac\n{CHRONY}"), 0o755),
    (DISPATCHER + "ntpsec", f"#!/bin/sh\ncase $2 in up) reason=BOUND ;; down) reason=RELEASE ;; *) exit 0 ;; esac\n{ntpsec}", 0o755),
]  # fmt: skip
# Of another NIC.
SITES = {
    NTPSEC: "server 192.168.1.1\n",
    TIMESYNCD: "[Time]\nNTP=192.168.1.1\n",
    "/run/chrony-dhcp/eth0.sources": "server 192.168.1.1\n",
}

MANAGER = """
mkdir -p /run/dbus
dbus-daemon --system --fork
/usr/libexec/nm-dispatcher --persist >/run/dispatcher.log 2>&1 &
NetworkManager --debug >/run/nm.log 2>&1 &
for turn in $(seq 600); do [ "$(nmcli -t -f RUNNING general 2>/dev/null)" != running ] || break; sleep 0.2; done
"""
BY_MANAGER = (
    "bookworm-nics",
    MANAGER,
    "nmcli --wait 60 connection up sitelink-eth1",
    "nmcli --wait 60 connection down sitelink-eth1",
)
IFUPDOWN = (
    "bookworm-nics",
    "echo 'source /etc/network/interfaces.d/*' >/etc/network/interfaces",
    "ifup eth1",
    "ifdown eth1",
)
# Red Hat's dhclient knows option 121 by the name that its script looks for; Debian's has to be told.
DHCLIENT = "dhclient -4 -q -1 -cf /run/dhclient.conf -pf /run/dhclient.pid -lf /run/dhclient.leases eth1"
SCRIPTS = (
    "bookworm-nics",
    (
        "{ echo 'option classless-static-routes code 121 = array of unsigned integer 8;'; cat /etc/dhcp/dhclient-eth1.conf; } >/run/dhclient.conf;"
        " cp /etc/red-hat /usr/sbin/dhclient-script"
    ),
    DHCLIENT,
    DHCLIENT.replace("-q -1", "-q -r"),
)
CLIENTS = {
    "ifupdown-dhclient": IFUPDOWN,
    "ifupdown-dhcpcd": IFUPDOWN,
    "networkmanager": BY_MANAGER,
    "networkmanager-ifcfg": ("bookworm-ifcfg", *BY_MANAGER[1:]),
    "network-scripts": SCRIPTS,
}
# networkd's clients know one identifier besides their own, and the suite beside this one shows that.
# Those below look like a text, and are as long as dhcpcd takes.
IDENTIFIERS = ["mac", "00:c0:FF:ee:01:0a:62", "61:62:63:64", "ff:" + ":".join(["0a"] * 47)]
CASES = [(backend, identifier) for backend in CLIENTS for identifier in IDENTIFIERS]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """{(backend, identifier): plan}"""
    cases = [(backend, {"nic_dhcp_client_id": identifier}) for backend, identifier in CASES]
    return dict(zip(CASES, plans(tmp_path_factory.mktemp("plans"), cases), strict=True))


@pytest.fixture
def host(rendered, tmp_path):
    """A function: a host with the files of a backend on which eth1 has its lease."""
    made = []

    def host(backend, identifier="mac"):
        name, before, up, _ = CLIENTS[backend]
        if not image.current(name):
            pytest.fail(f"run `lab/lab images {name}`: the lab itself has no way out")
        plan = rendered[backend, identifier]
        found = Host(tmp_path, name)
        made.append(found)
        modes = {item["path"]: int(item["mode"], 8) for item in plan["files"]}
        found.start(
            [
                *OTHERS,
                ("/etc/red-hat", RED_HAT, 0o755),
                *[(path, text, modes[path]) for path, text in files(plan).items()],
            ]
        )
        for path, text in SITES.items():
            found.run(f"mkdir -p {os.path.dirname(path)}; printf %s '{text}' >{path}")
        found.run("echo nameserver 192.168.1.1 >/etc/resolv.conf")
        found.run(before)
        if "NetworkManager" in before:
            for argv in plan["up"]:
                found.run(
                    " ".join(f"'{word.lstrip('-') if number == 0 else word}'" for number, word in enumerate(argv)),
                    argv[0][0] != "-",
                )
        else:
            found.run(up)
        found.mac = json.loads(found.run("ip -j link show eth1").stdout)[0]["address"]
        wait_for(
            lambda: "10.23.64." in found.run("ip -4 address show eth1").stdout,
            lambda: found.read("/run/dnsmasq.log") + found.read("/run/nm.log"),
        )
        return found

    yield host
    for each in made:
        each.stop()


@pytest.mark.parametrize(("backend", "identifier"), CASES)
def test_every_client_sends_the_same_bytes(host, backend, identifier):
    found = host(backend, identifier)
    wanted = f"01:{found.mac}" if identifier == "mac" else identifier.lower()
    (lease,) = found.read("/run/leases").splitlines()
    assert lease.split()[-1] == wanted


@pytest.mark.parametrize("backend", CLIENTS)
def test_nothing_of_a_lease_reaches_the_time_daemon_and_what_another_nic_brought_stays(host, backend):
    found = host(backend)
    assert re.search(
        r"sent size: *4 option: *42 ntp-server *10\.23\.64\.9", found.read("/run/dnsmasq.log")
    )  # it was offered
    took = "grep -rlF -e 10.23.64.9 -e 10.23.64.8 /run/ntp.conf /run/ntpsec /run/systemd /run/chrony-dhcp /run/samba /etc /var/lib/chrony"

    def settled():
        if "nmcli" in CLIENTS[backend][2]:
            wait_for(lambda: "up eth1" in found.read("/run/dispatched"), lambda: found.read("/run/dispatcher.log"))
            wait_for(lambda: not found.run("ls -d /run/sitelink-time-eth1", check=False).stdout.startswith("/run"))

    def look():
        settled()
        assert found.run(f"{took} 2>/dev/null | grep -v dnsmasq-carrier", check=False).stdout == ""
        assert {path: found.read(path) for path in SITES} == SITES
        assert found.read("/etc/resolv.conf") == "nameserver 192.168.1.1\n"

    look()
    _, _, up, down = CLIENTS[backend]
    found.run(down)
    wait_for(lambda: "10.23.64." not in found.run("ip -4 address show eth1").stdout)
    look()
    found.run(up)
    wait_for(lambda: "10.23.64." in found.run("ip -4 address show eth1").stdout)
    look()


@pytest.mark.parametrize("backend", CLIENTS)
def test_no_address_but_the_last_of_the_prefix_becomes_a_broadcast_address(host, backend):
    found = host(backend)
    assert re.search(r"sent size: *4 option: *28 broadcast *192\.168\.1\.1", found.read("/run/dnsmasq.log"))
    _, _, up, down = CLIENTS[backend]
    for again in (False, True):
        if again:
            found.run(down)
            wait_for(lambda: "10.23.64." not in found.run("ip -4 address show eth1").stdout)
            found.run(up)
        # dhcpcd sets it, and its hook takes it away.
        wait_for(
            lambda: broadcasts(found) == {"10.23.79.255"},
            lambda: found.run("ip -4 route show table local dev eth1").stdout,
        )
        assert found.run("ip route get 192.168.1.1").stdout.startswith("192.168.1.1 dev eth0 ")


def broadcasts(found):
    """The first address of a prefix is one to kernels before 5.14."""
    routes = found.run("ip -4 route show table local dev eth1 type broadcast").stdout.splitlines()
    return {route.split()[1] for route in routes} - {"10.23.64.0"}


# Of all that a server sends, without new_ and old_.
LEFT = {"ip_address", "subnet_mask", "broadcast_address", "network_number", "expiry"}


def test_red_hats_script_is_left_the_address_and_nothing_else(host):
    """By the real dhclient, with Red Hat's names."""
    found = host("network-scripts")
    sent = re.findall(r"sent size: *[0-9]+ option: *([0-9]+) ", found.read("/run/dnsmasq.log"))
    assert set(re.findall(r"dhcp-option-force=([0-9]+)", SERVER)) <= set(sent)
    left = {line.partition("=")[0].partition("_")[2] for line in found.read("/run/left").splitlines()}
    assert {"ip_address", "subnet_mask", "broadcast_address"} <= left
    assert {name for name in left if not name.startswith("dhcp_")} <= LEFT
    assert found.read("/etc/resolv.conf") == "nameserver 192.168.1.1\n"
    routes = found.run("ip route").stdout.replace("linkdown", "").splitlines()
    assert [route.split(" proto")[0].strip() for route in routes] == [
        "default via 192.168.1.1 dev eth0", "10.23.64.0/20 dev eth1", "192.168.1.0/24 dev eth0",
    ]  # fmt: skip
    assert "mtu 1500" in found.run("ip link show eth1").stdout
    assert found.read("/run/name") == ""


def test_the_sites_own_hooks_run_and_see_nothing_else_either(host):
    """Red Hat's script has one file of them for all NICs: what stands there is not ours to replace."""
    found = host("network-scripts")
    for when in ("enter", "exit"):
        seen = {line.partition("=")[0].partition("_")[2] for line in found.read(f"/run/{when}").splitlines()}
        assert {"ip_address", "subnet_mask", "broadcast_address"} <= seen
        assert {name for name in seen if not name.startswith("dhcp_")} <= LEFT
