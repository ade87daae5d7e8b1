# SPDX-License-Identifier: GPL-3.0-or-later
"""Units run what is written, or are gone. What runs something older is told by the site's own program: its daemons say by digests
what they have loaded, `sitelink service` compares, and operators type the same command."""

import json
import os
import re
from typing import Dict, Iterator, List

from .site import Site
from .wanted import Refused

DIRECTORY = "/etc/systemd/system"
_UNIT = re.compile(r"[^@]+(@.+)?\.(service|timer|path|socket|mount|target)\Z")
SAID = {"disable": "disabled", "stop": "stopped", "reset-failed": "forgot the failure of"}


def is_unit_file(path: str) -> bool:
    return os.path.dirname(path) == DIRECTORY


def is_unit(path: str) -> bool:
    """Whether a file is a unit that can be stopped by its name: a template has only its instances."""
    return is_unit_file(path) and _UNIT.match(os.path.basename(path)) is not None


def bring(site: Site, program: str, dry_run: bool, written: Dict[str, str], units: List[str]) -> Iterator[str]:
    """Make these units run what is written. Yields a sentence for each thing that it did, or would do; raises Refused.

    units: or --upgrade for the daemons that run an older program, whichever there are.
    written: digests of what a run in check mode would have written by now. By standard input, where nobody else sees them: a
    password could be guessed by the digest of its file.
    """
    about = "the daemons" if units == ["--upgrade"] else ", ".join(units)
    argv = [program, "service"] + (["--dry-run", "--as-if=/dev/stdin"] if dry_run else []) + units
    done = site.run(argv, json.dumps(written) if dry_run else "")
    words = re.sub("^sitelink: ", "", " ".join(done.complained.split())) or "%s ended with %d" % (program, done.code)
    if dry_run and done.code:
        # No program yet, an older one that does not know the option, or files that it would find in earnest.
        yield "would see that %s run what is written (%s)" % (about, words)
        return
    yield from done.said.splitlines()
    if done.code:
        raise Refused(["%s: %s" % (about, words)])


class Systemd:
    """systemctl, for units that go."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def show(self, unit: str) -> Dict[str, str]:
        said = self.site.run(["systemctl", "show", "--property=ActiveState", "--property=NeedDaemonReload", unit]).said
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def needed(self, unit: str) -> Iterator[str]:
        """The verbs that make the unit go, each after the one before was done."""
        # By the links that there are: systemd remembers what it was told of a unit.
        if self.site.run(["systemctl", "is-enabled", unit]).said.startswith("enabled"):
            yield "disable"
        if self.show(unit).get("ActiveState", "inactive") not in ("inactive", "failed"):
            yield "stop"
        if self.show(unit).get("ActiveState") == "failed":
            yield "reset-failed"

    def is_outdated(self, unit: str) -> bool:
        return self.show(unit).get("NeedDaemonReload") == "yes"

    def do(self, *words: str) -> None:
        """Raises Refused with what systemctl says."""
        done = self.site.run(["systemctl"] + list(words))
        if done.code:
            said = " ".join((done.complained + done.said).split())
            raise Refused(["%s: systemctl %s: %s" % (words[-1], words[0], said or "it ended with %d" % done.code)])
