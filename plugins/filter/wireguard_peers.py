# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plain import plain
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import peers
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument, quote

DOCUMENTATION = """
name: wireguard_peers
short_description: Take a site's WireGuard peers out of the mesh plan
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Lists the sites of a plan of P(sitelink.tr069.wireguard_mesh_plan#filter) that a site talks to, and the external peers
    that it carries, sorted by name.
  - With the mesh secret, and if the plan has preshared keys, each peer has its preshared key.
  - Errors never quote the secret.
options:
  _input:
    description:
      - A plan without problems.
    type: dict
    required: true
  site:
    description:
      - The site whose peers are wanted.
    type: str
    required: true
  secret:
    description:
      - The mesh secret. It may be an inline vault value. Empty or V(null) gives peers without preshared keys.
      - White space around it is ignored.
    type: raw
"""

EXAMPLES = """
- name: Show the peers of this site, without secrets
  ansible.builtin.debug:
    msg: "{{ mesh_plan | sitelink.tr069.wireguard_peers(inventory_hostname) }}"

# In a template of a task with no_log:
# {% for peer in mesh_plan | sitelink.tr069.wireguard_peers(inventory_hostname, wireguard_mesh_secret) %}
"""

RETURN = """
_value:
  description:
    - The peers.
  type: list
  elements: dict
  contains:
    name:
      description:
        - The peer's name in the inventory.
      type: str
    address:
      description:
        - The peer's address in the overlay, without a prefix length.
      type: str
    public_key:
      description:
        - The peer's public key in base64.
      type: str
    allowed_ips:
      description:
        - What is reached through the peer, its own address first, then the networks behind it in numeric order.
      type: list
      elements: str
    endpoint:
      description:
        - Where the peer is looked for, C(host) and C(port), or V(null) where nobody knows.
      type: dict
    seeds:
      description:
        - Addresses at which the peer may be found when nobody knows better, each with C(host) and C(port).
      type: list
      elements: dict
    external:
      description:
        - Whether the peer is none of the sites.
      type: bool
    at_once:
      description:
        - Whether an old key of the peer must not be used any more once it has a new one.
      type: bool
    preshared_key:
      description:
        - The preshared key in base64.
      type: str
      returned: O(secret) is given, the plan has preshared keys and the peer is not without
"""


def wireguard_peers(plan: t.Any, site: str, secret: t.Any = None) -> list[dict[str, t.Any]]:
    name = "wireguard_peers"
    if not isinstance(plan, Mapping) or "sites" not in plan or "problems" not in plan:
        raise AnsibleFilterError(f"{name}: the input must be a plan of wireguard_mesh_plan.")
    plan = plain(plan)
    if plan["problems"]:
        raise AnsibleFilterError(f"{name}: the plan has problems. Show them and stop before using it.")
    if site not in plan["sites"]:
        raise AnsibleFilterError(f"{name}: the plan has no site {quote(site)}.")
    if secret == "":
        secret = None
    if secret is not None:
        secret = argument(name, "the mesh secret", secrets.mesh_secret, secret)
    return peers(plan, site, secret)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_peers": needs_libraries(wireguard_peers)}
