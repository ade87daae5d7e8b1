# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of a site before they change it: of its kernel, its systemd and its Python."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
# A kernel with WireGuard, in which links are files.
IP = """#!/bin/sh
echo "$*" >>{log}
case "$2" in
  add) [ ! -e {link} ] && touch {link} ;;
  delete) rm {link} ;;
  *) false ;;
esac
"""


@pytest.fixture
def look(tmp_path):
    """A function that runs the look for WireGuard with these stand-ins; returns its lines and what `ip` was asked for."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(check_mode=False, modprobe="exit 1", left_over=False):
        log, link = tmp_path / "log", tmp_path / "sitelink-try"
        log.write_text("")
        if left_over:
            link.touch()
        for name, text in (("ip", IP.format(log=log, link=link)), ("modprobe", f"#!/bin/sh\n{modprobe}\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        argv = ["sh", ROLES / "wireguard_mesh" / "files" / "look.sh", "wg0", "look" if check_mode else "try"]
        environment = {"PATH": f"{programs}:/usr/bin:/bin"}
        done = subprocess.run(argv, text=True, capture_output=True, env=environment, check=True)
        return done.stdout.split("\n"), log.read_text(), link.exists()

    return run


@pytest.mark.parametrize("left_over", [False, True])
def test_a_kernel_with_wireguard_is_seen_also_after_a_look_that_was_interrupted(look, left_over):
    found, _, left = look(left_over=left_over)
    assert "kernel" in found and not left


@pytest.mark.parametrize("modprobe, seen", [("exit 0", True), ("exit 1", False)])
def test_check_mode_makes_no_interface(look, modprobe, seen):
    found, asked, _ = look(check_mode=True, modprobe=modprobe)
    assert "add" not in asked and "delete" not in asked
    if not pathlib.Path("/sys/module/wireguard").exists():
        assert ("kernel" in found) is seen


FIREWALLD = """#!/bin/sh
case $* in
  --state) echo {state} ;;
  --get-zone-of-interface=*) [ {zone} != none ] && echo {zone} ;;
  --get-default-zone) echo public ;;
  *--query-port=22000/udp) exit {closed} ;;
  *--zone=trusted*--get-target) echo ACCEPT ;;
  *--get-target) echo default ;;
  *--zone=ranges*--list-ports) echo 80/tcp 22000-22010/udp ;;
  *--list-ports) echo 22000-22010/tcp 22001-22010/udp ;;
  *) exit 9 ;;
