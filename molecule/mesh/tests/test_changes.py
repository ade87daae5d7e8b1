# SPDX-License-Identifier: GPL-3.0-or-later
"""One mesh through all that an operator does to it, in this order: each test goes on where the one before left it.

Needs a lab of four sites. The fourth is not in the inventory at first, and has a WireGuard of its own making.
"""

import concurrent.futures
import contextlib
import itertools
import json
import re
import shutil
import time

import pytest
import steady

import lab_tests
from lab_tests import INVENTORY, ROOT, SITES, lab, on, recap, wait_for_the_names

UNDER_WAY = 2  # pings of a pair, of 20 a second, for each switch; docs/*/mesh.md say so
NEW = "site-d"
EVERYONE = [*SITES, NEW]
lab_tests.ADDRESS[NEW] = "192.168.4.2"
OVERLAY = {**lab_tests.OVERLAY, NEW: "192.168.11.4"}
COPY = ROOT / ".build" / "changed"
SNAPSHOT = (ROOT / "molecule/shared/snapshot.py").read_text()
FOREIGN = """\
# made by hand, long before
[Interface]
PrivateKey = {key}
Address = 192.168.99.1/24
ListenPort = 51820
"""


def playbook(name, *argv, **options):
    return lab_tests.playbook(name, *argv, inventory=COPY, timeout=900, **options)


def inside(site, command):
    """Run a shell command on a site whether or not SSH answers there."""
    return lab("exec", site, "--", "sh", "-c", command)


def files(sites):
    """What a site was given."""
    return {site: inside(site, "sha256sum /etc/wireguard/wg0.conf /etc/sitelink/mesh-wg0.json") for site in sites}


def forget_files(sites):
    """So that the next run has to write them; the tunnels go on."""
    for site in sites:
        inside(site, "rm /etc/wireguard/wg0.conf /etc/sitelink/mesh-wg0.json")


@contextlib.contextmanager
def unreachable(site):
    inside(site, "systemctl stop ssh.service; kill $(pidof sshd) 2>/dev/null; true")
    try:
        yield
    finally:
        inside(site, "systemctl start ssh.service")


def write(site, variable, value):
    """Change one line of a site's variables, or add it."""
    path = COPY / "host_vars" / f"{site}.yml"
    text, found = re.subn(rf"(?m)^{variable}:.*$", f"{variable}: {value}", path.read_text())
    path.write_text(text if found else f"{text.rstrip()}\n{variable}: {value}\n")


def silent(sites=EVERYONE):
    """The ordered pairs that do not answer within two minutes."""
    pairs = list(itertools.permutations(sites, 2))

    def answers(pair):
        command = f"for i in $(seq 120); do ping -c 1 -W 1 {OVERLAY[pair[1]]} >/dev/null && exit; done; echo silent"
        return inside(pair[0], command).strip() != "silent"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [pair for pair, fine in zip(pairs, pool.map(answers, pairs), strict=True) if not fine]


def losses(change, sites=SITES):
    """Ping between sites 20 times a second while something changes; how many of those packets were lost."""
    pairs, began = list(itertools.permutations(sites, 2)), int(time.time())
    with steady.pings(pairs, overlay=OVERLAY) as found:
        time.sleep(2)
        change()
        time.sleep(3)
    assert all(sent > 100 for sent, _ in found.values()), found
    print({pair: sent for pair, (sent, _) in found.items()})
    for pair in found.lost():
        print(pair, "lost what was sent in the second", found.when[pair])
        for site in pair:
            # All that was done there: by Ansible's modules, by what we put there, and by the network manager.
            journal = f"journalctl --output short-unix --since @{began}"
            print(inside(site, f"{journal} | grep -E 'ansible-|sitelink|wg-quick|systemd-networkd' || true"))
    return found.lost()


def interrupted(lost, switched):
    """What a change of keys cost beyond what was under way when a site in `switched` took its new key into use: {pair: count}.

    WireGuard has one key of each peer: in that moment a packet that is on its way to or from that site has the other one.
    """
    return {pair: count for pair, count in lost.items() if count[1] > UNDER_WAY * len(set(pair) & set(switched))}


