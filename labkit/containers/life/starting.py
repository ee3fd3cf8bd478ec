"""Starting a container: compute the plan, let a shim execute it, and report a step that failed."""

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from labkit.cgroups import Placement
from labkit.containers.given import (
    devices,
    disks,
    etc_files,
    log_options,
    mounting,
    namespaces,
    networking,
    security,
    sysctls,
)
from labkit.containers.life import specification
from labkit.containers.parts import Parts
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container, State
from labkit.dialect.moments import timestamp
from labkit.errors import (
    NO_SPACE,
    InvalidParameterError,
    LabkitError,
    NotFoundError,
    StartError,
)
from labkit.images import Image
from labkit.kernel import messages, reserve
from labkit.networks import Sandbox
from labkit.runtime import explain, operations
from labkit.runtime import plan as planning
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.explain import Rows
from labkit.runtime.launch import Launch, LaunchError, ShimGoneError, StepFailure
from labkit.runtime.plan import Plan
from labkit.runtime.shim import Request, Started
from labkit.runtime.step import Step

COMMAND_CANNOT_BE_INVOKED = 126
COMMAND_NOT_FOUND = 127
PORT_TRIES = 5


def place(parts: Parts, container: Container) -> Placement:
    """The container's cgroups, and the limits that are written to their files."""
    if parent := container.host_config.cgroup_parent:
        parts.layout.put_below(container.id, parent)
    limits = specification.limits_of(container.host_config, container.devices, container.disks)
    return parts.layout.place(container.id, limits)


def make_plan(
    parts: Parts, container: Container, image: Image, placement: Placement, sandbox: Sandbox
) -> Plan:
    """The plan for a container and a run with this sandbox."""
    spec = specification.build_spec(
        container,
        image,
        folder=parts.records.folder(container.id),
        layout=parts.layout,
        placement=placement,
        network=networking.plan_part(parts, container, sandbox),
        etc_folder=etc_files.folder_of(parts, container),
        layers_of=lambda image_id: parts.images.resolve(image_id).layer_directories(),
    )
    host = container.host_config
    spec = replace(
        spec,
        storage=parts.snapshots.name,
        copied_root=parts.snapshots.copy_of(parts.records.folder(container.id)),
        pid=namespaces.sharing(parts, host.pid_mode),
        ipc=namespaces.sharing(parts, host.ipc_mode),
        uts=namespaces.sharing(parts, host.uts_mode),
        cgroup=namespaces.sharing(parts, host.cgroupns_mode),
        user_namespace=namespaces.users(
            parts, container.id_ranges, mounts=security.may_mount(host)
        ),
    )
    return planning.compute(spec, container.without)


def steps(parts: Parts, entry: Entry) -> Rows:
    """The steps of the last start.  The plan is computed again: the same input, the same plan."""
    container = entry.container
    durations_ns = entry.durations_ns
    if not durations_ns and (status := parts.records.read_exit(container.id)):
        durations_ns = status.durations_ns
    if not durations_ns:
        return parts.records.read_steps(container.id)
    image = parts.images.resolve(container.image_id)
    sandbox = entry.sandbox or parts.records.read_sandbox(container.id) or Sandbox(container.id)
    plan = make_plan(parts, container, image, place(parts, container), sandbox)
    return explain.rows(plan, durations_ns)


def start(parts: Parts, entry: Entry) -> None:
    """Start the container; the caller holds its lock.  StartError names the failed step."""
    container = entry.container
    running = states.after(container.state.status, "start")
    container.state = State(status=running, started_at=timestamp(time.time_ns()))
    namespaces.check_shared(parts, container)
    for _ in range(PORT_TRIES):
        try:
            networking.prepare(parts, entry)
            _start(parts, entry)
        except PortTakenError:
            networking.release(parts, entry.container.id)
        except BaseException:
            networking.release(parts, entry.container.id)
            mounting.unmount_volumes(parts, entry.container)
            raise
        else:
            networking.open_ports(parts, entry)
            networking.tell_linked(parts, entry)
            return
    raise StartError(
        "no free port: every port that was tried was taken by another process; publish a fixed "
        "one with -p"
    )


class PortTakenError(Exception):
    """Another process took the chosen port before it was bound: choose another port."""


def _start(parts: Parts, entry: Entry) -> None:
    container = entry.container
    try:
        sysctls.check(container.host_config)
        container.devices = devices.gather(container.host_config)
        container.disks = disks.gather(container.host_config)
        container.id_ranges = namespaces.gather_id_ranges(parts, container.host_config)
        mounting.make_sources(container)
        mounting.mount_volumes(parts, container)
        plan, request = _make_request(parts, entry)
    except (InvalidParameterError, NotFoundError) as error:
        # Something has been removed since it was created: its image, a device.
        raise StartError(f"cannot start the container: {error}") from error
    parts.records.forget_exit(container.id)
    entry.durations_ns = []
    try:
        launch, started = _launch(parts, entry, request)
    except ShimGoneError:
        # The shim was killed, or the spawner with the request in its queue: try once more.
        _clear(parts, entry)
        launch, started = _launch(parts, entry, request)
    except LaunchError as error:
        rows = explain.rows(plan, error.failure.durations_ns, error.failure)
        with contextlib.suppress(OSError):  # they are not essential
            parts.records.write_steps(container.id, rows)
        steps = [step for _, step in plan.steps()]
        if networking.has_other_port(container, steps[error.failure.step_index], error.failure):
            raise PortTakenError from None
        raise start_error(steps, error.failure, rows) from None
    entry.drop_pending_clients()
    entry.started(launch.connection, started)
    if launch.names_fds:
        parts.name_server.serve(container.id, launch.names_fds)
    watch(parts, entry)


