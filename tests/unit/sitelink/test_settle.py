# SPDX-License-Identifier: GPL-3.0-or-later
"""The key that never leaves a site comes into wg0.conf; `wg pubkey` is a double."""

import json
import os

import pytest

from sitelink import config, settle, wg

TEXT = "[Interface]\n%s\nListenPort = 22000\n"


def text(path):
    with open(path) as file:
        return file.read()


@pytest.fixture
def write(directories, monkeypatch, gateway_json):
    """A function that writes one of the site's files below /etc/wireguard; its public key is of-the-second."""
    monkeypatch.setattr(wg, "public_key", lambda private: "of-" + private)
    plan = {
        "mesh": "sitelink", "site": "site-a", "interface": "wg0", "underlay_interface": "eth1", "networks": ["10.0.0.0/7"],
        "port": 22000, "fwmark": 305, "mtu": 1420, "keepalive": 25, "addresses": ["192.168.11.1/24"], "lan_subnets": [],
        "public_key": "of-the-second", "peers": [], "uplink": "eth0", "exit": None, "exit_for": [],
    }  # fmt: skip
    (directories / "etc" / "mesh-wg0.json").write_text(json.dumps(plan))

    def write(name, content):
        (directories / "wireguard" / name).write_text(content)

    write("wg0.conf.in", TEXT % settle.KEY_LINE)
    write("wg0.key.aaaaaa", "the-first\n")
    write("wg0.key.bbbbbb", "the-second\n")
    return write


def test_the_key_of_this_public_key_is_put_in_and_only_once(write):
    path = config.wireguard_path("wg0")
    assert settle.compose("wg0", dry_run=True) and not os.path.exists(path)
    assert settle.compose("wg0") and not settle.compose("wg0")
    assert text(path) == TEXT % "PrivateKey = the-second" and os.stat(path).st_mode & 0o777 == 0o600
    write("wg0.conf", "by hand\n")
    assert settle.compose("wg0") and "the-second" in text(path)


def test_a_site_whose_key_comes_with_the_configuration_is_left_alone(write):
    os.unlink(config.wireguard_path("wg0") + ".in")
    write("wg0.conf", "another's key\n")
    assert not settle.compose("wg0") and text(config.wireguard_path("wg0")) == "another's key\n"


def test_a_key_that_is_nowhere_is_named_and_nothing_is_written(write):
    os.unlink(os.path.join(config.WIREGUARD, "wg0.key.bbbbbb"))
    with pytest.raises(config.ConfigError, match="wireguard_mesh_public_key.*sitelink.tr069.keys"):
        settle.compose("wg0")
    assert not os.path.exists(config.wireguard_path("wg0"))


def test_a_dry_run_counts_with_files_that_are_not_written(write):
    settle.compose("wg0")
    assert settle.compose("wg0", dry_run=True, as_if={config.wireguard_path("wg0") + ".in": "another digest"})
    os.unlink(os.path.join(config.WIREGUARD, "wg0.key.bbbbbb"))
    assert not settle.compose("wg0", dry_run=True, as_if={config.mesh_path("wg0"): "another digest"}), (
        "which key is not known"
    )


@pytest.mark.parametrize("content", ["", "no key\n", b"\xff\xfe".decode("latin-1")])
def test_a_key_that_was_not_finished_is_passed_over(write, monkeypatch, content):
    def public_key(private):
        if not private.startswith("the-"):
            raise wg.WgError("wg pubkey failed: Key is not the correct length or format")
        return "of-" + private

    monkeypatch.setattr(wg, "public_key", public_key)
    write("wg0.key.aaaaaa", content)
    assert settle.own_key(config.load_mesh("wg0")) == "the-second"
