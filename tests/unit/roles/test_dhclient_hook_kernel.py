# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks that dhclient-script reads, against a kernel: eth1 never takes over the LAN of eth0, nor any address of anywhere."""

import os
import pathlib
import shutil
import subprocess

import jinja2
import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "nic_dhcp"
# eth1 is there first, as after a boot, and its port has fallen back to the ONT's LAN, which is the site's own by accident.
SITE = """
set -e
ip link set lo up
ip link add eth1 type veth peer name ont
ip link add eth0 type veth peer name switch
for nic in eth1 eth0 ont switch; do ip link set "$nic" up; done
ip address add 192.168.1.77/24 broadcast 192.168.1.255 dev eth1
ip address add 192.168.1.2/24 dev eth0
ip route add 10.0.0.0/8 dev eth1 metric 5
lan() { ip route get 192.168.1.9 | head -n 1; }
"""


@pytest.fixture
def run():
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())

    def run(script, interface="eth1", template="dhclient-exit-hook.j2", replaced=("", "")):
        templates = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True)
        given = {"nic_dhcp_interface": "eth1", "__nic_dhcp_metric": variables["__nic_dhcp_metric"]}
        hook = templates.get_template(template).render(given).replace(*replaced)
        text = f"{SITE}hook() {{ interface={interface}; reason=$1\n{hook}\n}}\n{script}"
        done = subprocess.run(["unshare", "--net", "sh", "-c", text], text=True, capture_output=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.splitlines()

    return run


ROUTES = "ip -4 route show dev eth1 | sort"


def test_the_lan_stays_with_the_other_nic(run):
    before, after, *routes = run(f"lan; hook BOUND; lan; {ROUTES}")
    assert " dev eth1 " in before and " dev eth0 " in after
    assert [line.strip() for line in routes] == [
        "10.0.0.0/8 scope link metric 5",
        "192.168.1.0/24 proto kernel scope link src 192.168.1.77 metric 4096",
    ]


@pytest.mark.parametrize(
    "change, prefix",
    [
        ("", "192.168.1.0/24 proto kernel scope link src 192.168.1.77 metric 4096"),
        (
            "ip address flush dev eth1; ip address add 10.23.64.5/20 dev eth1",
            "10.23.64.0/20 proto kernel scope link src 10.23.64.5 metric 4096",
        ),
        ("ip address flush dev eth1", ""),
    ],
)
def test_a_renewal_keeps_it_and_a_new_lease_leaves_nothing_of_the_old(run, change, prefix):
    routes = [line.strip() for line in run(f"hook BOUND; {change or ':'}; hook RENEW; {ROUTES}")]
    assert [line for line in routes if "metric 5" not in line] == [prefix][: len(prefix)]


def test_another_nic_is_none_of_its_business(run):
    assert not [line for line in run(f"hook BOUND; {ROUTES}", interface="eth0") if "4096" in line]


# How Debian's script and Red Hat's give the NIC its address; as option 28 a server may send any.
DEBIAN = 'ip -4 address replace "$new_ip_address/$prefix" ${new_broadcast_address:+broadcast "$new_broadcast_address"} dev eth1'
RED_HAT = "ip -4 address replace $new_ip_address/$prefix broadcast $new_broadcast_address dev eth1"
LEASES = {"10.23.64.5/20": {"10.23.79.255"}, "10.23.64.4/31": set(), "10.23.64.5/31": set(), "10.23.64.5/32": set()}


@pytest.mark.parametrize("script", [DEBIAN, RED_HAT], ids=["Debian", "Red Hat"])
@pytest.mark.parametrize("lease", LEASES)
@pytest.mark.parametrize("sent", ["192.168.1.1", "10.23.64.1", "10.23.64.4", "255.255.255.255"])
def test_only_the_broadcast_address_of_the_prefix_is_one(run, script, lease, sent):
    address, _, prefix = lease.partition("/")
    said = {"ip_address": address, "subnet_mask": "255.255.240.0", "broadcast_address": sent}
    given = "; ".join(f"export {when}_{name}={value}" for when in ("new", "old", "cur") for name, value in said.items())
    renewal = f"{given}; hook BOUND; {script}"
    found = run(
        f"prefix={prefix}; ip -4 address flush dev eth1; {renewal}; {renewal}; env | grep -c broadcast_address={sent} || :;"
        "ip -4 route show table local dev eth1 type broadcast",
        template="dhclient-enter-hook.j2",
    )
    assert found[0] == "0"
    assert broadcasts(found[1:]) == LEASES[lease]


def broadcasts(routes):
    """The first address of a prefix is one to kernels before 5.14."""
    return {line.split()[1] for line in routes} - {"10.23.64.0"}


@pytest.mark.parametrize("lease", LEASES)
@pytest.mark.parametrize("sent", ["192.168.1.1", "10.23.64.1", "10.23.64.4", "10.23.79.255"])
def test_what_dhcpcd_takes_for_a_broadcast_address_is_taken_back(run, lease, sent):
    address, _, prefix = lease.partition("/")
    found = run(
        f"ip -4 address add {lease} broadcast {sent} dev eth1; ip -4 address add 10.9.0.1/24 broadcast 10.9.0.9 dev eth0;"
        f"new_ip_address={address}; new_subnet_cidr={prefix}; (hook BOUND); (hook RENEW); (unset new_ip_address; hook EXPIRE);"
        "ip -4 route show table local type broadcast | grep -v -e ' src 192' -e ' src 127'",
        template="dhcpcd-hook.j2",
    )
    assert broadcasts(line for line in found if " dev eth1 " in line) == LEASES[lease]
    assert "10.9.0.9" in " ".join(found)  # another NIC is none of its business


def test_where_hooks_are_of_all_nics_the_clients_own_script_is_run_with_the_address_alone(run, tmp_path):
    """The end of its own script tells dhclient whether it can use the address."""
    (tmp_path / "script").write_text("#!/bin/sh\necho $1 $reason; env | grep ^new_; exit 3\n")
    (tmp_path / "script").chmod(0o755)
    found = run(
        "export new_ip_address=192.168.1.77 new_routers=192.168.1.1 new_rfc3442_classless_static_routes=0 reason;"
        f"(hook BOUND) || echo code $?; {ROUTES}",
        template="dhclient-script.j2", replaced=("/sbin/dhclient-script", str(tmp_path / "script")),
    )  # fmt: skip
    assert found[:3] == ["BOUND BOUND", "new_ip_address=192.168.1.77", "code 3"]
    assert [line.strip() for line in found[3:] if "metric 5" not in line] == [
        "192.168.1.0/24 proto kernel scope link src 192.168.1.77 metric 4096"
    ]
