# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done to a site's files, each with the sentence that says it and the diff that shows it."""

import posixpath
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from .site import KEPT, Found, Site
from .wanted import Directory, File, digest


class Change(NamedTuple):
    said: str
    path: str
    do: Callable[[], None]
    diff: Optional[Dict[str, Any]] = None
    keeps: bool = False  # the file, beside it


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return "(%d bytes that are no text)\n" % len(content)


def _sum(found: Found) -> str:
    return "SHA-256 %s\n" % digest(found.content) if found.kind else ""


def diff(path: str, before: str, after: str, note: str = "") -> Dict[str, Any]:
    header = "%s (%s)" % (path, note) if note else path
    return {"before": before, "after": after, "before_header": header, "after_header": header}


def _rights(mode: int, uid: Optional[int], gid: Optional[int]) -> str:
    return "mode %04o, owner %s, group %s\n" % (mode, uid, gid)


def directory(site: Site, wanted: Directory) -> Iterator[Change]:
    path, found = wanted.path, site.look_at_directory(wanted.path)
    uid = found.uid if wanted.uid is None else wanted.uid
    gid = found.gid if wanted.gid is None else wanted.gid
    if not found.kind:

        def make() -> None:
            site.make_directory(path, wanted.mode, wanted.uid, wanted.gid)

        yield Change("made the directory " + path, path, make, diff(path, "", "directory\n"))
    elif (found.mode, found.uid, found.gid) != (wanted.mode, uid, gid):
        yield _rights_change(site, path, found, wanted.mode, uid, gid)


def _rights_change(site: Site, path: str, found: Found, mode: int, uid: int, gid: int) -> Change:
    return Change(
        "set the mode and the owner of " + path,
        path,
        lambda: site.set_owner(path, mode, uid, gid),
        diff(path, _rights(found.mode, found.uid, found.gid), _rights(mode, uid, gid), "mode and owner"),
    )


def file(site: Site, wanted: File) -> Iterator[Change]:
    """What brings one file to what is wanted."""
    path, found = wanted.path, site.look(wanted.path)
    if found.kind == "file" and digest(found.content) == wanted.digest:
        if (found.mode, found.uid, found.gid) != (wanted.mode, wanted.uid, wanted.gid):
            yield _rights_change(site, path, found, wanted.mode, wanted.uid, wanted.gid)
        yield from _broken_off(site, path)
        return
    if found.kind and not wanted.is_ours(found.content) and not site.is_there(path + KEPT):
        said = "kept %s as %s%s: it was not of this layer" % (path, path, KEPT)
        yield Change(said, path, lambda: site.keep(path), keeps=True)
    shown = diff(path, _text(found.content), _text(wanted.content))
    if wanted.sha256:
        shown = diff(path, _sum(found), "SHA-256 %s\n" % wanted.sha256)
    yield Change(
        "wrote " + path,
        path,
        lambda: site.write(path, wanted.content, wanted.mode, wanted.uid, wanted.gid),
        None if wanted.secret else shown,
    )


def no_file(site: Site, wanted: File, own: List[str]) -> Iterator[Change]:
    """What takes one file away again, and gives back what it replaced. own: all paths of the layer."""
    path, found = wanted.path, site.look(wanted.path)
    if wanted.needed_by and [other for other in site.find(wanted.needed_by) if other not in own]:
        return
    yield from _broken_off(site, path)
    if found.kind and not wanted.is_ours(found.content):
        return  # somebody put it there after us
    before = site.look(path + KEPT) if wanted.ours else Found("")
    shown = None if wanted.secret else diff(path, _text(found.content), _text(before.content))
    if wanted.sha256:
        shown = diff(path, _sum(found), _sum(before))
    if before.kind:
        yield Change("put %s back as it was before" % path, path, lambda: site.put_back(path), shown)
    elif found.kind:
        yield Change("removed " + path, path, lambda: site.remove(path), shown)


def _broken_off(site: Site, path: str) -> Iterator[Change]:
    temporary = site.temporary(path)
    if site.is_there(temporary):
        yield Change("removed what a run that broke off left of " + path, path, lambda: site.remove(temporary))


def gone(site: Site, path: str) -> Change:
    """Whether there was a secret in it nobody knows, so that the diff does not show it."""
    return Change("removed " + path, path, lambda: site.remove(path), diff(path, "(there)\n", ""))


def missing_parent(site: Site, wanted: File, directories: List[Directory]) -> str:
    """The directory that a file lacks; empty where it is there, or is made before."""
    parent = posixpath.dirname(wanted.path)
    if site.look_at_directory(parent).kind == "directory":
        return ""
    return "" if any(parent == each.path for each in directories) else parent
