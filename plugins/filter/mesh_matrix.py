# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _matrix
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: mesh_matrix
short_description: Judge what the sites say of the mesh
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Takes what C(sitelink status --json --probe) gave on each site, and makes a table of the mesh's ordered pairs and a list
    of faults from it.
  - A site that gave nothing, a pair that does not answer, and a peer that a site does not know are faults.
options:
  _input:
    description:
      - A plan of P(sitelink.tr069.wireguard_mesh_plan#filter) without problems.
    type: dict
    required: true
  names:
    description:
      - The hosts that were asked.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Ansible's C(hostvars).
    type: dict
    required: true
  variable:
    description:
      - The variable of each host that the command was registered in.
    type: str
    required: true
"""

EXAMPLES = """
- name: Judge what the sites said
  ansible.builtin.debug:
    msg: "{{ (mesh_plan | sitelink.tr069.mesh_matrix(ansible_play_hosts_all, hostvars, 'status')).faults }}"
"""

RETURN = """
_value:
  description:
    - The table and the faults.
  type: dict
  contains:
    lines:
      description:
        - The table, its titles first.
      type: list
      elements: str
    faults:
      description:
        - One sentence for each fault. It begins with the name of the site in the inventory.
      type: list
      elements: str
    pairs:
      description:
        - The number of ordered pairs that answer.
      type: int
"""


def mesh_matrix(plan: t.Any, names: t.Any, hostvars: t.Any, variable: str) -> dict[str, t.Any]:
    if not isinstance(plan, Mapping) or "sites" not in plan or plan.get("problems"):
        raise AnsibleFilterError("mesh_matrix: the input must be a plan of wireguard_mesh_plan without problems.")
    if not isinstance(names, list):
        raise AnsibleFilterError("mesh_matrix: names must be a list of hosts.")
    return _matrix.matrix(plan, names, {name: hostvars[name].get(variable) for name in names})


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"mesh_matrix": needs_libraries(mesh_matrix)}
