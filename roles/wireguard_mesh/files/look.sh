#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh INTERFACE HOW: prints what this site has of WireGuard, one word a line. HOW is try, or look in check mode, which changes nothing.
#   kernel, user-space, tools  what runs a tunnel
#   foreign                    there is a configuration of this interface that is not ours: it does not name our daemon
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin
# The kernel is tried rather than guessed from a version: a module may be there and not load, and a container has its host's. An
# interface that an interrupted look left behind is no lack of WireGuard.
if [ "$2" = look ]; then
  { [ -e /sys/module/wireguard ] || modprobe --dry-run --quiet wireguard; } 2>/dev/null && echo kernel
else
  ip link delete dev sitelink-try type wireguard 2>/dev/null
  { ip link add dev sitelink-try type wireguard && ip link delete dev sitelink-try; } 2>/dev/null && echo kernel
fi
command -v wireguard-go >/dev/null && echo user-space
command -v wg >/dev/null && command -v wg-quick >/dev/null && echo tools
conf=/etc/wireguard/$1.conf
if [ -e "$conf" ] && ! [ -e "$conf.before-sitelink" ]; then
  grep -q 'sitelink-mesh@' "$conf" || echo foreign
fi
exit 0
