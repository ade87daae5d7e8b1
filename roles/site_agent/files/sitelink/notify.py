# SPDX-License-Identifier: GPL-3.0-or-later
"""sd_notify(3): tell systemd that a daemon is ready, alive, and what it is doing."""

import os
import socket


class Notifier:
    """The manager's socket. It is taken out of the environment, so that no child process can speak for the daemon."""

    def __init__(self, environ=os.environ):
        address = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        self.watchdog = None  # seconds between two signs of life, or None
        if usec.isdigit() and pid in ("", str(os.getpid())):
            self.watchdog = int(usec) / 3e6
        self._socket = None
        if address:
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def send(self, *lines):
        if self._socket is not None:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                pass  # a manager that is being replaced; the next sign of life reaches the new one

    def status(self, text):
        self.send("STATUS=" + text.replace("\n", " "))
