#!/usr/bin/env bash
# What a virtual machine of the lab's own has besides: swap, and the link at every login.
#
#   machine.sh swap | login | remove
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

SWAP_FILE=/var/swap.labkit
SWAP_MIB=${LABKIT_SWAP:-2048}
FSTAB=/etc/fstab
GREETING=/etc/profile.d/labkit.sh
# Written by the Vagrantfile, which knows the port on the other side.
LINK=$(dirname "$STATE")/link

# Without swap half of what chapter 9 says about memory cannot be seen.  The file comes into its
# place when it is whole, so that a machine that is switched off here begins again.
swap() {
    if [ "$(file_mib)" != "$SWAP_MIB" ]; then
        [ "$(others_mib)" -lt "$SWAP_MIB" ] || return 0
        say "swap: making $SWAP_FILE of $SWAP_MIB MiB"
        remove_swap
        fallocate -l "${SWAP_MIB}M" "$SWAP_FILE.new"
        chmod 0600 "$SWAP_FILE.new"
        mkswap "$SWAP_FILE.new" > /dev/null
        mv "$SWAP_FILE.new" "$SWAP_FILE"
    fi
    grep -q "^$SWAP_FILE " "$FSTAB" || {
        { cat "$FSTAB" && echo "$SWAP_FILE none swap sw 0 0"; } > "$FSTAB.new"
        mv "$FSTAB.new" "$FSTAB"
    }
    grep -q "^$SWAP_FILE " /proc/swaps || swapon "$SWAP_FILE"
}

file_mib() { [ ! -e "$SWAP_FILE" ] || echo $(($(stat -c %s "$SWAP_FILE") / 1048576)); }

# others_mib: the swap that the box came with (/proc/swaps, proc(5): sizes in KiB, after a heading)
others_mib() {
    local path kib total=0
    while read -r path _ kib _; do
        [ "$path" = "$SWAP_FILE" ] || total=$((total + kib))
    done < <(tail -n +2 /proc/swaps)
    echo $((total / 1024))
}

remove_swap() {
    ! grep -q "^$SWAP_FILE " /proc/swaps || swapoff "$SWAP_FILE"
    ! grep -q "^$SWAP_FILE " "$FSTAB" || sed -i "\|^$SWAP_FILE |d" "$FSTAB"
    rm -f "$SWAP_FILE" "$SWAP_FILE.new"
}

login() {
    printf '%s\n' "# labkit: where the lab is, for every login" \
        "[ ! -t 1 ] || [ ! -r $LINK ] || printf 'labkit: the lab is open: %s\\n' \"\$(cat $LINK)\"" > "$GREETING"
}

remove() {
    remove_swap
    rm -f "$GREETING" "$LINK"
}

case ${1:-} in
    swap | login | remove) "$1" ;;
    *) fail "machine.sh swap | login | remove" ;;
esac
