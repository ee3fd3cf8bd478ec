"""Ending a container: kill, stop; and the work after its end."""

import contextlib
import os
import signal
import threading
import time
from copy import copy

from labkit.containers.given import mounting, networking
from labkit.containers.life import pausing, restarts, starting
from labkit.containers.parts import Parts
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import State
from labkit.dialect.moments import timestamp, unix_s
from labkit.errors import ConflictError, LabkitError, NotModifiedError
from labkit.kernel import processes
from labkit.runtime.exit_status import KILLED, ExitStatus
from labkit.signals import parse_signal

DEFAULT_STOP_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 10.0


def kill(parts: Parts, entry: Entry, number: int) -> None:
    """Send a signal to the first process; ConflictError if there is none.

    A signal that ends a container also means that its user wants no restart.  A paused container
    is unpaused so that the signal reaches it.
    """
    container = entry.container
    with entry.lock:
        if _gives_up_restart(parts, entry):
            return
        if not entry.is_running:
            raise _not_running(entry)
        if number in (signal.SIGKILL, stop_signal(entry)):
            container.stopped_by_user = True
        if not processes.send_signal(container.state.pid, entry.start_time, number):
            raise _not_running(entry)
        parts.publish("kill", entry, signal=str(number))
        if container.state.status == "paused" and container.stopped_by_user:
            pausing.unpause(parts, entry)


def _gives_up_restart(parts: Parts, entry: Entry) -> bool:
    """Cancel the restart that a container waits for; False if it waits for none.

    The caller holds its lock.
    """
    if entry.restart_timer is None:
        return False
    container = entry.container
    entry.cancel_restart()
    container.stopped_by_user = True
    container.state.status = states.after(container.state.status, "stop")
    parts.records.save_if_possible(container)
    entry.changed.notify_all()
    return True


def _not_running(entry: Entry) -> ConflictError:
    container = entry.container
    return ConflictError(
        f"cannot kill container: {container.name}: container {container.id} is not running"
    )


def stop_signal(entry: Entry) -> int:
    """The signal that asks this container to end."""
    return parse_signal(entry.container.config.stop_signal or "SIGTERM")


def stop(parts: Parts, entry: Entry, timeout_s: float | None, number: int | None) -> None:
    """Ask the container to end, and kill it if it does not within `timeout_s`.

    None means the container's own time-out, a negative number no limit.  NotModifiedError if it
    does not run.  If it waits for a restart, that is cancelled.
    """
    container = entry.container
    with entry.lock:
        if _gives_up_restart(parts, entry):
            return
        if not entry.is_running:
            raise NotModifiedError(f"container {container.name} is not running")
        container.stopped_by_user = True
    if timeout_s is None:
        given = container.config.stop_timeout
        timeout_s = DEFAULT_STOP_TIMEOUT_S if given is None else float(given)
    # If the container has ended by itself since, that is what the caller asked for.
    with contextlib.suppress(ConflictError):
        kill(parts, entry, number or stop_signal(entry))
        try:
            wait_for_end(entry, None if timeout_s < 0 else timeout_s)
        except TimeoutError:
            kill(parts, entry, signal.SIGKILL)
            wait_for_killed(entry)
    parts.publish("stop", entry)


def wait_for_end(entry: Entry, timeout_s: float | None) -> None:
    """Block until the container does not run; TimeoutError."""
    if timeout_s is not None:
        timeout_s = min(timeout_s, threading.TIMEOUT_MAX)  # 292 years
    with entry.lock:
        if not entry.changed.wait_for(lambda: not entry.is_running, timeout_s):
            raise TimeoutError(f"container {entry.container.name} still runs")


def wait_for_killed(entry: Entry) -> None:
    """Block until a container that got SIGKILL does not run; LabkitError.

    If only its shim does not report the end, the shim is killed: a container that sees the host's
    processes can stop it (SIGSTOP).
    """
    container = entry.container
    with contextlib.suppress(TimeoutError):
        wait_for_end(entry, KILL_TIMEOUT_S)
        return
    _end_shim_of_ended(container.state.pid, entry.start_time)
    try:
        wait_for_end(entry, KILL_TIMEOUT_S)
    except TimeoutError:
        raise LabkitError(
            f"container {container.name} does not end: {KILL_TIMEOUT_S:g} s after SIGKILL its "
            f"process {container.state.pid} is still there, as one that waits for a disk is"
        ) from None


