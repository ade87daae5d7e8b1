# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an inventory: each slip is told with its file and line, and a right inventory says nothing."""

import pathlib
import shutil

import pytest
from ansible import constants
from ansible_collections.sitelink.tr069.plugins.plugin_utils._inventory_files import problems as inventory_files
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import known_variables

ROOT = pathlib.Path(__file__).resolve().parents[4]
HOSTS = ("site-a", "site-b", "site-c")
GROUPS = {"all": list(HOSTS), "ungrouped": [], "sites": list(HOSTS)}
B = "host_vars/site-b.yml"


@pytest.fixture
def inventory(tmp_path):
    return shutil.copytree(ROOT / "inventories" / "lab", tmp_path / "inventory")


def problems(*sources, groups=None):
    return inventory_files.problems(list(map(str, sources)), groups or GROUPS, known_variables())


def the_problem(*sources):
    [problem] = problems(*sources)
    assert problem["message"].startswith(problem["file"]) and problem["message"].endswith((".", ".)"))
    return problem


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def test_a_right_inventory_says_nothing(inventory):
    assert problems(inventory) == [] and problems(inventory / "hosts.yml") == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfwireguard_mesh_port: 22000\r\n",
        "# 深圳\nwireguard_mesh_port: 0x55f0\ntr069_networks: [10.0.0.0/7]\nnote: 0755\n",
        b"$ANSIBLE_VAULT;1.1;AES256\n3230\n",
        "ddns_token: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3230\n",
        "wireguard_mesh_port: '022000'\nwireguard_mesh_keepalive: 0\n",
        "base: &base {a: 1}\nmore: &more {b: 1}\nboth: {<<: *base, <<: *more}\n",
        '{\n\t"wireguard_mesh_port": 22000\n}\n',
        "note: !unsafe '{{ x }}'\nwireguard_mesh_port: !!int '22000'\n",
        "",
        "---\n",
        "# nothing yet\n",
    ],
)
def test_what_ansible_reads_rightly_is_right(inventory, data):
    write(inventory / B, data)
    assert problems(inventory) == []


