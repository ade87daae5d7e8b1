# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sitelink service` sees to at the site's end of the mesh: its own key in wg0.conf, an interface that no unit has, and in what
the running one is not as the files say."""

import os
import subprocess

from . import config, handover, netlink, overlay, state, wg

KEY_LINE = "PrivateKey = (made on the site)"


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


def own_key(plan):
    """The private key of this site's public one, which never left it. Raises config.ConfigError."""
    names = os.listdir(config.WIREGUARD) if os.path.isdir(config.WIREGUARD) else []
    for name in sorted(name for name in names if name.startswith(plan.interface + ".key.")):
        try:
            with open(os.path.join(config.WIREGUARD, name), encoding="utf-8") as file:
                private = file.read().strip()
            if wg.public_key(private) == plan.public_key:
                return private
        except (OSError, ValueError, wg.WgError):
            continue  # one that was not finished, such as on a full disk
    raise config.ConfigError(
        "%s holds no private key of the public key that the inventory has for this site (wireguard_mesh_public_key); "
        "make one with the playbook sitelink.tr069.keys" % config.WIREGUARD
    )


def compose(interface, dry_run=False, as_if=None):
    """Make wg0.conf of wg0.conf.in and a key that never left the site. Returns whether it changed; raises ConfigError.

    as_if: {path: digest} of what counts as written in a dry run.
    """
    path = config.wireguard_path(interface)
    template = path + ".in"
    if as_if and template in as_if:
        return True
    try:
        with open(template, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return False
    if as_if and config.mesh_path(interface) in as_if:
        return False  # of which key it will be is not known here
    text = text.replace(KEY_LINE, "PrivateKey = " + own_key(config.load_mesh(interface)))
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        pass
    if dry_run:
        return True
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    return True


def stray(interface):
    """Whether there is such an interface, of which its unit knows nothing when that is not active."""
    return netlink.Kernel().link(interface) is not None


def take_down(interface):
    """What `wg-quick up` by hand or an unfinished start left: the unit would fail, as the interface exists. Raises ConfigError."""
    for argv in (["wg-quick", "down", interface], ["ip", "link", "delete", "dev", interface]):
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                universal_newlines=True,
            )
        except OSError as error:
            raise config.ConfigError("%s: %s" % (argv[0], error.strerror)) from None
        if not stray(interface):
            return
    raise config.ConfigError("%s is there and cannot be taken down: %s" % (interface, " ".join(done.stdout.split())))
