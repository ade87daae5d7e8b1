# SPDX-License-Identifier: GPL-3.0-or-later
"""Which NIC may be the underlay's: the checks before any change, in a network of their own with the routes of a site."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import LIMIT, ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare")

NICS = """
mount -t sysfs sysfs /sys
ip link set lo up
for n in 0 1 2; do
    ip link add eth$n type veth peer name p$n; ip link set p$n up; ip link set eth$n up
done
ip addr add 192.168.1.2/24 dev eth0
ip addr add 10.23.64.17/20 dev eth1
ip addr add 192.168.77.2/24 dev eth2
"""
# As the kernel says it of a VLAN, which this one may not be able to make.
IS_A_VLAN = """
printf 'DEVTYPE=vlan\\nINTERFACE=eth1\\n' > {file}
mount --bind {file} "$(readlink -f /sys/class/net/eth1)/uevent"
"""
# Each is the way out, and the NIC of the ONT has one as well, where an installer configured all NICs by DHCP.
BY_ETH0 = "ip route add default via 192.168.1.1 dev eth0 metric 100\n"
BY_BOTH = BY_ETH0 + "ip route append default via 10.23.64.1 dev eth1 metric 100\n"
FIRST_BY_ETH1 = "ip route add default via 10.23.64.1 dev eth1 metric 50\n" + BY_ETH0
BY_ETH1 = "ip route add default via 10.23.64.1 dev eth1\n"
FROM_ETH0 = "192.168.1.50 50000 192.168.1.2 22"
FROM_ETH2 = "192.168.77.50 50000 192.168.77.2 22"
# In by eth2 from another network, to which the way back is by eth0.
ASYMMETRIC = "192.168.99.50 50000 192.168.77.2 22"
# Within one network, where the kernel does not know the NIC by the address.
LINK_LOCAL = "fe80::1%eth2 50000 fe80::2%eth2 22"
ALSO_ETH2 = (
    BY_ETH0 + "ip -6 addr add 2001:db8::2/64 dev eth2 nodad\nip route add 192.168.50.0/24 via 192.168.77.1 dev eth2\n"
)

BRIDGE = "ip link add br0 type bridge; ip link set eth1 master br0\n"
# Nothing here is a network manager: whoever passes the checks of the NIC is told that.
ACCEPTED = "of the network managers that this role knows"
CARRIES = "(tr069_interface) carries the default route"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The play, with the role's script where a lookup of the play finds it."""
    made = tmp_path_factory.mktemp("play")
    play = (ROOT / "tests" / "playbooks" / "nic_preflight.yml").read_text()
    (made / "nic_preflight.yml").write_text(play.replace("../../", f"{ROOT}/"))
    (made / "files").mkdir()
    shutil.copy(ROOT / "roles" / "nic_dhcp" / "files" / "look.sh", made / "files")
    return made


