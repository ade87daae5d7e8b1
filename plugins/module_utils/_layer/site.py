# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's files and programs, looked at and changed in single steps. A file is whole at any time, wherever a run breaks off."""

import glob
import os
import stat
import subprocess
from typing import Callable, List, NamedTuple, Optional, Sequence

KEPT = ".before-sitelink"
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


class Found(NamedTuple):
    """What lies at a path. kind: file, directory, link or other; empty where nothing is."""

    kind: str
    content: bytes = b""  # of a file; of a link where it points to
    mode: int = 0
    uid: int = 0
    gid: int = 0


class Done(NamedTuple):
    """How a program ended. code: 127 where there is no such program."""

    code: int
    said: str
    complained: str = ""


def run(argv: Sequence[str], stdin: str = "") -> Done:
    # Who comes in by SSH may have no sbin on his path.
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            list(argv),
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            env=dict(os.environ, PATH=path),
        )
    except (FileNotFoundError, NotADirectoryError):
        return Done(127, "", "%s is not there" % argv[0])
    except OSError as error:
        return Done(126, "", "%s cannot be run: %s" % (argv[0], error.strerror))
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


class Site:
    def __init__(
        self,
        root: str = "",
        run: Callable[..., Done] = run,
        label: Callable[[str, str], None] = lambda temporary, path: None,
    ) -> None:
        """root: of tests. label(temporary, path): gives a file the label that SELinux wants at its path."""
        self.root, self.run, self.label = root, run, label

    def at(self, path: str) -> str:
        return self.root + path

    def look(self, path: str) -> Found:
        try:
            found = os.lstat(self.at(path))
        except (FileNotFoundError, NotADirectoryError):
            return Found("")
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "other")
        content = b""
        if kind == "link":
            content = os.fsencode(os.readlink(self.at(path)))
        if kind == "file":
            with open(self.at(path), "rb") as file:
                content = file.read()
        return Found(kind, content, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)

    def look_at_directory(self, path: str) -> Found:
        """The same by way of links: /var/run is a directory too."""
        if not os.path.isdir(self.at(path)):
            return self.look(path)
        found = os.stat(self.at(path))
        return Found("directory", b"", stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)

    def is_there(self, path: str) -> bool:
        return os.path.lexists(self.at(path))

    def find(self, pattern: str) -> List[str]:
        """The paths that fit a pattern, or the path itself where it is there."""
        found = glob.glob(glob.escape(self.root) + pattern)
        return sorted(path[len(self.root) :] for path in found)

    def make_directory(self, path: str, mode: int, uid: Optional[int], gid: Optional[int]) -> None:
        """And those above it that are missing, alike."""
        if os.path.isdir(self.at(path)):
            return
        self.make_directory(os.path.dirname(path), mode, uid, gid)
        temporary = self.temporary(path)
        self.remove(temporary)
        os.mkdir(self.at(temporary), 0o700)
        self.set_owner(temporary, mode, uid, gid)
        self.label(self.at(temporary), self.at(path))
        os.rename(self.at(temporary), self.at(path))

    def set_owner(self, path: str, mode: int, uid: Optional[int], gid: Optional[int]) -> None:
        os.chown(self.at(path), -1 if uid is None else uid, -1 if gid is None else gid)
        os.chmod(self.at(path), mode)

    @staticmethod
    def temporary(path: str) -> str:
        """Hidden, which whoever reads a whole directory takes for none of its files; a later run finds it again by its name."""
        return os.path.join(os.path.dirname(path), ".%s.sitelink-new" % os.path.basename(path))

    def write(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        temporary = self.temporary(path)
        self.remove(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        handle = os.open(self.at(temporary), flags, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchown(file.fileno(), uid, gid)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            self.label(self.at(temporary), self.at(path))
            os.rename(self.at(temporary), self.at(path))
        except OSError:
            self.remove(temporary)
            raise

    def keep(self, path: str) -> None:
        """Beside it. The path itself is never missing."""
        try:
            os.link(self.at(path), self.at(path + KEPT), follow_symlinks=False)
        except OSError:  # a file system without links
            found = self.look(path)
            if found.kind == "link":
                os.symlink(found.content, os.fsencode(self.at(path + KEPT)))
            else:
                self.write(path + KEPT, found.content, found.mode, found.uid, found.gid)

    def put_back(self, path: str) -> None:
        os.rename(self.at(path + KEPT), self.at(path))

    def remove(self, path: str) -> None:
        """Files and links; of a directory what is in it goes first."""
        try:
            if os.path.isdir(self.at(path)) and not os.path.islink(self.at(path)):
                for name in os.listdir(self.at(path)):
                    self.remove(os.path.join(path, name))
                os.rmdir(self.at(path))
            else:
                os.unlink(self.at(path))
        except FileNotFoundError:
            pass
