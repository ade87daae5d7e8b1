# SPDX-License-Identifier: GPL-3.0-or-later
"""What remove.yml and rotate_keys.yml write on the controller, and that they write nothing where they are refused."""

import pytest

STARTED = "PLAY [Join the sites into one mesh]"
GONE = "wireguard_mesh_state: absent"


@pytest.fixture
def host_vars(inventory):
    """A function: the host_vars files as they are."""
    return lambda: {path.name: path.read_text() for path in (inventory.directory / "host_vars").iterdir()}


def move_into_the_list(inventory, site):
    """Its variables stand beside its name, and it has no file."""
    path = inventory.directory / "host_vars" / f"{site}.yml"
    hosts = inventory.read("hosts.yml")
    hosts["sites"]["hosts"][site] = inventory.read(f"host_vars/{site}.yml")
    inventory.write("hosts.yml", hosts)
    path.unlink()


def test_a_site_is_written_down_and_the_run_goes_on(inventory, host_vars):
    done = inventory.playbook("remove", "-e", "sites=site-c")
    assert STARTED in done.stdout, done.stdout
    assert {name for name, text in host_vars().items() if GONE in text} == {"site-c.yml"}


def test_a_fault_of_another_site_is_told_before_anything_is_written(inventory, host_vars):
    inventory.site("site-b", wireguard_mesh_mtu=99999)
    before = host_vars()
    done = inventory.playbook("remove", "-e", "sites=site-c")
    assert done.returncode != 0 and "site-b: wireguard_mesh_mtu" in done.stdout
    assert host_vars() == before and STARTED not in done.stdout


def test_a_site_with_a_fault_can_leave(inventory, host_vars):
    inventory.site("site-c", wireguard_mesh_mtu=99999)
    done = inventory.playbook("remove", "-e", "sites=site-c")
    assert STARTED in done.stdout and GONE in host_vars()["site-c.yml"], done.stdout


@pytest.mark.parametrize(
    ("playbook", "variable"), [("remove", "wireguard_mesh_state"), ("rotate_keys", "wireguard_mesh_key_generation")]
)
def test_a_site_without_a_file_is_told_before_the_first_one_is_written(inventory, host_vars, playbook, variable):
    move_into_the_list(inventory, "site-b")
    before = host_vars()
    done = inventory.playbook(playbook, "-e", "sites=all", "-e", "sure=yes")
    assert done.returncode != 0 and "site-b: there is no host_vars file of it" in done.stdout, done.stdout
    assert f"{variable}: " in done.stdout and host_vars() == before and STARTED not in done.stdout


def test_what_was_written_by_hand_is_brought_about_without_names(inventory):
    done = inventory.playbook("remove")
    assert done.returncode != 0 and "Name the sites that are to leave" in done.stdout
    move_into_the_list(inventory, "site-b")
    hosts = inventory.read("hosts.yml")
    hosts["sites"]["hosts"]["site-b"]["wireguard_mesh_state"] = "absent"
    inventory.write("hosts.yml", hosts)
    done = inventory.playbook("remove")
    assert STARTED in done.stdout, done.stdout


ASKED = "Write yes to go on"
ALL = ("remove", "-e", "sites=all")


def test_the_whole_mesh_goes_only_when_somebody_says_so(inventory, host_vars):
    before = host_vars()
    for argv in ([], ["-e", "sure="], ["-e", "sure=no"], ["-e", "sites=site-a,site-b,site-c"], ["--limit", "site-a"]):
        done = inventory.playbook(*ALL, *argv)
        assert done.returncode != 0 and "-e sure=yes" in done.stdout, done.stdout
        assert host_vars() == before and STARTED not in done.stdout
    assert STARTED in inventory.playbook(*ALL, "--check").stdout and host_vars() == before
    done = inventory.playbook(*ALL, "-e", "sure=yes")
    assert STARTED in done.stdout and all(GONE in text for text in host_vars().values()), done.stdout
    assert STARTED in inventory.playbook(*ALL).stdout, "a run that finishes it takes nobody else out"


@pytest.mark.parametrize(("answer", "goes_on"), [("yes", True), ("是", True), ("", False), ("site-a", False)])
def test_whoever_sits_there_is_asked(inventory, host_vars, answer, goes_on):
    before = host_vars()
    done = inventory.at_a_terminal(*ALL, asked=ASKED, answer=answer)
    assert ASKED in done and "site-a, site-b, site-c leave it" in done, done
    assert (STARTED in done) == goes_on, done
    assert goes_on or (host_vars() == before and "Nothing was changed" in done)


def test_nobody_is_asked_while_sites_are_left(inventory):
    done = inventory.at_a_terminal("remove", "-e", "sites=site-a,site-b", asked=ASKED, answer="no")
    assert STARTED in done and ASKED not in done, done


def test_a_limited_run_writes_for_all_and_changes_the_limited(inventory, host_vars):
    done = inventory.playbook("remove", "-e", "sites=site-c", "--limit", "site-a")
    assert GONE in host_vars()["site-c.yml"] and "site-a" in done.stdout.partition(STARTED)[2], done.stdout
    assert "site-b" not in done.stdout.partition("PLAY RECAP")[2]
