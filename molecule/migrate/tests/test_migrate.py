# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites set up by hand as the source article says; one is taken over and given back. In this order.

Needs a lab of two sites, and the image that has what the article installs.
"""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest
import steady

import lab_tests
from lab_tests import ADDRESS, INVENTORY, OVERLAY, ROOT, STATE, lab, recap

sys.path.insert(0, str(ROOT / "lab"))
from sitelab import topology

SITES = ["site-a", "site-b"]
OTHER = {"site-a": "site-b", "site-b": "site-a"}
COPY = ROOT / ".build" / "migrated"
SNAPSHOT = (ROOT / "molecule/shared/snapshot.py").read_text()
TOKEN = "lab-cloudflare-token-0001"
WHEEL = ROOT / ".cache" / "ddns-4.2.0-py2.py3-none-any.whl"
OLD = ["/usr/bin/get-interface-ip", "/usr/bin/set-tr069-gateway", "/usr/src/DDNS", "/root/privatekey"]
JOBS = """\
* * * * * root /usr/bin/python3 /usr/src/DDNS/run.py -c /usr/src/DDNS/config.json
* * * * * root /usr/bin/set-tr069-gateway eth1
"""
# The article's own text, line by line. DDNS is the client that the lab has, unpacked; it has to know the lab's API.
# `netplan apply` configures eth1 twice at once, and networkd 252 now and then loses the address by that; the reader would try again.
BY_HAND = r"""
set -e
cat >> /etc/netplan/50-cloud-init.yaml <<'END'
    eth1:
      dhcp4: true
      dhcp4-overrides:
        use-routes: false
        use-dns: false
        use-hostname: false
END
netplan apply
cat > /usr/bin/get-interface-ip <<'END'
#!/bin/bash
ifconfig $1 | grep -oP 'inet ((2(5[0-5]|[0-4]\d))|[0-1]?\d{1,2})(\.((2(5[0-5]|[0-4]\d))|[0-1]?\d{1,2})){3}' | sed 's/inet //g'
END
cat > /usr/bin/set-tr069-gateway <<'END'
#!/bin/bash
IP_REGEXP='((2(5[0-5]|[0-4]\d))|[0-1]?\d{1,2})(\.((2(5[0-5]|[0-4]\d))|[0-1]?\d{1,2})){3}'
LOCAL_IP=$(ifconfig $1 | grep -oP "inet $IP_REGEXP" | sed 's/inet //g')
LOCAL_MASK=$(ifconfig $1 | grep -oP "mask $IP_REGEXP" | sed 's/mask //g')
GATEWAY=$(subnetcalc $LOCAL_IP/$LOCAL_MASK -n | grep 'Host Range' | grep -oP $IP_REGEXP | head -n 1)
ROUTE_TXT="default via $GATEWAY dev $1 table 305"
echo $ROUTE_TXT
bash -c "ip route replace $ROUTE_TXT || ip route add $ROUTE_TXT"
END
chmod +x /usr/bin/get-interface-ip /usr/bin/set-tr069-gateway
mkdir -p /usr/src/DDNS
python3 -m zipfile -e /tmp/ddns.whl /usr/src/DDNS
cp /tmp/ca.pem /usr/src/DDNS/ca.pem
printf 'from ddns.__main__ import main\nmain()\n' > /usr/src/DDNS/run.py
cat > /usr/src/DDNS/config.json <<'END'
{
  "$schema": "https://ddns.newfuture.cc/schema.json",
  "debug": false,
  "dns": "cloudflare",
  "id": "",
  "index4": "shell:/usr/bin/get-interface-ip eth1",
  "index6": "default",
  "ipv4": [
    "NAME"
  ],
  "ipv6": [],
  "proxy": null,
  "endpoint": "https://cloudflare.api.lab.test",
  "ssl": "/usr/src/DDNS/ca.pem",
  "ttl": 60,
  "token": "TOKEN"
}
END
cat > /tmp/leased.py <<'END'
import ipaddress, re, sys
text = open(sys.argv[1]).read()
print(ipaddress.ip_interface("/".join(re.search("(?m)^%s=(.*)" % name, text).group(1) for name in ("ADDRESS", "NETMASK"))))
END
# What networkd may wait with for ever, see lease.set_free().
for i in $(seq 360); do
  [ -z "$(get-interface-ip eth1)" ] || break
  sleep 0.5
  [ $((i % 40)) != 0 ] || for A in $(python3 /tmp/leased.py /run/systemd/netif/leases/$(cat /sys/class/net/eth1/ifindex)); do
    ip address add $A dev eth1
    ip address del $A dev eth1
  done
