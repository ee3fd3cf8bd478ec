"""Deleting what nobody can name any more, without anybody waiting for it.

A removed container or volume is moved aside, by one rename(2), and from then on there is none; but
to delete its files may take seconds, and the thread that hears of the containers' ends, which
removes those with `--rm`, must not be held up.  What a crash leaves is deleted by the next daemon.
"""

import os
import queue
import secrets
import sys

from labkit.kernel import threads
from labkit.kernel.trails import remove_tree

CLOSE_TIMEOUT_S = 10.0


class Remover:
    """One thread that deletes.  `root` is the data root: nothing is moved to another disk."""

    def __init__(self, root: str) -> None:
        self._base = f"{root}/removed"
        os.makedirs(self._base, 0o700, exist_ok=True)
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for name in os.listdir(self._base):
            self._queue.put(f"{self._base}/{name}")
        self._thread = threads.lasting(self._run, "remover")
        self._thread.start()

    def take(self, folder: str) -> None:
        """Move a folder out of sight, and have it deleted; OSError if it cannot be moved."""
        aside = f"{self._base}/{secrets.token_hex(16)}"
        os.rename(folder, aside)
        self._queue.put(aside)

    def close(self) -> None:
        """End the thread, as soon as it has deleted what it was given: not after long, though."""
        self._queue.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (folder := self._queue.get()) is not None:
            try:
                remove_tree(folder)
            except OSError as error:
                error.add_note(f"{folder} is left for the next daemon to delete")
                sys.excepthook(*sys.exc_info())
