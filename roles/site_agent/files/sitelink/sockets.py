# SPDX-License-Identifier: GPL-3.0-or-later
"""What owns a socket."""


class Held:
    """Can be waited for by select(), and closes its socket at the end of a with statement."""

    socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()
