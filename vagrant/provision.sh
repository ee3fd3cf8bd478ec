#!/usr/bin/env bash
# Makes a machine a lab.  One script of steps for `make lab`, `make test` and the Vagrantfile; each
# step looks first and does nothing where nothing is to do.
#
#   provision.sh lab|test|vm     the steps of one purpose
#   provision.sh STEP...         check power packages python kernel command images group apparmor
#                                labkitd jupyter test_packages machine_kernel peers_root
#
# As root, on one of the systems in systems.sh.  `lab` also as an ordinary user: then nothing of the
# machine is changed, and what only an administrator can do is named.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/systems.sh"

declare -A STEPS_FOR=(
    [lab]="check power packages python kernel command images group apparmor labkitd jupyter"
    [test]="check packages test_packages python kernel machine_kernel peers_root"
    [lab_of_a_user]="python kernel command images labkitd jupyter"
    [vm]="check power packages python kernel command images group apparmor swap labkitd
          jupyter_at_boot login"
)

step_check() {
    check_system
    # Debian's smallest has no Python before the packages are installed.
    [ ! -e /usr/bin/python3 ] || check_python
    # A script's first line names its interpreter, and cannot name one with a space.
    [[ $VENV != *[[:space:]]* ]] || fail "there is a space in $VENV: move the project elsewhere"
}

# Before anything is installed: whether any container could run here at all.  The doctor needs a
# Python of the lab's versions; where there is none yet, the kernel is asked by unshare(1).
step_power() {
    if [ "$(/usr/bin/python3 -c 'import sys; print(sys.version_info >= (3, 11))' 2> /dev/null)" = True ]; then
        PYTHONPATH=$PROJECT /usr/bin/python3 -B -m labkit.doctor || fail "nothing was installed"
    elif ! error=$(unshare --mount --uts --ipc --net --pid --fork sh -c \
        'mount -t tmpfs tmpfs /tmp && mknod /tmp/null c 1 3 && : > /tmp/null' 2>&1); then
        fail "no container can run on this machine ($error): start it with the power to make others (\`docker run --privileged ...\`), or run \`vagrant up\` on your own computer; nothing was installed"
    fi
}

# What an ordinary user must have before anything is made.
require_power_of_a_user() {
    local missing
    step_check
    check_places
    missing=$(missing_packages "${LAB_PACKAGES[@]}")
    # Either program is a cable.
    ! command -v slirp4netns > /dev/null || missing=$(grep -v -x passt <<< "$missing" || true)
    [ -z "$missing" ] ||
        fail "nothing was made, because Debian packages are missing, which an administrator installs: sudo apt-get install -y --no-install-recommends $(echo $missing)"
    step_power
}

# A user's lab is in folders of that user.
check_places() {
    local folder place
    [ "$LABKIT_RUN" = /run/labkit ] || [ ! -w /run/labkit/labkit.sock ] ||
        fail "you may use the engine of this machine (you are in the group labkit), and the command labkit takes that one: for an engine of your own, name its folders: make lab LABKIT_ROOT=... LABKIT_RUN=... "
    for folder in "$STATE" "$VENV" "${LAB_FOLDER:-$HOME}" "$LABKIT_ROOT" "$LABKIT_RUN" "${COMMAND%/*}"; do
        place=$folder
        until [ -e "$place" ]; do place=$(dirname "$place"); done
        [ -d "$place" ] && [ -w "$place" ] ||
            fail "$(id -un 2> /dev/null || id -u) may not write in $place, where $folder belongs: clone the project into your home and see that HOME names it, or become root: sudo make lab"
    done
}

step_packages() { install_packages "Debian packages" "${LAB_PACKAGES[@]}"; }

step_test_packages() { install_packages "Debian packages for the tests" "${TEST_PACKAGES[@]}"; }

# install_packages WHAT PACKAGE...
install_packages() {
    local what=$1 missing
    shift
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    need_space /var/cache 600 "Debian packages"
    say "$what: installing $(echo $missing)"
    without_services
    # What a machine that was switched off in the middle has left half done.
    dpkg --configure -a > "$STATE/apt.log" 2>&1 || true
    apt-get update >> "$STATE/apt.log" 2>&1 || true # what is missing then, install will say
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o APT::Status-Fd=3 -o DPkg::Lock::Timeout=120 $missing \
        3>&1 >> "$STATE/apt.log" 2>&1 < /dev/null | apt_percent | progress ||
        fail "apt-get could not install the packages: $(reason apt.log "E: ")"
}

