# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _article
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: wireguard_article
short_description: Compare sites that were set up by hand with the inventory
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Takes what was found on sites that were set up by hand as the source article says, and tells which lines their host_vars files
    lack, and where the inventory says otherwise.
  - Neither private keys nor tokens are in what it takes or gives.
options:
  _input:
    description:
      - What was found, by site.
    type: dict
    required: true
  hostvars:
    description:
      - The variables of all sites.
    type: dict
    required: true
  named:
    description:
      - The sites that are to be taken over.
    type: list
    elements: str
    required: true
  sites:
    description:
      - All sites of the inventory.
    type: list
    elements: str
    required: true
"""

EXAMPLES = """
- name: Show what is to be written
  ansible.builtin.debug:
    msg: "{{ (found | sitelink.tr069.wireguard_article(hostvars, ['shenzhen'], groups['sites'])).lines }}"
"""

RETURN = """
_value:
  description:
    - What the inventory lacks.
  type: dict
  contains:
    lines:
      description:
        - The lines to write, each with C(site), C(variable) and C(value).
      type: list
      elements: dict
    problems:
      description:
        - Sentences; as long as there is one, nothing shall be changed.
      type: list
      elements: str
    tokens:
      description:
        - The sites whose DNS token stands in their old configuration and not in the inventory.
      type: list
      elements: str
"""


def wireguard_article(found: t.Any, hostvars: t.Any, named: list[str], sites: list[str]) -> dict[str, t.Any]:
    if not isinstance(found, Mapping):
        raise AnsibleFilterError("wireguard_article: the input must be a dictionary by site.")
    return _article.read(found, hostvars, list(named), list(sites))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_article": needs_libraries(wireguard_article)}
