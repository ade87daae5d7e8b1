# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import names, numbers, secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument

DOCUMENTATION = """
name: wireguard_preshared_key
short_description: Derive the preshared key of two sites from the mesh secret
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Derives a preshared key by HKDF-SHA256 from a secret, the mesh's name, and both sites' names and key generations.
  - The two sites may be given in any order, with their generations. Other pairs of sites do not matter.
  - Errors never quote the secret.
options:
  _input:
    description:
      - The mesh secret, at least 32 characters. It may be an inline vault value.
      - White space around it is ignored.
    type: raw
    required: true
  mesh:
    description:
      - The name of the mesh.
    type: str
    required: true
  site:
    description:
      - The name of one site.
    type: str
    required: true
  peer:
    description:
      - The name of the other site.
    type: str
    required: true
  generation:
    description:
      - The key generation of O(site).
    type: int
    default: 1
  peer_generation:
    description:
      - The key generation of O(peer).
    type: int
    default: 1
notes:
  - Use it in a task with C(no_log), because the result is a secret.
"""

EXAMPLES = """
- name: Write the key that this site shares with guangzhou
  ansible.builtin.copy:
    content: |
      {{ wireguard_mesh_secret | sitelink.tr069.wireguard_preshared_key('sitelink', inventory_hostname, 'guangzhou') }}
    dest: /etc/wireguard/guangzhou.psk
    mode: "0600"
  no_log: true
"""

RETURN = """
_value:
  description:
    - The preshared key in base64, of the form that C(wg genpsk) prints.
  type: str
"""


def wireguard_preshared_key(
    secret: t.Any, mesh: str, site: str, peer: str, generation: int = 1, peer_generation: int = 1
) -> str:
    name = "wireguard_preshared_key"
    keys = MeshKeys(
        argument(name, "the mesh secret", secrets.mesh_secret, secret),
        argument(name, "the mesh's name", names.mesh_name, mesh),
    )
    ends = [
        (
            argument(name, "a site's name", names.site_name, end),
            argument(name, "a generation", numbers.generation, number),
        )
        for end, number in ((site, generation), (peer, peer_generation))
    ]
    if ends[0][0] == ends[1][0]:
        raise AnsibleFilterError(f"{name}: site and peer are both {site}. Name two sites.")
    return keys.preshared_keys(ends[0], ends[1:])[0]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_preshared_key": needs_libraries(wireguard_preshared_key)}
