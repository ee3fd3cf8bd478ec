#!/usr/bin/env bash
# Within the arm64 machine, as root: the jobs that the kernel's command line names (JOBS, by commas).
set -euo pipefail
cd "$(dirname "$0")/../.."
export LABKIT_VENV=/opt/labkit/venv LABKIT_STATE=/opt/labkit/state LAB_OPEN=0
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PYTHON=$LABKIT_VENV/bin/python
checks=0

check() {
    local what=$1
    shift
    "$@" || { echo "== FAILED: $what" && exit 1; }
    checks=$((checks + 1))
}

prints() { # prints EXPECTED COMMAND...
    local expected=$1 said
    shift
    said=$("$@" 2>&1) || true
    [ "$said" = "$expected" ] || { echo "$*: '$said', not '$expected'" && return 1; }
}

contains() { # contains EXPECTED COMMAND...
    local expected=$1 said
    shift
    said=$("$@" 2>&1) || true
    [[ $said == *"$expected"* ]] || { echo "$*: no '$expected' in: $said" && return 1; }
}

ends_with() { # ends_with STATUS COMMAND...
    local expected=$1 status=0
    shift
    "$@" > /dev/null 2>&1 || status=$?
    [ "$status" = "$expected" ] || { echo "$*: exit status $status, not $expected" && return 1; }
}

job_lab() { make lab; }

job_core() {
    local folder
    folder=$(mktemp -d)
    check "it is arm64" prints aarch64 uname -m
    check "it has cgroup v2" prints cgroup2fs stat -fc %T /sys/fs/cgroup
    check "the doctor says that containers run" ends_with 0 labkit doctor
    check "a container says hi" prints hi labkit run --rm busybox echo hi
    check "Debian says its architecture" prints aarch64 labkit run --rm debian uname -m
    check "memory has a limit" prints 33554432 labkit run --rm -m 32m busybox cat /sys/fs/cgroup/memory.max
    check "who goes over it is killed" ends_with 137 \
        labkit run --rm -m 32m --memory-swap 32m busybox sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1'
    check "the CPU has a limit" prints "50000 100000" labkit run --rm --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max
    check "CPUs are chosen" prints 1 labkit run --rm --cpuset-cpus 1 busybox cat /sys/fs/cgroup/cpuset.cpus.effective
    check "processes have a limit" contains "can't fork" labkit run --rm --pids-limit 2 busybox sh -c 'sleep 1 & sleep 1 & wait'
    check "system calls are filtered" contains "Seccomp:	2" labkit run --rm busybox cat /proc/1/status
    printf '%s' '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' > "$folder/profile"
    check "also by a profile of one's own" contains "not permitted" \
        labkit run --rm --security-opt "seccomp=$folder/profile" busybox mkdir /made
    check "the steps are explained" contains clone3 labkit run --rm --explain busybox true

    labkit run --detach --name web --publish 8090:80 busybox \
        sh -c 'mkdir /www && echo found > /www/index.html && exec httpd -f -h /www' > /dev/null
    check "a port leads to a bridge" contains found \
        "$PYTHON" -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8090/", timeout=60).read())'
    check "a command runs in it" prints found labkit exec web cat /www/index.html
    labkit pause web > /dev/null
    check "it is paused" prints true labkit inspect --format '{{.State.Paused}}' web
    labkit unpause web > /dev/null
    check "its use is measured" contains web labkit stats --no-stream
    labkit rm --force web > /dev/null

    printf '%s\n' 'FROM busybox' 'RUN echo made > /made' 'CMD ["cat", "/made"]' > "$folder/Dockerfile"
    check "an image is built" ends_with 0 labkit build --tag proof "$folder"
    check "and runs" prints made labkit run --rm proof
    labkit rmi --force proof > /dev/null
    rm -r "$folder"
    echo "== core: $checks checks passed"
}

job_unit() {
    # Some tests ask git which files belong to the project.
    git init --quiet . && git add --all
    "$PYTHON" -m pytest -q -p no:cacheprovider tests/unit
}

job_chapters() { bash tests/vagrant/chapters.sh 00 07 11; }

status=0
for job in ${JOBS//,/ }; do
    started=$EPOCHREALTIME
    # In a shell of its own, where `set -e` reaches: a job that fails leaves the others their turn.
    set +e
    (set -e && "job_$job") < /dev/null
    [ "$?" = 0 ] || { status=1 && echo "== FAILED: $job"; }
    set -e
    awk "BEGIN { printf \"== %8.1f s  %s\\n\", $EPOCHREALTIME - $started, \"$job\" }"
done
exit "$status"
