"""The engine's process: the one that answers at its socket."""

import socket
import struct

from labkit.client import http
from labkit.course.exercises.place import Place

_CREDENTIALS = "iII"
"""struct ucred (unix(7), SO_PEERCRED): pid, uid, gid."""


def pid_of(place: Place) -> int:
    """The number of the process that answers at the engine's socket.  OSError if none does."""
    with http.connect(place.client.api.socket_path) as connection:
        size = struct.calcsize(_CREDENTIALS)
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack(_CREDENTIALS, said)[0])
