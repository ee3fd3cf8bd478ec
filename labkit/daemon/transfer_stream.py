"""An answer whose body reports on a transfer while it runs.

The transfer runs in a separate thread and puts its messages into a queue; the connection's thread
sends them.  If the client disconnects, the transfer stops.
"""

import queue
import threading
from collections.abc import Callable, Iterator

import msgspec

from labkit.daemon.errors import error_message
from labkit.errors import LabkitError
from labkit.http.responses import Answer, Stream
from labkit.kernel import threads
from labkit.log import LABKITD
from labkit.registry.client.errors import StoppedError
from labkit.transfers.progress import Progress

Work = Callable[[Progress], None]
Messages = queue.SimpleQueue[bytes | Exception | None]
"""Ends with None, or with the error that ended the transfer."""


def run(work: Work) -> Answer:
    """Start `work` and answer with a stream of its messages.

    An error before the first message is raised, so that it has its own HTTP status.
    """
    messages: Messages = queue.SimpleQueue()
    progress = Progress(lambda message: messages.put(encoded(message)))
    threading.Thread(target=_work, args=(work, progress, messages), daemon=True).start()
    first = messages.get()
    if isinstance(first, Exception):
        raise first
    return Stream(_stream(progress, messages, first))


def encoded(message: object) -> bytes:
    """One message of the stream."""
    return msgspec.json.encode(message) + b"\r\n"


def _work(work: Work, progress: Progress, messages: Messages) -> None:
    threads.work_for(progress.stop.is_set)
    try:
        work(progress)
    except StoppedError:
        messages.put(None)
    except Exception as error:
        if not isinstance(error, (LabkitError, OSError)):
            LABKITD.defect("a transfer failed", error)
        messages.put(error)
    else:
        messages.put(None)


def _stream(
    progress: Progress, messages: Messages, message: bytes | Exception | None
) -> Iterator[bytes]:
    try:
        while isinstance(message, bytes):
            yield message
            message = messages.get()
    finally:
        progress.stop.set()
    if isinstance(message, Exception):
        text = error_message(message)
        yield encoded({"errorDetail": {"message": text}, "error": text})
