"""The way from a notebook to the lab's engine."""

from labkit.client import Client
from labkit.errors import DaemonUnavailableError


def connect() -> Client:
    """A client of the running labkitd.

    Raises `DaemonUnavailableError` with what to do when none answers.
    """
    client = Client()
    try:
        client.ping()
    except DaemonUnavailableError as error:
        raise DaemonUnavailableError(
            f"{error}  Start it with `make lab`, or run `labkit version` in a terminal as root."
        ) from None
    return client
