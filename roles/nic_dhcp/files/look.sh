#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh NIC [PARENT]: prints what manages this site's network, one "key<TAB>value..." a line. Changes nothing.
#   nic NAME                  a NIC of the site
#   port NIC MASTER, vlan NIC one of ours is part of a bridge or bond, or is a VLAN already
#   default NIC, came NIC     what carries the default route, another one than ours where several do; and what Ansible came in by, there
#                             and back
#   present BACKEND           could configure the NIC; auto BACKEND: configures the site's other NIC now
#   elsewhere FILE HOW        says something of the NIC and is not ours; HOW is alone (of nothing else) or shared
#   also WHO NIC WHAT         is running, and would configure the NIC beside ours, or keeps it from the backend: networkd FILE,
#                             networkmanager STATE, unmanaged FILE, dhcpcd FILE, connman FILE, wicked FILE, unit NAME; a DHCP client for it
#                             alone, as client PROCESS, which ifupdown started: ifupdown PROCESS, or network-scripts: scripts PROCESS;
#                             and boot NAME: what starts network-scripts, and is not enabled
LC_ALL=C
export LC_ALL
root= # of tests
tab=$(printf '\t')
say() { printf '%s\t%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/sbin:/sbin

for directory in "$root"/sys/class/net/*; do
  [ ! -e "$directory/ifindex" ] || say nic "${directory##*/}"
done
for nic in "$@"; do
  [ ! -e "$root/sys/class/net/$nic/master" ] || say port "$nic$tab$(basename "$(readlink "$root/sys/class/net/$nic/master")")"
  ! grep -qs '^DEVTYPE=vlan$' "$root/sys/class/net/$nic/uevent" || say vlan "$nic"
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
connection=
while [ "$process" -gt 1 ] && [ -z "$connection" ]; do
  connection=$(tr '\0' '\n' < "/proc/$process/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
  process=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$process/status")
done
came=
if [ -n "$connection" ]; then
  client=${connection%% *}
  server=${connection#* * }
  server=${server%% *}
  # Of IPv6 within one network the NIC stands behind the address. Else it is the one that holds what was connected to; and the way back may
  # be by another one.
  for each in $(printf '%s\n' "$server" "$client" | sed -n 's/.*%//p') \
    $(ip -o address show to "${server%%\%*}" 2>/dev/null | awk '{ print $2 }') \
    $(case $client in
      *%*) ;;
      *) ip -o route get "$client" from "$server" 2>/dev/null || ip -o route get "$client" 2>/dev/null ;;
    esac | sed -n 's/.* dev \([^ ]*\).*/\1/p'); do
    case " $came " in *" $each "*) ;; *) came="$came $each"; say came "$each" ;; esac
  done
fi

