# SPDX-License-Identifier: GPL-3.0-or-later
"""Pings that go on, 20 per second for each ordered pair, while something changes; and how many of them were lost."""

import contextlib
import re
import signal
import subprocess

from lab_tests import ADDRESS, OVERLAY, STATE

INTERVAL = 0.05


class Pings(dict):
    """{(from, to): (sent, lost)} once the context has ended. when: {(from, to): [the second in which a lost one was sent]}."""

    def __init__(self):
        super().__init__()
        self.when = {}

    def lost(self):
        return {pair: count for pair, count in self.items() if count[1]}


@contextlib.contextmanager
def pings(pairs, addresses=ADDRESS, overlay=OVERLAY):
    """Ping every pair while the context lasts. What is under way at the end counts as arrived."""
    ssh = ["ssh", "-i", str(STATE / "id_ed25519"), "-o", f"UserKnownHostsFile={STATE / 'known_hosts'}"]
    processes = {}
    for one, other in pairs:
        command = f"exec ping -D -n -i {INTERVAL} -W 10 {overlay[other]}"
        processes[one, other] = subprocess.Popen(
            [*ssh, "-tt", f"root@{addresses[one]}", command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    found = Pings()
    try:
        yield found
    finally:
        for process in processes.values():
            process.stdin.write("\x03")  # as from a keyboard: ping prints its sum
            process.stdin.flush()
        for pair, process in processes.items():
            try:
                text = process.communicate(timeout=20)[0]
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                text = process.communicate()[0]
            answers = re.findall(r"\[([\d.]+)\] .*icmp_seq=(\d+) ttl", text)
            times = {int(number): float(second) for second, number in answers}
            seen = sorted(times)
            # Sent, but for those at the very end; a number of ping's own runs over after 65535.
            sent = seen[-1] if seen else 0
            gone = [number for number in range(1, sent) if number not in times]
            found.when[pair] = [max((times[one] for one in seen if one < number), default=0) for number in gone]
            found[pair] = (sent, sent - len(seen) if seen else -1)
