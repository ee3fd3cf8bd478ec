#!/usr/bin/env bash
# Makes FOLDER the root of a Debian 13 with the programs that the tests and the bench compare with.
#
#   make_root.sh FOLDER       as root; needs mmdebstrap, and 900 MB while it works
#
# The packages come from the mirrors that this machine uses.
set -euo pipefail

PROGRAMS=(
    docker.io docker-cli docker-buildx docker-compose # dockerd 26.1 and its command
    podman crun runc                                  # podman 5.4, crun 1.21, runc 1.1.15
    buildah skopeo                                    # buildah 1.39, skopeo 1.18
    mount procps                                      # for the room they run in, and `docker top`
)
UNREAD=(/usr/share/doc /usr/share/man /usr/share/locale /usr/share/info)

main() {
    local folder=$1 include
    include=$(IFS=, && echo "${PROGRAMS[*]}")
    sources | mmdebstrap --quiet --variant=essential --include="$include" \
        --aptopt='APT::Install-Recommends "false"' "${UNREAD[@]/#/--dpkgopt=path-exclude=}" \
        trixie "$folder" -
}

# sources: this machine's sources of Debian 12 with the name of 13
sources() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 ~ /^bookworm/ && $3 == "main" { sub("bookworm", "trixie", $2); print "deb", $0 }' |
        sort -u
}

main "$@"
