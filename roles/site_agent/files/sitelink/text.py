# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences of `sitelink doctor` in the language of the operator."""

import os

from . import text_en, text_zh

LANGUAGES = {"en": text_en.TEXT, "zh": text_zh.TEXT}


def language(environ=os.environ):
    """The language of the locale, as setlocale(3) finds it; English unless it is Chinese."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    return "en"


def finding(name, item):
    """A finding as {"what": what is at fault, "do": the next step}."""
    what, step = LANGUAGES[name]["findings"][item.code]
    return {"what": what.format(**item.values), "do": step.format(**item.values)}
