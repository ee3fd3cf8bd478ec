"""The spawner: a warm process with one thread that forks a shim for each container.

The daemon has many threads, and a process with threads must not fork and go on (the child has the
locks, but not the threads that would release them).  Starting a fresh interpreter takes 10 ms and
more; this one is already running, has what the shim needs loaded, and forks in one or two.

It is started as `python -SI` with one end of a socket pair.  A message on it is a request for one
container, with a socket for the answers of its shim; `labkit.runtime.launch` is the daemon's side.
When the daemon closes its end the spawner ends, and the shims live on.
"""

import gc
import os
import signal
import socket
import sys

from labkit.kernel import messages, processes
from labkit.runtime import shim


def main(requests_fd: int) -> None:
    """Fork a shim for each request until the daemon closes its end of the socket."""
    processes.prctl(processes.PR_SET_NAME, b"labkit-spawner")
    requests = socket.socket(fileno=requests_fd)
    # Hold no folder of anyone's; and a plan takes relative paths from the root of the host.
    os.chdir("/")
    # The kernel reaps the shims: the spawner never asks how they ended, the daemon does.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What exists now will be shared with every shim: keep the collector from touching its pages.
    gc.disable()
    gc.freeze()
    while (message := messages.receive(requests)) is not None:
        request, fds = message
        if os.fork() == 0:
            _become_shim(requests, request, fds)
        for fd in fds:
            os.close(fd)


def _become_shim(requests: socket.socket, request: object, fds: list[int]) -> None:
    try:
        requests.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        shim.main(request, fds)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)
