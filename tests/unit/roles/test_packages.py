# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages the mesh role wants on which system, by its own variables."""

import json
import pathlib
import subprocess
import sys

import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "wireguard_mesh"
# distribution, major version, family; what the site has; whether repositories may be added; the packages, or words of the refusal
CASES = [
    ("Debian", 12, "Debian", ["kernel"], False, ["wireguard-tools"]),
    ("Debian", 12, "Debian", [], False, ["wireguard-tools", "wireguard-go"]),
    ("Debian", 12, "Debian", ["tools"], False, ["wireguard-go"]),
    ("Debian", 12, "Debian", ["tools", "user-space"], False, []),
    ("Debian", 10, "Debian", [], False, "buster-backports only"),
    ("Debian", 10, "Debian", [], True, ["wireguard-tools", "wireguard-dkms"]),
    ("Ubuntu", 24, "Debian", ["kernel"], False, ["wireguard-tools"]),
    ("CentOS", 7, "RedHat", [], False, "wireguard_mesh_add_repositories: true"),
    ("CentOS", 7, "RedHat", [], True, ["wireguard-tools", "kmod-wireguard"]),
    ("CentOS", 7, "RedHat", ["kernel", "tools"], False, []),
    ("Rocky", 8, "RedHat", ["kernel"], False, "wireguard_mesh_add_repositories: true"),
    ("Rocky", 8, "RedHat", ["kernel"], True, ["wireguard-tools"]),
    ("AlmaLinux", 9, "RedHat", ["kernel"], False, ["wireguard-tools"]),
    ("AlmaLinux", 9, "RedHat", ["tools"], False, "has no package that stands in for it"),
    ("Fedora", 42, "RedHat", ["kernel"], False, ["wireguard-tools"]),
    ("Archlinux", "", "Archlinux", ["kernel"], False, ["wireguard-tools"]),
]


FACTS = ("distribution", "distribution_major_version", "os_family")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The role's answers for all cases, from one play."""
    directory = tmp_path_factory.mktemp("packages")
    hosts = {
        f"case{number:02d}": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "facts": dict(zip(FACTS, (name, str(version), family), strict=True)),
            "wireguard_mesh_add_repositories": allowed,
            "wireguard_mesh_interface": "wg0",
            "__site_agent_seen": {"wireguard_mesh wg0 try": "\n".join(has)},
        }
        for number, (name, version, family, has, allowed, _) in enumerate(CASES)
    }
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "vars_files": [str(ROLE / "vars" / "main.yml")],
            "tasks": [
                {"ansible.builtin.set_fact": {**{key: f"{{{{ facts.{key} }}}}" for key in FACTS}, "cacheable": True}},
                {
                    "ansible.builtin.set_fact": {
                        "answer": ["{{ __wireguard_mesh_no_packages }}", "{{ __wireguard_mesh_wanted }}"]
                    }
                },
                {
                    "ansible.builtin.copy": {
                        "content": "{{ groups['all'] | map('extract', hostvars, 'answer') | to_json }}",
                        "dest": f"{directory}/answers.json",
                        "mode": "0600",
                    },
                    "run_once": True,
                },
            ],
        }
    ]
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    (directory / "play.yml").write_text(yaml.safe_dump(play))
    subprocess.run(["ansible-playbook", "-i", directory / "hosts.yml", directory / "play.yml"], check=True)
    return json.loads((directory / "answers.json").read_text())


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{case[0]} {case[1]} {case[3]} {case[4]}" for case in CASES]
)
def test_the_packages_of_a_system(found, number):
    expected = CASES[number][-1]
    refusal, wanted = found[number]
    if isinstance(expected, str):
        assert expected in refusal and "  " not in refusal and "\n" not in refusal
    else:
        assert (refusal, wanted) == ("", expected)
