# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import client
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument, quote

DOCUMENTATION = """
name: wireguard_client
short_description: Take an external peer's own WireGuard settings out of the mesh plan
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Gives what a phone, a router or another peer outside the inventory has to be told to talk to the sites that carry it.
  - Errors never quote the secret.
options:
  _input:
    description:
      - A plan of P(sitelink.tr069.wireguard_mesh_plan#filter) without problems.
    type: dict
    required: true
  name:
    description:
      - The name of the external peer, one of C(external_peers) of the plan.
    type: str
    required: true
  secret:
    description:
      - The mesh secret. It may be an inline vault value. Empty or V(null) gives no keys that are derived from it.
    type: raw
notes:
  - Use it in a task with C(no_log), because the result holds a private key.
"""

EXAMPLES = """
# In a template of a task with no_log:
# {% set client = mesh_plan | sitelink.tr069.wireguard_client('phone', wireguard_mesh_secret) %}
"""

RETURN = """
_value:
  description:
    - The settings.
  type: dict
  contains:
    address:
      description:
        - The peer's address in the overlay, without a prefix length.
      type: str
    addresses:
      description:
        - The same as a prefix, and that of IPv6 where the overlay has both.
      type: list
      elements: str
    mtu:
      description:
        - The smallest MTU of the sites that carry it.
      type: int
    private_key:
      description:
        - The private key in base64, or V(null) where the peer made its own.
      type: str
    peers:
      description:
        - The sites that carry it, each with C(name), C(public_key), C(allowed_ips), C(endpoint) and maybe C(preshared_key).
      type: list
      elements: dict
"""


def wireguard_client(plan: t.Any, name: str, secret: t.Any = None) -> dict[str, t.Any]:
    label = "wireguard_client"
    if not isinstance(plan, Mapping) or "external_peers" not in plan or "problems" not in plan:
        raise AnsibleFilterError(f"{label}: the input must be a plan of wireguard_mesh_plan.")
    if plan["problems"]:
        raise AnsibleFilterError(f"{label}: the plan has problems. Show them and stop before using it.")
    if name not in plan["external_peers"]:
        raise AnsibleFilterError(f"{label}: the plan has no external peer {quote(name)}.")
    if secret == "":
        secret = None
    if secret is not None:
        secret = argument(label, "the mesh secret", secrets.mesh_secret, secret)
    return client(plan, name, secret)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_client": needs_libraries(wireguard_client)}
