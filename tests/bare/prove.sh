#!/usr/bin/env bash
# The README's commands on a machine with nothing installed by hand: a bare Debian 12 root, made
# with mmdebstrap, with its own mount, PID, network, UTS and IPC namespaces.  Prints how long each
# command took, and leaves nothing behind.
#
#   prove.sh [BRANCH]     clones that branch (default: what is checked out) of this repository
#
# Needs root, mmdebstrap, git, nft and ip here; about 4 GB where TMPDIR (default /var/tmp) lies, which
# must be a real disk: an overlay's writable layer cannot lie on an overlay.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
project=$(cd "$here/../.." && pwd -P)
branch=${1:-$(git -C "$project" rev-parse --abbrev-ref HEAD)}

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
# uses, trusting whom this machine trusts.
make_root() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 ~ /^bookworm/ && $3 == "main" { print "deb", $0 }' | sort -u > "$work/sources.list"
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make bookworm "$root" - \
        < "$work/sources.list"
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
echo "== a bare Debian 12 root"
make_root
echo "== $((SECONDS - started)) s, $(du -sm "$root" | cut -f 1) MB"

mkfifo "$work/connected"
# A background process of a script ignores ctrl-C, and so would all that it starts.
env --default-signal=INT,QUIT -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    LABKIT_CGROUP_PARENT="labkit-bare" BRANCH="$branch" \
    unshare --mount --pid --net --uts --ipc --fork --kill-child=KILL --propagation private \
    bash "$here/machine.sh" "$root" "$project" < "$work/connected" &
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
