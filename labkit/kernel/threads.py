"""Threads that the daemon cannot do without."""

import sys
import threading
import time
from collections.abc import Callable

PAUSE_S = 1.0


def lasting(run: Callable[..., None], name: str, *arguments: object) -> threading.Thread:
    """Return a thread, not started yet, that calls `run` and ends when `run` returns.

    If `run` raises, which is a defect of labkit, that is reported (`sys.excepthook`) and `run` is
    called again after `PAUSE_S`: one bad folder or message must not end a service for all others.
    """

    def keep_running() -> None:
        while True:
            try:
                return run(*arguments)
            except Exception:
                sys.stderr.write(f"labkit: the thread {name!r} failed and is started again\n")
                sys.excepthook(*sys.exc_info())
                time.sleep(PAUSE_S)

    return threading.Thread(target=keep_running, name=name, daemon=True)


class _Caller(threading.local):
    is_gone: Callable[[], bool] | None = None


_CALLER = _Caller()


def work_for(is_gone: Callable[[], bool]) -> None:
    """Note on whose behalf this thread works from now on: `is_gone` says if that one has left."""
    _CALLER.is_gone = is_gone


def check_caller() -> None:
    """ConnectionAbortedError if the caller that this thread works for has left."""
    if _CALLER.is_gone is not None and _CALLER.is_gone():
        raise ConnectionAbortedError("the client has gone: what it asked for is not finished")
