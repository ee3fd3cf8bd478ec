"""Healthchecks: a command that runs in the container repeatedly and decides its health.

The health begins as `starting`.  It becomes `healthy` at the first success and `unhealthy` after
`Retries` failures in a row; failures in the start period do not count.  A check that takes longer
than its time-out is killed and counts as a failure (the rules of Docker's HEALTHCHECK).
"""

import select
import signal
import socket
import time

from labkit.containers.inside.execs import Exec, ExecConfig, Execs
from labkit.containers.parts import Parts
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Health, HealthResult
from labkit.containers.records.states import PAUSED
from labkit.dialect.moments import timestamp
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError, StartError
from labkit.images.models import Healthcheck
from labkit.kernel import processes, threads

NS_A_SECOND = 1_000_000_000
DEFAULT_INTERVAL_S = 30.0
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_START_INTERVAL_S = 5.0
DEFAULT_RETRIES = 3
SHORTEST_NS = 1_000_000
RESULTS_KEPT = 5
OUTPUT_KEPT_BYTES = 4096
TIMED_OUT = -1
_FRAME_HEADER_BYTES = 8


def check(asked: Healthcheck | None) -> None:
    """InvalidParameterError for a healthcheck that Docker refuses."""
    if asked is None:
        return
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value = getattr(asked, name)
        if value and value < SHORTEST_NS:
            words = name.replace("_", " ").title().replace(" ", "")
            raise InvalidParameterError(f"{words} in Healthcheck cannot be less than 1ms")
    if asked.retries < 0:
        raise InvalidParameterError("Retries in Healthcheck cannot be negative")


def command_of(asked: Healthcheck | None) -> list[str]:
    """The command to run; empty if there is no healthcheck."""
    kind, *words = (asked.test if asked else None) or ["NONE"]
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", " ".join(words)]
    return words if kind == "CMD" else []


def merge(asked: Healthcheck | None, of_image: Healthcheck | None) -> Healthcheck | None:
    """The request's healthcheck, completed from the image's."""
    if asked is None or of_image is None:
        return asked or of_image
    fields = asked.__struct_fields__
    return Healthcheck(**{name: getattr(asked, name) or getattr(of_image, name) for name in fields})


def judge(health: Health, result: HealthResult, retries: int, *, is_lenient: bool) -> None:
    """Record a result; `is_lenient` in the start period, in which failures do not count."""
    health.log = [*health.log, result][-RESULTS_KEPT:]
    if result.exit_code == 0:
        health.failing_streak = 0
        health.status = "healthy"
    elif not (is_lenient and health.status == "starting"):
        health.failing_streak += 1
        if health.failing_streak >= retries:
            health.status = "unhealthy"


class HealthChecks:
    """One thread for each running container that has a healthcheck."""

    def __init__(self, parts: Parts, execs: Execs) -> None:
        self._parts = parts
        self._execs = execs
        self._over = False

    def begin(self, entry: Entry) -> None:
        """Start the checks of a container that has started; the caller holds its lock."""
        command = command_of(entry.container.config.healthcheck)
        if not command:
            return
        entry.container.state.health = Health()
        threads.lasting(self._watch, "health", entry, command).start()

    def stop(self) -> None:
        """Stop all checks."""
        self._over = True
        for entry in self._parts.lookup.all():
            with entry.lock:
                entry.changed.notify_all()

    def _watch(self, entry: Entry, command: list[str]) -> None:
        asked = entry.container.config.healthcheck or Healthcheck()
        with entry.lock:
            shim, health = entry.shim, entry.container.state.health
        if health is None:
            return
        lenient_until = time.monotonic() + _seconds(asked.start_period, 0)
        while True:
            is_lenient = time.monotonic() < lenient_until
            interval_s = _seconds(asked.interval, DEFAULT_INTERVAL_S)
            if is_lenient and health.status == "starting":
                usual_s = min(DEFAULT_START_INTERVAL_S, interval_s)
                interval_s = _seconds(asked.start_interval, usual_s)
            with entry.lock:
                if entry.changed.wait_for(lambda: self._over or entry.shim is not shim, interval_s):
                    return
                if entry.container.state.status == PAUSED:
                    continue
            try:
                result = self._probe(entry, command, _seconds(asked.timeout, DEFAULT_TIMEOUT_S))
            except (ConflictError, NotFoundError):
                continue  # paused, ended or removed just now: the loop's start finds out which
            with entry.lock:
                if entry.shim is not shim:
                    return
                before = health.status
                judge(health, result, asked.retries or DEFAULT_RETRIES, is_lenient=is_lenient)
                if health.status != before:
                    self._parts.publish(f"health_status: {health.status}", entry)

    def _probe(self, entry: Entry, command: list[str], timeout_s: float) -> HealthResult:
        began = timestamp(time.time_ns())
        config = ExecConfig(cmd=command, tty=False, attach_stdout=True, attach_stderr=True)
        made = self._execs.create(entry.container.id, config)
        ours, theirs = socket.socketpair()
        try:
            with ours:
                with theirs:
                    self._execs.start(made.id, theirs.fileno(), b"")
                output, is_whole = _read(ours, timeout_s)
            code = self._code(made) if is_whole else TIMED_OUT
            if not is_whole:
                processes.send_signal(made.pid, processes.start_time(made.pid), signal.SIGKILL)
                output = f"Health check exceeded timeout ({timeout_s:g}s)"
        except StartError as error:
            code, output = error.exit_code, str(error)
        finally:
            self._execs.discard(made.id)
        return HealthResult(began, timestamp(time.time_ns()), code, output)

    def _code(self, made: Exec) -> int:
        found = self._execs.settled(made.id)
        return TIMED_OUT if found.exit_code is None else found.exit_code


def _seconds(nanoseconds: int, default_s: float) -> float:
    return nanoseconds / NS_A_SECOND if nanoseconds else default_s


def _read(connection: socket.socket, timeout_s: float) -> tuple[str, bool]:
    """The beginning of the output, and whether the output ended in time."""
    deadline = time.monotonic() + timeout_s
    poll = select.poll()  # select(2) knows no descriptor above 1023
    poll.register(connection, select.POLLIN)
    data = bytearray()
    while True:
        left_s = max(deadline - time.monotonic(), 0)
        if not poll.poll(left_s * 1000):
            return "", False
        part = connection.recv(65536)
        if not part:
            return _text(bytes(data)), True
        if len(data) < 4 * OUTPUT_KEPT_BYTES:
            data += part


def _text(data: bytes) -> str:
    text = b""
    while len(data) >= _FRAME_HEADER_BYTES:
        end = _FRAME_HEADER_BYTES + int.from_bytes(data[4:_FRAME_HEADER_BYTES], "big")
        text += data[_FRAME_HEADER_BYTES:end]
        data = data[end:]
    return text[:OUTPUT_KEPT_BYTES].decode(errors="replace")
