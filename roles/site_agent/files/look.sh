#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh PYTHON...: prints what this site has of what the program needs, and what is configured, one "key=value" a line.
#   manager=NAME            what starts services: systemd, or another first process
#   systemd=VERSION         of systemd, where there is one
#   python=MAJOR.MINOR      of the first PYTHON that runs, the one that Ansible would take; 0 where none does
#   executable=PATH         that one's own path
#   lasting=PATH            a Python that outlives upgrades of the system
#   configured=NAME         a file of /etc/sitelink
if [ -d /run/systemd/system ]; then echo manager=systemd; else echo "manager=$(cat /proc/1/comm 2>/dev/null)"; fi
systemctl --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9][0-9]*\).*/systemd=\1/p'
python=python=0
for each in "$@"; do
  found=$("$each" -c 'import sys; print("python=%d.%d\nexecutable=%s" % (sys.version_info[:2] + (sys.executable,)))' 2>/dev/null) &&
    { python=$found; break; }
done
echo "$python"
# Not simply the one that Ansible found: /usr/bin/python3.11 goes away when the system is upgraded, a virtual environment with its
# owner, and another controller would find another one. These are names of the system's own Python.
for each in /usr/bin/python3 /usr/libexec/platform-python; do
  "$each" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null && { echo "lasting=$each"; break; }
done
for each in /etc/sitelink/*; do
  [ ! -f "$each" ] || echo "configured=${each##*/}"
done
