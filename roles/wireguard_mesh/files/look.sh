#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh INTERFACE HOW: prints what this site has of WireGuard, one word a line. HOW is try, or look in check mode, which changes nothing.
#   kernel, user-space, tools  what runs a tunnel
#   names                      a unit of ours looks after DNS
#   foreign                    there is a configuration of this interface that is not ours: it does not name our daemon
#   stray                      there is such an interface that its unit knows nothing of
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
[ -e /etc/systemd/system/sitelink-names@.path ] && echo names
conf=/etc/wireguard/$1.conf
if [ -e "$conf" ] && ! [ -e "$conf.before-sitelink" ]; then
  grep -q 'sitelink-mesh@' "$conf" || echo foreign
fi
if ip link show dev "$1" >/dev/null 2>&1; then
  systemctl --quiet is-active "wg-quick@$1.service" || echo stray
fi
exit 0
