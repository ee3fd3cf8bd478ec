"""labkit where the machine is a container itself: its root is an overlay, and it may lack power.

The container is made by hand here, of this machine's own files: a mount namespace whose root is an
overlay, with its own PID and network namespaces, so that all ends with its first process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks
from tests.lab import PROJECT

pytestmark = pytest.mark.root

ENTER = """
set -e
cd "$FOLDER"
mkdir lower upper work root
mount --bind / lower
mount -t overlay overlay -o "lowerdir=lower,upperdir=upper,workdir=work" root
for path in /dev /sys $MOUNTED; do mkdir -p "root$path"; mount --rbind "$path" "root$path"; done
mount -t proc proc root/proc
mount -t tmpfs tmpfs root/run
mkdir root/old
cd root
pivot_root . old
umount -l /old
ip link set lo up
cd "$PROJECT"
mkdir -p /var/lib/inside
"""
FINISH = """
labkit ps -q > /dev/null
kill $(cat "$LABKIT_RUN/labkitd.pid")
while [ -e "$LABKIT_RUN/labkitd.pid" ]; do sleep 0.05; done
mountpoint -q "$LABKIT_ROOT" && echo mounted || echo unmounted
groups=$(find /sys/fs/cgroup -depth -type d -name "$LABKIT_CGROUP_PARENT")
[ ! "$groups" ] || rmdir $groups 2> /dev/null || true
"""
HIDE_LOOPS = "mount --bind /dev/null /dev/loop-control"
READ_ONLY_GROUPS = """
while read -r _ _ _ _ point _; do
    case $point in /sys/fs/cgroup*) mount -o remount,bind,ro "$point" ;; esac
done < /proc/self/mountinfo
"""
IMAGE = "python -m labkit.images.base busybox > /dev/null"


@pytest.fixture
def folder() -> Iterator[str]:
    made = leaks.new_folder()
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", made], check=True)


def inside(folder: str, *script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as a container's first process; `labkit` and `python` are commands."""
    python = f"{sys.executable} -P"
    commands = f'labkit() {{ {python} -m labkit.cli "$@"; }}; python() {{ {python} "$@"; }}'
    mounted = {str(PROJECT), sys.prefix, os.path.realpath(sys.base_prefix)}
    # What is a mount of its own is not to be seen through an overlay on the root.
    devices = {path: os.stat(path).st_dev for path in mounted}
    elsewhere = [path for path, device in devices.items() if device != os.stat("/").st_dev]
    environment = os.environ | {
        "FOLDER": folder,
        "PROJECT": str(PROJECT),
        "MOUNTED": " ".join(elsewhere),
        "PYTHONPATH": str(PROJECT),
        "LABKIT_ROOT": "/var/lib/inside/root",
        "LABKIT_RUN": "/run/inside",
        "LABKIT_CGROUP_PARENT": f"labkit-{os.path.basename(folder)}",
        "LABKIT_LINK_PREFIX": "lkin",
    }
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"),
            *("--propagation", "private", "bash", "-c", "\n".join([ENTER, commands, *script])),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_loop_driver_is_chosen_on_an_overlay(folder: str) -> None:
    result = inside(
        folder,
        IMAGE,
        "labkit info --format '{{.Driver}}' 2> /dev/null",
        "labkit run --network none --name one busybox sh -c 'echo hi > /kept; cat /kept'",
        'kill -KILL $(cat "$LABKIT_RUN/labkitd.pid")',
        "labkit start one && labkit wait one && labkit logs one && labkit rm one",
        FINISH,
    )
    assert result.stdout.split() == [*("loop", "hi", "one", "0", "hi", "hi", "one", "unmounted")], (
        result.stderr
    )
    files = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert not [file for file in files if "/var/lib/inside/root/" in file]


def test_copies_are_chosen_without_loop_devices(folder: str) -> None:
    result = inside(
        folder,
        HIDE_LOOPS,
        IMAGE,
        "labkit info --format '{{.Driver}}' 2> /dev/null",
        "labkit run --network none --name one busybox sh -c 'rm /bin/vi; echo hi'",
        "labkit commit one two > /dev/null",
        "labkit run --network none --rm two ls /bin/vi || echo gone",
        "labkit doctor | grep 'storage driver'",
        FINISH,
    )
    words = result.stdout.split()
    assert words[:3] == ["copies", "hi", "gone"], result.stderr
    assert "limited storage driver copies:" in " ".join(words)


def test_limits_are_discarded_where_groups_cannot_be_written(folder: str) -> None:
    result = inside(
        folder,
        READ_ONLY_GROUPS,
        IMAGE,
        "labkit run --network none --rm -m 64m --pids-limit 20 busybox echo hi",
        FINISH,
    )
    assert "hi" in result.stdout.split(), result.stderr
    assert "memory limit capabilities or the cgroup is not mounted" in result.stderr
    assert "PIDs limit discarded" in result.stderr


def test_a_root_keeps_its_driver_when_it_cannot_be_had(folder: str) -> None:
    """A container that is started again without loop devices must not find an empty root."""
    result = inside(
        folder,
        IMAGE,
        HIDE_LOOPS,
        "labkit info || true",
    )
    assert "was made with the storage driver loop" in result.stderr
    assert "--privileged" in result.stderr


POWERLESS = """
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-sys_admin --inh-caps=-all "$@"
"""
"""Neither CAP_SYS_ADMIN nor a user namespace in which there would be one."""


def test_without_power_nothing_is_installed(tmp_path: Path) -> None:
    began = time.monotonic()
    result = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "sh", "-c", POWERLESS, "sh"),
            *("bash", str(PROJECT / "vagrant/provision.sh"), "power", "packages"),
        ],
        env=os.environ | {"LABKIT_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - began
    assert result.returncode == 1
    assert "no container can run on this machine; it lacks:" in result.stderr
    assert "user.max_user_namespaces is 0" in result.stderr
    assert "--privileged" in result.stderr
    assert "vagrant up" in result.stderr
    assert "nothing was installed" in result.stderr
    assert result.stdout == ""
    # Seen here: 0.4 s on an idle machine.
    assert took_s < 5


def test_with_power_it_says_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        ["bash", str(PROJECT / "vagrant/provision.sh"), "power"],
        env=os.environ | {"LABKIT_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
