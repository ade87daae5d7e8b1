# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a package manager refused, in words for operators. Its own words stand in what Ansible's modules of it give back."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

SHOWN = 300  # characters of one of its lines
_AGAIN = "Then run the playbook again."
_LOCKED = (
    "Another program held the package manager's lock for ten minutes, such as the first unattended upgrade: wait until it has ended "
    "(ps -e shows apt, unattended-upgr, dnf, yum or packagekitd), and run the playbook again."
)
_MISSING = "no package|no match for argument|unable to find a match|unable to locate package|not found in package names"
# Regular expressions and what they mean. The first that is found counts: what explains others stands before them. What is wrong with
# the site itself comes first, then what stands between it and its sources, then the sources, then the package.
_CAUSES = [
    (
        r"read-only file system",
        (
            "The site's file system is read-only: the kernel makes it so after errors of the disk (dmesg tells them), some images always "
            "are. "
            f"Mend the disk, or let the image be written. {_AGAIN}"
        ),
    ),
    (
        r"no space left on device|enough free space|more space (is )?needed|needs \d+\S* more space|disk requirements|disk quota exceeded",
        f"The site's disk is full: df -h and df -i show which one. Make room, for one by apt-get clean or dnf clean all. {_AGAIN}",
    ),
    (
        r"are you root|run under the root user|need to be root|lock.{0,80}permission denied|superuser privileges",
        (
            "Ansible was not root there. Let it become root: ansible_become: true in group_vars/sites (or host_vars), with a user who may "
            "sudo."
        ),
    ),
    (
        r"(python3?-apt|libdnf5).{0,40} must be installed|could not import (the (dnf|libdnf5|yum) python module|python modules: apt)",
        (
            "Ansible uses a Python there that does not know the package manager: take the system's own, ansible_python_interpreter: "
            "/usr/bin/python3 in host_vars (on Enterprise Linux 8 /usr/libexec/platform-python)."
        ),
    ),
    (
        (
            r"could not get lock|failed to lock|unable to (acquire|lock)|locked by another|lockfile is held|transaction lock"
            r"|another app is currently holding|existing lock|waiting for process with pid"
        ),
        _LOCKED,
    ),
    (
        r"dpkg was interrupted|dpkg --configure -a|dpkg returned an error code",
        f"An installation broke off there, or its script fails: run dpkg --configure -a on the site, which tells what is left. {_AGAIN}",
    ),
    (
        r"fix-broken|apt(-get)? -f install|try using -f",
        f"Packages on the site lack others that they need: run apt --fix-broken install there. {_AGAIN}",
    ),
    (
        r"not valid yet|not (yet )?live until|not yet valid",
        f"The site's clock is behind: date shows it. Set it, or let systemd-timesyncd or chrony do that. {_AGAIN}",
    ),
    (
        r"certificate has expired|expired certificate",
        (
            "The certificate of a package source counts as expired: either the site's clock is wrong (date shows it), or its "
            "ca-certificates "
            f"are too old. {_AGAIN}"
        ),
    ),
    (
        r"file .{0,200} is expired|release file.{0,40}expired",
        "The lists of a package source have expired: either the site's clock is wrong (date shows it), or the source is an archive, whose "
        'lists are not renewed. For an archive write Acquire::Check-Valid-Until "false"; into /etc/apt/apt.conf.d/99archive. '
        + _AGAIN,
    ),
    (
        (
            r"(from|resolve|to|via|through) proxy|proxy (auth|name|server|handshake)|connect to \S+:(3128|3142|8080|8118)\b"
            r"|port (3128|3142|8080|8118)\b"
        ),
        (
            "The package manager goes by a proxy that refuses or is not there: look at Acquire::http::Proxy in /etc/apt/apt.conf.d, at "
            "proxy= in "
            f"/etc/dnf/dnf.conf or /etc/yum.conf, and at http_proxy in /etc/environment. {_AGAIN}"
        ),
    ),
    (
        r"nosplit|does the network require authentication",
        (
            "Something answers in place of the package source: a page to log in to, as a hotel's or that of a line which is suspended, "
            f"or a router's. Give the site a free way to the internet by its own network. {_AGAIN}"
        ),
    ),
    (
        r"could not retrieve mirrorlist .{0,100}\brelease=[78]\b|valid baseurl for repo|no urls in mirrorlist",
        "The release of the system is no longer served, as CentOS 7's and 8's: in the files of /etc/yum.repos.d comment mirrorlist= out "
        "and write baseurl= with the address of CentOS's vault. Or, on another system, the site does not reach its package sources. "
        + _AGAIN,
    ),
    (
        r"cdrom:|insert the disc|media change",
        (
            f"A package source is the disc that the system was installed from: comment the line with cdrom: in /etc/apt/sources.list out. "
            f"{_AGAIN}"
        ),
    ),
    (
        r"temporary failure resolving|could ?n[o']t resolve|name or service not known|name resolution",
        "The site finds no address for the names of its package sources: look at its internet access and DNS by its own network "
        "(/etc/resolv.conf, resolvectl). On a site without broadband install the packages by hand. " + _AGAIN,
    ),
    (
        (
            r"network is unreachable|connection (timed out|failed|refused|reset)|timeout was reached|timed out|no route to host"
            r"|cannot initiate the connection|(could not|couldn't|failed to|unable to) connect|operation too slow"
        ),
        (
            "The site does not reach its package sources: look at its internet access by its own network. On a site without broadband "
            f"install the packages by hand. {_AGAIN}"
        ),
    ),
    (
        r"(does not have|no longer has) a release file|\b404 +not found|(code:|error) 404",
        (
            "A package source has nothing there any more: the release of the system is no longer served, or the source was given up, as "
            "ppa:wireguard was. Write the address of its archive of old releases (Debian's archive, Ubuntu's old-releases, CentOS's vault) "
            f"into /etc/apt/sources.list or /etc/yum.repos.d, or take the source out there. {_AGAIN}"
        ),
    ),
    (
        (
            r"no_pubkey|public key|expkeysig|revkeysig|signatures? (was|were|is) invalid|signature verification failed|validate gpg"
            r"|gpg check|gpg keys? (listed|retrieval)"
            r"|is not signed|keys? .{0,80}(not correct|not installed)"
        ),
        (
            "The key of a package source is missing or has expired. Install the key that its owner names today (of the system itself: "
            f"debian-archive-keyring, ubuntu-keyring or the release package), or take the source out. {_AGAIN}"
        ),
    ),
    (
        r"(status code:|http error) 50\d\b|gateway time|service unavailable|bad gateway|internal server error",
        f"The package source has a fault of its own: try again later, or name another mirror. {_AGAIN}",
    ),
    (
        r"no enabled repo|not registered|no repositories available",
        "The system has no package sources: register it (subscription-manager), or enable some in /etc/yum.repos.d. "
        + _AGAIN,
    ),
    (
        r"held packages were changed",
        (
            "A package would have to change that somebody holds: apt-mark showhold lists them. Let it go by apt-mark unhold, or install by "
            "hand."
        ),
    ),
    (
        r"held broken packages|unmet dependencies|depsolve|nothing provides|conflicting requests|cannot install (the best|both)",
        (
            "It needs another package in a version that the sources do not have: a source of another release is in the way (the source "
            "article adds Debian's unstable), apt-mark showhold lists one that is held, or on Enterprise Linux CRB, PowerTools or EPEL is "
            "not enabled."
        ),
    ),
    (
        rf"({_MISSING}).{{0,60}}e(pel|lrepo)-release",
        "The sources of this system do not bring the repository's own package: install it by dnf install and the address that the "
        "repository's page names, such as EPEL's of epel-release-latest-8.noarch.rpm (or 7, 9). " + _AGAIN,
    ),
    (
        rf"({_MISSING}).{{0,60}}(wireguard|kmod-)",
        (
            "No package source of the site has it. On Enterprise Linux 8 and 7 it is in EPEL and ELRepo: "
            "wireguard_mesh_add_repositories: true "
            "lets the role install epel-release and elrepo-release. Elsewhere look whether a source was commented out or is too old."
        ),
    ),
    (
        rf"{_MISSING}|no installation candidate|no packages? .{{0,80}}(available|matching)",
        "No package source of the site has it: look whether one was commented out or is too old.",
    ),
    (
        r"failed to update apt cache|failed to (fetch|download)|cannot download|all mirrors were tried|curl error",
        f"The package lists cannot be fetched: run apt-get update, or dnf makecache, on the site, which says why. {_AGAIN}",
    ),
]
_UNKNOWN = "The package manager refuses, in the words below."
_FAULT = re.compile(r"(?i)^(E|Err|Error|Fatal)\b ?:|failed: E:|error|cannot|could not|failed")
_COMMAND = re.compile(r"^'\S*apt-get .*'+ failed: ")  # apt's module begins with what it ran


