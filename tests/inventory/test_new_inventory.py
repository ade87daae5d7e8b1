# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that makes an operator's inventory, followed to the mesh it plans."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess

import pytest
import yaml

from conftest import LIMIT, ROOT


def new_inventory(directory, sites, *argv):
    """Run the playbook as an operator does; returns the finished process, output and errors in one text."""
    # As JSON: a value of -e with a space in it would be two.
    answers = json.dumps({"sites": sites, "domain": "example.net", "directory": str(directory)})
    return subprocess.run(
        ["ansible-playbook", "sitelink.tr069.new_inventory", "-e", answers, *argv],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=LIMIT,
    )  # fmt: skip


def inside(directory):
    """The environment of an operator in the directory of an inventory: by the ansible.cfg that lies there."""
    kept = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
    return {**kept, "PWD": str(directory)}


def in_directory(directory, *argv):
    """Run a command as an operator who is in that directory; returns the finished process."""
    return subprocess.run(
        [str(word) for word in argv],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory, env=inside(directory), timeout=LIMIT,
    )  # fmt: skip


def add(directory, sites, *argv):
    """Add sites as an operator does, in the directory of the inventory."""
    answers = json.dumps({"sites": sites, "domain": "example.net"})
    return in_directory(directory, "ansible-playbook", "sitelink.tr069.new_inventory", "-e", answers, *argv)


def address_of(directory, site):
    return yaml.safe_load((directory / "host_vars" / f"{site}.yml").read_text())["wireguard_mesh_address"]