@pytest.mark.parametrize(
    "path",
    [
        "host_vars/site-b.yml~",
        "host_vars/.site-b.yml.swp",
        "host_vars/site-b.yml.bak",
        "host_vars/README.md",
        "host_vars/notes.txt",
        "host_vars/localhost.yml",
        "group_vars/all/notes.txt",
        "group_vars/webservers.yml",  # of another playbook
        "group_vars/ungrouped.yml",
        "files/ont.png",
        "group_vars/all/backup.2024/old.yml",
        "host_vars~/site-b.yml",
        "shenzhen.old",
    ],
)
def test_what_else_lies_there_is_nobodys_slip(inventory, path):
    write(inventory / path, "x: 1\n")
    assert problems(inventory) == []


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        ("a: 1\n\twireguard_mesh_port: 1\n", 2, "It begins with a tab."),
        ("a: 1\nwireguard_mesh_port：1\nb: 2\n", 2, "full-width colon"),
        ("wireguard_mesh_port：1\n", 1, "full-width colon"),
        ("a: 1\nwireguard_mesh_port:1\nb: 2\n", 2, "A blank is missing behind the colon."),
        ("a: 1\nwireguard_mesh_port = 1\nb: 2\n", 2, "instead of the equals sign"),
        ("a: 1\n  b: 2\n", 2, "Compare it with the lines above and below it."),
        ("a: {{ x }}\n", 1, "into quotes"),
        ("a: 1\nb: [{{ x }}]\n", 2, "into quotes"),
        ("a: {{ x }}/24\nb: 1\n", 1, "into quotes"),
        ("a: !vault |\n$ANSIBLE_VAULT;1.1;AES256\n3230\n", 0, "have to be indented below its name"),
        ("mine: !valut |\n  $ANSIBLE_VAULT;1.1;AES256\n  3230\n", 1, "Write !vault."),
        ('a: 1\nwireguard_mesh_port: !int "22000"\n', 2, "begins with ! is a tag to YAML. Put the value into quotes."),
        ("a:\n\u3000b: 1\n  c: 2\n", 2, "a blank of another kind"),
        ("a: 'x\n", 0, "cannot be read as YAML"),
        ("wireguard_mesh_address:\u00a0192.168.11.1\nb: 1\n", 1, "a blank of another kind"),
        ("a: 1\nb: @home\n", 2, "has to stand in quotes"),
        ("a: `date`\n", 1, "has to stand in quotes"),
        ("a: *.example.com\n", 1, "has to stand in quotes"),
        ("a: %x\n", 1, "has to stand in quotes"),
        ("ddns_token: s3cret: ONE\n", 1, "A value with a colon and a blank in it has to stand in quotes."),
        ("ansible_become_password: !s3cret\n", 1, "begins with ! is a tag to YAML"),
        ("- a: 1\n", 1, "no lines like `name: value`"),
        ("hello\n", 1, "no lines like `name: value`"),
        ("a: 1\n# 深圳\n".encode("gbk"), 2, "no UTF-8 text"),
        ("a: 1\n".encode("utf-16"), 1, "no UTF-8 text"),
        ("a: 1\n".encode("utf-16-le"), 0, "no UTF-8 text"),
    ],
)
@pytest.mark.parametrize("path", [B, "host_vars/site-a.yml", "group_vars/all/mesh.yml"])
def test_a_file_that_cannot_be_read_is_named_with_its_line(inventory, path, data, line, words):
    write(inventory / path, data)
    problem = the_problem(inventory)
    assert problem["unreadable"] and problem["file"] == path and "s3cret" not in problem["message"]
    assert words in problem["message"] and (not line or f"{path}, line {line}: " in problem["message"])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("wireguard_mesh_port: 1\nwireguard_mesh_port: 2\n", 'line 2: "wireguard_mesh_port" stands in line 1 already'),
        ("ddns_ttl: {a: 1, b: {a: 1, a: 2}}\n", 'line 1: "a" stands in line 1 already'),
        ("ddns_ttl:\n  b: 1\n  c: 2\n  b: 3\n", 'line 4: "b" stands in line 2 already'),
        ("wireguard_mesh_port: 022000\n", "wireguard_mesh_port is 022000, which YAML reads as 9216. Write 22000,"),
        ("wireguard_mesh_mtu: 02614\n", "1420"),
        ("wireguard_mesh_port: 12:30:45\n", "which YAML reads as 45045. Write '12:30:45', in quotes."),
        ("nic_dhcp_mac: 10:11:22:33:44:55\n", "Write '10:11:22:33:44:55', in quotes."),
        ("tr069_firewall_allow: [{protocol: tcp, ports: [0443]}]\n", "tr069_firewall_allow is 0443"),
    ],
)
def test_what_nobody_sees_in_the_values_is_told(inventory, data, words):
    write(inventory / B, data)
    problem = the_problem(inventory)
    assert words in problem["message"] and not problem["unreadable"]


@pytest.mark.parametrize("other", ["host_vars/site-b.yaml", "host_vars/site-b.json"])
def test_of_two_files_of_one_site_the_one_that_nothing_reads_is_told(inventory, other):
    write(inventory / other, "{}")
    assert the_problem(inventory)["file"] == other


