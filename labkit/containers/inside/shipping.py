"""Logs that are also sent elsewhere: the drivers syslog, journald, fluentd and gelf.

The shim writes the log to the container's folder as always, so `logs` works with each driver.  A
thread of the daemon follows the log and sends each line.  The time of the last line sent is noted
beside the log.  A later daemon continues there, and lines that cannot be sent yet wait in the log.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from labkit.containers.given import log_options
from labkit.containers.inside import log_senders, logs
from labkit.containers.parts import Parts
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container
from labkit.dialect.moments import unix_s
from labkit.kernel import files, threads

PAUSE_S = 1.0
"""The time between two attempts to reach the server."""
NOTED = "shipped"
"""The file that holds the time of the last line that was sent."""
_STREAMS = {"stdout", "stderr"}


class Shipping:
    """One thread for each running container whose log is sent elsewhere."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._over = False

    def begin(self, entry: Entry) -> None:
        """Start to follow the log of a container that has started; the caller holds its lock."""
        if entry.container.host_config.log_config.type in log_options.SENT:
            threads.lasting(self._ship, "log", entry).start()

    def stop(self) -> None:
        """Stop sending."""
        self._over = True

    def _ship(self, entry: Entry) -> None:
        container, shim = entry.container, entry.shim

        def goes_on() -> bool:
            return entry.shim is shim and not self._over

        while not (self._over or entry.removed):
            with contextlib.suppress(OSError):  # the server cannot be reached: try again
                self._send_all(container, goes_on)
                return
            time.sleep(PAUSE_S)

    def _send_all(self, container: Container, goes_on: logs.IsRunning) -> None:
        path = self._parts.records.log_path(container.id)
        noted = f"{os.path.dirname(path)}/{NOTED}"
        with log_senders.connect(container) as send:
            for line in _after(files.text_of(noted), path, goes_on):
                send(line)
                _note(noted, line.time)


def _after(last: str, path: str, goes_on: logs.IsRunning) -> Iterator[logs.LogLine]:
    since = unix_s(last) if last else 0.0
    for line in logs.read(path, streams=_STREAMS, since=since, is_running=goes_on):
        if line.time > last:
            yield line


def _note(path: str, moment: str) -> None:
    """Overwrite the last time with one of the same length, so that a kill cannot spoil the file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.pwrite(fd, moment.encode(), 0)
    finally:
        os.close(fd)
