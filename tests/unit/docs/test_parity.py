# SPDX-License-Identifier: GPL-3.0-or-later
"""The English and the Chinese pages say the same: the same headings, tables, pictures and commands, in the same order."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = [(ROOT / "README.md", ROOT / "README.zh-CN.md")] + [
    (page, ROOT / "docs" / "zh-CN" / page.name) for page in sorted((ROOT / "docs" / "en").glob("*.md"))
]


def outline(path):
    """The levels of the headings, the number of rows of each table, and the blocks of commands."""
    text = path.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    commands = [[line.partition("#")[0].strip() for line in block.splitlines()] for block in blocks]
    return {
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)],
        "tables": [rows.count("\n") for rows in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)],
        "commands": commands,
        "variables": sorted(set(re.findall(r"`((?:wireguard_mesh|ddns|tr069|nic_dhcp)_\w+)", prose))),
    }


@pytest.mark.parametrize(("english", "chinese"), PAGES, ids=lambda path: path.name)
def test_both_languages_say_the_same(english, chinese):
    assert outline(english) == outline(chinese)
    for page in (english, chinese):
        assert "](" in page.read_text().splitlines()[0], f"{page} lacks the link to the other language in line 1"


def test_no_page_stands_in_one_language_only():
    names = [{path.name for path in (ROOT / "docs" / language).glob("*.md")} for language in ("en", "zh-CN")]
    assert names[0] == names[1]