@pytest.mark.parametrize("first", ["host_vars/site-b", "host_vars/site-b/main.yml"])
def test_a_directory_hides_the_file_beside_it(inventory, first):
    write(inventory / first, "wireguard_mesh_port: 22001\n")
    problem = the_problem(inventory)
    assert problem["file"] == B and "host_vars/site-b is there" in problem["message"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("host_vars/siteb.yml", "no host of this name"),
        ("host_vars/Site-B.yml", "no host of this name"),
        ("host_vars/siteb", "no host of this name"),
        ("host_vars/siteb/main.yml", "no host of this name"),
        ("host_vars/site-b.yml.txt", "Rename it to site-b.yml."),
        ("host_vars/site-b.txt", "Rename it to site-b.yml."),
        ("host_vars/site-b.YML", "Rename it to site-b.yml."),
        ("host_vars/site-b.ymal", "Rename it to site-b.yml."),
        ("group_vars/all/mesh.yml.txt", "Rename it to mesh.yml."),
        ("group_vars/all.YAML", "Rename it to all.yml."),
        ("group_vars/site.yml", "Rename it to sites.yml."),
        ("group_vars/site/mesh.yml", "Rename it to sites."),
        ("group_vars/Sites.yml", "Rename it to sites.yml."),
        ("group_vars/site-b.yml", "move it to host_vars/site-b.yml."),
        ("group_vars/mesh.yml", "below group_vars/all or host_vars."),
        ("hostvars/site-b.yml", "Rename it to host_vars."),
        ("group_var/all.yml", "Rename it to group_vars."),
    ],
)
def test_what_nothing_reads_is_told(inventory, path, words):
    write(inventory / path, "wireguard_mesh_port: 22001\n")
    assert words in the_problem(inventory)["message"]


def test_one_list_of_hosts_does_not_know_what_the_other_lists_read(inventory):
    """Two inventories may share the files beside them."""
    write(inventory / "host_vars" / "of-another-list.yml", "wireguard_mesh_port: 22001\n")
    assert problems(inventory / "hosts.yml") == []
    assert len(problems(inventory)) == 1


def test_a_list_of_hosts_is_looked_at_too(inventory):
    write(
        inventory / "hosts.yml",
        "sites:\n  hosts:\n    site-a:\n    site-b: {wireguard_mesh_port: 022000}\n    site-a:\n",
    )
    messages = [problem["message"] for problem in problems(inventory)]
    assert len(messages) == 2 and messages[0].startswith("hosts.yml, line 4") and "site-a" in messages[1]
    write(inventory / "hosts.yml", "sites:\n\thosts:\n")
    assert the_problem(inventory)["unreadable"]
    write(inventory / "hosts.yml", "- hosts: all\n")  # a playbook that lies there; Ansible says that it is no list
    assert problems(inventory) == []


def test_sources_that_are_no_files_are_not_looked_at(inventory):
    assert problems("site-a,site-b,", inventory / "nowhere") == []


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (
            "sites:\n  hosts:\n    1001:\n",
            "hosts.yml, line 3: YAML does not read 1001 as a name. Write '1001', in quotes.",
        ),
        ("sites:\n  hosts:\n    on:\n", "Write 'on', in quotes."),
        ("sites:\n  hosts:\n    0755:\n", "Write '0755', in quotes."),
        ("sites:\n  hosts:\n    2026-11-28:\n", "Write '2026-11-28', in quotes."),
        ("all:\n  children:\n    sites:\n      hosts:\n        12:30:45:\n", "Write '12:30:45', in quotes."),
        ("sites:\n  hosts:\n    - site-a\n", "like `shenzhen:`"),
        ("sites:\n  hosts:\n    site-a\n    site-b\n", "like `shenzhen:`"),
        (
            "sites:\n  host:\n    site-a:\n",
            "line 2: host stands where a group has hosts, children or vars. Write hosts:.",
        ),
        ("sites:\n  site-a:\n", "site-a stands where a group has hosts, children or vars. Write hosts: above it"),
        ("all:\n  sites:\n    hosts:\n      site-a:\n", "sites stands where a group has hosts"),
        (
            "sites:\n  hosts:\n    site-a:\n    site-b: 192.168.1.2\n",
            "line 4: site-b has a value here, which only variables",
        ),
        ("sites:\n  hosts:\n    site-a: [x]\n", "Write `site-a:` alone"),
        (
            "sites:\n  hosts:\n    site-a:\n    ansible_host: 192.168.1.2\n",
            "ansible_host stands among the hosts. Write vars:",
        ),
        ("sites:\n  hosts:\n    site-a:\n    tr069_interface: eth2\n", "tr069_interface stands among the hosts."),
        ("sites:\n  hosts:\n    site-a:\n    - site-b\n", "Write `site-a:` alone"),
        ("sites:\n  tr069_interface: eth2\n  hosts:\n    site-a:\n", "Write vars: above it"),
        (
            "tr069_interface: eth2\nsites:\n  hosts:\n    site-a:\n",
            "line 1: tr069_interface stands where a list has its groups",
        ),
        ("vars:\n  tr069_interface: eth2\nsites:\n  hosts:\n    site-a:\n", "Write sites: above it, and indent vars:"),
        ("hosts:\n  site-a:\n  site-b:\n", "line 1: hosts: begins the line, where a list has the name of a group."),
    ],
)
def test_a_list_that_ansible_takes_otherwise_is_told(inventory, hosts, words):
    write(inventory / "hosts.yml", hosts)
    problem = the_problem(inventory)
    assert words in problem["message"] and problem["unreadable"]


