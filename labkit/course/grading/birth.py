"""The start of a sandbox: the process that enters the namespaces, and the first one in them."""

import os
import signal
import socket
import sys
from contextlib import suppress

from labkit.course.grading import tree
from labkit.errors import LabkitError
from labkit.kernel import mounts, namespaces, processes, user_namespaces
from labkit.kernel.network import loopback

NAMESPACES = (
    namespaces.CLONE_NEWUSER
    | namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWPID
    | namespaces.CLONE_NEWNET
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
)


class SandboxError(LabkitError):
    """The machine, not the submission, is at fault."""


def expect(steps: socket.socket, word: bytes) -> None:
    """Wait for a word of `be_first`; SandboxError, with its words, if it says something else."""
    said = steps.recv(1024)
    if said != word:
        reason = said.decode("utf-8", "replace") or "it ended without a word"
        raise SandboxError(f"a sandbox for the submission cannot be made: {reason}")


def be_first(
    place: str, steps: socket.socket, requests: socket.socket, others: set[socket.socket]
) -> None:
    """Enter the namespaces, a step at each word of the grader; its child is their first process."""
    try:
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        for other in others:
            other.close()
        steps.send(b"born")
        steps.recv(8)
        namespaces.unshare(namespaces.CLONE_NEWNS)
        tree.enter(place)
        namespaces.unshare(NAMESPACES)
        steps.send(b"made")
        steps.recv(8)
        user_namespaces.become_root()
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.umask(0o022)
        inside = os.fork()
        if inside == 0:
            _be_keeper(steps, requests)
        steps.close()
        requests.close()
        os.waitpid(inside, 0)
    except BaseException as error:
        with suppress(OSError):
            steps.send(f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _be_keeper(steps: socket.socket, requests: socket.socket) -> None:
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    safe = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
    mounts.mount("proc", "/proc", "proc", safe)
    terminals = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    mounts.mount("devpts", "/dev/pts", "devpts", mounts.MS_NOSUID | mounts.MS_NOEXEC, terminals)
    mounts.mount("shm", "/dev/shm", "tmpfs", mounts.MS_NOSUID | mounts.MS_NODEV, "size=64m")  # noqa: S108 a new mount
    mounts.mount("mqueue", "/dev/mqueue", "mqueue", safe)
    namespaces.set_hostname("submission")
    loopback.bring_up()
    os.set_inheritable(requests.fileno(), True)
    words = [sys.executable, "-P", "-m", "labkit.course.grading.keeper", str(requests.fileno())]
    # Written before the program starts, so that a failure to start it is heard as silence only.
    steps.send(b"done")
    steps.close()
    os.execve(sys.executable, words, {"PYTHONDONTWRITEBYTECODE": "1"})
