# SPDX-License-Identifier: GPL-3.0-or-later
"""Names to IPv4 addresses by the system's resolver, beside the loop and in bounded time.

Each lookup is a child process, getent of the C library: it can be ended when DNS is silent (getaddrinfo in a thread
cannot, and a few dead names would hold every thread), and it reads resolv.conf anew each time (the C library of
CentOS 7 reads it once per process, which would leave a daemon that started without DNS without it for good).
"""

import collections
import ipaddress
import os
import subprocess

from . import dns

TIMEOUT = 8  # seconds; the C library gives a server 5 s, then asks the next
AT_ONCE = 32  # children; so many silent names may be waited for before another has to wait its turn


class Resolver:
    def __init__(self, loop):
        self._loop = loop
        self._queue = collections.deque()
        self._running = 0

    def lookup(self, host, callback):
        """Call back, later, with (addresses, reason): a list of texts, and a sentence when it is empty."""
        self._queue.append((host, callback))
        self._next()

    def _next(self):
        while self._queue and self._running < AT_ONCE:
            host, callback = self._queue.popleft()
            try:
                process = subprocess.Popen(
                    ["getent", "ahostsv4", host],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            except OSError as error:
                reason = "the name %s cannot be looked up: getent: %s" % (host, error.strerror)
                self._loop.after(0, lambda callback=callback, reason=reason: callback([], reason))
                continue
            self._running += 1
            _Lookup(self._loop, host, process, callback, self._done)

    def _done(self):
        self._running -= 1
        self._next()


class Questions:
    """One question for the addresses of a name, to several servers at once.

    servers: [(address, {options of dns.Question})]; the callback gets their dns.Answers, at the latest after dns.TIMEOUT.
    """

    def __init__(self, loop, host, servers, callback):
        self._loop, self._callback = loop, callback
        self._answers, self._open = [], []
        try:
            for address, way in servers:
                self._open.append(dns.Question(address, host, "A", **way))
        except (OSError, ValueError):
            pass  # no file left, or no name: the servers before this one are asked all the same
        for question in self._open:
            loop.watch(question, lambda question=question: self._take(question, question.read()))
        self._timers = [loop.after(dns.TIMEOUT / 2, self._again), loop.after(dns.TIMEOUT, self._end)]
        self._again()

    def _again(self):
        for question in list(self._open):
            self._take(question, question.send())
        if not self._open:
            self._loop.after(0, self._end)

    def _take(self, question, answer):
        if answer is None or question not in self._open:
            return
        self._answers.append(answer)
        self._close(question)
        if not self._open:
            self._loop.after(0, self._end)

    def _close(self, question):
        self._open.remove(question)
        self._loop.unwatch(question)
        question.close()

    def _end(self):
        if self._callback is None:
            return
        for question in list(self._open):
            self._answers.append(question.answer(dns.TIMED_OUT))
            self._close(question)
        for timer in self._timers:
            timer.cancel()
        callback, self._callback = self._callback, None
        callback(self._answers)


class _Lookup:
    def __init__(self, loop, host, process, callback, done):
        self.loop, self.host, self.process, self.callback, self.done = loop, host, process, callback, done
        self.output = b""
        self.timer = loop.after(TIMEOUT, self.on_timeout)
        loop.watch(process.stdout, self.on_readable)

    def on_readable(self):
        data = os.read(self.process.stdout.fileno(), 65536)
        if data:
            self.output += data
            return
        self.finish("the name %s has no IPv4 address, or no DNS server answers" % self.host)

    def on_timeout(self):
        self.output = b""
        self.finish("DNS did not answer for %s within %d s" % (self.host, TIMEOUT))

    def finish(self, reason):
        self.timer.cancel()
        self.loop.unwatch(self.process.stdout)
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        self.done()
        addresses = parse(self.output.decode(errors="replace"))
        self.callback(addresses, "" if addresses else reason)


def parse(text):
    """The addresses of `getent ahostsv4`, each once, in order."""
    found = []
    for line in text.splitlines():
        word = line.split(None, 1)[:1]
        try:
            address = str(ipaddress.IPv4Address(word[0]))
        except (IndexError, ValueError):
            continue
        if address not in found:
            found.append(address)
    return found
