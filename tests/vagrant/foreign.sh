#!/usr/bin/env bash
# Runs a command that starts programs of another processor: qemu-user stands in for it, and the
# kernel is told so (binfmt_misc) for as long as the command runs.
#
#   foreign.sh ARCHITECTURE COMMAND...     amd64 or arm64; needs root and qemu-user-static
set -euo pipefail
BINFMT=/proc/sys/fs/binfmt_misc
NAME=labkit-$1
declare -A PROGRAMS=([amd64]=qemu-x86_64 [arm64]=qemu-aarch64)
program=${PROGRAMS[$1]}

if [ "$(dpkg --print-architecture)" = "$1" ]; then
    shift
    exec "$@"
fi
if [ "${LABKIT_FOREIGN:-}" != "$1" ]; then
    LABKIT_FOREIGN=$1 exec unshare --mount --propagation private bash "$0" "$@"
fi
shift
mountpoint -q "$BINFMT" || mount -t binfmt_misc binfmt_misc "$BINFMT"
[ ! -e "$BINFMT/$program" ] || exec "$@" # this machine does so anyway

trap 'echo -1 > "$BINFMT/$NAME"' EXIT
trap 'exit 130' INT TERM
# Debian's rule says F: the interpreter is opened now, so that it is there in every root folder.
[ -e "$BINFMT/$NAME" ] || sed "s/^:$program:/:$NAME:/" "/usr/lib/binfmt.d/$program.conf" > "$BINFMT/register"
"$@"
