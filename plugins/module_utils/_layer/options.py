# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of M(sitelink.tr069.site_layer) as Ansible wants them; the module documents them."""


def words(**more):
    return dict({"type": "list", "elements": "str"}, **more)


def dictionaries(**options):
    return {"type": "list", "elements": "dict", "default": [], "options": options}


ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "known_by": words(default=[]),
    "directories": dictionaries(
        path={"type": "str", "required": True},
        mode={"type": "str", "default": "0755"},
        owner={"type": "str"},
        group={"type": "str"},
    ),
    "files": dictionaries(
        dest={"type": "str", "required": True},
        src={"type": "str"},
        secret={"type": "bool", "default": False},
        content={"type": "str"},
        secret_content={"type": "str", "no_log": True},
        mode={"type": "str", "default": "0644"},
        owner={"type": "str", "default": "root"},
        group={"type": "str", "default": "root"},
        copy={"type": "str"},
        sha256={"type": "str"},
        advice={"type": "str"},
        base64={"type": "str"},
        validate=words(),
        ours={"type": "str"},
        needed_by={"type": "str"},
    ),
    "commands": dictionaries(
        argv=words(required=True), creates={"type": "str"}, reads={"type": "str"}, dry_run=words(default=[])
    ),
    "sysctls": dictionaries(
        file={"type": "str", "required": True},
        before={"type": "str"},
        inherit={"type": "str"},
        missing_ok={"type": "bool", "default": False},
    ),
    "units": words(default=[]),
    "may_fail": words(default=[]),
    "upgrade": {"type": "bool", "default": False},
    "undo": dictionaries(
        argv=words(required=True),
        needs={"type": "str", "required": True},
        before={"type": "str"},
        dry_run=words(default=[]),
    ),
    "remains": words(default=[]),
    "state_files": words(default=[]),
    "needed_by": {"type": "str"},
    "program": {"type": "str", "default": "/usr/local/sbin/sitelink"},
}

# Of M(sitelink.tr069.site_layer_info). What a layer has is read by the options above when it is there, with its secrets in it.
LAYERS = {
    "layers": {"type": "list", "elements": "dict", "default": []},
    "variable": {"type": "str"},  # this one and the next two never leave the controller
    "once": words(default=[]),
    "condition": {"type": "str"},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
}
