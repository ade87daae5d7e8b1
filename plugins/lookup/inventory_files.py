# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

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
  - Files that are encrypted as a whole are opened with the vault passwords that Ansible has. Nothing of them is shown but where the
    slip is, and the names of the variables that this collection knows. One that cannot be opened is passed over; Ansible itself
    tells it, where it needs the file.
options:
  _terms:
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
"""

EXAMPLES = """
- name: Refuse files with slips
  ansible.builtin.fail:
    msg: "{{ slips | map(attribute='message') | list }}"
  vars:
    slips: "{{ query('sitelink.tr069.inventory_files', *ansible_inventory_sources, groups=groups) }}"
  when: slips | length > 0
"""

RETURN = """
_raw:
  description:
    - Every slip, each with its C(file), with a C(message) that says what to write instead, and with C(unreadable), which is true for a
      file at which Ansible ends by itself, or that it would show.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files.problems import problems
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import known_variables


def inventory_files(
    sources: t.Iterable[t.Any], groups: t.Any, opened: t.Callable[[bytes], bytes | None]
) -> list[dict[str, t.Any]]:
    names = {str(group): [str(host) for host in groups[group]] for group in groups}
    return problems([str(source) for source in sources], names, known_variables(), opened)


class LookupModule(LookupBase):
    """Ansible's entry point: of all kinds of plugins, one of those that have Ansible's vault passwords."""

    def run(
        self,
        terms: list[t.Any],
        variables: t.Any = None,
        groups: t.Any = None,
        **_options: t.Any,
    ) -> list[dict[str, t.Any]]:
        if groups is None:
            raise AnsibleError("inventory_files: groups is missing. Write groups=groups.")
        return needs_libraries(inventory_files)(terms, groups, self._opened)

    def _opened(self, data: bytes) -> bytes | None:
        # In memory: the loader's other ways give text only, or write it to the disk.
        try:
            return bytes(self._loader._vault.decrypt(data))
        except AnsibleError:
            return None
