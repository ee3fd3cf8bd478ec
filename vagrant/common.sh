# Sourced by the scripts beside it: where things are, how to speak, and how a process that was
# started is found again.
# shellcheck shell=bash
set -euo pipefail

# Debian's plain `su` keeps the PATH of a user, without groupadd, nft, mkswap.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=${LABKIT_VENV:-$PROJECT/.venv}
STATE=${LABKIT_STATE:-$PROJECT/.lab}
PYTHON=$VENV/bin/python
# requirements.lock names wheels for these (lock.sh checks that each is there).
PYTHONS=(3.11 3.12 3.13 3.14)

LAB_IP=${LAB_IP:-127.0.0.1}
LAB_PORT=${LAB_PORT:-8888}
# The learner's folder; "": ~/labkit-course of the person who calls, also through sudo.
LAB_FOLDER=${LAB_FOLDER:-}

is_root() { [ "$(id -u)" = 0 ]; }

# Where root's lab is, and where an ordinary user's is (as labkit.paths has them).
if is_root; then
    : "${LABKIT_ROOT:=/var/lib/labkit}" "${LABKIT_RUN:=/run/labkit}"
    COMMAND=/usr/local/bin/labkit
    UNITS=/etc/systemd/system
    SYSTEMCTL=(systemctl)
    DAEMON_UNIT=labkitd.service
    as_root_of_engine=()
else
    HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}
    data=${XDG_DATA_HOME:-$HOME/.local/share}
    : "${LABKIT_ROOT:=$data/labkit}" "${LABKIT_RUN:=${XDG_RUNTIME_DIR:-$data/labkit-run}/labkit}"
    COMMAND=$HOME/.local/bin/labkit
    UNITS=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
    SYSTEMCTL=(systemctl --user)
    DAEMON_UNIT=labkitd-user.service
    as_root_of_engine=("$PYTHON" -P -m labkit.rootless)
fi
export LABKIT_ROOT LABKIT_RUN

# work_folder: the learner's folder that JupyterLab shows, "" before the first start
work_folder() { cat "$STATE/folder" 2> /dev/null || true; }

say() { printf 'labkit: %s\n' "$*"; }

fail() {
    printf 'labkit: %s\n' "$*" >&2
    exit 1
}

# command_text: the command `labkit`.  Not the script that pip makes: that one looks for the user's
# settings of Python and compiles a pattern, 1 of the 20 ms that a command takes.
command_text() {
    printf '%s\n' "#!$PYTHON -I" "# labkit's command, made by \`make lab\`" "import sys" \
        "from labkit.cli.main import main" "sys.exit(main())"
}

require_linux() {
    [ "$(uname -s)" = Linux ] ||
        fail "containers are made of Linux: on $(uname -s), run \`vagrant up\` and use the lab in its VM"
}

require_root() {
    require_linux
    is_root ||
        fail "this needs root, because namespaces, mounts and cgroups do: become root (\`su -\`), or try \`sudo make $1\`"
}

# Whether systemd starts services for whoever calls.  A user's own systemd is there after a login.
has_systemd() {
    [ -d /run/systemd/system ] && { is_root || systemctl --user show-environment > /dev/null 2>&1; }
}

# A process number is used again by the kernel; together with its start time (proc(5), stat, field
# 22, clock ticks since boot) it names one process for ever.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    set -- ${stat##*) }
    [ "$1" != Z ] && echo "${20}"
}

# remember NAME PID: note a process in $STATE/NAME.pid
remember() { echo "$2 $(start_time "$2")" > "$STATE/$1.pid"; }

# running NAME: print the process id if the process noted under that name still runs
running() {
    local pid started
    read -r pid started 2>/dev/null < "$STATE/$1.pid" || return 1
    [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# end_process PID SECONDS: ask it to end, insist when it has not within that time
end_process() {
    local pid=$1 started tick
    started=$(start_time "$pid") || return 0
    kill -TERM "$pid"
    for ((tick = 0; tick < $2 * 10; tick++)); do
        [ "$(start_time "$pid")" = "$started" ] || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

# listening PORT: whether anything on this machine accepts connections there
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# progress: shows lines "PERCENT TEXT" from stdin: one moving line on a terminal, else every fifth
progress() {
    local shown=0 percent text
    while read -r percent text; do
        [[ $percent =~ ^[0-9]+$ ]] || continue # a program's complaint; its log has it
        if [ -t 1 ]; then
            printf '\r\033[K  %3d %%  %.66s' "$percent" "$text"
        elif [ $((percent / 20)) -gt "$shown" ]; then
            shown=$((percent / 20))
            printf '  %3d %%  %s\n' "$percent" "$text"
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
}
