#!/usr/bin/env bash
# The life of a lab that provision.sh has made: its two services, started, found again, ended.
#
#   lab.sh start-labkitd | start-jupyter | enable-jupyter | stop | clean
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# An emulated machine on a busy one takes its time for the first start.
START_TIMEOUT_S=180
JUPYTER_TIMEOUT_S=600

start_labkitd() {
    local error
    if has_systemd; then
        install_unit labkitd "$DAEMON_UNIT"
        "${SYSTEMCTL[@]}" enable --quiet --now labkitd
        wait_until "$START_TIMEOUT_S" labkitd_runs_or_failed && labkitd_runs ||
            fail "labkitd did not start: see \`${SYSTEMCTL[*]} status labkitd\`"
    fi
    # Without systemd, the first command starts it.
    labkitd_runs || say "starting labkitd"
    error=$("$COMMAND" info 2>&1 > /dev/null) || fail "labkitd does not answer: $error"
}

# labkitd holds a lock on its pid file for as long as it lives.
labkitd_runs() {
    [ -e "$LABKIT_RUN/labkitd.pid" ] && ! flock -n "$LABKIT_RUN/labkitd.pid" true
}

labkitd_runs_or_failed() { "${SYSTEMCTL[@]}" is-failed --quiet labkitd || labkitd_runs; }

