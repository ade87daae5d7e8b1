# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a TR-069 carrier, an internet and sites in containers, in one network namespace without an uplink."""
