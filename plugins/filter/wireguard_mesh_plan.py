# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import needs_libraries
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.build import build

DOCUMENTATION = """
name: wireguard_mesh_plan
short_description: Check the whole inventory and plan the mesh
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Reads the variables of every site of an inventory group, checks them together, and returns what every site may know
    of the others. The plan holds public data only.
  - Faults of the inventory are no errors of the filter but data, all of them at once, so that they can be shown
    together. Use the plan only when it has no problems.
  - The plan depends on nothing but the group's members and their variables in the inventory. It is the same, byte for
    byte, whatever their order and whichever hosts are in the play.
options:
  _input:
    description:
      - The names of the sites, the members of the inventory group C(sites).
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Ansible's C(hostvars). Variables of a play or role are not in there, so the filter has the defaults of its own.
    type: raw
    required: true
"""

EXAMPLES = """
- name: Plan the mesh
  ansible.builtin.set_fact:
    mesh_plan: "{{ groups['sites'] | default([]) | sitelink.tr069.wireguard_mesh_plan(hostvars) }}"
  run_once: true

- name: Refuse an inventory with faults
  ansible.builtin.fail:
    msg: "{{ mesh_plan.problems | map(attribute='message') | list }}"
  run_once: true
  when: mesh_plan.problems | length > 0
"""

RETURN = """
_value:
  description:
    - The plan. Where a variable is faulty, the fields that follow from it are V(null) or empty.
  type: dict
  contains:
    mesh:
      description:
        - The name of the mesh.
      type: str
    network:
      description:
        - The network of the overlay.
      type: str
    network6:
      description:
        - The IPv6 network of the overlay, or V(null).
      type: str
    preshared_keys:
      description:
        - Whether every pair of sites has a preshared key. It is derived from the mesh secret, so there must be one.
      type: bool
    corrected:
      description:
        - What the roles have to be given instead of what the inventory says. The default of a variable that stands there without a
          value, and text without the blanks around it. Each has C(site), C(variable) and C(value); none is a secret.
      type: list
      elements: dict
      sample: [{site: shenzhen, variable: tr069_interface, value: eth1}]
    states:
      description:
        - Every member of the group with its C(wireguard_mesh_state). Of those that are not V(present) nothing else is read.
      type: dict
      sample: {shenzhen: present}
    external_peers:
      description:
        - The peers outside the inventory by name, each with the C(sites) that carry it.
      type: dict
      sample:
        phone:
          address: 192.168.11.100
          address6: null
          allowed_ips: [192.168.11.100/32]
          endpoint: null
          key_generation: 1
          key_source: secret
          preshared_key: true
          public_key: mAZmyQRaSzY7yDPIZO8rVRMZPDUZSUTBLsk5Es6A5XM=
          sites: [shenzhen]
    inside:
      description:
        - The networks that are never the internet, to which no exit forwards a packet.
      type: list
      elements: str
    sites:
      description:
        - Every present site by name, sorted.
      type: dict
      sample:
        shenzhen:
          address: 192.168.11.1
          address6: null
          addresses: [192.168.11.1/24]
          allowed_ips: [192.168.11.1/32, 192.168.1.0/24]
          endpoint: {host: shenzhen.example.com, port: 22000}
          endpoint_seeds: []
          exit: null
          exit_for: []
          external_endpoint: null
          firewall_allow: []
          interface: wg0
          keepalive: 25
          key_at_once: false
          key_generation: 1
          key_source: secret
          lan_gateway: true
          lan_subnets: [192.168.1.0/24]
          mtu: 1420
          peers_only: []
          port: 22000
          public_key: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
          uplink: eth0
    problems:
      description:
        - Every fault of the inventory, each with C(site), C(variable) and C(message). The site is V(null) when it is a
          fault of all sites in a variable that they share. The message is one or more sentences that name both and say what to write instead; it never
          holds a secret.
      type: list
      elements: dict
    warnings:
      description:
        - Sentences about what works but is probably not meant.
      type: list
      elements: str
"""


def wireguard_mesh_plan(sites: t.Any, hostvars: t.Any) -> dict[str, t.Any]:
    if isinstance(sites, (str, bytes, Mapping)) or not hasattr(sites, "__iter__"):
        raise AnsibleFilterError(
            "wireguard_mesh_plan: the input must be a list of site names, such as groups['sites']."
        )
    if not isinstance(hostvars, Mapping):
        raise AnsibleFilterError("wireguard_mesh_plan: the first argument must be hostvars.")
    return build(sites, hostvars)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable]:
        return {"wireguard_mesh_plan": needs_libraries(wireguard_mesh_plan)}
