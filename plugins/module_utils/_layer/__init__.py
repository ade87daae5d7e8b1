# SPDX-License-Identifier: GPL-3.0-or-later
"""One layer of a site as wanted state, for the module site_layer. Runs on the site: Python 3.6 and its standard library."""
