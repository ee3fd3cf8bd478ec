#!/usr/bin/env bash
# `vagrant up` for real: a Debian 12 virtual machine with systemd, provisioned by our own script.
# Checks from outside that JupyterLab answers through the forwarded port and that a container runs,
# also after the machine was switched off and on; prints the times, and leaves nothing behind.
#
#   prove.sh [BOX]       a box file made earlier by box.sh; without it one is made (about 2 minutes)
#
# As root.  Installs Vagrant and libvirt from Debian.  Without KVM the machine is emulated, which is
# slow; LABKIT_TCG=1 asks for that where there is a /dev/kvm that does not work.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."
work=$(mktemp -d "${TMPDIR:-/var/tmp}/labkit-vagrant-XXXXXX")
took=()

cleanup() {
    vagrant destroy --force > /dev/null 2>&1 || true
    vagrant box remove --force --all labkit/bookworm > /dev/null 2>&1 || true
    remove_box_images
    [ -d /run/systemd/system ] || bash "$here/libvirt.sh" stop
    rm -rf --one-file-system "$work"
}

# Vagrant leaves the box's disk in libvirt's pool, under a name with the time in it.
remove_box_images() {
    local volume
    virsh --connect qemu:///system vol-list default 2> /dev/null |
        awk '/labkit-VAGRANTSLASH-bookworm_vagrant_box_image/ { print $1 }' |
        while read -r volume; do
            virsh --connect qemu:///system vol-delete --pool default "$volume" > /dev/null
        done
}

timed() {
    local started=$EPOCHREALTIME
    echo "== $*"
    "$@" < /dev/null
    took+=("$(awk "BEGIN { printf \"%8.1f s  \", $EPOCHREALTIME - $started }")$*")
    echo "== ${took[-1]}"
}

# http PATH: the status of a GET to JupyterLab, through the forwarded port
http() {
    python3 - "http://127.0.0.1:8888$1" << 'PYTHON'
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=60).status)
except urllib.error.HTTPError as error:
    print(error.code)
PYTHON
}

lab_is_open() {
    local token
    token=$(vagrant ssh -c "sudo cat /opt/labkit/state/token" | tr -dc 0-9a-f)
    [ "$(http /api/kernels)" = 403 ] && [ "$(http "/api/kernels?token=$token")" = 200 ]
}

container_runs() { [ "$(vagrant ssh -c "labkit run --rm busybox echo hi" | tr -d '\r')" = hi ]; }

check() {
    echo "== check: $1"
    shift
    "$@" || { echo "== FAILED" && exit 1; }
}

packages=(vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients dnsmasq-base rsync)
packages+=(libvirt-daemon-config-network mmdebstrap parted qemu-system-x86 qemu-utils openssh-client)
dpkg-query --show "${packages[@]}" > /dev/null 2>&1 || {
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
} > "$work/apt.log" 2>&1 || { tail "$work/apt.log" && exit 1; }

trap cleanup EXIT
trap 'exit 130' INT TERM
[ -d /run/systemd/system ] || bash "$here/libvirt.sh" start
export LABKIT_BOX=labkit/bookworm VAGRANT_DEFAULT_PROVIDER=libvirt
[ -e /dev/kvm ] || export LABKIT_TCG=1

box=${1:-}
if [ -z "$box" ]; then
    timed bash "$here/box.sh" "$work"
    box=$work/labkit-bookworm.box
fi
vagrant box add --force --name "$LABKIT_BOX" "$box"
timed vagrant --no-tty up
check "JupyterLab answers through the forwarded port, and only to who has the token" lab_is_open
check "a container says hi, to a user who is not root" container_runs
timed vagrant --no-tty provision
timed vagrant --no-tty halt
timed vagrant --no-tty up
check "JupyterLab is there again" lab_is_open
check "labkitd is there again" container_runs
timed vagrant --no-tty destroy --force
printf '\n'
printf '%s\n' "${took[@]}"
