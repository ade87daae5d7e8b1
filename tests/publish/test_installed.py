# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's first commands, with the collection installed from the artefact and nothing of this checkout in reach."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".build" / "publish"


def run(directory, *argv, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    kept.update(
        ANSIBLE_COLLECTIONS_PATH=str(INSTALLED), ANSIBLE_HOME=str(directory / ".ansible"), PWD=str(directory),
        ANSIBLE_CALLBACK_RESULT_FORMAT="json", **environment,
    )  # fmt: skip
    return subprocess.run(
        argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory, env=kept, timeout=120
    )


@pytest.fixture
def mesh(tmp_path):
    answers = json.dumps({"sites": "shenzhen,guangzhou", "domain": "example.net"})
    done = run(tmp_path, "ansible-playbook", "sitelink.tr069.new_inventory", "-e", answers)
    assert done.returncode == 0, done.stdout
    return tmp_path / "my-mesh"


def test_the_installed_collection_is_the_one_that_runs(tmp_path):
    done = run(tmp_path, "ansible-doc", "-t", "filter", "--json", "sitelink.tr069.wireguard_mesh_plan")
    assert str(INSTALLED / "ansible_collections") in done.stdout, done.stdout


@pytest.mark.parametrize("playbook", sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml")))
def test_every_playbook_can_be_read(tmp_path, playbook):
    done = run(tmp_path, "ansible-playbook", "-i", "site-a,", "--syntax-check", f"sitelink.tr069.{playbook}")
    assert done.returncode == 0, done.stdout


def test_the_first_run_says_what_is_left_to_fill_in(mesh):
    """By the ansible.cfg and the vault that new_inventory made."""
    done = run(mesh, "ansible-playbook", "sitelink.tr069.site")
    assert done.returncode != 0
    for words in ("shenzhen: ansible_host", "guangzhou: ansible_host", "ddns_token"):
        assert words in done.stdout, done.stdout


def test_a_filled_in_inventory_comes_as_far_as_the_sites(mesh):
    for path in (mesh / "host_vars").iterdir():
        path.write_text(path.read_text().replace("FILL-ME-IN", "127.0.0.1") + "ddns_token: of-nobody\n")
    (mesh / "group_vars" / "sites" / "connection.yml").write_text(
        "---\nansible_connection: local\nansible_python_interpreter: /nonexistent\n"
    )
    done = run(mesh, "ansible-playbook", "sitelink.tr069.site")
    assert "PLAY [Join the sites into one mesh]" in done.stdout, done.stdout
    for site in ("shenzhen", "guangzhou"):
        assert f"{site}: /nonexistent cannot be run" in done.stdout, done.stdout


# Without cryptography, Ansible itself says that the vault needs it.
def test_a_controller_without_the_python_packages_is_told_what_to_install(mesh, tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text("import sys; sys.modules['netaddr'] = None\n")
    done = run(mesh, "ansible-playbook", "sitelink.tr069.site", PYTHONPATH=str(tmp_path / "hidden"))
    assert "-m pip install cryptography jmespath netaddr" in done.stdout, done.stdout


def filled_in(mesh):
    """Sites that are this machine itself, on which there is no program of ours."""
    for path in (mesh / "host_vars").iterdir():
        path.write_text(path.read_text().replace("FILL-ME-IN", "127.0.0.1") + "ddns_token: of-nobody\n")
    (mesh / "group_vars" / "sites" / "connection.yml").write_text(
        "---\nansible_connection: local\nansible_become: false\nansible_python_interpreter: '{{ ansible_playbook_python }}'\n"
    )


@pytest.mark.skipif(pathlib.Path("/usr/local/sbin/sitelink").exists(), reason="this machine is a site")
@pytest.mark.parametrize(("language", "words"), [("en", "the controller cannot reach this site"), ("zh", "控制机连不上这个站点")])
def test_doctor_speaks_both_languages(mesh, language, words):
    filled_in(mesh)
    done = run(mesh, "ansible-playbook", "sitelink.tr069.doctor", "-e", f"lang={language}")
    assert done.returncode != 0 and words in done.stdout and "shenzhen" in done.stdout, done.stdout


@pytest.mark.skipif(pathlib.Path("/usr/local/sbin/sitelink").exists(), reason="this machine is a site")
@pytest.mark.parametrize(("language", "words"), [("en", 'lang="en"'), ("zh", 'lang="zh')])
def test_the_page_is_written_in_both_languages(mesh, language, words):
    filled_in(mesh)
    done = run(mesh, "ansible-playbook", "sitelink.tr069.status", "-e", f"lang={language}", "-e", "page=page.html")
    assert done.returncode == 0 and "no answer" in done.stdout, done.stdout
    page = (mesh / "page.html").read_text()
    assert words in page and "shenzhen" in page and "guangzhou" in page
