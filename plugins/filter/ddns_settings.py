# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _ddns
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.ddns import names_to_publish

DOCUMENTATION = """
name: ddns_settings
short_description: Check the DDNS variables of a site and make the client's configuration
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Reads the variables of the role P(sitelink.tr069.ddns#role), reports all that is wrong with them at once, and returns
    the configuration of NewFuture/DDNS with one entry for every name and family.
options:
  _input:
    description:
      - The variables of the role, without their prefix C(ddns_).
    type: dict
    required: true
  hostvars:
    description:
      - The variables of all hosts. Of the sites in C(publish_for), a list among the options, those of the role
        P(sitelink.tr069.ddns#role) are read.
    type: dict
    default: {}
  site:
    description:
      - The name of the site that the settings are for.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Refuse settings that cannot work
  ansible.builtin.fail:
    msg: "{{ found.problems }}"
  vars:
    found: "{{ __ddns_options | sitelink.tr069.ddns_settings }}"
  when: found.problems | length > 0
"""

RETURN = """
_value:
  description:
    - C(problems), sentences without secrets; C(names), what the on-site program supervises; C(interval), in seconds; and
      C(client), the configuration of the client, which holds the tokens.
  type: dict
"""


def ddns_settings(options: t.Any, hostvars: t.Any = None, site: str = "") -> dict[str, t.Any]:
    if not isinstance(options, Mapping):
        raise AnsibleFilterError("ddns_settings: the options must be a dictionary.")
    names = options.get("publish_for") or []
    if not isinstance(names, (list, tuple)):
        raise AnsibleFilterError("ddns_settings: ddns_publish_for must be a list of sites, such as [site-b].")
    found = _ddns.settings(options, names_to_publish(names, hostvars or {}, site))
    return {**found, "problems": [f"{variable} {predicate}" for variable, predicate in found["problems"]]}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"ddns_settings": needs_libraries(ddns_settings)}
