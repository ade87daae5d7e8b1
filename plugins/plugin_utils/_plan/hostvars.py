# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible hands over as hostvars, where reading a value may fail, and its error may hold a secret."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets, text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault
from jinja2 import Undefined

# A site that is planned or absent is in nobody's files, and nothing else of it is read.
STATES = ("present", "planned", "absent")

# What makes two connections to one address lead to two machines: a port of a router, a jump server's user, another way there.
_WAYS = (
    "ansible_connection", "ansible_user", "ansible_ssh_user", "ansible_port", "ansible_ssh_port", "ansible_ssh_args",
    "ansible_ssh_common_args", "ansible_ssh_extra_args",
)  # fmt: skip


class Unresolved(Exception):
    """A value that holds something undefined."""


def of_site(hostvars: Mapping[str, t.Any], name: str) -> Mapping[str, t.Any] | None:
    """A site's variables; None when they cannot be read, because a file of them cannot be decrypted or parsed."""
    try:
        return hostvars[name]
    except Exception:  # noqa: BLE001 - its message may hold the text of that file
        return None


def templates(value: t.Any) -> Iterator[str]:
    """The templates in a raw value, vault objects left alone."""
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping):
        yield from templates(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from templates(item)


def plain(value: t.Any) -> t.Any:
    """A value without the wrappers of ansible-core, whose containers template on access.

    :raises Unresolved: something in it is undefined, or a template that an older core left as it was.
    """
    if isinstance(value, Undefined):
        raise Unresolved
    if isinstance(value, str):
        if next(templates(value), None):
            raise Unresolved
        return value
    if secrets.is_encrypted(value):
        return to_text(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def way(variables: Mapping[str, t.Any]) -> tuple[str, ...] | None:
    """How Ansible goes to a site besides its address; None where that cannot be told, or where it goes nowhere."""
    try:
        found = tuple(to_text(plain(variables[name])) if name in variables else "" for name in _WAYS)
    except Exception:  # noqa: BLE001 - an error in a template; Ansible itself tells it
        return None
    return None if found[0] in ("local", "ansible.builtin.local") else found


def states(variables: Mapping[str, Mapping[str, t.Any] | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Every site's state, and what is wrong with those that cannot be read; such a site is taken for present."""
    read = text.choice(*STATES)
    found, unknown = {}, {}
    for name, given in variables.items():
        found[name] = "present"
        try:
            value = plain(given["wireguard_mesh_state"]) if given and "wireguard_mesh_state" in given else None
        except Exception:  # noqa: BLE001 - an error in a template or a vault; told when the site is read
            value = None
        if value is None or value == "":
            continue
        try:
            found[name] = read(value)
        except Fault as fault:
            unknown[name] = str(fault)
    return found, unknown
