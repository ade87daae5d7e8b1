# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a page in the real Chromium, without a screen."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / ".build" / "page"
PHONE, DESK = (390, 2400), (1280, 2400)


def run(path, *options, size=DESK):
    """Returns (stdout, what the console said of errors)."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-extensions",
             "--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}",
             f"--window-size={size[0]},{size[1]}", "--enable-logging=stderr", *options, f"file://{path}"],
            capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": profile},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def dom(path):
    """(the document after its scripts ran, errors)"""
    return run(path, "--dump-dom")


def seen(document):
    """The text of a document, without styles and scripts."""
    body = re.sub(r"<(style|script|title)\b.*?</\1>", "", document, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def screenshot(path, name, dark=False, size=DESK):
    OUTPUT.mkdir(parents=True, exist_ok=True)
    target = OUTPUT / f"{name}.png"
    target.unlink(missing_ok=True)
    # A page of the test's: the colours that the operator's desktop asks for.
    run(path, f"--screenshot={target}", *(["--force-dark-mode", "--enable-features=WebUIDarkMode"] if dark else []), size=size)
    return target
