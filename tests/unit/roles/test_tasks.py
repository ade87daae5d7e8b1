# SPDX-License-Identifier: GPL-3.0-or-later
"""What YAML makes of the words in the roles' and playbooks' tasks."""

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
FILES = [path for top in ("roles", "playbooks", "molecule") for path in sorted((ROOT / top).rglob("*.yml"))]


class Loader(yaml.SafeLoader):
    """YAML with Ansible's own tags (`!vault`, `!unsafe`) read as text."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def mappings(node):
    """All mappings in what a file holds."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(child)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_word_of_a_command_line_is_a_word(path):
    """`- --only-binary=:all:` without quotes is a mapping, and the command gets that."""
    for found in mappings(yaml.load(path.read_text(), Loader)):
        words = found.get("argv") if isinstance(found.get("argv"), list) else []
        assert [word for word in words if not isinstance(word, (str, int))] == [], found


def test_what_is_to_run_hangs_on_what_is_and_not_on_what_a_run_changed():
    """A run that breaks off between a file and its handler would leave the file unapplied for good; `sitelink service` compares."""
    assert list(ROOT.glob("roles/*/handlers")) == []
    # Whoever takes files away has stopped their units before, and nic_dhcp's program looks itself whether a change was confirmed.
    allowed = ("absent.yml",)
    for path in (ROOT / "roles").rglob("tasks/*.yml"):
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in lines if "notify:" in line or "flush_handlers" in line], path
        assert str(path).endswith(allowed) or not [line for line in lines if " is changed" in line], path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_input_of_a_command_is_taken_for_a_dictionary(path):
    """Before 2.19 ansible-core reads text that begins like a dictionary or a list as one, and a program then gets Python's words for it."""
    for found in mappings(yaml.load(path.read_text(), Loader)):
        text = str(found.get("stdin", ""))
        plain = text.startswith("{{") and "json" in text and "b64encode" not in text
        assert not plain, f"{path}: a blank before {text}"


def test_the_nic_is_closed_before_it_is_up_and_dns_holds_up_nobodys_mesh():
    plays = yaml.load((ROOT / "playbooks" / "site.yml").read_text(), Loader)
    (tasks,) = [play["tasks"] for play in plays if "ansible.builtin.import_role" in str(play)]
    roles = [each["ansible.builtin.import_role"] for each in tasks if "ansible.builtin.import_role" in each]
    order = [each["name"].removeprefix("sitelink.tr069.") for each in roles]
    assert order == ["tr069_firewall", "nic_dhcp", "tr069_gateway", "wireguard_mesh", "ddns"]


def test_every_page_that_a_message_names_is_there():
    texts = [
        path
        for top in ("plugins", "roles", "playbooks")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".py", ".yml", ".j2")
    ]
    named = {page for path in texts for page in re.findall(r"\bdocs/[\w./-]+[.]md", path.read_text())}
    assert named and [page for page in named if not (ROOT / page).exists()] == []


@pytest.mark.parametrize(("playbook", "changes"), [("site", "tr069_firewall"), ("migrate", "site_agent")])
def test_a_site_is_looked_at_before_anything_of_it_is_changed(playbook, changes):
    """What else has the NIC, the interface or the port: with the files of an article put aside first, a refusal would come too late."""
    plays = yaml.load((ROOT / "playbooks" / f"{playbook}.yml").read_text(), Loader)
    [tasks] = [
        tasks
        for tasks in (play.get("pre_tasks") or play.get("tasks") or [] for play in plays)
        if any(words.get("tasks_from") == "connected" for words in mappings(tasks))
    ]
    words = [item for item in mappings(tasks) if str(item.get("name", "")).startswith("sitelink.tr069.")]
    used = [(item["name"].rpartition(".")[2], item.get("tasks_from")) for item in words]
    assert used[:2] == [("nic_dhcp", "preflight"), ("wireguard_mesh", "connected")] and used[2][0] == changes
