"""A transfer's messages on their way to the client, in the words and the form of Docker's.

The transfer runs in a thread of its own and puts messages in; the connection's thread takes them
out.  A client that goes away stops the transfer.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import msgspec

from labkit.daemon import log
from labkit.daemon.errors import error_message
from labkit.errors import LabkitError
from labkit.http.responses import Answer, Stream
from labkit.kernel import threads
from labkit.registry.client.errors import StoppedError

BETWEEN_UPDATES_S = 0.1
BAR_CHARACTERS = 50
UNITS = ("B", "kB", "MB", "GB", "TB")

Work = Callable[["Progress"], None]


class Progress:
    """What a transfer says.  May be used by several threads; `stop` is set when nobody listens."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.messages: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._last: dict[str, float] = {}

    def say(self, text: str, identifier: str = "") -> None:
        """A line about the whole, or about what `identifier` names."""
        self._put({"status": text, "id": identifier} if identifier else {"status": text})

    def state(self, identifier: str, text: str) -> None:
        """A layer has come to another state: `Download complete`."""
        self._put({"status": text, "progressDetail": {}, "id": identifier})

    def advance(self, identifier: str, text: str, current: int, total: int) -> None:
        """So many of a layer's bytes are done; told ten times a second at most."""
        now, key = time.monotonic(), f"{identifier} {text}"
        if current < total and now - self._last.get(key, 0.0) < BETWEEN_UPDATES_S:
            return
        self._last[key] = now
        self._put(
            {
                "status": text,
                "progressDetail": {"current": current, "total": total},
                "progress": bar(current, total),
                "id": identifier,
            }
        )

    def result(self, value: object) -> None:
        """What programs read: `{"Tag": …, "Digest": …, "Size": …}`."""
        self._put({"progressDetail": {}, "aux": value})

    def _put(self, message: object) -> None:
        self.messages.put(encoded(message))


def encoded(message: object) -> bytes:
    """One message of the stream."""
    return msgspec.json.encode(message) + b"\r\n"


def run(work: Work) -> Answer:
    """Do `work` and let the answer's stream tell of it.

    What fails before the first message is raised, so that it has an HTTP status of its own.
    """
    progress = Progress()
    threading.Thread(target=_work, args=(work, progress), daemon=True).start()
    first = progress.messages.get()
    if isinstance(first, Exception):
        raise first
    return Stream(_stream(progress, first))


def _work(work: Work, progress: Progress) -> None:
    threads.work_for(progress.stop.is_set)
    try:
        work(progress)
    except StoppedError:
        progress.messages.put(None)
    except Exception as error:
        if not isinstance(error, (LabkitError, OSError)):
            log.LOG.traceback("a transfer failed")
        progress.messages.put(error)
    else:
        progress.messages.put(None)


def _stream(progress: Progress, message: bytes | Exception | None) -> Iterator[bytes]:
    try:
        while isinstance(message, bytes):
            yield message
            message = progress.messages.get()
    finally:
        progress.stop.set()
    if isinstance(message, Exception):
        text = error_message(message)
        yield encoded({"errorDetail": {"message": text}, "error": text})


def bar(current: int, total: int) -> str:
    """`[=====>      ]  1.2MB/3MB`, as Docker draws it."""
    if total <= 0:
        return _size(current)
    done = min(current * BAR_CHARACTERS // total, BAR_CHARACTERS)
    head = ">" if done < BAR_CHARACTERS else ""
    drawn = "=" * done + head
    return f"[{drawn:<{BAR_CHARACTERS}}] {_size(current):>8}/{_size(total)}"


def _size(count: float) -> str:
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.4g}{UNITS[unit]}"
