# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify makes of the sites' answers: only a pair that answers is a good one."""

import json
import time

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.filter.mesh_matrix import mesh_matrix
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.build import build


def hostvars(names):
    return {
        name: {
            "ddns_hostname": f"{name}.example.com",
            "ddns_token": "token",
            "wireguard_mesh_network": "192.168.64.0/20",
            "wireguard_mesh_address": f"192.168.{64 + index // 250}.{index % 250 + 1}",
            "wireguard_mesh_secret": "a-mesh-secret-for-tests-that-is-long-enough",
        }
        for index, name in enumerate(names)
    }


def peer(name, **changes):
    good = {"name": name, "external": False, "latency": 1.25, "endpoint": "10.1.2.3:22000", "handshake_age": 7,
            "nic": "eth1", "reason": ""}  # fmt: skip
    return {**good, **changes}


def said(peers, faults=(), rc=0, mesh=True):
    report = {"site": "debian", "faults": [{"message": text} for text in faults]}
    report["mesh"] = [{"peers": peers}] if mesh else []
    return {"rc": rc, "stdout": json.dumps(report), "stderr": ""}


class Mesh:
    """Sites that answer well, until a test says otherwise."""

    def __init__(self, *names):
        self.names = list(names)
        self.plan = build(names, hostvars(names))
        assert self.plan["problems"] == []
        self.answers = {name: said([peer(other) for other in names if other != name]) for name in names}

    def judge(self, **answers):
        self.answers.update({name.replace("_", "-"): answer for name, answer in answers.items()})
        variables = {name: {"status": answer} for name, answer in self.answers.items()}
        return mesh_matrix(self.plan, self.names, variables, "status")


@pytest.fixture
def mesh():
    return Mesh("site-a", "site-b")


def test_all_is_well_only_where_every_pair_answers(mesh):
    found = mesh.judge()
    assert found["faults"] == [] and found["pairs"] == 2
    assert found["lines"][0].split() == ["from", "to", "latency", "endpoint", "age", "NIC"]
    assert found["lines"][1].split() == ["site-a", "site-b", "1.2", "ms", "10.1.2.3:22000", "7", "s", "eth1"]


def test_no_echo_over_a_tunnel_that_stands_is_a_fault_of_that_pair(mesh):
    found = mesh.judge(site_b=said([peer("site-a", latency=None)]))
    assert found["pairs"] == 1
    [fault] = found["faults"]
    assert fault.startswith("site-b: site-a does not answer an echo")
    assert "no answer" in found["lines"][2]


def test_what_status_says_of_a_dead_peer_is_not_said_twice(mesh):
    dead = peer(
        "site-a", latency=None, endpoint=None, handshake_age=None, nic=None, reason="there is no handshake with it"
    )
    found = mesh.judge(site_b=said([dead], ["there is no handshake with it"], rc=1))
    assert found["faults"] == ["site-b: there is no handshake with it"]
    assert found["lines"][2].split()[-3:] == ["none", "none", "none"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"unreachable": True, "msg": "Failed to connect to the host via ssh: timed out"}, "could not reach the site. Failed to connect"),
        (None, "could not reach the site."),
        ({"rc": 2, "stdout": "", "stderr": "sitelink: the status cannot be told: x"}, "could not tell: sitelink: the status"),
        ({"rc": 2, "stdout": "", "msg": "[Errno 2] No such file or directory: b'/usr/local/sbin/sitelink'"}, "tr069.site has not run"),
        ({"rc": 0, "stdout": "{}", "stderr": ""}, "run ansible-playbook sitelink.tr069.site again"),
        ({"rc": 0, "stdout": "not JSON", "stderr": ""}, "run ansible-playbook sitelink.tr069.site again"),
        ({"rc": 139, "stdout": "", "stderr": ""}, "139"),
    ],
)  # fmt: skip
def test_a_site_that_gave_no_status_is_a_fault_with_its_cause(mesh, answer, words):
    [fault] = mesh.judge(site_a=answer)["faults"]
    assert fault.startswith("site-a: no status; ") and words in fault


@pytest.mark.parametrize("key", ["external", "latency", "endpoint", "handshake_age", "nic", "reason", "name"])
def test_a_report_of_another_version_of_the_program_is_told(mesh, key):
    """The early program had no "external"."""
    other = peer("site-b")
    del other[key]
    [fault] = mesh.judge(site_a=said([other]))["faults"]
    assert fault.startswith("site-a: no status; sitelink status printed something else; run ansible-playbook")


@pytest.mark.parametrize(
    "report", [{"faults": [], "mesh": [{}]}, {"faults": [{}], "mesh": []}, {"faults": 5, "mesh": []}, [], 5, None]
)
def test_a_report_that_is_none_is_told(mesh, report):
    [fault] = mesh.judge(site_a={"rc": 0, "stdout": json.dumps(report), "stderr": ""})["faults"]
    assert "sitelink status printed something else" in fault


def test_a_module_that_failed_is_told_with_its_cause(mesh):
    """It ends with 1, as the program does where there is a fault."""
    traceback = "Traceback (most recent call last):\n  File ...\nOSError: [Errno 28] No space left on device\n"
    failed = {
        "rc": 1,
        "msg": "MODULE FAILURE\nSee stdout/stderr for the exact error",
        "module_stdout": "",
        "module_stderr": traceback,
    }
    [fault] = mesh.judge(site_a=failed)["faults"]
    assert fault == "site-a: no status; sitelink status did not run: OSError: [Errno 28] No space left on device."


def test_faults_go_by_the_name_in_the_inventory_not_by_that_of_the_host(mesh):
    found = mesh.judge(site_b=said([], ["cloudflare: HTTP 403"], rc=1, mesh=False))
    assert found["faults"][0] == "site-b: cloudflare: HTTP 403"
    assert found["faults"][1].startswith("site-b: it has no part in the mesh yet")
    assert "debian" not in str(found)


def test_a_peer_that_a_site_does_not_know_is_named(mesh):
    told = "site-b does not know site-a; run ansible-playbook sitelink.tr069.site again."
    assert mesh.judge(site_b=said([]))["faults"] == [told]


def test_external_peers_and_hosts_that_are_no_sites_do_not_count(mesh):
    mesh.names.append("printer")
    phone = peer("phone", external=True, latency=None)
    found = mesh.judge(site_a=said([peer("site-b"), phone]), printer=None)
    assert found["faults"] == [] and found["pairs"] == 2 and "phone" not in str(found["lines"])


def test_a_hundred_sites_cost_little():
    """Not the n^4 of a template; what remains is mostly reading 100 reports of 99 peers."""
    mesh = Mesh(*[f"site-{index}" for index in range(100)])
    began = time.process_time()
    found = mesh.judge()
    print("CPU of 100 sites: %.2f s" % (time.process_time() - began))
    assert found["pairs"] == 9900 and found["faults"] == [] and len(found["lines"]) == 9901


def test_a_plan_with_problems_is_no_plan(mesh):
    mesh.plan["problems"] = [{"site": None, "variable": "x", "message": "x"}]
    with pytest.raises(AnsibleFilterError):
        mesh.judge()
