# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ddns_remove_article` and `tr069_gateway_remove_article` take away of what the source article says."""

import pathlib
import re

import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
# As the article has them, and as they stand in root's own crontab.
LINES = {
    "ddns": [
        "* * * * * /usr/bin/python3 /usr/src/DDNS/run.py -c /usr/src/DDNS/config.json",
        "* * * * * root /usr/bin/python3 /usr/src/DDNS/run.py",
        "@reboot root /usr/bin/python3 '/usr/src/DDNS/run.py'",
    ],
    "tr069_gateway": [
        "* * * * * root /usr/bin/set-tr069-gateway eth1",
        "*/5 * * * * /usr/bin/set-tr069-gateway",
        '* * * * * root bash -c "/usr/bin/set-tr069-gateway"',
        "/usr/bin/set-tr069-gateway eth1",
    ],
}
FILES = {"ddns": ["/usr/src/DDNS", "/usr/bin/get-interface-ip"], "tr069_gateway": ["/usr/bin/set-tr069-gateway"]}
OTHERS = [
    "# * * * * * root /usr/bin/set-tr069-gateway eth1",
    "* * * * * root /usr/src/DDNS/run.pyc",
    "0 3 * * * root backup",
    "  # * * * * * root /usr/bin/set-tr069-gateway eth1",
    "\t# * * * * * root /usr/bin/python3 /usr/src/DDNS/run.py",
    "0 3 * * * root /usr/bin/set-tr069-gateway-report",
    "0 3 * * * root /usr/bin/wg show; ip route show table 305",
]


@pytest.mark.parametrize("role", LINES)
def test_everything_of_the_article_goes_and_nothing_else(role):
    cron, files = yaml.safe_load((ROLES / role / "tasks" / "remove_article.yml").read_text())
    line = re.compile(cron["vars"]["__site_agent_crontab_line"])
    assert [text for text in LINES[role] if not line.search(text)] == []
    other = next(lines for name, lines in LINES.items() if name != role)
    assert [text for text in OTHERS + other if line.search(text)] == []
    assert cron["ansible.builtin.include_role"]["tasks_from"] == "crontabs"
    assert files.get("loop", [files["ansible.builtin.file"]["path"]]) == FILES[role]


def test_all_crontabs_that_cron_reads_are_gone_through():
    find, remove = yaml.safe_load((ROLES / "site_agent" / "tasks" / "crontabs.yml").read_text())
    assert remove["loop"] == "{{{{ ['/etc/crontab'] + {}.stdout_lines }}}}".format(find["register"])
    assert find["ansible.builtin.command"] == "find /etc/cron.d /var/spool/cron -type f -not -name *.* -not -name *~"
    assert find["failed_when"] is False and find["check_mode"] is False
    assert remove["diff"] is False, "a line may hold a token"