@pytest.mark.parametrize(
    "hosts",
    [
        "sites:\n  hosts:\n    site-a:\n    '1001': {}\n    site-[1:3]:\n  vars: {x: 1}\n  children:\n",
        "all:\n  children:\n    sites:\n      hosts:\n",
        "sites:\n",
        "sites:\n  hosts: site-a\n",
        "plugin: ansible.builtin.generator\nhosts: {name: site-a}\nlayers: {}\n",
        "plugin: ansible.builtin.constructed\ngroups: {sites: true}\n",
        "sites:\n  hosts:\n    site-a: {nic_dhcp_mtu: 1400, note: {vars: 1}}\n    site-b: ~\n",
        "sites:\n  vars: {nic_dhcp_mtu: 1400}\n  hosts: {site-a: null}\nrouters:\n  hosts: {router: {model: x}}\n",
    ],
)
def test_a_right_list_says_nothing(inventory, hosts):
    write(inventory / "hosts.yml", hosts)
    assert problems(inventory) == []


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("backup.sh", "#!/bin/sh\ntar -cf ../mesh.tar .\n", "backup.sh: Ansible runs it at every command"),
        ("tools/backup", "#!/usr/bin/env python3\nprint()\n", "tools/backup: Ansible runs it at every command"),
        ("notes", "superuser login: see the sticker\n", "Ansible reads it as a list of hosts, and it is none"),
        ("ont.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "ont.jpg: Ansible tries to read it"),
        ("site-b-old.yml", "ansible_host: 192.0.2.1\n", "site-b-old.yml: Ansible reads it as a list of groups"),
        (
            "old/site-b.yml",
            "wireguard_mesh_port: 22001\nnote: 1\n",
            "old/site-b.yml: Ansible reads it as a list of groups",
        ),
    ],
)
def test_what_ansible_would_run_or_read_as_a_list_of_hosts_is_told(inventory, path, data, words):
    write(inventory / path, data)
    problem = the_problem(inventory)
    assert words in problem["message"] and f"{pathlib.Path(path).name}.bak" in problem["message"]
    assert problems(inventory / "hosts.yml") == []  # where only this file is the inventory


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("aws", "#!/usr/bin/env python3\nparser.add_argument('--list')\n"),
        ("production", "# sites\nsite-a ansible_user=me\n[sites]\nsite-[b:c]\n\n[sites:vars]\nnote = a b c\n"),
        ("hosts.d/more", "site-a # at home\nsite-b\n"),
        ("more.yml", "sites:\n  vars:\n    wireguard_mesh_port: 22001\n"),
        ("backup.sh.bak", "#!/bin/sh\n"),
        ("README.md", "superuser login\n"),
        ("vars_plugins/own.py", "#!/usr/bin/python3\n"),
        (".git/hooks/pre-commit", "#!/bin/sh\n"),
        (".gitlab-ci.yml", "lint:\n  script: make\n"),
        (".yamllint.yml", "rules: {comments: disable}\n"),
        ("host_vars/README", "ansible_host: the address of the site\n"),
        ("group_vars/all/README.txt", "ddns_token: from the provider's page\n"),
    ],
)
def test_what_may_lie_in_the_directory_of_an_inventory(inventory, path, data):
    write(inventory / path, data)
    assert problems(inventory) == []


