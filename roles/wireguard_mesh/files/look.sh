#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh INTERFACE HOW: prints what this site has of WireGuard, one word a line. HOW is try, or look in check mode, which changes nothing.
#   kernel, user-space, tools  what runs a tunnel
#   foreign                    there is a configuration of this interface that is not ours: it does not name our daemon
#   link wireguard, link other there is an interface of this name
#   own PORT                   the UDP port that it has
#   stray                      no file tells what made it: by hand, with ip link add
#   made WHAT WHERE            what else makes it, now or at the next boot: netplan, networkd, NetworkManager, docker, podman
#   used PORT WHAT             a UDP port that another program or tunnel has
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
link=
if ip link show dev "$1" >/dev/null 2>&1; then
  if wg show "$1" >/dev/null 2>&1 || ip -d link show dev "$1" | grep -qw wireguard; then link=wireguard; else link=other; fi
  echo "link $link"
  wg show "$1" listen-port 2>/dev/null | sed -n 's/^\([1-9][0-9]*\)$/own \1/p'
  if [ "$link" = wireguard ] && ! [ -e "$conf" ] && ! [ -e "/etc/sitelink/mesh-$1.json" ]; then
    echo stray
    # In the host's network a container makes the interface anew whenever it starts.
    for each in docker podman; do
      command -v "$each" >/dev/null && timeout 5 "$each" ps --filter network=host 2>/dev/null |
        sed -En '2,$s/^[^ ]+ +([^ ]*(wireguard|wg-)[^ ]*) .* ([^ ]+) *$/made '"$each"' \3 (\1)/p'
    done
  fi
fi
for each in /etc/netplan/*.yaml; do
  [ -f "$each" ] && grep -v '^ *#' "$each" | tr '\n' ' ' | grep -q 'mode: *["'\'']*wireguard' &&
    grep -Eq "^([^#]*[[:space:]{,])?[\"']?$1[\"']?[[:space:]]*:" "$each" && echo "made netplan $each"
done
for each in /etc/systemd/network/*.netdev /usr/lib/systemd/network/*.netdev; do
  [ -f "$each" ] && grep -Eq "^Name[[:space:]]*=[[:space:]]*$1[[:space:]]*$" "$each" && echo "made networkd $each"
done
for each in /etc/NetworkManager/system-connections/*; do
  if [ -f "$each" ] && grep -q '^type=wireguard' "$each" && grep -qx "interface-name=$1" "$each"; then
    # One that is started by hand only, and is not, is in nobody's way.
    { [ -z "$link" ] && grep -q '^autoconnect=false' "$each"; } || echo "made NetworkManager $each"
  fi
done
# The kernel's own sockets have no program: these are tunnels, which wg knows. One of ours under another name goes in this run.
wg show all listen-port 2>/dev/null | while read -r each port; do
  [ "$each" = "$1" ] || [ "${port:-0}" = 0 ] || [ -e "/etc/sitelink/mesh-$each.json" ] || echo "used $port $each"
done
ss -Hlunp 2>/dev/null | sed -En 's/^[^ ]+ +[0-9]+ +[0-9]+ +[^ ]*:([0-9]+) .*users:\(\("([^"]+)".*$/used \1 \2/p' | sort -u
exit 0
