# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard key material: X25519 key pairs and preshared keys, given or derived from the mesh secret.

Nothing here quotes key material in an error, and no error keeps another one as its context: ansible-core prints the
whole chain of a failing filter, also under no_log.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re

from ansible_collections.sitelink.tr069.plugins.plugin_utils._libraries import (
    HKDF,
    HMAC,
    SHA256,
    X25519PrivateKey,
)

KEY_BYTES = 32
SECRET_MIN_CHARACTERS = 32

# Part of every key ever derived: a change of these constants or of _encode changes all keys of all meshes.
_SALT = b"sitelink.tr069 mesh secret v1"
_PRIVATE_KEY = b"private key"
_PRESHARED_KEY = b"preshared key"

# 32 bytes in base64: 43 characters and one "=", the last character carrying two zero bits, as wg(8) insists.
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)


class KeyFault(ValueError):
    """Key material that cannot be used. The message is a predicate ("is ..."), never holds the material."""


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key written as wg(8) prints it.

    :raises KeyFault: not 32 bytes in canonical base64, or all zero (which WireGuard takes as "no key").
    """
    if not _KEY.fullmatch(text):
        raise KeyFault(f"is not a WireGuard key: {_shape_fault(text)}")
    key = base64.b64decode(text)
    if not any(key):
        raise KeyFault("consists of zeros only, which WireGuard takes for no key at all")
    return key


def _shape_fault(text: str) -> str:
    if len(text) != 44:
        return f'it has {len(text)} characters, a key has 44 and ends with "="'
    return "it has 44 characters, but they are not the base64 text of 32 bytes"


def encode_key(key: bytes) -> str:
    """Key bytes as wg(8) prints them."""
    return binascii.b2a_base64(key, newline=False).decode("ascii")


def clamp(key: bytes) -> bytes:
    """Scalar bytes with the bits fixed that X25519 fixes (RFC 7748, section 5), as ``wg genkey`` prints them."""
    return bytes([key[0] & 248]) + key[1:31] + bytes([key[31] & 127 | 64])


def public_key(private_key: str) -> str:
    """The public key of a private key, both in base64; equals ``wg pubkey``.

    :raises KeyFault: see :func:`decode_key`.
    """
    private = X25519PrivateKey.from_private_bytes(decode_key(private_key))
    return encode_key(private.public_key().public_bytes_raw())


def check_secret(secret: str) -> None:
    """Refuses a mesh secret that is too short to derive keys from.

    :raises KeyFault: fewer than SECRET_MIN_CHARACTERS characters.
    """
    if len(secret) < SECRET_MIN_CHARACTERS:
        raise KeyFault(f"has {len(secret)} characters, at least {SECRET_MIN_CHARACTERS} random ones are needed")


def _encode(*fields: bytes | str | int) -> bytes:
    """Fields as one byte string from which they could be told apart again: each after its length."""
    parts = []
    for field in fields:
        raw = field if isinstance(field, bytes) else str(field).encode("utf-8")
        parts.append(len(raw).to_bytes(4, "big") + raw)
    return b"".join(parts)


@functools.lru_cache(maxsize=4096)
def _encode_end(site: str, generation: int) -> bytes:
    """One end of a pair. Cached, because in a mesh of N sites each is needed 2N times."""
    return _encode(site, generation)


class MeshKeys:
    """All keys that follow from one mesh secret: HKDF-SHA256 (RFC 5869) over the secret.

    First HKDF makes a root per mesh name, then HKDF-Expand makes each key from the root and what the key is for.
    """

    def __init__(self, secret: str, mesh: str) -> None:
        """
        :param secret: the mesh secret.
        :param mesh: the mesh's name.
        :raises KeyFault: the secret is too short.
        """
        check_secret(secret)
        hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=_encode(mesh))
        self._root = HMAC(hkdf.derive(secret.encode("utf-8", "surrogatepass")), SHA256())

    def _derive(self, info: bytes) -> bytes:
        """HKDF-Expand to one block, which is one HMAC (RFC 5869, section 2.3): a third of the time of HKDFExpand, which
        counts for the million keys of a mesh of 1000 sites."""
        hmac = self._root.copy()
        hmac.update(info + b"\x01")
        return hmac.finalize()

    def private_key(self, site: str, generation: int) -> str:
        """A site's private key, in base64. Another generation is another key."""
        return encode_key(clamp(self._derive(_encode(_PRIVATE_KEY, site, generation))))

    def preshared_keys(self, site: tuple[str, int], peers: list[tuple[str, int]]) -> list[str]:
        """The keys that a site shares with each of its peers, in base64, in the peers' order.

        Sites are given as (name, key generation). A pair's key is the same from both ends, and another one when
        either end's generation is.
        """
        label, own = _encode(_PRESHARED_KEY), _encode_end(*site)
        return [
            encode_key(
                self._derive(label + (own + _encode_end(*peer) if site[0] < peer[0] else _encode_end(*peer) + own))
            )
            for peer in peers
        ]
