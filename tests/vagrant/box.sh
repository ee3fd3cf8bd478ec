#!/usr/bin/env bash
# Makes a Vagrant box (libvirt) of Debian 13 with systemd: what `bento/debian-13` is, from this
# machine's own package mirrors.
#
#   box.sh FOLDER [ARCHITECTURE]    writes FOLDER/labkit-trixie.box, for amd64 (default) or arm64;
#                                   needs root and a free loop device
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
architecture=${2:-amd64}
mkdir -p "$1"
cd "$1"
loop=

cleanup() {
    ! mountpoint -q disk || umount -R disk
    [ -z "$loop" ] || losetup -d "$loop"
    rm -rf --one-file-system root disk disk.raw
}
trap cleanup EXIT

# By architecture: the boot loader's packages, how the disk is divided, how GRUB comes onto it.
declare -A LOADER=([amd64]="grub-pc" [arm64]="grub-efi-arm64-bin grub2-common dosfstools")
declare -A DIVISION=(
    [amd64]="mklabel msdos mkpart primary ext4 1MiB 100% set 1 boot on"
    [arm64]="mklabel gpt mkpart root ext4 65MiB 100% mkpart esp fat32 1MiB 65MiB set 2 esp on"
)
declare -A GRUB=(
    [amd64]="--target=i386-pc --recheck"
    [arm64]="--target=arm64-efi --efi-directory=/boot/efi --removable --no-nvram"
)

# What Vagrant expects of a box: the user vagrant, its well-known key, sudo without a password.
configure() {
    local key
    key=$(find /usr/share /opt -path '*vagrant*/keys/vagrant.pub' -print -quit)
    chroot root useradd --create-home --shell /bin/bash vagrant
    echo "vagrant ALL=(ALL) NOPASSWD: ALL" > root/etc/sudoers.d/vagrant
    chmod 0440 root/etc/sudoers.d/vagrant
    install -d -m 0700 root/home/vagrant/.ssh
    install -m 0600 "$key" root/home/vagrant/.ssh/authorized_keys
    chroot root chown -R vagrant:vagrant /home/vagrant
    # The well-known key is an RSA key with an old signature, which sshd refuses by default.
    printf '%s\n' "UseDNS no" "PubkeyAcceptedAlgorithms +ssh-rsa" > root/etc/ssh/sshd_config.d/vagrant.conf
    printf '%s\n' GRUB_DEFAULT=0 GRUB_TIMEOUT=0 'GRUB_CMDLINE_LINUX="net.ifnames=0 console=ttyS0"' \
        > root/etc/default/grub
}

make_disk() {
    truncate -s 20G disk.raw
    # shellcheck disable=SC2086
    parted -s disk.raw ${DIVISION[$architecture]}
    loop=$(losetup --find --show --partscan disk.raw)
    [ -b "${loop}p1" ] || partx --add "$loop"
    mkfs.ext4 -q -L root -E lazy_itable_init=1,lazy_journal_init=1 -d root "${loop}p1"
    mkdir disk
    mount "${loop}p1" disk
    if [ -b "${loop}p2" ]; then
        mkfs.vfat -n esp "${loop}p2" > /dev/null
        mkdir -p disk/boot/efi
        mount "${loop}p2" disk/boot/efi
    fi
    mount --rbind --make-rslave /dev disk/dev
    mount -t proc proc disk/proc
    mount -t sysfs sysfs disk/sys
    # shellcheck disable=SC2086
    chroot disk grub-install ${GRUB[$architecture]} "$loop"
    chroot disk update-grub
    sed -i -E 's#root=(/dev/loop[^ ]*|UUID=[^ ]*)#root=LABEL=root#' disk/boot/grub/grub.cfg
    umount -R disk
    losetup -d "$loop"
    loop=
    sync -f .
}

pack() {
    qemu-img convert -O qcow2 -c disk.raw box.img
    echo "{\"provider\": \"libvirt\", \"format\": \"qcow2\", \"virtual_size\": 20, \"architecture\": \"$architecture\"}" \
        > metadata.json
    printf 'Vagrant.configure("2") do |config|\nend\n' > Vagrantfile
    tar -czf labkit-trixie.box metadata.json Vagrantfile box.img
    rm metadata.json Vagrantfile box.img
}

if [ "${LABKIT_FOREIGN:-}" != "$architecture" ] && [ "$(dpkg --print-architecture)" != "$architecture" ]; then
    trap - EXIT
    exec bash "$here/foreign.sh" "$architecture" bash "$here/box.sh" "$PWD" "$architecture"
fi
# shellcheck disable=SC2086
bash "$here/root.sh" "$architecture" root "linux-image-cloud-$architecture" ${LOADER[$architecture]}
compgen -G "root/boot/initrd.img-*" > /dev/null || chroot root update-initramfs -c -k all
configure
make_disk
pack
