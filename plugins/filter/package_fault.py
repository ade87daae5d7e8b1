# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _packages
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: package_fault
short_description: Tell why packages cannot be installed
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Reads what the modules of package managers said, and gives the cause in a sentence with what to do. Of several things said the one
    that explains the others counts.
options:
  _input:
    description:
      - The registered results of the attempts, the last one last.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = """
- name: Say why
  ansible.builtin.debug:
    msg: "{{ ([tried] | sitelink.tr069.package_fault).cause }}"
"""

RETURN = """
_value:
  description:
    - Empty when the last attempt did not fail.
  type: dict
  contains:
    cause:
      description:
        - What is the matter and what to do.
      type: str
    words:
      description:
        - What the package manager said of it.
      type: str
    locked:
      description:
        - Whether another program holds the package manager's lock, so that waiting helps.
      type: bool
"""


def package_fault(results: t.Any) -> dict[str, t.Any]:
    if not isinstance(results, list):
        raise AnsibleFilterError("package_fault: the input must be a list of results.")
    return _packages.fault(results)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"package_fault": needs_libraries(package_fault)}
