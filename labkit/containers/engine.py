"""The engine: everything that can be done to containers.

    >>> engine = Engine.open(Paths.from_environment())
    >>> config = ContainerConfig(image="busybox", cmd=["true"])
    >>> container, warnings = engine.create(config, HostConfig())
    >>> engine.start(container.id)
    >>> engine.wait(container.id).exit_code
    0

Every method may be called from any thread.  A change to a container is made under that container's
lock, so that two containers never wait for each other.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

from labkit.containers.given import connecting, namespaces, networking
from labkit.containers.given.defaults import Defaults as ContainerDefaults
from labkit.containers.inside import attaching, committing, logs, stats, top
from labkit.containers.inside.committing import Commit
from labkit.containers.inside.execs import Execs
from labkit.containers.inside.files import ContainerFiles
from labkit.containers.inside.logs import LogLine
from labkit.containers.inside.shipping import Shipping
from labkit.containers.inside.top import Processes
from labkit.containers.life import creating, ending, pausing, recovery, starting, updating
from labkit.containers.life.health import HealthChecks
from labkit.containers.life.updating import UpdateConfig
from labkit.containers.life.watch import Watch
from labkit.containers.parts import Parts
from labkit.containers.records import names, states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container, ContainerConfig, HostConfig, State
from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    NotModifiedError,
    StartError,
)
from labkit.images import Image
from labkit.images.removal import ImageUser
from labkit.kernel import messages
from labkit.networks import EndpointConfig
from labkit.networks.defaults import USUAL, Defaults
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.explain import Rows


class Engine:
    """Creates, starts, watches and removes containers."""

    def __init__(
        self,
        paths: Paths,
        userns_remap: str = "",
        addresses: Defaults = USUAL,
        defaults: ContainerDefaults = ContainerDefaults(),  # noqa: B008 it is immutable
    ) -> None:
        def on_end(entry: Entry, status: ExitStatus | None) -> None:
            ending.ended(self.parts, entry, status)

        self.parts = Parts(paths, on_end, userns_remap, addresses, defaults)
        self.paths = self.parts.paths
        self.images = self.parts.images
        self.layout = self.parts.layout
        self.warnings = self.parts.warnings
        self.events = self.parts.events
        self.execs = Execs(self.parts)
        self.health = HealthChecks(self.parts, self.execs)
        self.shipping = Shipping(self.parts)
        self.parts.on_running = self._on_running
        self.volumes = self.parts.volumes
        self.networks = self.parts.networks
        self.files = ContainerFiles(self.parts)
        self.userns_remap = userns_remap

    @classmethod
    def open(
        cls,
        paths: Paths,
        userns_remap: str = "",
        addresses: Defaults = USUAL,
        defaults: ContainerDefaults = ContainerDefaults(),  # noqa: B008 it is immutable
    ) -> "Engine":
        """Start the spawner, and adopt the containers that ran when the last daemon ended.

        `userns_remap` is `default` or user[:group]: the owner of the containers' range of ids;
        empty for the host's ids.  InvalidParameterError if there is no such range.  `addresses`:
        the pools that networks get their subnets from.  `defaults`: the values of options that a
        container leaves out.
        """
        engine = cls(paths, userns_remap, addresses, defaults)
        engine.parts.spawner.start()
        recovery.recover(engine.parts)
        engine.warnings += engine.parts.records.warnings
        recovery.start_by_policy(engine.parts)
        return engine

    def _on_running(self, entry: Entry) -> None:
        self.health.begin(entry)
        self.shipping.begin(entry)

    def owner_on_host(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the host's ids of a user and a group in a container without `--userns`."""
        ranges = namespaces.gather_id_ranges(self.parts, HostConfig())
        users = namespaces.users(self.parts, ranges)
        return (users.host_uid(uid), users.host_gid(gid)) if users else (uid, gid)

    def close(self) -> None:
        """Release everything; running containers go on under their shims."""
        self.health.stop()
        self.shipping.stop()
        self.parts.spawner.stop()
        self.parts.monitor.stop()
        self.parts.name_server.close()
        for entry in self.parts.lookup.all():
            with entry.lock:
                entry.cancel_restart()
                entry.drop_pending_clients()
        self.parts.remover.close()
        self.networks.close()
        # The cgroup above running containers cannot be removed: EBUSY.
        with contextlib.suppress(OSError):
            self.layout.tear_down()

    def create(
        self,
        config: ContainerConfig,
        host_config: HostConfig,
        *,
        name: str = "",
        without: Sequence[str] = (),
        endpoints: Mapping[str, EndpointConfig] | None = None,
        takes_volumes: bool = True,
    ) -> tuple[Container, list[str]]:
        """Make a container that can be started; returns it and the warnings for the user.

        `endpoints`: the container's settings on each network, by the network's name or id.
        `takes_volumes`: whether it gets the volumes of its image; only a build's containers do not.

        NotFoundError (no such image), ConflictError (name in use), InvalidParameterError.
        """
        return creating.create(
            self.parts,
            self.files,
            config,
            host_config,
            name=name,
            without=without,
            endpoints=endpoints or {},
            takes_volumes=takes_volumes,
        )

    def get(self, ref: str) -> Container:
        """The container's record; NotFoundError."""
        return self.parts.lookup.find(ref).container

    def list(self) -> list[Container]:
        """Every container, the newest first."""
        return [entry.container for entry in self.parts.lookup.all()]

    def start(self, ref: str, secret_environment: Sequence[str] = ()) -> None:
        """Run a created or exited container; StartError, NotModifiedError if it runs already.

        `secret_environment`: `NAME=value` words that no record keeps.
        """
        entry = self.parts.lookup.find(ref)
        with entry.lock:
            entry.secret_environment = secret_environment
            if entry.container.state.status == states.PAUSED:
                raise ConflictError("cannot start a paused container, try unpause instead")
            if entry.is_running:
                raise NotModifiedError(f"container {ref} is already running")
            entry.check_staying()
            entry.cancel_restart()
            entry.restart_delay_s = 0.0
            entry.container.stopped_by_user = False
            entry.container.restart_count = 0
            try:
                starting.start_or_record(self.parts, entry)
            except (StartError, NotFoundError):
                if entry.container.host_config.auto_remove:
                    ending.remove(self.parts, entry, volumes=True)
                raise

    def attach(
        self,
        ref: str,
        connection_fd: int,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        detach_keys: bytes = b"",
        announce: Callable[[], None] = lambda: None,
        replay: attaching.Replay | None = None,
    ) -> None:
        """Hand a client's connection to the container's shim, now or when the container starts.

        The descriptor is duplicated; the caller closes its own without shutting the socket down.
        `announce` tells the client that it is attached.  It is called before any output is sent,
        so a client that starts the container after this gets all its output.
        With `replay` that function first gets the log up to this moment.
        """
        entry = self.parts.lookup.find(ref)
        options = (stdin, stdout, stderr, detach_keys)
        self.parts.publish("attach", entry)
        if replay is None:
            attaching.attach(entry, connection_fd, options, announce)
            return
        announce()
        log_path = self.parts.records.log_path(entry.container.id)
        attaching.attach_with_log(entry, log_path, connection_fd, options, replay)

    def watch(self, ref: str, condition: str = "not-running") -> Watch:
        """Begin to watch for the container's end; the caller waits for it afterwards.

        A container that has just been removed is found too, by its full id.
        """
        return Watch(self.parts.lookup.find_or_gone(ref), condition)

    def wait(
        self, ref: str, condition: str = "not-running", timeout_s: float | None = None
    ) -> State:
        """Block until the condition (see `Watch`) holds; the state then.  TimeoutError."""
        return self.watch(ref, condition).wait(timeout_s)

    def kill(self, ref: str, signal_number: int = 9) -> None:
        """Send a signal to the container's first process; ConflictError if it does not run.

        SIGKILL cannot be refused, so this method waits for its effect.
        """
        try:
            entry = self.parts.lookup.find(ref)
        except NotFoundError as error:
            raise NotFoundError(f"cannot kill container: {ref}: {error}") from None
        watch = Watch(entry)
        ending.kill(self.parts, entry, signal_number)
        if signal_number == signal.SIGKILL:
            with contextlib.suppress(TimeoutError):
                watch.wait(ending.KILL_TIMEOUT_S)

    def stop(
        self, ref: str, timeout_s: float | None = None, signal_number: int | None = None
    ) -> None:
        """Ask the container to end (SIGTERM, or its own stop signal), and kill it if it does not.

        `timeout_s`: how long it may take to end; negative for no limit.
        """
        ending.stop(self.parts, self.parts.lookup.find(ref), timeout_s, signal_number)

    def restart(
        self, ref: str, timeout_s: float | None = None, signal_number: int | None = None
    ) -> None:
        """Stop the container if it runs, and start it."""
        entry = self.parts.lookup.find(ref)
        entry.starts_again = True
        try:
            with contextlib.suppress(NotModifiedError):
                ending.stop(self.parts, entry, timeout_s, signal_number)
            self.start(entry.container.id)
        finally:
            entry.starts_again = False
        self.parts.publish("restart", entry)

    def pause(self, ref: str) -> None:
        """Freeze every process of the container: it keeps its memory and gets no CPU time."""
        pausing.pause(self.parts, self.parts.lookup.find(ref))

    def unpause(self, ref: str) -> None:
        """Let a paused container run again."""
        pausing.unpause(self.parts, self.parts.lookup.find(ref))

    def rename(self, ref: str, name: str) -> None:
        """Give the container another name; ConflictError if it is in use."""
        entry = self.parts.lookup.find(ref)
        names.check(name := name.removeprefix("/"))
        with entry.lock:
            entry.check_present()
            old = entry.container.name
            if name == old:
                raise InvalidParameterError(
                    "Renaming a container with the same name as its current name"
                )
            try:
                self.parts.lookup.reserve_name(name, entry.container.id)
            except ConflictError as error:
                raise ConflictError(f"Error when allocating new name: {error}") from None
            entry.container.name = name
            try:
                self.parts.records.save(entry.container)
            except OSError:
                entry.container.name = old
                self.parts.lookup.release_name(name, entry.container.id)
                raise
            self.parts.lookup.release_name(old, entry.container.id)
            networking.rename(self.parts, entry)
            self.parts.publish("rename", entry, oldName=f"/{old}")

    def update(self, ref: str, asked: UpdateConfig) -> Sequence[str]:
        """Change limits and restart policy, also of a running container; returns the warnings."""
        return updating.update(self.parts, self.parts.lookup.find(ref), asked)

    def connect(self, network: str, ref: str, wanted: EndpointConfig) -> None:
        """Put a container on a network, also while it runs; ForbiddenError if it cannot be."""
        found = self.networks.find(network)
        connecting.connect(self.parts, found, self.parts.lookup.find(ref), wanted)

    def disconnect(self, network: str, ref: str, *, force: bool = False) -> None:
        """Take a container off a network, also while it runs."""
        entry = self.parts.lookup.find(ref)
        try:
            found = self.networks.find(network)
        except NotFoundError:
            if not (force and connecting.forget_removed(self.parts, network, entry)):
                raise
            return
        connecting.disconnect(self.parts, found, entry)

    def top(self, ref: str, arguments: str = "") -> Processes:
        """Return the container's processes as `ps` on the host shows them (`-ef` by default)."""
        entry = self.parts.lookup.find(ref)
        found = top.top(self.layout, entry, arguments)
        self.parts.publish("top", entry)
        return found

    def stats(self, ref: str) -> dict[str, object]:
        """Return what the container uses now (`inside/stats.py`); zeros if it does not run."""
        entry = self.parts.lookup.find(ref)
        if not entry.is_running:
            return stats.EMPTY
        is_host = entry.container.host_config.network_mode == "host"
        try:
            return stats.sample(
                self.layout, entry.container.id, 0 if is_host else entry.container.state.pid
            )
        except FileNotFoundError:  # it has just ended
            return stats.EMPTY

    def is_running(self, ref: str) -> bool:
        """Whether the container's first process exists; True also while it is paused."""
        return self.parts.lookup.find(ref).is_running

    def resize(self, ref: str, height: int, width: int) -> None:
        """Give the container's terminal another size; ConflictError if it does not run."""
        entry = self.parts.lookup.find(ref)
        with entry.lock:
            if entry.shim is None:
                raise ConflictError(f"container {entry.container.id} is not running")
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                messages.send(entry.shim, ("resize", height, width))

    def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and everything it wrote; ConflictError if it runs, unless forced.

        `volumes`: remove its anonymous volumes too.
        """
        entry = self.parts.lookup.find(ref)
        status = entry.container.state.status
        is_alive = entry.is_running or status == "restarting"
        if is_alive and not force:
            first = (
                " and must be unpaused first"
                if status == states.PAUSED
                else ": stop the container before removing or force remove"
            )
            raise ConflictError(
                f'cannot remove container "/{entry.container.name}": container is {status}{first}'
            )
        entry.is_leaving = True
        try:
            if is_alive:
                with contextlib.suppress(ConflictError):
                    ending.kill(self.parts, entry, signal.SIGKILL)
                ending.wait_for_killed(entry)
            with entry.lock:
                if not entry.removed:
                    ending.remove(self.parts, entry, volumes=volumes)
                    self.execs.forget(entry)
        finally:
            entry.is_leaving = False

    def unlink(self, name: str) -> None:
        """Remove a link by its name: `/web/db` is container web's alias db; NotFoundError."""
        connecting.unlink(self.parts, name)

    def commit(self, ref: str, asked: Commit) -> Image:
        """Make an image of a container and its changes; see `Commit`."""
        return committing.commit(self.parts, self.parts.lookup.find(ref), asked)

    def image_users(self) -> dict[str, ImageUser]:
        """The images that containers use, each with one container, a running one if possible."""
        users: dict[str, ImageUser] = {}
        for container in self.list():
            user = ImageUser(container.id, container.state.status in states.ALIVE)
            shown = [point.source for point in container.mount_points if point.type == "image"]
            for image_id in (container.image_id, *shown):
                if user.is_running or image_id not in users:
                    users[image_id] = user
        return users

    def logs(
        self,
        ref: str,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        since: float = 0.0,
        until: float = 0.0,
        tail: int | None = None,
    ) -> Iterator[LogLine]:
        """Yield what the container has printed and, with `follow`, prints until it ends."""
        entry = self.parts.lookup.find(ref)
        streams = {name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted}
        return logs.read(
            self.parts.records.log_path(entry.container.id),
            streams=streams,
            since=since,
            until=until,
            tail=tail,
            is_running=(lambda: entry.is_running) if follow else None,
        )

    def exec_ids(self, ref: str) -> Sequence[str]:
        """The ids of the container's execs that run."""
        return self.execs.of(self.parts.lookup.find(ref))

    def log_path(self, ref: str) -> str:
        """The path of the container's log."""
        return self.parts.records.log_path(self.get(ref).id)

    def steps(self, ref: str) -> Rows:
        """The steps of the last start, in order (`labkit.runtime.explain`).

        A container that has just been removed is found too, by its full id: `run --rm` needs it.
        """
        return starting.steps(self.parts, self.parts.lookup.find_or_gone(ref))
