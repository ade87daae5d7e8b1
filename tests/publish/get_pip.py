# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the script that ansible-test downloads to put pip into its environments: the one of this Python, brought to
the version in this file's name."""

import os
import re
import subprocess
import sys

version = re.search(r"get_pip_([0-9_]+)\.py$", __file__).group(1).replace("_", ".")
# ansible-test has sitecustomize read GET_PIP in every Python that starts.
environment = {name: value for name, value in os.environ.items() if name != "GET_PIP"}
for arguments in (["ensurepip"], ["pip", "install", "--quiet", "--disable-pip-version-check", f"pip=={version}"]):
    subprocess.check_call([sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL)
