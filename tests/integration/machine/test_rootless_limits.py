"""The limits of an engine without root: in groups that root gave to its user, and only there."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from labkit.cgroups.given import PREFIX
from labkit.doctor.checks_programs import find
from tests import leaks
from tests.lab import PROJECT
from tests.rootless import way_to_project

pytestmark = pytest.mark.root

FIRST_SUBORDINATE = 3_000_000_000
AS_USER = """
mount --make-rprivate /
eval "$5"
printf '%s' "$1" > "$2/subid"
(cat /etc/passwd; printf '%s' "$4") > "$2/passwd"
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/subid" /etc/subuid
mount --bind "$2/subid" /etc/subgid
uid=$3
folder=$2
shift 5
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    --inh-caps=+dac_read_search --ambient-caps=+dac_read_search \
    env -u LABKIT_CGROUP_PARENT HOME="$folder/own" XDG_RUNTIME_DIR="$folder/own/run" \
    LABKIT_ROOT="$folder/own/root" LABKIT_RUN="$folder/own/run/labkit" "$@"
"""
"""A user with these lines of /etc/subuid and /etc/passwd, in mounts of its own."""


class User:
    """An ordinary user of this machine, with a home and perhaps subordinate ids."""

    def __init__(self, folder: Path, ids: int = 65536) -> None:
        self.uid = 61_000 + os.getpid() % 4000
        self.home = folder / "own"
        self.folder = folder
        self.subid = f"{self.uid}:{FIRST_SUBORDINATE}:{ids}\n" if ids else ""
        (self.home / "run").mkdir(parents=True)
        self.passwd = f"labkit-test:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n"
        subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", self.home], check=True)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = ["unshare", "--mount", "sh", "-c", AS_USER, "-", self.subid, str(self.folder)]
        done = subprocess.run(
            [*words, str(self.uid), self.passwd, way_to_project(str(self.folder)), *command],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def labkit(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        if words[0] == "run":
            self.load()
        return self.run(sys.executable, "-P", "-m", "labkit.cli", *words, check=check)

    def load(self) -> None:
        """Have the engine import an image with busybox, once."""
        archive = self.folder / "busybox.tar"
        if archive.exists():
            return
        with tarfile.open(archive, "w") as tar:
            tar.add(find("busybox"), "bin/busybox")
            for name in ("sh", "cat", "dd", "id", "sleep", "true"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        self.labkit("import", str(archive), "busybox")

    def groups(self) -> list[str]:
        found = os.listdir("/sys/fs/cgroup")
        every = (f"/sys/fs/cgroup/{name}/{PREFIX}{self.uid}" for name in (*found, "."))
        return [folder for folder in every if os.path.isdir(folder)]

    def end(self) -> None:
        """End what this user runs, containers and the holder as well; none is another's."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + 5
            while self.pids() and time.monotonic() < deadline:
                time.sleep(0.02)

    def pids(self) -> list[int]:
        own = {self.uid, *range(FIRST_SUBORDINATE, FIRST_SUBORDINATE + 1)}
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                status = Path(f"/proc/{name}/status").read_text()
                uid = int(status.partition("\nUid:")[2].split()[0])
                if uid in own and "\nState:\tZ" not in status:
                    found.append(int(name))
        return found


def delegate(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "labkit.cli", "delegate", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=check)


@pytest.fixture
def user() -> Iterator[User]:
    folder = Path(leaks.new_folder())
    folder.chmod(0o755)
    user = User(folder)
    yield user
    user.end()
    delegate("--undo", str(user.uid), check=False)
    assert user.groups() == []
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


needs_v1 = pytest.mark.skipif(
    os.path.exists("/sys/fs/cgroup/cgroup.controllers"), reason="the folders are those of v1"
)


