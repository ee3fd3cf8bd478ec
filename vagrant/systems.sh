# Sourced by provision.sh: which systems the lab is made for, and what each calls the packages.
# shellcheck shell=bash

LAB_PACKAGES=(
    python3-venv                  # the virtual environment
    busybox-static mmdebstrap     # the base images busybox and debian
    debian-archive-keyring        # whom mmdebstrap trusts, also on Ubuntu
    iproute2 nftables             # networks
    libseccomp2                   # the filter of system calls
    uidmap passt                  # user namespaces, and the network of an engine without root
    tini                          # `run --init`
    e2fsprogs mount               # `labkit lab-disk`
    procps                        # `labkit top`
)
TEST_PACKAGES=(
    git
    docker.io                     # dockerd, and the real `docker` against labkit's socket
    skopeo umoci zstd             # other programs that read and write images
    buildah                       # another builder
    podman docker-registry openssl # the registry's peers, and certificates
    openssh-client                # ssh-agent, for `RUN --mount=type=ssh`
    kmod                          # modules for the machine with cgroup v2
    iptables ufw firewalld dbus-daemon # firewalls of others
    slirp4netns                   # the other cable of an engine without root
    crun iperf3                   # for `make bench`: a peer, and how fast networks are
)

# The tests' packages whose names differ: docker's commands, and the browser for the pages
# (Ubuntu has no Chromium but as a snap: the tests of pages say there that they need one).
declare -A TEST_PACKAGES_OF=(
    [debian:12]="docker-compose chromium chromium-driver"
    [debian:13]="docker-cli docker-compose docker-buildx chromium chromium-driver"
    [ubuntu:24.04]="docker-compose-v2 docker-buildx"
    [ubuntu:26.04]="docker-compose-v2 docker-buildx"
)
declare -A SYSTEM_OF_CODENAME=(
    [bookworm]=debian:12 [trixie]=debian:13 [noble]=ubuntu:24.04 [resolute]=ubuntu:26.04
)
declare -A NEWEST=([debian]=debian:13 [ubuntu]=ubuntu:26.04)
declare -A QEMU=([amd64]=qemu-system-x86 [arm64]=qemu-system-arm) # chapter 1's virtual machine

# find_system: sets SYSTEM (the one in the table above whose packages this machine has, or nothing),
# SYSTEM_NAME (as it calls itself) and SYSTEM_IS_KNOWN (whether it is that one, and no relative).
# Reads os-release(5): a relative names its origin's codename or, in ID_LIKE, its family.
find_system() {
    local ID='' ID_LIKE='' NAME='' VERSION_ID='' PRETTY_NAME='' VERSION_CODENAME='' family
    local DEBIAN_CODENAME='' UBUNTU_CODENAME=''
    . /etc/os-release
    SYSTEM_NAME=${PRETTY_NAME:-${NAME:-$ID} ${VERSION_ID:-(no version)}}
    SYSTEM=$ID:$VERSION_ID
    SYSTEM_IS_KNOWN=yes
    [ -z "${TEST_PACKAGES_OF[$SYSTEM]:-}" ] || return 0
    SYSTEM_IS_KNOWN=
    SYSTEM=${SYSTEM_OF_CODENAME[${UBUNTU_CODENAME:-${DEBIAN_CODENAME:-${VERSION_CODENAME:-none}}}]:-}
    for family in $ID $ID_LIKE; do
        SYSTEM=${SYSTEM:-${NEWEST[$family]:-}}
    done
}

# check_system: refuses a system without the packages; warns of a relative of those in the table
check_system() {
    local made_for="Debian 12 and 13, Ubuntu 24.04 and 26.04" unknown
    local way_out="\`vagrant up\` makes the lab in a virtual machine with Debian"
    [ -n "$SYSTEM" ] || fail "the lab is made for $made_for, this is $SYSTEM_NAME: $way_out"
    [ -n "${QEMU[$ARCHITECTURE]:-}" ] ||
        fail "the lab is made for amd64 (x86-64) and arm64, this system is $ARCHITECTURE"
    [ -z "$SYSTEM_IS_KNOWN" ] || return 0
    unknown=$(unknown_packages "${LAB_PACKAGES[@]}")
    [ -z "$unknown" ] ||
        fail "the lab is made for $made_for, this is $SYSTEM_NAME, and its apt does not know $unknown: $way_out"
    say "the lab is made for $made_for, this is $SYSTEM_NAME: going on with the packages of ${SYSTEM/:/ }" >&2
}

# check_python: refuses a Python for which there are no wheels
check_python() {
    local version
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [[ " ${PYTHONS[*]} " == *" $version "* ]] ||
        fail "/usr/bin/python3 is Python $version, the lab needs ${PYTHONS[0]} to ${PYTHONS[-1]}: \`vagrant up\` makes the lab in a virtual machine with Debian"
}

# missing_packages PACKAGE...: those that are not installed
missing_packages() {
    comm -23 <(printf '%s\n' "$@" | sort) \
        <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2> /dev/null | sed -n 's/^ii //p' | sort)
}

# unknown_packages PACKAGE...: those that are not installed and that apt does not know
unknown_packages() {
    local missing package
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    apt-get update > "$STATE/apt.log" 2>&1 || true # a package that is not known then is reported
    for package in $missing; do
        apt-cache show "$package" > /dev/null 2>&1 || printf '%s ' "$package"
    done | sed 's/ $//'
}

ARCHITECTURE=$(dpkg --print-architecture 2> /dev/null) || ARCHITECTURE=unknown
find_system
LAB_PACKAGES+=(${QEMU[$ARCHITECTURE]:-})
TEST_PACKAGES+=(${TEST_PACKAGES_OF[${SYSTEM:-none}]:-})
