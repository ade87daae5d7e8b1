# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: inventories_around
short_description: Find the inventories that a directory lies in
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Looks in a directory and in all above it for inventories that the playbook C(new_inventory) made, as shown by
    C(hosts/) and C(group_vars/all/mesh.yml) side by side.
options:
  _input:
    description:
      - An absolute path. It need not exist.
    type: path
    required: true
"""

EXAMPLES = """
- name: Say whether this directory is an inventory
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.env', 'PWD') in (lookup('ansible.builtin.env', 'PWD') | sitelink.tr069.inventories_around) }}"
"""

RETURN = """
_value:
  description:
    - The paths of the inventories, the innermost first.
  type: list
  elements: path
"""


def inventories_around(path: t.Any) -> list[str]:
    if not isinstance(path, (str, os.PathLike)):
        raise AnsibleFilterError("inventories_around: the input must be a path.")
    if not os.fspath(path):
        return []
    start = pathlib.Path(path)
    return [
        str(place)
        for place in (start, *start.parents)
        if (place / "hosts").is_dir() and (place / "group_vars" / "all" / "mesh.yml").is_file()
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"inventories_around": needs_libraries(inventories_around)}