def test_a_list_in_a_directory_of_lists_is_looked_at_too(inventory):
    write(inventory / "hosts" / "site-b.yml", "sites:\n\thosts:\n")
    problem = the_problem(inventory)
    assert problem["unreadable"] and problem["file"] == "hosts/site-b.yml"


@pytest.mark.parametrize("variable", ["ddns_token", "wireguard_mesh_secret"])
@pytest.mark.parametrize("value", ["0123456701234567", "12:34:56"])
def test_a_secret_that_yaml_reads_as_a_number_is_not_shown(inventory, variable, value):
    write(inventory / B, f"{variable}: {value}\n")
    message = the_problem(inventory)["message"]
    assert value not in message and value.lstrip("0") not in message and "Put it into quotes." in message


def test_a_link_to_nothing_is_none_of_our_files(inventory):
    (inventory / "group_vars" / "all" / "notes.txt").symlink_to("nowhere")
    assert problems(inventory) == []


def test_a_list_of_hosts_on_the_command_line_has_no_files(inventory, monkeypatch):
    write(inventory / "host_vars" / "nobody.yml", "wireguard_mesh_port: [\n")
    monkeypatch.chdir(inventory)
    assert problems("site-a,site-b,") == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf[sites]\nsite-a\n", "Save it again as UTF-8 without BOM."),
        ("[sites]\nsite-a  # 深圳\n".encode("gbk"), "is no UTF-8 text."),
        ("[sites]\nsite-a\n".encode("utf-16"), "is no UTF-8 text."),
    ],
)
@pytest.mark.parametrize("name", ["hosts", "hosts.ini"])
def test_a_list_that_is_no_yaml_has_an_encoding_too(inventory, data, words, name):
    write(inventory / name, data)
    problem = the_problem(inventory / name)
    assert problem["unreadable"] and words in problem["message"]
    passed_over = name.endswith(tuple(constants.INVENTORY_IGNORE_EXTS))  # of a directory; by 2.16 .ini is
    if b"\0" not in data:
        assert problems(inventory) == [] if passed_over else words in the_problem(inventory)["message"]
    write(inventory / name, "[sites]\nsite-a  # 深圳\n")
    assert problems(inventory / name) == []


def test_a_group_with_the_name_of_a_host_is_told(inventory):
    [problem] = problems(inventory, groups={**GROUPS, "site-b": ["site-b"]})
    assert problem["message"].startswith("site-b: a host and a group have this name") and not problem["unreadable"]


@pytest.mark.parametrize("name", ["mesh-old.yml", "mesh - 副本.yml", "old/mesh.json"])
def test_a_copy_that_is_read_beside_its_original_is_told(inventory, name):
    """As an editor or a file manager makes one; its ending is one that Ansible reads."""
    text = (
        '{"wireguard_mesh_network": "192.168.99.0/24"}'
        if name.endswith("json")
        else "wireguard_mesh_network: 192.168.99.0/24\nmine: 1\n"
    )
    write(inventory / "group_vars" / "all" / name, text)
    problem = the_problem(inventory)
    assert "wireguard_mesh_network stands in group_vars/all/" in problem["message"] and ", line " in problem["message"]
    assert problem["file"].startswith("group_vars/all/") and not problem["unreadable"]


def test_files_of_one_site_with_a_variable_each_are_right(inventory):
    (inventory / B).unlink()
    write(inventory / "host_vars" / "site-b" / "main.yml", "wireguard_mesh_port: 22001\nmine: 1\n")
    write(inventory / "host_vars" / "site-b" / "vault.yml", "ddns_token: x\nmine: 2\n")
    assert problems(inventory) == []


