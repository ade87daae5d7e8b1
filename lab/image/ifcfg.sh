#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Run by mmdebstrap with the root directory of the image as its argument: builds NetworkManager from Debian's source with the
# reader of ifcfg files, which is part of that source and switched off in Debian's package, and puts both in place of Debian's.
# shellcheck disable=SC2016 # the formats are of dpkg-query
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" DEBIAN_FRONTEND=noninteractive
before=$(chroot "$root" dpkg-query -W -f '${Package}\n')

cp -a "$root/etc/apt" "$root/apt"
find "$root"/etc/apt/sources.list* -type f \
  -exec sed -i 's/^Types: deb$/Types: deb deb-src/; s/^deb \(.*\)/deb \1\ndeb-src \1/' {} +
apt-get -qq update
apt-get -qq -o DPkg::Chroot-Directory="$root" install --yes --no-install-recommends build-essential meson ninja-build pkg-config \
  libglib2.0-dev libglib2.0-dev-bin libndp-dev libudev-dev uuid-dev libpsl-dev gettext libjansson-dev libcurl4-openssl-dev \
  libsystemd-dev libdbus-1-dev libmnl-dev perl libxml2-utils xsltproc docbook-xsl intltool libgnutls28-dev >/dev/null
mkdir "$root/build"
(cd "$root/build" && apt-get -qq source --download-only network-manager)
chroot "$root" sh -eu <<'END'
cd /build
dpkg-source --no-check --extract ./*.dsc source >/dev/null
cd source
meson setup b --prefix=/usr --libdir="lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)" --sysconfdir=/etc --localstatedir=/var \
  --optimization=0 -Dcrypto=gnutls -Difcfg_rh=true -Difupdown=false -Dsystemdsystemunitdir=no -Dsession_tracking=no -Dpolkit=false \
  -Dmodem_manager=false -Dppp=false -Dnmcli=false -Dnmtui=false -Dnm_cloud_setup=false -Dlibaudit=no -Dselinux=false -Dwifi=false \
  -Diwd=false -Dbluez5_dun=false -Dofono=false -Dovs=false -Dteamdctl=false -Dconcheck=false -Dlibpsl=false -Dintrospection=false \
  -Dvapi=false -Ddocs=false -Dtests=no -Dqt=false -Dfirewalld_zone=false -Dreadline=none -Dudev_dir=no >/dev/null
plugin=src/core/settings/plugins/ifcfg-rh/libnm-settings-plugin-ifcfg-rh.so
ninja -C b src/core/NetworkManager "$plugin" >/dev/null
strip b/src/core/NetworkManager "b/$plugin"
install b/src/core/NetworkManager /usr/sbin/NetworkManager
install -m 0644 "b/$plugin" "$(dirname "$(ls /usr/lib/*/NetworkManager/*/libnm-device-plugin-*.so | head -n 1)")"
END
rm -rf "$root/build" "$root/etc/apt"
mv "$root/apt" "$root/etc/apt"
after=$(chroot "$root" dpkg-query -W -f '${Package}\n')
printf '%s\n' "$before" > "$root/before"
# shellcheck disable=SC2046 # one word per package
chroot "$root" dpkg --purge $(printf '%s\n' "$after" | grep -Fvx -f "$root/before") >/dev/null
rm "$root/before"
mkdir -p "$root/etc/sysconfig/network-scripts"
printf '[main]\nplugins=ifcfg-rh,keyfile\nno-auto-default=*\n' > "$root/etc/NetworkManager/NetworkManager.conf"