def _end_shim_of_ended(pid: int, started: int) -> None:
    pidfd = processes.open_pidfd(pid, started)
    if pidfd is None:
        return
    try:
        # A process that has ended keeps its number, and its parent, until its shim reaps it.
        if processes.has_ended(pidfd):
            shim = processes.parent(pid)
            if shim <= 1:  # the shim has ended, too: process 1 is the parent from then on
                return
            processes.send_signal(shim, processes.start_time(shim), signal.SIGKILL)
    finally:
        os.close(pidfd)


def ended(parts: Parts, entry: Entry, status: ExitStatus | None) -> None:
    """Record the end of a container; `status` is None if its shim ended without a report.

    Whatever fails afterwards, the clients that wait for the end learn of it.
    """
    with entry.lock:
        if entry.removed:
            return
        entry.shim = None
        try:
            _record_end(parts, entry, status)
            _publish_end(parts, entry)
            _follow_up(parts, entry)
        finally:
            if not entry.removed:
                entry.exits += 1
                entry.changed.notify_all()


def _publish_end(parts: Parts, entry: Entry) -> None:
    state = entry.container.state
    if state.oom_killed:
        parts.publish("oom", entry)
    parts.publish_networks("disconnect", entry)
    parts.publish_mounts("unmount", entry)
    ran_s = int(unix_s(state.finished_at) - unix_s(state.started_at))
    parts.publish("die", entry, execDuration=str(ran_s), exitCode=str(state.exit_code))


def _follow_up(parts: Parts, entry: Entry) -> None:
    """Restart it after a delay, or remove it, as its options say."""
    container, state = entry.container, entry.container.state
    delay_s = restarts.delay_s(entry)
    if delay_s is not None:
        state.status = states.after(state.status, "retry")
        entry.restart_after(delay_s, lambda: _restart(parts, entry))
    elif container.host_config.auto_remove and not entry.starts_again:
        remove(parts, entry, volumes=True)
        return
    if restarts.has_policy(container):
        parts.records.save_if_possible(container)


def _record_end(parts: Parts, entry: Entry, status: ExitStatus | None) -> None:
    """Set the state, then undo what the run needed; a failure there changes no state."""
    container = entry.container
    status = status or parts.records.read_exit(container.id)
    is_news = status is None
    if status is None:
        # The shim was killed, and the kernel killed the container with it (die_with_shim).
        now = timestamp(time.time_ns())
        status = ExitStatus(KILLED, False, now, entry.durations_ns, is_lost=True)
    container.state = State(
        status=states.after(container.state.status, "die"),
        exit_code=status.code,
        oom_killed=status.killed_for_memory,
        started_at=container.state.started_at,
        finished_at=status.finished_at,
        health=container.state.health,
        error="the container's shim was killed, and the container with it"
        if status.is_lost
        else "",
    )
    entry.end = copy(container.state)
    if is_news:
        parts.layout.remove(container.id)
        parts.records.write_exit(container.id, status)
    starting.remove_run_folder(parts, container.id)
    networking.release(parts, container.id)
    mounting.unmount_volumes(parts, container)


def _restart(parts: Parts, entry: Entry) -> None:
    """Restart the container after the delay."""
    with entry.lock:
        if entry.removed or entry.is_leaving or entry.restart_timer is None:
            return
        entry.restart_timer = None
        entry.container.restart_count += 1
        starting.start_or_record(parts, entry)


def remove(parts: Parts, entry: Entry, *, volumes: bool = False) -> None:
    """Remove everything of a container that does not run; the caller holds its lock.

    `volumes`: remove its anonymous volumes too.
    """
    entry.cancel_restart()
    state = entry.container.state
    state.status = states.after(state.status, "remove")
    try:
        moved = parts.records.move_away(entry.container.id, volumes=volumes)
    except OSError:
        state.status = states.after(state.status, "get stuck")
        raise
    state.status = states.after(state.status, "destroy")
    entry.removed = True
    entry.exits += 1
    entry.drop_pending_clients()
    mounting.release(parts.volumes, entry.container, remove_anonymous=volumes)
    parts.records.delete(moved)
    parts.lookup.release(entry.container.name, entry.container.id)
    parts.publish("destroy", entry)
    entry.changed.notify_all()
