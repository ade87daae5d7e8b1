# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page in Chromium: everything is there as text, nothing comes from outside, no script fails."""

import pathlib
import re
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _page, _said

import chromium
import generated

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
SITES = generated.sites(100)


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request, tmp_path_factory):
    """(language, path) of a page with a hundred sites."""
    path = tmp_path_factory.mktemp("page") / f"hundred-{request.param}.html"
    path.write_text(_page.Page(SITES, request.param, "2026-01-01 12:00").render())
    return request.param, path


def test_an_error_of_a_script_would_be_seen(tmp_path):
    path = tmp_path / "broken.html"
    path.write_text("<p>x</p><script>nowhere()</script>")
    assert "nowhere is not defined" in chromium.dom(path)[1][0]


def test_every_site_and_every_fault_is_there_as_text(page):
    language, path = page
    document, errors = chromium.dom(path)
    text = chromium.seen(document)
    assert errors == []
    for name in SITES:
        assert text.count(name) >= 3, name  # picture, matrix, card
    words = _said.texts()[language]
    for finding in generated.FAULTS.values():
        what, step = words["findings"][finding.code]
        assert what.format(**finding.values) in text and step.format(**finding.values) in text
    assert text.count(words["page"]["unreachable"]) == 1 + len(generated.GONE)  # among the faults once, and on each card
    assert {"en": "site-001, site-002, site-003 and 92 more", "zh": "site-001, site-002, site-003 等另外 92 个站点"}[language] in text
    assert document.count('class="card ok"') == 100 - len(generated.GONE) - len(generated.FAULTS)  # a peer's fault is not theirs
    assert "<b>though</b>" not in document and "&lt;b&gt;though" in document  # what sites say is text, never markup
    assert "healed in 1.5 s" in text or "自愈用时 1.5 s" in text.replace("  ", " ")


def test_the_other_language_is_one_click_away(page):
    language, path = page
    document, _ = chromium.dom(path)
    button = re.search(r'<button id="lang"[^>]*>(.*?)</button>', document)
    assert button.group(1) == {"en": "中文", "zh": "English"}[language] and "hidden" not in button.group(0)
    clicked = path.with_name("clicked.html")
    clicked.write_text(path.read_text().replace("</body>", "<script>document.getElementById('lang').click()</script></body>"))
    document, errors = chromium.dom(clicked)
    assert errors == [] and re.search(r"<html lang=\"(\w+)\"", document).group(1) == {"en": "zh", "zh": "en"}[language]


def test_nothing_comes_from_outside(page):
    text = page[1].read_text()
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href)=\"?([^\"> ]+)", text) == ["data:,"] and "url(" not in text and "@import" not in text


@pytest.mark.parametrize(("name", "options"), [
    ("desk-light", {}), ("desk-dark", {"dark": True}), ("phone", {"size": chromium.PHONE}),
])  # fmt: skip
def test_pictures_to_look_at(page, name, options):
    target = chromium.screenshot(page[1], f"hundred-{page[0]}-{name}", **options)
    assert target.stat().st_size > 50_000


def test_a_phone_needs_no_scrolling_sideways(page, tmp_path):
    """The body is as wide as the window; what is wider scrolls within itself."""
    path = tmp_path / "measured.html"
    script = "<script>document.title=document.documentElement.scrollWidth+'/'+innerWidth</script></body>"
    path.write_text(page[1].read_text().replace("</body>", script))
    document, _ = chromium.run(path, "--dump-dom", size=(500, 900))
    wide, window = re.search(r"<title>(\d+)/(\d+)</title>", document).groups()
    assert int(wide) <= int(window)
