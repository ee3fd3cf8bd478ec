"""labkitd's life: it opens a data root, serves until SIGTERM, and lets the containers run on."""

import argparse
import os
from functools import partial

import labkit
from labkit import snapshots
from labkit.build import workroom
from labkit.containers import Engine
from labkit.daemon import daemon_json, listener, log
from labkit.daemon.routes import TABLE
from labkit.daemon.server import Server
from labkit.errors import LabkitError
from labkit.http.end_signals import EndSignals
from labkit.kernel import power
from labkit.paths import Paths
from labkit.rootless import cable, outside, traces
from labkit.rootless.watch import HolderWatch

READY = b"ready\n"


def run(paths: Paths, asked: argparse.Namespace) -> None:
    """Be the daemon until a signal says stop; LabkitError if it lost the machine's network."""
    os.makedirs(paths.run, 0o755, exist_ok=True)
    pid_path = listener.pid_path(paths)
    lock = listener.lock(pid_path)
    driver = daemon_json.storage_driver(paths.root, asked.storage_driver)
    try:
        with snapshots.opened(os.path.realpath(paths.root), driver):
            _serve(paths, asked.userns_remap, asked.ready_fd)
    finally:
        os.unlink(pid_path)
        os.close(lock)


def _serve(paths: Paths, userns_remap: str, ready_fd: int | None) -> None:
    """Answer requests on a data root that is open, until a signal says stop."""
    lock = listener.lock(f"{paths.root}/labkitd.lock")
    end = EndSignals()
    watch = HolderWatch(paths.run) if power.IS_LIMITED else None
    engine = Engine.open(
        paths,
        daemon_json.userns_remap(paths.root, userns_remap),
        daemon_json.network_defaults(paths.root),
    )
    if watch:
        outside.lead_through_holder(paths.run)
        engine.warnings += filter(None, [cable.warning(paths.run)])
        if group := engine.layout.own_group():
            traces.write_group(paths.run, *group)
    workroom.sweep(engine)
    server = Server(listener.listen(paths.socket), partial(TABLE.handle, engine))
    for warning in engine.warnings:
        log.line(warning)
    log.line(f"labkit {labkit.__version__} listens on {paths.socket}, pid {os.getpid()}")
    with listener.docker_name(paths):
        if ready_fd is not None:
            os.write(ready_fd, READY)
            os.close(ready_fd)
        server.serve(end)
    log.line("asked to end; running containers go on")
    server.finish()
    os.unlink(paths.socket)
    engine.close()
    os.close(lock)
    if watch and watch.is_lost:
        raise LabkitError(watch.LOST)
