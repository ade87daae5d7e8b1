#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: site_layer
short_description: Put one layer of a site in place, or take it away
version_added: 0.1.0
author:
  - The sitelink contributors (@sitelink)
description:
  - One task states all that a role puts on a site - files, directories, sysctls, units - and the same task with O(state=absent) takes it
    away again.
  - What is to be done follows from what is on the site, and not from what this run has just changed, so that a run that broke off
    anywhere is finished by the next one.
  - Everything is looked at and checked before anything is changed, and all that stands against it is told at once.
  - Each file is replaced in one step. Where it had been somebody else's (O(files[].ours)), that one is kept beside it, once, with
    C(.before-sitelink) behind its name, and comes back with O(state=absent).
  - The templates are rendered on the controller, with all variables of the task.
options:
  state:
    description:
      - V(present) makes the site as it is stated here, in this order - directories, files, O(remains), commands, sysctls, units.
      - V(absent) stops the units, runs O(undo), puts the sysctls back, and removes O(state_files), O(remains) and the files, the first
        file last of all. Directories stay.
    type: str
    choices: [present, absent]
    default: present
  known_by:
    description:
      - Paths of which one is there where the layer is. Without any of them O(state=absent) leaves all as it is, units that somebody else
        made under the same name included.
    type: list
    elements: str
    default: []
  directories:
    description: Directories that have to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The whole path. Missing ones above it are made alike.
        type: str
        required: true
      mode:
        description: Four octal digits in quotes.
        type: str
        default: "0755"
      owner:
        description: A user. Left as it is when not given.
        type: str
      group:
        description: A group. Left as it is when not given.
        type: str
  files:
    description: Files of the layer.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: The whole path at the site. Its directory has to be there or in O(directories).
        type: str
        required: true
      src:
        description: A template, looked for as by M(ansible.builtin.template). It is rendered with O(state=present) only.
        type: str
      secret:
        description: Whether the content holds a secret. Neither a diff, nor the result, nor an error then shows any of it.
        type: bool
        default: false
      copy:
        description:
          - A file of the controller that is put there as it is, looked for as by M(ansible.builtin.copy). It is sent only to a site that has
            not got it, known by its SHA-256. It must not be a secret.
        type: str
      sha256:
        description: The SHA-256 that O(files[].copy) must have; the task fails where it has another.
        type: str
      advice:
        description: What to do then, or where O(files[].copy) is not there; a sentence that the error ends with.
        type: str
      base64:
        description: The option in which the content of O(files[].copy) gets to the site. Not to be written by hand.
        type: str
      content:
        description:
          - The content, where there is no O(files[].src). Before ansible-core 2.19, text that looks like JSON is a dictionary by the time it
            gets here, and is refused; put it into a template.
        type: str
      secret_content:
        description:
          - The option in which a secret content gets to the site. To write it is the same as to write O(files[].content) and
            O(files[].secret).
        type: str
      mode:
        description: Four octal digits in quotes.
        type: str
        default: "0644"
      owner:
        description: The user it belongs to.
        type: str
        default: root
      group:
        description: The group it belongs to.
        type: str
        default: root
      validate:
        description:
          - A command, word by word, that looks at a copy of the content before anything is changed; C(%s) stands for the copy. It refuses by
            an exit code other than 0, and its words are told.
          - It runs also where the site has this content already, as what it is compared with may have changed.
          - In check mode only the exit code 1 refuses; the program may not be there yet.
          - What it says on standard error and does not refuse is told as a warning, unless it is about a O(files[].secret).
        type: list
        elements: str
      ours:
        description:
          - A regular expression. A file that is there and has no such text (C(^) and C($) are those of a line) is somebody else's - it is kept
            beside, and left alone with O(state=absent).
          - Without it, whatever has this path is taken for the layer's.
        type: str
      needed_by:
        description:
          - A pattern of paths. While one fits that is none of O(files), the file stays where the layer goes, as the template of a unit that has
            other instances.
        type: str
  commands:
    description:
      - Commands that make what is no file of O(files). They run when the files are there.
      - One that O(commands[].creates) something is only said in check mode. One with O(commands[].dry_run) runs each time, and knows by
        itself what is to be done.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The command, word by word.
        type: list
        elements: str
        required: true
      creates:
        description:
          - The path that is there when it has run to its end. It runs where that is not there. To take it away again is up to
            O(state_files) or O(undo).
        type: str
      reads:
        description:
          - The O(files[].dest) that C(%s) stands for in O(commands[].argv); in check mode for a copy of what would be written.
        type: str
      dry_run:
        description:
          - The words that are added in check mode, by which it changes nothing. It says on standard output what it changes, a line for each
            thing. In check mode an exit code other than 0 and 1 is no answer; the program may not be there yet.
        type: list
        elements: str
        default: []
  sysctls:
    description: Files that the kernel's values are set by, now and read back. What boots by them reads them by itself.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description:
          - The O(files[].dest) of a file in the form of sysctl.d(5), such as C(net/ipv4/conf/eth1.7/arp_ignore = 1). With slashes a dot in
            the name of a NIC is a dot; in the form with dots it has to be written as a slash.
        type: str
        required: true
      before:
        description:
          - A file that keeps what the values were. They come back when the file above does not name them any more, and with
            O(state=absent).
        type: str
      inherit:
        description:
          - Where the kernel takes such values from for a new NIC, C(net/ipv4/conf/default). With O(state=absent) what O(sysctls[].before)
            does not have gets the value that is there.
        type: str
      missing_ok:
        description: Whether a value that the kernel does not have, such as one of a NIC that is not plugged in, is left out.
        type: bool
        default: false
  units:
    description:
      - Units of systemd, in the order in which they start. They are enabled, active, and run what is written. The site's own program
        tells which do not (C(sitelink service)).
      - With O(state=absent) they are stopped and disabled, the last one first.
    type: list
    elements: str
    default: []
  may_fail:
    description:
      - Those of O(units) whose start may fail without the task, as of one that runs once and asks a server. What did is in RV(refused).
    type: list
    elements: str
    default: []
  upgrade:
    description:
      - Whether, at last, the daemons of all layers are restarted that run an older program. What did not start is in RV(refused), and the
        task does not fail for it - a later layer may bring what it needs, and starts it then.
    type: bool
    default: false
  undo:
    description: Commands for O(state=absent) that run when the units have stopped, and before the files go.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The command, word by word.
        type: list
        elements: str
        required: true
      needs:
        description:
          - The file without which there is nothing to undo. Where it is one of O(remains), the command runs with O(state=present) as well,
            before that file goes.
        type: str
        required: true
      before:
        description: One of O(units), before whose stop it runs.
        type: str
      dry_run:
        description: As O(commands[].dry_run). Without it the command is only said in check mode.
        type: list
        elements: str
        default: []
  remains:
    description:
      - Paths, or patterns in the last part of a path, of what this layer put on a site under a former name, or with other settings. They
        are removed in either state, but for O(files). A unit among them is stopped and disabled before.
    type: list
    elements: str
    default: []
  state_files:
    description: The same for what the layer's programs write for themselves. They are removed with O(state=absent).
    type: list
    elements: str
    default: []
  needed_by:
    description:
      - A pattern of paths. While one fits that is none of O(files), the whole layer stays with O(state=absent), as what other layers need.
    type: str
  program:
    description: The site's own program, which looks after the units.
    type: str
    default: /usr/local/sbin/sitelink
