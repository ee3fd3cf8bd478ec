"""The process that reads or writes a container's files (`labkit.containers.trees`).

It reads one request from its socket, makes the view of the request its root, confines itself there
and answers `ready` with what it found.  Then it does the work over its standard input or output,
and answers `done`.  At a failure it answers `failed` with the values of `ProblemError`.
"""

import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from labkit.containers.trees import changes, copying, views
from labkit.containers.trees.unpacking import Placer
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.packer import REPLACED, Packer, children, warm_up
from labkit.images.archives.unpacker import Unpacker, confine, sync
from labkit.kernel import messages, processes
from labkit.runtime import operations as op

NOT_FOUND, INVALID, READ_ONLY, SYSTEM = "not_found", "invalid", "read_only", "system"
"""The kinds of failure: each becomes a different status of the API."""

THEIR_FAULTS = (*REPLACED, errno.ESTALE, errno.ENAMETOOLONG)
"""A file was replaced, or its folder moved, during a walk to it, or a path is too long."""


class ProblemError(Exception):
    """The work cannot be done: the kind of failure, its text, and errno or 0."""

    def __init__(self, kind: str, text: str, number: int = 0) -> None:
        super().__init__(kind, text, number)


class Request(NamedTuple):
    """The task and its view; it is sent as a message, so it has only plain values."""

    task: str
    arguments: tuple[Any, ...]
    view: str
    view_fields: tuple[Any, ...]


class FileStat(NamedTuple):
    """The properties of a file, from lstat(2)."""

    name: str
    mode: int
    size_bytes: int
    mtime_ns: int
    link_target: str
    """For a symbolic link: its final target, from the root of the container."""


class Conversation:
    """The worker's side of the socket to the daemon."""

    def __init__(self, connection: socket.socket, fds: list[int]) -> None:
        self._connection = connection
        self.fds = fds

    def tell(self, kind: str, *values: object) -> None:
        """Send a message."""
        messages.send(self._connection, (kind, *values))


def main() -> None:
    """Serve one request; the argument is the number of the socket's descriptor."""
    control_fd = int(sys.argv[1])
    processes.prctl(processes.PR_SET_NAME, b"labkit-files")
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    connection = socket.socket(fileno=control_fd)
    received = messages.receive(connection)
    if received is None:
        return
    fields: Any
    fields, fds = received
    request = Request(*fields)
    conversation = Conversation(connection, fds)
    try:
        warm_up()
        confine(views.VIEWS[request.view](*request.view_fields).enter(fds))
        TASKS[request.task](conversation, *request.arguments)
        conversation.tell("done")
    except BrokenPipeError:
        pass  # the daemon does not listen any more
    except ProblemError as problem:
        conversation.tell("failed", *problem.args)
    except BadArchiveError as error:
        conversation.tell("failed", INVALID, str(error), 0)
    except OSError as error:
        kind = INVALID if error.errno in THEIR_FAULTS else SYSTEM
        conversation.tell("failed", kind, _words(error), error.errno or 0)
    except (MemoryError, RecursionError) as error:
        conversation.tell("failed", INVALID, f"too large or too deep: {type(error).__name__}", 0)
    except Exception:  # a defect of labkit: standard error is the daemon's
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(0)


