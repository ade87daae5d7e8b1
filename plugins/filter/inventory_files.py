# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.problems import problems
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import known_variables

DOCUMENTATION = """
name: inventory_files
short_description: Find the slips in the files of an inventory
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Looks at the files themselves, for what nobody can see in the variables that Ansible made of them. A file that nothing reads,
    because of its name, its ending or another one beside it. A file that is no YAML. A name that stands twice in one file. A
    number that YAML reads as another one, such as C(022000). A site that is in another group. A list that Ansible cannot read to its end.
  - Files that are encrypted as a whole are not opened.
options:
  _input:
    description:
      - The inventories, as in C(ansible_inventory_sources).
    type: list
    elements: path
    required: true
  groups:
    description:
      - Ansible's C(groups).
    type: raw
    required: true
  sites:
    description:
      - The group that the mesh is planned for.
    type: str
    default: sites
"""

EXAMPLES = """
- name: Refuse files with slips
  ansible.builtin.fail:
    msg: "{{ slips | map(attribute='message') | list }}"
  vars:
    slips: "{{ ansible_inventory_sources | sitelink.tr069.inventory_files(groups) }}"
  when: slips | length > 0
"""

RETURN = """
_value:
  description:
    - Every slip, each with its C(file), with a C(message) that says what to write instead, and with C(unreadable), which is true for a
      file at which Ansible ends by itself.
  type: list
  elements: dict
"""


def inventory_files(sources: t.Any, groups: t.Any, sites: t.Any = "sites") -> list[dict[str, t.Any]]:
    if isinstance(sources, (str, bytes)) or not hasattr(sources, "__iter__"):
        raise AnsibleFilterError(
            "inventory_files: the input must be a list of paths, such as ansible_inventory_sources."
        )
    names = {str(group): [str(host) for host in groups[group]] for group in groups}
    return problems([str(source) for source in sources], names, known_variables(), str(sites))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"inventory_files": needs_libraries(inventory_files)}