attributes:
  check_mode:
    description: Tells what would be changed, and changes nothing.
    support: full
  diff_mode:
    description: One for each file and value that changes, and none for secrets.
    support: full
  platform:
    description: Where it runs.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Put the way out on the site, or take it away
  sitelink.tr069.site_layer:
    state: present
    files:
      - src: gateway.json.j2
        dest: /etc/sitelink/gateway-eth1.json
        validate: [/usr/local/sbin/sitelink, gateway, eth1, --check=%s]
      - src: sitelink-gateway@.service.j2
        dest: /etc/systemd/system/sitelink-gateway@.service
        needed_by: /etc/sitelink/gateway-*.json
    units: [sitelink-gateway@eth1.service]
    undo:
      - argv: [/usr/local/sbin/sitelink, gateway, eth1, --remove]
        needs: /etc/sitelink/gateway-eth1.json
    state_files: [/run/sitelink/gateway-eth1.json]

- name: A program of the controller, what it makes for itself, and a service that asks a server and may fail
  sitelink.tr069.site_layer:
    files:
      - copy: /srv/client-1.0.whl
        sha256: "{{ client_sha256 }}"
        dest: /usr/local/lib/client-1.0.whl
      - src: client.service.j2
        dest: /etc/systemd/system/client.service
    commands:
      - argv: [python3, -m, venv, /usr/local/lib/client]
        creates: /usr/local/lib/client/bin/python
    state_files: [/usr/local/lib/client]
    units: [client.service]
    may_fail: [client.service]