def test_a_variable_of_a_site_in_the_list_and_in_its_file_is_told(inventory):
    write(
        inventory / "hosts.yml",
        "sites:\n  hosts:\n    site-a:\n    site-b:\n      wireguard_mesh_address: 192.168.11.9\n      ansible_user: me\n    site-c: {}\n",
    )
    words = "hosts.yml, line 5: wireguard_mesh_address of site-b stands in host_vars/site-b.yml too, and only one of "
    assert the_problem(inventory)["message"].startswith(words)
    assert the_problem(inventory / "hosts.yml")["message"].startswith(words)


@pytest.mark.parametrize("path", [B, "group_vars/all/mesh.yml", "group_vars/sites/more.yml"])
@pytest.mark.parametrize(
    ("data", "line", "below"),
    [
        ("all:\n  vars:\n    tr069_interface: eth2\n", 3, "vars"),
        ("vars:\n  tr069_interface: eth2\n", 2, "vars"),
        ("site-b:\n  tr069_interface: eth2\n", 2, "site-b"),
        ("note: 1\nsites:\n  hosts:\n    site-a:\n      tr069_interface: eth2\n", 5, "site-a"),
        ("hosts: {tr069_interface: eth2}\n", 1, "hosts"),
    ],
)
def test_a_variable_below_something_where_nothing_reads_it_is_told(inventory, path, data, line, below):
    write(inventory / path, data)
    message = the_problem(inventory)["message"]
    assert message.startswith(f"{path}, line {line}: tr069_interface stands below {below}:, where nothing reads it.")


@pytest.mark.parametrize(
    "data",
    [
        "lans: {site-a: [192.168.1.0/24]}\nwireguard_mesh_lan_subnets: '{{ lans[inventory_hostname] }}'\n",
        "per_site: {site-a: {nic_dhcp_mtu: 1400}}\nnic_dhcp_mtu: '{{ per_site[inventory_hostname].nic_dhcp_mtu }}'\n",
        "vars: {note: 1}\nsite-a: 5\n",
        "sites: {site-a: {nic_dhcp_mtu: 1400}}\nnic_dhcp_mtu: '{{ sites[inventory_hostname].nic_dhcp_mtu }}'\n",
        "sites: {watch_interval: 30}\n",  # of another program
        "wireguard_mesh_external_peers: [{name: phone, sites: [site-a]}]\n",
    ],
)
def test_what_a_template_may_take_its_parts_from_is_left_alone(inventory, data):
    write(inventory / "group_vars/all/more.yml", data)
    assert problems(inventory) == []


def test_a_variable_below_vars_of_a_host_is_told(inventory):
    write(inventory / "hosts.yml", "sites:\n  hosts:\n    site-a:\n      vars:\n        tr069_interface: eth2\n")
    message = the_problem(inventory)["message"]
    assert message.startswith("hosts.yml, line 5: tr069_interface stands below vars: of the host site-a,")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (
            {"site": ["site-b"]},
            "site-b: is not in the group sites (but in site), although host_vars/site-b.yml has wireguard_mesh_address",
        ),
        ({"Sites": ["site-b"]}, "(but in Sites)"),
        ({"ungrouped": ["site-b"]}, "site-b: is not in the group sites, although"),
        ({"routers": ["site-b"]}, "(but in routers)"),
    ],
)
def test_a_site_in_another_group_is_told(inventory, groups, words):
    others = [host for host in HOSTS if host != "site-b"]
    problem = problems(inventory, groups={**GROUPS, "sites": others, **groups})[0]
    assert problem["message"].startswith("site-b: ") and words in problem["message"]


@pytest.mark.parametrize("given", ["nas", "ddns only"])
def test_a_host_that_is_no_site_is_nobodys_slip(inventory, given):
    groups = {**GROUPS, "all": [*HOSTS, "nas"], "other": ["nas"]}
    lines = {
        "nas": "ansible_host: 192.0.2.9\n",
        "ddns only": "ddns_hostname: nas.example.com\n",
    }
    write(inventory / "host_vars/nas.yml", lines[given])
    assert problems(inventory, groups=groups) == []


