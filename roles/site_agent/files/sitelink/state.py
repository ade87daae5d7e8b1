# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that daemons leave for each other and for `sitelink status`: atomic writes, and locks that say who runs."""

import fcntl
import json
import os
import tempfile
import time

from . import log


def read_json(path):
    """The object in a file, or {} when there is none (or one from a crash that is not JSON)."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(path, data, mode=0o644):
    """Replace a file in one step, and only when its content changes. Returns whether it was written."""
    return write_text(path, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n", mode)


def publish(path, data, mode=0o644):
    """write_json() by a daemon that has more to do than to tell: a full disk is logged, and costs it nothing else."""
    try:
        return write_json(path, data, mode)
    except OSError as error:
        log.log(log.WARNING, "%s cannot be written: %s" % (path, error.strerror))
        return False


def write_text(path, text, mode=0o644):
    """write_json() for what is text already."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    except (OSError, ValueError):
        pass
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix="." + os.path.basename(path), dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def mapping(value):
    """An object that was read, an empty one for what is no object."""
    return value if isinstance(value, dict) else {}


def items(value):
    """A list that was read, an empty one for what is no list."""
    return value if isinstance(value, list) else []


def lock(path, holder=""):
    """Take the lock of a daemon for the life of the process. Returns the open file, or None when another holds it.

    holder: who takes it, for others to read by holder().
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    file = open(path, "a")  # noqa: SIM115
    os.fchmod(file.fileno(), 0o644)  # whatever the umask: anybody may ask whether the daemon runs
    for _ in range(10):  # is_locked() of another process holds it for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.05)
            continue
        if holder:
            try:  # without a buffer: what a full disk refuses is refused here, and the lock is taken all the same
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), holder.encode())
            except OSError:
                pass
        return file
    file.close()
    return None


def holder(path):
    """Who said that it holds the lock; empty when nobody did."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def is_locked(path):
    """Whether the daemon that owns this lock is running. Needs no privilege."""
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
