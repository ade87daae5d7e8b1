# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles put on a site, and that nothing of it is left: whole plays on this machine's own files below an overlay, in a network
without a way out, with the real program and nftables, and a double of systemctl."""

import itertools
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
import firewall_rendered

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PLACES = ("etc", "usr/local", "var/lib")
NAMESPACE = """
set -e
cd {directory}
for place in {places}; do
  mkdir -p "up/$place" "scratch/$place"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$PWD/up/$place,workdir=$PWD/scratch/$place" "/$place"
done
mkdir -p up/run/systemd/system
mount --bind up/run /run
mount -t sysfs sysfs /sys  # of this network
cd {root}
exec "$@"
"""
FACTS = {
    "ansible_pkg_mgr": "ansible.legacy.nothing_to_install",
    "ansible_distribution": "Debian",
    "ansible_distribution_major_version": "12",
    "ansible_os_family": "Debian",
    "ansible_python": {"version": {"major": 3, "minor": 11}, "executable": "/usr/bin/python3"},
    "cacheable": True,
}
PACKAGES = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({"name": {"type": "list"}, "state": {}}, supports_check_mode=True).exit_json(changed=False)
"""
ROLES = ["tr069_firewall", "tr069_gateway", "wireguard_mesh", "watch"]
FIREWALL = ["sitelink-firewall-table@eth1.service", "sitelink-firewall@eth1.service"]
GATEWAY, WATCH = "sitelink-gateway@eth1.service", "sitelink-watch.service"
MESH = ["wg-quick@wg0.service", "sitelink-mesh@wg0.service"]
CONF, FORWARD, BEFORE = "etc/wireguard/wg0.conf", "net/ipv4/ip_forward", "var/lib/sitelink/before-wg0.conf"
NAMES = {f"etc/systemd/system/sitelink-names@wg0.{kind}" for kind in ("path", "service")}
# The variables of site-x that a test may set: extra variables would be those of both sites.
SETTINGS = {
    "wireguard_mesh_exits": ["site-y"], "wireguard_mesh_exit_when": "{{ exit_when | default('never') }}",
    "wireguard_mesh_public_key": "{{ own_key | default('') }}", "wireguard_mesh_uplink": "eth0",
    "wireguard_mesh_lan_subnets": ["192.168.101.0/24"], "wireguard_mesh_lan_gateway": "{{ lan_gateway | default(true) }}",
}  # fmt: skip
FILES = {
    "etc/sitelink/gateway-eth1.json", "etc/sitelink/watch.json", "etc/systemd/system/sitelink-gateway@.service",
    "etc/systemd/system/sitelink-watch.service", "etc/sitelink/firewall-eth1.json", "etc/sitelink/firewall-eth1.nft",
    "etc/sysctl.d/60-sitelink-firewall-eth1.conf", "etc/systemd/system/sitelink-firewall@.service",
    "etc/systemd/system/sitelink-firewall-table@.service", "etc/sitelink/mesh-wg0.json", CONF,
    "etc/systemd/system/sitelink-mesh@.service", "etc/systemd/system/wg-quick@wg0.service", "etc/sysctl.d/60-sitelink-wg0.conf",
}  # fmt: skip
RUN = {f"run/sitelink/loaded-{unit}.json" for unit in (FIREWALL[1], GATEWAY, MESH[1], WATCH)} | {BEFORE}
SYSCTLS = (
    "arp_ignore",
    "arp_announce",
    "accept_redirects",
    "secure_redirects",
    "send_redirects",
    "accept_source_route",
)
_numbers = itertools.count(1)


def of_playbook(name):
    """The tasks of playbooks/tasks/NAME that put a layer away, and what they need, as they stand there."""
    needed = ("ansible.builtin.raw", "ansible.builtin.set_fact", "ansible.builtin.fail")
    found = []
    for task in yaml.safe_load((ROOT / "playbooks" / "tasks" / name).read_text()):
        role, path = task.get("ansible.builtin.include_role", {}), task.get("ansible.builtin.include_tasks", "")
        if path.endswith("/layer.yml"):
            found.append(
                {**task, "ansible.builtin.include_tasks": str((ROOT / "playbooks" / "tasks" / path).resolve())}
            )
        elif role.get("tasks_from") in ("layer", "preflight") or any(module in task for module in needed):
            found.append(task)
    return found