def test_a_group_with_a_slip_in_its_name_is_told_whatever_its_hosts_have(inventory):
    groups = {**GROUPS, "all": [*HOSTS, "site-d"], "Sites ": ["site-d"]}
    [problem] = problems(inventory, groups=groups)
    assert problem["message"].startswith("site-d: is not in the group sites (but in Sites ).")


@pytest.mark.parametrize(
    ("more", "path", "text"),
    [
        # one that left
        (
            {"retired": ["c"], "all": [*HOSTS, "c"]},
            "host_vars/c.yml",
            "wireguard_mesh_address: 192.168.11.9\nwireguard_mesh_state: absent\n",
        ),
        ({"sites_2": ["c"], "all": [*HOSTS, "c"]}, "host_vars/c.yml", "note: 1\n"),
    ],
)
def test_hosts_of_other_groups_are_nobodys_slip(inventory, more, path, text):
    write(inventory / path, text)
    assert problems(inventory, groups={**GROUPS, **more}) == []


@pytest.mark.parametrize("path", ["group_vars/all/zz.yml", "group_vars/sites/more.yml"])
@pytest.mark.parametrize("state", ["absent", "planned", "retired"])
def test_a_state_for_all_sites_is_refused(inventory, path, state):
    write(inventory / path, f"wireguard_mesh_state: {state}\n")
    message = the_problem(inventory)["message"]
    assert message.startswith(f"{path}: wireguard_mesh_state is ") and "remove -e sites=all" in message


def test_a_state_for_some_sites_is_theirs(inventory):
    write(inventory / "group_vars/all/zz.yml", "wireguard_mesh_state: present\n")
    write(inventory / "group_vars/retired.yml", "wireguard_mesh_state: absent\n")
    assert problems(inventory, groups={**GROUPS, "retired": ["site-b"]}) == []
    state = "\"{{ 'absent' if inventory_hostname in groups['gone'] | default([]) else 'present' }}\"\n"
    write(inventory / "group_vars/all/zz.yml", "wireguard_mesh_state: " + state)
    assert problems(inventory, groups={**GROUPS, "retired": ["site-b"]}) == []
    write(inventory / "group_vars/all/zz.yml", "wireguard_mesh_state: planned\n")
    with open(inventory / "host_vars/site-a.yml", "a") as file:
        file.write("wireguard_mesh_state: present\n")
    assert problems(inventory, groups={**GROUPS, "retired": ["site-b"]}) == []


@pytest.mark.parametrize("name", ["hosts", "hosts.ini"])
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[sites]\nsite-a\nsite-b tr069_interface:enp2s0\n", 3, "a variable as `name=value`"),
        ("[sites]\nsite-a\n[sites:vars]\nddns_token: s3cret\n", 4, "a variable as `name=value`"),
        ("[sites]\nsite-a\n[site:vars]\nx=1\n", 3, "[site:vars] is no section that the list can have here."),
        ("[sites]\nsite-a\n[sites:vras]\nx=1\n", 3, "[sites:vras] is no section"),
        ("[sites]\nsite-a x='1\n", 2, "Ansible cannot read this line."),
    ],
)
def test_a_list_in_the_form_of_ini_that_ansible_reads_by_half_is_told(inventory, name, text, line, words):
    write(inventory / name, text)
    [problem] = problems(inventory / name)
    assert problem["message"].startswith(f"{name}, line {line}: ") and problem["unreadable"]
    assert words in problem["message"] and "s3cret" not in problem["message"]


