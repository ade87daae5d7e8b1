# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes what concerns one NIC out of a file that configures others too; every other line stays byte for byte."""

import fnmatch
import re


class CutError(Exception):
    """A predicate ("holds ...") about the file."""


def without(path, text, nic):
    """The text of a file of netplan or ifupdown without the NIC. Raises CutError."""
    return _netplan(text, nic) if path.endswith((".yaml", ".yml")) else _interfaces(text, nic)


def _depth(line):
    return len(line) - len(line.lstrip(" "))


def _netplan(text, nic):
    """The NIC's key with all that is deeper below it."""
    lines = text.splitlines(True)
    key = re.compile(r" +[\"']?%s[\"']?\s*:" % re.escape(nic))
    blank = re.compile(r"\s*(#|$)")
    at = [number for number, line in enumerate(lines) if key.match(line)]
    if len(at) != 1:
        raise CutError("names %s in %d places" % (nic, len(at)))
    first, depth = at[0], _depth(lines[at[0]])
    if lines[first].count("{") > lines[first].count("}"):
        raise CutError("has %s in braces over several lines" % nic)
    last = first + 1  # the line behind the last one of the NIC
    for number in range(first + 1, len(lines)):
        if blank.match(lines[number]):
            continue
        if _depth(lines[number]) <= depth:
            break
        last = number + 1
    left = lines[:first] + lines[last:]
    _refuse_what_others_refer_to(lines, first, last, nic)
    # Something else must be left at this depth below the same parent.
    above = next((line for line in reversed(lines[:first]) if not blank.match(line)), "")
    below = next((line for line in lines[last:] if not blank.match(line)), "")
    if not above or (_depth(above) < depth and _depth(below) != depth):
        raise CutError("holds nothing but %s where it stands" % nic)
    if re.search(r"(?m)^[^#\n]*[\s\[\"',:]%s(?![\w.-])" % re.escape(nic), "".join(left)):
        raise CutError("names %s in other places too" % nic)
    return "".join(left)


def _refuse_what_others_refer_to(lines, first, last, nic):
    """An anchor (&name) at the NIC, or at what it is in, whose alias (*name) stands elsewhere: YAML without it does not parse, or says
    something else there."""
    depth, above = _depth(lines[first]), []
    for line in reversed(lines[:first]):
        if line.strip() and not line.lstrip().startswith("#") and _depth(line) < depth:
            depth = _depth(line)
            above.append(line)
    anchors = {name for line in lines[first:last] + above for name in re.findall(r"(?:^|[\s\[{,])&([^\s\[\]{},]+)", line)}
    aliases = {name for line in lines[:first] + lines[last:] for name in re.findall(r"(?:^|[\s\[{,:])\*([^\s\[\]{},]+)", line)}
    for name in sorted(anchors & aliases):
        raise CutError("says &%s where %s stands, and *%s in another place" % (name, nic, name))


PORTS = re.compile(r"(bridge[-_]ports|bond[-_]slaves|slaves|ovs_(ports|bonds))$")


def _interfaces(text, nic):
    """The stanzas of the NIC and of its other addresses (eth1:0), and its names in the lines that bring NICs up."""
    for whole in re.findall(r"(?m)^(?![ \t]*#)(?:.*\\\n)+.*", text):
        if _says(whole.split(), nic):
            raise CutError("names %s in a line that goes on in the next one" % nic)
    kept, inside = [], False
    for line in text.splitlines(True):
        words = line.split()
        if not words or words[0].startswith("#"):
            # A comment or an empty line inside of a stanza goes with it only when more of the stanza follows.
            kept.append((line, inside))
            continue
        first = words[0]
        if first in ("iface", "mapping"):
            inside = first == "iface" and _is(words[1:2], nic)
            if first == "mapping" and any(fnmatch.fnmatchcase(nic, word) for word in words[1:]):
                raise CutError("maps %s to something" % nic)
        elif first == "auto" or first.startswith(("allow-", "no-auto-down", "no-scripts", "source", "template")):
            inside = False
            if _says(words, nic) and not first.startswith("source"):
                words = [words[0]] + [word for word in words[1:] if not _is([word], nic)]
                if len(words) > 1:
                    kept.append((line[: _indent(line)] + " ".join(words) + "\n", False))
                continue
        if not inside:
            if PORTS.match(first) and (nic in words[1:] or "all" in words[1:]):
                raise CutError("makes %s a port of another NIC (%s)" % (nic, " ".join(words)))
            kept.append((line, False))
        else:
            kept = [(each, False) for each, within in kept if not within]
    return "".join(line for line, _ in kept)


def _is(names, nic):
    """Is it the NIC, or one of its other addresses? Raises CutError for a line that brings it up as something else."""
    for name in names:
        known, equals, other = name.partition("=")
        if equals and fnmatch.fnmatchcase(nic, known.lstrip("/")):
            raise CutError("brings %s up as %s" % (nic, other))
    return any(name.split(":")[0] == nic for name in names)


def _says(words, nic):
    return any(_is([word], nic) for word in words[1:])


def _indent(line):
    return len(line) - len(line.lstrip())
