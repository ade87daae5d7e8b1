# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that everybody can read."""

from __future__ import annotations

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.site import Site
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import secrets
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault


def check_published(site: Site, variable: str) -> None:
    """A secret does not stand in the public repository, unless this is the lab."""
    secret = site.get(variable)
    try:
        if secret is not None:
            secrets.refuse_published(secret, bool(site.get("wireguard_mesh_accept_published_secrets")))
    except Fault as fault:
        site.fault(variable, str(fault))
