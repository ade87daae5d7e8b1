# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own keys: SSH, and a certificate authority for the doubles of the providers."""

from ipaddress import IPv4Address
from pathlib import Path

from .podman import run
from .topology import API_NAMES, PACKAGES, PACKAGES_NAME, Site

DAYS = "3650"


def ssh_key(path: Path, comment: str) -> None:
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def authority(path: Path, name: str) -> None:
    """A self-signed CA: `path`.pem, with its key in `path`.key."""
    if path.with_suffix(".pem").exists():
        return
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", DAYS, "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", str(path.with_suffix(".key")), "-out", str(path.with_suffix(".pem")),
    )  # fmt: skip


def certificate(path: Path, names: list[str | IPv4Address], signed_by: Path) -> None:
    """A server certificate for these names and addresses with its key, both in `path`."""
    if path.exists():
        return
    key, request = path.with_suffix(".key"), path.with_suffix(".csr")
    alternatives = ",".join(f"{'DNS' if isinstance(name, str) else 'IP'}:{name}" for name in names)
    run(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}",
        "-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(request),
    )  # fmt: skip
    signed = run(
        "openssl", "x509", "-req", "-in", str(request), "-copy_extensions", "copyall", "-days", DAYS,
        "-CA", str(signed_by.with_suffix(".pem")), "-CAkey", str(signed_by.with_suffix(".key")), "-CAcreateserial",
    )  # fmt: skip
    path.touch(0o600)
    path.write_text(key.read_text() + signed.stdout)
    key.unlink()
    request.unlink()


def prepare(state_directory: Path, chosen: list[Site]) -> None:
    """Make what is missing of keys and certificates below the state directory."""
    for directory in (state_directory, state_directory / "api", state_directory / "host_keys"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ssh_key(state_directory / "id_ed25519", "lab controller")
    known = []
    for site in chosen:
        key = state_directory / "host_keys" / site.name
        ssh_key(key, site.name)
        known.append(f"{site.address} {' '.join(key.with_suffix('.pub').read_text().split()[:2])}\n")
    (state_directory / "known_hosts").write_text("".join(known))
    authority(state_directory / "ca", "sitelink lab")
    authority(state_directory / "api" / "stranger", "nobody the lab trusts")
    api, names = state_directory / "api", list(API_NAMES.values())
    certificate(api / "api.pem", names, state_directory / "ca")
    # By address too: the controller has no resolver in the lab.
    certificate(api / "packages.pem", [PACKAGES_NAME, PACKAGES], state_directory / "ca")
    certificate(api / "wrong-certificate.pem", names, api / "stranger")
    certificate(api / "wrong-name.pem", ["elsewhere.lab.test"], state_directory / "ca")
