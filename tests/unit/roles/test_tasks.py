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
    for path in (ROOT / "roles").rglob("tasks/*.yml"):
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in lines if "notify:" in line or "flush_handlers" in line], path
        assert not [line for line in lines if " is changed" in line], path


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
    order = [each["name"].removeprefix("sitelink.tr069.") for each in roles if "tasks_from" not in each]
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
    if playbook == "site":  # which ends there where nothing is to be done
        assert [used.pop(0), used.pop(0)] == [("site_agent", "preflight"), ("site_agent", "judge")]
    assert used[:2] == [("nic_dhcp", "preflight"), ("wireguard_mesh", "connected")] and used[2][0] == changes


# Of each role of site.yml, the tasks beside its layer, and why a run may end without them where all layers are as stated
# (site_agent/tasks/judge.yml): the words of __ROLE_only_layer that say when one does nothing, or in brackets why it needs none.
BESIDE = {
    "site_agent": {
        "Check what the program needs": "[the playbook has done it]",
        "Say which did not start with it": "[a daemon of an older program is a difference]",
    },
    "tr069_firewall": {
        "Plan the mesh": "[the playbook has done it]",
        "Look what filters on the site": "__tr069_firewall_asked in",
        "Install nftables": "'nft yes' in __tr069_firewall_look",
        "See to other firewalls": "__tr069_firewall_blocked_by | length == 0",
    },
    "nic_dhcp": {
        "Check the NIC and choose the backend": "__nic_dhcp_against | length == 0",
        "Wait for the lease": "[a condition of the layer]",
    },
    "tr069_gateway": {"Take the script of the article away": "not tr069_gateway_remove_article"},
    "wireguard_mesh": {
        "Check the inventory and plan the mesh": "[the playbook has done it]",
        "Refuse a host that is no site": "[the playbook leaves it out]",
        "Look whether something else has the interface or the port": "__wireguard_mesh_taken | length == 0",
        "Install WireGuard": "not __wireguard_mesh_lacks_tools | bool and not __wireguard_mesh_lacks_kernel",
        "Keep the configuration that was there before": "['foreign', 'stray'] | intersect(__wireguard_mesh_look) | length == 0",
        "Keep what only the running interface knows": "['foreign', 'stray'] | intersect(__wireguard_mesh_look) | length == 0",
        "Start what was there before": "[the playbook leaves out an absent site]",
    },
    "ddns": {
        "Refuse settings that cannot work": "__ddns_settings.problems | length == 0",
        "Fetch the pinned client": "[a client that is not there is a difference]",
        "Make the user of the service": "[a condition of the layer]",
        "Explain a failed update": "[the last run's failure is a difference]",
        "Take the installation of the article away": "not ddns_remove_article",
    },
}  # fmt: skip


def read(path):
    return yaml.load((ROOT / path).read_text(), Loader)


def of_site():
    """The roles of site.yml with their main.yml, and the one that all depend on."""
    [tasks] = [play["tasks"] for play in read("playbooks/site.yml") if "ansible.builtin.import_role" in str(play)]
    roles = [task["ansible.builtin.import_role"] for task in tasks if "ansible.builtin.import_role" in task]
    names = [role["name"].removeprefix("sitelink.tr069.") for role in roles if "tasks_from" not in role]
    return {
        *names,
        *(
            need["role"].removeprefix("sitelink.tr069.")
            for name in names
            for need in read(f"roles/{name}/meta/main.yml")["dependencies"]
        ),
    }


def test_what_stands_between_the_comparison_and_the_roles_is_known():
    """The NIC's and the mesh's refusals are in the words above, or a difference; what another NIC left is the condition of the comparison."""
    [tasks] = [play["tasks"] for play in read("playbooks/site.yml") if "ansible.builtin.import_role" in str(play)]
    [ends] = [place for place, task in enumerate(tasks) if "judged" in str(task.get("when"))]
    [judges] = [task for task in tasks if "'judge'" in str(task)]
    others = "(__sitelink_other_meshes + __sitelink_other_nics) | length"
    assert judges["when"] == f"{others} == 0"
    between = [task for task in tasks[ends + 1 :] if "ansible.builtin.import_role" not in task]
    assert [(task["name"], task.get("when")) for task in between] == [
        (
            "Check the underlay NIC before anything is changed",
            "nic_dhcp_state | default('present') == 'present' and not __nic_dhcp_only_layer | default(false) | bool",
        ),
        ("Check what the site is connected to before anything is changed", None),
        ("Take away what is of another NIC", f"{others} > 0"),
    ]


