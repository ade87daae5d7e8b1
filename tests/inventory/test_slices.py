# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of the inventory, as a job slice of AWX hands it over, is never taken for the whole."""

import pytest

PARTS = {
    "awx": {"awx_job_template_name": "mesh", "awx_workflow_job_name": "mesh"},
    "controller": {"tower_job_template_name": "mesh", "tower_workflow_job_name": "mesh"},
}


def extra(variables):
    return [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("playbook", ["site", "remove", "rotate_keys"])
def test_a_slice_is_refused_in_one_sentence(inventory, name, playbook):
    done = inventory.playbook(playbook, "-e", "sites=site-a", *extra(PARTS[name]))
    assert done.returncode != 0 and "one slice of the job template mesh" in done.stdout, done.stdout
    assert "Install the program" not in done.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {"awx_job_template_name": "mesh"},
        {"awx_job_template_name": "mesh", "awx_workflow_job_name": "nightly"},
    ],
)
def test_a_whole_job_is_none(inventory, variables):
    done = inventory.playbook("site", *extra(variables))
    assert "slice of the job" not in done.stdout and "Join the sites into one mesh" in done.stdout, done.stdout


def test_a_group_with_too_few_sites_is_refused(inventory):
    inventory.change("group_vars/all/mesh.yml", wireguard_mesh_site_count=3)
    assert "Join the sites into one mesh" in inventory.playbook("site").stdout
    hosts = inventory.read("hosts.yml")
    del hosts["sites"]["hosts"]["site-c"]
    inventory.write("hosts.yml", hosts)
    (inventory.directory / "host_vars/site-c.yml").unlink()
    inventory.site("site-a", ddns_publish_for=None)
    done = inventory.playbook("site")
    assert done.returncode != 0 and "has 2 site(s), but wireguard_mesh_site_count is 3" in done.stdout, done.stdout
