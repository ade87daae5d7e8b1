# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that makes an operator's inventory, followed to the mesh it plans."""

import hashlib
import json
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
            ["ansible-playbook", "sitelink.tr069.site", "-i", mesh, "--vault-password-file", mesh / ".vault-password"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=LIMIT,
        ).stdout  # fmt: skip

    text = check()
    assert "PLAY [Join the sites into one mesh]" not in text
    for site in ("shenzhen", "guangzhou"):
        assert f"{site}: ansible_host" in text, text
    assert "ddns_token" in text

    (mesh / "group_vars" / "all" / "connection.yml").write_text(
        "---\nansible_connection: local\nansible_python_interpreter: /nonexistent\nddns_token: a-token-of-an-operator\n"
    )
    vault = mesh / "group_vars" / "all" / "vault.yml"
    vault.write_text(f"---\nwireguard_mesh_secret: {secrets(mesh)[1]}\n")
    for site in ("shenzhen", "guangzhou"):
        path = mesh / "host_vars" / f"{site}.yml"
        path.write_text(path.read_text().replace("FILL-ME-IN", f"{site}.example.net"))
    assert "PLAY [Join the sites into one mesh]" in check()
