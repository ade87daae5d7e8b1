# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material and credentials. Nothing here is ever quoted."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys
from ansible_collections.sitelink.tr069.plugins.plugin_utils._published import is_published
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.text import PLACEHOLDER


def is_encrypted(value: t.Any) -> bool:
    """Whether a value is an inline vault object, as ansible-core before 2.19 hands them to filters."""
    return bool(getattr(value, "__ENCRYPTED__", False))


def secret_text(value: t.Any) -> str:
    """The text of a secret that may be plain, tagged or an inline vault object, without white space around it.

    :raises Fault: not text, cannot be decrypted, or empty.
    """
    if not isinstance(value, str) and not is_encrypted(value):
        raise Fault(f"must be text, not {_type_name(value)}. Put it into quotes.")
    try:
        text = to_text(value).strip()
    except Exception:  # noqa: BLE001 - vault errors differ between cores
        text = None
    # Outside the handler, so that the error has no context that could be printed with it.
    if text is None:
        raise Fault("cannot be decrypted. Give Ansible the vault password that it was encrypted with.")
    if not text:
        raise Fault("is empty.")
    if PLACEHOLDER in text.upper():
        raise Fault(f"still holds the placeholder {PLACEHOLDER}. Write the real value, in a vaulted file.")
    if text.startswith("$ANSIBLE_VAULT"):
        raise Fault(
            "is the encrypted text itself, which nobody decrypts. Write it as `ansible-vault encrypt_string` prints it: !vault | "
            "behind the colon, and the lines below it indented."
        )
    return text


def _type_name(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    for kind, name in ((int, "a number"), (float, "a number"), (dict, "a mapping"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "this type"


def credential(value: t.Any) -> str:
    """A token, an account's id or the like, which travels in the header of a request.

    :raises Fault: as secret_text, or a character that no provider's credential has. It is not quoted.
    """
    text = secret_text(value)
    if not re.fullmatch(r"[!-~]+", text):
        raise Fault(
            "holds a character that no token has: a blank, a typographic quotation mark, a full-width or an invisible character, "
            "or words of a note. Paste it again from the provider's page, with nothing before or behind it."
        )
    return text


def refuse_published(secret: str, accept: bool) -> None:
    """:raises Fault: the secret stands in the public repository, and this is not the lab."""
    if not accept and is_published(secret):
        raise Fault("is a secret that stands in the public repository of sitelink.tr069. Use a secret of your own.")


def private_key(value: t.Any) -> str:
    """A WireGuard private key in base64. Never quoted."""
    return _checked(secret_text(value), _keys.decode_key, "Make one with: wg genkey")


def public_key(value: t.Any) -> str:
    """A WireGuard public key in base64. Not quoted either: it may be a private key put into the wrong variable."""
    return _checked(secret_text(value), _keys.decode_key, "Make one from the private key with: wg pubkey")


def mesh_secret(value: t.Any) -> str:
    """A mesh secret. Never quoted."""
    return _checked(secret_text(value), _keys.check_secret, "Make one with: openssl rand -base64 48")


def _checked(text: str, check: t.Callable[[str], t.Any], advice: str) -> str:
    fault = None
    try:
        check(text)
    except _keys.KeyFault as exc:
        fault = str(exc)
    if fault:
        raise Fault(f"{fault}. {advice}")
    return text
