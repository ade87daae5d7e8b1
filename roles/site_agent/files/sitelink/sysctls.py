# SPDX-License-Identifier: GPL-3.0-or-later
"""`sitelink sysctls FILE`: the kernel has the values that a file below /etc/sysctl.d says, by reading them back."""

import os

from . import config, state

ROOT = "/proc/sys"
HEAD = "# What the kernel had before sitelink set it.\n"


def wanted(path):
    """{name as in /proc/sys: value}. Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.split("#")[0].strip() for line in file]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise config.ConfigError("%s cannot be read: %s" % (path, error.strerror)) from None
    found = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals:
            found[_slashes(name.strip())] = value.strip()
    return found


def _slashes(name):
    """sysctl.d(5): where the first separator is a dot, slashes stand for the dots in a NIC's name."""
    first = next((letter for letter in name if letter in "./"), "/")
    return name.translate(str.maketrans("./", "/.")) if first == "." else name


def bring(path, before=None, dry_run=False):
    """Set what differs. Yields a sentence for each; raises ConfigError.

    before: a file that keeps what the values were, and from which they come back when the first one names them no more.
    """
    values = wanted(path)
    kept = wanted(before) if before else {}
    if before and not _is_ours(before):
        # Of an early version, which kept values that it did not change: to write those would undo somebody else's change.
        kept = {name: value for name, value in kept.items() if name in values}
        if not dry_run:
            _keep(before, kept)
    if before:
        fresh = {name: _read(name) for name in values if name not in kept}
        if fresh and not dry_run:
            kept.update({name: value for name, value in fresh.items() if value is not None})
            _keep(before, kept)
    gone = {name: value for name, value in kept.items() if name not in values}
    for name, value in sorted(list(values.items()) + list(gone.items())):
        now = _read(name)
        if now in (None, value):  # None: not a NIC of this site yet; systemd sets it when it comes
            continue
        if not dry_run:
            _write(name, value)
        yield "%s is %s now instead of %s" % (name, value, now)
    if gone and not dry_run:
        _keep(before, {name: value for name, value in kept.items() if name in values})


def _is_ours(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline() == HEAD
    except OSError:
        return False


def _keep(path, values):
    if values:
        state.write_text(path, HEAD + "".join("%s=%s\n" % (name, value) for name, value in sorted(values.items())))
    elif os.path.exists(path):
        os.unlink(path)


def _read(name):
    try:
        with open(os.path.join(ROOT, name)) as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def _write(name, value):
    try:
        with open(os.path.join(ROOT, name), "w") as file:
            file.write(value)
    except OSError as error:
        raise config.ConfigError("%s cannot be set to %s: %s" % (name, value, error.strerror)) from None
