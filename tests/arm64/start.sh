#!/bin/sh
# Within the arm64 machine: takes the project from its second disk, runs the jobs, passes on what they
# say and their exit status, and switches the machine off.
project=/dev/disk/by-id/virtio-project ports=/dev/virtio-ports
until [ -e "$project" ] && [ -e "$ports/out" ] && [ -e "$ports/status" ]; do sleep 0.5; done
exec > "$ports/out" 2>&1
rm -rf /srv/labkit && mkdir -p /srv/labkit && tar -x -C /srv/labkit -f "$project" &&
    bash /srv/labkit/tests/arm64/inside.sh
echo "$?" > "$ports/status"
systemctl poweroff --no-block