- name: A file with keys, which was made by hand before, and a setting of the kernel
  sitelink.tr069.site_layer:
    files:
      - src: wg.conf.j2
        dest: /etc/wireguard/wg0.conf
        mode: "0600"
        secret: true
        ours: sitelink-mesh@
      - content: |
          net/ipv4/ip_forward = 1
        dest: /etc/sysctl.d/60-sitelink-wg0.conf
    sysctls:
      - file: /etc/sysctl.d/60-sitelink-wg0.conf
        before: /var/lib/sitelink/before-wg0.conf
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, in this order. Where the task fails, what was done until then.
  returned: always
  type: list
  elements: str
  sample:
    - wrote /etc/sitelink/gateway-eth1.json
    - "restarted sitelink-gateway@eth1.service: /etc/sitelink/gateway-eth1.json is not what it ran"
kept:
  description: The files of somebody else that were kept beside.
  returned: always
  type: list
  elements: str
refused:
  description: What did not start of O(may_fail), and with O(upgrade), each with why.
  returned: always
  type: list
  elements: str
said:
  description: What O(commands) and O(undo) with words for a dry run said that they changed, or would; it stands in RV(changes) as well.
  returned: always
  type: list
  elements: str
problems:
  description: All that stood against it, each with the file or unit that it is about.
  returned: on failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.layer import Layer
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.options import ARGUMENTS
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.site import KEPT, Site
from ansible_collections.sitelink.tr069.plugins.module_utils._layer.wanted import Refused, read


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def label(temporary, path):
        if module.selinux_enabled():
            module.set_context_if_different(temporary, module.selinux_default_context(path), False)

    layer = None
    problems = []
    try:
        layer = Layer(Site(label=label), read(module.params, module.check_mode), module.check_mode, module.tmpdir)
        if module.params["state"] == "present":
            lacking = [] if module.check_mode else layer.lacking()
            if lacking:  # the action plugin comes again with these
                module.exit_json(changed=False, lacking=lacking)
            layer.present()
        else:
            layer.absent()
    except Refused as refused:
        problems = refused.problems
    found = {
        "changes": layer.done if layer else [],
        "kept": layer.kept if layer else [],
        "said": layer.said if layer else [],
        "refused": layer.refused if layer else [],
        "diff": layer.diff if layer and module._diff else [],
    }
    found["changed"] = bool(found["changes"])
    for sentence in layer.warnings if layer else []:
        module.warn(sentence)
    for path in found["kept"]:
        module.warn("%s was not of this layer; it is kept as %s%s" % (path, path, KEPT))
    if problems:
        module.fail_json(msg="; ".join(problems), problems=problems, **found)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
