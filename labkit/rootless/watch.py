"""labkitd's watch of the holder: without it no port can be published, and no labkitd can start.

labkitd cannot start another holder itself, because it cannot return to the machine's network.  So
it ends, and the containers keep running.  The next labkitd, started by systemd or by the next
command, starts a holder in the same namespaces.
"""

import os
import signal
import threading
from contextlib import suppress

from labkit.kernel import messages
from labkit.paths import HOLDER_SOCKET


class HolderWatch:
    """Ends this labkitd (SIGTERM) when the holder has ended."""

    LOST = (
        "the process labkit-holder has ended, so this labkitd can publish no ports and ends too; "
        "containers keep running, and the next command starts a labkitd that finds them"
    )

    def __init__(self, run: str) -> None:
        self.is_lost = False
        self._holder = messages.connect(f"{run}/{HOLDER_SOCKET}")
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with suppress(OSError):  # a reset means that it has ended too
            self._holder.recv(1)
        self.is_lost = True
        os.kill(os.getpid(), signal.SIGTERM)
