"""Deleting the files of removed containers and volumes in the background.

A removed container or volume is moved aside by one rename(2); from then on it does not exist.
Deleting its files may take seconds.  The thread that handles the containers' ends also removes
those with `--rm`, and must not wait for that.  The next daemon deletes what a crash leaves.
"""

import os
import queue
import secrets
import sys

from labkit.kernel import reserve, threads
from labkit.kernel.trails import remove_tree

CLOSE_TIMEOUT_S = 10.0
HALF_REMOVED = ".half"
"""The end of a folder's name if more than its files must be removed, before them."""


class Remover:
    """One thread that deletes.  `root` is the data root: a move must stay on its disk."""

    def __init__(self, root: str) -> None:
        self._base = f"{root}/removed"
        os.makedirs(self._base, 0o700, exist_ok=True)
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        paths = [f"{self._base}/{name}" for name in os.listdir(self._base)]
        self.held_back = [path for path in paths if path.endswith(HALF_REMOVED)]
        """The folders that a killed daemon moved and did not pass to `delete`."""
        for path in set(paths) - set(self.held_back):
            self._queue.put(path)
        self._thread = threads.lasting(self._run, "remover")
        self._thread.start()

    def take(self, folder: str) -> None:
        """Move a folder out of the way and delete it; OSError if it cannot be moved."""
        self.delete(self.move(folder))

    def move(self, folder: str, ending: str = "") -> str:
        """Move a folder out of the way without deleting it; returns its new path.  OSError."""
        aside = f"{self._base}/{secrets.token_hex(16)}{ending}"

        def rename() -> str:
            os.rename(folder, aside)
            return aside

        return reserve.retrying(rename)

    def delete(self, moved: str) -> None:
        """Delete a folder that has been moved."""
        self._queue.put(moved)

    def close(self) -> None:
        """End the thread after it has deleted everything, or after `CLOSE_TIMEOUT_S`."""
        self._queue.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (folder := self._queue.get()) is not None:
            try:
                remove_tree(folder)
                reserve.fill()
            except OSError as error:
                error.add_note(f"{folder} is left for the next daemon to delete")
                sys.excepthook(*sys.exc_info())
