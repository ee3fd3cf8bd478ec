#!/usr/bin/env bash
# The README's commands on a machine with nothing installed by hand: a bare Debian root, made with
# mmdebstrap, with its own mount, PID, network, UTS and IPC namespaces.  Prints how long each
# command took, and leaves nothing behind.
#
#   prove.sh [SUITE...]     bookworm, trixie, or both in turn (default: this machine's own)
#
# It clones what is committed here.  Needs root, mmdebstrap, git and slirp4netns here; about 8 GB
# where TMPDIR (default /var/tmp) is, which must be a real disk: an overlay's writable layer cannot be
# on an overlay.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
repository=$(git -C "$here" rev-parse --path-format=absolute --git-common-dir)
commit=$(git -C "$here" rev-parse HEAD)
own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

case $#:$own in
    0:bookworm | 0:trixie) set -- "$own" ;;
    0:*) set -- trixie ;;
esac
if [ $# -gt 1 ]; then
    for suite; do bash "$0" "$suite"; done
    exit
fi
suite=$1
case $suite in
    bookworm | trixie) ;;
    *) echo "prove.sh: the suites are bookworm and trixie, not $suite" >&2 && exit 2 ;;
esac

[ "$(id -u)" = 0 ] || { echo "prove.sh: needs root" >&2 && exit 1; }

work=$(mktemp -d "${TMPDIR:-/var/tmp}/labkit-bare-XXXXXX")
root=$work/root
machine=
cable=

cleanup() {
    trap '' INT TERM # a second one would end this halfway
    [ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null || true
    [ -z "$cable" ] || kill "$cable" 2> /dev/null || true
    wait
    find /sys/fs/cgroup -depth -type d -path "*/labkit-bare*" -exec rmdir {} +
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The root: the smallest Debian, and what the README says one needs.  From the mirrors this machine
# uses, if it is a Debian, trusting whom this machine trusts.
make_root() {
    local sources=()
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v own="$own" -v suite="$suite" '$3 == "main" && sub("^" own, suite, $2) \
            { print "deb", $0 }' | sort -u > "$work/sources.list"
    case $own in bookworm | trixie) sources=("$work/sources.list") ;; esac
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make "$suite" "$root" \
        "${sources[@]}"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    cat /etc/resolv.conf > "$root/etc/resolv.conf"
    echo "127.0.0.1 localhost bare" > "$root/etc/hosts"
    # The way to this repository inside; `git` there must trust it, whoever owns it here.
    mkdir "$root/mnt/repository"
    git config --file "$root/root/.gitconfig" safe.directory '*'
}

# Its own network.  A program is its cable: a link of this machine would need forwarding, which other
# engines and firewalls here turn off, or refuse to links that are not theirs.
connect() {
    mkfifo "$work/ready"
    slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=5 "$machine" eth0 \
        > "$work/cable.log" 2>&1 5> "$work/ready" 4>&- &
    cable=$!
    read -r -n 1 _ < "$work/ready" || { cat "$work/cable.log" >&2 && exit 1; }
}

started=$SECONDS
echo "== a bare root of $suite"
make_root
echo "== $((SECONDS - started)) s, $(du -sm "$root" | cut -f 1) MB"

mkfifo "$work/connected"
# A background process of a script ignores ctrl-C, and so would all that it starts.
env --default-signal=INT,QUIT -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    LABKIT_CGROUP_PARENT="labkit-bare" COMMIT="$commit" \
    unshare --mount --pid --net --uts --ipc --fork --kill-child=KILL --propagation private \
    bash "$here/machine.sh" "$root" "$repository" < "$work/connected" &
unshare=$!
exec 4> "$work/connected"
until machine=$(pgrep --parent "$unshare"); do sleep 0.1; done
connect
echo connected >&4
exec 4>&-
status=0
wait "$unshare" || status=$?
machine=
exit "$status"
