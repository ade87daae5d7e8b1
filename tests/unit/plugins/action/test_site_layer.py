# SPDX-License-Identifier: GPL-3.0-or-later
"""site_layer as a play calls it: templates come out as by `template`, and no secret into what a run says."""

import base64
import getpass
import grp
import json
import os
import re
import subprocess
import sys

import pytest

SECRET = "ZmFtaWxpYXItc2VjcmV0"
TEMPLATES = {
    "json.j2": "{{ {'b': [1, 2], 'a': site} | to_nice_json(indent=2, sort_keys=true) }}\n",
    "list.j2": "[{{ site }}]\n\n",
    "unit.j2": "{{ ansible_managed | comment }}\n{% include 'part.j2' %}\n{% if true %}\na\\b {{ 'x\\\\y' }} 家\n{% endif %}\n",
    "part.j2": "# of {{ site }}",
    "lookup.j2": "{{ lookup('ansible.builtin.template', 'part.j2') }}\n",
    "secret.j2": "Key = {{ secret }}\n",
    "undefined.j2": "{{ nothing.of.it }}\n",
    "wrong.j2": "{{ (secret ~ '!') | int(base=secret) }} {{ {}[secret] }}\n",
}


class Controller:
    def __init__(self, directory):
        self.directory, self.site = directory, directory / "site"
        (directory / "templates").mkdir()
        self.site.mkdir()
        for name, text in TEMPLATES.items():
            (directory / "templates" / name).write_text(text)

    def file(self, name, **more):
        owner = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
        return {"dest": str(self.site / name), **owner, **more}

    def play(self, tasks, *argv, returncode=0):
        """What it said. tasks: of site_layer the options."""
        (self.directory / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        extra = {
            "site": "site-x",
            "secret": SECRET,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        done = subprocess.run(
            ["ansible-playbook", "-i", "site-x,", "-e", json.dumps(extra), *argv, self.directory / "play.yml"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        )  # fmt: skip
        assert done.returncode == returncode, done.stdout
        return done.stdout.replace(json.dumps(extra), "")

    def layer(self, *files, **options):
        return {"sitelink.tr069.site_layer": {"files": list(files), **options}}


@pytest.fixture
def controller(tmp_path):
    return Controller(tmp_path)


def test_templates_come_out_as_by_the_module_template(controller):
    names = ["json.j2", "list.j2", "unit.j2", "lookup.j2"]
    theirs = [
        {"ansible.builtin.template": {"src": name, "dest": str(controller.site / f"theirs-{name}"), "mode": "0644"}}
        for name in names
    ]
    ours = controller.layer(*[controller.file(f"ours-{name}", src=name) for name in names])
    controller.play([ours, *theirs])
    for name in names:
        assert (controller.site / f"ours-{name}").read_bytes() == (controller.site / f"theirs-{name}").read_bytes(), (
            name
        )
    assert (controller.site / "ours-json.j2").read_text() == '{\n  "a": "site-x",\n  "b": [\n    1,\n    2\n  ]\n}\n'
    assert "Ansible managed" in (controller.site / "ours-unit.j2").read_text()


def test_no_secret_is_said_whatever_happens_to_it(controller):
    keys = controller.file("keys", src="secret.j2", secret=True, mode="0600")
    given = controller.file("given", content=SECRET + "\n", secret=True, mode="0600")
    direct = controller.file("direct", secret_content=f"{SECRET} too\n", mode="0600")
    layer = controller.layer(keys, given, direct, controller.file("open", src="json.j2"))
    said = controller.play([layer], "-vvv", "--diff")
    assert SECRET in (controller.site / "keys").read_text() and "wrote" in said and '"a"' in said
    assert (controller.site / "direct").read_text() == f"{SECRET} too\n" and (
        controller.site / "given"
    ).read_text() == SECRET + "\n"
    (controller.site / "keys").write_text(f"old {SECRET}\n")
    refused = {**keys, "validate": ["sh", "-c", 'cat "$1"; exit 1', "sh", "%s"]}
    failing = [
        {**controller.layer(refused), "ignore_errors": True},
        {**controller.layer({**keys, "src": "wrong.j2"}), "ignore_errors": True},
        {**controller.layer({**keys, "dest": "/nowhere/x"}), "ignore_errors": True},
    ]
    said += controller.play([layer, *failing], "-vvv", "--diff", "--check")
    said += controller.play([layer, *failing, controller.layer(keys, given, direct, state="absent")], "-vvv", "--diff")
    assert said.count("removed ") >= 3 and said.count("as it may quote the secret") >= 2 and "sh refuses it" in said
    assert [line for line in said.splitlines() if SECRET in line] == []
    assert list(controller.site.iterdir()) == [controller.site / "open"]


def test_what_goes_is_not_rendered_and_check_mode_writes_nothing(controller):
    """The plan does not know a site that leaves."""
    gone = controller.file("gone", src="undefined.j2")
    (controller.site / "gone").write_text("old\n")
    controller.play([controller.layer(gone, state="absent")], "--check")
    assert (controller.site / "gone").exists()
    controller.play([controller.layer(gone, state="absent"), controller.layer(controller.file("new", src="json.j2"))])
    assert [path.name for path in controller.site.iterdir()] == ["new"]


def test_an_error_names_the_site_the_file_and_what_is_wrong(controller):
    file = controller.file("x", src="json.j2")
    wrong = {
        "undefined.j2": {**file, "src": "undefined.j2"},
        "missing.j2": {**file, "src": "missing.j2"},
        "write one of src, content and copy": {**file, "content": "text"},
        "and content as text": {**file, "src": None, "content": {"a": 1}},
        "the mode 644 is none": {**file, "mode": "644"},
        "the directory /nowhere is missing": {**file, "dest": "/nowhere/x"},
        "/nowhere.bin cannot be read on the controller. Take another.": {
            **file,
            "src": None,
            "copy": "/nowhere.bin",
            "advice": "Take another.",
        },
        "a secret is given by src or content": {**file, "src": None, "copy": __file__, "secret": True},
        f"{__file__} on the controller has the SHA-256": {
            **file,
            "src": None,
            "copy": __file__,
            "sha256": "1",
        },
    }
    said = controller.play([{**controller.layer(each), "ignore_errors": True} for each in wrong.values()])
    messages = [line for line in said.splitlines() if '"msg": "site-x: ' in line]
    assert len(messages) == len(wrong), said
    for (words, each), message in zip(wrong.items(), messages, strict=True):
        assert words in message and each["dest"] in message, message
    assert list(controller.site.iterdir()) == []


@pytest.mark.long
def test_a_file_of_the_controller_comes_as_it_is_and_only_where_it_is_not_there(controller):
    content = bytes(range(256)) * 1000
    (controller.directory / "files").mkdir()
    (controller.directory / "files" / "client.bin").write_bytes(content)
    layer = controller.layer(controller.file("client", copy="client.bin"), controller.file("text", src="json.j2"))
    said = controller.play([layer], "--check", "--diff")
    assert "SHA-256 " in said and list(controller.site.iterdir()) == []
    said = controller.play([layer], "-vvv")
    assert (controller.site / "client").read_bytes() == content and (controller.site / "text").exists()
    assert base64.b64encode(content).decode()[:60] not in said
    again = controller.play([layer], "-vvvv")
    assert "changed=0 " in again and sent(again) == 1 and sent(said) == 2
    (controller.site / "client").write_bytes(content + b"x")
    controller.play([layer])
    assert (controller.site / "client").read_bytes() == content
    controller.play([controller.layer(controller.file("client", copy="is-gone.bin"), state="absent")])
    assert [path.name for path in controller.site.iterdir()] == ["text"]


def roles(directory):
    """Two roles, each with its own part.j2, and a template that looks it up."""
    for name in ("one", "two"):
        (directory / "roles" / name / "templates").mkdir(parents=True)
        (directory / "roles" / name / "templates" / "part.j2").write_text(f"{name} of {{{{ site }}}}")
        (directory / "roles" / name / "templates" / "lookup.j2").write_text(
            "[{{ lookup('ansible.builtin.template', 'part.j2') }}] {% include 'part.j2' %}\n"
        )
    return {name: str(directory / "roles" / name) for name in ("one", "two")}


def judging(*layers, **more):
    says = {"ansible.builtin.debug": {"msg": "differing: {{ judged.differing | to_json }}"}}
    return [{"sitelink.tr069.site_layer_info": {"layers": list(layers)}, "register": "judged", **more}, says]


def differing(said):
    """Of each call."""
    return [json.loads(json.loads(f'"{text}"')) for text in re.findall(r'"msg": "differing: (.*)"', said)]


def test_layers_of_several_roles_are_compared_in_one_call_and_no_secret_is_said(controller):
    where = roles(controller.directory)
    for name in where:  # as the role itself has it
        text = f"[{name} of site-x] {name} of site-x\n"
        (controller.site / name).write_text(text)
    (controller.directory / "files").mkdir()
    (controller.directory / "files" / "client.bin").write_bytes(b"a client")
    (controller.site / "client").write_bytes(b"a client")
    keys = controller.file("keys", src="secret.j2", secret=True, mode="0600")
    controller.play([controller.layer(keys)])
    layers = [
        {"name": name, "role_path": path, "files": [controller.file(name, src="lookup.j2")]}
        for name, path in where.items()
    ]
    layers += [{"name": "keys", "files": [keys], "conditions": [["test", "-e", str(controller.site / "keys")]]}]
    layers += [{"name": "client", "files": [controller.file("client", copy="client.bin")]}]
    layers += [{"name": "gone", "state": "absent", "files": [controller.file("gone", src="undefined.j2")]}]
    said = controller.play(judging(*layers), "-vvv", "--diff")
    assert differing(said) == [[]] and sent(said) == 1 and "changed=0 " in said
    (controller.site / "keys").write_text(f"old {SECRET}\n")
    refused = {**keys, "validate": ["sh", "-c", 'cat "$1"; exit 1', "sh", "%s"]}
    tasks = judging(*layers) + judging({"name": "refused", "files": [refused]})
    tasks += judging({"name": "wrong", "files": [{**keys, "src": "wrong.j2"}]})
    before = {path: path.read_bytes() for path in controller.site.iterdir()}
    for mode in ((), ("--check",)):
        said += controller.play(tasks, "-vvv", "--diff", *mode)
        [first, second, third] = differing(said)[-3:]
        assert first == [f"keys: wrote {controller.site}/keys"]
        assert "sh refuses it" in second[0] and "as it may quote the secret" in third[0]
    assert [line for line in said.splitlines() if SECRET in line] == []
    assert {path: path.read_bytes() for path in controller.site.iterdir()} == before


def test_what_many_layers_use_is_worked_out_once_and_nothing_without_the_condition(controller):
    """Each use of a variable is a line in the file."""
    uses = controller.directory / "uses"
    counted = f"{{{{ lookup('ansible.builtin.pipe', 'echo x >> {uses}; echo {controller.site}') }}}}"
    layer = {"name": "one", "files": [{"dest": "{{ counted }}/x", "content": "{{ counted }}\n"}]}
    variables = {"counted": counted, "layers": [layer, {**layer, "name": "two"}], "yes": "{{ counted != '' }}"}
    variables.update(braces="{{ ['yes', 'a{' ~ '{#b'] }}", whole="{{ braces | length == 2 }}")
    (controller.site / "x").write_text(f"{controller.site}\n")

    def judge(**options):
        tasks = [{"sitelink.tr069.site_layer_info": {"variable": "layers", **options}, "register": "judged"}]
        tasks += [
            {"ansible.builtin.debug": {"msg": "differing: {{ judged.differing | default('skipped') | to_json }}"}}
        ]
        uses.write_text("")
        found = differing(controller.play([{"vars": variables, "block": tasks}]))
        return found, len(uses.read_text().splitlines())

    assert judge(once=["counted", "yes"], condition="yes") == ([[]], 1)
    assert judge(condition="yes") == ([[]], 5)
    assert judge(once=["nothing_of_it", "counted"]) == ([[]], 1)
    assert judge(once=["braces", "counted"], condition="whole")[0] == [[]], "text is no template"
    assert judge(once=["counted"], condition="inventory_hostname is match('site-y')") == (["skipped"], 1)
    (controller.site / "x").write_text("old\n")
    assert judge(once=["counted"])[0] == [[f"one: wrote {controller.site}/x"]]


def test_what_cannot_be_compared_differs_and_the_play_goes_on(controller):
    layer = {"name": "one", "files": [controller.file("x", src="json.j2")]}
    wrong = {
        "undefined.j2": [{**layer, "files": [controller.file("x", src="undefined.j2")]}],
        "missing.j2": [{**layer, "files": [controller.file("x", src="missing.j2")]}],
        "is-gone.bin cannot be read on the controller": [
            {**layer, "files": [controller.file("x", copy="is-gone.bin")]}
        ],
        "each with a list of files": [{**layer, "files": "x"}],
        "one: never. Supported parameters include": [{**layer, "never": 1}],
        "the module ended without an answer": [{**layer, "conditions": 7}],
        "write one of src, content and copy": [{**layer, "files": [controller.file("x")]}],
        "one: nothing-of-it: ": [{**layer, "conditions": [["nothing-of-it"]]}],
    }
    said = controller.play([task for layers in wrong.values() for task in judging(*layers)])
    for words, found in zip(wrong, differing(said), strict=True):
        assert len(found) == 1 and words in found[0], found
    assert "failed=0 " in said and "changed=0 " in said and list(controller.site.iterdir()) == []


def sent(said):
    """How often the module ran."""
    return said.count("Using module file ")


def test_what_is_kept_beside_is_said(controller):
    (controller.site / "x").write_text("by hand\n")
    said = controller.play([controller.layer(controller.file("x", src="json.j2", ours='"b"'))])
    assert "[WARNING]: " in said and f"keptas{controller.site}/x.before-sitelink" in "".join(
        said.split()
    )  # it is wrapped anywhere
    assert (controller.site / "x.before-sitelink").read_text() == "by hand\n"