# The virtual machine of chapter 1 boots a kernel of its own.  Where the system has none (in a
# container, say) its image is taken out of Debian's package, which is not installed: that would
# make the system one that boots.
step_kernel() {
    local kernels=$VENV/share/labkit/boot
    # Ubuntu's own may be read by root alone.
    [ -z "$(find /boot "$kernels" -maxdepth 1 -name 'vmlinuz-*' -readable 2> /dev/null)" ] || return 0
    say "kernel: fetching one for the virtual machine of chapter 1"
    if is_root; then
        bring_kernel "$kernels"
    else # cannot read the lists of packages again
        (bring_kernel "$kernels") || say "so chapter 1 has no virtual machine; the rest of the lab is whole"
    fi
}

# bring_kernel FOLDER: the system's own kernel for virtual machines
bring_kernel() {
    local meta=linux-image-cloud-$ARCHITECTURE
    [ "${SYSTEM%:*}" = debian ] || meta=linux-image-virtual
    fetch_kernel "$meta" './boot/vmlinuz-*'
    install -D -m 0644 -t "$1" "$fetched"/boot/vmlinuz-*
    rm -rf "$fetched"
}

# The machine of the tests (tests/machine) wants more of a kernel than the cloud's has: 9p, and
# modules for all that containers need.  Of the others it has no use.
step_machine_kernel() {
    local place=$VENV/share/labkit/machine meta=linux-image-$ARCHITECTURE release
    ! (cd "$PROJECT" && "$PYTHON" -m tests.machine.kernels) 2> /dev/null || return 0
    [ "${SYSTEM%:*}" = debian ] || meta=linux-image-generic
    need_space "$(dirname "$VENV")" 700 "a kernel and its modules"
    say "kernel: fetching one for the machine of the tests"
    fetch_kernel "$meta" './boot/vmlinuz-*' '*/lib/modules/*/modules.*' \
        '*/lib/modules/*/kernel/'{arch,block,crypto,fs,lib,net}'/*' \
        '*/lib/modules/*/kernel/drivers/'{block,char,net,virtio}'/*'
    release=$(ls "$fetched/lib/modules")
    depmod -b "$fetched" "$release"
    rm -rf "$place" && mkdir -p "$place"
    cp -r "$fetched"/boot "$fetched"/lib/modules "$place"
    rm -rf "$fetched"
}

# The tests and the bench compare labkit with the programs of Debian 13.  On Debian 12 these run from
# a root folder of their own (bench/systems.py).  It keeps the script that made it: another script
# makes another root.
step_peers_root() {
    local place=$VENV/share/labkit/peers script=$PROJECT/tests/peers/make_root.sh
    [ "$SYSTEM" = debian:12 ] || return 0
    ! cmp -s "$script" "$place/made_by.sh" || return 0
    need_space "$(dirname "$VENV")" 1200 "a Debian 13 with the programs that labkit is compared with"
    say "peers: making a Debian 13 with the programs that labkit is compared with"
    rm -rf --one-file-system "$place" "$place.new"
    mkdir -p "$(dirname "$place")"
    bash "$script" "$place.new" > "$STATE/peers.log" 2>&1 ||
        { rm -rf --one-file-system "$place.new" &&
            fail "mmdebstrap could not make the root of the peers: $(reason peers.log "E: ")"; }
    cp "$script" "$place.new/made_by.sh"
    mv "$place.new" "$place"
}