def digests(directory):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def secrets(directory):
    password = directory / ".vault-password"
    vault = directory / "group_vars" / "all" / "vault.yml"
    text = subprocess.run(
        ["ansible-vault", "view", "--vault-password-file", password, vault],
        check=True, text=True, capture_output=True, cwd=ROOT,
    ).stdout  # fmt: skip
    return [password.read_text().strip(), yaml.safe_load(text)["wireguard_mesh_secret"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("made") / "my mesh"
    done = new_inventory(directory, "shenzhen,guangzhou", "-vvv", "--diff")
    assert done.returncode == 0, done.stdout
    assert not [secret for secret in secrets(directory) if secret in done.stdout]
    return directory


@pytest.fixture
def mesh(made, tmp_path):
    """A copy of the operator's new inventory that a test may change."""
    return shutil.copytree(made, tmp_path / "my mesh", symlinks=True)


def test_it_makes_short_files_and_a_vault(mesh):
    for index, site in enumerate(("shenzhen", "guangzhou"), 1):
        settings = yaml.safe_load((mesh / "host_vars" / f"{site}.yml").read_text())
        assert settings["wireguard_mesh_address"] == f"192.168.11.{index}"
        assert settings["ddns_hostname"] == f"{site}.example.net"
    assert (mesh / "group_vars" / "all" / "vault.yml").read_text().startswith("$ANSIBLE_VAULT;")
    assert stat.S_IMODE((mesh / ".vault-password").stat().st_mode) == 0o600
    assert len(secrets(mesh)[1]) >= 43  # 256 bits in letters and digits
    assert ".vault-password" in (mesh / ".gitignore").read_text()


def test_a_further_site_changes_no_file(mesh):
    address = mesh / "host_vars" / "guangzhou.yml"
    address.write_text(address.read_text().replace("192.168.11.2", "192.168.11.3"))
    before = digests(mesh)
    done = new_inventory(mesh, "shenzhen，dongguan")  # a comma as a Chinese keyboard has it
    assert done.returncode == 0, done.stdout
    after = digests(mesh)
    assert {path: after[path] for path in before} == before
    added = yaml.safe_load((mesh / "host_vars" / "dongguan.yml").read_text())
    assert added["wireguard_mesh_address"] == "192.168.11.2"


def test_bad_names_write_nothing(tmp_path):
    done = new_inventory(tmp_path / "mesh", "shen zhen/1,-x")
    assert done.returncode != 0
    assert not (tmp_path / "mesh").exists()


@pytest.mark.gate
def test_the_mesh_lacks_only_what_the_operator_must_fill_in(mesh):
    def check():
        return subprocess.run(
            ["ansible-playbook", "sitelink.tr069.site"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=mesh, timeout=LIMIT, env=inside(mesh),
        ).stdout  # fmt: skip

    text = check()
    assert "PLAY [Join the sites into one mesh]" not in text
    for site in ("shenzhen", "guangzhou"):
        assert f"{site}: ansible_host" in text, text
    assert "ddns_token" in text

    filled_in(mesh)
    assert "PLAY [Join the sites into one mesh]" in check()


def test_inside_of_an_inventory_sites_are_added_to_that_one(mesh):
    before = digests(mesh)
    done = add(mesh, "foshan")
    assert done.returncode == 0, done.stdout
    assert not (mesh / "my-mesh").exists() and address_of(mesh, "foshan") == "192.168.11.3"
    after = digests(mesh)
    assert {path: after[path] for path in before} == before
    listed = json.loads(in_directory(mesh, "ansible-inventory", "--list").stdout)
    assert sorted(listed["sites"]["hosts"]) == ["foshan", "guangzhou", "shenzhen"]


@pytest.mark.parametrize("directory", ["other-mesh", "host_vars/deep/down"])
def test_an_inventory_inside_of_another_one_is_refused(mesh, directory):
    done = add(mesh, "foshan", "-e", f"directory={directory}")
    assert done.returncode != 0 and str(mesh) in done.stdout and "leave -e directory out" in done.stdout, done.stdout
    assert not (mesh / directory).exists()


def test_without_a_working_directory_a_whole_path_is_asked_for(tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "PWD"}
    done = subprocess.run(
        ["ansible-playbook", "sitelink.tr069.new_inventory", "-e", "sites=shenzhen", "-e", "domain=example.net"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, env=kept, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode != 0 and "-e directory=/" in done.stdout, done.stdout


def test_names_that_yaml_reads_as_something_else_are_names(tmp_path):
    names = ["1001", "no", "2026-11-28", "null", "0x10", "1e3", "~", "shenzhen"]
    names = [name for name in names if name != "~"]  # no file name
    mesh = tmp_path / "mesh"
    done = new_inventory(mesh, ",".join(names))
    assert done.returncode == 0, done.stdout
    listed = json.loads(in_directory(mesh, "ansible-inventory", "--list").stdout)
    assert sorted(listed["sites"]["hosts"]) == sorted(names)
    assert listed["_meta"]["hostvars"]["no"]["ddns_hostname"] == "no.example.net"


def test_addresses_are_read_from_whatever_form_the_settings_have(mesh):
    """A directory, another ending, a file that is encrypted as a whole; a number in a comment is no address."""
    (mesh / "host_vars" / "shenzhen").mkdir()
    (mesh / "host_vars" / "shenzhen.yml").rename(mesh / "host_vars" / "shenzhen" / "main.yml")
    guangzhou = mesh / "host_vars" / "guangzhou.yml"
    guangzhou.write_text(guangzhou.read_text() + "# not 1.2.3.400, nor 192.168.11.3\n")
    done = in_directory(mesh, "ansible-vault", "encrypt", "host_vars/guangzhou.yml")
    assert done.returncode == 0, done.stdout
    done = add(mesh, "foshan,guangzhou,shenzhen")
    assert done.returncode == 0, done.stdout
    assert address_of(mesh, "foshan") == "192.168.11.3"
    assert not (mesh / "host_vars" / "shenzhen.yml").exists()


def test_the_address_of_an_external_peer_is_taken(mesh):
    settings = mesh / "group_vars" / "all" / "mesh.yml"
    phone = {"name": "phone", "address": "192.168.11.3", "sites": ["shenzhen"]}
    settings.write_text(settings.read_text() + yaml.safe_dump({"wireguard_mesh_external_peers": [phone]}))
    done = add(mesh, "foshan")
    assert done.returncode == 0 and address_of(mesh, "foshan") == "192.168.11.4", done.stdout


def test_a_file_with_a_slip_is_named_and_nothing_is_added(mesh):
    (mesh / "hosts" / "guangzhou.yml").write_text("---\nsites:\n\thosts:\n    guangzhou:\n")
    done = add(mesh, "foshan")
    assert done.returncode != 0 and "guangzhou.yml" in done.stdout, done.stdout
    assert not (mesh / "host_vars" / "foshan.yml").exists()


def test_a_slip_in_the_vault_is_told_and_the_token_is_not_shown(mesh):
    vault = mesh / "group_vars" / "all" / "vault.yml"
    vault.write_text("ddns_token: !s3cret\n")
    assert in_directory(mesh, "ansible-vault", "encrypt", vault).returncode == 0
    done = add(mesh, "foshan", "-vvv")
    assert done.returncode != 0 and "group_vars/all/vault.yml, line 1: a value that begins" in done.stdout, done.stdout
    assert "s3cret" not in done.stdout and not (mesh / "host_vars" / "foshan.yml").exists()


@pytest.mark.parametrize("by", ["now", "by an earlier version"])
@pytest.mark.parametrize("playbook", ["site", "verify"])
def test_a_list_with_a_slip_stops_every_playbook(mesh, playbook, by):
    """Else the others would lose that site without a word."""
    (mesh / "hosts" / "guangzhou.yml").write_text("---\nsites:\n\thosts:\n    guangzhou:\n")
    if by != "now":
        (mesh / "sites.yml").unlink()
        (mesh / "ansible.cfg").write_text("[defaults]\ninventory = .\nvault_password_file = .vault-password\n")
    done = in_directory(mesh, "ansible-playbook", f"sitelink.tr069.{playbook}")
    assert done.returncode != 0 and "guangzhou.yml" in done.stdout, done.stdout
    assert "PLAY [Join the sites into one mesh]" not in done.stdout and "no status" not in done.stdout


def test_what_else_lies_in_the_directory_is_neither_run_nor_read(mesh, tmp_path):
    script = mesh / "backup.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/it-was-run\n")
    script.chmod(0o755)
    (mesh / "notes").write_text("superuser login: see the sticker\n")
    (mesh / "ont.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (mesh / "shenzhen-old.yml").write_text((mesh / "host_vars" / "shenzhen.yml").read_text())
    done = in_directory(mesh, "ansible-inventory", "--list")
    assert done.returncode == 0 and "WARNING" not in done.stdout, done.stdout
    assert sorted(json.loads(done.stdout)["sites"]["hosts"]) == ["guangzhou", "shenzhen"]
    assert not (tmp_path / "it-was-run").exists()


def test_what_holds_for_the_sites_does_not_hold_for_the_controller(mesh):
    (mesh / "group_vars" / "sites" / "connection.yml").write_text("---\nansible_user: ubuntu\nansible_become: true\n")
    done = in_directory(mesh, "ansible", "localhost", "-m", "ansible.builtin.debug", "-a", "var=ansible_become")
    assert "VARIABLE IS NOT DEFINED" in done.stdout or "undefined" in done.stdout.lower(), done.stdout
    listed = json.loads(in_directory(mesh, "ansible-inventory", "--host", "shenzhen").stdout)
    assert listed["ansible_become"] is True and listed["ansible_user"] == "ubuntu"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"sites": "Shenzhen,shenzhen"}, "differs from Shenzhen only by capital letters"),
        ({"sites": "shenzhen.yml"}, "ends like the name of a file"),
        ({"domain": ""}, "domain is missing. Write your DNS domain, with -e domain=example.com."),
        ({"domain": "*.example.com"}, 'domain is "*.example.com", which is not a full domain name: it holds'),
        ({"domain": "example。com"}, "(IDEOGRAPHIC FULL STOP). Write example.com, with the keyboard in English"),
        ({"sites": "sz_1"}, 'sites: sz_1 would have the name "sz_1.example.net", which is not a full domain name'),
        ({"sites": "深圳"}, 'sites: "深圳" holds the character "深"'),
        ({"domain": "example"}, "domain is example, which has no ending"),
        ({"directory": ["a"]}, "directory is ["),
        ({"directory": "a-file"}, "which is a file"),
        ({"directory": ""}, "which is empty"),
    ],
)
def test_answers_that_cannot_be_used_are_told_and_write_nothing(tmp_path, answers, words):
    (tmp_path / "a-file").write_text("")
    given = json.dumps({"sites": "shenzhen", "domain": "example.net", "directory": "my-mesh", **answers})
    command = ["env", "ANSIBLE_CALLBACK_RESULT_FORMAT=json", "ansible-playbook", "sitelink.tr069.new_inventory"]
    done = in_directory(tmp_path, *command, "-e", given)
    told = json.loads(re.findall(r"(?m)^fatal: .* => ({.*})$", done.stdout)[0])["msg"]
    # Of one slip once, and in the words of what was typed.
    [said] = [told] if isinstance(told, str) else told
    assert done.returncode != 0 and words in said and "hostname" not in said, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


@pytest.mark.parametrize(
    "sites", [["shenzhen", "foshan"], "[shenzhen, foshan]", "shenzhen；foshan", "“shenzhen”\nfoshan"]
)
@pytest.mark.parametrize("domain", [".example.net.", "https://example.net/"])
def test_answers_that_are_unambiguous_are_taken(tmp_path, sites, domain):
    given = json.dumps({"sites": sites, "domain": domain, "directory": "my-mesh"})
    done = in_directory(tmp_path, "ansible-playbook", "sitelink.tr069.new_inventory", "-e", given)
    assert done.returncode == 0, done.stdout
    for site in ("shenzhen", "foshan"):
        settings = yaml.safe_load((tmp_path / "my-mesh" / "host_vars" / f"{site}.yml").read_text())
        assert settings["ddns_hostname"] == f"{site}.example.net"


def test_a_name_with_the_domain_behind_it_is_that_site(tmp_path):
    mesh = tmp_path / "mesh"
    done = new_inventory(mesh, "shenzhen,shenzhen.example.net,Foshan.Example.NET.,a.b.example.net,example.net")
    assert done.returncode == 0, done.stdout
    names = {
        path.stem: yaml.safe_load(path.read_text())["ddns_hostname"] for path in (mesh / "host_vars").glob("*.yml")
    }
    wanted = {name: f"{name}.example.net" for name in ("shenzhen", "Foshan", "a.b")}
    assert names == {**wanted, "example.net": "example.net"}
    # Nor is one of an earlier version, which kept the whole name, made again.
    for directory in ("host_vars", "hosts"):
        (mesh / directory / "shenzhen.yml").rename(mesh / directory / "shenzhen.example.net.yml")
    listed = mesh / "hosts" / "shenzhen.example.net.yml"
    listed.write_text(listed.read_text().replace('"shenzhen"', '"shenzhen.example.net"'))
    before = digests(mesh)
    done = add(mesh, "shenzhen.example.net")
    assert done.returncode == 0 and digests(mesh) == before, done.stdout


def filled_in(mesh):
    """What the operator writes; nobody is reached."""
    (mesh / "group_vars" / "sites" / "connection.yml").write_text(
        "---\nansible_connection: local\nansible_python_interpreter: /nonexistent\nddns_token: a-token-of-an-operator\n"
    )
    vault = mesh / "group_vars" / "all" / "vault.yml"
    vault.write_text(f"---\nwireguard_mesh_secret: {secrets(mesh)[1]}\n")
    for site in ("shenzhen", "guangzhou"):
        path = mesh / "host_vars" / f"{site}.yml"
        path.write_text(path.read_text().replace("FILL-ME-IN", f"{site}.example.net"))
    return mesh


@pytest.mark.parametrize(
    ("playbook", "argv", "line"),
    [
        ("remove", [], "wireguard_mesh_state: absent"),
        ("remove", ["-i", "."], "wireguard_mesh_state: absent"),
        ("rotate_keys", [], "wireguard_mesh_key_generation: 2"),
        ("keys", ["-e", "where=vault"], "wireguard_mesh_private_key: !vault |"),
    ],
)
def test_what_a_playbook_writes_stands_in_the_file_of_the_site(mesh, playbook, argv, line):
    """Each site is listed in hosts/, and host_vars lies beside that."""
    done = in_directory(
        filled_in(mesh), "ansible-playbook", f"sitelink.tr069.{playbook}", "-e", "sites=guangzhou", *argv
    )
    assert line in (mesh / "host_vars" / "guangzhou.yml").read_text().splitlines(), done.stdout
    assert line not in (mesh / "host_vars" / "shenzhen.yml").read_text()
    assert not (mesh / "hosts" / "host_vars").exists()


def test_the_password_for_sudo_is_read_from_the_vault(mesh):
    """As connection.yml and the READMEs say: its lines without the mark of a comment, and the password in the vault."""
    connection = mesh / "group_vars" / "sites" / "connection.yml"
    connection.write_text(re.sub(r"(?m)^# (?=ansible_)", "", connection.read_text()))
    vault = mesh / "group_vars" / "all" / "vault.yml"
    vault.write_text(
        f"---\nwireguard_mesh_secret: {secrets(mesh)[1]}\nansible_become_password: the-password-for-sudo\n"
    )
    assert in_directory(mesh, "ansible-vault", "encrypt", vault).returncode == 0
    used = json.loads(in_directory(mesh, "ansible-inventory", "--host", "shenzhen").stdout)
    assert used["ansible_become"] is True
    right = used["ansible_become_password"] == "the-password-for-sudo"
    assert right, "another one"  # nobody's password is printed


def migrate_of(tmp_path, found):
    """The part of migrate that writes the inventory, with what was found at the sites in the place of looking there."""
    plays = yaml.safe_load((ROOT / "playbooks" / "migrate.yml").read_text())
    [play] = [play for play in plays if play["name"] == "See what was set up by hand"]
    play["vars"] = {"looked": found, "ansible_become": False}
    for task in play["tasks"]:
        for how in ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks"):
            if how in task:
                task[how] = str(ROOT / "playbooks" / task[how])
        if task.pop("ansible.builtin.include_role", None):
            task["no_log"] = task.pop("no_log", False) or task["vars"]["__site_agent_article"] == "token"
            result = {
                "rc": 0,
                "stdout": f"{{{{ looked[inventory_hostname].{task['vars']['__site_agent_article']} | to_json }}}}",
            }
            task["ansible.builtin.set_fact"] = {"__site_agent_article_found": result}
    path = tmp_path / "migrate.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return path


def test_migrate_carries_the_token_of_each_site_over(mesh, tmp_path):
    """new_inventory writes a placeholder into the vault, which is no token; what is written at the site comes before it."""
    (mesh / "group_vars" / "all" / "mesh.yml").write_text("wireguard_mesh_preshared_keys: false\n")
    found = {}
    for number, site in enumerate(("shenzhen", "guangzhou"), 1):
        key = str(number) * 42 + "E="
        conf = {"addresses": [f"192.168.11.{number}/24"], "port": "22000", "public_key": key, "peers": []}
        ddns = {"provider": "cloudflare", "id": "", "names": [f"{site}.example.net"], "token": True}
        look = {"cron": [], "files": [], "named": [], "conf": conf, "ddns": ddns}
        found[site] = {"look": look, "token": {"token": f"the-token-of-{site}"}}
    done = in_directory(mesh, "ansible-playbook", migrate_of(tmp_path, found), "-e", "sites=all", "-vvv", "--diff")
    assert done.returncode == 0 and "the-token-of" not in done.stdout, done.stdout
    for site in found:
        assert "the-token-of" not in (mesh / "host_vars" / f"{site}.yml").read_text()
        used = in_directory(mesh, "ansible", site, "-m", "ansible.builtin.debug", "-a", "var=ddns_token").stdout
        assert f"the-token-of-{site}" in used, used


def test_a_key_is_not_made_where_its_vault_could_not_be_opened(mesh):
    before = digests(filled_in(mesh))
    done = in_directory(
        mesh, "ansible-playbook", "sitelink.tr069.keys", "-e", "sites=guangzhou", "-e", "where=vault",
        "-e", "vault_password_file=/nonexistent/password",
    )  # fmt: skip
    assert done.returncode != 0 and "There is no file /nonexistent/password" in done.stdout, done.stdout
    assert digests(mesh) == before


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("hosts", "[sites]\nshenzhen\n", "hosts: there is a file where new_inventory needs a directory"),
        ("group_vars/all/mesh.yml", "wireguard_mesh_network: 192.168.11.0/33\n", "wireguard_mesh_network is"),
        ("group_vars/all.yml", "wireguard_mesh_network: 172.30.0.0/24\n", "group_vars/all.yml: there is a file where"),
        ("hosts.yml", "sites:\n  hosts:\n    shenzhen:\n", "hosts.yml: there is a file where new_inventory"),
    ],
)
def test_what_is_in_the_way_is_told_before_the_first_file_is_written(tmp_path, path, text, words):
    (tmp_path / "mesh" / path).parent.mkdir(parents=True)
    (tmp_path / "mesh" / path).write_text(text)
    before = digests(tmp_path)
    done = new_inventory(tmp_path / "mesh", "foshan")
    said = " ".join(done.stdout.split())  # before 2.19 lines are broken where the path ends
    assert done.returncode != 0 and words in said and "filter plugin" not in said, done.stdout
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "directory, words",
    [([], "directory is [], which is not text"), ("", "which is empty"), ("ansible.cfg", "which is a file")],
)
def test_the_clients_files_have_a_directory_of_their_own(mesh, directory, words):
    """With an empty one the directory of the inventory would be closed to all others."""
    answers = json.dumps({"directory": directory})
    done = in_directory(mesh, "ansible-playbook", "sitelink.tr069.clients", "-e", answers)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0 and words in said and "-e directory=clients" in said, done.stdout


def test_the_network_is_the_one_that_the_sites_have(mesh):
    """Wherever the operator has it now."""
    (mesh / "group_vars" / "all" / "mesh.yml").write_text("---\n")
    (mesh / "group_vars" / "sites" / "network.yml").write_text("---\nwireguard_mesh_network: 172.30.0.0/24\n")
    done = add(mesh, "foshan")
    assert done.returncode == 0 and address_of(mesh, "foshan") == "172.30.0.1", done.stdout
