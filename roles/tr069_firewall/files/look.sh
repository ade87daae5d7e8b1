#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh NIC PORT: prints what filters on this site, one "program WORD" a line. Changes nothing.
#   nft yes         nftables is there
#   firewalld ZONE  runs, and drops WireGuard's PORT in the zone of the NIC
#   ufw active      the same of ufw
PATH=$PATH:/usr/sbin:/sbin
command -v nft >/dev/null && echo 'nft yes'
# Whether one of the words, such as 22000-22010/udp or 22000 (of both protocols), is about PORT.
holds() {
  awk -v port="$1" '{
    for (word = 1; word <= NF; word++) {
      if (split($word, parts, "/") > 1 && parts[2] != "udp") continue
      for (item = split(parts[1], items, ","); item > 0; item--) {
        if (split(items[item], ends, "[-:]") < 2) ends[2] = ends[1]
        if (ends[1] ~ /^[0-9]+$/ && ends[1] + 0 <= port && port <= ends[2] + 0) found = 1
      }
    }
  }
  END { exit !found }'
}
if [ "$(firewall-cmd --state 2>/dev/null)" = running ]; then
  zone=$(firewall-cmd --get-zone-of-interface="$1" 2>/dev/null || firewall-cmd --get-default-zone)
  if [ "$(firewall-cmd --permanent --zone="$zone" --get-target 2>/dev/null)" != ACCEPT ] &&
    ! firewall-cmd --zone="$zone" --query-port="$2/udp" >/dev/null 2>&1 &&
    ! firewall-cmd --zone="$zone" --list-ports 2>/dev/null | holds "$2"; then
    echo "firewalld $zone"
  fi
fi
if ufw status 2>/dev/null | grep -q '^Status: active' && ! ufw status verbose | grep -q '^Default: allow (incoming)'; then
  # What stands in front of the action, of rules for this NIC or for all; "Anywhere" stands for all ports.
  ufw status | awk -v nic="$1" -v port="$2" '
    / (ALLOW|LIMIT) (OUT|FWD)/ || /\(v6\)/ { next }
    match($0, / +(ALLOW|LIMIT) /) {
      to = substr($0, 1, RSTART - 1); from = substr($0, RSTART + RLENGTH)
      if (match(to, / on [^ ]+/)) {
        if (substr(to, RSTART + 4, RLENGTH - 4) != nic) next
        to = substr(to, 1, RSTART - 1)
      } else if (to ~ /^Anywhere/ && from !~ /Anywhere|^ *(IN )? *1[01][.][0-9.]+\/[1-9](\/udp)? *$/) next  # or the whole carrier
      if (to == "Anywhere" || to == "Anywhere/udp") to = port
      sub(/.* /, "", to); print to
    }' | holds "$2" || echo 'ufw active'
fi
exit 0
