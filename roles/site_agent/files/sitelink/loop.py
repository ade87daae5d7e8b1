# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread, one loop: file descriptors, timers and signals of a daemon, with systemd's watchdog."""

import heapq
import itertools
import os
import selectors
import signal
import socket
import time

from .notify import Notifier


class Timer:
    __slots__ = ("callback",)

    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class Loop:
    def __init__(self):
        self.notifier = Notifier()
        self._selector = selectors.DefaultSelector()
        self._timers = []
        self._order = itertools.count()
        self._signals = {}
        self._running = True
        self._wakeup, sender = socket.socketpair()
        self._wakeup.setblocking(False)
        sender.setblocking(False)
        self._sender = sender
        signal.set_wakeup_fd(sender.fileno())
        self.watch(self._wakeup, self._on_wakeup)
        self.on_signal(signal.SIGTERM, self.stop)
        self.on_signal(signal.SIGINT, self.stop)
        if self.notifier.watchdog:
            self.every(self.notifier.watchdog, lambda: self.notifier.send("WATCHDOG=1"))

    def watch(self, file, callback):
        self._selector.register(file, selectors.EVENT_READ, callback)

    def unwatch(self, file):
        self._selector.unregister(file)

    @staticmethod
    def now():
        """Seconds of the clock that the timers go by."""
        return time.monotonic()

    def after(self, seconds, callback):
        timer = Timer(callback)
        heapq.heappush(self._timers, (self.now() + seconds, next(self._order), timer))
        return timer

    def every(self, seconds, callback):
        def again():
            callback()
            self.after(seconds, again)

        self.after(seconds, again)

    def on_signal(self, number, callback):
        self._signals[number] = callback
        signal.signal(number, lambda *_: None)  # the number arrives by the wakeup socket

    def stop(self):
        self._running = False

    def run(self):
        """Run until stop(). An exception of a callback ends the daemon; systemd starts it again."""
        while self._running:
            timeout = None
            if self._timers:
                timeout = max(0.0, self._timers[0][0] - time.monotonic())
            for key, _ in self._selector.select(timeout):
                if key.fd in self._selector.get_map():  # an earlier callback may have unwatched it
                    key.data()
            now = time.monotonic()
            while self._running and self._timers and self._timers[0][0] <= now:
                callback = heapq.heappop(self._timers)[2].callback
                if callback is not None:
                    callback()
        self.notifier.send("STOPPING=1")

    def _on_wakeup(self):
        try:
            numbers = os.read(self._wakeup.fileno(), 512)
        except BlockingIOError:
            return
        for number in sorted(set(numbers)):
            callback = self._signals.get(number)
            if callback is not None:
                callback()