@pytest.fixture(scope="module", autouse=True)
def inventory():
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(INVENTORY, COPY)
    (COPY / ".vault-password").write_text("a password of these tests\n")


@pytest.fixture(scope="module")
def before():
    """The fourth site as it was, with a wg0 that somebody made by hand."""
    key = inside(NEW, "wg genkey").strip()
    text = FOREIGN.format(key=key).replace("\n", "\\n")
    inside(NEW, f"umask 077; printf '{text}' > /etc/wireguard/wg0.conf; systemctl enable --now wg-quick@wg0")
    return json.loads(lab("exec", NEW, "--", "python3", "-c", SNAPSHOT))


# ---- the same files, whatever a run reaches
@pytest.mark.parametrize(
    ("options", "reached"),
    [
        ([], SITES),
        (["--limit=site-b"], ["site-b"]),
        (["-e", "sitelink_serial=1"], SITES),
        ([], ["site-b", "site-c"]),
        ([], ["site-a", "site-b"]),
    ],
    ids=["all", "limit", "serial", "first unreachable", "last unreachable"],
)
def test_every_run_writes_the_same_files(options, reached):
    expected = files(SITES)
    forget_files(reached)
    missing = [] if options else [site for site in SITES if site not in reached]
    with contextlib.ExitStack() as stack:
        for site in missing:
            stack.enter_context(unreachable(site))
        done = playbook("site", *options, check=False)
    assert files(SITES) == expected
    assert done.returncode == (4 if missing else 0), done.stdout[-3000:]
    assert [site for site, counts in recap(done).items() if counts["unreachable"]] == missing


def test_two_runs_for_a_part_each_write_the_same_files():
    expected = files(SITES)
    forget_files(SITES)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda part: playbook("site", f"--limit={part}"), ["sites[0:1]", "sites[2:]"]))
    assert files(SITES) == expected


def test_an_inventory_that_holds_a_part_of_the_sites_is_refused():
    """As a job that is cut into slices hands it over: the others would be taken for gone."""
    hosts = COPY / "hosts.yml"
    whole, expected = hosts.read_text(), files(SITES)
    try:
        hosts.write_text(whole.replace("    site-c:\n", ""))
        done = playbook("site", check=False)
    finally:
        hosts.write_text(whole)
    assert done.returncode != 0 and "host_vars/site-c.yml" in done.stdout
    assert all(counts["changed"] == 0 for counts in recap(done).values())
    assert files(SITES) == expected


@pytest.mark.parametrize("options", [[], ["--limit=site-b"]])
def test_a_site_without_its_variables_stops_everything_before_any_change(options):
    hosts = COPY / "hosts.yml"
    whole, expected = hosts.read_text(), files(SITES)
    # Each file is to be written in this run, and none may be.
    changed = COPY / "host_vars" / "site-a.yml"
    kept = changed.read_text()
    try:
        hosts.write_text(f"{whole.rstrip()}\n    {NEW}:\n")
        write("site-a", "wireguard_mesh_lan_subnets", "[192.168.1.0/24, 192.168.77.0/24]")
        done = playbook("site", *options, check=False)
    finally:
        hosts.write_text(whole)
        changed.write_text(kept)
    assert done.returncode != 0 and f"{NEW}: wireguard_mesh_address is missing" in done.stdout
    assert all(counts["changed"] == 0 for counts in recap(done).values())
    assert files(SITES) == expected


