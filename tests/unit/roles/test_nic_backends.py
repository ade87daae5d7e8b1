# SPDX-License-Identifier: GPL-3.0-or-later
"""Every network manager that the role knows goes through every test of the suite; the suite itself runs in the lab, this in the gate."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from nic_rendered import ROLE, ROOT

COLLECT = """
import json, sys
import pytest
class Collector:
    def pytest_collection_finish(self, session):
        from lab_stacks import STACKS
        found = {}
        for item in session.items:
            if "site" in item.fixturenames:
                stack = STACKS[item.callspec.params["site"]]
                found.setdefault(item.originalname, set()).add(stack.backend)
            for table in ("PACKAGES", "THEIRS", "VLANS"):
                if hasattr(item.module, table):
                    found[table] = set(getattr(item.module, table))
        print("FOUND", json.dumps({name: sorted(backends) for name, backends in found.items()}))
sys.exit(pytest.main(["--collect-only", "-q", "tests/backends"], plugins=[Collector()]))
"""


@pytest.fixture(scope="module")
def backends():
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
    choices = specs["argument_specs"]["main"]["options"]["nic_dhcp_backend"]["choices"]
    return {choice for choice in choices if choice != "auto"}


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """{test or table of the suite: backends in it}"""
    environment = {key: value for key, value in os.environ.items() if key not in ("SITELINK_STACKS", "CI")}
    environment["SITELINK_LAB_STATE"] = str(tmp_path_factory.mktemp("lab"))
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    return {name: set(found) for name, found in json.loads(line[6:]).items()}


def test_every_backend_that_can_be_chosen_is_made(backends):
    assert set(yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__nic_dhcp_backends"]) == backends


def test_every_backend_goes_through_every_test_of_the_suite(backends, tested):
    assert {"test_an_address_and_nothing_else", "test_a_change_that_cuts_the_site_off_is_taken_back", "THEIRS", "VLANS"} <= set(tested)
    assert {name: sorted(backends - found) for name, found in tested.items() if found != backends} == {}


def test_the_client_of_every_backend_is_run_alone_unless_it_is_networkds(backends):
    text = (ROOT / "tests" / "clients" / "test_clients.py").read_text()
    table = text[text.index("CLIENTS = {") : text.index("}", text.index("CLIENTS = {"))]
    assert {backend for backend in backends if f'"{backend}": ' in table} == backends - {"netplan", "networkd"}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_table_of_the_page_has_a_row_for_every_backend(backends, language):
    lines = (ROOT / "docs" / language / "nic.md").read_text().splitlines()
    assert {backend for backend in backends if [line for line in lines if line.startswith(f"| `{backend}` |")]} == backends
