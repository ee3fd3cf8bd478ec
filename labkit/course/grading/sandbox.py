"""A throw-away engine without power over the machine, for one submission.

    with Sandbox(hidden=judges) as sandbox:
        sandbox.start_engine()
        sandbox.run(["/usr/bin/python3", …], is_learners=True)

Its root is an ordinary number outside; its processes, mounts, network, host name and message queues
are its own (namespaces(7)); `limits` hold for all of it together.  Closing it kills everything in
it.  The process that makes one must have one thread, and private mounts: `tree.be_private`.
"""

import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from labkit.course.exercises.looks.clock import Clock
from labkit.course.grading import birth, locks, tree
from labkit.course.grading.birth import SandboxError
from labkit.course.grading.groups import Groups, name_of
from labkit.course.grading.limits import Limits
from labkit.kernel import mounts
from labkit.paths import HOLDER_SOCKET

FIRST_UID = 0x40000000
"""Far from the numbers of users, and from the subordinate ids that adduser(8) gives."""
IDS = 0x40000
SLOTS = 4096
SEARCH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
ANSWER_TIMEOUT_S = 60.0
KEEPER_OOM = -999
"""The last process that the kernel ends for lack of memory (proc(5), oom_score_adj)."""
FEW_BYTES, FEW_INODES = 1 << 20, 16
ENGINE_LOCKS = (f"{tree.RUN}/labkitd.pid", f"{tree.DATA}/labkitd.lock")
ENGINE_TIMEOUT_S = 60.0


class SpoiledError(SandboxError):
    """Something that the grader has started has ended, and does not start again.

    That is the submission's own doing, since it has started before.
    """