# ---- changes, while the others go on talking
def test_adding_a_site_costs_the_others_no_packet(before):
    hosts = COPY / "hosts.yml"
    hosts.write_text(f"{hosts.read_text().rstrip()}\n    {NEW}:\n")
    (COPY / "host_vars" / f"{NEW}.yml").write_text(
        "---\nansible_host: 192.168.4.2\n"
        "wireguard_mesh_address: 192.168.11.4  # of the new one\n"
        "wireguard_mesh_lan_subnets: [192.168.4.0/24]\n"
        "ddns_hostname: site-d.lab.test\n"
    )
    assert losses(lambda: playbook("site")) == {}
    assert silent() == []
    kept = inside(NEW, "cat /etc/wireguard/wg0.conf.before-sitelink")
    assert "made by hand" in kept and "192.168.99.1" not in inside(NEW, "ip address show dev wg0")


def test_a_finished_mesh_needs_no_change_and_few_tasks():
    wait_for_the_names(EVERYONE)
    counts = recap(playbook("site", "-vv"))
    assert {host: count["changed"] for host, count in counts.items()} == dict.fromkeys([*EVERYONE, "localhost"], 0)


def test_another_address_costs_the_others_no_packet():
    OVERLAY[NEW] = "192.168.11.44"
    write(NEW, "wireguard_mesh_address", OVERLAY[NEW])
    assert losses(lambda: playbook("site")) == {}
    assert silent() == []
    assert "192.168.11.4/" not in inside(NEW, "ip -o address show dev wg0")


def test_another_lan_costs_nobody_a_packet():
    write(NEW, "wireguard_mesh_lan_subnets", "[192.168.4.0/24, 192.168.44.0/24]")
    assert losses(lambda: playbook("site"), EVERYONE) == {}
    for site in SITES:
        assert "192.168.44.0/24 dev wg0" in inside(site, "ip route show table main")


# ---- keys
def public_keys(sites=EVERYONE):
    return {site: inside(site, "wg show wg0 public-key").strip() for site in sites}


def test_rotation_costs_no_two_sites_more_than_what_is_under_way():
    old = public_keys()
    assert interrupted(losses(lambda: playbook("rotate_keys", "-e", "sites=all"), EVERYONE), EVERYONE) == {}
    new = public_keys()
    assert [site for site in EVERYONE if old[site] == new[site]] == []


def test_rotation_that_stops_half_way_leaves_every_pair_talking():
    old = public_keys()

    def rotate():
        with unreachable(NEW):
            done = playbook("rotate_keys", "-e", "sites=site-a", check=False)
        assert done.returncode != 0
        assert "the old key is still in use; every pair of sites still talks" in done.stdout

    assert losses(rotate) == {}
    assert silent() == []
    assert public_keys() == old
    done = []
    assert interrupted(losses(lambda: done.append(playbook("rotate_keys")), EVERYONE), ["site-a"]) == {}
    new = public_keys()
    assert [site for site in EVERYONE if old[site] != new[site]] == ["site-a"]
    assert silent() == []


def test_a_key_that_is_made_on_the_site_stays_there():
    old = public_keys()
    done = []
    lost = losses(lambda: done.append(playbook("keys", "-e", "sites=site-b", "-vvv", "--diff")), EVERYONE)
    assert interrupted(lost, ["site-b"]) == {}
    new = public_keys()
    assert [site for site in EVERYONE if old[site] != new[site]] == ["site-b"]
    assert f"wireguard_mesh_public_key: {new['site-b']}\n" in (COPY / "host_vars" / "site-b.yml").read_text()
    private = inside("site-b", "cat /etc/wireguard/wg0.key.*").split()
    assert len(private) == 1 and inside("site-b", "stat -c %a /etc/wireguard/wg0.key.*").strip() == "600"
    output = done[0].stdout + done[0].stderr
    assert private[0] not in output
    assert not [path for path in COPY.rglob("*") if path.is_file() and private[0] in path.read_text()]


def test_a_key_in_the_vault_is_of_no_use_to_a_reader():
    old = public_keys()
    done = []
    options = ["-e", "sites=site-c", "-e", "where=vault", "-vvv", "--diff"]
    assert interrupted(losses(lambda: done.append(playbook("keys", *options)), EVERYONE), ["site-c"]) == {}
    new = public_keys()
    assert [site for site in EVERYONE if old[site] != new[site]] == ["site-c"]
    private = inside("site-c", "wg show wg0 private-key").strip()
    text = (COPY / "host_vars" / "site-c.yml").read_text()
    assert "wireguard_mesh_private_key: !vault |\n" in text and private not in text
    assert private not in done[0].stdout + done[0].stderr


