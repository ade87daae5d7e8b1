# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml over a site on which there is nothing to do ends after one comparison of all layers, and does all of it as soon as one thing
differs: on this machine's own files below an overlay, as in test_layers_kernel."""

import json
import os
import re

import firewall_rendered
import pytest
import yaml
from test_layers_kernel import ROOT, SETTINGS, Machine, probed

DOUBLES = {
    "ifup": "ip address replace 10.20.0.2/16 dev eth1 && ip link set eth1 up",
    "ifdown": "ip address flush dev eth1",
    **dict.fromkeys(("ifquery", "dhclient", "systemd-run"), "true"),
}
# What a second run executes: one look, one comparison, and on the first site the plan of all.
NOTHING_TO_DO = [
    "Plan the mesh from the whole inventory",
    "Look at the site",
    "Compare the site with all that is stated of it",
]


class Site(Machine):
    """One with a NIC to configure and a name to publish."""

    def __init__(self, directory):
        super().__init__(directory)
        for name, command in DOUBLES.items():
            (directory / "bin" / name).write_text(f"#!/bin/sh\n{command}\n")
            (directory / "bin" / name).chmod(0o755)
        (self.up / "etc/network").mkdir()
        (self.up / "etc/network/interfaces").write_text("source /etc/network/interfaces.d/*\n")
        inventory = yaml.safe_load((directory / "hosts.yml").read_text())
        inventory["sites"]["vars"].update(
            ansible_become=False, nic_dhcp_backend="ifupdown-dhclient", ddns_install_method="none"
        )
        inventory["sites"]["hosts"]["site-x"] = firewall_rendered.site(1, **{**SETTINGS, "wireguard_mesh_exits": []})
        inventory["sites"]["hosts"]["site-y"] = firewall_rendered.site(2)
        (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
        (directory / "judge.yml").write_text(json.dumps(judging()))

    def make_network(self):
        super().make_network()
        self.network("ip link set far up")

    def site(self, *argv, **variables):
        """(what site.yml said, the names of the tasks that it executed, of site-x only)"""
        said, _ = self.play(*argv, name="sitelink.tr069.site", **variables)
        return said, executed(said)

    def judged(self, **variables):
        """Why the roles would run; empty where the site ends before."""
        said, _ = self.play(name="judge", **variables)
        found = re.findall(r'"msg": "the roles run: (.*)"', said)
        return json.loads(json.loads(f'"{found[0]}"')) if found else []


def judging():
    """site.yml up to where it ends early, with a word in the place of the roles, which stay for their variables."""
    plays = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text())
    [play] = [play for play in plays if play.get("name") == "Join the sites into one mesh"]
    [last] = [place for place, task in enumerate(play["tasks"]) if "judged" in str(task.get("when"))]
    word = {
        "ansible.builtin.debug": {
            "msg": "the roles run: {{ __site_agent_judged.differing | default(['it was not asked']) | to_json }}"
        }
    }
    roles = [task for task in play["tasks"] if "ansible.builtin.import_role" in task]
    unseen = [{**task, "when": False} for task in roles if "tasks_from" not in task["ansible.builtin.import_role"]]
    plan = {"ansible.builtin.import_tasks": str(ROOT / "roles/wireguard_mesh/tasks/preflight.yml")}
    files = [str(ROOT / "playbooks" / path) for path in play["vars_files"]]
    return [{**play, "vars_files": files, "tasks": [plan, *play["tasks"][: last + 1], word, *unseen]}]


def executed(said):
    found = []
    for task in said.split("TASK [")[1:]:
        name = task.split("]")[0].rpartition(" : ")[2]
        found += [name] * bool(re.search(r"^(ok|changed|included|fatal): ?.*site-x", task, re.MULTILINE))
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    yield from probed(Site(tmp_path_factory.mktemp("site")), "sitelink.tr069.site")


def test_a_second_run_is_one_comparison_and_does_all_as_soon_as_something_differs(site):
    site.said()
    said, tasks = site.site("--diff")
    assert tasks == NOTHING_TO_DO, said
    assert "changed=0 " in said and site.said() == []
    assert site.site("--check", "--diff")[1] == NOTHING_TO_DO
    path = site.up / "etc/sitelink/gateway-eth1.json"
    text = path.read_text()
    path.write_text(text.replace("305", "304"))
    said, tasks = site.site()
    assert tasks[:3] == NOTHING_TO_DO and "Look at the site" not in tasks[3:] and len(tasks) <= 16
    assert "changed=1 " in said and path.read_text() == text
    layers = {
        "Put the program on the site, or take it away", "Put the firewall on the site, or take it away", "Configure the NIC, or give it back",
        "Ask for the address of the NIC", "Put the way out on the site, or take it away",
        "Put this site's end of the mesh in place, or take it away", "Put the client on the site, or take it away",
    }  # fmt: skip
    assert layers <= {*tasks}, "all of them, and not only the one that differs"


