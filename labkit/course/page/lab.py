"""The connection from a notebook to the lab's engine."""

from labkit.client import Client
from labkit.client.daemon import ensure
from labkit.paths import Paths


def connect() -> Client:
    """A client of the lab's labkitd, which is started if it is not running.

    Raises `DaemonUnavailableError`, which says what to do, if it cannot be started.
    """
    ensure(Paths.from_environment())
    return Client()
