# SPDX-License-Identifier: GPL-3.0-or-later
"""Key material equals what WireGuard's own tools make, and depends on exactly what it shall depend on."""

import base64
import os
import shutil
import subprocess

import pytest
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _keys
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

SECRET = "a-mesh-secret-for-tests-that-is-long-enough"


def base64_of(hexadecimal):
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


# RFC 7748, section 6.1: both private keys with their public keys.
RFC_7748 = [
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ),
    (
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ),
]


@pytest.mark.parametrize(("private", "public"), RFC_7748)
def test_rfc_7748(private, public):
    assert _keys.public_key(base64_of(private)) == base64_of(public)


@pytest.mark.skipif(shutil.which("wg") is None, reason="wg (wireguard-tools) is not installed")
def test_100_random_keys_equal_wg_pubkey():
    for index in range(100):
        # Half of them clamped as `wg genkey` prints them, half not: `wg pubkey` takes both.
        raw = os.urandom(32)
        private = _keys.encode_key(_keys.clamp(raw) if index % 2 else raw)
        printed = subprocess.run(["wg", "pubkey"], input=private, text=True, capture_output=True, check=True).stdout
        assert _keys.public_key(private) == printed.strip()


@pytest.mark.skipif(shutil.which("wg") is None, reason="wg (wireguard-tools) is not installed")
def test_derived_keys_are_what_wg_takes():
    private = _keys.MeshKeys(SECRET, "sitelink").private_key("site-a", 1)
    raw = _keys.decode_key(private)
    assert raw == _keys.clamp(raw)
    printed = subprocess.run(["wg", "pubkey"], input=private, text=True, capture_output=True, check=True).stdout
    assert _keys.public_key(private) == printed.strip()


def test_derived_keys_never_change():
    """A change here is a change of every key of every mesh."""
    keys = _keys.MeshKeys(SECRET, "sitelink")
    assert keys.private_key("site-a", 1) == "2MMPZGhm3tCt4oayKRV7SmF4Jr1TIAk4Ea2AWF8tuFU="
    assert keys.preshared_keys(("site-a", 1), [("site-b", 2)]) == ["afeIF24A2ke+63l6IH+zxcK+pQ3TV/vdyAAfpfEnQG8="]


def test_derivation_is_hkdf():
    field = lambda raw: len(raw).to_bytes(4, "big") + raw
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=b"sitelink.tr069 mesh secret v1", info=field(b"sitelink"))
    info = b"".join(map(field, (b"preshared key", b"site-a", b"1", b"site-b", b"2")))
    expected = HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(hkdf.derive(SECRET.encode()))
    assert _keys.MeshKeys(SECRET, "sitelink").preshared_keys(("site-b", 2), [("site-a", 1)]) == [
        base64.b64encode(expected).decode()
    ]


def test_every_input_counts():
    other_secret = SECRET + "!"
    found = {
        _keys.MeshKeys(secret, mesh).private_key(site, generation)
        for secret in (SECRET, other_secret)
        for mesh in ("sitelink", "sitelink2")
        # Fields that would run into each other without their lengths.
        for site, generation in (("a", 11), ("a1", 1), ("a", 1), ("b", 1))
    }
    assert len(found) == 16


def test_preshared_keys_are_symmetric_and_per_pair():
    keys = _keys.MeshKeys(SECRET, "sitelink")
    ends = [("site-a", 1), ("site-b", 1), ("site-a", 2), ("c", 1)]
    found = {}
    for one in ends:
        others = [other for other in ends if other[0] != one[0]]
        for other, key in zip(others, keys.preshared_keys(one, others), strict=True):
            assert found.setdefault(frozenset((one, other)), key) == key
            assert len(base64.b64decode(key)) == 32
    assert len(set(found.values())) == len(found) == 5
    assert not set(found.values()) & {keys.private_key(*end) for end in ends}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2hvcnQga2V5",
        "A" * 44,
        "A" * 43 + "=",  # zeros only
        "B" * 43 + "=",  # not canonical: bits beyond the 32nd byte
        "B" * 42 + "A=\n",
        "-" * 43 + "=",
        base64.b64encode(bytes(range(33))).decode(),
        "\uff22" * 42 + "A=",
    ],
)
def test_malformed_keys_are_refused_without_quoting_them(text):
    with pytest.raises(_keys.KeyFault) as fault:
        _keys.public_key(text)
    assert fault.value.__context__ is None
    if len(text) > 5:
        assert text not in str(fault.value)


def test_short_secrets_are_refused():
    with pytest.raises(_keys.KeyFault, match="31 characters"):
        _keys.MeshKeys("x" * 31, "sitelink")
    _keys.MeshKeys("x" * 32, "sitelink")
