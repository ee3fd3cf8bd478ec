#!/usr/bin/env bash
# `vagrant up` for real: a Debian 13 virtual machine with systemd, provisioned by our own script,
# while another program has the lab's port.  Checks from outside what is promised of it, also after
# it was provisioned again, halted, and switched off; runs chapters inside; prints the times, and
# leaves nothing behind.
#
#   prove.sh [BOX [CHAPTER...]]    a box file made earlier by box.sh (default, or "": one is made)
#
# As root.  Installs Vagrant and libvirt from Debian.  Where KVM does not work the machine is
# emulated, which is slow; LABKIT_TCG=1 asks for that.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."
box=${1:-}
chapters=("${@:2}")
[ $# -gt 1 ] || chapters=(00 08 09 10 11 12)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/labkit-vagrant-XXXXXX")
took=()
squatter=
link=

export LABKIT_BOX=labkit/trixie VAGRANT_DEFAULT_PROVIDER=libvirt
export VAGRANT_HOME=$work/home VAGRANT_DOTFILE_PATH=$work/dot

cleanup() {
    vagrant destroy --force > /dev/null 2>&1 || true
    [ -z "$squatter" ] || kill "$squatter" || true
    remove_box_images
    [ -d /run/systemd/system ] || bash "$here/libvirt.sh" stop
    rm -rf --one-file-system "$work"
}

# Vagrant leaves the box's disk in libvirt's pool, under a name with the time in it.
remove_box_images() {
    local volume
    virsh --connect qemu:///system vol-list default 2> /dev/null |
        awk '/labkit-VAGRANTSLASH-trixie_vagrant_box_image/ { print $1 }' |
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

check() {
    echo "== check: $1"
    shift
    "$@" || { echo "== FAILED" && exit 1; }
}

# up WHAT...: a command of Vagrant that prints the link, which is noted
up() {
    vagrant --no-tty "$@" 2>&1 | tee "$work/up.log"
    link=$(sed -n 's/.*the lab is open: //p' "$work/up.log" | tail -n 1)
}

inside() { vagrant ssh --command "$1" 2> /dev/null < /dev/null | tr -d '\r'; }

# http URL: the status of a GET
http() {
    python3 - "$1" << 'PYTHON'
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=120).status)
except urllib.error.HTTPError as error:
    print(error.code)
PYTHON
}

kvm_works() { python3 -c 'import sys; from labkit.microvm import kvm; sys.exit(kvm.trouble())'; }

lab_is_open() {
    local address=${link%%/lab*} token=${link##*=}
    [ "$(http "$address/api/kernels")" = 403 ] && [ "$(http "$address/api/kernels?token=$token")" = 200 ] &&
        [ "$(http "$link")" = 200 ]
}

not_the_squatter() { [[ $link == http://127.0.0.1:8889/* ]]; }

link_at_login() { inside "script -qec 'bash -lc true' /dev/null" | grep -qF "$link"; }

container_runs() { [ "$(inside "labkit run --rm busybox echo hi")" = hi ]; }

controllers_are_handed_down() {
    [ "$(inside 'for c in cpu cpuset io memory pids; do grep -ow $c /sys/fs/cgroup/system.slice/labkitd.service/labkit/cgroup.controllers; done' | xargs)" = "cpu cpuset io memory pids" ]
}

swap_is_there() { [ "$(inside "awk 'NR > 1 { kib += \$3 } END { print (kib >= 2000000) }' /proc/swaps")" = 1 ]; }

size_is_as_asked() {
    [ "$(inside "nproc")" = 2 ] && [ "$(inside "awk '/^MemTotal/ { print (\$2 > 3500000) }' /proc/meminfo")" = 1 ]
}

leave_something() { inside "labkit run -d --name kept -v keep:/keep busybox sh -c 'echo yes > /keep/it; sync; sleep 9999'; sleep 2"; }

nothing_is_lost() {
    [ "$(inside "labkit ps -a --format '{{.Names}}'")" = kept ] &&
        [ "$(inside "labkit run --rm -v keep:/keep busybox cat /keep/it")" = yes ]
}

# The network is away in the middle of the work: that is said, and the next run makes it whole.
cut_network() { inside "sudo apt-get remove -y tini > /dev/null 2>&1; sudo nft 'add table inet cut; add chain inet cut out { type filter hook output priority 0; }; add rule inet cut out meta skuid _apt drop'"; }

fails_and_says_so() { ! up provision && grep -q "network does not reach the package servers" "$work/up.log"; }

mend_network() { inside "sudo nft delete table inet cut"; }

switch_off() { virsh --connect qemu:///system destroy "$(virsh --connect qemu:///system list --name | head -n 1)"; }

run_chapters() { inside "sudo LABKIT_VENV=/opt/labkit/venv LABKIT_STATE=/opt/labkit/state bash /vagrant/tests/vagrant/chapters.sh ${chapters[*]}"; }

packages=(vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients dnsmasq-base rsync)
packages+=(libvirt-daemon-config-network mmdebstrap parted qemu-system-x86 qemu-utils openssh-client)
dpkg-query --show "${packages[@]}" > /dev/null 2>&1 || {
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
} > "$work/apt.log" 2>&1 || { tail "$work/apt.log" && exit 1; }

trap cleanup EXIT
trap 'exit 130' INT TERM
[ -d /run/systemd/system ] || bash "$here/libvirt.sh" start
kvm_works || export LABKIT_TCG=1

if [ -z "$box" ]; then
    timed bash "$here/box.sh" "$work"
    box=$work/labkit-trixie.box
fi
vagrant box add --force --name "$LABKIT_BOX" "$box"
python3 -m http.server --bind 127.0.0.1 --directory "$here" 8888 > /dev/null 2>&1 &
squatter=$!
timed up up
check "the link leads past the program that has the port" not_the_squatter
check "JupyterLab answers there, and only to who has the token" lab_is_open
check "the link is said at every login" link_at_login
check "a container says hi, to a user who is not root" container_runs
check "two processors, four GiB" size_is_as_asked
check "swap" swap_is_there
check "labkit's own part of the cgroup tree has all five controllers" controllers_are_handed_down
leave_something
timed up provision
check "nothing is lost" nothing_is_lost
cut_network
check "a network that is away is said" fails_and_says_so
mend_network
timed up provision
check "then it goes on" container_runs
timed vagrant --no-tty halt
kill "$squatter"
squatter=
timed up up
check "JupyterLab is there again" lab_is_open
check "and swap" swap_is_there
check "and labkitd" container_runs
check "nothing is lost by halt" nothing_is_lost
switch_off
timed up up
check "nothing is lost by a power cut" nothing_is_lost
inside "labkit rm -f kept; labkit volume rm keep" > /dev/null
timed run_chapters
timed vagrant --no-tty destroy --force
printf '\n'
printf '%s\n' "${took[@]}"