@pytest.mark.parametrize(
    "text",
    [
        "site-a\n[sites]\nsite-a ansible_user=me note='a b'\nsite-[b:c]\n[sites:vars]\nx = 1\n[all:children]\nsites\n",
        "sites:\n  hosts:\n    site-a:\n",
        '{"sites": ["site-a"]}\n',
        '"sites":\n  hosts:\n    site-a:\n',
        "sites: {hosts: {site-a: {}}}\n",
        "x-base: &b {note: 1}\nsites: {hosts: {site-a: *b}}\n",
        "---\nsites:\n  hosts:\n    site-a:\n",
        "",
    ],
)
def test_a_list_without_an_ending_that_ansible_reads_is_right(inventory, text):
    write(inventory / "hosts", text)
    assert problems(inventory / "hosts") == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "hosts.yml",
            "sites:\n  hosts: {site-a: }\n  vars:\n    tr069_interface: eth2\n",
            "hosts.yml, line 4: tr069_interface of sites",
        ),
        (
            "hosts.yml",
            "all:\n  vars: {tr069_interface: eth2}\n  children: {sites: }\n",
            "hosts.yml, line 2: tr069_interface of all",
        ),
        (
            "more.yml",
            "all:\n  children:\n    sites:\n      vars: {tr069_interface: eth2}\n",
            "more.yml, line 4: tr069_interface of",
        ),
        ("hosts", "[sites]\nsite-a\n[sites:vars]\ntr069_interface=eth2\n", "hosts: tr069_interface of sites"),
        (
            "hosts",
            "[sites]\nsite-a\nsite-b wireguard_mesh_address=192.168.11.9\n",
            "hosts: wireguard_mesh_address of site-b",
        ),
    ],
)
def test_a_variable_of_a_list_that_stands_in_another_file_is_told(inventory, name, text, words):
    """group_vars/all counts more than what a list has for one of its groups."""
    write(inventory / name, text)
    [problem] = problems(inventory / name)
    assert problem["message"].startswith(words) and "only one of the two counts" in problem["message"]


def test_of_two_lists_and_of_two_groups_the_operator_may_mean_the_one_that_counts(inventory):
    for name, value in ("one.yml", 22001), ("two.yml", 22002):
        write(
            inventory / name,
            f"sites:\n  hosts:\n    site-a: {{wireguard_mesh_port: {value}}}\n  vars: {{nic_dhcp_mtu: {value - 20700}}}\n",
        )
    write(
        inventory / "three.yml",
        "all:\n  vars: {wireguard_mesh_keepalive: 20}\n  children:\n    sites:\n      vars: {wireguard_mesh_keepalive: 21}\n",
    )
    write(inventory / "four.yml", "a:\n  hosts:\n    site-b: &b {watch_interval: 30}\nb:\n  hosts:\n    site-b: *b\n")
    assert problems(inventory) == []


def test_a_list_has_the_name_that_tells_it_from_the_files_beside_it(tmp_path):
    """As new_inventory makes them: hosts/site-b.yml and host_vars/site-b.yml."""
    write(tmp_path / "sites.yml", "sites:\n")
    write(tmp_path / "host_vars/site-b.yml", "ansible_host: 192.0.2.1\n")
    write(tmp_path / "hosts/site-b.yml", "sites:\n  hosts:\n    site-b：\n")
    assert the_problem(tmp_path / "hosts", tmp_path / "sites.yml")["file"] == "hosts/site-b.yml"


def test_the_files_of_one_inventory_name_each_others_groups(tmp_path):
    write(tmp_path / "inventory/01-hosts", "[west]\nsite-a\n[east]\nsite-b\n")
    write(tmp_path / "inventory/02-groups", "[sites:children]\nwest\neast\n[sites:vars]\nnic_dhcp_mtu=1400\n")
    groups = {
        "all": ["site-a", "site-b"],
        "ungrouped": [],
        "west": ["site-a"],
        "east": ["site-b"],
        "sites": ["site-a", "site-b"],
    }
    assert problems(tmp_path / "inventory", groups=groups) == []
    assert problems(tmp_path / "inventory/01-hosts", tmp_path / "inventory/02-groups", groups=groups) == []
    write(tmp_path / "inventory/02-groups", "[sites:children]\nwset\n")
    [problem] = problems(tmp_path / "inventory", groups=groups)
    assert problem["unreadable"] and problem["message"].startswith("02-groups")


def test_the_settings_of_another_program_are_no_list(inventory):
    write(inventory / "ec2", "[ec2]\nregions: all\ndestination_variable = x\n")
    assert (
        problems(inventory) == [] == problems(inventory, groups={**GROUPS, "ec2": []})
    )  # Ansible took half of it for a list
