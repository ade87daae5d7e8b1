# SPDX-License-Identifier: GPL-3.0-or-later
"""Pings that go on, 20 per second for each ordered pair, while something changes; and how many of them that cost."""

import contextlib
import re
import signal
import subprocess
import time

from lab_tests import ADDRESS, OVERLAY, STATE, lab

INTERVAL = 0.05
QUIET = 10  # seconds; what something done to a site costs comes sooner, or with another line in the journal
RARE = 1000  # packets of which a machine under load may drop one
# What says in a journal that something was done: Ansible's modules, what we put there, and the network manager.
DONE = re.compile(r"(?m)^(\d+\.\d+) \S+ (?:.*\b(?:ansible-|sitelink|wg-quick)|systemd-networkd).*$")
JOURNAL = ["journalctl", "--quiet", "--output=short-unix"]


class Pings(dict):
    """{(from, to): (sent, lost)} once the context has ended. when: {(from, to): [the second in which a lost one was sent]}."""

    def __init__(self):
        super().__init__()
        self.when = {}

    def lost(self):
        return {pair: count for pair, count in self.items() if count[1]}

    def spare(self, journals):
        """Take out what the machine dropped, and not what was done. journals: {site: what its journal says since the first ping}.

        That is a packet between two that arrived, sent when nothing had been done to either site for QUIET seconds. More of
        them than a machine under load drops are a fault all the same.
        """
        done = {site: [float(second) for second in DONE.findall(text)] for site, text in journals.items()}
        for pair, (sent, lost) in self.lost().items():
            times, near = self.when[pair], [moment for site in pair for moment in done[site]]
            quiet = [
                one for one in times if times.count(one) == 1 and not any(-1 < one - moment < QUIET for moment in near)
            ]
            print(
                pair, "lost", lost, "of", sent, "sent in the seconds", times, "of which nothing was done before", quiet
            )
            for site in pair:
                print(site, *(line.group() for line in DONE.finditer(journals[site])), sep="\n  ")
            if lost > 0 and len(quiet) <= max(1, sent // RARE):
                self[pair] = (sent, lost - len(quiet))


@contextlib.contextmanager
def pings(pairs, addresses=ADDRESS, overlay=OVERLAY):
    """Ping every pair while the context lasts. What is under way at the end counts as arrived."""
    began = int(time.time())
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
        sites = {site for pair in found.lost() for site in pair}
        found.spare({site: lab("exec", site, "--", *JOURNAL, f"--since=@{began}") for site in sites})
