# SPDX-License-Identifier: GPL-3.0-or-later
"""The sites' keys, and the secret that they are derived from."""

from __future__ import annotations

import collections
import hashlib

from ansible_collections.sitelink.tr069.plugins.plugin_utils._keys import MeshKeys, public_key
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.mesh import Mesh
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import SET_ONCE, shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.rules.published import check_published
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site

# Where a site's key comes from, and its public key, as far as they are known.
Keys = dict[str, tuple[str | None, str | None]]


def keys(mesh: Mesh) -> Keys:
    """Each site's key source and public key, which no other site has."""
    _check_secrets(mesh)
    derivers: dict[str, MeshKeys] = {}
    owners: dict[str, str] = {}
    found = {}
    for site in mesh.sites:
        check_published(site, "wireguard_mesh_private_key")
        source, key = _key(site, mesh.settings["wireguard_mesh_name"], derivers)
        if key is not None:
            owner = owners.setdefault(key, site.name)
            if owner != site.name:
                site.fault(
                    f"wireguard_mesh_{source}", f"is the key that {shown(owner)} already has. Give each site its own."
                )
        found[site.name] = (source, key)
    return found


def _key(site: Site, mesh: str | None, derivers: dict[str, MeshKeys]) -> tuple[str | None, str | None]:
    given = site.get("wireguard_mesh_public_key")
    if site.gave("wireguard_mesh_private_key"):
        private = site.get("wireguard_mesh_private_key")
        key = public_key(private) if private else None
        if key and given and given != key:
            site.fault(
                "wireguard_mesh_public_key",
                "does not belong to wireguard_mesh_private_key. Leave it out: it follows from the private key.",
            )
        return "private_key", key
    if site.gave("wireguard_mesh_public_key"):
        return "public_key", given
    if not site.gave("wireguard_mesh_secret"):
        site.fault(
            "wireguard_mesh_secret",
            "is missing, and so are wireguard_mesh_private_key and wireguard_mesh_public_key: the site has no key. "
            "Write one secret for all sites, in a vaulted file in group_vars/all.",
        )
        return None, None
    secret = site.get("wireguard_mesh_secret")
    generation = site.get("wireguard_mesh_key_generation")
    if not (secret and mesh and generation):
        return "secret", None
    deriver = derivers.get(secret)
    if deriver is None:
        deriver = derivers[secret] = MeshKeys(secret, mesh)
    return "secret", public_key(deriver.private_key(site.name, generation))


def _check_secrets(mesh: Mesh) -> None:
    """One mesh has one secret, and preshared keys need it on every site."""
    with_secret = [site for site in mesh.sites if site.gave("wireguard_mesh_secret")]
    digests = {
        site.name: hashlib.sha256(site.get("wireguard_mesh_secret").encode("utf-8", "surrogatepass")).digest()
        for site in with_secret
        if site.get("wireguard_mesh_secret")
    }
    count = collections.Counter(digests[site.name] for site in mesh.sites if site.name in digests)
    usual = max(count, key=lambda digest: count[digest], default=b"")  # of equals, the first site's
    for site in with_secret:
        check_published(site, "wireguard_mesh_secret")
        if digests.get(site.name, usual) != usual:
            site.fault(
                "wireguard_mesh_secret",
                f"is not the secret that {count[usual]} other site(s) have. A mesh has one secret. {SET_ONCE}.",
            )
    if not mesh.settings["wireguard_mesh_preshared_keys"]:
        return
    if not with_secret and mesh.sites:
        mesh.warnings.append(
            "No site has wireguard_mesh_secret, so the mesh runs without preshared keys. Set it, or say so with "
            "wireguard_mesh_preshared_keys: false."
        )
    for site in mesh.sites:
        own_key = site.gave("wireguard_mesh_private_key") or site.gave("wireguard_mesh_public_key")
        if with_secret and own_key and not site.gave("wireguard_mesh_secret"):
            site.fault(
                "wireguard_mesh_secret",
                f"is missing, but {len(with_secret)} other site(s) have it, and preshared keys need it on every site. "
                f"{SET_ONCE} (vaulted), or switch wireguard_mesh_preshared_keys off for all.",
            )
