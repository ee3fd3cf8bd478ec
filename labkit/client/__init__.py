"""The Python client of labkitd; its names follow docker-py's.

    >>> import labkit.client
    >>> client = labkit.client.from_env()
    >>> client.containers.run("busybox", ["echo", "hi"], remove=True)
    b'hi\\n'

The command line imports parts of this package in each of its short lives, so the names for users of
the library (`Client` and its parts) are imported at their first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.client.client import Client

__all__ = ["Client", "from_env"]


def from_env() -> "Client":
    """Return a client of the labkitd that `LABKIT_ROOT` and `LABKIT_RUN` (or the defaults) name.

    `DOCKER_HOST` is ignored: it may well name another engine.
    """
    from labkit.client.client import Client  # noqa: PLC0415

    return Client()


def __getattr__(name: str) -> object:
    if name == "Client":
        from labkit.client.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
