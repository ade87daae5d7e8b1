#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run by mmdebstrap with the root directory of the image as its argument.
set -eu
unit() { chroot "$1" systemctl --quiet "$2" $3; }
unit "$1" mask "getty.target console-getty.service systemd-logind.service systemd-modules-load.service
  systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
  e2scrub_reap.service fstrim.timer dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount"
unit "$1" disable knot.service
for other in nftables.service docker.service docker.socket containerd.service firewalld.service ufw.service nginx.service \
  redis-server.service avahi-daemon.service avahi-daemon.socket NetworkManager.service \
  NetworkManager-wait-online.service networking.service; do
  [ ! -e "$1/lib/systemd/system/$other" ] || unit "$1" disable "$other"
done
unit "$1" enable ssh.service
# /usr/lib/sysctl.d that names the whole machine's kernel, not the container's network
for file in 50-pid-max.conf 99-protect-links.conf; do ln -s /dev/null "$1/etc/sysctl.d/$file"; done
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf" "$1/etc/hostname" "$1/var/lib/dbus/machine-id"
rm -f "$1"/var/cache/apt/archives/*.deb "$1"/etc/netplan/*
: > "$1/etc/machine-id"  # one for all would give every site the same MAC and DHCP client-id
