#!/usr/bin/env bash
# libvirt by hand, on a machine without systemd: qemu as root, without cgroups.
#
#   libvirt.sh start|stop      stop undoes what start did, also to the firewall
set -euo pipefail
CONFIG=/etc/libvirt/qemu.conf
MARK="# labkit: libvirt without systemd"

start() {
    mkdir -p /run/libvirt /var/log/libvirt/qemu
    cat >> "$CONFIG" << QEMU
$MARK
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
remember_owner = 0
QEMU
    virtlogd --daemon
    libvirtd --daemon
    for _ in {1..30}; do
        ! virsh --connect qemu:///system version > /dev/null 2>&1 || return 0
        sleep 1
    done
    echo "libvirtd does not answer: see /var/log/libvirt" >&2
    return 1
}

stop() {
    local network daemon
    for network in $(virsh --connect qemu:///system net-list --name 2> /dev/null); do
        virsh --connect qemu:///system net-destroy "$network" > /dev/null
    done
    for daemon in libvirtd virtlogd; do
        [ ! -f "/run/$daemon.pid" ] || kill "$(cat "/run/$daemon.pid")" || true
    done
    for table in filter nat mangle; do
        remove_chains iptables "$table"
        remove_chains ip6tables "$table"
    done
    [ ! -f "$CONFIG" ] || sed -i "/^$MARK/,\$d" "$CONFIG"
}

# remove_chains COMMAND TABLE: libvirt leaves its chains, named LIBVIRT_*, when it ends
remove_chains() {
    local rule chain
    "$1" -w -t "$2" -S 2> /dev/null | sed -n 's/^-A \(.*-j LIBVIRT_.*\)/-D \1/p' |
        while read -r rule; do
            # shellcheck disable=SC2086
            "$1" -w -t "$2" $rule
        done
    for chain in $("$1" -w -t "$2" -S 2> /dev/null | sed -n 's/^-N \(LIBVIRT_.*\)/\1/p'); do
        "$1" -w -t "$2" -F "$chain"
        "$1" -w -t "$2" -X "$chain"
    done
}

"$1"
