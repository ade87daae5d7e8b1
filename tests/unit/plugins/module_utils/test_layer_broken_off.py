# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that breaks off anywhere, as by a power cut, is finished by the next one, and no file is ever half there."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_layer import ARP, CONFIG, FORWARD, KEYS, UNIT, UNIT_FILE, layer
from world import Breaks, Killed, World, content, file, secret, values_of

STEPS = 60  # more than any of these runs has


def site(directory, state):
    """A site in one of its states; none of what is wanted may depend on which."""
    directory.mkdir()
    world = World(directory)
    world.reads[UNIT] = [CONFIG, UNIT_FILE]
    world.put(FORWARD, "0\n")
    world.put(ARP, "0\n")
    if state == "by hand":
        world.put(KEYS, "by hand\n", 0o640)
    if state in ("finished", "older"):
        world.play(**layer("one\n" if state == "finished" else "older\n"))
    return world


def finished_run(directory, state, options):
    world = site(directory, state)
    world.play(**options)
    return world.look()


@pytest.mark.parametrize("after", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("goal", ["present", "absent"])
@pytest.mark.parametrize("state", ["fresh", "by hand", "older", "finished"])
def test_the_next_run_finishes_it(tmp_path, state, goal, after):
    options = layer(state=goal, remains=["/etc/sitelink/gateway-eth9.json"])
    wanted = finished_run(tmp_path / "whole", state, options)
    for step in range(1, STEPS):
        world = site(tmp_path / str(step), state)
        try:
            world.play(breaks=Breaks(step, after), **options)
        except Killed:
            pass
        else:
            break
        finished, before = world.judge(options)[0] == [], world.look()
        world.play(**options)
        assert world.look() == wanted, "broken off at step %d" % step
        assert not finished or before == wanted, "what is judged as stated has nothing left to do: %d" % step
        assert world.judge(options) == ([], []) and world.play(**options).done == []
    nothing = (state, goal) in (("finished", "present"), ("fresh", "absent"), ("by hand", "absent"))
    assert step == 1 if nothing else 10 < step < STEPS - 1, "every step was tried, and there were some"


@pytest.mark.parametrize("after", [False, True], ids=["before", "behind"])
def test_whoever_looks_meanwhile_sees_the_old_file_or_the_new_one(tmp_path, after):
    for step in range(1, STEPS):
        world = site(tmp_path / str(step), "by hand")
        try:
            world.play(breaks=Breaks(step, after), **layer())
        except Killed:
            pass
        else:
            break
        mode = os.stat(world.at(KEYS)).st_mode & 0o777
        assert (world.text(KEYS), mode) in (("by hand\n", 0o640), ("a-key one\n", 0o600)), step
        for path in (CONFIG, UNIT_FILE):
            assert not os.path.exists(world.at(path)) or world.text(path) in ("one\n", "[Service]\n"), step
    assert step > 10


def test_a_secret_lies_nowhere_open_meanwhile(tmp_path):
    for step in range(1, STEPS):
        world = site(tmp_path / str(step), "fresh")
        try:
            world.play(breaks=Breaks(step, after=True), files=[secret(KEYS, "a-key\n")])
        except Killed:
            pass
        else:
            break
        for directory, _, names in os.walk(world.root):
            for path in (os.path.join(directory, name) for name in names):
                assert b"a-key" not in content(path) or os.stat(path).st_mode & 0o077 == 0, path
    assert step > 3


TEXTS = st.sampled_from(["", "ours 1\n", "ours 2\n", "by hand\n"])
NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def wanted_layers(draw):
    names = draw(st.lists(NAMES, unique=True))
    files = [
        file(
            "/etc/sitelink/" + name,
            draw(TEXTS.filter(lambda text: text.startswith("ours"))),
            ours=draw(st.sampled_from([None, "^ours"])),
        )
        for name in names
    ]
    values = draw(st.sampled_from(["", "net.ipv4.ip_forward = 1\n", "net.ipv4.ip_forward = 2\n"]))
    files.append(file("/etc/sysctl.d/x.conf", values))
    return {
        "state": draw(st.sampled_from(["present", "present", "absent"])),
        "files": files,
        "sysctls": [values_of("/etc/sysctl.d/x.conf", before="/var/lib/sitelink/before.conf")],
        "units": draw(st.lists(st.sampled_from(["x.service", "y.service"]), unique=True)),
        "remains": draw(st.lists(st.sampled_from(["/etc/sitelink/a", "/etc/sitelink/*"]))),
    }  # fmt: skip


@settings(max_examples=60)
@given(
    there=st.dictionaries(NAMES, TEXTS),
    runs=st.lists(st.tuples(wanted_layers(), st.integers(1, 30), st.booleans()), max_size=3),
    last=wanted_layers(),
)
def test_any_history_of_runs_ends_in_the_state_of_the_last_one(tmp_path_factory, there, runs, last):
    """But for what was there before, which the first run kept."""
    world = World(tmp_path_factory.mktemp("site"))
    world.put(FORWARD, "0\n")
    for name, text in there.items():
        world.put("/etc/sitelink/" + name, text)
    for options, step, after in runs:
        try:
            world.play(breaks=Breaks(step, after), **options)
        except Killed:
            pass
    finished, before = world.judge(last)[0] == [], world.look()
    tried = world.play(check=True, **last)
    done = world.play(**last)
    assert (tried.done, tried.diff) == (done.done, done.diff)
    assert not finished or world.look() == before
    assert world.play(**last).done == []
    for each in last["files"] if last["state"] == "present" else ():
        assert world.text(each["dest"]) == each["content"]
    if last["state"] == "absent":
        assert world.text(FORWARD).strip() == "0", "as it was before"
    temporary = [name for name in os.listdir(world.at("/etc/sitelink")) if name.endswith("-new")]
    own = [os.path.basename(each["dest"]) for each in last["files"]]
    assert [name for name in temporary if name.split(".")[1] in own] == []
