# SPDX-License-Identifier: GPL-3.0-or-later
"""A file has one subject, and a function fits on a screen: else nobody sees where a rule stands."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACES = ("plugins/**/*", "playbooks/**/*", *(f"roles/*/{part}/**/*" for part in ("tasks", "templates", "vars")))
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 400, 60


def files(root):
    found = [path for place in PLACES for path in root.glob(place) if path.is_file()]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def too_long(root):
    found = []
    for path in files(root):
        name, text = path.relative_to(root).as_posix(), path.read_text()
        if len(text.splitlines()) > LINES_OF_A_FILE:
            found.append(f"{name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    found.append(f"{name}: {node.name} has {lines} lines")
    return found


def test_no_file_and_no_function_is_too_long():
    assert too_long(ROOT) == []
    looked_at = {path.relative_to(ROOT).parts[0] for path in files(ROOT)}
    assert looked_at == {"playbooks", "plugins", "roles"} and len(files(ROOT)) > 100


def test_what_is_too_long_is_named(tmp_path):
    def write(name, lines, first="x = 1"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([first] + ["    x = 1"] * (lines - 1)) + "\n")

    write("plugins/plugin_utils/_a/b/c.py", 60, "def fits():")
    write("plugins/plugin_utils/_a/b/d.py", 61, "def grew():")
    write("playbooks/fits.yml", 400)
    write("playbooks/grew.yml", 401)
    for part in ("tasks", "templates", "vars", "files"):
        write(f"roles/a/{part}/main", 401)
    assert too_long(tmp_path) == [
        "playbooks/grew.yml: 401 lines",
        "plugins/plugin_utils/_a/b/d.py: grew has 61 lines",
        *(f"roles/a/{part}/main: 401 lines" for part in ("tasks", "templates", "vars")),
    ]
