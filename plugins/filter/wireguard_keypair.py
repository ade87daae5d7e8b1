# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys, public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import names, numbers, secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument

DOCUMENTATION = """
name: wireguard_keypair
short_description: Derive a site's WireGuard key pair from the mesh secret
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Derives an X25519 key pair by HKDF-SHA256 from a secret, the mesh's name, the site's name and a generation number.
  - The same input always gives the same pair, so that nothing has to be stored per site.
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
      - The name of the site.
    type: str
    required: true
  generation:
    description:
      - Which key of the site. Another number gives another key.
    type: int
    default: 1
notes:
  - Use it in a task with C(no_log), because the result holds a private key.
"""

EXAMPLES = """
- name: Write the private key of this site
  ansible.builtin.copy:
    content: |
      {{ (wireguard_mesh_secret | sitelink.tr069.wireguard_keypair('sitelink', inventory_hostname)).private_key }}
    dest: /etc/wireguard/private.key
    mode: "0600"
  no_log: true
"""

RETURN = """
_value:
  description:
    - The key pair.
  type: dict
  contains:
    private_key:
      description:
        - The private key in base64, as C(wg genkey) prints it.
      type: str
    public_key:
      description:
        - The public key in base64, as C(wg pubkey) prints it.
      type: str
"""


def wireguard_keypair(secret: t.Any, mesh: str, site: str, generation: int = 1) -> dict[str, str]:
    name = "wireguard_keypair"
    keys = MeshKeys(
        argument(name, "the mesh secret", secrets.mesh_secret, secret),
        argument(name, "the mesh's name", names.mesh_name, mesh),
    )
    private = keys.private_key(
        argument(name, "the site's name", names.site_name, site),
        argument(name, "the generation", numbers.generation, generation),
    )
    return {"private_key": private, "public_key": public_key(private)}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_keypair": needs_libraries(wireguard_keypair)}