done
rm /tmp/leased.py
[ -n "$(get-interface-ip eth1)" ] || { networkctl; ip -br address; journalctl -n 40 -u systemd-networkd; exit 1; } >&2
/usr/bin/python3 /usr/src/DDNS/run.py -c /usr/src/DDNS/config.json
set-tr069-gateway eth1
printf 'JOBS' >> /etc/crontab
systemctl enable --now cron
wg genkey | tee /root/privatekey | wg pubkey > /root/publickey
"""
TUNNEL = r"""
set -e
cat > /etc/wireguard/wg0.conf <<END
[Interface]
Address = ADDRESS/24
PrivateKey = $(cat /root/privatekey)
ListenPort = 22000
FwMark = 0x131
PostUp = ip rule add pref 305 to 10.0.0.0/7 fwmark 0x131 lookup 305
PostDown = ip rule del pref 305

[Peer]
PublicKey = PEER
AllowedIPs = BEHIND/32, LAN
Endpoint = OTHER:22000
PersistentKeepalive = 25
END
"""


def inside(site, command):
    return lab("exec", site, "--", "sh", "-c", command)


def playbook(name, *argv, **options):
    password = f"--vault-password-file={COPY / '.vault-password'}"
    return lab_tests.playbook(name, password, *argv, inventory=COPY, timeout=600, **options)


def migrate(*argv, **options):
    return playbook("migrate", "-e", "sites=site-a", *argv, **options)


def snapshot(site):
    found = json.loads(lab("exec", site, "--", "python3", "-c", SNAPSHOT))
    scripts = inside(site, "stat -c '%n %a %U' /usr/bin/*-tr069-* /usr/bin/get-interface-ip; sha256sum /usr/bin/set-tr069-gateway "
                           "/usr/bin/get-interface-ip /etc/crontab /etc/netplan/* /etc/wireguard/wg0.conf")  # fmt: skip
    return {**{key: found[key] for key in ("files", "unit files", "users")}, "scripts": scripts.splitlines()}


def variables():
    return {site: (COPY / "host_vars" / f"{site}.yml").read_text() for site in SITES}


def steadily(change):
    """{pair: packets sent and lost} of 20 a second, both ways, while something changes."""
    with steady.pings([("site-a", "site-b"), ("site-b", "site-a")]) as found:
        time.sleep(2)
        done = change()
        time.sleep(3)
    print(dict(found))
    assert all(sent > 100 for sent, _ in found.values()), found
    return done, dict(found)


def pinged():
    lab_tests.wait_for(lambda: "1 received" in inside("site-b", f"ping -c 1 -W 1 {OVERLAY['site-a']} || true"))
    return True


@pytest.fixture(scope="module", autouse=True)
def before():
    lab("reinstall", *SITES, "--image", "bookworm-article")
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(INVENTORY, COPY)
    (COPY / "host_vars/site-c.yml").unlink()
    (COPY / "hosts.yml").write_text("---\nsites:\n  hosts:\n    site-a:\n    site-b:\n")
    (COPY / ".vault-password").write_text("a password of these tests\n")
    for site in SITES:
        (COPY / f"host_vars/{site}.yml").write_text(f"---\nansible_host: {ADDRESS[site]}  # by eth0\n")
    path = COPY / "group_vars/all/ddns.yml"
    path.write_text(re.sub(r"(?m)^ddns_token:.*\n", "", path.read_text()))
    keys = {}
    for site in SITES:
        for local, there in ((WHEEL, "/tmp/ddns.whl"), (STATE / "ca.pem", "/tmp/ca.pem")):
            subprocess.run(["podman", "cp", str(local), f"{topology.PREFIX}{site}:{there}"], check=True)
        jobs = JOBS.replace("\n", "\\n")
        script = BY_HAND.replace("NAME", f"{site}.lab.test").replace("TOKEN", TOKEN).replace("JOBS", jobs)
        inside(site, script)
        keys[site] = inside(site, "cat /root/publickey").strip()
    for site in SITES:
        other = OTHER[site]
        script = TUNNEL.replace("ADDRESS", OVERLAY[site]).replace("PEER", keys[other]).replace("BEHIND", OVERLAY[other])
        script = script.replace("LAN", {"site-a": "192.168.1.0/24", "site-b": "10.66.2.0/24"}[other])
        inside(site, script.replace("OTHER", f"{other}.lab.test"))
    inside("site-a", "wg-quick up wg0 2>&1; systemctl enable wg-quick@wg0 2>&1")
    inside("site-b", "systemctl enable --now wg-quick@wg0 2>&1")
    assert pinged()
    return {site: snapshot(site) for site in SITES}, keys


def test_preshared_keys_that_nobody_has_are_refused_before_any_change(before):
    kept = variables()
    done = migrate(check=False)
    assert done.returncode != 0 and "wireguard_mesh_preshared_keys: false" in done.stdout
    assert all(counts["changed"] == 0 for counts in recap(done).values())
    assert variables() == kept and snapshot("site-a") == before[0]["site-a"]


def test_check_mode_tells_and_changes_nothing(before):
    with (COPY / "group_vars/all/mesh.yml").open("a") as file:
        file.write("wireguard_mesh_preshared_keys: false\n")
    kept = variables()
    done = migrate("--check", "--diff")
    for text in ("/etc/crontab", "/usr/src/DDNS", "host_vars/site-a gets wireguard_mesh_address: 192.168.11.1"):
        assert text in done.stdout, text
    assert variables() == kept and snapshot("site-a") == before[0]["site-a"]


def test_the_tunnel_goes_on_while_a_site_is_taken_over(before):
    done, found = steadily(lambda: migrate("-vv", "--diff"))
    assert all(lost < sent / 2 for sent, lost in found.values()), found  # not until the end of the run
    private = inside("site-a", "cat /var/lib/sitelink/article/files/root/privatekey").strip()
    assert private not in done.stdout + done.stderr and TOKEN not in done.stdout + done.stderr
    assert not [path for path in COPY.rglob("*") if path.is_file() and private in path.read_text()]


def test_key_name_and_address_are_those_of_before(before):
    _, keys = before
    assert inside("site-a", "wg show wg0 public-key").strip() == keys["site-a"]
    assert inside("site-a", "ip -4 -o address show dev wg0").split()[3] == f"{OVERLAY['site-a']}/24"
    text = variables()["site-a"]
    assert f"ansible_host: {ADDRESS['site-a']}  # by eth0\n" in text
    assert "ddns_hostname: site-a.lab.test\n" in text and "ddns_token: !vault |\n" in text
    assert TOKEN not in text
    assert f"wireguard_mesh_public_key: {keys['site-b']}\n" in variables()["site-b"]
    status = lab_tests.status("site-a", "--probe")
    assert status["ddns"]["state"] == "ok" and [peer["name"] for peer in status["mesh"][0]["peers"]] == ["site-b"]
    assert status["mesh"][0]["peers"][0]["latency"] is not None


def test_nothing_of_the_old_is_left_running():
    assert inside("site-a", f"ls -d {' '.join(OLD)} 2>/dev/null || true").strip() == ""
    since = inside("site-a", "date +'%F %T'").strip()
    assert inside("site-a", "grep -c DDNS /etc/crontab || true").strip() == "0"
    # What the operator wrote about eth1 stays; the file in force is ours.
    assert "Network File: /run/systemd/network/10-netplan-00-sitelink-eth1.network" in inside(
        "site-a", "networkctl status eth1"
    )
    # The other one's cron shows that it would have been seen.
    other = f"journalctl --since '{since}' --unit cron"
    lab_tests.wait_for(lambda: "set-tr069-gateway" in inside("site-b", other))
    said = inside("site-a", f"journalctl --since '{since}' --unit cron")
    assert "CMD" not in said.replace("run-parts", "").replace("CMD (   cd /", ""), said


def test_a_second_run_changes_nothing():
    lab_tests.wait_for_the_names(["site-a"])
    assert recap(migrate())["site-a"]["changed"] == 0
    assert recap(playbook("site", "--limit=site-a"))["site-a"]["changed"] == 0


def test_undo_puts_all_of_it_back(before):
    _, lost = steadily(lambda: migrate("-e", "migrate_undo=true"))
    print(lost)
    after = snapshot("site-a")
    for what, lines in before[0]["site-a"].items():
        assert (sorted(set(lines) - set(after[what])), sorted(set(after[what]) - set(lines))) == ([], []), what
    assert inside("site-a", "systemctl is-active wg-quick@wg0").strip() == "active"
    assert pinged()
    assert snapshot("site-b") == before[0]["site-b"]
    assert (
        inside("site-a", "stat -c %a /etc/wireguard/wg0.conf").strip()
        == inside("site-b", "stat -c %a /etc/wireguard/wg0.conf").strip()
    )


def test_it_can_be_taken_over_again():
    assert recap(migrate())["site-a"]["failed"] == 0
    assert pinged()
