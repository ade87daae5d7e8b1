#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# look.sh NIC PORT: prints what filters on this site, one "program WORD" a line. Changes nothing.
#   nft yes         nftables is there
#   firewalld ZONE  runs, and drops WireGuard's PORT in the zone of the NIC
#   ufw active      the same of ufw
PATH=$PATH:/usr/sbin:/sbin
command -v nft >/dev/null && echo 'nft yes'
if [ "$(firewall-cmd --state 2>/dev/null)" = running ]; then
  zone=$(firewall-cmd --get-zone-of-interface="$1" 2>/dev/null || firewall-cmd --get-default-zone)
  firewall-cmd --zone="$zone" --query-port="$2/udp" >/dev/null 2>&1 || echo "firewalld $zone"
fi
if ufw status 2>/dev/null | grep -q '^Status: active'; then
  ufw status | grep -Eq "^$2/udp( on $1)? +ALLOW" || echo 'ufw active'
fi
exit 0
