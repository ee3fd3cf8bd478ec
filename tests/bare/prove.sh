#!/usr/bin/env bash
# The README's commands on a machine with nothing installed by hand: a bare Debian root, made with
# mmdebstrap, with its own mount, PID, network, UTS and IPC namespaces.  Prints how long each
# command took, and leaves nothing behind.
#
#   prove.sh [SUITE...]     bookworm, trixie, or both in turn (default: this machine's own)
#
# It clones what is committed here.  Needs root, mmdebstrap, git, nft and ip here; about 5 GB where
# TMPDIR (default /var/tmp) is, which must be a real disk: an overlay's writable layer cannot be on
# an overlay.
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

NET=10.213.77
LINK=lk-bare0
TABLE=labkit_bare
[ "$(id -u)" = 0 ] || { echo "prove.sh: needs root" >&2 && exit 1; }

work=$(mktemp -d "${TMPDIR:-/var/tmp}/labkit-bare-XXXXXX")
root=$work/root
machine=
forwarding=$(cat /proc/sys/net/ipv4/ip_forward)

cleanup() {
    [ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null || true
    wait
    nft delete table ip "$TABLE" 2> /dev/null || true
    ip link delete "$LINK" 2> /dev/null || true
    echo "$forwarding" > /proc/sys/net/ipv4/ip_forward
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

# Its own network: a cable to this machine, which forwards and translates addresses.
connect() {
    local mtu
    mtu=$(cat "/sys/class/net/$(ip route show default | awk '{ print $5; exit }')/mtu")
    ip link add "$LINK" mtu "$mtu" type veth peer name eth0 mtu "$mtu" netns "$machine"
    ip address add "$NET.1/24" dev "$LINK"
    ip link set "$LINK" up
    nsenter --target "$machine" --net sh -c "ip address add $NET.2/24 dev eth0 &&
        ip link set lo up && ip link set eth0 up && ip route add default via $NET.1"
    nft -f - << RULES
table ip $TABLE {
    chain postrouting {
        type nat hook postrouting priority srcnat
        ip saddr $NET.0/24 oifname != "$LINK" masquerade
    }
}
RULES
    echo 1 > /proc/sys/net/ipv4/ip_forward
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
