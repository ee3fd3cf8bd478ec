"""Archives that the engine sends: to stdout, or to a file, whole or not at all."""

import os
import sys

from labkit.cli.base.flags import Flag
from labkit.cli.base.output import write
from labkit.dialect.frames import STDOUT
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OUTPUT = Flag("output", "o", "string", "Write to this file instead of stdout", word="path")


def check(path: str) -> None:
    """Raise InvalidParameterError if the archive would go to a terminal."""
    if not path and sys.stdout.isatty():
        raise InvalidParameterError(
            "stdout is a terminal, not for archives: use -o FILE, or redirect it"
        )


def write_archive(pieces: "Iterable[bytes]", path: str) -> None:
    """Write it to the file `path`, or to stdout without one; InvalidParameterError."""
    if not path:
        for piece in pieces:
            write(STDOUT, piece)
        return
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        with open(unfinished, "xb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(unfinished, path)
    except OSError as error:
        raise InvalidParameterError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
