"""An ordinary user of this machine with subordinate ids, who runs an engine without root.

with RootlessUser() as user:
    assert user.cli("run", "--rm", "busybox", "id", "-u").stdout == "0\n"

Each command runs in mounts of its own: there the user is in /etc/passwd, and /dev/net/tun is open
to it, as it is under systemd.  All its processes are ended when this is over.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import leaks
from tests.oracle import image_archive

PATIENCE_S = 10.0
SUBORDINATE = 65536
_FIRST_UID = 20000
_FIRST_SUBORDINATE = 1 << 30
_ENTER = """set -eu
mount --make-rprivate /
for name in passwd group subuid subgid; do mount --bind "$1/etc/$name" "/etc/$name"; done
if [ -n "$3" ]; then mount -t tmpfs tmpfs /dev/net; mknod -m "$3" /dev/net/tun c 10 200; fi
uid=$2; shift 3
exec setpriv --reuid "$uid" --regid "$uid" --init-groups "$@"
"""


class RootlessUser:
    """`tun` is the mode of /dev/net/tun for the user; "" leaves the machine's own."""

    def __init__(self, tun: str = "666") -> None:
        self.tun = tun
        self.uid = _FIRST_UID + os.getpid() % _FIRST_UID
        self.subordinate = _FIRST_SUBORDINATE + (os.getpid() % 8192) * SUBORDINATE
        self.home = Path(leaks.new_folder("user-"))
        self.run = self.home / "run"
        self.run.mkdir()
        self._write_etc()
        for path in (self.home, self.run):
            os.chown(path, self.uid, self.uid)

    def _write_etc(self) -> None:
        folder = self.home / "etc"
        folder.mkdir(mode=0o755)
        name = f"lk{self.uid}"
        lines = {
            "passwd": f"{name}:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n",
            "group": f"{name}:x:{self.uid}:\n",
            "subuid": f"{name}:{self.subordinate}:{SUBORDINATE}\n",
            "subgid": f"{name}:{self.subordinate}:{SUBORDINATE}\n",
        }
        for file, line in lines.items():
            with_others = file in ("passwd", "group")
            text = Path(f"/etc/{file}").read_text() if with_others else ""
            (folder / file).write_text(text + line)

    def argv(self, *command: str) -> list[str]:
        """A command as this user, for subprocess."""
        environment = [
            f"HOME={self.home}",
            f"XDG_RUNTIME_DIR={self.run}",
            f"{leaks.MARKER}={leaks.RUN_NAME}",
            f"PATH={os.environ['PATH']}",
        ]
        enter = ["unshare", "-m", "sh", "-c", _ENTER, "-", str(self.home), str(self.uid), self.tun]
        return [*enter, "env", "-i", *environment, *command]

    def command(
        self, *command: str, check: bool = True, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user."""
        return subprocess.run(
            self.argv(*command),
            check=check,
            timeout=timeout_s,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def cli(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `labkit` as this user; the first time it starts the engine."""
        return self.command(str(Path(sys.executable).parent / "labkit"), *args, check=check)

    def load_busybox(self) -> None:
        """Give the engine the image that the tests use."""
        archive = self.home / "busybox.tar"
        archive.write_bytes(image_archive())
        self.cli("load", "-i", str(archive))
        archive.unlink()

    def daemon_pid(self) -> int:
        return int((self.run / "labkit/labkitd.pid").read_text())

    def processes(self) -> dict[int, str]:
        """Those of the user and of its subordinate ids: pid and name; the dead do not count."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdecimal() or not self._is_its(entry.stat().st_uid):
                    continue
                fields = dict(
                    line.split(":\t", 1) for line in (entry / "status").read_text().splitlines()
                )
            except OSError:
                continue
            if self._is_its(int(fields["Uid"].split()[0])) and fields["State"][0] not in "ZX":
                found[int(entry.name)] = fields["Name"]
        return found

    def _is_its(self, uid: int) -> bool:
        return uid == self.uid or 0 <= uid - self.subordinate < SUBORDINATE

    def close(self) -> None:
        """End what it runs, and remove its files."""
        deadline = time.monotonic() + PATIENCE_S
        while left := self.processes():
            if time.monotonic() > deadline:
                raise AssertionError(f"processes do not end: {left}")
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)
        shutil.rmtree(self.home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