# fetch_kernel PACKAGE PATTERN...: unpack what matches, of the image that PACKAGE names and of the
# modules that Ubuntu keeps in a package beside it, into the new folder $fetched
fetch_kernel() {
    local image package
    fetched=$(mktemp -d)
    apt-get update > "$STATE/kernel.log" 2>&1 || true # what is missing then, the download will say
    image=$(apt-cache depends "$1" | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
    shift
    for package in "$image" "${image/image/modules}"; do
        apt-cache show "$package" > /dev/null 2>&1 || [ "$package" = "$image" ] || continue
        (cd "$fetched" && apt-get -o APT::Sandbox::User=root download "$package" &&
            dpkg-deb --fsys-tarfile "$package"_*.deb > tar && rm "$package"_*.deb) >> "$STATE/kernel.log" 2>&1 ||
            { rm -rf "$fetched" && fail "apt-get could not fetch a kernel: $(reason kernel.log "E: ")"; }
        # One of the two need not hold all that is wanted.  Since Debian 13 the modules are in
        # usr/lib; depmod and the tests look in lib.
        tar -x -C "$fetched" --transform 's,^\./usr/lib/,./lib/,' --wildcards -f "$fetched/tar" "$@" \
            >> "$STATE/kernel.log" 2>&1 || true
        rm "$fetched/tar"
    done
    compgen -G "$fetched/boot/vmlinuz-*" > /dev/null ||
        { rm -rf "$fetched" && fail "there is no kernel in the package $image (log: kernel.log)"; }
}

# Programs are wanted, not the services that Debian starts with some of them (the tests need the
# command of docker.io, not a dockerd): policy-rc.d is its way to say so.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    # shellcheck disable=SC2064
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 0755 "$policy"
}

# apt_percent: apt's own status lines as "PERCENT TEXT": fetching is the first half
apt_percent() {
    local kind percent text
    while IFS=: read -r kind _ percent text; do
        case $kind in
            dlstatus) echo "$((${percent%.*} / 2)) $text" ;;
            pmstatus) echo "$((50 + ${percent%.*} / 2)) $text" ;;
        esac
    done
}

step_python() {
    local stamp
    check_python
    stamp=$(cat "$PROJECT/requirements.lock" "$PROJECT/pyproject.toml" <(echo "$VENV") | sha256sum)
    if [ "$stamp" != "$(cat "$VENV/labkit.stamp" 2>/dev/null)" ]; then
        need_space "$(dirname "$VENV")" 1000 "the Python environment"
        say "Python environment: installing what requirements.lock pins into $VENV"
        # An installation that was cut off may look whole to pip: then it begins again.
        [ ! -e "$VENV/labkit.incomplete" ] || rm -rf --one-file-system "$VENV"
        mkdir -p "$VENV" && : > "$VENV/labkit.incomplete"
        install_lock 2>&1 | progress || fail "pip could not install the packages: $(reason pip.log "ERROR: ")"
        sync -f "$VENV"
        echo "$stamp" > "$VENV/labkit.stamp"
        rm "$VENV/labkit.incomplete"
    fi
    # Written here because the environment may forbid Python to write it when it imports.
    "$PYTHON" -m compileall -q "$PROJECT/labkit"
}

# install_lock: says "PERCENT TEXT" as it goes.  Called where `set -e` does not reach.
install_lock() {
    local pip=("$PYTHON" -m pip --no-input --disable-pip-version-check install --no-compile)
    export PYTHONUNBUFFERED=1 PIP_ROOT_USER_ACTION=ignore
    # The setuptools of Debian 12's venv would make every start of Python 0.3 ms longer.
    /usr/bin/python3 -m venv "$VENV" &&
        "$PYTHON" -m pip --disable-pip-version-check uninstall --yes setuptools > "$STATE/pip.log" 2>&1 &&
        "${pip[@]}" --require-hashes --only-binary :all: -r "$PROJECT/requirements.lock" 2>&1 < /dev/null |
        tee "$STATE/pip.log" | pip_percent &&
        "${pip[@]}" --no-deps --no-build-isolation -e "$PROJECT" >> "$STATE/pip.log" 2>&1 < /dev/null ||
        return 1
    echo "80 Compiling"
    # A package may hold files for other Pythons, which do not compile.
    "$PYTHON" -m compileall -q -j 0 "$VENV/lib" >> "$STATE/pip.log" 2>&1 || true
}

# pip_percent: pip's words as "PERCENT TEXT"
pip_percent() {
    local line total collected=0
    total=$(grep -c == "$PROJECT/requirements.lock")
    while read -r line; do
        case $line in
            Collecting* | Requirement*) echo "$((++collected * 60 / total)) ${line%% (*}" ;;
            Installing*) echo "60 Unpacking" ;;
        esac
    done
}

