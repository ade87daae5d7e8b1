# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters need on the controller beside ansible-core.

Ansible reports a filter that cannot be imported as one that does not exist. So a missing package is kept until the
filter is called, which then says what to install.
"""

from __future__ import annotations

import functools
import sys
import typing as t

from ansible.errors import AnsibleFilterError

try:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from netaddr import INET_PTON, IPAddress, IPNetwork
    from netaddr.core import AddrFormatError
except ImportError as exc:
    MISSING = str(exc)
    X25519PrivateKey = SHA256 = HMAC = HKDF = INET_PTON = IPAddress = IPNetwork = None  # type: ignore[assignment, misc]
    AddrFormatError = ValueError
else:
    MISSING = ""

__all__ = [
    "HKDF",
    "HMAC",
    "INET_PTON",
    "SHA256",
    "AddrFormatError",
    "IPAddress",
    "IPNetwork",
    "X25519PrivateKey",
    "needs_libraries",
]  # fmt: skip


def needs_libraries(function: t.Callable) -> t.Callable:
    """The filter, or in its place one that says what is missing."""

    @functools.wraps(function)
    def fail(*_args: t.Any, **_options: t.Any) -> t.NoReturn:
        raise AnsibleFilterError(
            f"{function.__name__}: the Python that runs Ansible on the controller lacks a package ({MISSING})."
            f" Type: {sys.executable} -m pip install cryptography jmespath netaddr"
        )

    return fail if MISSING else function
