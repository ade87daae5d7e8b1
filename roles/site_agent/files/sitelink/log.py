# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines: with a "<priority>" prefix where journald reads them (sd-daemon(3)), plain elsewhere."""

import os
import sys

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6


def log(priority, message):
    prefix = "<%d>" % priority if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(prefix + message.replace("\n", " ") + "\n")
    sys.stderr.flush()