def _words(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text


def look(path: str, name: str) -> FileStat:
    """The file at `path`, as `name`; a slash or a dot at the end follows a link, as in any path."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise ProblemError(NOT_FOUND, path) from None
    except NotADirectoryError:
        raise ProblemError(INVALID, f"{path}: not a directory") from None
    except OSError as error:  # a loop of links, a name that is too long
        raise ProblemError(INVALID, _words(error), error.errno or 0) from None
    target = os.path.realpath(path) if stat.S_ISLNK(found.st_mode) else ""
    return FileStat(name, found.st_mode, found.st_size, found.st_mtime_ns, target)


def _stat(conversation: Conversation, path: str, name: str) -> None:
    conversation.tell("ready", tuple(look(path, name)))


def _pack(conversation: Conversation, path: str, name: str) -> None:
    """Pack the file or folder at `path` as `name`, to standard output."""
    conversation.tell("ready", tuple(look(path, name)))
    packer = Packer(sys.stdout.buffer)
    packer.add_tree(path, name)
    packer.close()


def _pack_all(conversation: Conversation, paths: list[str]) -> None:
    """Pack the files at some paths, each under its path; symbolic links are followed."""
    found = [look(os.path.realpath(f"/{path}"), path) for path in paths]
    conversation.tell("ready", [tuple(one) for one in found])
    packer = Packer(sys.stdout.buffer)
    for path in dict.fromkeys(paths):
        packer.add_tree(os.path.realpath(f"/{path}"), path)
    packer.close()


def _export(conversation: Conversation) -> None:
    """Pack everything, to standard output."""
    conversation.tell("ready")
    packer = Packer(sys.stdout.buffer)
    for path, name in reversed(children("/", "")):
        packer.add_tree(path, name)
    packer.close()


def _place(conversation: Conversation, path: str, keep_kinds: bool, user: str | None) -> None:
    """Unpack standard input below the folder `path`; `user`, if given, becomes the owner."""
    found = look(path.rstrip("/") + "/", path)
    if not stat.S_ISDIR(found.mode):
        raise ProblemError(INVALID, "extraction point is not a directory")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise ProblemError(READ_ONLY, path)
    owner = None
    if user is not None:
        context = op.Context((-1, -1, -1), {})
        op.LookUpUser(user).execute(context)
        owner = (context.uid, context.gid)
    conversation.tell("ready")
    top = os.path.realpath(path).rstrip("/")
    _take_in(Placer(top, keep_kinds=keep_kinds, owner=owner))


def _copy(conversation: Conversation, place: str, kinds: list[str], owner: str) -> None:
    """Copy a build's sources, an archive on standard input, to a path (`copying.Copier`)."""
    conversation.tell("ready")
    _take_in(copying.Copier(place, kinds, owner=copying.owner_of(owner)))


def _extract(conversation: Conversation, place: str, owner: str) -> None:
    """Unpack standard input below a folder (ADD).

    If the folder is missing it is made, and belongs to `owner`; members keep their owners.
    """
    conversation.tell("ready")
    top = os.path.realpath(place)
    copying.make_folders(top, copying.owner_of(owner))
    _take_in(Placer(top.rstrip("/"), keep_kinds=False, owner=None))


def _make_folder(conversation: Conversation, place: str, owner: str) -> None:
    """Make a folder and its missing parents for a user (WORKDIR)."""
    conversation.tell("ready")
    try:
        found = copying.owner_of(owner)
    except BadArchiveError:  # the image has no such user yet: root becomes the owner
        found = None
    copying.make_folders(os.path.realpath(place), found)


def _fill(conversation: Conversation) -> None:
    """Unpack standard input into a new folder, the root of this process, and sync it to disk."""
    conversation.tell("ready")
    _take_in(Unpacker(lowest=True))
    sync()


def _take_in(unpacker: Unpacker) -> None:
    unpacker.unpack(open(0, "rb", buffering=0, closefd=False))
    while os.read(0, 65536):  # after the archive's end comes only padding
        pass


def _changes(conversation: Conversation, whole: bool) -> None:
    """Compare a writable layer, the first descriptor, with the image, which is the root.

    `whole`: the descriptor is not a layer but a whole tree.
    """
    lower = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = changes.changes(conversation.fds[0], lower, whole=whole)
    except changes.TooManyError:
        raise ProblemError(
            INVALID,
            f"the changes cannot be listed: their paths have more than "
            f"{changes.PATHS_MAX_BYTES >> 20} MiB together",
        ) from None
    conversation.tell("ready", found)


TASKS: dict[str, Callable[..., None]] = {
    "stat": _stat,
    "pack": _pack,
    "pack_all": _pack_all,
    "export": _export,
    "place": _place,
    "fill": _fill,
    "copy": _copy,
    "extract": _extract,
    "make_folder": _make_folder,
    "changes": _changes,
}
