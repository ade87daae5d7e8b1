# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the sites, from Debian packages only: one for all roles, and some for what only one test needs."""

import fcntl
import functools
import hashlib
import io
import platform
import re
import tarfile
import tempfile
import time
from pathlib import Path

from .podman import LabError, run, say

DIRECTORY = Path(__file__).resolve().parent.parent / "image"
CACHE = DIRECTORY.parents[1] / ".cache"  # what was fetched before: the lab has no way out
DEBS = CACHE / "debian"  # of the image bookworm-bare
SUITE = "bookworm"
REPOSITORY = "localhost/sitelink-lab"  # of all labs on this machine, whatever their names and checkouts
PACKAGES = (
    "systemd,systemd-sysv,udev,dbus,netplan.io,openssh-server,sudo,procps,kmod,python3,python3-apt,ca-certificates,"
    "iproute2,iputils-ping,nftables,wireguard-tools,wireguard-go,ethtool,tcpdump,iperf3,curl,nmap,"
    "dnsmasq-base,knot,knot-dnsutils"
)
# What a name such as bookworm-firewalls adds; these images are only built when something asks for them.
NETWORK_MANAGERS = "network-manager,ifupdown"
EXTRA = {
    SUITE: "",
    # What opens ports, and what else filters packets.
    f"{SUITE}-firewalls": "docker.io,firewalld,ufw,iptables,python3-nftables,nginx-light,redis-server,avahi-daemon",
    # A system on which nothing of what the roles install is there, and whose apt has not read a list.
    f"{SUITE}-bare": "",
    # The other network managers and DHCP clients; which one runs is said when a site is made.
    f"{SUITE}-nics": f"{NETWORK_MANAGERS},isc-dhcp-client,dhcpcd-base",
    "bullseye-nics": f"{NETWORK_MANAGERS},isc-dhcp-client",
    "trixie-nics": f"{NETWORK_MANAGERS},dhcpcd-base,linux-sysctl-defaults",
    # What the source article installs by hand.
    f"{SUITE}-article": "cron,net-tools,subnetcalc",
    # NetworkManager with its reader of ifcfg files, which Debian's own is built without.
    f"{SUITE}-ifcfg": "network-manager",
    # CentOS 7's network-scripts, which have to be fetched by hand.
    f"{SUITE}-scripts": "isc-dhcp-client,ipcalc-ng,iputils-arping",
}
NAMES = list(EXTRA)
MISSING = {
    "bullseye": ["wireguard-go"],  # not in that suite
    f"{SUITE}-bare": ["nftables", "wireguard-tools", "wireguard-go"],  # left out
}
HOOKS = {  # run before customize.sh
    f"{SUITE}-bare": ["bare.sh"],
    f"{SUITE}-ifcfg": ["ifcfg.sh"],
    f"{SUITE}-scripts": ["scripts.sh"],
}


def tag(name: str = SUITE) -> str:
    """The image by today's recipe: checkouts of different recipes do not replace each other's."""
    return f"{REPOSITORY}:{name}-{recipe(name)}"


def suite_of(name: str) -> str:
    """Debian's suite of an image."""
    return name.partition("-")[0]


def packages(name: str) -> str:
    found = [*PACKAGES.split(","), *EXTRA[name].split(",")] if EXTRA[name] else PACKAGES.split(",")
    missing = [*MISSING.get(suite_of(name), []), *MISSING.get(name, [])]
    return ",".join(package for package in found if package not in missing)


def hooks(name: str) -> list[Path]:
    """Scripts that mmdebstrap runs on the image's root directory."""
    return [DIRECTORY / hook for hook in [*HOOKS.get(name, []), "customize.sh"]]


def skeleton() -> bytes:
    """The files that the image adds to Debian's, as a tar of root's."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path in sorted((DIRECTORY / "rootfs").rglob("*")):
            if path.is_file():
                member = tarfile.TarInfo(str(path.relative_to(DIRECTORY / "rootfs")))
                member.mode, member.size = 0o755 if path.stat().st_mode & 0o100 else 0o644, path.stat().st_size
                tar.addfile(member, io.BytesIO(path.read_bytes()))
    return data.getvalue()


@functools.cache
def recipe(name: str) -> str:
    """Changes when anything that goes into the image does."""
    parts = [name, packages(name), *(hook.read_text() for hook in hooks(name))]
    return hashlib.sha256("\0".join(parts).encode() + skeleton()).hexdigest()[:16]


def sources(suite: str) -> list[str]:
    """The machine's own Debian sources where they are of this suite, else mmdebstrap's default mirror."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != suite:
        return []
    candidates = [Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources")]
    return [str(path) for path in candidates if path.is_file() and suite in path.read_text()]


def current(name: str = SUITE) -> bool:
    """Is there an image by today's recipe, with what was fetched for it?"""
    if name == f"{SUITE}-bare" and not DEBS.is_dir():
        return False
    return run("podman", "image", "exists", tag(name), check=False).returncode == 0


def build(name: str = SUITE, force: bool = False) -> None:
    """Build the image unless there is one by today's recipe. LabError with mmdebstrap's last words when that fails."""
    # Two lanes of the tests, or two checkouts, may need it at once.
    with open(f"/run/lock/sitelink-image-{name}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if force or not current(name):
            make(name)


def make(name: str) -> None:
    """Build the image. LabError with mmdebstrap's last words when that fails."""
    say(f"building the image {tag(name)} from Debian packages (about two minutes, once)")
    began = time.monotonic()
    debian = suite_of(name)
    with tempfile.TemporaryDirectory(prefix="sitelink-lab-") as directory:
        skeleton_tar, image_tar = Path(directory, "skeleton.tar"), Path(directory, "image.tar")
        skeleton_tar.write_bytes(skeleton())
        done = run(
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages(name)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--customize-hook=tar-in {skeleton_tar} /", *[f"--customize-hook={hook}" for hook in hooks(name)],
            debian, str(image_tar), *sources(debian), check=False,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"mmdebstrap could not build the image:\n{done.stderr[-3000:]}")
        run("podman", "import", "--quiet", str(image_tar), tag(name))
    forget_older(name)
    say(f"image built in {time.monotonic() - began:.0f} s")


def forget_older(name: str) -> None:
    """Remove the images by earlier recipes that no container uses."""
    listed = run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    ours = re.compile(rf"{re.escape(REPOSITORY)}:{name}(-[0-9a-f]{{16}})?")
    for old in listed:
        if ours.fullmatch(old) and old != tag(name):
            run("podman", "image", "rm", old, check=False)
