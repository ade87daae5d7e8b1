# SPDX-License-Identifier: GPL-3.0-or-later
import copy
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../roles/site_agent/files")))

from sitelink import config

from throwaway import GATEWAY, NO_SLOW_PASS, Namespace


@pytest.fixture(scope="module")
def namespaces(tmp_path_factory):
    """A factory of namespaces that go away with the module."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes network namespaces")
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2")
    probe = subprocess.run(["ip", "netns", "add", "slt-%d-probe" % os.getpid()], stderr=subprocess.PIPE)
    if probe.returncode:
        pytest.skip("this machine allows no network namespaces: %s" % probe.stderr.decode().strip())
    subprocess.run(["ip", "netns", "del", "slt-%d-probe" % os.getpid()], check=True)
    made = []

    def make():
        made.append(Namespace(tmp_path_factory.mktemp("ns"), NO_SLOW_PASS))
        return made[-1]

    yield make
    for namespace in made:
        namespace.destroy()


@pytest.fixture
def directories(tmp_path, monkeypatch):
    """The program's directories, for tests in this process."""
    for name in ("ETC", "RUN", "WIREGUARD", "LIB", "SYSTEM"):
        path = tmp_path / name.lower()
        path.mkdir()
        monkeypatch.setattr(config, name, str(path))
    return tmp_path


@pytest.fixture
def gateway_json():
    return copy.deepcopy(GATEWAY)
