#!/usr/bin/env bash
# Makes the root folder of a Debian 13 machine with systemd, from this machine's own package mirrors
# and trusting whom this machine trusts: for the boxes of Vagrant and for the arm64 machine.
#
#   root.sh ARCHITECTURE FOLDER [PACKAGE...]     needs root; for another processor: by foreign.sh
set -euo pipefail
architecture=$1
root=$2
shift 2
SUITE=trixie

packages=(systemd systemd-sysv dbus udev kmod e2fsprogs procps less sudo openssh-server rsync)
packages+=(ifupdown isc-dhcp-client iproute2 ca-certificates "$@")

# mirrors: this machine's, for the suite wanted; nothing where it is no Debian
mirrors() {
    local codename
    grep -q '^ID=debian' /etc/os-release || return 0
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$3 == "main" { print "deb", $0 }' | sed -n "s/ $codename/ $SUITE/p" | sort -u
}

# Under emulation the longest takes what needs no foreign program: depmod is run here at the end,
# and who boots by an initramfs of Debian's makes it.
LATER=(/usr/sbin/depmod /usr/sbin/update-initramfs)
divert() { printf "chroot \"\$1\" dpkg-divert --quiet --local --rename --add $1 && ln -s /bin/true \"\$1$1\""; }
options=()
if [ "$(dpkg --print-architecture)" != "$architecture" ]; then
    options+=(--dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' --dpkgopt='path-exclude=/usr/share/man/*')
    for program in "${LATER[@]}"; do
        options+=(--essential-hook="$(divert "$program")")
    done
fi

sources=$(mktemp)
trap 'rm -f "$sources"' EXIT
mirrors > "$sources"
from=()
[ ! -s "$sources" ] || from=("$sources")
mmdebstrap --quiet --mode=root --variant=minbase --architectures="$architecture" \
    --include="$(echo "${packages[*]}" | tr ' ' ,)" "${options[@]}" "$SUITE" "$root" "${from[@]}"
if [ -n "${options[*]}" ]; then
    for program in "${LATER[@]}"; do
        rm "$root$program"
        chroot "$root" dpkg-divert --quiet --local --rename --remove "$program"
    done
    depmod -b "$root" "$(ls "$root/usr/lib/modules")"
fi

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$root/etc/pip.conf"
echo labkit > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 labkit\n' > "$root/etc/hosts"
printf 'auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n' \
    > "$root/etc/network/interfaces"
echo "LABEL=root / ext4 errors=remount-ro,noatime 0 1" > "$root/etc/fstab"
