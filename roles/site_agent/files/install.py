# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and remove program files: install.py DIRECTORY, with {"write": {name: text}, "remove": [name]} as JSON in base64 on
standard input. Each file is whole at any time. Python 3.6, run by the role itself, before the program is there."""

import base64
import json
import os
import sys

directory = sys.argv[1]
orders = json.loads(base64.b64decode(sys.stdin.read()).decode())
if directory == "/dev/null":  # check mode
    sys.exit()
for name, text in sorted(orders["write"].items()):
    path = os.path.join(directory, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)
for name in orders["remove"]:
    os.unlink(os.path.join(directory, name))