# A function for awk: whether a pattern of names, as of a shell, is one of the NIC.
# shellcheck disable=SC2016
like='function like(glob) {
  gsub(/[.+$(){}|]/, "[&]", glob); gsub(/\*/, ".*", glob); gsub(/[?]/, ".", glob)
  return nic ~ ("^(" glob ")$")
}
'
# ---- what ifupdown reads, see interfaces(5)
# A file with lines that end in a backslash made whole. (mawk 1.3.3 of Ubuntu 18.04 knows no [[:space:]].)
joined() {
  awk '{ while ($0 !~ /^[ \t]*#/ && sub(/\\$/, "") && (getline more) > 0) $0 = $0 more; print }' "$1"
}
# One "file PATH" for each file that is read from this one on, and one "from PATTERN" for each pattern of names; names that
# source-directory passes over are in no pattern.
walk() {
  [ -f "$1" ] && [ "$2" -lt 4 ] || return 0
  printf 'file %s\n' "$1"
  joined "$1" | sed -n "s/^[ $tab]*\(source\(-dir\(ectory\)\{0,1\}\)\{0,1\}[ $tab]\)/\1/p" | while read -r kind patterns; do
    set -f
    for pattern in $patterns; do
      case $pattern in /*) pattern=$root$pattern ;; *) pattern=${1%/*}/$pattern ;; esac
      [ "$kind" = source ] || pattern=${pattern%/}'/*'
      printf 'from %s\n' "$pattern"
      set +f
      for file in $pattern; do
        case $kind:${file##*/} in source:* | *:*[!A-Za-z0-9_-]*) [ "$kind" = source ] || continue ;; esac
        walk "$file" $(($2 + 1))
      done
    done
  done
}
# Does this file of ifupdown say something of the NIC? alone, shared, or nothing.
stanzas() {
  joined "$1" | awk -v nic="$2" -v main="$3" "$like"'
    # One of its names, such as eth1:0; eth1=home and /eth*=home bring it up as something else.
    function mine(name) {
      if (index(name, "=")) {
        sub(/=.*/, "", name)
        return name == nic || (name ~ /^\// && like(substr(name, 2)))
      }
      sub(/:.*/, "", name)
      return name == nic
    }
    /^[ \t]*(#|$)/ { next }
    $1 ~ /^(source|source-dir|source-directory|template|rename)$/ { others = 1 }
    $1 == "iface" {
      if (mine($2)) hit = 1; else others = 1
      for (i = 3; i < NF; i++) if ($i == "inherits" && $(i + 1) == nic) hit = 1
    }
    $1 == "auto" || $1 ~ /^allow-/ { for (i = 2; i <= NF; i++) if (mine($i)) hit = 1; else others = 1 }
    $1 == "mapping" { for (i = 2; i <= NF; i++) { if ($i == nic || like($i)) hit = 1; if ($i != nic) others = 1 } }
    $1 ~ /^(bridge[-_]ports|bond[-_]slaves|slaves|ovs_ports|ovs_bonds)$/ {
      for (i = 2; i <= NF; i++) if ($i == nic || ($i == "all" && $1 ~ /^bridge/ && nic ~ /^(eth|en)/)) hit = others = 1
    }
    END { if (hit) print (others || main) ? "shared" : "alone" }'
}
interfaces=$(walk "$root/etc/network/interfaces" 0)
# Is the file of ours one that is read? The role makes it without the dots of the NIC.
reads_ours() {
  ours_is=$root/etc/network/interfaces.d/sitelink-$(printf '%s' "$1" | tr . -)
  printf '%s\n' "$interfaces" | sed -n 's/^from //p' | {
    while read -r pattern; do
      # shellcheck disable=SC2254
      case $ours_is in $pattern) return 0 ;; esac
    done
    return 1
  }
}

# ---- what is there
runs() { systemctl --quiet is-active "$1" 2>/dev/null; }
networkd=
runs systemd-networkd && networkd=yes
manager=
[ "$(nmcli -t -f RUNNING general 2>/dev/null)" = running ] && manager=yes
scripts=$root/etc/sysconfig/network-scripts
present=
add() { present="$present $1"; say present "$1"; }
[ -n "$networkd" ] && has netplan && add netplan
[ -n "$networkd" ] && add networkd
[ -n "$manager" ] && add networkmanager
for plugin in "$root"/usr/lib*/NetworkManager/libnm-settings-plugin-ifcfg-rh.so \
  "$root"/usr/lib*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so \
  "$root"/usr/lib/*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so; do
  [ -n "$manager" ] && [ -e "$plugin" ] && { add networkmanager-ifcfg; break; }
done
# Debian's: Red Hat has another ifup.
if has ifquery && reads_ours "$1"; then
  has dhclient && add ifupdown-dhclient
  has dhcpcd && add ifupdown-dhcpcd
fi
[ -x "$scripts/ifup-eth" ] && has dhclient && add network-scripts
# What starts them at boot, which EL 8 installs without enabling it. Of a script of SysV systemd may say nothing.
boots() {
  systemctl --quiet is-enabled network.service 2>/dev/null && return
  for file in "$root"/etc/rc[35].d/S??network "$root"/etc/rc.d/rc[35].d/S??network; do
    [ ! -e "$file" ] || return 0
  done
  return 1
}

# ---- what configures the NIC that the site is reached by
networkd_says() { sed -n "s/^$2=//p" "$root/run/systemd/netif/links/$(cat "$root/sys/class/net/$1/ifindex" 2>/dev/null)" 2>/dev/null; }
auto() {
  for nic in $came $first; do
    # Its files stay behind when it is stopped.
    file=
    [ -z "$networkd" ] || file=$(networkd_says "$nic" NETWORK_FILE)
    case $file in
      */10-netplan-*) echo netplan; return ;;
      ?*) echo networkd; return ;;
    esac
    if [ -n "$manager" ] && nmcli -t -f DEVICE,STATE device | grep -Fqx "$nic:connected"; then
      case $(nmcli -t -f DEVICE,FILENAME connection show --active | sed -n "s|^$nic:|$root|p") in
        "$scripts"/*) echo networkmanager-ifcfg ;;
        *) echo networkmanager ;;
      esac
      return
    fi
    if has ifquery && ifquery --state "$nic" >/dev/null 2>&1; then
      if has dhclient; then echo ifupdown-dhclient; else echo ifupdown-dhcpcd; fi
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
found() { ours "$1" || say elsewhere "${1#"$root"}$tab$2"; }
# Is a profile of NetworkManager, read from stdin, for this NIC? One for any NIC, or for a pattern of names, comes behind ours.
profile() {
  awk -v nic="$1" -v mac="$2" '
    { sub(/^[ \t]+/, ""); sub(/[ \t\r]+$/, "") }
    /^\[/ { section = $0; next }
    /^[#;]/ || !index($0, "=") { next }
    { key = $0; sub(/[ \t]*=.*/, "", key); value = $0; sub(/^[^=]*=[ \t]*/, "", value) }
    key == "interface-name" { sub(/[;,]$/, "", value); named = 1; if (value == nic) found = 1 }
    key == "mac-address" && section ~ /^\[(802-3-)?ethernet\]$/ && mac != "" && tolower(value) == mac { by_mac = 1 }
    END { exit !(found || (by_mac && !named)) }'
}
# Is an ifcfg file, read from stdin, for this NIC: by its name, its MAC address, or as another of its addresses?
device() {
  awk -v nic="$1" -v mac="$2" '
    { sub(/^[ \t]+/, ""); sub(/[ \t\r]+(#.*)?$/, "") }
    !/^[A-Z_]+=/ { next }
    { key = $0; sub(/=.*/, "", key); value = $0; sub(/^[^=]*=/, "", value); gsub(/["\047]/, "", value); of[key] = value }
    END {
      name = of["DEVICE"]; sub(/:.*/, "", name)
      exit !(name == nic || (name == "" && mac != "" && tolower(of["HWADDR"]) == mac))
    }'
}
# How a file of netplan, read from stdin, says something of the NIC: alone (its one definition, by its ID, or by a name that it matches or
# sets), shared, or nothing. A definition that matches by pattern, MAC address or driver has no word here: those that run are asked what
# they made of it.
definition() {
  awk -v nic="$1" '
    BEGIN { name = nic; gsub(/[.]/, "[.]", name); word = "[\"\047]?" name "[\"\047]?[ \t]*" }
    { sub(/^[ \t]*#.*/, ""); sub(/[ \t]#.*/, ""); sub(/\r$/, "") }
    /^[ \t]*$/ { next }
    { match($0, /^[ \t]*/) }
    depth == -1 && RLENGTH > below { depth = RLENGTH }
    depth > 0 && RLENGTH == depth && /:/ { definitions++ }
    /^[ \t]*(ethernets|wifis|modems|bonds|bridges|vlans|tunnels|vrfs|dummy-devices|openvswitch)[ \t]*:/ {
      kinds++; below = RLENGTH; depth = -1
    }
    $0 ~ "^[ \t]*" word ":" { one++; next }
    $0 ~ ("^[ \t]*(set-)?name[ \t]*:[ \t]*" word "$") { one++; next }
    # in braces, or as a port in a list of either form
    $0 ~ ("[{,][ \t]*" word ":") || $0 ~ ("(^|[[,])[ \t]*" word "[],]") || $0 ~ ("^[ \t]*-[ \t]+" word "$") ||
      $0 ~ ("[{,][ \t]*[\"\047]?(set-)?name[\"\047]?[ \t]*:[ \t]*" word "[,}]") { others++ }
    END { if (one || others) print (kinds == 1 && definitions == 1 && !others) ? "alone" : "shared" }'
}
for nic in "$@"; do
  mac=$(cat "$root/sys/class/net/$nic/address" 2>/dev/null)
  # Of files with one name the first counts.
  seen=
  for file in "$root"/etc/netplan/*.yaml "$root"/run/netplan/*.yaml "$root"/lib/netplan/*.yaml; do
    case "$seen" in *" ${file##*/} "*) continue ;; esac
    [ -f "$file" ] || continue
    seen="$seen ${file##*/} "
    how=$(definition "$nic" < "$file")
    [ -z "$how" ] || found "$file" "$how"
  done
  for file in "$root"/etc/systemd/network/*.network; do
    names=$(sed -n "s/^[ $tab]*Name[ $tab]*=[ $tab]*//p" "$file" 2>/dev/null)
    printf '%s\n' "$names" | tr ' ' '\n' | grep -Fqx "$nic" || continue
    [ "$names" = "$nic" ] && how=alone || how=shared
    found "$file" "$how"
  done
  printf '%s\n' "$interfaces" | sed -n 's/^file //p' | awk '!seen[$0]++' | while read -r file; do
    main=
    [ "$file" != "$root/etc/network/interfaces" ] || main=yes
    how=$(stanzas "$file" "$nic" "$main")
    [ -z "$how" ] || found "$file" "$how"
  done
  for file in "$root"/etc/NetworkManager/system-connections/*; do
    case $file in *~ | *.bak | *.orig | *.rpmsave | *.rpmnew) continue ;; esac
    [ -f "$file" ] && profile "$nic" "$mac" < "$file" && found "$file" alone
  done
  for file in "$scripts"/ifcfg-*; do
    case $file in *.bak | *~ | *.rpmsave | *.rpmnew | *.orig) continue ;; esac
    [ -f "$file" ] || continue
    case ${file##*/} in
      # its other addresses are files of their own
      "ifcfg-$nic" | "ifcfg-$nic:"* | "ifcfg-$nic-range"*) found "$file" alone ;;
      *) ! device "$nic" "$mac" < "$file" || found "$file" alone ;;
    esac
  done
  # Those of a NIC without an ifcfg file are read for ours, of the same name.
  for file in "$scripts/route-$nic" "$scripts/rule-$nic"; do
    [ ! -s "$file" ] || case $present in *networkmanager-ifcfg* | *network-scripts*) found "$file" alone ;; esac
  done
done
# ---- who else would configure ours, asked of those that run
also() { say also "$1$tab$2$tab${3#"$root"}"; }
# Does unmanaged-devices= of NetworkManager's configuration, read from stdin, hold the NIC? Nothing overrules that key. What this does not
# know of does not count, and an exception of which it does not know does.
held() {
  awk -v nic="$1" -v mac="$2" "$like"'
    function is(one, unknown) {
      if (one == "*") return 1
      if (sub(/^interface-name:/, "", one)) { if (sub(/^=/, "", one)) return one == nic; sub(/^~/, "", one); return like(one) }
      if (one ~ /^type:/) return one == "type:ethernet"
      sub(/^mac:/, "", one)
      if (one ~ /^[0-9a-fA-F][0-9a-fA-F]:/) return tolower(one) == mac
      return unknown
    }
    /^[ \t]*\[/ { section = $0; gsub(/[ \t]/, "", section) }
    section == "[keyfile]" && /^[ \t]*unmanaged-devices[ \t]*[+]?=/ {
      more = $0 ~ /[+]=/
      sub(/^[^=]*=/, ""); gsub(/[ \t]/, "")
      all = more ? all ";" $0 : $0
    }
    END {
      count = split(all, specs, /[;,]/)
      for (i = 1; i <= count; i++) {
        if (specs[i] == "") continue
        if (sub(/^except:/, "", specs[i])) { if (is(specs[i], 1)) excepted = 1 }
        else if (is(specs[i], 0)) found = 1
      }
      exit !(found && !excepted)
    }'
}
# Is it, by what it was called with (stdin), a client for this NIC alone, and for IPv4? dhcpcd writes "dhcpcd: eth1 [ip4]" there.
asks_for() {
  tr '\0' '\n' | awk -v nic="$1" '
    NR == 1 && /^dhcpcd: / { split($0, part, " "); named = part[2] == nic && /\[ip4\]/; exit }
    NR == 1 { box = /(^|\/)busybox$/ }
    NR == 2 && box && $0 != "udhcpc" { exit }
    before ~ /^(-Z|--denyinterfaces)$/ { before = ""; next }  # which NICs it is to leave
    { before = $0 }
    NR > 1 && ($0 == nic || $0 == "-i" nic || $0 == "--interface=" nic) { named = 1 }
    $0 == "-4" { four = 1 }
    $0 == "-6" { six = 1 }
    END { exit !(named && (four || !six)) }'
}
# Did NetworkManager start this process?
managers() {
  above=$1
  while [ "${above:-0}" -gt 1 ]; do
    { read -r name < "$root/proc/$above/comm"; } 2>/dev/null || return 1
    [ "$name" != NetworkManager ] || return 0
    above=$(sed -n 's/^PPid:[^0-9]*//p' "$root/proc/$above/status" 2>/dev/null)
  done
  return 1
}
# Does a file of ifupdown that is not ours say something of the NIC?
in_a_stanza() {
  [ -n "$(printf '%s\n' "$interfaces" | sed -n 's/^file //p' | while read -r file; do
    ours "$file" || stanzas "$file" "$1" ''
  done)" ]
}
# A DHCP client of somebody else for the NIC alone.
clients() {
  for name in dhcpcd dhclient udhcpc; do
    unit=$name@$1.service
    if runs "$unit" || systemctl --quiet is-enabled "$unit" 2>/dev/null; then
      also unit "$1" "$unit"
      return
    fi
  done
  here=$(readlink "$root/proc/self/ns/net")
  for directory in "$root"/proc/[0-9]*; do
    { read -r name < "$directory/comm"; } 2>/dev/null || continue
    case $name in dhcpcd | dhcpcd5 | dhclient | dhclient3 | udhcpc | busybox) ;; *) continue ;; esac
    process=${directory##*/}
    # Containers have a NIC of the same name.
    [ "$(readlink "$directory/ns/net")" = "$here" ] || continue
    { asks_for "$1" < "$directory/cmdline"; } 2>/dev/null || continue
    line=$(tr -c '[:print:]' ' ' < "$directory/cmdline" | sed 's/  *\.* *$//; s/  */ /g' | cut -c 1-160)
    case $line in
      *"sitelink-$1."* | *nm-dhcp-* | */NetworkManager/*) continue ;;
      dhcpcd:* | *dhcpcd*)
        # Ours, unless it has the file of one that was not told its family, as ours is.
        if [ -e "$root/etc/sitelink/dhcpcd-$1.conf" ]; then
          theirs=
          for file in "$root/run/dhcpcd/$1.pid" "$root/run/dhcpcd-$1.pid"; do [ ! -e "$file" ] || theirs=yes; done
          for file in "$root/run/dhcpcd/$1-4.pid" "$root/run/dhcpcd-$1-4.pid"; do [ ! -e "$file" ] || theirs=; done
          [ -n "$theirs" ] || continue
        fi ;;
    esac
    ! managers "$process" || continue
    kind=client
    case $line in
      */dhclient-"$1".pid*)
        if [ -x "$scripts/ifup-eth" ]; then
          # The first lines of ours say whose it is.
          grep -qs '^NM_CONTROLLED=no' "$scripts/ifcfg-$1" && ours "$scripts/ifcfg-$1" && continue
          kind=scripts
        fi ;;
      *) ! in_a_stanza "$1" || kind=ifupdown ;;
    esac
    also "$kind" "$1" "$process $line"
  done
}
for nic in "$@"; do
  clients "$nic"
  mac=$(cat "$root/sys/class/net/$nic/address" 2>/dev/null)
  file=$(networkd_says "$nic" NETWORK_FILE)
  case $(networkd_says "$nic" ADMIN_STATE):$file in
    unmanaged:* | *: | *sitelink-*) ;;
    *) [ -z "$networkd" ] || also networkd "$nic" "$file" ;;
  esac
  if [ -n "$manager" ] && [ ! -e "$root/etc/NetworkManager/conf.d/60-sitelink-$nic.conf" ]; then
    state=$(nmcli -t -f DEVICE,STATE device | sed -n "s/^$(printf '%s' "$nic" | sed 's/[.]/[.]/g')://p")
    # What was configured before it came is shown as connected (externally), and left alone.
    case $state in '' | unmanaged* | *externally*) ;; *) also networkmanager "$nic" "$state" ;; esac
  fi
  if [ -n "$manager" ] && NetworkManager --print-config 2>/dev/null | held "$nic" "$mac"; then
    by=/etc/NetworkManager/NetworkManager.conf
    for file in "$root"/usr/lib/NetworkManager/conf.d/*.conf "$root"/run/NetworkManager/conf.d/*.conf \
      "$root"/etc/NetworkManager/NetworkManager.conf "$root"/etc/NetworkManager/conf.d/*.conf; do
      [ -f "$file" ] && held "$nic" "$mac" < "$file" && by=$file
    done
    also unmanaged "$nic" "$by"
  fi
  # dhcpcd as a service takes all NICs, as Raspberry Pi OS had it until 2023; for one or some NICs it has another unit.
  if runs dhcpcd || runs dhcpcd5; then
    sed 's/#.*//; s/,/ /g' "$root/etc/dhcpcd.conf" 2>/dev/null | awk -v nic="$nic" "$like"'
      $1 == "interface" || $1 == "ssid" || $1 == "profile" { exit }
      $1 == "denyinterfaces" { for (i = 2; i <= NF; i++) if (like($i)) denied = 1 }
      $1 == "allowinterfaces" { some = 1; for (i = 2; i <= NF; i++) if (like($i)) allowed = 1 }
      END { exit denied || (some && !allowed) }' &&
      also dhcpcd "$nic" /etc/dhcpcd.conf
  fi
  if runs connman; then
    sed -n 's/^[ \t]*NetworkInterfaceBlacklist[ \t]*=//p' "$root/etc/connman/main.conf" 2>/dev/null | tr -d ' \t' | tr , '\n' |
      awk -v nic="$nic" '$0 != "" && index(nic, $0) == 1 { left = 1 } END { exit left }' && also connman "$nic" /etc/connman/main.conf
  fi
  [ ! -e "$root/etc/sysconfig/network/ifcfg-$nic" ] || ! runs wickedd || also wicked "$nic" "/etc/sysconfig/network/ifcfg-$nic"
done
[ ! -x "$scripts/ifup-eth" ] || boots || also boot "$1" network.service
exit 0
