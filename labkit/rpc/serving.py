"""Serving calls: a table of methods, and a thread for each call that runs."""

import sys
import threading
from collections.abc import Callable, Mapping

from labkit.errors import LabkitError
from labkit.rpc.calls import Served
from labkit.rpc.connection import Connection, Link, Stream
from labkit.rpc.errors import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNKNOWN, CallError

CALLS_MAX = 64
"""How many calls of one connection may run at once."""

Handler = Callable[[Served], None]
"""A function that serves one call and sends its messages; its exception becomes the status."""


class Server:
    """Serves the calls of one connection."""

    def __init__(self, link: Link, handlers: Mapping[str, Handler]) -> None:
        """`handlers`: the methods by their paths."""
        self._handlers = handlers
        self._running = 0
        self._lock = threading.Lock()
        self._connection = Connection(link, is_client=False, accept=self._accept)

    def run(self) -> None:
        """Serve until the connection ends."""
        self._connection.run()

    def _accept(self, stream: Stream) -> None:
        call = Served(self._connection, stream)
        with self._lock:
            self._running += 1
            is_full = self._running > CALLS_MAX
        handler = _refuse_more if is_full else self._handlers.get(call.path, _refuse_unknown)
        if handler in (_refuse_more, _refuse_unknown):
            self._serve(call, handler)  # without a thread: most clients try unknown methods
            return
        threading.Thread(
            target=self._serve, args=(call, handler), name=f"rpc{call.path}", daemon=True
        ).start()

    def _serve(self, call: Served, handler: Handler) -> None:
        try:
            try:
                handler(call)
            except CallError as error:
                call.finish(error.code, str(error), error.details)
            except LabkitError as error:
                call.finish(UNKNOWN, str(error))
            except OSError:
                raise
            except Exception as error:
                error.add_note(f"the call {call.path} failed")
                sys.excepthook(*sys.exc_info())
                call.finish(INTERNAL, f"{type(error).__name__}: {error}")
            else:
                call.finish()
        except OSError:
            call.cancel()  # the caller has disconnected
        finally:
            with self._lock:
                self._running -= 1


def _refuse_more(call: Served) -> None:
    raise CallError(RESOURCE_EXHAUSTED, f"more than {CALLS_MAX} calls at once")


def _refuse_unknown(call: Served) -> None:
    raise CallError(UNIMPLEMENTED, f"labkit does not serve {call.path}")