def check(directory, setup, came="", nic="eth1", sudo=False, environment=None, backend="auto", **variables):
    """What the role says; sudo: it has taken SSH_CONNECTION away, as Debian's does."""
    extra = {
        "tr069_interface": nic,
        "nic_dhcp_backend": backend,
        "ansible_python_interpreter": sys.executable,
        **variables,
    }
    play = [
        "ansible-playbook",
        "-i",
        "shenzhen,",
        "-c",
        "local",
        "-e",
        json.dumps(extra),
        str(directory / "nic_preflight.yml"),
    ]
    script = NICS + setup + ("env -u SSH_CONNECTION " if sudo else "") + '"$@"; exit\n'
    of_the_shell = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
    of_the_shell.update(
        {"SSH_CONNECTION": came} if came else {}, ANSIBLE_CALLBACK_RESULT_FORMAT="json", **environment or {}
    )
    done = subprocess.run(
        ["unshare", "-n", "-m", "--propagation", "private", "sh", "-ec", script, "sh", *play],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=LIMIT, env=of_the_shell,
    )  # fmt: skip
    assert done.returncode != 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("setup", "came", "nic", "sudo", "words"),
    [
        (BY_ETH0, FROM_ETH0, "eth1", False, ACCEPTED),
        (BY_BOTH, FROM_ETH0, "eth1", False, ACCEPTED),
        (FIRST_BY_ETH1, FROM_ETH0, "eth1", False, ACCEPTED),
        (BY_BOTH, "", "eth1", False, ACCEPTED),  # connection: local
        (BY_ETH1, FROM_ETH0, "eth1", False, CARRIES),
        (BY_ETH0, FROM_ETH0, "eth0", False, CARRIES),
        (BY_ETH0, FROM_ETH2, "eth2", False, CARRIES),  # a LAN for management, without a default route
        (BY_ETH0, FROM_ETH2, "eth2", True, CARRIES),
        (BY_ETH0, FROM_ETH2, "eth1", True, ACCEPTED),
        (BY_ETH0, ASYMMETRIC, "eth2", False, CARRIES),
        (BY_ETH0, ASYMMETRIC, "eth1", False, ACCEPTED),
        (ALSO_ETH2, "192.168.50.9 50000 192.168.1.2 22", "eth2", False, CARRIES),
        (BY_ETH0, LINK_LOCAL, "eth2", False, CARRIES),
        (BY_ETH0, LINK_LOCAL, "eth1", False, ACCEPTED),
        (ALSO_ETH2, "2001:db8:9::1 50000 2001:db8::2 22", "eth2", False, CARRIES),
        (BY_ETH0, FROM_ETH0, "eth9", False, "there is no NIC eth9"),
        (
            BY_ETH0 + "ip link add br0 type bridge; ip link set eth1 master br0\n",
            FROM_ETH0,
            "eth1",
            False,
            "is a port of br0",
        ),
    ],
)
def test_a_nic_is_accepted_or_refused_by_what_it_carries(directory, setup, came, nic, sudo, words):
    text = check(directory, setup, came, nic, sudo)
    assert words in text and (words is ACCEPTED or "shenzhen: " in text), text
    assert (words is CARRIES) == (CARRIES in text), text


@pytest.mark.parametrize(
    ("setup", "parent", "words"),
    [
        (BY_ETH0, "eth0", "eth0 (nic_dhcp_vlan_parent) carries the default route"),
        (BY_ETH0, "eth0", "another one: set nic_dhcp_vlan_parent in host_vars/shenzhen"),
        (BY_ETH0 + BRIDGE, "eth1", "eth1 (nic_dhcp_vlan_parent) is a port of br0"),
        (BY_ETH0 + BRIDGE, "eth1", "or set nic_dhcp_vlan_parent in host_vars/shenzhen"),
        (BY_ETH0, "eth9", "there is no NIC eth9 (nic_dhcp_vlan_parent)"),
        (BY_ETH0, "eth1", ACCEPTED),
    ],
)
def test_the_nic_below_a_vlan_is_named_by_its_own_variable(directory, setup, parent, words):
    text = check(directory, setup, FROM_ETH0, "vlan46", nic_dhcp_vlan_parent=parent, nic_dhcp_vlan_id=46)
    assert words in " ".join(text.split()) and "(tr069_interface)" not in text, text


def test_a_nic_that_was_plugged_in_since_the_facts_were_cached_is_there(directory, tmp_path):
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path)}
    assert "there is no NIC eth3" in check(directory, BY_ETH0, FROM_ETH0, "eth3", environment=cache)
    plugged = BY_ETH0 + "ip link add eth3 type veth peer name p3\n"
    assert ACCEPTED in check(directory, plugged, FROM_ETH0, "eth3", environment=cache)


def test_a_vlan_that_something_else_made_is_refused_where_it_cannot_be_configured(directory, tmp_path):
    nmcli = tmp_path / "nmcli"
    nmcli.write_text("#!/bin/sh\ncase $* in *RUNNING*) echo running ;; esac\n")
    nmcli.chmod(0o755)
    vlan = BY_ETH0 + IS_A_VLAN.format(file=tmp_path / "uevent")
    programs = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    text = check(directory, vlan, FROM_ETH0, environment=programs, backend="networkmanager")
    assert "shenzhen: eth1 (tr069_interface) is a VLAN that something else made" in text, text
    assert "networkmanager cannot configure it here" in text and "nic_dhcp_vlan_parent" in text
