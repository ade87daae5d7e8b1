# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in an operator's hands: one wrong value at a time, on a finished mesh, and back again."""

import shutil

import pytest

from lab_tests import (
    INVENTORY,
    OVERLAY,
    ROOT,
    SITES,
    lab,
    leased_prefix,
    on,
    playbook,
    recap,
    secrets,
    status,
    wait_for,
    wait_for_the_mesh,
    wait_for_the_names,
)

WRONG = ["c2hvcnQga2V5IG9mIHNpdGUtYQ==", "secret-inside-a-dictionary"]


@pytest.fixture
def restored():
    """Whatever a test did, the mesh is what the inventory says afterwards."""
    yield
    playbook("site")


@pytest.fixture
def inventory():
    """A copy of the lab's inventory that a test may spoil."""
    copy = ROOT / ".build" / "spoiled"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(INVENTORY, copy)
    return copy


def spoil(inventory, site, line):
    """The line in the place of the one that sets the variable now."""
    path = inventory / "host_vars" / f"{site}.yml"
    name = line.partition(":")[0]
    kept = [old for old in path.read_text().splitlines() if not old.startswith(f"{name}:")]
    path.write_text("\n".join([*kept, line]) + "\n")


@pytest.mark.parametrize(
    "wrong",
    [
        '{"wireguard_mesh_private_key": "c2hvcnQga2V5IG9mIHNpdGUtYQ=="}',
        '{"wireguard_mesh_private_key": {"a": "secret-inside-a-dictionary"}}',
        '{"wireguard_mesh_secret": {"a": "secret-inside-a-dictionary"}}',
        '{"wireguard_mesh_secret": ["secret-inside-a-dictionary"]}',
        '{"ddns_token": {"a": "secret-inside-a-dictionary"}}',
    ],
)
def test_failing_runs_print_no_secret(wrong):
    done = playbook("site", "-vvv", "--diff", "-e", wrong, check=False)
    assert done.returncode != 0
    output = (done.stdout + done.stderr).replace(wrong, "")
    # Ansible prints its own command line at -vvv; whoever types a secret there has published it already.
    output = "\n".join(line for line in output.splitlines() if wrong not in line)
    assert [secret for secret in secrets() + WRONG if secret in output] == []
    assert "TASK [sitelink.tr069" not in done.stdout.partition("Join the sites into one mesh")[2]


def test_one_name_that_does_not_resolve_keeps_no_other_tunnel_down(restored, inventory):
    spoil(inventory, "site-c", "wireguard_mesh_endpoint: nowhere.lab.test")
    # site-c must not show itself, and the two others start as on their first day.
    on("site-c", "systemctl stop sitelink-mesh@wg0 wg-quick@wg0")
    for site in ("site-a", "site-b"):
        on(
            site,
            "systemctl stop sitelink-mesh@wg0 wg-quick@wg0; "
            "rm -rf /etc/wireguard/wg0.conf /run/sitelink/mesh-wg0.json /var/lib/sitelink/mesh-wg0.json",
        )
    playbook("site", "--limit=site-a,site-b", inventory=inventory)
    for reboot in (False, True):
        if reboot:
            lab("reboot", "site-a", "site-b")
        wait_for(
            lambda: on("site-a", f"ping -c 1 -W 1 {OVERLAY['site-b']}").rc == 0,
            lambda: on("site-a", "sitelink status").stdout,
        )
        peers = {peer["name"]: peer for peer in status("site-a")["mesh"][0]["peers"]}
        assert peers["site-c"]["endpoint"] is None
        assert "nowhere.lab.test" in peers["site-c"]["reason"]


def test_a_lan_that_overlaps_the_leased_prefix_is_refused_on_the_site(restored, inventory):
    prefix = str(leased_prefix("site-a"))
    lan = prefix.split("/")[0] + "/24"
    spoil(inventory, "site-a", f"wireguard_mesh_lan_subnets: [{lan}]")
    done = playbook("site", "--limit=site-a", inventory=inventory, check=False)
    assert done.returncode != 0
    assert lan in done.stdout and prefix in done.stdout and "wireguard_mesh_lan_subnets" in done.stdout


@pytest.mark.parametrize("by_hand", ["wg-quick up wg0", "ip link add wg0 type wireguard || wireguard-go wg0"])
def test_an_interface_that_was_brought_up_by_hand_is_taken_over_by_its_unit(restored, by_hand):
    on("site-b", "systemctl stop sitelink-mesh@wg0 wg-quick@wg0")
    assert on("site-b", by_hand).rc == 0
    playbook("site", "--limit=site-b")
    wait_for_the_mesh()
    assert on("site-b", "systemctl is-active wg-quick@wg0").stdout.strip() == "active"
    wait_for_the_names()
    assert recap(playbook("site", "--limit=site-b"))["site-b"]["changed"] == 0


LOOK = (
    "ls -R /etc/sitelink /etc/netplan /etc/systemd/network /etc/sysctl.d /run/sitelink; nft list tables;"
    " systemctl list-units --all --plain --no-legend 'sitelink*'; systemctl list-unit-files --no-legend 'sitelink*@*';"
    " ls /etc/systemd/system/*.wants; ip rule; ip route show table 305"
)


def rename(site, old, new):
    assert on(site, f"ip link set {old} down && ip link set {old} name {new} && ip link set {new} up").rc == 0


def test_a_nic_that_got_another_name_leaves_nothing_of_the_old(restored, inventory):
    """Two daemons would fight over table 305, and the old firewall's table would drop what leaves by the new NIC."""
    assert "eth1" in on("site-b", LOOK).stdout
    spoil(inventory, "site-b", "tr069_interface: wan1")
    rename("site-b", "eth1", "wan1")
    try:
        playbook("site", "--limit=site-b", inventory=inventory)
        wait_for_the_mesh()
        assert [line for line in on("site-b", LOOK).stdout.splitlines() if "eth1" in line] == []
        wait_for_the_names()
        counts = recap(playbook("site", "--limit=site-b", inventory=inventory))
        assert counts["site-b"]["changed"] == 0
    finally:
        rename("site-b", "wan1", "eth1")
    playbook("site", "--limit=site-b")
    wait_for_the_mesh()
    assert [line for line in on("site-b", LOOK).stdout.splitlines() if "wan1" in line] == []


def test_check_mode_on_finished_sites_changes_nothing():
    wait_for_the_names()
    counts = recap(playbook("site", "--check", "--diff"))
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)


def test_after_all_that_a_second_run_finds_nothing_to_do():
    wait_for_the_names()
    counts = recap(playbook("site"))
    assert {site: counts[site]["changed"] for site in SITES} == dict.fromkeys(SITES, 0)
