# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every inventory, right or wrong."""

import ipaddress
import itertools
import json

from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.build import build
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import client
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.peers import peers as peers_of
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import ROWS
from hypothesis import given, settings
from hypothesis import strategies as st
from right_mesh import SECRET

names = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=1, max_size=8, unique=True)
# Few and near each other, so that many overlap.
networks = st.builds(
    lambda base, length: str(ipaddress.ip_network((base << 8, length), strict=False)),
    st.integers(0xC0A800, 0xC0A80F) | st.integers(0x0A0000, 0x0A0003),
    st.integers(20, 30),
)
addresses = st.builds(lambda last: f"192.168.11.{last}", st.integers(0, 12)) | st.sampled_from(
    ["192.168.12.1", "x", 7, None]
)
odd = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.text(max_size=5), max_size=3)


@st.composite
def inventories(draw, wrong=False):
    hostvars = {}
    for index, name in enumerate(draw(names), 1):
        hostvars[name] = {
            "ddns_hostname": f"{name}.example.com",
            "ddns_token": "token",
            "wireguard_mesh_address": draw(addresses) if wrong else f"192.168.11.{index}",
            "wireguard_mesh_lan_subnets": draw(st.lists(networks, max_size=3)),
            "wireguard_mesh_secret": SECRET,
            "wireguard_mesh_key_generation": draw(st.integers(1, 3)),
        }
        if wrong:
            variable = st.sampled_from(sorted(ROWS))
            hostvars[name].update(draw(st.dictionaries(variable, odd, max_size=2)))
    return hostvars


@settings(max_examples=150)
@given(inventories())
def test_symmetric_complete_and_without_overlap(hostvars):
    plan = build(hostvars, hostvars)
    lans = [ipaddress.ip_network(lan) for site in hostvars.values() for lan in site["wireguard_mesh_lan_subnets"]]
    overlay = ipaddress.ip_network("192.168.11.0/24")
    wrong = any(one.overlaps(other) for one, other in itertools.combinations([overlay, *lans], 2))
    assert bool(plan["problems"]) == wrong
    if wrong:
        return
    peers = {name: peers_of(plan, name, SECRET) for name in hostvars}
    pairs = [(name, peer["name"]) for name in hostvars for peer in peers[name]]
    assert sorted(pairs) == sorted(itertools.permutations(hostvars, 2))
    preshared = {(name, peer["name"]): peer["preshared_key"] for name in hostvars for peer in peers[name]}
    assert all(preshared[pair] == preshared[pair[::-1]] for pair in pairs)
    assert len(set(preshared.values())) == len(pairs) // 2
    for name in hostvars:
        allowed = [ipaddress.ip_network(prefix) for peer in peers[name] for prefix in peer["allowed_ips"]]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(allowed, 2))


@settings(max_examples=200)
@given(inventories(wrong=True), st.randoms(use_true_random=False))
def test_the_order_of_the_inventory_does_not_matter_and_nothing_raises(hostvars, random):
    shuffled = list(hostvars)
    random.shuffle(shuffled)
    plan = json.dumps(build(hostvars, hostvars))
    assert json.dumps(build(shuffled, {name: hostvars[name] for name in shuffled})) == plan
    assert SECRET not in plan


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(ROWS)), odd | networks | addresses, max_size=6))
def test_any_value_is_a_plan_or_a_problem(variables):
    hostvars = {"a": variables, "b": {}}
    json.dumps(build(hostvars, hostvars))


@st.composite
def chosen(draw):
    """A right mesh whose sites may be left out, may talk to some only, and may carry peers from outside."""
    hostvars = {}
    members = draw(names)
    for index, name in enumerate(members, 1):
        hostvars[name] = {
            "ddns_hostname": f"{name}.example.com",
            "ddns_token": "token",
            "wireguard_mesh_address": f"192.168.11.{index}",
            "wireguard_mesh_secret": SECRET,
            "wireguard_mesh_state": draw(st.sampled_from(["present", "present", "planned", "absent"])),
            "wireguard_mesh_peers_only": draw(st.lists(st.sampled_from(members), max_size=2, unique=True)),
            "wireguard_mesh_external_peers": [
                {"name": f"X-{number}", "address": f"192.168.11.{200 + number}", "sites": draw(st.lists(st.sampled_from(members)))}
                for number in range(2)
            ] if draw(st.booleans()) else [],
        }  # fmt: skip
    return hostvars


@settings(max_examples=150)
@given(chosen(), st.randoms(use_true_random=False))
def test_each_pair_is_whole_or_not_there(hostvars, random):
    plan = build(hostvars, hostvars)
    shuffled = list(hostvars)
    random.shuffle(shuffled)
    assert build(shuffled, {name: hostvars[name] for name in shuffled}) == plan
    if plan["problems"]:
        return
    present = [name for name in hostvars if hostvars[name]["wireguard_mesh_state"] == "present"]
    assert sorted(plan["sites"]) == sorted(present)
    peers = {name: peers_of(plan, name, SECRET) for name in present}
    pairs = {(name, peer["name"]): peer["preshared_key"] for name in present for peer in peers[name]}
    assert len(pairs) == sum(map(len, peers.values()))
    for name, other in itertools.permutations(present, 2):
        assert pairs.get((name, other)) == pairs.get((other, name))
        only = [hostvars[each]["wireguard_mesh_peers_only"] for each in (name, other)]
        assert ((name, other) in pairs) == ((not only[0] or other in only[0]) and (not only[1] or name in only[1]))
    for external in plan["external_peers"]:
        told = {peer["name"]: peer for peer in client(plan, external, SECRET)["peers"]}
        assert sorted(told) == sorted(name for name in present if (name, external) in pairs)
        assert all(told[name]["preshared_key"] == pairs[name, external] for name in told)