def test_both_kinds_of_keys_are_what_the_next_run_finds():
    password = f"--vault-password-file={COPY / '.vault-password'}"
    wait_for_the_names(EVERYONE)
    counts = recap(playbook("site", password))
    assert {host: count["changed"] for host, count in counts.items()} == dict.fromkeys([*EVERYONE, "localhost"], 0)
    # A second key for each replaces the first.
    old = public_keys()
    playbook("keys", "-e", "sites=site-b", password)
    playbook("keys", "-e", "sites=site-c", "-e", "where=vault", password)
    new = public_keys()
    assert [site for site in EVERYONE if old[site] != new[site]] == ["site-b", "site-c"]
    assert (COPY / "host_vars" / "site-c.yml").read_text().count("wireguard_mesh_private_key") == 1
    assert silent() == []


def test_another_name_of_the_interface_takes_the_sites_own_key_along_and_leaves_nothing_of_the_old():
    password = f"--vault-password-file={COPY / '.vault-password'}"
    places = "/etc/wireguard /etc/sitelink /etc/sysctl.d /etc/systemd/system /run/sitelink /var/lib/sitelink"
    [old] = public_keys(["site-b"]).values()
    for now, before in (("wg7", "wg0"), ("wg0", "wg7")):
        write("site-b", "wireguard_mesh_interface", now)
        lost = losses(lambda: playbook("site", password), EVERYONE)
        assert {pair: count for pair, count in lost.items() if "site-b" not in pair} == {}
        assert inside("site-b", f"wg show {now} public-key").strip() == old
        # But for what was running when forget_files() had left no file that tells of it.
        left = f"find {places} -name '*{before}*' ! -name '*.running.before-sitelink'"
        assert inside("site-b", f"{left}; wg show interfaces").split() == [now]
        assert silent() == []
        assert recap(playbook("site", password, "--limit=site-b"))["site-b"]["changed"] == 0


# ---- the way out
def test_a_site_that_cannot_be_reached_is_forgotten_by_the_others():
    password = f"--vault-password-file={COPY / '.vault-password'}"

    def remove():
        with unreachable(NEW):
            done = playbook("remove", "-e", f"sites={NEW}", password)
        assert f"{NEW} cannot be reached, so nothing on it was changed" in done.stdout

    assert losses(remove) == {}
    for site in SITES:
        assert len(inside(site, "wg show wg0 peers").split()) == 2
        assert "192.168.4" not in inside(site, "ip route show table main; cat /etc/wireguard/wg0.conf")


def test_a_removed_site_is_as_it_was_before(before):
    password = f"--vault-password-file={COPY / '.vault-password'}"
    on(NEW, "true")
    done = []
    assert losses(lambda: done.append(playbook("remove", "-e", f"sites={NEW}", password))) == {}
    assert "nothing closes it to the carrier" in done[0].stdout
    after = json.loads(lab("exec", NEW, "--", "python3", "-c", SNAPSHOT))
    # Neither half of a snapshot that found nothing would prove anything.
    assert [
        what
        for what in ("files", "unit files", "units", "routes", "rules", "addresses", "sysctls", "users")
        if not before[what]
    ] == []
    print({what: len(lines) for what, lines in before.items()})
    for what, lines in before.items():
        gone, new = sorted(set(lines) - set(after[what])), sorted(set(after[what]) - set(lines))
        assert (gone, new) == ([], []), what
    assert lab("exec", NEW, "--", "systemctl", "is-active", "wg-quick@wg0").strip() == "active"
    again = playbook("remove", "-e", f"sites={NEW}", password)
    assert f"{NEW}: nothing of the mesh is there any more." in again.stdout and recap(again)[NEW]["changed"] == 0
