# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks say who holds them."""

import resource

import pytest

from sitelink import state


def test_a_lock_names_its_holder_to_who_does_not_get_it(tmp_path):
    path = str(tmp_path / "table-305.lock")
    first = state.lock(path, "eth1")
    assert first is not None
    assert state.lock(path, "enp2s0") is None and state.holder(path) == "eth1" and state.is_locked(path)
    first.close()
    second = state.lock(path, "enp2s0")
    assert second is not None and state.holder(path) == "enp2s0"
    second.close()
    assert not state.is_locked(path)


def test_nobody_holds_what_is_not_there(tmp_path):
    assert state.holder(str(tmp_path / "none.lock")) == ""


def test_what_cannot_be_told_costs_a_daemon_nothing(tmp_path, capsys):
    (tmp_path / "full").write_text("no directory")
    assert state.publish(str(tmp_path / "full" / "gateway-eth1.json"), {"state": "ok"}) is False
    assert "cannot be written" in "".join(capsys.readouterr())
    assert state.publish(str(tmp_path / "gateway-eth1.json"), {"state": "ok"}) is True


def test_a_full_disk_does_not_keep_a_lock_from_who_takes_it(tmp_path):
    path, limits = str(tmp_path / "table-305.lock"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # no file may grow, as on a full disk
    try:
        held = state.lock(path, "eth1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert held is not None and state.is_locked(path) and state.holder(path) == ""
    held.close()


@pytest.mark.parametrize("value", [None, 5, "text", [1], {"a": 1}])
def test_only_objects_have_members_and_only_lists_items(value):
    assert state.mapping(value) == (value if isinstance(value, dict) else {})
    assert state.items(value) == ([1] if isinstance(value, list) else [])
