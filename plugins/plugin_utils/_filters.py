# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters, imported once in the process that Ansible forks from.

Ansible forks a process for each task of each host, looks through all filters of a collection for one of them, and compiles what it
has not imported yet; what a fork imports ends with it.
"""

from __future__ import annotations

import importlib
import pkgutil

PACKAGE = "ansible_collections.sitelink.tr069.plugins.filter"


def import_filters() -> None:
    """Import every module that has filters of this collection."""
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__, PACKAGE + "."):
        importlib.import_module(module.name)
