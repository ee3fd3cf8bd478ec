"""labkitd's life: it opens a data root and serves until SIGTERM; the containers keep running."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import labkit
from labkit import snapshots
from labkit.build import workroom
from labkit.containers import Engine
from labkit.daemon import doors, listener, settings
from labkit.daemon.routes import TABLE
from labkit.daemon.server import Server
from labkit.daemon.settings import Proxies, Settings, Source
from labkit.errors import LabkitError
from labkit.http.end_signals import EndSignals
from labkit.kernel import power
from labkit.log import LABKITD
from labkit.paths import Paths
from labkit.rootless import cable, outside, traces
from labkit.rootless.watch import HolderWatch

READY = b"ready\n"


def run(
    paths: Paths, given: Mapping[str, Sequence[str]], config_file: str | None, ready_fd: int | None
) -> None:
    """Run the daemon until a signal ends it; LabkitError if it lost the machine's network.

    `given` has the texts of the flags by name, `config_file` the path of the file, if given.
    """
    LABKITD.take_unhandled()
    source = settings.source(paths.root, given, config_file)
    said, warnings = source.read()
    if said.data_root and os.path.abspath(said.data_root) != paths.root:
        paths = Paths(os.path.abspath(said.data_root), paths.run)
    os.makedirs(paths.run, 0o755, exist_ok=True)
    pid_path = listener.pid_path(paths)
    lock = listener.lock(pid_path)
    try:
        with (
            _pid_file(said.pidfile),
            snapshots.opened(os.path.realpath(paths.root), said.storage_driver),
        ):
            settings.use(os.path.realpath(paths.root), source)
            _set_proxies(said.proxies)
            _serve(paths, source, said, warnings, ready_fd)
    finally:
        os.unlink(pid_path)
        os.close(lock)


def _serve(
    paths: Paths, source: Source, said: Settings, warnings: list[str], ready_fd: int | None
) -> None:
    """Answer requests on an open data root, until a signal ends the daemon."""
    lock = listener.lock(f"{paths.root}/labkitd.lock")
    signals = EndSignals(hangup=True)
    watch = HolderWatch(paths.run) if power.IS_LIMITED else None
    engine = Engine.open(
        paths,
        said.userns_remap,
        settings.network_defaults(said),
        settings.container_defaults(said),
    )
    engine.warnings += warnings
    if watch:
        outside.lead_through_holder(paths.run)
        engine.warnings += filter(None, [cable.warning(paths.run)])
        if group := engine.layout.own_group():
            traces.write_group(paths.run, *group)
    workroom.sweep(engine)
    server = Server(None, partial(TABLE.handle, engine))
    server.is_talkative = said.is_talkative
    places = doors.open_all(server, paths, said)
    for warning in engine.warnings:
        LABKITD.line(warning)
    LABKITD.line(f"labkit {labkit.__version__} listens on {', '.join(places)}, pid {os.getpid()}")
    with listener.docker_name(paths):
        if ready_fd is not None:
            os.write(ready_fd, READY)
            os.close(ready_fd)
        server.serve(signals, lambda: _reload(source, engine, server))
    LABKITD.line("asked to end; running containers keep running")
    server.finish()
    os.unlink(paths.socket)
    engine.close()
    os.close(lock)
    if watch and watch.is_lost:
        raise LabkitError(watch.LOST)


def _reload(source: Source, engine: Engine, server: Server) -> None:
    """Read the file again at SIGHUP; only settings that are looked up later can change.

    If the file cannot be read, nothing changes.
    """
    try:
        said, warnings = source.read()
    except LabkitError as error:
        LABKITD.line(f"the configuration is not reloaded: {error}")
        return
    server.is_talkative = said.is_talkative
    for warning in warnings:
        LABKITD.line(warning)
    LABKITD.line(f"reloaded {source.path}")
    engine.events.publish("daemon", "reload", settings.engine_id(engine.paths.root), {})


@contextlib.contextmanager
def _pid_file(path: str) -> Iterator[None]:
    """Write the process id to a file that the administrator names, if any."""
    if not path:
        yield
        return
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _set_proxies(said: Proxies) -> None:
    """Let this process use the proxies; containers do not inherit its environment."""
    words = {"http_proxy": said.http_proxy, "https_proxy": said.https_proxy,
             "no_proxy": said.no_proxy}  # fmt: skip
    for name, value in words.items():
        if value:
            os.environ[name] = os.environ[name.upper()] = value
