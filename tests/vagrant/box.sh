#!/usr/bin/env bash
# Makes a Vagrant box (libvirt) of Debian 12 with systemd: what `debian/bookworm64` is, from this
# machine's own package mirrors and trusting whom this machine trusts.
#
#   box.sh FOLDER       writes FOLDER/labkit-bookworm.box; needs root and a free loop device
set -euo pipefail
mkdir -p "$1"
cd "$1"
loop=

cleanup() {
    ! mountpoint -q disk || umount -R disk
    [ -z "$loop" ] || losetup -d "$loop"
    rm -rf --one-file-system root disk disk.raw sources.list
}
trap cleanup EXIT

packages() {
    echo systemd systemd-sysv dbus udev kmod e2fsprogs procps less sudo openssh-server rsync
    echo linux-image-cloud-amd64 grub-pc ifupdown isc-dhcp-client iproute2 ca-certificates
}

make_root() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 ~ /^bookworm/ && $3 == "main" { print "deb", $0 }' | sort -u > sources.list
    mmdebstrap --quiet --variant=minbase --include="$(packages | xargs | tr ' ' ,)" \
        bookworm root - < sources.list
    cp /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/ca-certificates.crt
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > root/etc/pip.conf
}

# What Vagrant expects of a box: the user vagrant, its well-known key, sudo without a password.
configure() {
    local key
    key=$(find /usr/share -path '*vagrant*/keys/vagrant.pub' | head -n 1)
    chroot root useradd --create-home --shell /bin/bash vagrant
    echo "vagrant ALL=(ALL) NOPASSWD: ALL" > root/etc/sudoers.d/vagrant
    chmod 0440 root/etc/sudoers.d/vagrant
    install -d -m 0700 root/home/vagrant/.ssh
    install -m 0600 "$key" root/home/vagrant/.ssh/authorized_keys
    chroot root chown -R vagrant:vagrant /home/vagrant
    echo "UseDNS no" > root/etc/ssh/sshd_config.d/vagrant.conf
    echo labkit > root/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 labkit\n' > root/etc/hosts
    printf 'auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n' \
        > root/etc/network/interfaces
    echo "LABEL=root / ext4 errors=remount-ro,noatime 0 1" > root/etc/fstab
    printf '%s\n' GRUB_DEFAULT=0 GRUB_TIMEOUT=0 'GRUB_CMDLINE_LINUX="net.ifnames=0 console=ttyS0"' \
        > root/etc/default/grub
}

make_disk() {
    truncate -s 20G disk.raw
    parted -s disk.raw mklabel msdos mkpart primary ext4 1MiB 100% set 1 boot on
    loop=$(losetup --find --show --partscan disk.raw)
    [ -b "${loop}p1" ] || partx --add "$loop"
    mkfs.ext4 -q -L root -E lazy_itable_init=1,lazy_journal_init=1 -d root "${loop}p1"
    mkdir disk
    mount "${loop}p1" disk
    mount --rbind --make-rslave /dev disk/dev
    mount -t proc proc disk/proc
    mount -t sysfs sysfs disk/sys
    chroot disk grub-install --target=i386-pc --recheck "$loop"
    chroot disk update-grub
    sed -i -E 's#root=(/dev/loop[^ ]*|UUID=[^ ]*)#root=LABEL=root#' disk/boot/grub/grub.cfg
    umount -R disk
    losetup -d "$loop"
    loop=
    sync -f .
}

pack() {
    qemu-img convert -O qcow2 -c disk.raw box.img
    echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 20}' > metadata.json
    printf 'Vagrant.configure("2") do |config|\nend\n' > Vagrantfile
    tar -czf labkit-bookworm.box metadata.json Vagrantfile box.img
    rm metadata.json Vagrantfile box.img
}

make_root
configure
make_disk
pack