# The command for every shell.
step_command() {
    local text
    text=$(command_text)
    mkdir -p "${COMMAND%/*}"
    if [ -e "$COMMAND" ] && ! grep -q "^# labkit's command" "$COMMAND"; then
        fail "$COMMAND is there and is not labkit's: move it away first"
    fi
    [ "$text" = "$(cat "$COMMAND" 2>/dev/null)" ] || { echo "$text" > "$COMMAND" && chmod 0755 "$COMMAND"; }
    [[ :$PATH: == *:${COMMAND%/*}:* ]] ||
        say "${COMMAND%/*} is not in your PATH: log in again, or: export PATH=${COMMAND%/*}:\$PATH"
}

step_images() {
    mkdir -p "$(dirname "$LABKIT_ROOT")"
    [ -d "$LABKIT_ROOT/images" ] || need_space "$(dirname "$LABKIT_ROOT")" 1000 "the images"
    if is_root; then
        make_images busybox debian
    else # Debian's packages want a network and several users
        make_images busybox
        make_images debian || say "so the lab has no image debian; \`make lab\` tries again"
    fi
}

make_images() {
    "${as_root_of_engine[@]}" "$PYTHON" -m labkit.images.base "$@" --root "$LABKIT_ROOT" < /dev/null
}

step_group() {
    getent group labkit > /dev/null || groupadd --system labkit
    ! id -u vagrant > /dev/null 2>&1 || usermod -aG labkit vagrant
}

# Where the kernel runs AppArmor, and its programs are there (as on Debian and Ubuntu), containers are
# confined by a profile of labkit's own.
step_apparmor() {
    [ -d /sys/kernel/security/apparmor ] && command -v apparmor_parser > /dev/null || return 0
    install -m 0644 "$PROJECT/vagrant/labkit-default" /etc/apparmor.d/labkit-default
    apparmor_parser -r -W /etc/apparmor.d/labkit-default
}

step_swap() { bash "$PROJECT/vagrant/machine.sh" swap; }

step_login() { bash "$PROJECT/vagrant/machine.sh" login; }

step_labkitd() { bash "$PROJECT/vagrant/lab.sh" start-labkitd; }

step_jupyter() { bash "$PROJECT/vagrant/lab.sh" start-jupyter; }

step_jupyter_at_boot() { bash "$PROJECT/vagrant/lab.sh" enable-jupyter; }

# need_space FOLDER MEGABYTES WHAT
need_space() {
    local free
    free=$(df --output=avail -BM "$1" | tail -n 1 | tr -dc 0-9)
    [ "$free" -ge "$2" ] ||
        fail "$3 needs $2 MB, but only $free MB are free where $1 lies: make room and try again"
}

# reason LOG MARK: the most telling line of a log, as the end of a sentence
reason() {
    local log=$STATE/$1
    if grep -q -i -E 'temporary failure resolving|could not resolve|unreachable|NewConnectionError|failed to establish' "$log"; then
        echo "the network does not reach the package servers (log: $log)"
    else
        echo "$(grep -F "$2" "$log" | head -n 1 | sed "s/^$2//") (log: $log)"
    fi
}

main() {
    local step
    [ $# -gt 0 ] || fail "say what to make: lab, test, vm, or names of steps"
    if [ "$*" = lab ] && require_linux && ! is_root; then
        require_power_of_a_user
        set -- ${STEPS_FOR[lab_of_a_user]}
    else
        [ -z "${STEPS_FOR[$1]:-}" ] || { require_root "$1" && set -- ${STEPS_FOR[$1]}; }
        require_root lab
    fi
    mkdir -p -m 0700 "$STATE"
    # Two at once would trip over each other in apt and pip; daemons must not keep the lock.
    exec 9> "$STATE/lock"
    flock -n 9 || { say "another run is at work here: waiting for it" && flock 9; }
    for step; do
        declare -F "step_$step" > /dev/null || fail "there is no step named $step"
        "step_$step" 9>&-
    done
}

main "$@"
