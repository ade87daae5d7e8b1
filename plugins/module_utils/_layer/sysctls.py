# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel has the values that a file below /etc/sysctl.d says, by reading them back."""

from typing import Dict, Iterable, Iterator, NamedTuple, Optional

from .site import Site
from .wanted import Refused, Sysctls

KERNEL = "/proc/sys/"
HEAD = "# What the kernel had before sitelink set it.\n"


class Value(NamedTuple):
    name: str
    value: str
    now: str


def read(text: str) -> Dict[str, str]:
    """{name as in /proc/sys: value}."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.split("#")[0].partition("=")
        if equals:
            found[_slashes(name.strip())] = " ".join(value.split())
    return found


def _text(values: Dict[str, str]) -> str:
    return HEAD + "".join("%s=%s\n" % item for item in sorted(values.items()))


def _slashes(name: str) -> str:
    """sysctl.d(5): where the first separator is a dot, slashes stand for the dots in a NIC's name."""
    first = next((letter for letter in name if letter in "./"), "/")
    return name.translate(str.maketrans("./", "/.")) if first == "." else name


class Kernel:
    """The kernel's values on one site, and those of before, which are kept in a file until nobody sets the value any more."""

    def __init__(self, site: Site, wanted: Sysctls, content: Optional[bytes]) -> None:
        """content: of the file; None where all is to be as it was before."""
        self.site, self.wanted = site, wanted
        self.values = read((content or b"").decode(errors="replace"))
        self.kept: Dict[str, str] = {}
        if wanted.before:
            found = site.look(wanted.before).content.decode(errors="replace")
            self.kept = read(found)
            if content is not None and not found.startswith(HEAD):
                # An early version kept values that it did not change: to write those would undo somebody else's change.
                self.kept = {name: value for name, value in self.kept.items() if name in self.values}
        if content is None and wanted.inherit:
            self._inherit(read(site.look(wanted.path).content.decode(errors="replace")))

    def _inherit(self, names: Iterable[str]) -> None:
        for name in names:
            value = self.now("%s/%s" % (self.wanted.inherit, name.rpartition("/")[2]))
            if value is not None:
                self.kept.setdefault(name, value)

    def problems(self) -> Iterator[str]:
        for name in sorted(self.values):
            if self.now(name) is None and not self.wanted.missing_ok:
                yield "%s: the kernel has no %s" % (self.wanted.path, name)

    def now(self, name: str) -> Optional[str]:
        try:
            with open(self.site.at(KERNEL + name)) as file:
                return " ".join(file.read().split())
        except OSError:
            return None

    def differing(self) -> Iterator[Value]:
        """What is to be written. A value that the kernel has not is set by systemd when its NIC comes."""
        gone = {name: value for name, value in self.kept.items() if name not in self.values}
        for name, value in sorted(list(self.values.items()) + list(gone.items())):
            now = self.now(name)
            if now is not None and now != value:
                yield Value(name, value, now)

    def remember(self) -> None:
        """Before a value is written: what it was."""
        self.kept.update(self._fresh())
        self._keep(self.kept)

    def forget(self) -> None:
        """After all are written: what is nobody's any more."""
        self._keep(self._lasting(self.kept))

    def is_kept(self) -> bool:
        """Whether remember() and forget() would leave the file of before as it is."""
        return not self.wanted.before or self._has(self._lasting(dict(self.kept, **self._fresh())))

    def _fresh(self) -> Dict[str, str]:
        found = {name: self.now(name) for name in self.values if name not in self.kept}
        return {name: value for name, value in found.items() if value is not None}

    def _lasting(self, kept: Dict[str, str]) -> Dict[str, str]:
        return {name: value for name, value in kept.items() if name in self.values}

    def _keep(self, values: Dict[str, str]) -> None:
        path = self.wanted.before
        if not path or self._has(values):
            return
        if not values:
            self.site.remove(path)
        else:
            self.site.make_directory(path.rpartition("/")[0], 0o755, 0, 0)
            self.site.write(path, _text(values).encode(), 0o644, 0, 0)

    def _has(self, values: Dict[str, str]) -> bool:
        """Whether the file of before says this; without any value it is not there."""
        found = self.site.look(self.wanted.before)
        return found.content == _text(values).encode() if values else not found.kind

    def write(self, value: Value) -> None:
        try:
            with open(self.site.at(KERNEL + value.name), "w") as file:
                file.write(value.value)
        except OSError as error:
            raise Refused(
                ["%s: cannot be set to %s: %s" % (KERNEL + value.name, value.value, error.strerror)]
            ) from None
        now = self.now(value.name)
        if now != value.value:
            raise Refused(["%s: was set to %s, and is %s" % (KERNEL + value.name, value.value, now)])