def plays():
    """{name: play}: the roles as site.yml has them, behind what another NIC left; and the tasks for a site that leaves."""
    [play] = [play for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text()) if "vars" in play]
    others = {name: value for name, value in play["vars"].items() if name.startswith("__sitelink_other")}
    files = [str(ROOT / "playbooks" / path) for path in play["vars_files"]]
    files += [
        str(ROOT / f"roles/nic_dhcp/{where}/main.yml") for where in ("defaults", "vars")
    ]  # whose role does not run here
    start = {"hosts": "sites", "gather_facts": False, "vars_files": files, "vars": {"__sitelink_names": [], **others}}
    facts = {"ansible.builtin.set_fact": FACTS}
    remains = [{"block": of_playbook("remains.yml"), "when": "__sitelink_names | length > 0"}]
    return {
        "site": {**start, "pre_tasks": [facts, *remains], "roles": [f"sitelink.tr069.{role}" for role in ROLES]},
        "leave": {**start, "tasks": [facts, *of_playbook("leave.yml")]},
    }


class Machine:
    def __init__(self, directory):
        self.directory, self.up = directory, directory / "up"
        self.name = f"slt-layers-{os.getpid()}-{next(_numbers)}"
        for name, play in plays().items():
            (directory / f"{name}.yml").write_text(json.dumps([play]))
        for name, text in (
            ("bin/systemctl", (HERE / "systemctl").read_text()),
            ("library/nothing_to_install.py", PACKAGES),
        ):
            (directory / name).parent.mkdir()
            (directory / name).write_text(text)
        (directory / "bin" / "systemctl").chmod(0o755)
        (self.up / "etc/wireguard").mkdir(parents=True)  # of the package
        hosts = {
            "site-x": firewall_rendered.site(1, **SETTINGS),
            "site-y": firewall_rendered.site(2, wireguard_mesh_exit_for=["site-x"]),
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "/usr/bin/python3",
            "wireguard_mesh_interface": "wg0",
        }
        (directory / "hosts.yml").write_text(yaml.safe_dump({"sites": {"vars": variables, "hosts": hosts}}))

    def make_network(self):
        self.network(f"ip netns add {self.name}", inside=False)
        self.network(f"ip link set dev lo up; ip link add eth1 type veth peer name far; echo 0 > /proc/sys/{FORWARD}")

    def remove_network(self):
        subprocess.run(["ip", "netns", "del", self.name])

    def network(self, script, inside=True):
        argv = ["nsenter", f"--net=/run/netns/{self.name}"] if inside else []
        return subprocess.run([*argv, "sh", "-c", script], text=True, check=True, stdout=subprocess.PIPE).stdout

    def run(self, *argv, **environment):
        script = NAMESPACE.format(directory=self.directory, places=" ".join(PLACES), root=ROOT)
        inside = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--propagation", "private"]
        return subprocess.run(
            [*inside, "sh", "-c", script, "sh", *argv],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={
                **os.environ, "PATH": f"{self.directory}/bin:{os.environ['PATH']}", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_LIBRARY": str(self.directory / "library"), **environment,
            },
        )  # fmt: skip

    def play(self, *argv, name="site", returncode=0, environment=(), **variables):
        """(what the play said, how many of its tasks changed something)"""
        where = ["-i", self.directory / "hosts.yml", "--limit", "site-x", "-e", json.dumps(variables)]
        done = self.run("ansible-playbook", *where, *argv, self.playbook(name), **dict(environment))
        assert done.returncode == returncode, done.stdout
        return done.stdout, int(re.search(r"changed=(\d+)", done.stdout).group(1))

    def playbook(self, name):
        return name if "." in name else self.directory / f"{name}.yml"

    def files(self):
        """Of the layers: neither the program and its lock nor what the double keeps."""
        others = ("run/systemctl.json", "run/sitelink/nic.lock")
        found = {
            path.relative_to(self.up).as_posix() for path in self.up.rglob("*") if stat.S_ISREG(path.lstat().st_mode)
        }
        return {path for path in found if "usr/local" not in path and path not in others}

    def systemctl(self):
        return json.loads((self.up / "run/systemctl.json").read_text())

    def said(self):
        """What systemctl was told since the last look."""
        state = self.systemctl()
        (self.up / "run/systemctl.json").write_text(json.dumps({**state, "said": []}))
        return state["said"]

    def sysctls(self):
        return self.network(f"cd /proc/sys/net/ipv4/conf/eth1; cat {' '.join(SYSCTLS)}").split()

    def forwards(self):
        return self.network(f"cat /proc/sys/{FORWARD}").strip()