def _launch(parts: Parts, entry: Entry, request: Request) -> tuple[Launch, Started]:
    """Start a shim and wait for its report; LaunchError, ShimGoneError, StartError."""
    clients = [client for client, _ in entry.pending_clients]
    with parts.records.held(entry.container.id) as hold_fd:
        launch = parts.spawner.launch(request, hold_fd, clients)
    # While the shim works: after a crash of the machine the record must say that it ran.
    parts.records.save_if_possible(entry.container)
    return launch, messages.known(Started, launch.finish())


def _clear(parts: Parts, entry: Entry) -> None:
    """Remove what a shim left that was killed during a start."""
    parts.layout.remove(entry.container.id)
    remove_run_folder(parts, entry.container.id)


def start_or_record(parts: Parts, entry: Entry) -> None:
    """Start the container; after a failure its state records the error (StartError).

    All else of the state is as it was before.
    """
    container, before = entry.container, entry.container.state
    try:
        start(parts, entry)
    except OSError as error:
        # Nothing was written or started: the record on disk is still right.
        failure = _full(error) if error.errno in reserve.FULL else StartError(str(error))
        _record_failure(parts, entry, before, failure, saves=False)
        raise failure from error
    except LabkitError as error:
        failure = error if isinstance(error, StartError) else StartError(str(error))
        _record_failure(parts, entry, before, failure)
        raise
    except BaseException:
        if entry.shim is None:
            container.state = before
        raise
    parts.publish_networks("connect", entry)
    parts.publish_mounts("mount", entry)
    parts.publish("start", entry)


def _full(error: OSError) -> StartError:
    return StartError(f"cannot start the container: {error.strerror}: {NO_SPACE}")


def _record_failure(
    parts: Parts, entry: Entry, before: State, error: StartError, *, saves: bool = True
) -> None:
    if entry.shim is not None:
        return  # it runs: a later step failed
    entry.drop_pending_clients()
    container = entry.container
    if isinstance(error, ShimGoneError):
        _clear(parts, entry)
    has_run = before.status != "created"
    status = states.after(states.RUNNING, "fail again" if has_run else "fail")
    container.state = State(
        status=status,
        exit_code=error.exit_code,
        error=str(error),
        started_at=before.started_at,
        finished_at=before.finished_at,
    )
    if saves:
        parts.records.save_if_possible(container)
    entry.changed.notify_all()


def watch(parts: Parts, entry: Entry) -> None:
    """Call `on_end` when this running container ends."""
    assert entry.shim is not None  # noqa: S101 it has just been started or adopted

    def ended(told: list[Any] | None) -> None:
        parts.on_end(entry, messages.known(ExitStatus, told) if told else None)

    parts.monitor.watch(entry.shim, ended, lambda: parts.publish("detach", entry))
    parts.on_running(entry)


def _make_request(parts: Parts, entry: Entry) -> tuple[Plan, Request]:
    container = entry.container
    image = parts.images.resolve(container.image_id)
    placement = place(parts, container)
    parts.layout.make_parent(container.id)
    sandbox = entry.sandbox or Sandbox(container.id)
    plan = make_plan(parts, container, image, placement, sandbox)
    log = log_options.limits(container.host_config.log_config)
    keeps_log = log_options.keeps_log(container)
    return plan, Request(
        host=operations.encode([step.operation for step in plan.host]),
        clone=operations.encode([plan.clone.operation])[0],
        child=operations.encode([step.operation for step in plan.child]),
        environment=[
            *etc_files.link_environment(parts, container),
            *specification.environment(container),
            *entry.secret_environment,
        ],
        log_path=parts.records.log_path(container.id) if keeps_log else log_options.NO_FILE,
        log_limits=(log.max_bytes, log.max_files),
        exit_path=parts.records.exit_path(container.id),
        run_folder=parts.paths.container_run(container.id),
        cgroup_directories=list(dict.fromkeys(group.directory for group in placement.groups)),
        oom_counter=placement.oom_counter,
        open_stdin=container.config.open_stdin,
        stdin_once=container.config.stdin_once,
        tty=container.config.tty,
        attached=[options for _, options in entry.pending_clients],
    )


def start_error(
    steps: Sequence[Step],
    failure: StepFailure,
    rows: Rows | None = None,
    *,
    what: str = "the container",
    otherwise: int = 125,
) -> StartError:
    """The error for a failed step, with its message and Docker's exit code.

    `otherwise` is the exit code if the failure is not in executing the program itself.
    """
    step = steps[failure.step_index]
    exit_code = otherwise
    if step.name == "exec":
        not_found = failure.errno in (errno.ENOENT, errno.ENOTDIR)
        exit_code = COMMAND_NOT_FOUND if not_found else COMMAND_CANNOT_BE_INVOKED
    cause = networking.explain_port(step, failure)
    cause = cause or explain.usual_cause(step.name, failure.errno)
    message = f"cannot start {what}: step {step.name} failed: {failure.text}"
    full = f"{message} ({cause})" if cause else message
    return StartError(full, exit_code=exit_code, step=step.name, steps=rows)


def remove_run_folder(parts: Parts, container_id: str) -> None:
    """Remove the files that a killed shim left in its run folder."""
    folder = parts.paths.container_run(container_id)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
