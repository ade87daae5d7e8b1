# SPDX-License-Identifier: GPL-3.0-or-later
"""What nic_dhcp decides about states of a site's network, before any change: those that systems ship, and those that people make."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from nic_clients import CLIENTS
from nic_made import MADE
from nic_shipped import SHIPPED
from nic_sites import Site

ALL_MADE = {**MADE, **CLIENTS}
ALL = {**SHIPPED, **ALL_MADE}
# Each takes half a second of CPU: the gate has a fourth of them, and all systems as they are shipped.
PARAMS = [pytest.param(name, marks=[pytest.mark.long] * bool(number % 4)) for number, name in enumerate(ALL_MADE)]
ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "nic_dhcp"
ABOUT_MANAGERS = (
    "Refuse a site without a known backend",
    "Refuse a NIC that another network manager has",
    "Refuse a NIC that is configured elsewhere",
)
# The role's variables that a case may set.
DEFAULTS = {"nic_dhcp_backend": "auto", "nic_dhcp_take_over": False, "nic_dhcp_take_over_shared": False}


def of_all_cases(tasks):
    """A task that says for every case what the refusals that are about network managers would say. What there is against a site is
    the same for all of them, and is worked out once."""
    chosen = [next(task for task in tasks if task["name"] == name) for name in ABOUT_MANAGERS]
    conditions = [task["when"].replace("__nic_dhcp_against", "__against") for task in chosen]
    said = [f"{{% if {when} %}}{{{{ __said_{number} }}}}\n{{% endif %}}" for number, when in enumerate(conditions)]
    return {
        "ansible.builtin.debug": {"msg": "{% set __against = __nic_dhcp_against %}" + "".join(said)},
        "loop": "{{ cases }}",
        "loop_control": {"label": ""},
        "register": "said",
        "vars": {
            "__site_agent_seen": "{{ item.seen }}",
            **{f"__said_{number}": task["ansible.builtin.fail"]["msg"] for number, task in enumerate(chosen)},
            **{name: "{{ item." + name + " }}" for name in DEFAULTS},
        },
    }


@pytest.fixture(scope="module")
def decided(request, tmp_path_factory):
    """{name: (the backend, what the role says)}, by the role's own words, in one run for all that are asked for."""
    asked = [item.callspec.params["name"] for item in request.session.items if "decided" in item.fixturenames]
    directory = tmp_path_factory.mktemp("sites")
    cases, backends = [], []
    for number, name in enumerate(asked):
        site, *more = ALL[name]
        lines = Site(directory / str(number), **site).look()
        backends.append("".join(line[1] for line in lines if line[0] == "auto"))
        seen = {"nic_dhcp eth1": "".join("\t".join(line) + "\n" for line in lines)}
        cases.append({**DEFAULTS, **(more[0] if len(more) == 2 else {}), "name": name, "seen": seen})
    task = of_all_cases(yaml.safe_load((ROLE / "tasks" / "refuse.yml").read_text()))
    # ansible-core 2.21 leaves an empty msg out.
    results = "{{ said.results | map(attribute='msg', default='') | list | to_json }}"
    answer = {"ansible.builtin.copy": {"content": results, "dest": str(directory / "answer")}}
    play = {"hosts": "all", "gather_facts": False, "tasks": [task, answer]}
    play["vars_files"] = [str(ROLE / part / "main.yml") for part in ("defaults", "vars")]
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    (directory / "extra.json").write_text(json.dumps({
        "cases": cases, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}))  # fmt: skip
    argv = ["ansible-playbook", "-i", "shenzhen,", "-e", f"@{directory}/extra.json", directory / "play.yml"]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=3600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    said = ((text or "").strip() for text in json.loads((directory / "answer").read_text()))
    return dict(zip((case["name"] for case in cases), zip(backends, said, strict=True), strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_site_as_its_distribution_ships_it_is_served_without_a_word(decided, name):
    assert decided[name] == (SHIPPED[name][1], "")


@pytest.mark.parametrize("name", PARAMS)
def test_what_configures_the_nic_is_named_before_any_change(decided, name):
    words, said = ALL_MADE[name][2], " ".join(decided[name][1].split())
    assert decided[name][0] == ALL_MADE[name][1].get("backend", decided[name][0])
    assert (words in said and said.startswith("shenzhen: ")) if words else said == "", said


def test_every_word_against_a_site_has_a_task_of_its_own_that_ends_the_run():
    """A word that no task is about would let the run go on, and a task without a word would never speak."""
    words = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__nic_dhcp_against"]
    tasks = yaml.safe_load((ROLE / "tasks" / "refuse.yml").read_text())
    assert all("ansible.builtin.fail" in task for task in tasks)
    asked = [re.fullmatch(r"'(.+)' in __nic_dhcp_against", task["when"]).group(1) for task in tasks]
    assert sorted(asked) == sorted(re.findall(r"\['([^']+)'\]", words))
