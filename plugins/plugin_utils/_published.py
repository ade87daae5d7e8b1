# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that stand in this public repository, known by their SHA-256 digests only."""

from __future__ import annotations

import hashlib

PUBLISHED_SHA256 = frozenset(
    {
        "69535d99dde6e862425673df10b8427954487713b2107e619977c9f7e15e9fcf",  # inventories/lab: mesh secret
        "d471c69323e24232fcbb943bc02b9f6c1739c89bf82082e77bb98c02c658dd1d",  # inventories/example: mesh secret
        "3c0dc4570220da1a2c416e249b4804a125697c5a6a648f53676ad4c52044c739",  # inventories/lab: Cloudflare token
        "62273f6bd87c33c1ef1045b9d5fc842202611e1e3c2714d144cdd474a84041a1",  # inventories/lab: AliDNS AccessKey secret
        "6638fab2c035cbddca1106a92f1b610624440278bbd57ec613e24dd96de1d8e4",  # inventories/example: Cloudflare token
        "433d6733f570cdea7a55eefa6fd088fcc8e397a9c00c7771f1b4343f19345f96",  # inventories/example: AliDNS AccessKey secret
    }
)


def is_published(secret: str) -> bool:
    """Whether a secret stands in this repository and is therefore known to everybody."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest() in PUBLISHED_SHA256
