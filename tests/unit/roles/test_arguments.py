# SPDX-License-Identifier: GPL-3.0-or-later
"""An option is defined in argument_specs. Ansible does not apply its defaults, so scripts/options writes defaults/; the mesh plan reads them."""

import pathlib
import re

import jinja2
import pytest
import yaml
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan import specs as definitions
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan import variables

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir())


def specs(role):
    return yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"][
        "options"
    ]


def defaults(role):
    """What defaults/ gives where the inventory says nothing at all."""
    path = ROLES / role / "defaults" / "main.yml"
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.ChainableUndefined)
    found = {}
    for name, value in (yaml.safe_load(path.read_text()) if path.exists() else {}).items():
        if isinstance(value, str) and "{{" in value:
            expression = environment.compile_expression(value.strip()[2:-2].strip(), undefined_to_none=True)
            value = expression(ansible_facts={})
        found[name] = value
    return found


@pytest.mark.parametrize("role", NAMES)
def test_every_public_variable_has_the_prefix_of_its_role(role):
    assert [name for name in [*specs(role), *defaults(role)] if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", NAMES)
def test_defaults_equal_the_specs(role):
    wanted = {name: option["default"] for name, option in specs(role).items() if "default" in option}
    given = defaults(role)
    assert {name: given.get(name) for name in wanted} == wanted
    # What has a default in one place only: its value depends on the site, and the description says how.
    assert sorted(set(given) - set(wanted)) == (["site_agent_python"] if role == "site_agent" else [])


def test_the_plan_knows_every_option_and_nothing_that_is_none():
    options = {name for role in NAMES for name in specs(role)}
    others = {"ansible_host", "ansible_port", "ansible_ssh_host", "ansible_become", "sitelink_serial", *variables.followers()}
    assert set(variables.table()) == options | others and set(definitions.options()) == options
    assert len(others) == 10


def test_the_plan_reads_every_default():
    """A default that a reader refuses would be a fault of every site."""
    for name, row in variables.table().items():
        value = variables.default(name)
        if value is not None and value != "":
            row.read(value)
    assert variables.default("tr069_networks") == ["10.0.0.0/7"] and variables.default("ddns_interval") == 30


@pytest.mark.parametrize("shared", sorted(variables.followers()))
def test_what_follows_from_a_shared_variable_has_one_default(shared):
    """It is the shared variable's own, which is defined nowhere else."""
    for option in variables.followers()[shared]:
        [role] = [role for role in NAMES if option in specs(role)]
        text = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())[option]
        assert text.startswith(f"{{{{ {shared} | default("), option
        assert specs(role)[option]["default"] == variables.default(shared), option


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_operators_are_told_to_set_exists(language):
    """doctor names variables."""
    text = (ROLES / "site_agent" / "files" / "sitelink" / f"text_{language}.py").read_text()
    named = set(re.findall(rf'(?<!")\b(?:{"|".join(NAMES)}|tr069)_\w+', text))
    options = {name for role in NAMES for name in specs(role)} | {"tr069_interface", "tr069_networks"}
    assert named <= options and len(named) > 4


@pytest.mark.parametrize("role", NAMES)
def test_no_option_that_may_hold_a_secret_has_choices(role):
    """A refused choice is printed with its value."""
    for name, option in specs(role).items():
        if name.endswith(("_token", "_secret", "_key", "_id")):
            assert "choices" not in option, name
