"""`python -m labkit.daemon`: start labkitd, serve until SIGTERM, leave the containers running."""

import argparse
import os
import sys
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
from labkit.paths import Paths, search_sbin

READY = b"ready\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="labkitd", description="labkit's daemon")
    parser.add_argument("--root", help="data root (else LABKIT_ROOT, else /var/lib/labkit)")
    parser.add_argument("--run", help="run folder (else LABKIT_RUN, else /run/labkit)")
    parser.add_argument(
        "--userns-remap",
        default="",
        metavar="USER[:GROUP]",
        help="give containers users of their own: these ids of /etc/subuid, or `default`",
    )
    parser.add_argument(
        "--storage-driver",
        default="",
        metavar="DRIVER",
        help="how a new data root keeps layers: overlayfs, loop or copies (default: what works)",
    )
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help="write one line to this descriptor, and close it, once requests are answered",
    )
    return parser.parse_args()


def _run(paths: Paths, asked: argparse.Namespace) -> None:
    """Be the daemon until a signal says stop."""
    os.makedirs(paths.run, 0o755, exist_ok=True)
    pid_path = listener.pid_path(paths)
    lock = listener.lock(pid_path)
    driver = daemon_json.storage_driver(paths.root, asked.storage_driver)
    with snapshots.opened(os.path.realpath(paths.root), driver):
        _serve(paths, asked.userns_remap, asked.ready_fd)
    os.unlink(pid_path)
    os.close(lock)


def _serve(paths: Paths, userns_remap: str, ready_fd: int | None) -> None:
    """Answer requests on a data root that is open, until a signal says stop."""
    lock = listener.lock(f"{paths.root}/labkitd.lock")
    end = EndSignals()
    engine = Engine.open(
        paths,
        daemon_json.userns_remap(paths.root, userns_remap),
        daemon_json.network_defaults(paths.root),
    )
    workroom.sweep(engine)
    server = Server(listener.listen(paths.socket), partial(TABLE.handle, engine))
    for warning in engine.warnings:
        log.line(warning)
    log.line(f"labkit {labkit.__version__} listens on {paths.socket}, pid {os.getpid()}")
    if ready_fd is not None:
        os.write(ready_fd, READY)
        os.close(ready_fd)
    server.serve(end)
    log.line("asked to end; running containers go on")
    server.finish()
    os.unlink(paths.socket)
    engine.close()
    os.close(lock)


def main() -> int:
    """The exit status: 0 after a signal, 1 when the daemon could not start."""
    arguments = _arguments()
    if os.geteuid() != 0:
        sys.stderr.write("labkitd must run as root: it makes namespaces, mounts and cgroups\n")
        return 1
    search_sbin()
    os.umask(0o022)  # a container's own folders get the modes that are asked for
    try:
        paths = Paths.from_environment(arguments.root, arguments.run)
        _run(paths, arguments)
    except (LabkitError, OSError) as error:
        sys.stderr.write(f"labkitd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    exit_status = main()
    sys.stderr.flush()
    # Not by sys.exit, which waits for every thread: one that builds waits for a container's end,
    # of which this daemon no longer hears.  The next one clears away what such a build has left.
    os._exit(exit_status)
