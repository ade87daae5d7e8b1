# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import addresses, networks
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import argument

DOCUMENTATION = """
name: wireguard_free_addresses
short_description: Find the next free addresses of an overlay
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Lists the lowest addresses of a network that are not taken, without its network and broadcast address.
options:
  _input:
    description:
      - The network of the overlay.
    type: str
    required: true
  taken:
    description:
      - Addresses in use. Those outside the network do not matter.
    type: list
    elements: str
    required: true
  count:
    description:
      - How many addresses are wanted at most.
    type: int
    default: 1
"""

EXAMPLES = """
- name: Show an address for a third site
  ansible.builtin.debug:
    msg: "{{ '192.168.11.0/24' | sitelink.tr069.wireguard_free_addresses(['192.168.11.1', '192.168.11.2']) | first }}"
    # 192.168.11.3
"""

RETURN = """
_value:
  description:
    - The free addresses, lowest first. Fewer than O(count) when the network has no more.
  type: list
  elements: str
"""


def wireguard_free_addresses(network: t.Any, taken: t.Any, count: int = 1) -> list[str]:
    name = "wireguard_free_addresses"
    if isinstance(taken, str) or not hasattr(taken, "__iter__"):
        raise AnsibleFilterError(f"{name}: the taken addresses must be a list.")
    overlay = argument(name, "the network", networks.overlay_network, network)
    used = {argument(name, "a taken address", addresses.address, item) for item in taken}
    return [str(address) for address in itertools.islice(addresses.free_addresses(overlay, used), count)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_free_addresses": needs_libraries(wireguard_free_addresses)}