def probed(found, name):
    """Of a fixture: a machine on which a play has run, where this one allows all that it needs."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces")
    if shutil.which("nft") is None:
        pytest.skip("needs nft")
    found.make_network()
    try:
        probe = found.run("true")
        if probe.returncode:
            pytest.skip(f"this machine allows no overlay in a namespace: {probe.stdout.strip()}")
        found.before = found.sysctls()
        found.play(name=name)
        yield found
    finally:
        found.remove_network()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    yield from probed(Machine(tmp_path_factory.mktemp("machine")), "site")


def test_the_layers_are_in_place_and_a_second_run_finds_nothing_to_do(machine):
    assert machine.files() == FILES | RUN
    modes = {path: stat.S_IMODE((machine.up / path).stat().st_mode) for path in FILES}
    assert modes == {path: 0o600 if path == CONF else 0o644 for path in FILES}
    assert (machine.up / "var/lib/prometheus/node-exporter").is_dir()
    state = machine.systemctl()
    assert state["active"] == state["enabled"] == sorted([*FIREWALL, GATEWAY, *MESH, WATCH])
    assert machine.forwards() == "1" and "net/ipv4/ip_forward=0" in (machine.up / BEFORE).read_text()
    assert machine.sysctls() == ["1", "2", "0", "0", "0", "0"] != machine.before
    assert "table inet sitelink" in machine.network("nft list tables")
    config = json.loads((machine.up / "etc/sitelink/gateway-eth1.json").read_text())
    assert (config["interface"], config["table"], config["fwmark"]) == ("eth1", 305, 0x131)
    unit = (machine.up / "etc/systemd/system/sitelink-gateway@.service").read_text()
    for words in ("Ansible managed", "ExecStart=/usr/local/sbin/sitelink gateway %i", "ProtectSystem=strict"):
        assert words in unit
    machine.said()
    assert machine.play()[1] == 0 and machine.said() == []


@pytest.mark.long
def test_the_watch_alone_goes_with_what_it_wrote_and_kept(machine):
    for path in ("var/lib/sitelink/watch.json", "var/lib/prometheus/node-exporter/sitelink.prom"):
        (machine.up / path).write_text("{}\n")
    machine.play(watch_state="absent")
    assert machine.files() == {path for path in FILES | RUN if "watch" not in path}
    machine.play()
    assert machine.files() == FILES | RUN


@pytest.mark.long
def test_check_mode_shows_a_change_and_makes_none(machine):
    machine.said()
    before = {path: (machine.up / path).read_text() for path in machine.files()}
    output, changed = machine.play("--check", "--diff", "-v", watch_interval=7)
    assert changed == 1 and re.search(r"^[+] .*interval.*: 7", output, re.MULTILINE), output
    assert f"restarted {WATCH}" in output and f"restarted {GATEWAY}" not in output
    output, changed = machine.play("--check", "--diff", "-v", wireguard_mesh_key_generation=2)
    assert changed == 1 and "wrote /etc/wireguard/wg0.conf" in output and f"reloaded {MESH[1]}" in output
    assert not re.search("(Private|Preshared)Key", output)
    assert machine.said() == [] and {path: (machine.up / path).read_text() for path in machine.files()} == before


def rename(machine):
    """What is there of another NIC and of another name of the mesh's interface. Returns the names of its files."""
    for kind in ("gateway", "firewall"):
        config = json.loads((machine.up / f"etc/sitelink/{kind}-eth1.json").read_text())
        (machine.up / f"etc/sitelink/{kind}-eth9.json").write_text(json.dumps({**config, "interface": "eth9"}))
    mesh = json.loads((machine.up / "etc/sitelink/mesh-wg0.json").read_text())
    (machine.up / "etc/sitelink/mesh-wg9.json").write_text(json.dumps({**mesh, "interface": "wg9"}))
    (machine.up / "etc/wireguard/wg9.conf").write_text("# sitelink-mesh@wg9.service\n")
    return [f"{kind}-{nic}9.json" for kind, nic in (("gateway", "eth"), ("firewall", "eth"), ("mesh", "wg"))]


