# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd-networkd goes by: the file that is in force for a NIC, and changes of others that a reload would bring into force.

networkd configures a NIC by the first file, in the order of the names, that matches it (systemd.network(5)). Which one that is
stands in its state file of the NIC; systemd calls that private, but has written NETWORK_FILE there since version 219.
"""

import filecmp
import fnmatch
import glob
import os
import shutil
import tempfile
import time

LINKS = "/run/systemd/netif/links"
DIRECTORIES = ("/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
GENERATED = "/run/systemd/network"
NETPLAN = ("etc/netplan", "run/netplan", "lib/netplan", "usr/lib/netplan")
WAIT = 30  # seconds that networkd may take to say by what it configures a NIC


def file_of(nic, root=""):
    """The path of the file by which networkd configures the NIC, empty when by none. Raises nothing."""
    return _state(nic, "NETWORK_FILE", root)


def admin_state(nic, root=""):
    """What networkd calls its care for the NIC, such as unmanaged; empty when it does not know it. Raises nothing."""
    return _state(nic, "ADMIN_STATE", root)


def _state_file(nic, root):
    """Raises OSError."""
    with open("%s/sys/class/net/%s/ifindex" % (root, nic)) as file:
        return "%s%s/%s" % (root, LINKS, file.read().strip())


def _state(nic, key, root):
    """What networkd's state file of the NIC says, empty when nothing."""
    try:
        with open(_state_file(nic, root)) as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    return next((line.partition("=")[2] for line in lines if line.startswith(key + "=")), "")


def wrong_file(nic, wanted, root="", wait=WAIT, sleep=time.sleep):
    """None when networkd configures the NIC by the wanted file, else a sentence. Waits that many seconds for it."""
    for _ in range(wait * 2):
        if file_of(nic, root) == wanted:
            return None
        sleep(0.5)
    found = file_of(nic, root)
    if not found:
        return _without_file(nic, root)
    if os.path.basename(found) == os.path.basename(wanted):
        return "systemd-networkd configures %s by %s, which replaces %s: the same name in a directory that comes first. Remove it" % (
            nic, found, wanted,
        )  # fmt: skip
    return (
        "systemd-networkd configures %s by %s, which comes before %s: let the [Match] of that file (netplan: the match of its "
        "definition) leave %s out, or give it a name that sorts later" % (nic, found, os.path.basename(wanted), nic)
    )


def _without_file(nic, root):
    """Why networkd goes by no file at all."""
    try:
        known = os.path.exists(_state_file(nic, root))
    except OSError:
        return "there is no NIC %s any more" % nic
    if not known:
        return "systemd-networkd does not know %s; look with: systemctl status systemd-networkd" % nic
    said = {
        "unmanaged": "it has no .network file for it, or one with Unmanaged=, and calls it unmanaged",
        "pending": "it waits for udev; look with: systemctl status systemd-udevd",
        "initialized": "it waits for udev; look with: systemctl status systemd-udevd",
        "failed": "it failed; look with: journalctl -u systemd-networkd",
    }.get(_state(nic, "ADMIN_STATE", root))
    return "systemd-networkd does not configure %s%s; networkctl status %s says why" % (nic, ": " + said if said else "", nic)


def pending(nics, execute, root=""):
    """Sentences about changes of other NICs' configuration that are on disk and not in force.

    Only of NICs in use: on one without an address nothing can be cut off.
    nics: those of ours. execute(argv) runs a command and returns (exit code, what it said).
    """
    used = [nic for nic in _nics(root) if nic not in nics and _state(nic, "OPER_STATE", root) in ("", "routable")]
    return _pending_netplan(nics, used, execute, root) + _pending_networkd(nics, used, root)


def _nics(root):
    return sorted(os.path.basename(path) for path in glob.glob(root + "/sys/class/net/*") if not path.endswith("/lo"))


def _ours(path, nics):
    name = os.path.basename(path)
    return "sitelink-" in path or any(name.startswith("10-netplan-%s." % nic) for nic in nics)


def _pending_netplan(nics, used, execute, root):
    """What `netplan generate` would write other than is there, tried in a directory of its own."""
    if not shutil.which("netplan") or not glob.glob(root + "/etc/netplan/*.yaml"):
        return []
    with tempfile.TemporaryDirectory(prefix="sitelink-netplan-") as directory:
        for part in NETPLAN:
            # /lib may be a link to /usr/lib: once is enough.
            if os.path.isdir("%s/%s" % (root, part)) and not os.path.islink("%s/%s" % (root, part.split("/")[0])):
                shutil.copytree("%s/%s" % (root, part), os.path.join(directory, part))
        code, said = execute(["netplan", "generate", "--root-dir", directory])
        if code:
            said = said.strip().replace(directory, "")
            return ["netplan refuses what is in /etc/netplan: %s" % (said[-600:] or "exit %d" % code)]
        # Only what networkd reads: nothing of ours makes NetworkManager read its files again.
        new = {os.path.basename(path): path for path in glob.glob(directory + GENERATED + "/*.network")}
        old = {os.path.basename(path): path for path in glob.glob(root + GENERATED + "/10-netplan-*.network")}
        changed = [
            name
            for name in sorted(set(new) | set(old))
            if not _ours(name, nics)
            and not (name in new and name in old and filecmp.cmp(new[name], old[name], shallow=False))
            and any(_names(files[name], nic) for files in (new, old) if name in files for nic in used)
        ]
    if not changed:
        return []
    return [
        "/etc/netplan holds changes that are not in force yet (%s); the next `netplan apply` or reboot applies them. Apply "
        "them yourself (netplan try), or take them back" % ", ".join(changed)
    ]


def _pending_networkd(nics, used, root):
    """Files of networkd that are newer than its state of the NIC that they configure, or would."""
    found = []
    for nic in used:
        current = file_of(nic, root)
        try:
            since = os.stat(_state_file(nic, root)).st_mtime
        except OSError:
            continue
        for candidate in _files(root):
            shown = candidate[len(root) :]
            if _ours(shown, nics) or os.path.basename(shown).startswith("10-netplan-"):
                continue
            if current and os.path.basename(candidate) > os.path.basename(current):
                break
            parts = [candidate] + glob.glob(glob.escape(candidate) + ".d/*.conf")
            newest = max(os.lstat(part).st_mtime for part in parts)
            if newest > since and (shown == current or _names(candidate, nic)):
                found.append(
                    "%s was changed after systemd-networkd read it for %s; the next `networkctl reload` or reboot applies it. "
                    "Apply it yourself first, or take the change back" % (shown, nic)
                )
    return found


def _files(root):
    """The .network files in networkd's order; of several with one name the first directory's counts."""
    found = {}
    for directory in DIRECTORIES:
        for path in glob.glob(root + directory + "/*.network"):
            found.setdefault(os.path.basename(path), path)
    return [found[name] for name in sorted(found)]


def _names(path, nic):
    """Does a Name= in [Match] of the file match the NIC? A file that matches by something else only is taken for one that does."""
    section, patterns, keys = "", [], 0
    with open(path, errors="replace") as file:
        for line in file:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Match]" and "=" in line and not line.startswith(("#", ";")):
                keys += 1
                if line.partition("=")[0].strip() == "Name":
                    patterns += line.partition("=")[2].split()
    if patterns:
        wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
        refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        return not any(fnmatch.fnmatchcase(nic, pattern) for pattern in refused) and (
            not wanted or any(fnmatch.fnmatchcase(nic, pattern) for pattern in wanted)
        )
    return keys > 0