def flat(tasks):
    return [each for task in tasks for each in flat(task.get("block", [])) or [task]]


def test_every_task_beside_a_layer_has_a_word_in_whether_a_run_may_end_early():
    """Where one is added: say in the role's __ROLE_only_layer when it does nothing, and here which words those are."""
    assert {*BESIDE} == of_site()
    for role, known in BESIDE.items():
        tasks = [
            each
            for task in flat(read(f"roles/{role}/tasks/main.yml"))
            for each in (
                read(f"roles/{role}/tasks/prepare.yml")
                if task.get("ansible.builtin.include_tasks") == "prepare.yml"
                else [task]
            )
        ]
        layers = [task for task in tasks if task.get("ansible.builtin.import_tasks") == "layer.yml"]
        assert len(layers) == 1 and {task["name"] for task in tasks if task not in layers} == {*known}, role
        says = " ".join(str(read(f"roles/{role}/vars/main.yml").get(f"__{role}_only_layer", "")).split())
        for name, words in known.items():
            assert words.startswith("[") or words in says, (role, name)
    asked = str(read("roles/site_agent/vars/main.yml")["__site_agent_may_be_done"])
    assert all(f"__{role}_only_layer" in asked for role in BESIDE if role != "site_agent")


def test_what_is_compared_is_what_the_roles_put_in_place():
    compared = read("roles/site_agent/vars/main.yml")["__site_agent_layers"]
    assert {*compared} == of_site()
    for role, layer in compared.items():
        [task, *behind] = read(f"roles/{role}/tasks/layer.yml")
        # What the command of a NIC says is a difference: where there is none, there is nothing to confirm.
        assert [each["name"] for each in behind] == (["Confirm the change"] if role == "nic_dhcp" else []), role
        given = {**task["sitelink.tr069.site_layer"]}
        more = {name for name in ("state", "upgrade") if given.pop(name, None) is not None}
        assert given == {name: f"{{{{ __{role}_layer.{name} }}}}" for name in given}, role
        stated = {*read(f"roles/{role}/vars/main.yml")[f"__{role}_layer"]}
        assert stated - {"conditions"} == {*given}, role  # conditions are only compared
        assert f"__{role}_layer" in layer, role
        # An absent site is not compared.
        assert all(f"'{name}'" in layer for name in more) or (role, more) in (
            ("site_agent", {"state", "upgrade"}), ("wireguard_mesh", {"state"}),
        ), role  # fmt: skip


def test_what_is_worked_out_once_is_there_and_stands_behind_what_it_uses():
    """A name that nothing has is passed over without a word, and only costs time."""
    there = {}
    for path in (*ROOT.glob("roles/*/vars/main.yml"), *ROOT.glob("roles/*/defaults/main.yml")):
        there.update(read(path.relative_to(ROOT)) or {})
    once = read("roles/site_agent/vars/main.yml")["__site_agent_once"]
    assert [name for name in once if name not in there] == []

    def used(name):
        """What of the list it uses, by itself or by what is not in the list."""
        for word in set(re.findall(r"\w+", str(there[name]))) - {name}:
            if word in once:
                yield word
            elif word in there:
                yield from used(word)

    for place, name in enumerate(once):
        assert set(used(name)) & {*once[place:]} == set(), (name, set(used(name)) & {*once[place:]})


def test_a_site_that_is_judged_first_is_not_looked_at_twice():
    [main] = [task for task in read("roles/site_agent/tasks/main.yml") if "preflight.yml" in str(task)]
    [play] = [play for play in read("playbooks/site.yml") if "ansible.builtin.import_role" in str(play)]
    assert main["when"] == "not __site_agent_checked | default(false) | bool"
    assert play["vars"]["__site_agent_checked"] == "{{ __site_agent_looked is defined }}", (
        "also where a run begins behind it"
    )