@needs_v1
def test_limits_hold_in_the_groups_that_were_given(user: User) -> None:
    given = delegate(str(user.uid)).stdout
    assert f"gave /sys/fs/cgroup/memory/{PREFIX}{user.uid}" in given
    assert "devices" not in given
    read = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us"
    options = ("-m", "64m", "--pids-limit", "20", "--cpus", "0.5")
    ran = user.labkit("run", "--rm", *options, "busybox", "sh", "-c", read)
    assert ran.stdout.split() == [str(64 << 20), "20", "50000"]
    assert ran.stderr == ""
    hungry = ("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    killed = user.labkit("run", "--rm", "-m", "32m", "busybox", *hungry, check=False)
    assert killed.returncode == 137
    forks = "for i in 1 2 3 4 5 6 7 8; do sleep 9 & done; echo all"
    refused = user.labkit(
        "run", "--rm", "--pids-limit", "4", "busybox", "sh", "-c", forks, check=False
    )
    assert "all" not in refused.stdout
    user.labkit("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000")
    user.labkit("pause", "sleeper")
    assert "(Paused)" in user.labkit("ps").stdout
    user.labkit("unpause", "sleeper")

    in_use = delegate("--undo", str(user.uid), check=False)
    assert in_use.returncode == 1
    assert "stop the containers" in in_use.stderr
    user.labkit("rm", "-f", "sleeper")
    assert "removed" in delegate("--undo", str(user.uid)).stdout
    assert user.groups() == []


@needs_v1
def test_without_groups_limits_are_discarded_with_a_word_and_one_command(user: User) -> None:
    ran = user.labkit("run", "--rm", "-m", "32m", "busybox", "true")
    assert "Limitation discarded" in ran.stderr
    log = (user.home / "run/labkit/labkitd.log").read_text()
    assert log.count("owns no cgroups for") == 1
    assert "`sudo labkit delegate labkit-test`" in log
    user.labkit("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000")
    assert user.labkit("pause", "sleeper", check=False).returncode == 1


@needs_v1
def test_giving_twice_changes_nothing_and_the_limits_of_all_stay_roots(user: User) -> None:
    delegate(str(user.uid))
    assert "gave" not in delegate(str(user.uid)).stdout
    for folder in user.groups():
        assert not os.path.exists(f"{folder}/devices.deny")
        owners = {name: os.stat(f"{folder}/{name}").st_uid for name in os.listdir(folder)}
        users = {name for name, uid in owners.items() if uid == user.uid}
        assert users == {"cgroup.procs", "tasks"}
        assert os.stat(folder).st_uid == user.uid


@needs_v1
def test_a_folder_of_another_user_is_refused(user: User) -> None:
    folder = f"/sys/fs/cgroup/pids/{PREFIX}{user.uid}"
    os.mkdir(folder)
    try:
        os.chown(folder, user.uid + 1, -1)
        refused = delegate(str(user.uid), check=False)
    finally:
        os.rmdir(folder)
    assert refused.returncode == 1
    assert "belongs to another user" in refused.stderr
    assert user.groups() == []


@pytest.mark.parametrize("name", ["root", "0", "no-such-user"])
def test_only_ordinary_users_are_given_groups(name: str) -> None:
    refused = delegate(name, check=False)
    assert refused.returncode == 1
    assert "root has all groups" in refused.stderr or "no user" in refused.stderr


def test_a_user_cannot_give_groups(user: User) -> None:
    refused = user.labkit("delegate", str(user.uid), check=False)
    assert refused.returncode == 1
    assert "use sudo" in refused.stderr
    assert user.groups() == []


@pytest.mark.parametrize("ids", [0, 1, 5], ids=["none", "one", "five"])
def test_a_user_with_few_ids_has_containers(user: User, ids: int) -> None:
    user.subid = f"{user.uid}:{FIRST_SUBORDINATE}:{ids}\n" if ids else ""
    ran = user.labkit("run", "--rm", "-t", "busybox", "id", "-u")
    assert ran.stdout.strip() == "0"


def test_a_user_without_a_name_has_containers_with_one_user(user: User) -> None:
    user.passwd = ""
    assert user.labkit("run", "--rm", "busybox", "id", "-u").stdout.strip() == "0"


def test_a_run_folder_of_another_user_is_refused(user: User) -> None:
    shared = user.folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    refused = user.labkit("--run", str(shared), "info", check=False)
    assert refused.returncode == 1
    assert "belongs to user 0" in refused.stderr
    assert os.listdir(shared) == []


def test_a_home_that_cannot_be_written_is_named(user: User) -> None:
    refused = user.labkit("--run", "/usr/labkit-run", "info", check=False)
    assert refused.returncode == 1
    assert "LABKIT_RUN" in refused.stderr
