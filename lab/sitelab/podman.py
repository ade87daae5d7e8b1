# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in the lab's network namespace: podman, ip, tc, nft."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass

from .topology import NETNS, PREFIX

RUN_DIRECTORY = "/run/netns"
NAMESPACES: dict[str, str] = {}  # by container, as far as known
CLEANUP = 120.0  # seconds that podman may take to clean up after a container
LIMIT = 300  # seconds for all else to start or stop: no promise, only the end of a wait that would never end


class LabError(Exception):
    """Something the user of the lab must know; printed without a trace."""


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(*argv: str, stdin: str | bytes | None = None, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command and capture its output as text. LabError with what it said when `check` and it failed."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        argv, input=data, stdin=subprocess.DEVNULL if data is None else None, capture_output=True, check=False
    )
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise LabError(f"{' '.join(argv)[:200]}: exit {done.returncode}: {said}")
    return done


def exists() -> bool:
    """Is the lab's network namespace there? A machine that lost it may have kept its file."""
    return os.path.ismount(f"{RUN_DIRECTORY}/{NETNS}")


def inside(*argv: str) -> list[str]:
    """The command line that runs `argv` in the lab's network namespace.

    Not `ip netns exec`: it remounts /sys, and runc then finds no cgroups.
    """
    return ["nsenter", f"--net={RUN_DIRECTORY}/{NETNS}", *argv]


def podman(*argv: str, **options) -> subprocess.CompletedProcess:
    """podman in the lab's namespace, so that its bridges and veths are made there and nowhere else."""
    return run(*inside("podman", "--runtime", "runc", *argv), **options)


def ip(*argv: str, **options) -> subprocess.CompletedProcess:
    return run("ip", "-n", NETNS, *argv, **options)


def execute(name: str, script: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run a shell script in the container of this (short) name."""
    return podman("exec", "-i", PREFIX + name, "sh", "-e", stdin=script, check=check)


@dataclass(frozen=True)
class Nic:
    """A container's NIC `name` on the podman network PREFIX + `network`; `addresses` are set before it starts."""

    name: str
    network: str
    mac: str
    addresses: tuple[str, ...] = ()
    plugged: bool = True

    def cable(self, container: str) -> str:
        """The NIC's other end, in the lab's namespace: site-a.eth1."""
        return f"{container}.{self.name}"


def state(name: str) -> str:
    """running, exited, created, ... or `absent`."""
    done = run("podman", "container", "inspect", "--format", "{{.State.Status}}", PREFIX + name, check=False)
    return done.stdout.strip() if done.returncode == 0 else "absent"


def network_namespace(name: str) -> str:
    """The file of the container's network namespace, which goes away with it. podman is only asked when it has to be."""
    if not os.path.exists(NAMESPACES.get(name, "")):
        done = run("podman", "container", "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", PREFIX + name)
        NAMESPACES[name] = done.stdout.strip()
    return NAMESPACES[name]


def in_container(name: str, *argv: str, **options) -> subprocess.CompletedProcess:
    """Run one of the machine's own commands in the container's network namespace (quicker than podman exec)."""
    return run("nsenter", f"--net={network_namespace(name)}", *argv, **options)


def archive(files: dict[str, tuple[int, str]]) -> bytes:
    """A tar of root's files, {path: (mode, text)}."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, (mode, text) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.mode, member.size = mode, len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def create(name: str, image: str, command: str, nics: list[Nic], *options: str) -> None:
    """Make a container (not yet started) with these NICs and no other network."""
    attached = [f"--network={PREFIX}{nic.network}:interface_name={nic.name},mac={nic.mac}" for nic in nics]
    limits = ["--ulimit=nofile=20000:20000", "--ulimit=nproc=1000:1000"]  # runc may not raise them here
    podman(
        "create", "-q", "--name", PREFIX + name, "--hostname", name, "--privileged", "--dns=none", "--no-hosts",
        *limits, *attached, *options, image, command,
    )  # fmt: skip


def start(name: str, nics: list[Nic]) -> None:
    """Start a container whose NICs are cabled and addressed before its first process runs.

    The cables get lasting names in the lab's namespace; a NIC that is not plugged has no carrier.
    """
    podman("init", PREFIX + name)
    links = json.loads(in_container(name, "ip", "-j", "link").stdout)
    ends = {link["ifindex"]: link["ifname"] for link in json.loads(ip("-j", "link").stdout)}
    cables, own = [], []
    for nic in nics:
        end = ends[next(link["link_index"] for link in links if link["ifname"] == nic.name)]
        cable = nic.cable(name)
        cables += [f"link set {end} down", f"link set {end} name {cable}"]
        cables += [f"link set {cable} up"] if nic.plugged else []
        # Down and up again: nothing is left of the moment in which podman had it plugged.
        own += [] if nic.plugged else [f"link set {nic.name} down", f"link set {nic.name} up"]
        own += [f"address add {address} dev {nic.name}" for address in nic.addresses]
    run("ip", "-n", NETNS, "-batch", "-", stdin="\n".join(cables) + "\n")
    # podman forbids addresses by router advertisement, which a new NIC of Linux takes
    in_container(name, "sysctl", "-qw", *[f"net.ipv6.conf.{nic.name}.autoconf=1" for nic in nics])
    in_container(name, "ip", "-batch", "-", stdin="\n".join(own) + "\n")
    podman("start", PREFIX + name)


def stop(*names: str, seconds: int = 20) -> None:
    """Stop containers, and return when podman has cleaned up after them.

    conmon runs that clean-up when the container has ended, beside us. On a busy machine it would still run when the
    container is started anew, and take the network of the new one away.
    """
    names = tuple(PREFIX + name for name in names if state(name) != "absent")
    template = "{{.State.ConmonPid}}"
    found = [run("podman", "container", "inspect", "--format", template, name).stdout.strip() for name in names]
    for name in names:
        podman("stop", "--time", str(seconds), name)
    deadline = time.monotonic() + CLEANUP
    while any(pid != "0" and os.path.exists(f"/proc/{pid}") for pid in found):
        if time.monotonic() > deadline:
            raise LabError(f"podman does not finish with {', '.join(names)}")
        time.sleep(0.05)


def remove(*names: str) -> None:
    podman("rm", "--force", "--ignore", "--time", "0", *[PREFIX + name for name in names])


def shape(cables: tuple[str, str], bits: int | None) -> None:
    """Limit what leaves by each of these cables in the lab's namespace to `bits` per second, or lift the limit."""
    for cable in cables:
        if bits is None:
            if rate(cable):
                run(*inside("tc", "qdisc", "del", "dev", cable, "root"), check=False)
            continue
        burst = max(bits // 8 // 100, 32 * 1024)  # 10 ms worth: tc-tbf(8) wants rate/HZ at least
        limit = ["rate", f"{bits}bit", "burst", f"{burst}b", "latency", "50ms"]
        run(*inside("tc", "qdisc", "replace", "dev", cable, "root", "tbf", *limit))


def rate(cable: str) -> int | None:
    """The limit of a cable in bits per second, or None."""
    found = json.loads(run(*inside("tc", "-j", "qdisc", "show", "dev", cable)).stdout)
    return next((int(each["options"]["rate"]) * 8 for each in found if each["kind"] == "tbf"), None)
