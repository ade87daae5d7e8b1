# SPDX-License-Identifier: GPL-3.0-or-later
"""A site where something else has the mesh's interface or port already: what is seen, what is said, and what is kept."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "wireguard_mesh"
WG = """#!/bin/sh
case "$*" in
  "show wg0") exit {wg0} ;;
  "show wg0 listen-port") [ {wg0} = 0 ] && echo 22000 ;;
  "show wg0 public-key") [ {wg0} = 0 ] && echo PUBLIC ;;
  "show wg0 private-key") [ {wg0} = 0 ] && echo PRIVATE ;;
  "showconf wg0") printf '[Interface]\\nPrivateKey = PRIVATE\\n' ;;
  "show all listen-port") printf '{ports}' ;;
esac
"""
NETDEV = "[NetDev]\nName=%s\nKind=%s\n"
PROFILE = "[connection]\nid=work\ntype=%s\ninterface-name=%s\n%s\n"
TUNNEL = "network:\n  version: 2\n  tunnels:\n    %s:\n      mode: wireguard\n"


@pytest.fixture
def look(tmp_path):
    """Runs the look for wg0 in a root of its own; returns its lines but those about the kernel and the programs."""
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()

    def run(files=(), link=False, other=False, ports="", sockets="", docker=""):
        kind = "dummy" if other else "wireguard"
        stubs = {
            "ip": f'#!/bin/sh\ncase "$*" in "link show dev wg0") exit {0 if link or other else 1} ;; "-d link show dev wg0") '
            f'echo "7: wg0: <UP> {kind}" ;; *) exit 1 ;; esac',
            "wg": WG.format(wg0=0 if link else 1, ports=ports),
            "ss": f"#!/bin/sh\ncat <<'END'\n{sockets}\nEND",
            "docker": f'#!/bin/sh\n[ "$1 $2 $3" = "ps --filter network=host" ] && cat <<END\nCONTAINER ID   IMAGE   COMMAND   CREATED   STATUS   PORTS   NAMES\n{docker}END',
            "podman": "#!/bin/sh\nexit 125",
            "timeout": '#!/bin/sh\nshift\nexec "$@"',
            "modprobe": "#!/bin/sh\nexit 1",
        }
        for name, text in stubs.items():
            (programs / name).write_text(text + "\n")
            (programs / name).chmod(0o755)
        for path, text in dict(files).items():
            path = root / path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        script = (ROLE / "files" / "look.sh").read_text()
        script = re.sub(r"(?<![\w.])/(?=(etc|run|lib|usr/lib)/)", f"{root}/", script)
        done = subprocess.run(["sh", "-c", script, "look.sh", "wg0", "look"], text=True, capture_output=True, check=True,
                              env={"PATH": f"{programs}:/usr/bin:/bin"})  # fmt: skip
        assert done.stderr == ""
        lines = [line.replace(str(root), "") for line in done.stdout.splitlines()]
        return [line for line in lines if line not in ("kernel", "user-space", "tools")]

    return run


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        # What is there on systems as they are, and what belongs to others.
        ({}, []),
        ({"/etc/netplan/50-cloud-init.yaml": "network:\n  version: 2\n  ethernets:\n    eth0: {dhcp4: true}\n"}, []),
        ({"/etc/netplan/60.yaml": TUNNEL % "wg1"}, []),
        ({"/etc/netplan/60.yaml": "# wg0:\n" + TUNNEL % "wg1"}, []),
        ({"/etc/netplan/60.yaml": TUNNEL % "wg00"}, []),
        ({"/etc/netplan/60.yaml.bak": TUNNEL % "wg0"}, []),
        ({"/etc/systemd/network/wg1.netdev": NETDEV % ("wg1", "wireguard")}, []),
        ({"/etc/systemd/network/wg0.network": "[Match]\nName=wg0\n"}, []),
        ({"/etc/NetworkManager/system-connections/a.nmconnection": PROFILE % ("ethernet", "eth0", "")}, []),
        ({"/etc/NetworkManager/system-connections/a.nmconnection": PROFILE % ("wireguard", "wg1", "")}, []),
        ({"/etc/NetworkManager/system-connections/a.nmconnection": PROFILE % ("wireguard", "wg0", "autoconnect=false")}, []),
        ({"/etc/wireguard/wg0.conf": "# sitelink-mesh@wg0.service\n"}, []),
        ({"/etc/wireguard/wg1.conf": "[Interface]\n"}, []),
        # What makes wg0, or would at the next boot.
        ({"/etc/wireguard/wg0.conf": "[Interface]\n"}, ["foreign"]),
        ({"/etc/netplan/60.yaml": TUNNEL % "wg0"}, ["made netplan /etc/netplan/60.yaml"]),
        ({"/etc/netplan/60.yaml": "network: {tunnels: {wg0: {mode: wireguard}}}\n"}, ["made netplan /etc/netplan/60.yaml"]),
        ({"/etc/systemd/network/50-vpn.netdev": NETDEV % ("wg0", "wireguard")}, ["made networkd /etc/systemd/network/50-vpn.netdev"]),
        ({"/etc/systemd/network/50-vpn.netdev": NETDEV % ("wg0", "dummy")}, ["made networkd /etc/systemd/network/50-vpn.netdev"]),
        ({"/etc/NetworkManager/system-connections/a b.nmconnection": PROFILE % ("wireguard", "wg0", "")},
         ["made NetworkManager /etc/NetworkManager/system-connections/a b.nmconnection"]),
        ({"/etc/netplan/60.yaml": TUNNEL % "wg0", "/run/systemd/network/10-netplan-wg0.netdev": NETDEV % ("wg0", "wireguard")},
         ["made netplan /etc/netplan/60.yaml"]),
    ],
)  # fmt: skip
def test_who_would_make_the_interface_is_seen(look, files, seen):
    assert look(files) == seen


@pytest.mark.parametrize(
    ("files", "options", "seen"),
    [
        ({}, {"link": True}, ["link wireguard", "own 22000", "stray"]),
        ({}, {"other": True}, ["link other"]),
        ({"/etc/wireguard/wg0.conf": "[Interface]\n"}, {"link": True}, ["link wireguard", "own 22000", "foreign"]),
        ({"/etc/wireguard/wg0.conf": "# sitelink-mesh@\n"}, {"link": True}, ["link wireguard", "own 22000"]),
        ({"/etc/sitelink/mesh-wg0.json": "{}"}, {"link": True}, ["link wireguard", "own 22000"]),
        ({}, {"link": True, "docker": "a1b2   registry.example/wg-easy/wg-easy:14   \"init\"   2 days ago   Up 2 days             vpn\nc3d4   nginx   \"x\"   2 days ago   Up             wg-web\n"},
         ["link wireguard", "own 22000", "made docker vpn (registry.example/wg-easy/wg-easy:14)", "stray"]),
        ({}, {"docker": "a1b2   registry.example/wg-easy/wg-easy:14   \"init\"   2 days ago   Up 2 days             vpn\n"}, []),
        ({}, {"link": True, "docker": "a1b2   nginx   \"init\"   2 days ago   Up 2 days             web\nc3d4   tailscale/tailscale   \"x\"   2 days ago   Up             ts\n"}, ["link wireguard", "own 22000", "stray"]),
        ({"/etc/NetworkManager/system-connections/a.nmconnection": PROFILE % ("wireguard", "wg0", "autoconnect=false")}, {"link": True},
         ["link wireguard", "own 22000", "made NetworkManager /etc/NetworkManager/system-connections/a.nmconnection", "stray"]),
        ({}, {"ports": "wg0\\t22000\\nwg1\\t51820\\ntailscale0\\t0\\n"}, ["used 51820 wg1"]),
        ({"/etc/sitelink/mesh-wg9.json": "{}"}, {"ports": "wg9\\t22000\\n"}, []),
        ({}, {"sockets": "UNCONN 0 0 0.0.0.0:22000 0.0.0.0:* users:((\"docker-proxy\",pid=7,fd=4))\n"
              "UNCONN 0 0 [::]:22000 [::]:* users:((\"docker-proxy\",pid=8,fd=4))\nUNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* "
              "users:((\"systemd-resolve\",pid=9,fd=4))\nUNCONN 0 0 0.0.0.0:51820 0.0.0.0:*"},
         ["used 22000 docker-proxy", "used 53 systemd-resolve"]),
    ],
)  # fmt: skip
def test_who_has_the_interface_and_the_ports_is_seen(look, files, options, seen):
    assert sorted(look(files, **options)) == sorted(seen)


# What the look said; words of the refusal, or none.
TAKEN = {
    "fresh": (["kernel", "tools"], []),
    "ours": (["kernel", "tools", "link wireguard", "own 22000"], []),
    "by hand": (["kernel", "tools", "link wireguard", "own 22000", "stray"], []),
    "the article's": (["kernel", "tools", "link wireguard", "own 22000", "foreign"], []),
    "others beside": (["kernel", "used 51820 wg1", "used 53 dnsmasq", "used 41641 tailscaled", "used 220 x", "used 122000 x"], []),
    "netplan": (["made netplan /etc/netplan/60.yaml"], ["wg0 is made by netplan (/etc/netplan/60.yaml)", "netplan apply", "ip link delete wg0"]),
    "networkd": (["made networkd /etc/systemd/network/a.netdev"],
                 ["wg0 is made by systemd-networkd (/etc/systemd/network/a.netdev)", "mv /etc/systemd/network/a.netdev", "networkctl reload"]),
    "NetworkManager": (["made NetworkManager /etc/NetworkManager/system-connections/a b.nmconnection"],
                       ["wg0 is made by NetworkManager (/etc/NetworkManager/system-connections/a b.nmconnection)", "nmcli"]),
    "a container": (["link wireguard", "stray", "made docker vpn (registry.example/wg-easy/wg-easy)"],
                    ["wg0 is made by the container vpn (registry.example/wg-easy/wg-easy)", "docker stop vpn", "--restart=no vpn"]),
    "a dummy": (["link other"], ["a network interface wg0 that is no WireGuard tunnel"]),
    "a proxy on the port": (["used 22000 docker-proxy"], ["the UDP port 22000 is used by docker-proxy", "wireguard_mesh_port"]),
    "another tunnel on the port": (["used 22000 wg1"], ["the UDP port 22000 is used by wg1", "wireguard_mesh_port"]),
    "our own program on the port": (["link wireguard", "own 22000", "used 22000 boringtun"], []),
    "ours, started by hand": (["used 22000 wireguard-go"], []),
    "two of it": (["made netplan /etc/netplan/60.yaml", "used 22000 wg1"], ["made by netplan", "is used by wg1"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """{case: the sentences}, from one play."""
    directory = tmp_path_factory.mktemp("taken")
    names = dict(zip(TAKEN, (f"case{number:02d}" for number in range(len(TAKEN))), strict=True))
    hosts = {
        names[case]: {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "wireguard_mesh_interface": "wg0",
            "wireguard_mesh_state": "present",
            "__wireguard_mesh_plan": {"sites": {names[case]: {"port": 22000}}},
            "__site_agent_seen": {"wireguard_mesh wg0 try": "\n".join(lines)},
        }
        for case, (lines, _) in TAKEN.items()
    }
    play = [{"hosts": "all", "gather_facts": False, "vars_files": [str(ROLE / "vars" / "main.yml")], "tasks": [
        {"ansible.builtin.set_fact": {"answer": "{{ __wireguard_mesh_taken }}"}},
        {"ansible.builtin.copy": {"content": "{{ dict(groups['all'] | zip(groups['all'] | map('extract', hostvars, 'answer'))) | to_json }}",
                                  "dest": f"{directory}/answers.json", "mode": "0600"}, "run_once": True}]}]  # fmt: skip
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    (directory / "play.yml").write_text(yaml.safe_dump(play))
    subprocess.run(["ansible-playbook", "-i", directory / "hosts.yml", directory / "play.yml"], check=True)
    answers = json.loads((directory / "answers.json").read_text())
    return {case: answers[name] for case, name in names.items()}, names


@pytest.mark.parametrize("case", TAKEN)
def test_what_something_else_has_is_refused_and_nothing_else(said, case):
    sentences, names = said
    wanted = TAKEN[case][1]
    text = " | ".join(sentences[case])
    assert all(words in text for words in wanted), text
    assert bool(sentences[case]) is bool(wanted)
    assert all(
        line.startswith(f"{names[case]}: ") and "  " not in line and "\n" not in line for line in sentences[case]
    )


def test_it_is_looked_at_before_anything_is_changed():
    for name in ("connected.yml", "prepare.yml"):
        tasks = yaml.safe_load((ROLE / "tasks" / name).read_text())
        flat = [each for task in tasks for each in task.get("block", [task])]
        order = [str(task.get("ansible.builtin.import_tasks", "")) for task in flat]
        assert "taken.yml" in order and (
            "install.yml" not in order or order.index("taken.yml") < order.index("install.yml")
        )


class Keep:
    """The shell of keep.yml on a site of straw. wg-quick and systemctl say what they were asked for."""

    def __init__(self, directory):
        self.root, self.programs = directory / "root", directory / "bin"
        for path in (self.programs, self.root / "etc/wireguard", self.root / "var/lib/sitelink", self.root / "sys"):
            path.mkdir(parents=True)
        self.conf = self.root / "etc/wireguard/wg0.conf"
        self.kept = self.root / "etc/wireguard/wg0.conf.before-sitelink"
        self.log, self.link = directory / "log", directory / "link"
        self.stub("systemctl", 'case "$*" in is-*) echo "${ACTIVE:-active}"; [ "${ACTIVE:-active}" = active ] ;; esac')
        self.stub("wg-quick", f'[ "$1" = save ] && echo "# saved" >>{self.conf}; [ "$1" != down ] || {{ [ "$DOWN" = fails ] && exit 1; rm {self.link}; [ "$DOWN" != gone ]; }}')  # fmt: skip
        self.stub(
            "ip",
            f'case "$*" in "link show dev wg0") [ -e {self.link} ] ;; "link delete dev wg0") rm {self.link} ;; esac',
        )
        (self.programs / "wg").write_text(WG.format(wg0=f"$([ -e {self.link} ] && echo 0 || echo 1)", ports=""))
        (self.programs / "wg").chmod(0o755)

    def stub(self, name, text):
        (self.programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{text}\n')
        (self.programs / name).chmod(0o755)

    def run(self, task, public_key="PUBLIC", file="keep.yml", **environment):
        tasks = yaml.safe_load((ROLE / "tasks" / file).read_text())
        (shell,) = [item["ansible.builtin.shell"]["cmd"] for item in tasks if item["name"].startswith(task)]
        values = {"wireguard_mesh_interface": "wg0", "__wireguard_mesh_conf": str(self.conf), "__wireguard_mesh_kept": str(self.kept),
                  "__wireguard_mesh_service": str(self.root / "var/lib/sitelink/before-wg0.service"), "site.port": "22000",
                  "__wireguard_mesh_running": str(self.root / "etc/wireguard/wg0.running.before-sitelink"), "site.public_key": public_key,
                  "__wireguard_mesh_service | dirname": str(self.root / "var/lib/sitelink")}  # fmt: skip
        text = re.sub(r"{{ (.*?) }}", lambda match: values[match.group(1)], shell).replace(
            "/run/systemd", f"{self.root}/run/systemd"
        )
        done = subprocess.run(["sh", "-c", text], text=True, capture_output=True,
                              env={"PATH": f"{self.programs}:/usr/bin:/bin", **environment})  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture
def keep(tmp_path):
    return Keep(tmp_path)


RULE = "PostUp = ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305"
TEXT = "[Interface]\nPrivateKey = PRIVATE\nListenPort = 22000\n%s\n"


@pytest.mark.parametrize(
    "more", [RULE, RULE + "\r", "# PostUp = iptables -A FORWARD", "# DNS = 192.168.1.1", "Table = off", ""]
)
def test_the_tunnel_goes_on_with_what_does_no_harm(keep, more):
    keep.conf.write_bytes((TEXT % more).encode())
    keep.link.touch()
    assert keep.run("Put it aside while") == ["kept"]
    assert keep.kept.read_bytes().decode() == TEXT % more and keep.link.exists() and not keep.conf.exists()


@pytest.mark.parametrize(
    "more",
    [
        "PostUp = iptables -A FORWARD",
        "DNS = 192.168.1.1",
        "  dns=1.1.1.1, lan",
        "postdown=ip rule add x",
        "PreUp = /usr/bin/set-tr069-gateway eth1",
    ],
)
def test_the_tunnel_does_not_go_on_with_other_commands(keep, more):
    keep.conf.write_text(TEXT % more)
    keep.link.touch()
    assert keep.run("Put it aside while") == [] and keep.conf.exists()


def test_peers_that_only_the_running_tunnel_has_are_saved_where_the_file_says_so(keep):
    keep.conf.write_text(TEXT % "SaveConfig = true")
    keep.link.touch()
    assert keep.run("Put it aside while") == ["kept"]
    assert keep.kept.read_text().endswith("# saved\n")
    keep.kept.unlink()
    keep.conf.write_text(TEXT % "SaveConfig = false")
    keep.run("Put it aside while")
    assert "# saved" not in keep.kept.read_text()


@pytest.mark.parametrize("down", ["works", "fails", "gone"])
def test_a_tunnel_that_cannot_be_taken_down_in_order_is_taken_down(keep, down):
    """PostDown may fail, for one when its rule is gone already."""
    keep.conf.write_text(TEXT % "PostDown = ip rule del pref 305")
    keep.link.touch()
    keep.run("Put it aside, stopped", DOWN=down)
    assert not keep.link.exists() and keep.kept.exists()


def test_the_key_of_a_running_tunnel_that_is_in_no_file_is_kept(keep):
    running = keep.root / "etc/wireguard/wg0.running.before-sitelink"
    keep.conf.write_text(TEXT % "")
    keep.link.touch()
    keep.run("Put it aside, stopped")
    assert not running.exists()
    keep.kept.unlink()
    keep.conf.write_text((TEXT % "").replace("PRIVATE", "ANOTHER"))
    keep.link.touch()
    keep.run("Put it aside, stopped")
    assert "PRIVATE" in running.read_text() and os.stat(running).st_mode & 0o777 == 0o600
    assert "PRIVATE" not in keep.log.read_text()


@pytest.mark.parametrize("line", ["PostDown = %s", "  postdown=%s", "PostDown = %s\r", "PostDown\t=\t%s  "])
@pytest.mark.parametrize("rule", ["ip rule del pref 305", "ip rule del pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305"])
def test_the_rule_of_the_article_is_no_obstacle_when_it_starts_again(keep, line, rule):
    """Its PostUp would fail on a rule that is there."""
    keep.conf.write_bytes((TEXT % (line % rule)).encode())
    (keep.root / "var/lib/sitelink/before-wg0.service").write_text("enabled active\n")
    keep.run("Start WireGuard as it was", file="start_before.yml")
    assert rule in keep.log.read_text().splitlines()
    assert "systemctl start wg-quick@wg0.service" in keep.log.read_text()


@pytest.mark.parametrize(
    "line", ["PostDown = reboot", "PostDown = ip rule del pref 305; reboot", "# PostDown = ip rule del pref 305"]
)
def test_no_other_command_is_run_when_it_starts_again(keep, line):
    keep.conf.write_text(TEXT % line)
    (keep.root / "var/lib/sitelink/before-wg0.service").write_text("disabled inactive\n")
    keep.run("Start WireGuard as it was", file="start_before.yml")
    assert not keep.log.exists()


def test_nothing_in_the_look_reads_as_a_template():
    """Ansible sends it as a part of one."""
    assert not re.search(r"{[{%#]", (ROLE / "files" / "look.sh").read_text())
