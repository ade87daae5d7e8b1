# SPDX-License-Identifier: GPL-3.0-or-later
"""Every network manager that the role knows goes through every test of the suite; the suite itself runs in the lab, this in the gate."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from nic_rendered import ROLE, ROOT, files, plans

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
    assert {
        "test_an_address_and_nothing_else",
        "test_a_change_that_cuts_the_site_off_is_taken_back",
        "THEIRS",
        "VLANS",
    } <= set(tested)
    assert {name: sorted(backends - found) for name, found in tested.items() if found != backends} == {}


def test_the_client_of_every_backend_is_run_alone_unless_it_is_networkds(backends):
    text = (ROOT / "tests" / "clients" / "test_clients.py").read_text()
    table = text[text.index("CLIENTS = {") : text.index("}", text.index("CLIENTS = {"))]
    assert {backend for backend in backends if f'"{backend}": ' in table} == backends - {"netplan", "networkd"}


@pytest.mark.long
def test_no_file_of_a_nic_is_also_that_of_another(backends, tmp_path):
    """A site with two carriers has two NICs: what is made, changed or given back for one is none of the other's."""
    nics = [{"nic_dhcp_interface": nic} for nic in ("eth1", "eth2")]
    made = [files(plan) for plan in plans(tmp_path, [(backend, nic) for backend in sorted(backends) for nic in nics])]
    for first, second in zip(made[::2], made[1::2], strict=True):
        assert set(first) & set(second) == set()
        assert [path for path, text in first.items() if "eth2" in text] == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_table_of_the_page_has_a_row_for_every_backend(backends, language):
    lines = (ROOT / "docs" / language / "nic.md").read_text().splitlines()
    assert {
        backend for backend in backends if [line for line in lines if line.startswith(f"| `{backend}` |")]
    } == backends


@pytest.mark.parametrize(("language", "words"), [("en", "{} at most"), ("zh-CN", "最多 {} 秒")])
def test_the_page_names_the_time_that_the_suite_allows_a_change_that_is_taken_back(language, words):
    suite = (ROOT / "tests" / "backends" / "test_changes.py").read_text()
    (rescue,) = re.findall(r"(?m)^RESCUE = (\d+)", suite)
    default = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["nic_dhcp_revert_after"]
    page = (ROOT / "docs" / language / "nic.md").read_text()
    text = re.sub(r"\s+", " ", page)
    assert (
        words.format(rescue) in text and f"{default}" in text and default + int(rescue) == 150
    )  # two and a half minutes


def test_run_parts_and_source_directory_take_the_files_of_a_nic_with_a_dot_and_ours_come_first_and_last(tmp_path):
    """Both pass over a file with a dot in its name without a word; what the server sends would be taken."""
    (plan,) = plans(tmp_path, [("ifupdown-dhclient", {"nic_dhcp_interface": "eth1.46"})])
    paths = [
        item["path"] for item in plan["files"] if item["path"].startswith(("/etc/network/", "/etc/dhcp/dhclient-"))
    ]
    assert len(paths) == 4
    assert [path for path in paths if not re.fullmatch(r"[A-Za-z0-9_-]+", path.rpartition("/")[2])] == []
    others = [
        "chrony",
        "debug",
        "ntpsec",
        "resolvconf",
        "resolved",
        "rfc3442-classless-routes",
        "samba",
        "timesyncd",
        "zzz_avahi-autoipd",
    ]
    enter = sorted([path.rpartition("/")[2] for path in paths if "/dhclient-enter-hooks.d/" in path] + others[:-1])
    leave = sorted([path.rpartition("/")[2] for path in paths if "/dhclient-exit-hooks.d/" in path] + others)
    assert (
        enter[0] == "00-sitelink-eth1-46" and enter[-1] == "zz-sitelink-eth1-46" and leave[0] == "00-sitelink-eth1-46"
    )
