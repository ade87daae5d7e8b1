#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run by mmdebstrap with the root directory of the image as its argument: fetches what the roles install, and all that it needs
# beyond the image, into .cache/debian; the internet of the lab serves that, and the image's apt knows no other source.
set -eu
root=$1
to=$(cd "$(dirname "$0")/../.." && pwd)/.cache/debian
rm -rf "$to"
mkdir -p "$to/partial"
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -o Dir::Cache::archives="$to" --download-only --yes --no-install-recommends \
  install nftables wireguard-tools wireguard-go >/dev/null
rm -rf "$to/partial" "$to/lock"
rm -f "$root"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] http://packages.lab.test/debian ./' > "$root/etc/apt/sources.list"