# Where the learner works: a folder with the course's pages, never the project itself.  Its path is
# in $STATE/folder and its first page in $STATE/page; JupyterLab and the link take both from there.
make_work_folder() {
    local said line asked=()
    [ -z "$LAB_FOLDER" ] || asked=(--folder "$(realpath -ms -- "$LAB_FOLDER")")
    said=$("$PYTHON" -P -m labkit.cli course "${asked[@]}" 2> "$STATE/course.log") ||
        fail "the learner's folder cannot be made (another: \`make lab LAB_FOLDER=...\`): $(tail -n 1 "$STATE/course.log")"
    FOLDER=${said##*$'\n'}
    while read -r line; do
        [[ $line != *" (yours"* ]] || say "$line"
    done <<< "$said"
    say "your pages are in $FOLDER"
}

note_work_folder() {
    local page
    for page in "$FOLDER"/start.ipynb "$FOLDER"/00_*.ipynb; do
        [ ! -e "$page" ] || break
    done
    echo "$FOLDER" > "$STATE/folder"
    echo "${page##*/}" > "$STATE/page"
}

start_jupyter() {
    local pid
    # One that an older labkit started shows the project itself.
    if pid=$(running jupyter) && [ ! -e "$STATE/folder" ]; then
        end_process "$pid" 10
    fi
    running jupyter > /dev/null || ! listening "$LAB_PORT" ||
        fail "port $LAB_PORT of 127.0.0.1 is in use by another program: end it, or choose another with \`make lab LAB_PORT=8889\`"
    make_work_folder
    if running jupyter > /dev/null; then
        say "JupyterLab runs already"
        [ "$FOLDER" = "$(work_folder)" ] ||
            say "it shows $(work_folder): \`make stop\` first, and the next \`make lab\` shows $FOLDER"
    else
        make_token
        note_work_folder
        say "starting JupyterLab"
        # A background process of a script ignores ctrl-C, and so would the learner's programs.
        env --default-signal=INT,QUIT setsid bash "$PROJECT/vagrant/jupyter.sh" > "$STATE/jupyter.log" 2>&1 < /dev/null &
        remember jupyter $!
        echo "$LAB_PORT" > "$STATE/port"
        wait_until "$JUPYTER_TIMEOUT_S" jupyter_answers_or_died
        running jupyter > /dev/null ||
            fail "JupyterLab ended at once: $(tail -n 1 "$STATE/jupyter.log") (log: $STATE/jupyter.log)"
    fi
    print_link
    open_browser
}

# In a VM: JupyterLab as a service, so that it is there again after `vagrant halt` and `up`.
enable_jupyter() {
    local shown
    make_work_folder
    make_token
    shown=$(work_folder)
    note_work_folder
    echo "$LAB_PORT" > "$STATE/port"
    install_unit labkit-jupyter labkit-jupyter.service
    systemctl enable --quiet labkit-jupyter
    if [ "$FOLDER" = "$shown" ]; then systemctl start labkit-jupyter; else systemctl restart labkit-jupyter; fi
    wait_until "$JUPYTER_TIMEOUT_S" jupyter_answers_or_failed && jupyter_answers ||
        fail "JupyterLab does not answer: see \`journalctl -u labkit-jupyter\`"
    # The link is Vagrant's to print: only the other side knows the port there.
}

make_token() {
    [ -s "$STATE/token" ] || (umask 077 && head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$STATE/token")
}

jupyter_answers() {
    local line
    exec 3<> "/dev/tcp/127.0.0.1/$LAB_PORT" || return 1
    printf 'GET /api HTTP/1.0\r\n\r\n' >&3
    read -r -t 5 line <&3
    exec 3>&-
    [[ $line == *" 200 "* ]]
} 2> /dev/null

jupyter_answers_or_failed() { systemctl is-failed --quiet labkit-jupyter || jupyter_answers; }

jupyter_answers_or_died() { ! running jupyter > /dev/null || jupyter_answers; }

print_link() {
    URL="http://127.0.0.1:$(cat "$STATE/port")/${LAB_PAGE:-lab/tree/$(cat "$STATE/page")}?token=$(cat "$STATE/token")"
    say "the lab is open: $URL"
}

open_browser() {
    [ "${LAB_OPEN:-1}" != 0 ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || return 0
    command -v xdg-open > /dev/null || return 0
    if ! is_root; then
        xdg-open "$URL" > /dev/null 2>&1 &
    elif [ -n "${SUDO_USER:-}" ]; then # a browser refuses to run as root
        sudo -u "$SUDO_USER" xdg-open "$URL" > /dev/null 2>&1 &
    fi
}

# install_unit NAME FILE: write the unit with this lab's places filled in, if it differs
install_unit() {
    local text name value
    text=$(cat "$PROJECT/vagrant/$2")
    for name in PROJECT VENV STATE LABKIT_ROOT LABKIT_RUN LAB_IP LAB_PORT; do
        # systemd.unit(5): a percent sign begins a specifier.
        value=${!name//%/%%}
        text=${text//"@$name@"/"$value"}
    done
    [ "$text" != "$(cat "$UNITS/$1.service" 2>/dev/null)" ] || return 0
    mkdir -p "$UNITS"
    echo "$text" > "$UNITS/$1.service"
    "${SYSTEMCTL[@]}" daemon-reload
}

remove_unit() {
    [ -e "$UNITS/$1.service" ] || return 0
    "${SYSTEMCTL[@]}" disable --quiet --now "$1" || true
    rm "$UNITS/$1.service"
    "${SYSTEMCTL[@]}" daemon-reload
}

stop() {
    local pid containers
    if pid=$(running jupyter); then
        say "ending JupyterLab"
        end_process "$pid" 10
        give_work_folder
    fi
    rm -f "$STATE/jupyter.pid" "$STATE/port"
    # One that was killed has left its pid file, and perhaps containers, links and rules of nftables:
    # the next one finds them, and ends them as its own.
    if [ -e "$LABKIT_RUN/labkitd.pid" ] && ! labkitd_runs; then
        "$COMMAND" info > /dev/null 2>&1 || true
    fi
    if labkitd_runs; then
        containers=$("$COMMAND" ps -q)
        if [ -n "$containers" ]; then
            say "stopping containers: $(echo $containers)"
            # shellcheck disable=SC2086
            "$COMMAND" stop $containers > /dev/null
        fi
        say "ending labkitd"
        if has_systemd && "${SYSTEMCTL[@]}" is-active --quiet labkitd; then
            "${SYSTEMCTL[@]}" stop labkitd
        else
            end_process "$(cat "$LABKIT_RUN/labkitd.pid")" 20
        fi
    fi
}

# Root's JupyterLab has made files of root there: they belong to the person who called sudo.
give_work_folder() {
    [ ! -d "$(work_folder)" ] || "$PYTHON" -P -m labkit.course.handout.person "$(work_folder)" || true
}

# cgroup_parent: the name of the engine's groups, which follows from its data root
cgroup_parent() {
    "$PYTHON" -P -c 'import sys; from labkit.ownership import cgroup_parent as name; print(name(sys.argv[1]))' \
        "$LABKIT_ROOT" 2> /dev/null || echo "${LABKIT_CGROUP_PARENT:-labkit}"
}

clean() {
    local parent folder pages
    parent=$(cgroup_parent)
    pages=$(work_folder)
    stop
    if has_systemd; then
        remove_unit labkit-jupyter
        remove_unit labkitd
    fi
    if is_root; then
        ! has_systemd || bash "$PROJECT/vagrant/machine.sh" remove
        [ ! -x "$PYTHON" ] || "$PYTHON" -P -m labkit.networks.undoing ||
            say "links or rules of labkit's networks were left; a restart of the machine removes them"
    fi
    say "removing images, containers, the Python environment and the lab's state"
    unmount_root
    remove_root
    for folder in "$LABKIT_RUN" "$VENV" "$STATE"; do
        remove "$folder"
    done
    ! grep -q -s -F "#!$PYTHON -I" "$COMMAND" || rm "$COMMAND"
    find /sys/fs/cgroup -depth -type d -path "*/$parent" -uid "$(id -u)" -exec rmdir {} +
    if is_root; then
        take_groups_back
        remove_what_is_of_the_machine
    fi
    find "$PROJECT" -name .git -prune -o -type d \( -name __pycache__ -o -name .pytest_cache \
        -o -name .mypy_cache -o -name .ruff_cache -o -name .hypothesis \) -prune -exec rm -rf {} +
    [ ! -d "$pages" ] || say "your own pages stay: $pages (remove the folder yourself if you do not want them)"
}

# The containers of a user's engine have left files of other owners: only its root removes them.
remove_root() {
    if [ -d "$LABKIT_ROOT" ] && ! is_root; then
        [ -x "$PYTHON" ] ||
            fail "$VENV is not there, without which the files of containers cannot be removed: run \`make lab\`, then \`make clean\`"
        "${as_root_of_engine[@]}" find "$LABKIT_ROOT" -mindepth 1 -delete
        # Its namespaces end with the last process in them.
        wait_until 10 [ ! -e "$LABKIT_RUN/holder.sock" ] || true
    fi
    remove "$LABKIT_ROOT"
}

remove_what_is_of_the_machine() {
    ! getent group labkit > /dev/null || groupdel labkit
    if [ -e /etc/apparmor.d/labkit-default ]; then
        apparmor_parser -R /etc/apparmor.d/labkit-default || true # this kernel may run without it
        rm /etc/apparmor.d/labkit-default
    fi
}

# What `labkit delegate` gave to users; a group with containers stays, for they are not this lab's.
take_groups_back() {
    local uid
    for uid in $(find /sys/fs/cgroup -maxdepth 2 -type d -name 'labkit.user-*' -printf '%f\n' |
        sed 's/^labkit.user-//' | sort -u); do
        PYTHONPATH=$PROJECT /usr/bin/python3 -B -m labkit.cli delegate --undo "$uid" > /dev/null ||
            say "the groups of user $uid were left; \`labkit delegate --undo $uid\` or a restart of the machine removes them"
    done
}

# The storage driver `loop` has mounted a file system on the data root.  labkitd unmounts it when it
# ends, but one that was killed cannot.
unmount_root() {
    grep -q -s '"Inside": true' "$LABKIT_ROOT/storage.json" || return 0
    umount "$LABKIT_ROOT" || fail "$LABKIT_ROOT is in use: end what uses it, and run \`make clean\` again"
}

# remove FOLDER: with all that is in it; a mount point (a volume) stays, and is empty
remove() {
    if mountpoint -q "$1"; then
        find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system {} +
    else
        rm -rf --one-file-system "$1"
    fi
}

# wait_until SECONDS COMMAND...: whether the command succeeds within that time
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

case ${1:-} in
    start-labkitd | start-jupyter | enable-jupyter | stop | clean)
        require_linux
        [ "$1" != enable-jupyter ] || require_root "$1"
        mkdir -p -m 0700 "$STATE"
        "${1//-/_}"
        ;;
    *) fail "lab.sh start-labkitd | start-jupyter | enable-jupyter | stop | clean" ;;
esac
