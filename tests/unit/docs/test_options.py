# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented exists, and what exists is documented: the tables are written from the definitions, and every name of
a variable in roles, playbooks, inventories and pages is one of those defined."""

import functools
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
FILTERS = {path.stem for path in (ROOT / "plugins" / "filter").glob("*.py")}
SHARED = {"tr069_interface", "tr069_networks", "tr069_table", "tr069_fwmark", "tr069_rule_priority"}
# What playbooks take beside the roles' variables.
PLAYS = {"sitelink_serial"}
# Where such a word is no variable: a path, a module, a part of a longer name, what a filter is called with.
WORD = re.compile(rf"(?<![\w./-])((?:{'|'.join(ROLES)}|tr069|sitelink)_[a-z0-9_]+)(?![\w/(-]|\.\w)")
METRICS = {
    f"sitelink_{name}"
    for name in re.findall(r'\.add\("(\w+)"', (ROOT / "roles/site_agent/files/sitelink/metrics.py").read_text())
}
# The filters, the metrics, and the tables of nftables.
NO_VARIABLE = FILTERS | METRICS | {"sitelink_eth1", "sitelink_eth1_held"}


@functools.cache
def options():
    found = {}
    for role in ROLES:
        spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        found.update(spec["argument_specs"]["main"]["options"])
    return found


def unknown(text):
    known = {*options(), *SHARED, *PLAYS, *NO_VARIABLE, *ROLES}
    return sorted({name for name in WORD.findall(text) if name not in known})


def files(*patterns):
    return [
        path for pattern in patterns for path in sorted(ROOT.glob(pattern))
        if path.is_file() and path.suffix in (".md", ".yml", ".j2") and path.name != "vault.yml"
    ]  # fmt: skip


def named(path):
    return str(path.relative_to(ROOT))


def test_the_tables_are_what_the_definitions_say():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "options", "--check"], text=True, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


def test_every_option_stands_in_the_tables_with_a_meaning():
    table = (ROOT / "docs" / "options.md").read_text()
    for name in [*options(), *SHARED]:
        assert re.search(rf"^\| `{name}` \|[^|]+\|[^|]+\| \S", table, re.MULTILINE), name


@pytest.mark.parametrize("path", files("roles/*/*/*", "playbooks/**/*", "inventories/**/*"), ids=named)
def test_every_variable_that_is_used_is_defined(path):
    assert unknown(path.read_text()) == [], "add it to meta/argument_specs.yml, or begin an internal name with __"


@pytest.mark.parametrize("path", files("*.md", "docs/**/*"), ids=named)
def test_every_variable_that_is_documented_exists(path):
    assert unknown(path.read_text()) == []


def test_a_word_that_is_no_option_is_seen():
    text = "Set `wireguard_mesh_adress`, `wireguard_mesh_address`, `tr069_interfaces` and sitelink.tr069.wireguard_mesh_plan."
    assert unknown(text) == ["tr069_interfaces", "wireguard_mesh_adress"]
