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
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - ansible.builtin.copy:
        dest: "{made}"
        mode: "0600"
        content: >-
          {{%- set found = [] -%}}
          {{%- for case in cases -%}}
          {{%- set _ = found.append(lookup('ansible.builtin.template', template, template_vars=case) | string) -%}}
          {{%- endfor -%}}
          {{{{ found | to_json }}}}
"""


def texts(directory, template, cases):
    """What the role makes of a template, for each (backend, variables)."""
    (directory / "templates").symlink_to(ROLE / "templates")
    made, given = directory / "made.json", directory / "cases.json"
    extra = {"template": template, "ansible_python_interpreter": sys.executable}
    cases = [{"__nic_dhcp_chosen": backend, **variables} for backend, variables in cases]
    given.write_text(json.dumps({"cases": cases, **extra}))
    (directory / "play.yml").write_text(PLAY.format(role=ROLE, made=made))
    argv = ["ansible-playbook", "-i", "site-x,", "-c", "local", "-e", f"@{given}", directory / "play.yml"]
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
    assert done.returncode == 0 and made.exists(), done.stdout
    return json.loads(made.read_text())


def plans(directory, cases):
    """nic-eth1.json for each (backend, variables)."""
    return [json.loads(text) for text in texts(directory, "nic.json.j2", cases)]


def files(plan):
    """The files of a plan, as {path: text}."""
    return {item["path"]: "\n".join(item["lines"]) + "\n" for item in plan["files"]}
