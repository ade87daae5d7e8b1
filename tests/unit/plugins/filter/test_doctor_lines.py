# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of all sites as lines."""

import json
import pathlib
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.filter.doctor_lines import doctor_lines

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "tests" / "browser"))

import generated


def said(count):
    return {name: "" if told is None else json.dumps(told) for name, told in generated.sites(count).items()}


def test_a_healthy_mesh_is_no_line():
    assert doctor_lines(said(6)) == [] == doctor_lines({})


def test_one_line_for_each_fault_from_the_bottom_up():
    lines = doctor_lines(said(80))
    assert [line[: line.index(":")] for line in lines] == [
        "site-013, site-077", "site-007", "site-001, site-002, site-003 and 72 more",
        "site-001, site-002, site-003 and 72 more", "site-023", "site-042",
    ]  # fmt: skip
    assert (
        lines[0] == "site-013, site-077: No answer: the controller cannot reach this site, or ansible-playbook "
        "sitelink.tr069.site has not run on it."
    )
    assert lines[1].startswith("site-007: [dhcp] eth1 has a link, but no address") and "make it anew" in lines[1]
    chinese = doctor_lines(said(80), "zh")
    assert len(chinese) == len(lines) and chinese[2].startswith(
        "site-001, site-002, site-003 等另外 72 个站点: [peer] "
    )


@pytest.mark.parametrize(("told", "options", "words"), [
    ([], {}, "must be a dictionary"), ({}, {"language": "de"}, "language must be one of en, zh"),
])  # fmt: skip
def test_wrong_input(told, options, words):
    with pytest.raises(AnsibleFilterError, match=words):
        doctor_lines(told, **options)
