"""The spawner: a warm process with one thread that forks a shim for each container.

The daemon has many threads, and a process with threads must not fork and go on (the child has the
locks, but not the threads that would release them).  Starting a fresh interpreter takes 10 ms and
more; this one is already running, has what the shim needs loaded, and forks in one or two.

Even that is done ahead of time: a *spare* waits for the next request, and when it has taken one it
tells the spawner, which forks another spare while the first becomes the shim of its container.

It is started as `python -SI` with one end of a socket pair.  A message on it is a request for one
container, with a socket for the answers of its shim; `labkit.runtime.launch` is the daemon's side.
When the daemon closes its end the spare and the spawner end, and the shims live on.
"""

import gc
import os
import signal
import socket
import sys

from labkit.kernel import messages, processes
from labkit.runtime import shim

TAKEN = b"t"


def main(requests_fd: int) -> None:
    """Keep a spare ready until the daemon closes its end of the socket."""
    processes.prctl(processes.PR_SET_NAME, b"labkit-spawner")
    requests = socket.socket(fileno=requests_fd)
    # Hold no folder of anyone's; and a plan takes relative paths from the root of the host.
    os.chdir("/")
    # The kernel reaps the shims: the spawner never asks how they ended, the daemon does.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What exists now will be shared with every shim: keep the collector from touching its pages.
    gc.disable()
    gc.freeze()
    while True:
        word_read, word_write = os.pipe()
        if os.fork() == 0:
            os.close(word_read)
            _be_spare(requests, word_write)
        os.close(word_write)
        word = os.read(word_read, 1)
        os.close(word_read)
        if word != TAKEN and not _daemon_is_there(requests):
            return


def _daemon_is_there(requests: socket.socket) -> bool:
    """Whether a spare that ended without a word was killed, and the daemon goes on."""
    try:
        return bool(requests.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True


def _be_spare(requests: socket.socket, word_write: int) -> None:
    """Wait for a request, and become the shim of its container."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # If the spawner is killed the daemon starts another one, with a spare of its own.
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        message = messages.receive(requests)
        if message is None:
            os._exit(0)
        processes.prctl(processes.PR_SET_PDEATHSIG, 0)
        os.write(word_write, TAKEN)
        os.close(word_write)
        requests.close()
        shim.main(*message)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)
