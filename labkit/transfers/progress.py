"""The reports of a transfer, in the words and the form of Docker's messages."""

import threading
import time
from collections.abc import Callable

BETWEEN_UPDATES_S = 0.1
BAR_CHARACTERS = 50
UNITS = ("B", "kB", "MB", "GB", "TB")


class Progress:
    """Passes a transfer's messages to `put`.  Several threads may use it.

    `stop` is set to end the transfer, when its client has gone away.
    """

    def __init__(self, put: Callable[[object], None]) -> None:
        self.stop = threading.Event()
        self._put = put
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
        """Report a value for programs: `{"Tag": …, "Digest": …, "Size": …}`."""
        self._put({"progressDetail": {}, "aux": value})


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
