# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _page, _said
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: status_page
short_description: Make one HTML page about a whole mesh
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Shows faults, the mesh as a picture, the matrix of all pairs, a card for every site, and what healed. The page needs nothing from
    outside, and holds both languages.
options:
  _input:
    description:
      - For every site what C(sitelink doctor --json) printed there, as text. What is no JSON is shown as a site that did not answer.
    type: dict
    required: true
  language:
    description:
      - The language that is shown first.
    type: str
    choices: [en, zh]
    default: en
  made:
    description:
      - When the data was gathered, as text.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Write the page
  ansible.builtin.copy:
    content: "{{ told | sitelink.tr069.status_page(language='zh') }}"
    dest: status.html
    mode: "0600"
  delegate_to: localhost
  run_once: true
"""

RETURN = """
_value:
  description:
    - The HTML.
  type: str
"""


def status_page(told: t.Any, language: str = "en", made: str = "") -> str:
    if not isinstance(told, Mapping):
        raise AnsibleFilterError("status_page: the input must be a dictionary of what the sites said.")
    if language not in _said.LANGUAGES:
        raise AnsibleFilterError(f"status_page: language must be one of {', '.join(_said.LANGUAGES)}.")
    return _page.Page(_said.parse(told), str(language), str(made)).render()


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"status_page": needs_libraries(status_page)}
