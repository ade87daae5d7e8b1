#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh NIC [PARENT]: prints what manages this site's network, one "key<TAB>value..." a line. Changes nothing.
#   nic NAME                  a NIC of the site
#   port NIC MASTER, vlan NIC one of ours is part of a bridge or bond, or is a VLAN already
#   default NIC, came NIC     what carries the default route, another one than ours where several do; and what Ansible came in by
#   present BACKEND           could configure the NIC; auto BACKEND: configures the site's other NIC now
#   elsewhere FILE HOW        says something of the NIC and is not ours; HOW is alone (of nothing else) or shared
LC_ALL=C
export LC_ALL
tab=$(printf '\t')
say() { printf '%s\t%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/sbin:/sbin

for directory in /sys/class/net/*; do
  [ ! -e "$directory/ifindex" ] || say nic "${directory##*/}"
done
for nic in "$@"; do
  [ ! -e "/sys/class/net/$nic/master" ] || say port "$nic$tab$(basename "$(readlink "/sys/class/net/$nic/master")")"
  ! grep -qs '^DEVTYPE=vlan$' "/sys/class/net/$nic/uevent" || say vlan "$nic"
done

# The one that is used (192.0.2.0/24: RFC 5737). An installer that configured all NICs has given ours a second one, as good.
first=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
for nic in $(ip -4 -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'); do
  case " $* " in
    *" $first "*) case " $* " in *" $nic "*) ;; *) first=$nic ;; esac ;;
  esac
done
[ -z "$first" ] || say default "$first"
# sudo takes SSH_CONNECTION out of the environment, but not out of that of its parents.
process=$$
from=
while [ "$process" -gt 1 ] && [ -z "$from" ]; do
  from=$(tr '\0' '\n' < "/proc/$process/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p')
  process=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$process/status")
done
came=
if [ -n "$from" ]; then
  came=$(ip -o route get "$from" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p')
  say came "$came"
fi

# ---- what is there
networkd=
systemctl --quiet is-active systemd-networkd 2>/dev/null && networkd=yes
manager=
[ "$(nmcli -t -f RUNNING general 2>/dev/null)" = running ] && manager=yes
scripts=/etc/sysconfig/network-scripts
present=
add() { present="$present $1"; say present "$1"; }
[ -n "$networkd" ] && has netplan && add netplan
[ -n "$networkd" ] && add networkd
[ -n "$manager" ] && add networkmanager
for plugin in /usr/lib*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so \
  /usr/lib/*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so; do
  [ -n "$manager" ] && [ -e "$plugin" ] && { add networkmanager-ifcfg; break; }
done
# Debian's: Red Hat has another ifup. Without that line the file of ours would not be read.
if has ifquery && grep -Eq '^[[:space:]]*source(-directory)?[[:space:]]+(/etc/network/)?interfaces[.]d' /etc/network/interfaces; then
  has dhclient && add ifupdown-dhclient
  has dhcpcd && add ifupdown-dhcpcd
fi
[ -x "$scripts/ifup-eth" ] && has dhclient && add network-scripts

# ---- what configures the NIC that the site is reached by
auto() {
  for nic in $came $first; do
    file=$(sed -n 's/^NETWORK_FILE=//p' "/run/systemd/netif/links/$(cat "/sys/class/net/$nic/ifindex")" 2>/dev/null)
    case $file in
      */10-netplan-*) echo netplan; return ;;
      ?*) echo networkd; return ;;
    esac
    if [ -n "$manager" ] && nmcli -t -f DEVICE,STATE device | grep -Fqx "$nic:connected"; then
      case $(nmcli -t -f DEVICE,FILENAME connection show --active | sed -n "s|^$nic:||p") in
        "$scripts"/*) echo networkmanager-ifcfg ;;
        *) echo networkmanager ;;
      esac
      return
    fi
    if has ifquery && ifquery --state "$nic" >/dev/null 2>&1; then
      case $present in *ifupdown-dhclient*) echo ifupdown-dhclient ;; *) echo ifupdown-dhcpcd ;; esac
      return
    fi
    [ -x "$scripts/ifup-eth" ] && [ -e "$scripts/ifcfg-$nic" ] && { echo network-scripts; return; }
  done
  for each in $present; do echo "$each"; return; done
}
chosen=$(auto)
[ -z "$chosen" ] || say auto "$chosen"

# ---- what else configures ours
ours() { case $1 in *sitelink-*) return 0 ;; esac; head -n 3 "$1" | grep -q 'sitelink\.tr069'; }
found() { ours "$1" || say elsewhere "$1$tab$2"; }
for nic in "$@"; do
  word=$(printf '%s' "$nic" | sed 's/[.]/[.]/g')
  for file in /etc/netplan/*.yaml; do
    grep -Eqs "^[[:space:]]*[\"']?${word}[\"']?[[:space:]]*:" "$file" || continue
    # Alone: one kind of interfaces, and one key at the depth of this one.
    how=$(awk -v name="$word" '
      /^[[:space:]]*(#|$)/ { next }
      /^[[:space:]]*(ethernets|wifis|modems|bonds|bridges|vlans|tunnels|vrfs|dummy-devices|openvswitch)[[:space:]]*:/ { kinds++ }
      { match($0, /^[[:space:]]*/); depth[NR] = RLENGTH; key[NR] = ($0 ~ /^[[:space:]]*[^[:space:]].*:/)
        if ($0 ~ "^[[:space:]]*[\"\047]?" name "[\"\047]?[[:space:]]*:") at = RLENGTH }
      END { for (line in depth) if (key[line] && depth[line] == at) same++
            print (kinds == 1 && same == 1) ? "alone" : "shared" }' "$file")
    found "$file" "$how"
  done
  for file in /etc/systemd/network/*.network; do
    sed -n 's/^Name=//p' "$file" 2>/dev/null | tr ' ' '\n' | grep -Fqx "$nic" || continue
    [ "$(sed -n 's/^Name=//p' "$file")" = "$nic" ] && how=alone || how=shared
    found "$file" "$how"
  done
  for file in /etc/network/interfaces /etc/network/interfaces.d/*; do
    [ -f "$file" ] || continue
    grep -Eq "^[[:space:]]*(auto|allow-[a-z]+|iface|mapping)[[:space:]](.*[[:space:]])?$word([[:space:]]|\$)" "$file" || continue
    how=alone
    [ "$file" = /etc/network/interfaces ] && how=shared
    sed -En 's/^[[:space:]]*iface[[:space:]]+([^[:space:]]+).*/\1/p' "$file" | grep -Fvqx "$nic" && how=shared
    found "$file" "$how"
  done
  for file in /etc/NetworkManager/system-connections/*; do
    [ -f "$file" ] && grep -Fqx "interface-name=$nic" "$file" && found "$file" alone
  done
  for file in "$scripts"/ifcfg-*; do
    case $file in *.bak | *~ | *.rpmsave | *.rpmnew | *.orig) continue ;; esac
    [ -f "$file" ] || continue
    if [ "$file" = "$scripts/ifcfg-$nic" ] || grep -Eq "^DEVICE=[\"']?${word}[\"']?[[:space:]]*\$" "$file"; then
      found "$file" alone
    fi
  done
done
# The files that all NICs share there.
for file in /etc/dhcp/dhclient-enter-hooks /etc/dhcp/dhclient-exit-hooks; do
  [ -x "$scripts/ifup-eth" ] && [ -e "$file" ] && found "$file" shared
done
exit 0