def test_a_change_restarts_what_it_is_about_and_what_another_nic_left_goes_without_the_unit_file(machine):
    names = rename(machine)
    machine.said()
    allow = [{"protocol": "tcp", "ports": ["8022"]}]
    changed = machine.play(__sitelink_names=names, tr069_firewall_allow=allow)[1]
    assert changed == 4 and machine.files() == FILES | RUN and machine.said() == [f"restart {FIREWALL[1]}"]
    assert "8022" in (machine.up / "etc/sitelink/firewall-eth1.nft").read_text()


@pytest.mark.long
def test_a_table_that_somebody_else_uses_is_refused_by_name(machine):
    """The rule of the source article, which the role does not take away by itself."""
    rule = "pref 100 to 10.0.0.0/7 fwmark 0x131 lookup 77"
    machine.network(f"ip rule add {rule}")
    output, _ = machine.play(returncode=2, tr069_gateway_table=77, tr069_table=77)
    machine.network(f"ip rule del {rule}")
    assert "site-x: /etc/sitelink/gateway-eth1.json: " in output and "77" in output
    assert json.loads((machine.up / "etc/sitelink/gateway-eth1.json").read_text())["table"] == 305


@pytest.mark.long
def test_what_looks_after_dns_comes_with_an_exit_and_is_undone_without(machine):
    unit, kept = "sitelink-names@wg0.path", machine.up / "var/lib/sitelink/resolv-wg0.conf"
    machine.said()
    assert machine.play(exit_when="broadband_down")[1] > 0 and machine.files() == FILES | RUN | NAMES
    firewall = f"restart {FIREWALL[1]}"  # lets the other site's packets through, or not any more
    assert machine.said() == [firewall, "daemon-reload", f"reload {MESH[1]}", f"enable {unit}", f"start {unit}"]
    assert machine.play(exit_when="broadband_down")[1] == 0
    kept.write_text("nameserver 192.168.1.1\n")
    machine.play("--check")
    assert kept.exists() and machine.said() == []
    machine.play()
    assert machine.files() == FILES | RUN, "what names.py kept is put back"
    assert machine.said() == [firewall, f"disable {unit}", f"stop {unit}", "daemon-reload", f"reload {MESH[1]}"]
    assert machine.play()[1] == 0


