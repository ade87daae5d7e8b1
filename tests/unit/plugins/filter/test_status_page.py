# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text; how it looks, tests/browser shows."""

import json
import pathlib
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.filter.status_page import status_page

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "tests" / "browser"))

import generated


def said(count):
    return {name: "" if told is None else json.dumps(told) for name, told in generated.sites(count).items()}


@pytest.mark.parametrize("nothing", ["", "Traceback", "[]", "{}", '{"findings": []}'])
def test_what_is_no_status_is_a_site_without_an_answer(nothing):
    page = status_page({**said(3), "site-x": nothing})
    assert "site-x" in page and page.count("No answer: the controller") == 2  # among the faults, and as a card


def test_the_matrix_tells_latency_loss_age_endpoint_and_its_source():
    page = status_page(said(3))
    assert "4.0 ms · 0 % · 2 s<small>10.1.2.9:22000 roamed</small>" in page


def test_a_site_that_others_lost_is_a_dead_link():
    data = generated.sites(3)
    data["site-001"]["status"]["mesh"][0]["peers"][0]["alive"] = False  # of both ends one
    page = status_page({name: json.dumps(told) for name, told in data.items()})
    assert 'stroke="var(--unknown)"' in page and "5/6" in page


def test_a_site_that_is_off_is_told_once_and_is_no_fault_of_the_others():
    data = generated.sites(14)
    page = status_page({name: json.dumps(told) for name, told in data.items()})
    assert page.count("site-013 is not reached at all") == 1
    assert (
        page.count('class="card ok"') == 12
        and page.count('class="card unknown"') == page.count('class="card bad"') == 1
    )
    assert page.count('fill="var(--bad)"') == 2  # it, and the one with a fault of its own
    peer = next(item for item in data["site-002"]["status"]["mesh"][0]["peers"] if item["name"] == "site-013")
    peer["alive"] = True  # then the way to it is at fault
    page = status_page({name: json.dumps(told) for name, told in data.items()})
    assert page.count('class="card bad"') == 13


def test_phones_are_no_links():
    page = status_page(said(3))
    assert "<b>6/6</b>" in page and "other devices" in page and page.count("phone") == 0


def test_names_are_text():
    page = status_page({"<script>alert(1)</script>": ""})
    assert "<script>alert" not in page


@pytest.mark.parametrize(("told", "options", "words"), [
    ([], {}, "must be a dictionary"), ({}, {"language": "de"}, "language must be one of en, zh"),
])  # fmt: skip
def test_wrong_input(told, options, words):
    with pytest.raises(AnsibleFilterError, match=words):
        status_page(told, **options)
