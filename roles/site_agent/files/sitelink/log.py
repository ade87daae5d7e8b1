# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines for journald: a "<priority>" prefix on stderr, left out where a person is watching."""

import sys

ERROR, WARNING, INFO = 3, 4, 6


def log(priority, message):
    prefix = "" if sys.stderr.isatty() else "<%d>" % priority
    sys.stderr.write(prefix + message.replace("\n", " ") + "\n")
    sys.stderr.flush()
