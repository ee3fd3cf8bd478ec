"""The place of a judge: its own namespaces, in which it is process 1, and what it starts there.

A learner's engine that does something wrong does it here: to a host name, a table of mounts and a
network that end with the judge.  Only its cgroups are in the machine's hierarchies; `removed`
removes them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from labkit.course.capstone import looks
from labkit.course.capstone.given import SIGNALS
from labkit.kernel import mounts, namespaces
from labkit.kernel.network import loopback

T = TypeVar("T")

PATIENCE_S = 20.0
"""How long a judge waits for what should take a tenth of a second."""
MS_SHARED = 1 << 20
APPLETS = "sh sleep ls cat ps id hostname ping ip touch mkdir mount kill true echo nc".split()
MARK = "the-hosts-own"
"""The source of a mount that no container is to see."""
HOSTS_NAME = "judges-host"
ERROR = re.compile(r"[A-Za-z.]*(Error|Exception)\b")
"""The last line of a traceback: the name of the error."""


class Place:
    """A folder for files; the learner's engine runs with its state in it."""

    def __init__(self, engine: str, folder: str, group: str) -> None:
        self.engine = engine
        self.folder = folder
        self.group = group
        self.root = busybox_root(f"{folder}/root")
        self._runs = 0
        self.started: list[subprocess.Popen[bytes]] = []

    def boxes(self) -> list[str]:
        """The names of the folders that the engine keeps of its containers."""
        folder = f"{self.state}/boxes"
        return sorted(os.listdir(folder)) if os.path.exists(folder) else []

    @property
    def state(self) -> str:
        """The engine's own folder."""
        return f"{self.folder}/state"

    def start(self, *words: str, fds: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
        """Start the learner's engine with these words; `said` returns its output."""
        self._runs += 1
        with open(f"{self.folder}/said-{self._runs}", "wb") as said:
            process = subprocess.Popen(
                [sys.executable, self.engine, *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                env=os.environ | {"MINI_STATE": self.state, "MINI_GROUP": self.group},
                cwd=self.folder,
            )
        self.started.append(process)
        return process

    def run(self, *words: str) -> int | str:
        """Run the engine with these words; return its exit status, or a text if it has none."""
        process = self.start(*words)
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"still running after {PATIENCE_S:.0f} s"

    def box(self, *command: str, options: Sequence[str] = (), fds: Sequence[int] = ()) -> int:
        """Start a container with the judge's own root; return its pid, as `find` does."""
        self.start("run", "--root", self.root, *options, "--", *command, fds=fds)
        return self.find(command)

    def find(self, command: Sequence[str]) -> int:
        """Wait for the process with these words, and return its pid; 0 if there is none in time."""
        wanted = "\0".join(command).encode() + b"\0"

        def look() -> int:
            return next((pid for pid in every_process() if words_of(pid) == wanted), 0)

        last = self.started[-1]
        found = until(lambda: look() or (-1 if last.poll() not in (None, 0) else 0))
        return max(found or 0, look())

    def ask_to_end(self, pid: int) -> None:
        """Send SIGTERM to the engine that started the container of `pid`, once it listens."""
        self.wait_for_handlers(pid, [signal.SIGTERM])
        self.started[-1].terminate()

    def wait_for_handlers(self, pid: int, numbers: Sequence[int]) -> None:
        """Wait until every process between the last engine and `pid` has handlers of these signals.

        A command can run before its parents have set their handlers.  A signal that is sent before
        that is lost; no stage asks for anything else.
        """
        listeners = looks.parents(pid, self.started[-1].pid)
        until(lambda: all(looks.catches(one, number) for one in listeners for number in numbers), 3)

    def said(self) -> str:
        """The last line that the engine has printed, and its errors before that, for a finding.

        Each copy of the engine ends with its own traceback, and the first is mostly the reason for
        those that follow.
        """
        *before, last = self.printed() or ["nothing"]
        errors = [line for line in before if ERROR.match(line)]
        return "; then: ".join(line[:200] for line in (*errors[:2], last))

    def printed(self) -> list[str]:
        """The lines that the engine's last run has printed."""
        said = Path(f"{self.folder}/said-{self._runs}").read_text(errors="replace")
        return said.strip().splitlines()

    def end(self) -> None:
        """Kill every process of the place but the judge."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        until(lambda: all(process.poll() is not None for process in self.started), 5)
        for pid in every_process():
            if pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
        until(lambda: all(process.poll() is not None for process in self.started), 5)


def busybox_root(root: str) -> str:
    """Make a folder that can be a container's root: busybox, by its usual names."""
    for folder in ("bin", "tmp", "root"):
        os.makedirs(f"{root}/{folder}")
    shutil.copy(shutil.which("busybox") or "/bin/busybox", f"{root}/bin/busybox")
    for applet in APPLETS:
        os.symlink("busybox", f"{root}/bin/{applet}")
    return root


def until(look: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Return the result of `look` once it is true, or when the time is over."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def every_process() -> list[int]:
    """The pids of the judge's own PID namespace, and those below it."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def words_of(pid: int) -> bytes:
    """The command line of a process; empty if it has none, or has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def enter_own_namespaces() -> None:
    """Leave the machine's namespaces; the next process that it forks is number 1 of the new one."""
    names = ("mnt", "net", "uts", "ipc", "pid")
    namespaces.unshare(sum(namespaces.FLAGS[name] for name in names))


def settle(folder: str, *, in_memory: bool) -> None:
    """Make the new namespaces a small host: a name, a loopback, its own /proc, shared mounts.

    In memory (a tmpfs) an overlay works wherever `folder` is.  But before Linux 6.3 the kernel
    cannot map the owners of a tmpfs (mount_setattr(2), MOUNT_ATTR_IDMAP).
    """
    mounts.mount("none", "/", "", mounts.MS_PRIVATE | mounts.MS_REC)
    mounts.mount("proc", "/proc", "proc")
    if in_memory:
        mounts.mount("judge", folder, "tmpfs", 0, "mode=755")
    os.mkdir(f"{folder}/hosts")
    mounts.mount(MARK, f"{folder}/hosts", "tmpfs", 0, "mode=755")
    # As with systemd: a mount in a copy appears here too, unless the copy is made private.
    mounts.mount("", "/", "", mounts.MS_REC | MS_SHARED)
    namespaces.set_hostname(HOSTS_NAME)
    loopback.bring_up()
    for number in SIGNALS:  # a shell can set no trap for a signal that its parent ignores
        signal.signal(number, signal.SIG_DFL)


def group_folders(group: str) -> Iterator[Path]:
    """The folder of this name in each hierarchy of cgroups where there is one."""
    with open("/proc/self/mountinfo") as file:
        for mount in mounts.parse_mountinfo(file.read()):
            path = Path(mount.target, group)
            if mount.kind in ("cgroup", "cgroup2") and path.is_dir():
                yield path


@contextmanager
def removed(group: str) -> Iterator[None]:
    """Remove the rest of a group at the end; its processes have ended by then."""
    try:
        yield
    finally:
        for top in set(group_folders(group)):
            for path in sorted(top.glob("**/"), key=lambda path: -len(path.parts)):
                until(lambda path=path: _is_removed(path), 5)  # type: ignore[misc]


def _is_removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
