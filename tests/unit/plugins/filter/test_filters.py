# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters' arguments: what they take, and that no error shows a secret."""

import pathlib
import traceback

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sitelink.tr069.plugins.filter import (
    wireguard_free_addresses,
    wireguard_keypair,
    wireguard_mesh_plan,
    wireguard_peers,
    wireguard_preshared_key,
    wireguard_public_key,
)

PLUGINS = pathlib.Path(wireguard_mesh_plan.__file__).parent
SECRET = "a-mesh-secret-for-tests-that-is-long-enough"
MODULES = (
    wireguard_free_addresses,
    wireguard_keypair,
    wireguard_mesh_plan,
    wireguard_peers,
    wireguard_preshared_key,
    wireguard_public_key,
)
FILTERS = {name: function for module in MODULES for name, function in module.FilterModule().filters().items()}
HOSTVARS = {
    name: {
        "ddns_hostname": f"{name}.example.com",
        "ddns_token": "token",
        "wireguard_mesh_address": f"192.168.11.{index}",
        "wireguard_mesh_secret": SECRET,
        "wireguard_mesh_key_generation": index,
    }
    for index, name in enumerate(("site-a", "site-b", "site-c"), 1)
}
WRONG_SECRETS = [
    "SECRETMARK",
    "SECRETMARK\n",
    "",
    ["SECRETMARK" * 5],
    {"SECRETMARK": "SECRETMARK"},
    12345,
    True,
    "FILL-ME-IN",
]


def test_a_file_per_filter():
    assert list(FILTERS) == [module.__name__.rpartition(".")[2] for module in MODULES]


@pytest.mark.parametrize("path", sorted(PLUGINS.parent.glob("[fl]*/*.py")), ids=lambda path: path.stem)
def test_every_plugin_says_what_is_missing_on_the_controller(path):
    assert f"needs_libraries({path.stem})" in path.read_text()


def test_keypair_and_public_key():
    pair = FILTERS["wireguard_keypair"](SECRET, "sitelink", "site-a")
    assert pair == FILTERS["wireguard_keypair"](f" {SECRET}\n", "sitelink", "site-a", generation=1)
    assert pair["public_key"] == FILTERS["wireguard_public_key"](pair["private_key"] + "\n")
    assert pair != FILTERS["wireguard_keypair"](SECRET, "sitelink", "site-a", 2)
    assert pair != FILTERS["wireguard_keypair"](SECRET, "sitelink2", "site-a")


def test_the_filters_agree():
    plan = FILTERS["wireguard_mesh_plan"](list(HOSTVARS), HOSTVARS)
    assert plan["problems"] == []
    for index, (name, site) in enumerate(plan["sites"].items(), 1):
        assert site["public_key"] == FILTERS["wireguard_keypair"](SECRET, "sitelink", name, index)["public_key"]
    for peer in FILTERS["wireguard_peers"](plan, "site-b", SECRET):
        generation = HOSTVARS[peer["name"]]["wireguard_mesh_key_generation"]
        one = FILTERS["wireguard_preshared_key"](SECRET, "sitelink", "site-b", peer["name"], 2, generation)
        other = FILTERS["wireguard_preshared_key"](SECRET, "sitelink", peer["name"], "site-b", generation, 2)
        assert peer["preshared_key"] == one == other
    for nothing in (None, ""):
        assert all("preshared_key" not in peer for peer in FILTERS["wireguard_peers"](plan, "site-b", nothing))


def test_free_addresses():
    free = FILTERS["wireguard_free_addresses"]
    assert free("192.168.11.0/24", ["192.168.11.2", "10.0.0.1"], 2) == ["192.168.11.1", "192.168.11.3"]
    assert free("192.168.11.0/30", ["192.168.11.1"], 5) == ["192.168.11.2"]


PLAN = FILTERS["wireguard_mesh_plan"](list(HOSTVARS), HOSTVARS)
SECRET_USES = {
    "wireguard_keypair": lambda secret: FILTERS["wireguard_keypair"](secret, "sitelink", "site-a"),
    "wireguard_preshared_key": lambda secret: FILTERS["wireguard_preshared_key"](secret, "sitelink", "a", "b"),
    "wireguard_public_key": lambda secret: FILTERS["wireguard_public_key"](secret),
    "wireguard_peers": lambda secret: FILTERS["wireguard_peers"](PLAN, "site-a", secret or "x"),
}


@pytest.mark.parametrize("secret", WRONG_SECRETS)
@pytest.mark.parametrize("name", SECRET_USES)
def test_wrong_secrets_are_refused_and_never_shown(name, secret):
    with pytest.raises(AnsibleFilterError) as error:
        SECRET_USES[name](secret)
    assert name in str(error.value)
    printed = "".join(traceback.format_exception(error.value))
    assert "SECRETMARK" not in printed
    assert error.value.__cause__ is None and error.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("wireguard_keypair", (SECRET, "", "site-a")),
        ("wireguard_keypair", (SECRET, "sitelink", "site/a")),
        ("wireguard_keypair", (SECRET, "sitelink", None)),
        ("wireguard_keypair", (SECRET, "sitelink", "site-a", 0)),
        ("wireguard_keypair", (SECRET, "sitelink", "site-a", "new")),
        ("wireguard_preshared_key", (SECRET, "sitelink", "site-a", "site-a")),
        ("wireguard_mesh_plan", ("sites", HOSTVARS)),
        ("wireguard_mesh_plan", (["site-a"], None)),
        ("wireguard_mesh_plan", (5, HOSTVARS)),
        ("wireguard_peers", ({}, "site-a")),
        ("wireguard_peers", (PLAN, "site-x")),
        ("wireguard_peers", (FILTERS["wireguard_mesh_plan"]([], {}), "site-a")),
        ("wireguard_free_addresses", ("192.168.11.1/24", [])),
        ("wireguard_free_addresses", ("192.168.11.0/24", "192.168.11.1")),
        ("wireguard_free_addresses", ("192.168.11.0/24", ["x"])),
    ],
)
def test_wrong_arguments_name_the_filter(name, arguments):
    with pytest.raises(AnsibleFilterError, match=name) as error:
        FILTERS[name](*arguments)
    assert SECRET not in str(error.value)
