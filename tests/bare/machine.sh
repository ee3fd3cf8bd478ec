#!/usr/bin/env bash
# Process 1 of the bare machine: makes ROOT its root, then does there what the README says.
#
#   machine.sh ROOT REPOSITORY       started by prove.sh, which connects the network
set -euo pipefail

enter() {
    local root=$1 repository=$2
    hostname bare
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount --rbind /sys/fs/cgroup sys/fs/cgroup
    mount --rbind /dev dev
    mount -t tmpfs -o mode=755 tmpfs run
    mount --bind "$repository" mnt/repository
    mount -o remount,bind,ro mnt/repository
    cp "$0" run/machine.sh
    mkdir run/outside
    pivot_root . run/outside
    umount -l run/outside
    exec /bin/bash /run/machine.sh
}

# timed COMMAND...: run it, and say how long it took; its failure ends the proof
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

# http PATH: the status of a GET to JupyterLab
http() {
    local line
    exec 3<> /dev/tcp/127.0.0.1/8888
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
    read -r _ line <&3
    exec 3>&-
    echo "${line%% *}"
}

lab_is_open() {
    local token
    token=$(cat .lab/token)
    [ "$(http /api/kernels)" = 403 ] && [ "$(http "/api/kernels?token=$token")" = 200 ] &&
        [ "$(http "/lab?token=$token")" = 200 ]
}

container_runs() { [ "$(labkit run --rm busybox echo hi)" = hi ]; }

nothing_left() {
    local pid left=0
    for pid in /proc/[0-9]*; do
        case ${pid#/proc/} in 1 | $BASHPID) continue ;; esac
        echo "process: $(tr '\0' ' ' < "$pid/cmdline")" && left=1
    done
    for place in .venv .lab /var/lib/labkit /run/labkit /usr/local/bin/labkit; do
        [ ! -e "$place" ] || { echo "there is still $place" && left=1; }
    done
    find /sys/fs/cgroup -path "*/$LABKIT_CGROUP_PARENT*" | grep . && left=1
    [ -z "$(git status --porcelain --ignored)" ] || { git status --short --ignored && left=1; }
    [ "$left" = 0 ]
}

prove() {
    local took=()
    git clone --quiet --no-checkout /mnt/repository /root/labkit
    cd /root/labkit
    git checkout --quiet --detach "$COMMIT"
    echo "== $(git log -1 --format='%h %s')"
    timed make lab LAB_OPEN=0
    check "JupyterLab answers, and only to who has the token" lab_is_open
    check "a container says hi" container_runs
    timed make lab LAB_OPEN=0
    timed make test
    check "a container runs in the background" labkit run -d busybox sleep 1000
    timed make stop
    timed make clean
    check "nothing is left" nothing_left
    check "but the learner's pages" [ -e /root/labkit-course/09_limits.ipynb ]
    printf '\n'
    printf '%s\n' "${took[@]}"
}

if [ $# -eq 2 ]; then
    read -r _ # from here on the network is there
    enter "$@"
fi
prove
