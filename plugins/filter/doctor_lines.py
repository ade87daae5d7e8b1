# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _said
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries

DOCUMENTATION = """
name: doctor_lines
short_description: Tell the faults of a whole mesh, a line for each
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Puts together what the sites say in the same words, so that a site which is off is one line and not one of each other site.
    What explains the rest comes first.
options:
  _input:
    description:
      - For every site what C(sitelink doctor --json) printed there, as text. What is no JSON is a site that did not answer.
    type: dict
    required: true
  language:
    description:
      - The language of the lines.
    type: str
    choices: [en, zh]
    default: en
"""

EXAMPLES = """
- name: Say what the sites found
  ansible.builtin.debug:
    msg: "{{ told | sitelink.tr069.doctor_lines(language='zh') }}"
  run_once: true
"""

RETURN = """
_value:
  description:
    - The lines; none when no site has a fault.
  type: list
  elements: str
"""


def doctor_lines(told: t.Any, language: str = "en") -> list[str]:
    if not isinstance(told, Mapping):
        raise AnsibleFilterError("doctor_lines: the input must be a dictionary of what the sites said.")
    if language not in _said.LANGUAGES:
        raise AnsibleFilterError(f"doctor_lines: language must be one of {', '.join(_said.LANGUAGES)}.")
    words, lines = _said.texts(), []
    for fault in _said.faults(_said.parse(told), words):
        layer = f"[{fault.layer}] " if fault.layer else ""
        text = fault.text[language]
        lines.append(f"{fault.names(words[language]['page'])}: {layer}{text['what']} {text['do']}".rstrip())
    return lines


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"doctor_lines": needs_libraries(doctor_lines)}
