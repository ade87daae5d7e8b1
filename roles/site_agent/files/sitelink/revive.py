# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a WireGuard interface back that went away behind its unit's back: deleted by hand, or its wireguard-go was killed.

wg-quick@.service is of Type=oneshot with RemainAfterExit: nothing restarts it, and `systemctl start` does nothing while it counts as
active. A unit that somebody stopped stays stopped.
"""

import subprocess

from . import log

# Seconds until the first attempt (whoever restarts the unit at this moment is left alone), and between the next ones.
DELAYS = (1, 5, 15, 60)
TIMEOUT = 5  # seconds that systemctl may take


class Revive:
    def __init__(self, loop, interface, gone, execute=None):
        """gone() says whether the interface is missing now; execute(argv) returns (exit code, output)."""
        self.loop, self.unit, self.gone = loop, "wg-quick@%s.service" % interface, gone
        self.execute = execute or _run
        self.interface = interface
        self.tries, self.timer = 0, None

    def missing(self):
        """The interface is missing: look after it, unless that is under way."""
        if self.timer is None:
            self.timer = self.loop.after(DELAYS[min(self.tries, len(DELAYS) - 1)], self.attempt)

    def present(self):
        """It is there."""
        if self.timer is not None:
            self.timer.cancel()
        self.tries, self.timer = 0, None

    def attempt(self):
        self.timer = None
        if not self.gone():
            return self.present()
        code, text = self.execute(["systemctl", "show", "--property=ActiveState,Job", self.unit])
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        # `failed` after an attempt of ours: wg-quick may succeed the next time. Of others': they know.
        wanted = values.get("ActiveState") == "active" or (values.get("ActiveState") == "failed" and self.tries)
        if code or not wanted or values.get("Job", "0") not in ("", "0"):
            if not code and values.get("ActiveState") in ("active", "activating", "deactivating"):
                self.missing()  # a job of others is under way
            return None
        self.tries += 1
        log.log(log.WARNING, "%s is gone though its unit counts as active; restarting %s" % (self.interface, self.unit))
        code, text = self.execute(["systemctl", "restart", "--no-block", self.unit])
        if code:
            log.log(log.WARNING, "%s cannot be restarted: %s" % (self.unit, text.strip()[-300:]))
        self.missing()  # looks again
        return None


def _run(argv):
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")
