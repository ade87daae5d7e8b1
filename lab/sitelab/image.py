# SPDX-License-Identifier: GPL-3.0-or-later
"""The one image of all roles, from Debian packages only."""

import hashlib
import io
import platform
import tarfile
import tempfile
import time
from pathlib import Path

from .podman import LabError, run, say
from .topology import NETNS

DIRECTORY = Path(__file__).resolve().parent.parent / "image"
SUITE = "bookworm"
LABEL = "sitelink.lab.recipe"
PACKAGES = (
    "systemd,systemd-sysv,udev,dbus,netplan.io,openssh-server,sudo,procps,kmod,python3,python3-apt,ca-certificates,"
    "iproute2,iputils-ping,nftables,wireguard-tools,wireguard-go,ethtool,tcpdump,iperf3,curl,nmap,"
    "dnsmasq-base,knot,knot-dnsutils"
)
# What a name such as bookworm-firewalls adds; these images are only built when something asks for them.
VARIANTS = {
    "": "",
    # What opens ports, and what else filters packets.
    "firewalls": ",docker.io,firewalld,ufw,iptables,python3-nftables,nginx-light,redis-server,avahi-daemon",
}
NAMES = [SUITE, *(f"{SUITE}-{variant}" for variant in VARIANTS if variant)]


def tag(suite: str = SUITE) -> str:
    return f"localhost/{NETNS}:{suite}"


def packages(name: str) -> str:
    return PACKAGES + VARIANTS[name.partition("-")[2]]


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


def recipe(suite: str) -> str:
    """Changes when anything that goes into the image does."""
    parts = [suite, packages(suite), (DIRECTORY / "customize.sh").read_text()]
    return hashlib.sha256("\0".join(parts).encode() + skeleton()).hexdigest()[:16]


def sources(suite: str) -> list[str]:
    """The machine's own Debian sources where they are of this suite, else mmdebstrap's default mirror."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != suite:
        return []
    candidates = [Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources")]
    return [str(path) for path in candidates if path.is_file() and suite in path.read_text()]


def current(suite: str = SUITE) -> bool:
    """Is there an image by today's recipe?"""
    label = f'{{{{index .Labels "{LABEL}"}}}}'
    done = run("podman", "image", "inspect", "--format", label, tag(suite), check=False)
    return done.returncode == 0 and done.stdout.strip() == recipe(suite)


def build(suite: str = SUITE, force: bool = False) -> None:
    """Build the image unless there is one by today's recipe. LabError with mmdebstrap's last words when that fails."""
    if not force and current(suite):
        return
    say(f"building the image {tag(suite)} from Debian packages (about two minutes, once)")
    began = time.monotonic()
    debian = suite.partition("-")[0]
    with tempfile.TemporaryDirectory(prefix="sitelink-lab-") as directory:
        skeleton_tar, image_tar = Path(directory, "skeleton.tar"), Path(directory, "image.tar")
        skeleton_tar.write_bytes(skeleton())
        done = run(
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages(suite)}",
            "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--customize-hook=tar-in {skeleton_tar} /", f"--customize-hook={DIRECTORY}/customize.sh",
            debian, str(image_tar), *sources(debian), check=False,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"mmdebstrap could not build the image:\n{done.stderr[-3000:]}")
        run("podman", "import", "--quiet", f"--change=LABEL {LABEL}={recipe(suite)}", str(image_tar), tag(suite))
    run("podman", "image", "prune", "--force", f"--filter=label={LABEL}")  # the one it replaced
    say(f"image built in {time.monotonic() - began:.0f} s")