class Sandbox:
    """`hidden` are paths that are empty inside; `key` are hexadecimal digits, its name."""

    def __init__(
        self, *, hidden: Sequence[str] = (), limits: Limits | None = None, key: str = ""
    ) -> None:
        self.limits = limits or Limits()
        self.key = key or secrets.token_hex(4)
        self.folder = tempfile.mkdtemp(prefix=f"{name_of(self.key)}-")
        self._folder_fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._folder_fd, fcntl.LOCK_EX)  # as long as its grader lives (`one.sweep_old`)
        self.place = f"{self.folder}/disk"
        self.uid = FIRST_UID + IDS * (int(self.key, 16) % SLOTS)
        self.engine_pid = 0
        """labkitd, as a number of the submission's PID namespace."""
        self._holder_pid = 0
        self.keeper_pid = 0
        """The first process, as a number of this machine."""
        self.device = ""
        self._groups = Groups(self.key)
        self.clock = Clock(self._groups.used_s)
        self._first = 0
        self._keeper_fd = -1
        self._asked = 0
        self._requests: socket.socket | None = None
        try:
            self._groups.make(self.uid, self.limits)
            self.device = tree.make_disk(self.folder, self.limits.disk_bytes)
            tree.fill(self.place, self.uid, hidden, self.device)
            self._start()
        except BaseException:
            self.close()
            raise

    # Its processes

    def run(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        is_learners: bool = False,
    ) -> int:
        """Start a program in there, and return its number in there; SandboxError.

        A learner's program has less power than the engine, and ends first when memory is short.
        """
        request = {
            "run": list(words),
            "env": {**self.environment, **(env or {})},
            "cwd": tree.HOME,
            "log": f"{tree.RUN}/programs.log",
            "is_learners": is_learners,
        }
        return int(self._ask(request)["pid"])

    def send_signal(self, pid: int, number: int) -> None:
        """Signal a process by its number in there; one that has ended is no error."""
        with suppress(SandboxError):
            self._ask({"pid": pid, "signal": number})

    def end(self, pid: int) -> None:
        """Kill a program that `run` has started, and all that it has started itself."""
        with suppress(SandboxError):
            self._ask({"end": pid})

    def runs(self, pid: int) -> bool:
        """Whether a process that `run` has started still runs; SandboxError."""
        return bool(pid) and bool(self._ask({"alive": pid})["is_alive"])

    def write(self, path: str, content: object) -> None:
        """Write JSON to a new file in there.

        No link is followed: in a folder of the submission it could lead anywhere.
        """
        folder, name = os.path.split(path)
        fd = locks.open_inside(self.place, folder)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(name, flags, 0o600, dir_fd=fd), "w", encoding="utf-8") as file:
                json.dump(content, file)
                os.fchown(file.fileno(), self.uid, self.uid)
        finally:
            os.close(fd)

    @property
    def group(self) -> str:
        """The name of its control group in each hierarchy."""
        return self._groups.name

    @property
    def disk(self) -> str:
        """The block device for disk limits, as it is called in there."""
        return self.device

    def start_engine(self) -> None:
        """Start labkitd if the one that this sandbox started has ended, and wait for its answer.

        Another one, which the submission has started in its place, is killed first: only the
        grader's is believed.  Containers run on.  SandboxError, or SpoiledError if it is not the
        first one.
        """
        if self.runs(self.engine_pid):
            return
        was_there = self.engine_pid > 0
        try:
            self._start_engine(self.clock.now() + ENGINE_TIMEOUT_S)
        except SandboxError as error:
            if was_there and self.is_alive():
                raise SpoiledError(str(error)) from error
            raise

    def restart_engine(self) -> None:
        """End labkitd, also a stopped or frozen one, and start it again; as `start_engine`."""
        self.send_signal(self.engine_pid, signal.SIGKILL)
        for pid in self._other_engines():
            self._bring_back(pid, signal.SIGKILL)
        self.start_engine()

    def _start_engine(self, deadline: float) -> None:
        while (others := self._other_engines()) and self.clock.now() < deadline:
            for pid in others:
                self._bring_back(pid, signal.SIGKILL)
            time.sleep(0.02)
        if not self.runs(self._holder_pid):
            words = [sys.executable, "-P", "-m", "labkit.course.grading.holder", tree.RUN]
            self._holder_pid = self.run(words)
            self._await_socket(HOLDER_SOCKET, self._holder_pid, deadline)
        run = ["--root", tree.DATA, "--run", tree.RUN]
        self.engine_pid = self.run([sys.executable, "-P", "-m", "labkit.daemon", *run])
        self._await_socket("labkit.sock", self.engine_pid, deadline)

    def _other_engines(self) -> set[int]:
        """The submission's processes that hold the locks of labkitd, as this machine's numbers."""
        return locks.holders(self.place, ENGINE_LOCKS, self.keeper_pid)

    def _await_socket(self, name: str, pid: int, deadline: float) -> None:
        """Wait until a program of the engine listens; SandboxError if it ends or is too slow."""
        while self.clock.now() < deadline and self.runs(pid):
            with suppress(OSError), socket.socket(socket.AF_UNIX) as trial:
                trial.connect(f"{self.place}{tree.RUN}/{name}")
                return
            time.sleep(0.02)
        raise SandboxError(f"the engine of the submission does not start: {self.words()}")

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of programs inside."""
        return {
            "PATH": f"{sys.prefix}/bin:{SEARCH}",
            "HOME": tree.HOME,
            "USER": "root",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "LABKIT_ROOT": tree.DATA,
            "LABKIT_RUN": tree.RUN,
            "LABKIT_LINK_PREFIX": "labkit",
            "LABKIT_CGROUP_PARENT": "labkit",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def words(self) -> str:
        """Return the last output of programs inside, for an error message."""
        with suppress(OSError), open(f"{self.place}{tree.RUN}/programs.log", "rb") as log:
            return log.read()[-600:].decode("utf-8", "replace").strip()
        return "no output"

    def is_alive(self) -> bool:
        """Whether its first process still lives."""
        return self._keeper_fd >= 0 and not select.select([self._keeper_fd], [], [], 0)[0]

    def used_up(self) -> list[str]:
        """Return what the submission has used up of its limits, as sentences.

        What fails for lack of it is the submission's own doing.
        """
        said = []
        if self._groups.has_memory_kill():
            said.append("The kernel ended a process for lack of memory.")
        if self._groups.has_refused_fork():
            said.append("The kernel refused it more processes than its limit.")
        disk = os.statvfs(self.place)
        if disk.f_bavail * disk.f_frsize < FEW_BYTES or disk.f_favail < FEW_INODES:
            said.append("Its disk is full.")
        return said

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._requests is None:
            raise SandboxError("the submission has ended")
        self._asked += 1
        try:
            self._requests.send(json.dumps(request | {"number": self._asked}).encode())
            answer = self._answer(self._requests)
        except (OSError, ValueError) as error:
            raise SandboxError(f"the submission's first process has ended: {error}") from None
        if "error" in answer:
            raise SandboxError(str(answer["error"]))
        return answer

    def _answer(self, requests: socket.socket) -> dict[str, Any]:
        """The answer to the last request; a late one to an earlier request is passed over."""
        deadline = self.clock.now() + ANSWER_TIMEOUT_S
        while self.clock.now() < deadline:
            if select.select([requests], [], [], 1.0)[0]:
                answer = dict(json.loads(requests.recv(1 << 16) or b"{}"))
                if answer.get("number", self._asked) == self._asked:
                    return answer if answer else {"error": "the submission has ended"}
            elif self.is_alive():
                self._bring_back(self.keeper_pid)
        return {"error": "the submission does not answer"}

    def _bring_back(self, pid: int, number: int = signal.SIGCONT) -> None:
        """Put a process back into the submission's own group, and signal it.

        `pid` is this machine's number of a process in the submission's PID namespace.  The
        submission may have put it into a group below, which is frozen or has no processor time.
        """
        with suppress(OSError):
            fd = os.pidfd_open(pid)
            try:
                if locks.namespace(pid) == locks.namespace(self.keeper_pid):
                    self._groups.bring_back(pid)
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)

    # Its life

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        steps, child_steps = socket.socketpair()
        self._first = os.fork()
        if self._first == 0:
            birth.be_first(self.place, child_steps, theirs, {ours, steps})
        theirs.close()
        child_steps.close()
        self._requests = ours
        with steps:
            birth.expect(steps, b"born")
            self._groups.join(self._first)
            steps.send(b"go")
            birth.expect(steps, b"made")
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{self._first}/{name}", "w") as file:
                    file.write(f"0 {self.uid} {IDS}\n")
            steps.send(b"go")
            birth.expect(steps, b"done")
        with open(f"/proc/{self._first}/task/{self._first}/children") as file:
            self.keeper_pid = int(file.read().split()[0])
        self._keeper_fd = os.pidfd_open(self.keeper_pid)
        with suppress(PermissionError), open(f"/proc/{self.keeper_pid}/oom_score_adj", "w") as file:
            file.write(str(KEEPER_OOM))

    def close(self) -> None:
        """Kill everything in there and remove what it had; again is no error.

        Groups that a busy machine cannot remove in time are left for `one.sweep`: the result is
        known by then, and must not be lost.
        """
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        for pid in (self.keeper_pid, self._first):
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._first:
            with suppress(ChildProcessError):
                os.waitpid(self._first, 0)
        if self._keeper_fd >= 0:
            os.close(self._keeper_fd)
        self.keeper_pid = self._first = 0
        self._keeper_fd = -1
        with suppress(OSError):
            self._groups.remove()
        with suppress(OSError):
            mounts.unmount(self.place, mounts.MNT_DETACH)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
