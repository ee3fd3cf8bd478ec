"""The Python client of labkitd; its names follow docker-py's.

    >>> import labkit.client
    >>> client = labkit.client.from_env()
    >>> client.containers.run("busybox", ["echo", "hi"], remove=True)
    b'hi\\n'

The command line imports parts of this package for each of its short lives, so what a user of the
library wants (`Client` and what belongs to it) is imported when it is first asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.client.client import Client

__all__ = ["Client", "from_env"]


def from_env() -> "Client":
    """A client of the labkitd that `LABKIT_ROOT` and `LABKIT_RUN` (or their defaults) name.

    `DOCKER_HOST` is not followed: it may well name another engine.
    """
    from labkit.client.client import Client  # noqa: PLC0415

    return Client()


def __getattr__(name: str) -> object:
    if name == "Client":
        from labkit.client.client import Client  # noqa: PLC0415

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
