#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run by mmdebstrap with the root directory of the image as its argument: the network-scripts of CentOS 7, which Debian has no
# package of. They are expected in .cache/network-scripts:
#   initscripts/      the branch rhel7-branch of github.com/fedora-sysv/initscripts
#   dhclient-script   the one of CentOS 7's source package dhcp
set -eu
root=$1
from=$(cd "$(dirname "$0")/../.." && pwd)/.cache/network-scripts
if [ ! -d "$from/initscripts" ] || [ ! -f "$from/dhclient-script" ]; then
  echo "$from does not hold the scripts of CentOS 7; $0 says which" >&2
  exit 1
fi
mkdir -p "$root/etc/sysconfig" "$root/etc/rc.d/init.d" "$root/var/lib/dhclient" "$root/var/lock/subsys" "$root/usr/libexec/real"
cp -R "$from/initscripts/sysconfig/network-scripts" "$root/etc/sysconfig/"
cp "$from/initscripts/rc.d/init.d/functions" "$from/initscripts/rc.d/init.d/network" "$root/etc/rc.d/init.d/"
cp "$from/initscripts/rc.d/init.d/functions" "$root/etc/init.d/"
chmod +x "$root"/etc/sysconfig/network-scripts/if* "$root/etc/rc.d/init.d/network"
for name in ifup ifdown; do ln -s "/etc/sysconfig/network-scripts/$name" "$root/usr/sbin/$name"; done
install -m 0755 "$from/dhclient-script" "$root/usr/sbin/dhclient-script"
echo NETWORKING=yes > "$root/etc/sysconfig/network"
ln -s ipcalc-ng "$root/usr/bin/ipcalc"
ln -s ../bin/arping "$root/usr/sbin/arping"
ln -sf bash "$root/usr/bin/sh"
echo 'd /run/netreport' > "$root/etc/tmpfiles.d/netreport.conf"
# Red Hat's dhclient knows option 121 by the name that its script looks for; Debian's has to be told.
mv "$root/usr/sbin/dhclient" "$root/usr/libexec/real/dhclient"
cat > "$root/usr/sbin/dhclient" <<'END'
#!/bin/bash
words=()
while [ $# -gt 0 ]; do
  if [ "$1" = -cf ]; then
    { echo 'option classless-static-routes code 121 = array of unsigned integer 8;'; cat "$2"; } > "/run/${2##*/}"
    words+=(-cf "/run/${2##*/}")
    shift
  else
    words+=("$1")
  fi
  shift
done
exec /usr/libexec/real/dhclient "${words[@]}"
END
chmod +x "$root/usr/sbin/dhclient"
cat > "$root/etc/systemd/system/network.service" <<'END'
[Unit]
Description=network-scripts
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/etc/rc.d/init.d/network start
ExecStop=/etc/rc.d/init.d/network stop
END
