# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of three sites without a fault, for tests to spoil."""

SECRET = "a-mesh-secret-for-tests-that-is-long-enough"
TOKEN = "a-token-for-tests"


class Inventory(dict):
    """Host variables by site; ``spoil`` sets some for one site, or for all."""

    def spoil(self, site=None, **variables):
        for name in self if site is None else [site]:
            self[name].update(variables)
        return self

    def without(self, site, variable):
        self[site].pop(variable)
        return self


MESH = {
    name: {
        "ansible_host": f"172.16.0.{index}",
        "ddns_hostname": f"{name}.example.com",
        "ddns_provider": "cloudflare",
        "ddns_token": TOKEN,
        "wireguard_mesh_address": f"192.168.11.{index}",
        "wireguard_mesh_lan_subnets": [f"192.168.{index}.0/24"],
        "wireguard_mesh_secret": SECRET,
    }
    for index, name in enumerate(("site-a", "site-b", "site-c"), 1)
}
