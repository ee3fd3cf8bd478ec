"""Threads that must run as long as the daemon."""

import sys
import threading
import time
from collections.abc import Callable

PAUSE_S = 1.0


def lasting(run: Callable[..., None], name: str, *arguments: object) -> threading.Thread:
    """Return a thread, not started yet, that calls `run` and ends when `run` returns.

    If `run` raises, which is a defect of labkit, the thread reports that (`sys.excepthook`) and
    calls `run` again after `PAUSE_S`: one bad folder or message must not end a service.
    """

    def keep_running() -> None:
        while True:
            try:
                return run(*arguments)
            except Exception as error:
                error.add_note(f"the thread {name!r} failed and is started again")
                sys.excepthook(*sys.exc_info())
                time.sleep(PAUSE_S)

    return threading.Thread(target=keep_running, name=name, daemon=True)


class _Caller(threading.local):
    is_gone: Callable[[], bool] | None = None


_CALLER = _Caller()


def work_for(is_gone: Callable[[], bool]) -> None:
    """Set the client that this thread works for: `is_gone` says whether it has disconnected."""
    _CALLER.is_gone = is_gone


def check_caller() -> None:
    """Raise ConnectionAbortedError if the client of this thread has disconnected."""
    if _CALLER.is_gone is not None and _CALLER.is_gone():
        raise ConnectionAbortedError("the client has disconnected: its request is not finished")
