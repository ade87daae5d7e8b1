# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink mesh wg0 --settle`: what the playbook asks a site about its end of the mesh, in one go."""

import os

from . import config, handover, netlink, overlay, state, wg

KEY_LINE = "PrivateKey = (made on the site)"


def settle(interface):
    """Returns {"changed": words, "warnings": sentences}. Raises config.ConfigError.

    changed: what of the running interface is not as the files say, which the daemon will mend when it is told to look.
    """
    plan = config.load_mesh(interface)
    kernel = netlink.Kernel()
    changed = ["configuration"] if compose(interface, plan) else []
    return {"changed": changed + drift(interface), "warnings": overlay.warnings(kernel, plan)}


def drift(interface):
    """In what the running interface, if there is one, is not as the files say: words. Raises config.ConfigError."""
    plan = config.load_mesh(interface)
    kernel = netlink.Kernel()
    link = kernel.link(interface)
    if link is None or not link.up:
        return []
    in_use = handover.Handover(state.read_json(config.lib_path("keys", interface, "json")))
    told = state.read_json(config.run_path("mesh", interface, "json")).get("exit") or {}
    try:
        return overlay.drift(kernel, plan, link, in_use, told.get("address"))
    except (wg.WgError, wg.ConfError) as error:
        raise config.ConfigError(str(error)) from None


def compose(interface, plan):
    """Make wg0.conf of wg0.conf.in and a key that never left the site. Returns whether it changed; raises ConfigError."""
    template = config.wireguard_path(interface) + ".in"
    try:
        with open(template, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return False
    names = [name for name in os.listdir(config.WIREGUARD) if name.startswith(interface + ".key.")]
    for name in sorted(names):
        with open(os.path.join(config.WIREGUARD, name), encoding="utf-8") as file:
            private = file.read().strip()
        if wg.public_key(private) == plan.public_key:
            break
    else:
        raise config.ConfigError(
            "%s holds no private key of the public key that the inventory has for this site (wireguard_mesh_public_key); "
            "make one with the playbook sitelink.tr069.keys" % config.WIREGUARD
        )
    text = text.replace(KEY_LINE, "PrivateKey = " + private)
    path = config.wireguard_path(interface)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        pass
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    return True