@pytest.mark.long
def test_a_key_that_never_left_the_site_is_put_in_there_and_goes_with_the_setting(machine):
    if shutil.which("wg") is None:
        pytest.skip("needs wg")
    before = {path: (machine.up / path).read_bytes() for path in machine.files()}
    private, other = (subprocess.run(["wg", "genkey"], capture_output=True, text=True).stdout for _ in range(2))
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True).stdout.strip()
    output, _ = machine.play(own_key=public, returncode=2)
    assert "/etc/sitelink/mesh-wg0.json: " in output and "sitelink.tr069.keys" in output
    assert {path: (machine.up / path).read_bytes() for path in machine.files()} == before
    for name, key in (("aaaaaa", other), ("bbbbbb", private)):
        (machine.up / f"etc/wireguard/wg0.key.{name}").write_text(key)
    keys = {f"etc/wireguard/wg0.key.{name}" for name in ("aaaaaa", "bbbbbb")}
    machine.said()
    output, changed = machine.play("-v", own_key=public)
    assert (
        changed == 1
        and "put the site's own key into /etc/wireguard/wg0.conf" in output
        and private.strip() not in output
    )
    assert machine.files() == FILES | RUN | keys | {CONF + ".in"} and machine.said() == [f"reload {MESH[1]}"]
    assert f"PrivateKey = {private}" in (machine.up / CONF).read_text()
    assert machine.play(own_key=public)[1] == 0
    machine.play()
    assert {path: (machine.up / path).read_bytes() for path in before} == {
        **before,
        **{path: (machine.up / path).read_bytes() for path in RUN},
    }
    assert machine.files() == FILES | RUN | keys, "the keys are the site's, until it leaves"


@pytest.mark.long
def test_forwarding_is_as_before_where_it_is_not_wanted_any_more(machine):
    machine.play(lan_gateway=False)
    assert machine.forwards() == "0" and machine.files() >= FILES and not (machine.up / BEFORE).exists()
    machine.play()
    assert machine.forwards() == "1"


@pytest.mark.long
def test_a_site_does_not_leave_by_the_way_that_ansible_comes_in_by(machine):
    machine.network(
        "ip link add wg9 type veth peer name wg9far; ip address add 192.168.11.9/24 dev wg9; ip link set dev wg9 up"
    )
    rename(machine)
    machine.said()
    came = {"SSH_CONNECTION": "192.168.11.8 50000 192.168.11.9 22"}
    output, changed = machine.play(name="leave", returncode=2, environment=came)
    assert "site-x: Ansible comes in by wg9, which this would cut" in output and changed == 0, output
    assert machine.files() > FILES | RUN and machine.said() == []
    machine.network("ip link delete wg9")


@pytest.mark.long
def test_nothing_is_left_of_a_site_that_leaves(machine):
    by_hand = "[Interface]\n# by hand\n"
    (machine.up / (CONF + ".before-sitelink")).write_text(by_hand)
    (machine.up / "var/lib/prometheus/node-exporter/sitelink.prom").write_text("sitelink_up 1\n")
    rename(machine)  # and no run came between
    machine.said()
    changed = machine.play("--check", "--diff", name="leave")[1]
    assert changed == 7 and machine.files() >= FILES and machine.said() == []
    machine.play(name="leave")
    assert machine.files() == {CONF} and (machine.up / CONF).read_text() == by_hand
    assert (
        machine.sysctls() == machine.before and machine.forwards() == "0" and machine.network("nft list tables") == ""
    )
    state = machine.systemctl()
    assert state["active"] == state["enabled"] == [] and not {*state["read"]} & {*FIREWALL, GATEWAY, *MESH, WATCH}
    assert not any((machine.up / path).exists() for path in ("usr/local/lib/sitelink", "usr/local/sbin/sitelink"))
    # By now the unit is that of whoever wrote the file.
    machine.run("systemctl", "start", MESH[0])
    assert machine.said()[-1] == f"start {MESH[0]}"
    # Whoever takes a layer away needs the program, which comes with the first one's role and goes at last.
    said = machine.play(name="leave")[0]
    changed = [task.split("]")[0] for task in said.split("TASK [") if "\nchanged: " in task]
    assert changed == ["sitelink.tr069.site_agent : Put the program on the site, or take it away"] * 2
    assert machine.said() == [] and machine.files() == {CONF} and not (machine.up / "usr/local/lib/sitelink").exists()
    # As a run leaves it that broke off behind keep.yml.
    machine.run("sh", "-ec", "mkdir -p /var/lib/sitelink; echo enabled active > /var/lib/sitelink/before-wg0.service")
    machine.run("mv", f"/{CONF}", f"/{CONF}.before-sitelink")
    machine.play(name="leave")
    assert machine.said() == [f"stop {MESH[0]}"] and (machine.up / CONF).read_text() == by_hand