def fault(results: list[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """What is the matter after these attempts, the last one last; {} when that one, or there is none, did not fail.

    cause: sentences; words: the package manager's own; locked: whether waiting helps.
    """
    ran = [item for item in results if item and not item.get("skipped")]
    if not ran or not _failed(ran[-1]):
        return {}
    # A first attempt goes by whatever lists are there; the next ones have fetched them, or say why they could not.
    attempts = [_lines(item) for item in (ran[1:] or ran) if _failed(item)]
    lines = [line for attempt in attempts for line in attempt]
    for pattern, cause in _CAUSES:
        hit = next((line for line in lines if re.search(pattern, line, re.IGNORECASE)), None)
        if hit is not None:
            return {"cause": cause, "words": _shown([_around(hit, pattern)]), "locked": cause == _LOCKED}
    return {"cause": _UNKNOWN, "words": _shown([_last(lines)]), "locked": False}


def _failed(result: Mapping[str, t.Any]) -> bool:
    """Also of a task whose failure does not count: of apt's module only a failure has words, the others give a return code."""
    if result.get("failed"):
        return True
    return (
        "failed_when_result" in result and bool(_lines(result)) and bool(result.get("msg")) and result.get("rc", 1) != 0
    )


def _lines(result: Mapping[str, t.Any]) -> list[str]:
    said = [result.get("msg"), *(result.get("failures") or [])]
    said += [result.get(key) for key in ("stderr", "module_stderr", "stdout", "module_stdout")]
    lines: list[str] = []
    for text in said:
        # python-apt joins its own by ", ".
        for line in re.split(r"[\r\n]+|, (?=[EW]:)", str(text or "")):
            line = _COMMAND.sub("", " ".join(line.split()))
            if line and line not in lines:
                lines.append(line)
    return lines


def _around(line: str, pattern: str) -> str:
    """The part of a long line that says it."""
    at = re.search(pattern, line, re.IGNORECASE)
    start = max(0, (at.end() if at else 0) - SHOWN)
    return line[start:] if start else line


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if _FAULT.search(line)), lines[-1] if lines else "")


def _shown(lines: list[str]) -> str:
    return "; ".join(line if len(line) <= SHOWN else line[:SHOWN] + " ..." for line in lines)
