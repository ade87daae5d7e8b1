# SPDX-License-Identifier: GPL-3.0-or-later
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from skips import (  # noqa: F401
    pytest_collectreport,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # tests/publish runs without
    pass
else:
    # No test hangs on time.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Mark what runs on a site and so on each of its Pythons; the kernel, and a hundred thousand inputs, are the same on all."""
    for item in items:
        on_site = item.nodeid.startswith(("tests/unit/sitelink/", "tests/unit/plugins/module_utils/"))
        if on_site and not any(word in item.nodeid for word in ("kernel", "hundred_thousand", "test_ddns.py")):
            item.add_marker("site")
