# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import os
import subprocess
import sys

import pytest

from sitelab import cli, packages
from sitelab.podman import LabError

WHEEL = "Some_Thing.else-1.0-py3-none-any.whl"


@pytest.fixture
def wheel(tmp_path):
    made = tmp_path / WHEEL
    made.write_bytes(b"a wheel")
    return made


def test_the_index_has_one_page_per_project_by_its_normal_name_and_the_digests(tmp_path, wheel):
    packages.publish(tmp_path / "served", [wheel], [])
    assert 'href="some-thing-else/"' in (tmp_path / "served/simple/index.html").read_text()
    page = (tmp_path / "served/simple/some-thing-else/index.html").read_text()
    assert f'href="{WHEEL}#sha256={hashlib.sha256(b"a wheel").hexdigest()}"' in page
    assert (tmp_path / "served/simple/some-thing-else" / WHEEL).read_bytes() == b"a wheel"


def test_the_repository_tells_of_every_package_what_apt_wants_to_know(tmp_path, wheel):
    control = tmp_path / "made" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: thing\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.com>\nDepends: libc6\nDescription: a thing\n"
    )
    deb = tmp_path / "thing_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tmp_path / "made", deb], check=True, capture_output=True
    )
    packages.publish(tmp_path / "served", [wheel], [deb])
    lines = (tmp_path / "served/debian/Packages").read_text().splitlines()
    for line in ("Package: thing", "Depends: libc6", "Filename: ./thing_1.0_all.deb", f"Size: {deb.stat().st_size}"):
        assert line in lines
    assert f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}" in lines


def test_a_lab_without_the_client_is_refused_with_what_to_run(tmp_path):
    with pytest.raises(LabError, match="scripts/setup"):
        packages.publish(tmp_path, [], [])


def test_the_controllers_environment_names_the_labs_index_and_none_of_the_machines_ways_out(monkeypatch):
    for name in (
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "https_proxy",
        "HTTP_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
    ):
        monkeypatch.setenv(name, "of the machine")
    monkeypatch.setenv("PIP_CERT", "of the machine")
    found = cli.controller()
    assert "of the machine" not in found.values()
    assert found["PIP_INDEX_URL"].startswith("https://198.18.") and found["PIP_CONFIG_FILE"] == os.devnull
    assert found["PATH"] == os.environ["PATH"]
    # An empty cache on a fresh lab.
    assert found["XDG_CACHE_HOME"].startswith(found["SITELINK_LAB_STATE"])


def test_two_labs_of_one_checkout_share_no_state():
    ask = "from sitelab import cli; print(cli.STATE)"
    states = [
        subprocess.run(
            [sys.executable, "-c", ask], env={**os.environ, "SITELINK_LAB": name, "PYTHONPATH": str(cli.ROOT / "lab")},
            check=True, text=True, capture_output=True,
        ).stdout
        for name in ("one", "other")
    ]  # fmt: skip
    assert len(set(states)) == 2
