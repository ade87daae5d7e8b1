# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer is brought to a site, or taken away: all of it is looked at and judged first, and changed after that.

What is to be done follows from what is, and never from what this run has just changed: a run that broke off anywhere is
finished by the next one.
"""

import contextlib
import itertools
import os
import tempfile
from functools import partial
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from . import changes, sysctls, units
from .changes import Change
from .site import KEPT, Site
from .wanted import Command, File, Refused, Undo, Wanted, digest


@contextlib.contextmanager
def _said(path: str) -> Iterator[None]:
    """Says what it was about when the system refuses."""
    try:
        yield
    except OSError as error:
        raise Refused(["%s: %s" % (path, error.strerror or error)]) from None


class Layer:
    def __init__(
        self, site: Site, wanted: Wanted, check: bool = False, scratch: str = "/tmp", strict: bool = False
    ) -> None:
        """scratch: a directory that nobody else may enter, for the files that validate looks at.

        strict, with check: what a run would do is all in `done`, or raised; what gives no answer is not as it is wanted.
        """
        self.site, self.wanted, self.check, self.scratch, self.strict = site, wanted, check, scratch, strict
        self.done: List[str] = []
        self.diff: List[Dict[str, Any]] = []
        self.kept: List[str] = []
        self.refused: List[str] = []  # what did not start, and was allowed not to
        self.warnings: List[str] = []
        self.said: List[str] = []  # by commands, of what they changed
        self.systemd = units.Systemd(site)
        self.stale = False  # systemd has not read all unit files as they are
        self.own = [file.path for file in wanted.files]

    def lacking(self) -> List[str]:
        """The files whose content has to be sent, as the site has not got it."""
        files = [file for file in self.wanted.files if file.lacks_content]
        return [file.path for file in files if digest(self.site.look(file.path).content) != file.sha256]

    def present(self) -> None:
        """Raises Refused; what was done until then stands in `done`."""
        site, wanted = self.site, self.wanted
        kernels = [sysctls.Kernel(site, each, self._file(each.path).content) for each in wanted.sysctls]
        problems = self._in_the_way()
        for file in wanted.files:
            problems += self._validate(file)
        for kernel in kernels:
            problems += kernel.problems()
        if problems:
            raise Refused(problems)
        for directory in wanted.directories:
            self._do(changes.directory(site, directory))
        for file in wanted.files:
            self._do(changes.file(site, file))
        self.stale = False  # what was written until now the last step looks at
        self._take_away(wanted.remains, wanted.undo)
        self._reload()
        for command in wanted.commands:
            if not command.creates:
                self._let_say(command)
            elif not site.is_there(command.creates):
                self._do([Change("ran " + " ".join(command.argv), command.creates, partial(self._run, command.argv))])
        for kernel in kernels:
            self._set(kernel)
        self._bring()

    def absent(self) -> None:
        """Raises Refused, as present() does. Directories stay: what else lies in them is not known here."""
        site, wanted = self.site, self.wanted
        if wanted.needed_by and [path for path in site.find(wanted.needed_by) if path not in self.own]:
            return
        if wanted.known_by and not any(site.is_there(path) for path in wanted.known_by):
            return
        self.stale = any(self.systemd.is_outdated(unit) for unit in wanted.units)
        for unit in reversed(wanted.units):
            self._undo(undo for undo in wanted.undo if undo.before == unit)
            self._stop(unit)
        self._undo(undo for undo in wanted.undo if not undo.before)
        for each in wanted.sysctls:
            self._set(sysctls.Kernel(site, each, None))
        self._take_away(wanted.state_files + wanted.remains)
        # The first one last of all: the commands above need it, and a run that breaks off knows the layer by it.
        for file in reversed(wanted.files[1:]):
            self._do(changes.no_file(site, file, self.own))
        self._reload()
        for file in wanted.files[:1]:
            self._do(changes.no_file(site, file, self.own))
        self._reload()

    def _file(self, path: str) -> File:
        return next(file for file in self.wanted.files if file.path == path)

    def _in_the_way(self) -> List[str]:
        found = []
        for directory in self.wanted.directories:
            if self.site.look_at_directory(directory.path).kind not in ("", "directory"):
                found.append("%s: it is no directory; move away what is there" % directory.path)
        for file in self.wanted.files:
            if self.site.look(file.path).kind in ("directory", "other"):
                found.append("%s: it is no file; move away what is there" % file.path)
            parent = changes.missing_parent(self.site, file, self.wanted.directories)
            if parent and not self.check:  # what comes before this layer would have made it
                found.append("%s: the directory %s is missing" % (file.path, parent))
        return found

    @contextlib.contextmanager
    def _copy(self, file: File) -> Iterator[str]:
        """The path of a copy of what the file is to be."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            path = os.path.join(directory, os.path.basename(file.path))
            with open(path, "wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                copy.write(file.content)
            yield path

    def _validate(self, file: File) -> List[str]:
        """Also where the site has this content: what it is compared with may have changed."""
        if not file.validate:
            return []
        with self._copy(file) as path:
            done = self.site.run([word.replace("%s", path) for word in file.validate])
        said, complained = (
            [line.strip().replace(path, file.path) for line in text.splitlines() if line.strip()]
            for text in (done.said, done.complained)
        )
        if done.code == 0 and not file.secret:
            self.warnings += complained
        if done.code == 0 or (self.check and done.code != 1 and not self.strict):
            return []  # in check mode the program may not be there, or be an older one: that is no answer
        if file.secret:
            return [
                "%s: %s refuses it; its words are not shown, as they may quote the secret"
                % (file.path, file.validate[0])
            ]
        words = "; ".join(said + complained) or "%s ended with %d" % (file.validate[0], done.code)
        return ["%s: %s" % (file.path, words)]

    def _do(self, wanted: Iterable[Change]) -> None:
        for change in wanted:
            if not self.check:
                with _said(change.path):
                    change.do()
            self.done.append(change.said)
            self.diff += [change.diff] if change.diff else []
            self.kept += [change.path] if change.keeps else []
            self.stale = self.stale or units.is_unit_file(change.path)

    def _undo(self, wanted: Iterable[Undo]) -> None:
        for undo in wanted:
            if not self.site.is_there(undo.needs):
                continue
            if undo.dry_run:
                self._let_say(Command(undo.argv, "", "", undo.dry_run))
            else:
                self._do([Change("ran " + " ".join(undo.argv), undo.needs, partial(self._run, undo.argv))])

    def _let_say(self, command: Command) -> None:
        """A command that knows by itself what is to be done, and says it line by line."""
        argv = [word.replace("%s", command.reads) for word in command.argv]
        if self.check:
            with contextlib.ExitStack() as stack:
                path = stack.enter_context(self._copy(self._file(command.reads))) if command.reads else ""
                done = self.site.run([word.replace("%s", path) for word in command.argv] + list(command.dry_run))
            if done.code not in (0, 1):  # no program yet, or an older one
                self.done.append("would run " + " ".join(argv))
                return
        else:
            done = self.site.run(argv)
        self.said += done.said.splitlines()
        self.done += done.said.splitlines()
        if done.code:
            raise Refused(
                ["%s: %s" % (" ".join(argv), " ".join(done.complained.split()) or "it ended with %d" % done.code)]
            )

    def _run(self, argv: Tuple[str, ...]) -> None:
        done = self.site.run(list(argv))
        if done.code:
            said = " ".join((done.complained + done.said).split())
            raise Refused(["%s: %s" % (" ".join(argv), said or "it ended with %d" % done.code)])

    def _take_away(self, patterns: List[str], undo: Iterable[Undo] = ()) -> None:
        """undo: what needs one of these files runs before that goes."""
        found = {path for pattern in patterns for path in self.site.find(pattern)} - set(self.own)
        paths = sorted(path for path in found if not path.endswith(KEPT))  # somebody else's, whoever keeps it
        for path in paths:
            if os.path.dirname(path) == "/" and self.site.look(path).kind == "directory":
                raise Refused(["%s: no layer takes a whole directory of / away" % path])
        for path in paths:
            if units.is_unit(path):
                self._stop(os.path.basename(path))
        self._undo(each for each in undo if each.needs in paths)
        for path in paths:
            self._do([changes.gone(self.site, path)])

    def _stop(self, unit: str) -> None:
        for verb in self.systemd.needed(unit):
            self._do([Change("%s %s" % (units.SAID[verb], unit), unit, partial(self.systemd.do, verb, unit))])

    def _reload(self) -> None:
        if self.stale:
            self._do([Change("let systemd read its units anew", "systemd", partial(self.systemd.do, "daemon-reload"))])
        self.stale = False

    def _set(self, kernel: sysctls.Kernel) -> None:
        with _said(kernel.wanted.before):
            if not self.check:
                kernel.remember()
            for value in list(kernel.differing()):
                said = "%s is %s now instead of %s" % (value.name, value.value, value.now)
                shown = changes.diff(sysctls.KERNEL + value.name, value.now + "\n", value.value + "\n")
                self._do([Change(said, value.name, partial(kernel.write, value), shown)])
            if not self.check:
                kernel.forget()
            elif self.strict and not kernel.is_kept():  # which a run does without a word
                self.done.append("what %s keeps is to be written anew" % kernel.wanted.before)

    def _bring(self) -> None:
        written = {}
        if self.check:
            for file in self.wanted.files:
                if digest(self.site.look(file.path).content) != file.digest:
                    written[file.path] = file.digest
        bring = partial(units.bring, self.site, self.wanted.program, self.check, written)
        for may_fail, group in itertools.groupby(self.wanted.units, key=lambda unit: unit in self.wanted.may_fail):
            self._say(bring(list(group)), may_fail)
        if self.wanted.upgrade:
            self._say(bring(["--upgrade"]), True)

    def _say(self, lines: Iterable[str], may_fail: bool) -> None:
        try:
            for line in lines:
                self.done.append(line)
        except Refused as refused:
            if not may_fail:
                raise
            self.refused += refused.problems
