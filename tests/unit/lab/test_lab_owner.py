# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose lab it is: by the label of its containers, which podman is asked for."""

import pytest

from sitelab import cli
from sitelab.podman import LabError
from sitelab.topology import PREFIX  # by the environment's name of the lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A function: a lab of this owner, of whose containers some run; down() would then remove them."""
    monkeypatch.setattr(cli, "STATE", tmp_path / "state")
    monkeypatch.setattr(cli.podman, "exists", lambda: True)

    def made(owner, running=(f"{PREFIX}carrier",)):
        monkeypatch.setattr(cli, "labels", lambda: (str(owner), 3))
        monkeypatch.setattr(
            cli, "containers", lambda *filters: list(running) if filters else [f"{PREFIX}carrier", f"{PREFIX}site-a"]
        )
        removed = []
        monkeypatch.setattr(cli.podman, "remove", lambda *names: removed.extend(names))
        monkeypatch.setattr(
            cli.podman, "run", lambda *argv, **options: type("Done", (), {"stdout": "", "returncode": 0})()
        )
        return removed

    return made


@pytest.fixture
def elsewhere(tmp_path):
    """Another checkout."""
    (tmp_path / "elsewhere" / "lab").mkdir(parents=True)
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("command", ["up", "down", "free", "size"])
def test_another_checkouts_lab_is_left_alone_and_its_owner_named(lab, elsewhere, command):
    removed = lab(elsewhere)
    with pytest.raises(LabError) as refused:
        cli.size() if command == "size" else getattr(cli, command)(cli.parser().parse_args([command]))
    assert str(elsewhere) in str(refused.value) and "SITELINK_LAB" in str(refused.value)
    assert removed == []


def down():
    cli.down(cli.parser().parse_args(["down"]))


def test_ones_own_lab_is_taken_down(lab):
    removed = lab(cli.ROOT)
    down()
    assert removed == ["carrier", "site-a"]


def test_a_lab_whose_checkout_is_gone_is_taken_down(lab, tmp_path):
    removed = lab(tmp_path / "gone")
    down()
    assert removed == ["carrier", "site-a"]


def test_a_lab_of_which_nothing_runs_is_taken_down(lab, elsewhere):
    removed = lab(elsewhere, running=())
    down()
    assert removed == ["carrier", "site-a"]


@pytest.mark.parametrize(("before", "after"), [("128", "1024"), ("1024", "1024"), ("8192", "8192")])
def test_a_machine_gets_room_for_more_than_one_lab_and_never_less_than_it_has(tmp_path, monkeypatch, before, after):
    path = tmp_path / "max_user_instances"
    path.write_text(before)
    monkeypatch.setattr(cli, "INOTIFY", path)
    cli.make_room()
    assert path.read_text().strip() == after
