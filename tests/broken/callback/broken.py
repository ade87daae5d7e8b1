# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends the run at once behind its N-th task that changed something at a site (SITELINK_BREAK_AFTER), as a power cut would: the
process is killed, and neither the tasks that follow nor any handler run. SITELINK_BREAK_LOG names the file that says which, and
SITELINK_BREAK_BUT has the names of tasks that are not counted, a line each."""

import os
import signal

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: broken
type: aggregate
short_description: kills the run behind its N-th changed task
description: For tests/broken.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "broken"
    CALLBACK_NEEDS_ENABLED = True

    but = os.environ.get("SITELINK_BREAK_BUT", "").splitlines()
    left = int(os.environ.get("SITELINK_BREAK_AFTER", "0"))

    def v2_runner_on_ok(self, result):
        found = getattr(result, "result", None) or result._result
        name = (getattr(result, "task", None) or result._task).get_name()
        if not found.get("changed") or name in self.but:
            return
        self.left -= 1
        if self.left == 0:
            with open(os.environ["SITELINK_BREAK_LOG"], "w") as file:
                file.write(name)
            os.kill(os.getpid(), signal.SIGKILL)
