#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: site_layer_info
short_description: Tell whether a site is as its layers are stated
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - Compares any number of layers, each stated as for M(sitelink.tr069.site_layer), with the site, in one call. So a play can end early
    where its tasks would find nothing to do.
  - It changes nothing and refuses nothing. Whatever gives no answer counts as a difference - a template that cannot be rendered, a program
    that is not there, a check that refuses - so that the tasks run, and say in their own words what is wrong.
options:
  layers:
    description:
      - The layers, in the order in which they are looked at, up to the first one that differs.
      - Each is a dictionary with the options of M(sitelink.tr069.site_layer), and with these.
      - C(name) is what the layer is called in RV(differing).
      - C(role_path) is the directory of its role, where its templates and files are looked for before all other places.
      - C(conditions) are commands, each a list of words. One that does not end with 0 is a difference as well. They run first.
    type: list
    elements: dict
    default: []
  variable:
    description: The name of a variable that holds the layers. It is read behind those of O(once), and then O(layers) is not.
    type: str
  once:
    description:
      - Names of variables that are worked out once, in this order, and not each time that another one uses them. Ansible would compile
        and run the template of each anew every time, and the layers of a site come to hundreds of them. One that cannot be worked out stays as it is.
    type: list
    elements: str
    default: []
  condition:
    description: The name of a variable without which nothing is compared, and the task is skipped. It is read where it stands in O(once),
      or behind all of them, so that what comes later is not worked out for nothing.
    type: str
  secrets:
    description: The option in which secret contents get to the site, by their path. Not to be written by hand.
    type: dict
    default: {}
attributes:
  check_mode:
    description: It changes nothing in either mode.
    support: full
  diff_mode:
    description: It shows none.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: posix
seealso:
  - module: sitelink.tr069.site_layer
"""

EXAMPLES = r"""
- name: Compare the site with all that is stated of it
  sitelink.tr069.site_layer_info:
    layers:
      - name: the way out
        role_path: /srv/roles/way_out
        conditions:
          - [/usr/local/sbin/sitelink, address, eth1]
        files:
          - src: gateway.json.j2
            dest: /etc/sitelink/gateway-eth1.json
        units: [sitelink-gateway@eth1.service]
  register: compared

- name: Leave it at that
  ansible.builtin.meta: end_host
  when: compared.differing | length == 0

- name: Compare what a variable holds, where a role was here before
  sitelink.tr069.site_layer_info:
    once: [interface, was_here, settings]
    condition: was_here
    variable: layers
  register: compared_too

- name: Leave it at that as well
  ansible.builtin.meta: end_host
  when: compared_too.differing | default(['nobody compared']) | length == 0
"""

RETURN = r"""
differing:
  description: What M(sitelink.tr069.site_layer) would do for the first layer that is not as stated, or what is in the way of an answer,
    each sentence behind the name of the layer. Empty where all layers are as stated.
  returned: when it compared
  type: list
  elements: str
  sample: ["the way out: wrote /etc/sitelink/gateway-eth1.json"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.judge import Stated, judge
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.options import ARGUMENTS, LAYERS
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.site import Site


def stated(given, secrets):
    options = dict(given)
    name, conditions = options.pop("name", ""), options.pop("conditions", [])
    for file in options.get("files") or []:
        if file.get("dest") in secrets:
            file["secret_content"] = secrets[file["dest"]]
    checked = ArgumentSpecValidator(ARGUMENTS).validate(options)
    return Stated(name, conditions, checked.validated_parameters, checked.error_messages)


def main():
    module = AnsibleModule(argument_spec=LAYERS, supports_check_mode=True)
    layers = [stated(each, module.params["secrets"]) for each in module.params["layers"]]
    differing, warnings = judge(Site(), layers, module.tmpdir)
    for sentence in warnings:
        module.warn(sentence)
    module.exit_json(changed=False, differing=differing)


if __name__ == "__main__":
    main()