esac
"""
UFW = "#!/bin/sh\nprintf 'Status: {state}\\n{rule}\\n'\n"
# As `ufw status` prints rules (its table has 27, 12 and more columns), and firewalld's ports.
OPEN = (
    "22000                      ALLOW       Anywhere",
    "22000/udp                  ALLOW IN    10.0.0.0/8",
    "22000/udp                  LIMIT       Anywhere",
    "Anywhere on eth1           ALLOW       Anywhere",
    "22000 on eth1              ALLOW       Anywhere",
    "22000:22010/udp            ALLOW       Anywhere",
    "21000,22000,23000/udp      ALLOW       Anywhere",
    "10.1.1.1 22000/udp         ALLOW       Anywhere",
    "Anywhere                   ALLOW       Anywhere",
    "Anywhere                   ALLOW       10.0.0.0/7",
    "Anywhere/udp on eth1       ALLOW       Anywhere/udp",
)
CLOSED = (
    "22000/tcp                  ALLOW       Anywhere",
    "22000/udp                  ALLOW OUT   Anywhere",
    "22000/udp                  DENY        Anywhere",
    "22000 on eth2              ALLOW       Anywhere",
    "Anywhere on eth0           ALLOW       Anywhere",
    "Anywhere/tcp on eth1       ALLOW       Anywhere/tcp",
    "Anywhere                   ALLOW       10.0.0.0/24",
    "Anywhere                   ALLOW       10.1.1.7",
    "Anywhere                   ALLOW       10.0.0.5 53/udp",
    "Anywhere                   ALLOW       192.168.1.0/24",
    "22001:22010/udp            ALLOW       Anywhere",
    "122000/udp                 ALLOW       Anywhere",
    "22000/udp (v6)             ALLOW       Anywhere (v6)",
    "WireGuard                  ALLOW       Anywhere",
)


@pytest.mark.parametrize(
    "programs, seen",
    [
        ({}, []),
        ({"nft": "#!/bin/sh\n"}, ["nft yes"]),
        ({"firewall-cmd": FIREWALLD.format(state="running", zone="work", closed=1)}, ["firewalld work"]),
        ({"firewall-cmd": FIREWALLD.format(state="running", zone="none", closed=1)}, ["firewalld public"]),
        ({"firewall-cmd": FIREWALLD.format(state="running", zone="trusted", closed=1)}, []),
        ({"firewall-cmd": FIREWALLD.format(state="running", zone="ranges", closed=1)}, []),
        ({"firewall-cmd": FIREWALLD.format(state="running", zone="work", closed=0)}, []),
        ({"firewall-cmd": FIREWALLD.format(state="not_running", zone="work", closed=1)}, []),
        ({"ufw": UFW.format(state="active", rule="22/tcp ALLOW Anywhere")}, ["ufw active"]),
        ({"ufw": UFW.format(state="active", rule="22000/udp on eth2 ALLOW Anywhere")}, ["ufw active"]),
        ({"ufw": UFW.format(state="active", rule="22000/udp on eth1 ALLOW Anywhere")}, []),
        ({"ufw": UFW.format(state="active", rule="22000/udp ALLOW Anywhere")}, []),
        ({"ufw": UFW.format(state="inactive", rule="")}, []),
        *(({"ufw": UFW.format(state="active", rule=rule)}, []) for rule in OPEN),
        *(({"ufw": UFW.format(state="active", rule=rule)}, ["ufw active"]) for rule in CLOSED),
        ({"ufw": UFW.format(state="active", rule="22/tcp ALLOW Anywhere") + "echo 'Default: allow (incoming)'\n"}, []),
    ],
)
def test_another_firewall_is_seen_where_it_drops_the_port(tmp_path, programs, seen):
    """The places that the script adds to its path have none of these on the machine that runs this, or it is left out."""
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name in ("grep", "sh", "awk"):
        (tmp_path / name).symlink_to(shutil.which(name))
    script = (ROLES / "tr069_firewall" / "files" / "look.sh").read_text()
    assert script.count("PATH=$PATH:/usr/sbin:/sbin") == 1
    (tmp_path / "look.sh").write_text(script.replace("PATH=$PATH:/usr/sbin:/sbin", ""))
    argv = ["/bin/sh", tmp_path / "look.sh", "eth1", "22000"]
    done = subprocess.run(argv, text=True, capture_output=True, env={"PATH": str(tmp_path)}, check=True)
    assert done.stdout.splitlines() == seen, done.stderr


def test_what_one_task_asked_is_there_for_each_role(tmp_path):
    """By the role's own task and variables, on this machine as a site."""
    tasks = yaml.safe_load((ROLES / "site_agent" / "tasks" / "preflight.yml").read_text())
    role = tmp_path / "roles" / "site_agent"
    for name in ("tasks", "vars", "defaults", "files"):
        (role / name).mkdir(parents=True)
    for name in ("vars", "defaults"):
        (role / name / "main.yml").write_text((ROLES / "site_agent" / name / "main.yml").read_text())
    (role / "files" / "look.sh").write_text((ROLES / "site_agent" / "files" / "look.sh").read_text())
    (role / "tasks" / "main.yml").write_text(yaml.safe_dump(tasks[:1]))
    for other in ("nic_dhcp", "wireguard_mesh", "tr069_firewall"):
        (role.parent / other / "files").mkdir(parents=True)
        # What a terminal makes of it, and a line that looks like one of ours within.
        (role.parent / other / "files" / "look.sh").write_text(
            f'printf "came\\teth7\\r\\nof {other} %s= ==\\r\\n" "$*"; exit 3\n'
        )
    asked = {
        "python": "{{ site_agent_python }}",
        "version": "{{ __site_agent_version }}",
        "came": "{{ __site_agent_came_by }}",
        "seen": "{{ __site_agent_seen }}",
    }
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "roles": ["site_agent"],
            "post_tasks": [
                {"ansible.builtin.copy": {"content": "{{ asked | to_json }}", "dest": str(tmp_path / "answer")}}
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    extra = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "nic_dhcp_interface": "vlan46",
        "nic_dhcp_vlan_parent": "eth1",
        "__wireguard_mesh_plan": {"sites": {"site-x": {"port": 22001}}},
        "asked": asked,
    }
    argv = ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), tmp_path / "play.yml"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((tmp_path / "answer").read_text())
    assert said["version"] == "{}.{}".format(*sys.version_info)
    assert pathlib.Path(said["python"]).is_file()
    assert said["came"] == ["eth7"] * 3
    of = {name: text for name, text in said["seen"].items() if not name.startswith("site_agent")}
    assert of == {
        f"{name} {about}": f"came\teth7\nof {name} {about}= ==\n"
        for name, about in (
            ("nic_dhcp", "vlan46 eth1"),
            ("wireguard_mesh", "wg0 try"),
            ("tr069_firewall", "eth1 22001"),
        )
    }


@pytest.mark.parametrize(
    "look, said, unsaid",
    [
        ("manager=runit\npython=3.9", "this site runs runit", "ansible_python_interpreter"),
        ("manager=systemd\npython=3.4", "Python 3.4 on this site is too old", "runs systemd"),
        ("manager=systemd\npython=0", "/no/python cannot be run on this site", "runs systemd"),
        ("manager=systemd\npython=3.11", "", "FAILED"),
    ],
)
def test_a_site_is_refused_for_what_it_lacks(tmp_path, look, said, unsaid):
    role = ROLES / "site_agent"
    [look_task, see_to] = yaml.safe_load((role / "tasks" / "preflight.yml").read_text())
    assert "ansible.builtin.raw" in look_task
    see_to["ansible.builtin.include_tasks"] = str(role / "tasks" / see_to["ansible.builtin.include_tasks"])
    files = [str(role / name / "main.yml") for name in ("defaults", "vars")]
    play = [{"hosts": "all", "gather_facts": False, "vars_files": files, "tasks": [see_to]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    extra = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/no/python",
        "__site_agent_looked": {"stdout": f"== site_agent\n{look}\n"},
    }
    argv = ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), tmp_path / "play.yml"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=3600)
    assert done.returncode == (2 if said else 0), done.stdout
    assert said in " ".join(done.stdout.split()) and unsaid not in done.stdout
