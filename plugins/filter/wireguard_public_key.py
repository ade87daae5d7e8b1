# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument

DOCUMENTATION = """
name: wireguard_public_key
short_description: Compute the public key of a WireGuard private key
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Gives what C(wg pubkey) prints, without C(wg).
  - Errors never quote the key.
options:
  _input:
    description:
      - The private key in base64. It may be an inline vault value.
      - White space around it is ignored.
    type: raw
    required: true
"""

EXAMPLES = """
- name: Show the public key of this site
  ansible.builtin.debug:
    msg: "{{ wireguard_mesh_private_key | sitelink.tr069.wireguard_public_key }}"
"""

RETURN = """
_value:
  description:
    - The public key in base64.
  type: str
"""


def wireguard_public_key(private_key: t.Any) -> str:
    return _keys.public_key(argument("wireguard_public_key", "the private key", secrets.private_key, private_key))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_public_key": needs_libraries(wireguard_public_key)}