BROKEN = {
    "a file of the program": ("rm /usr/local/lib/sitelink/sitelink/state.py", "site_agent: wrote "),
    "an old program": ("echo '# older' >> /usr/local/sbin/sitelink", "site_agent: wrote /usr/local/sbin/sitelink"),
    "a daemon of an older program": (
        "sed -i 's/\"program\": \"/&0/' /run/sitelink/loaded-sitelink-gateway@eth1.service.json",
        "site_agent: restarted sitelink-gateway@eth1.service: it ran an older program",
    ),
    "a value of the kernel": ("echo 0 > /proc/sys/net/ipv4/conf/eth1/arp_ignore", "tr069_firewall: net/ipv4/conf/eth1/arp_ignore is 1"),
    "a stopped unit": ("systemctl stop sitelink-firewall@eth1.service", "tr069_firewall: started sitelink-firewall@eth1"),
    "no lease": ("ip address flush dev eth1", "nic_dhcp: /usr/local/sbin/sitelink address eth1"),
    "a change that waits": (
        "cp /var/lib/sitelink/nic-eth1.json /var/lib/sitelink/nic-eth1.pending.json",
        "nic_dhcp: an earlier change was not confirmed",
    ),
    "commands that were not applied": ("sed -i s/90/91/ /var/lib/sitelink/nic-eth1.json", "nic_dhcp: "),
    "a disabled unit": ("systemctl disable sitelink-gateway@eth1.service", "tr069_gateway: enabled sitelink-gateway@eth1.service"),
    "rights of the keys": ("chmod 644 /etc/wireguard/wg0.conf", "wireguard_mesh: set the mode and the owner of /etc/wireguard/wg0.conf"),
    "what remains": ("touch /etc/systemd/system/sitelink-names@wg0.path", "wireguard_mesh: removed /etc/systemd/system/sitelink-names@wg0.path"),
    "a run of the name that failed": ("sed -i 's/\"ok\": true/\"ok\": false/' /run/sitelink-ddns/loaded.json", "ddns: started sitelink-ddns.service"),
    # What is no layer: then nobody is asked.
    "another NIC": ("cp /etc/sitelink/gateway-eth1.json /etc/sitelink/gateway-eth9.json", "it was not asked"),
    "a foreign mesh": ("sed -i s/sitelink-mesh@// /etc/wireguard/wg0.conf", "it was not asked"),
}  # fmt: skip
VARIABLES = {
    "what the article left": ({"ddns_remove_article": True}, "it was not asked"),
    "a script of the article": ({"tr069_gateway_remove_article": True}, "it was not asked"),
    "no client of the name": ({"ddns_install_method": "wheel", "__ddns_source": "/nowhere.whl"}, "/nowhere.whl cannot be read"),
    "no NIC given": ({"nic_dhcp_state": "absent"}, "nic_dhcp: remove /etc/"),
    "no NIC given, and no network manager that is known": ({"nic_dhcp_state": "absent", "__nic_dhcp_chosen": ""}, "nic_dhcp: remove /etc/"),
    "no way out": ({"tr069_gateway_state": "absent"}, "tr069_gateway: disabled sitelink-gateway@eth1.service"),
    "what cannot be stated": ({"__site_agent_layers": "{{ nothing.of.it }}"}, "'nothing' is undefined"),
    "what cannot be said of the conditions": ({"__site_agent_may_be_done": "{{ nothing.of.it }}"}, "it was not asked"),
    "no name": ({"ddns_state": "absent"}, "ddns: disabled sitelink-ddns.path"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("what", BROKEN)
def test_one_thing_that_differs_makes_the_roles_run(site, what, kept):
    command, words = BROKEN[what]
    done = site.run("sh", "-ec", command)
    assert done.returncode == 0, done.stdout
    found = site.judged()
    assert found and found[0].startswith(words), found


@pytest.mark.long
@pytest.mark.parametrize("what", VARIABLES)
def test_a_setting_that_differs_makes_the_roles_run(site, what):
    variables, words = VARIABLES[what]
    found = site.judged(**variables)
    assert found and words in found[0], found


@pytest.fixture
def kept(site):
    """All that the site has, which comes back."""
    site.run("sh", "-ec", f"rm -rf {site.directory}/kept; cp -a {site.up} {site.directory}/kept")
    yield
    os.sync()
    for name in os.listdir(site.directory / "kept"):
        site.network(f"cp -a {site.directory}/kept/{name}/. {site.up}/{name}/", inside=False)
    site.network(
        f"rm -f {site.up}/var/lib/sitelink/*.pending.json {site.up}/etc/sitelink/gateway-eth9.json", inside=False
    )
    site.network(f"rm -f {site.up}/etc/systemd/system/sitelink-names@wg0.path", inside=False)
    site.network("ip address replace 10.20.0.2/16 dev eth1; echo 1 > /proc/sys/net/ipv4/conf/eth1/arp_ignore")
