"""Deleting what nobody can name any more, without anybody waiting for it.

A removed container or volume is moved aside, by one rename(2), and from then on there is none; but
to delete its files may take seconds, and the thread that hears of the containers' ends, which
removes those with `--rm`, must not be held up.  What a crash leaves is deleted by the next daemon.
"""

import os
import queue
import secrets
import sys

from labkit.kernel import reserve, threads
from labkit.kernel.trails import remove_tree

CLOSE_TIMEOUT_S = 10.0
HALF_REMOVED = ".half"
"""At the end of a name: more than the files is to be removed, and that first."""


class Remover:
    """One thread that deletes.  `root` is the data root: nothing is moved to another disk."""

    def __init__(self, root: str) -> None:
        self._base = f"{root}/removed"
        os.makedirs(self._base, 0o700, exist_ok=True)
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        paths = [f"{self._base}/{name}" for name in os.listdir(self._base)]
        self.held_back = [path for path in paths if path.endswith(HALF_REMOVED)]
        """What a daemon that was killed has moved, and not yet given to `delete`."""
        for path in set(paths) - set(self.held_back):
            self._queue.put(path)
        self._thread = threads.lasting(self._run, "remover")
        self._thread.start()

    def take(self, folder: str) -> None:
        """Move a folder out of sight, and have it deleted; OSError if it cannot be moved."""
        self.delete(self.move(folder))

    def move(self, folder: str, ending: str = "") -> str:
        """Move a folder out of sight, not yet to be deleted; its path now.  OSError."""
        aside = f"{self._base}/{secrets.token_hex(16)}{ending}"

        def rename() -> str:
            os.rename(folder, aside)
            return aside

        return reserve.retrying(rename)

    def delete(self, moved: str) -> None:
        """Have a folder deleted that has been moved."""
        self._queue.put(moved)

    def close(self) -> None:
        """End the thread, as soon as it has deleted what it was given: not after long, though."""
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
