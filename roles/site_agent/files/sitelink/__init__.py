# SPDX-License-Identifier: GPL-3.0-or-later
"""The on-site program of the collection sitelink.tr069: what must go on working when no controller is near."""

__version__ = "0.1.0"

from . import loaded  # noqa: F401 - first: it notes which program this is, before the rest of it is read
