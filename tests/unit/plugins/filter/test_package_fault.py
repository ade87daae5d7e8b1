# SPDX-License-Identifier: GPL-3.0-or-later
"""What package managers say when they refuse, as their modules hand it over, and what is made of it."""

import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.filter.package_fault import package_fault
from ansible_collections.sitelink.tr069.plugins.plugin_utils import _packages

APT = "'/usr/bin/apt-get -y -o \"Dpkg::Options::=--force-confdef\"       install 'nftables'' failed: "
UPDATE = "Failed to update apt cache after 5 retries: "
NONE = "No package matching 'nftables' is available"
# What the module said; words of the cause; words that it must not have: those of a wrong cause.
SAID = {
    "apt: unattended-upgrades has the lock": (
        {"msg": APT + "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 24459 (unattended-upgr)\n"
         "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n", "rc": 100},
        "held the package manager's lock", "internet"),
    "apt: the lock of the lists": (
        {"msg": "Failed to lock apt for exclusive operation: Failed to lock directory /var/lib/apt/lists/: E:Could not get lock "
         "/var/lib/apt/lists/lock. It is held by process 700 (apt-get)"}, "held the package manager's lock", "fetched"),
    "apt: no root": (
        {"msg": APT + "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the "
         "dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n", "rc": 100}, "ansible_become", "lock for"),
    "apt: dpkg was interrupted": (
        {"msg": APT + "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n", "rc": 100},
        "dpkg --configure -a", "internet"),
    "apt: broken dependencies": (
        {"msg": APT + "E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).\n", "rc": 100},
        "apt --fix-broken install", "apt-mark"),
    "apt: broken dependencies, as an old one says it": (
        {"msg": APT + "You might want to run 'apt-get -f install' to correct these.\nE: Unmet dependencies. Try using -f.\n", "rc": 100},
        "apt --fix-broken install", "apt-mark"),
    "apt: a package is held": (
        {"msg": APT + "E: Held packages were changed and -y was used without --allow-change-held-packages.\n", "rc": 100},
        "apt-mark showhold", "fix-broken"),
    "apt: another release stands in the way": (
        {"msg": APT + "E: Unable to correct problems, you have held broken packages.\n", "rc": 100,
         "stdout": "The following packages have unmet dependencies:\n libnftables1 : Depends: libc6 (>= 2.41) but 2.36 is to be "
         "installed\n"}, "another release", "fix-broken"),
    "apt: read-only": (
        {"msg": UPDATE + "W:Not using locking for read only lock file /var/lib/apt/lists/lock, E:Could not open lock file, "
         "E: chmod (30: Read-only file system)"}, "read-only", "lock for"),
    "apt: read-only, told by the lock": (
        {"msg": APT + "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (30: Read-only file system)\nE: Unable to acquire "
         "the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n", "rc": 100}, "read-only", "held"),
    "apt: the disk is full": (
        {"msg": APT + "E: You don't have enough free space in /var/cache/apt/archives/.\n", "rc": 100}, "df -h", "internet"),
    "apt: the disk is full while it fetches": (
        {"msg": UPDATE + "E:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  Error writing to output file - "
         "write (28: No space left on device) [IP: 192.0.2.1 80]"}, "df -h", "internet"),
    "apt: no DNS": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  Temporary failure resolving "
         "'deb.example.net', W:Some index files failed to download."}, "resolv.conf", "old releases"),
    "apt: no DNS, when it fetches the package": (
        {"msg": APT + "E: Failed to fetch http://deb.example.net/debian/pool/main/n/nftables/nftables_1.0.6-2_amd64.deb  Could not resolve "
         "'deb.example.net'\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n", "rc": 100},
        "resolv.conf", "fix-broken"),
    "apt: no internet": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  Cannot initiate the connection to "
         "deb.example.net:80 (2001:db8::1). - connect (101: Network is unreachable) Could not connect to deb.example.net:80 "
         "(192.0.2.1), connection timed out"}, "internet access", "proxy"),
    "apt: a proxy that is not there": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  Could not connect to "
         "192.168.1.9:3128 (192.168.1.9). - connect (111: Connection refused)"}, "proxy", "broadband"),
    "apt: a proxy that wants a password": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  407  Proxy Authentication Required"},
        "proxy", "broadband"),
    "apt: a proxy whose name nobody knows": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/x  Could not resolve proxy: proxy.lan"}, "proxy", "resolv.conf"),
    "apt: the clock is behind": (
        {"msg": UPDATE + "E:Release file for http://deb.example.net/debian/dists/bookworm-updates/InRelease is not valid yet (invalid for "
         "another 3h 2min 10s). Updates for this repository will not be applied."}, "clock", "key"),
    "apt: the clock is behind, in the words of Debian 13": (
        {"msg": UPDATE + "W:An error occurred during the signature verification. OpenPGP signature verification failed: "
         "http://deb.example.net/debian trixie InRelease: Sub-process /usr/bin/sqv returned an error code (1), error message is: Verifying "
         "signature: Not live until 2026-11-15T08:11:12Z, E:The repository 'http://deb.example.net/debian trixie InRelease' is not signed."},
        "clock", "Install the key"),
    "apt: the clock is behind, over HTTPS": (
        {"msg": UPDATE + "W:Failed to fetch https://deb.example.net/debian/dists/bookworm/InRelease  Certificate verification failed: The "
         "certificate is NOT trusted. The certificate chain uses not yet valid certificate.  Could not handshake: Error in the "
         "certificate verification. [IP: 192.0.2.1 443]"}, "clock", "Install the key"),
    "apt: lists that have expired": (
        {"msg": UPDATE + "E:Release file for http://old.example.net/debian/dists/buster-backports/InRelease is expired (invalid since "
         "900d 1h 2min). Updates for this repository will not be applied."}, "Check-Valid-Until", "is behind"),
    "apt: a key is missing": (
        {"msg": UPDATE + "W:GPG error: http://mirror.example.net/debian bookworm InRelease: The following signatures couldn't be verified "
         "because the public key is not available: NO_PUBKEY 0E98404D386FA1D9, E:The repository 'http://mirror.example.net/debian "
         "bookworm InRelease' is not signed."}, "key of a package source", "clock"),
    "apt: a key has expired": (
        {"msg": UPDATE + "W:An error occurred during the signature verification. GPG error: http://ppa.example.net stable InRelease: The "
         "following signatures were invalid: EXPKEYSIG 3B4FE6ACC0B21F32 A key <a@example.net>"}, "key of a package source", "internet"),
    "apt: a release that is no longer served": (
        {"msg": UPDATE + "E:The repository 'http://deb.example.net/debian buster Release' no longer has a Release file."},
        "old releases", "internet"),
    "apt: a PPA that is gone": (
        {"msg": UPDATE + "E:The repository 'http://ppa.example.net/wireguard/wireguard/ubuntu jammy Release' does not have a Release "
         "file., W:Failed to fetch x  404  Not Found [IP: 192.0.2.1 80]"}, "no longer served", "internet"),
    "apt: the disc of the installation": (
        {"msg": UPDATE + "E:The repository 'cdrom://[Debian GNU/Linux 12.5.0 _Bookworm_ - Official amd64 DVD] bookworm Release' does not "
         "have a Release file."}, "disc", "old releases"),
    "apt: a page to log in to": (
        {"msg": UPDATE + "E:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  Clearsigned file isn't valid, got "
         "'NOSPLIT' (does the network require authentication?), E:The repository 'http://deb.example.net/debian bookworm InRelease' is not "
         "signed."}, "answers in place of", "Install the key"),
    "apt: the mirror has a fault": (
        {"msg": UPDATE + "W:Failed to fetch http://deb.example.net/debian/dists/bookworm/InRelease  503  Service Unavailable"},
        "fault of its own", "internet access"),
    "apt: no reason": ({"msg": UPDATE + "unknown reason"}, "apt-get update", "internet access"),
    "apt: not in the lists": ({"msg": NONE}, "No package source of the site has it", "internet"),
    "apt: not in the lists, of one that is known": (
        {"msg": APT + "E: Package 'nftables' has no installation candidate\n", "rc": 100}, "No package source of the site has it", "held"),
    "apt: a Python of another make": (
        {"msg": "python3-apt must be installed and visible from /opt/venv/bin/python3."}, "ansible_python_interpreter", "source"),
    "apt: a script of the package fails": (
        {"msg": APT + "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", "rc": 100,
         "stdout": "dpkg: error processing package nftables (--configure):\n"}, "dpkg --configure -a", "internet"),
    "dnf: not there": (
        {"msg": "Failed to install some of the specified packages", "failures": ["No package nftables available."], "rc": 1},
        "No package source of the site has it", "internet"),
    "dnf: no match": (
        {"msg": "Failed to install some of the specified packages", "failures": ["No match for argument: wireguard-tools"], "rc": 1},
        "epel-release", "internet"),
    "dnf: no EPEL in the sources": (
        {"msg": "Failed to install some of the specified packages", "failures": ["No package epel-release available."], "rc": 1},
        "epel-release-latest-8.noarch.rpm", "internet"),
    "dnf: no match in its plain words": (
        {"msg": "Failed to install some of the specified packages", "failures": ["Unable to find a match: nftables"], "rc": 1},
        "No package source of the site has it", "internet"),
    "dnf: depsolve": (
        {"msg": "Depsolve Error occurred: \n Problem: conflicting requests\n  - nothing provides libmnl.so.0()(64bit) needed by "
         "nftables-1:1.0.4-2.el9.x86_64", "rc": 1}, "another package", "internet"),
    "dnf: the lock": (
        {"msg": "Failed to obtain the transaction lock (logged in as: root).", "rc": 1}, "held the package manager's lock", "internet"),
    "dnf: the lock file": (
        {"msg": "lockfile is held by another process", "rc": 1}, "held the package manager's lock", "internet"),
    "dnf: no DNS": (
        {"msg": "Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve "
         "host name for https://mirrors.example.net/mirrorlist [Could not resolve host: mirrors.example.net]", "rc": 1},
        "resolv.conf", "vault"),
    "dnf: no internet": (
        {"msg": "Failed to download metadata for repo 'baseos': Cannot download repomd.xml: Curl error (7): Couldn't connect to server "
         "for http://mirror.example.net/repodata/repomd.xml [Failed to connect to mirror.example.net port 80: No route to host]", "rc": 1},
        "internet access", "vault"),
    "dnf: the clock": (
        {"msg": "Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (60): SSL peer certificate "
         "or SSH remote key was not OK for https://mirrors.example.net [SSL certificate problem: certificate is not yet valid]", "rc": 1},
        "clock", "internet access"),
    "dnf: a proxy": (
        {"msg": "Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (56): Failure when "
         "receiving data from the peer for https://x [Received HTTP code 407 from proxy after CONNECT]", "rc": 1}, "proxy", "broadband"),
    "dnf: a proxy whose name nobody knows": (
        {"msg": "Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (5): Couldn't resolve proxy "
         "name for https://x [Could not resolve proxy: proxy.lan]", "rc": 1}, "proxy", "resolv.conf"),
    "dnf: CentOS 8 is gone": (
        {"msg": "Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: No URLs in mirrorlist", "rc": 1,
         "results": []}, "CentOS's vault", "internet access"),
    "dnf: 404": (
        {"msg": "Failed to download metadata for repo 'appstream': Cannot download repomd.xml: Status code: 404 for "
         "http://mirror.example.net/centos/8/repodata/repomd.xml", "rc": 1}, "CentOS's vault", "internet access"),
    "dnf: the mirror has a fault": (
        {"msg": "Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: Status code: 503 for "
         "https://mirrors.example.net/mirrorlist", "rc": 1}, "fault of its own", "vault"),
    "dnf: the key": (
        {"msg": "Failed to validate GPG signature for nftables-1.0.4-2.el9.x86_64: Public key for nftables.rpm is not installed", "rc": 1},
        "key of a package source", "internet"),
    "dnf: the disk is full": (
        {"msg": "Error: Transaction test error: installing package nftables needs 2MB more space on the / filesystem", "rc": 1},
        "df -h", "internet"),
    "dnf: read-only": (
        {"msg": "[Errno 30] Read-only file system: '/var/cache/dnf/metadata_lock.pid'", "rc": 1}, "read-only", "held"),
    "dnf: no root": (
        {"msg": "This command has to be run under the root user.", "rc": 1}, "ansible_become", "lock"),
    "dnf: not registered": (
        {"msg": "There are no enabled repositories in \"/etc/yum.repos.d\", \"/etc/yum/repos.d\".", "rc": 1}, "subscription", "internet"),
    "dnf: a Python of another make": (
        {"msg": "Could not import the dnf python module using /opt/python3.12 (3.12.1). Please install `python3-dnf` package or ensure you "
         "have specified the correct ansible_python_interpreter.", "rc": 1}, "ansible_python_interpreter", "source"),
    "yum: CentOS 7 is gone": (
        {"msg": "Failure talking to yum: Cannot find a valid baseurl for repo: base/7/x86_64",
         "module_stdout": "Could not retrieve mirrorlist http://mirrorlist.example.net/?release=7&arch=x86_64&repo=os&infra=stock error was "
         "14: curl#6 - \"Could not resolve host: mirrorlist.example.net; Unknown error\""}, "CentOS's vault", "resolv.conf"),
    "yum: CentOS 7 is gone, in one word": (
        {"msg": "Cannot find a valid baseurl for repo: base/7/x86_64", "rc": 1}, "CentOS's vault", "resolv.conf"),
    "yum: the lock": (
        {"msg": "yum lockfile is held by another process", "rc": 1}, "held the package manager's lock", "internet"),
    "yum: not there": (
        {"msg": "No package matching 'nftables' found available, installed or updated", "rc": 126, "results": []},
        "No package source of the site has it", "internet"),
    "nobody has seen it": (
        {"msg": APT + "Reading package lists...\nBuilding dependency tree...\nE: the moon is in the way\n", "rc": 100},
        "refuses", "internet"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_each_refusal_is_told_with_its_own_cause(name):
    said, cause, wrong = SAID[name]
    found = package_fault([{**said, "failed": True}])
    assert cause in found["cause"] and wrong not in found["cause"], found
    heard, shown = ("".join("".join(map(str, text)).split()) for text in (said.values(), [found["words"]]))
    assert shown and shown.removesuffix("...") in heard.replace("['", "").replace("']", ""), found
    assert "  " not in found["cause"] and "\n" not in found["words"] and len(found["words"]) <= 620
    assert found["locked"] is ("held the package manager's lock" in cause)


NOISE = [
    (
        "W: http://deb.example.net/dists/bookworm/InRelease: Key is stored in legacy trusted.gpg keyring (/etc/apt/trusted.gpg), see the "
        "DEPRECATION section in apt-key(8) for details."
    ),
    (
        "W: Download is performed unsandboxed as root as file '/root/x.deb' couldn't be accessed by user '_apt'. - pkgAcquire::Run (13: "
        "Permission denied)"
    ),
    "W: Target Packages (main/binary-amd64/Packages) is configured multiple times in /etc/apt/sources.list:3",
    "N: Ignoring file 'proxy.list.bak' in directory '/etc/apt/sources.list.d/'",
    "Get:404 http://deb.example.net/debian bookworm/main amd64 haproxy amd64 2.6.12",
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(
    "name", ["apt: no DNS", "apt: another release stands in the way", "dnf: no match", "nobody has seen it"]
)
def test_what_is_said_besides_is_no_cause(name, noise):
    said, cause, _ = SAID[name]
    for text in (f"{said['msg']}\n{noise}\n", f"{noise}\n{said['msg']}"):
        assert cause in package_fault([{**said, "msg": text, "failed": True}])["cause"]


def test_the_last_word_of_an_unknown_refusal_is_shown():
    said = "Reading package lists...\n" * 100 + "E: the moon is in the way\nN: see apt-secure(8)\n"
    assert package_fault([{"msg": said, "failed": True}])["words"] == "E: the moon is in the way"


def test_the_line_with_the_cause_is_shown_however_much_is_said():
    said = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n" + "W: something else\n" * 100
    assert package_fault([{"msg": said, "failed": True}])["words"].startswith("E: dpkg was interrupted")


def tried(msg="", **more):
    """A result of a task whose failure does not count."""
    return {"msg": msg, "failed": False, "failed_when_result": False, **more}


@pytest.mark.parametrize(
    "results",
    [
        [{"failed": True, "msg": NONE}, tried(cache_updated=True)],
        [{"failed": True, "msg": NONE}, tried(UPDATE + "unknown reason"), tried(stdout="Setting up nftables")],
        [
            {"failed": True, "msg": "lockfile is held by another process"},
            tried("", rc=0, results=["Installed: nftables"]),
        ],
        [{"failed": True, "msg": NONE}, {"skipped": True, "changed": False}, tried("Nothing to do", rc=0)],
        [{"failed": False, "changed": False}],
        [],
    ],
)
def test_what_is_installed_in_the_end_is_no_fault(results):
    assert package_fault(results) == {}


def test_a_source_that_failed_explains_a_package_that_is_missing():
    """The last attempt asks the lists that are there; the one before says why they lack it."""
    offline = tried(
        UPDATE + "W:Failed to fetch http://deb.example.net/x  Temporary failure resolving 'deb.example.net'"
    )
    found = package_fault([{"failed": True, "msg": NONE}, offline, tried(NONE)])
    assert "resolv.conf" in found["cause"] and "resolving" in found["words"]
    # The first attempt had old lists: what it said of a file that is gone is no cause.
    found = package_fault([{"failed": True, "msg": APT + "E: Failed to fetch x  404  Not Found"}, offline])
    assert "resolv.conf" in found["cause"]


def test_the_package_is_named_in_the_advice_for_enterprise_linux_only_where_it_is_of_epel():
    of = {name: package_fault([{"failed": True, "msg": f"No package {name} available."}])["cause"]
          for name in ("nftables", "wireguard-tools")}  # fmt: skip
    assert "EPEL" not in of["nftables"] and "EPEL" in of["wireguard-tools"]


def test_results_that_are_none_are_refused():
    with pytest.raises(AnsibleFilterError, match="list"):
        package_fault("text")


def test_no_advice_has_an_address_that_goes_stale():
    """Nor does the pattern of a cause: a host is one of many, and moves."""
    for words in _packages._CAUSES:
        assert not [text for text in words if re.search(r"://|\w(\\\\)?\.(org|com|net)\b", text)], words
