#!/usr/bin/env bash
# The lab on arm64, on any machine: makes an emulated Debian 13 with systemd and cgroup v2, makes the
# lab in it, and runs there what inside.sh says.  Prints the times, and leaves nothing behind but
# the machine's disk, which the next run takes again.
#
#   prove.sh [JOB...]     core unit chapters (default: all)
#
# Needs root, and of Debian: qemu-system-arm qemu-user-static arch-test mmdebstrap qemu-utils.  The
# disk is made within half an hour or so, once; it takes 3 GB in .lab/arm64, or where LABKIT_ARM64 says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
project=$(cd "$here/../.." && pwd -P)
cache=${LABKIT_ARM64:-$project/.lab/arm64}
jobs=${*:-core unit chapters}
[ "$(id -u)" = 0 ] || { echo "prove.sh: needs root" >&2 && exit 1; }
. "$project/vagrant/systems.sh"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/labkit-arm64-XXXXXX")
machine=
cleanup() {
    [ -z "$machine" ] || kill "$machine" 2> /dev/null || true
    wait
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# took STARTED WHAT: says how long something has taken
took() { awk "BEGIN { printf \"== %8.1f s  %s\\n\", $EPOCHREALTIME - $1, \"$2\" }"; }

install_tools() {
    local packages=(qemu-system-arm qemu-user-static arch-test mmdebstrap qemu-utils e2fsprogs kmod)
    dpkg-query --show "${packages[@]}" > /dev/null 2>&1 || {
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    } > "$work/apt.log" 2>&1 || { tail "$work/apt.log" && exit 1; }
}

# The disk of a machine that has Debian and what `make lab` installs of it; its kernel is given to
# QEMU directly, so that there is no boot loader.
make_disk() {
    local root=$work/root unit=etc/systemd/system/labkit-proof.service
    bash "$project/tests/vagrant/foreign.sh" arm64 bash "$project/tests/vagrant/root.sh" arm64 "$root" \
        linux-image-arm64 make git "${LAB_PACKAGES[@]}" "${QEMU[arm64]}"
    cp "$here/start.sh" "$root/usr/local/sbin/labkit-proof"
    cp "$here/labkit-proof.service" "$root/$unit"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s "/$unit" "$root/etc/systemd/system/multi-user.target.wants/"
    # On a busy machine an emulated one is a hundred times slower than systemd expects.
    mkdir -p "$root/etc/systemd/system.conf.d"
    printf '%s\n' '[Manager]' 'DefaultTimeoutStartSec=30min' 'DefaultDeviceTimeoutSec=30min' \
        > "$root/etc/systemd/system.conf.d/slow.conf"
    cp "$root"/boot/vmlinuz-* "$cache/vmlinuz"
    (cd "$project" && python3 -m tests.arm64.initramfs "$root" "$cache/initrd")
    truncate -s 12G "$work/disk.raw"
    mkfs.ext4 -q -L root -d "$root" "$work/disk.raw"
    qemu-img convert -O qcow2 "$work/disk.raw" "$cache/debian.qcow2"
    rm -rf --one-file-system "$root" "$work/disk.raw"
}

# run DISK JOBS: boots the machine, which gets this project and JOBS, shows what it says, ends when it
# is off, and returns the jobs' exit status
run() {
    local status
    tar -C "$project" --exclude=./.git --exclude=./.venv --exclude=./.lab --exclude=./.vagrant \
        --exclude=__pycache__ --exclude='./.*_cache' -cf "$work/project.tar" .
    truncate -s %1M "$work/project.tar"
    : > "$work/out" && : > "$work/status"
    qemu-system-aarch64 -nodefaults -no-user-config -display none -no-reboot \
        -machine virt -cpu cortex-a72 -accel tcg,thread=multi,tb-size=1024 -smp 2 -m 3G \
        -kernel "$cache/vmlinuz" -initrd "$cache/initrd" \
        -append "console=ttyAMA0 quiet panic=-1 mitigations=off net.ifnames=0 systemd.setenv=JOBS=${2// /,}" \
        -serial "file:$work/console" -device virtio-rng-pci \
        -drive "if=none,id=root,file=$1,format=qcow2,cache=unsafe" \
        -device virtio-blk-pci,drive=root,serial=root \
        -drive "if=none,id=project,file=$work/project.tar,format=raw,readonly=on" \
        -device virtio-blk-pci,drive=project,serial=project \
        -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-serial-pci \
        -chardev "file,id=out,path=$work/out" -device virtserialport,chardev=out,name=out \
        -chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,name=status &
    machine=$!
    # Behind, since a signal must find the shell waiting.
    tail --pid="$machine" --follow --lines=+1 --silent "$work/out" &
    wait "$machine" || true
    wait
    machine=
    status=$(cat "$work/status")
    [ -n "$status" ] || { echo "== the machine ended without a word; its console:" && tail -n 40 "$work/console"; }
    return "${status:-125}"
}

install_tools
mkdir -p "$cache"
# What the disks are made of: when that changes, they are made again.
key=$(cat "$project/tests/vagrant/root.sh" "$here"/{initramfs.py,start.sh,labkit-proof.service} \
    "$project/vagrant/systems.sh" \
    "$project/requirements.lock" "$project/pyproject.toml" | sha256sum)
if [ "$key" != "$(cat "$cache/key" 2> /dev/null)" ]; then
    rm -f "$cache"/*
    started=$EPOCHREALTIME
    make_disk
    took "$started" "Debian 13 for arm64, $(du -m "$cache/debian.qcow2" | cut -f 1) MB"
    echo "$key" > "$cache/key"
fi
if [ ! -e "$cache/lab.qcow2" ]; then
    started=$EPOCHREALTIME
    qemu-img create -q -f qcow2 -b debian.qcow2 -F qcow2 "$cache/lab.qcow2.new"
    run "$cache/lab.qcow2.new" lab
    took "$started" "the lab in it"
    mv "$cache/lab.qcow2.new" "$cache/lab.qcow2"
fi
started=$EPOCHREALTIME
qemu-img create -q -f qcow2 -b "$cache/lab.qcow2" -F qcow2 "$work/today.qcow2"
status=0
run "$work/today.qcow2" "lab $jobs" || status=$?
took "$started" "boot, $jobs, power off"
exit "$status"
