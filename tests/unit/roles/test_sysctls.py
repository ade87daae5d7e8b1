# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' own sysctl.d files for a VLAN NIC: with a dot in the name of the NIC, sysctl would look for other keys."""

import pathlib
import re

import jinja2
import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"


@pytest.mark.parametrize("nic", ["eth1", "eth0.46", "br-lan.7"])
@pytest.mark.parametrize(
    "role, variable", [("nic_dhcp", "nic_dhcp_interface"), ("tr069_firewall", "tr069_firewall_interface")]
)
def test_the_nic_is_one_part_of_each_key(role, variable, nic):
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["comment"] = lambda text: f"# {text}"
    values = yaml.safe_load((ROLES / role / "vars" / "main.yml").read_text())
    template = environment.from_string((ROLES / role / "templates" / "sysctl.conf.j2").read_text())
    text = template.render({**values, variable: nic, "ansible_managed": "managed"})
    keys = [line.partition("=")[0].strip() for line in text.splitlines() if "=" in line and not line.startswith("#")]
    assert keys
    for key in keys:
        # As sysctl(8) reads it: a slash within a part stands for the dot.
        _net, _family, _kind, name, setting = key.split(".")
        assert name.replace("/", ".") == nic and re.fullmatch("[a-z0-9_]+", setting), key
