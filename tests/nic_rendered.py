# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role nic_dhcp writes for a site, rendered by Ansible itself."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROLE = ROOT / "roles" / "nic_dhcp"
PLAY = """
- hosts: site-x
  gather_facts: false
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml, {given}]
  tasks:
    - ansible.builtin.copy:
        dest: "{made}"
        mode: "0600"
        content: >-
          {{%- set found = [] -%}}
          {{%- for case in {cases} -%}}
          {{%- set _ = found.append(lookup('ansible.builtin.template', template, template_vars=case) | string) -%}}
          {{%- endfor -%}}
          {{{{ found | to_json }}}}
"""


def texts(directory, template, cases):
    """What the role makes of a template, for each (backend, variables)."""
    return _rendered(directory, template, [({}, [_given(case) for case in cases])])


def plans(directory, cases):
    """nic-eth1.json for each (backend, variables).

    Each in a play of its own: ansible-core 2.16 hands template_vars on to no template within the template.
    """
    found = _rendered(directory, "nic.json.j2", [(_given(case), [{}]) for case in cases])
    return [json.loads(text) for text in found]


def _given(case):
    backend, variables = case
    return {"__nic_dhcp_chosen": backend, **variables}


def _rendered(directory, template, plays):
    """plays: (variables, [template_vars])."""
    (directory / "templates").symlink_to(ROLE / "templates")
    extra = {"template": template, "ansible_python_interpreter": sys.executable}
    (directory / "extra.json").write_text(json.dumps(extra))
    made, text = [], ""
    for number, (variables, cases) in enumerate(plays):
        given = directory / f"given-{number}.json"
        given.write_text(json.dumps(variables))
        made.append(directory / f"made-{number}.json")
        text += PLAY.format(role=ROLE, made=made[-1], given=given, cases=json.dumps(cases))
    (directory / "play.yml").write_text(text)
    argv = ["ansible-playbook", "-i", "site-x,", "-c", "local", "-e", f"@{directory}/extra.json", directory / "play.yml"]
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    assert done.returncode == 0 and all(path.exists() for path in made), done.stdout
    return [text for path in made for text in json.loads(path.read_text())]


def files(plan):
    """The files of a plan, as {path: text}."""
    return {item["path"]: "\n".join(item["lines"]) + "\n" for item in plan["files"]}
