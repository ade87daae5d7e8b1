# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's internet has for download: an index of Python packages (PEP 503) and a repository of Debian packages.

The controller's pip takes the first over HTTPS, the sites' apt the second over HTTP, as from a mirror of Debian.
"""

import hashlib
import html
import re
import shutil
import ssl
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .podman import LabError, run
from .topology import PACKAGES


def publish(directory: Path, wheels: list[Path], debs: list[Path]) -> None:
    """Write index and repository of these files below the directory, which is served as it is."""
    if not wheels:
        raise LabError("the DDNS client for the lab's package index is not there: run scripts/setup")
    projects: dict[str, list[Path]] = {}
    for wheel in wheels:
        projects.setdefault(re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower(), []).append(wheel)
    write(directory / "simple" / "index.html", page([(f"{name}/", name) for name in sorted(projects)]))
    for name, files in projects.items():
        links = [(f"{copy(file, directory / 'simple' / name)}#sha256={digest(file)}", file.name) for file in files]
        write(directory / "simple" / name / "index.html", page(links))
    entries = [deb_entry(deb, copy(deb, directory / "debian")) for deb in sorted(debs)]
    write(directory / "debian" / "Packages", "\n".join(entries))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def copy(file: Path, directory: Path) -> str:
    """Put the file there, and return its name."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, directory / file.name)
    return file.name


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def page(links: list[tuple[str, str]]) -> str:
    anchors = "".join(f'<a href="{html.escape(target)}">{html.escape(text)}</a><br>\n' for target, text in links)
    return f"<!DOCTYPE html>\n<html><body>\n{anchors}</body></html>\n"


def deb_entry(deb: Path, name: str) -> str:
    """A package's paragraph in the file Packages of a flat repository."""
    fields = run("dpkg-deb", "--field", str(deb)).stdout
    return f"{fields.rstrip()}\nFilename: ./{name}\nSize: {deb.stat().st_size}\nSHA256: {digest(deb)}\n"


class Server(ThreadingHTTPServer):
    daemon_threads = True


def main(directory: str, certificate: str) -> None:
    """Serve the directory for ever, on both ports."""
    handler = partial(SimpleHTTPRequestHandler, directory=directory)
    plain, secured = (Server((str(PACKAGES), port), handler) for port in (80, 443))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    # The handshake is the business of the connection's own thread.
    secured.socket = context.wrap_socket(secured.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    secured.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
