"""The options of a build."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labkit.build.agents import Agents, NoAgents
from labkit.containers import HostConfig
from labkit.errors import InvalidParameterError
from labkit.images.models import Platform

if TYPE_CHECKING:
    from labkit.build.portable_cache import Place, PortableCache

EPOCH = "SOURCE_DATE_EPOCH"
"""The build argument that sets the time of images."""
Message = dict[str, object]
"""One message of the classic API's stream, of a pull here."""


class Registries(Protocol):
    """A build's access to registries."""

    def pull(self, name: str, platform: str, say: Callable[[Message], None]) -> None:
        """Bring an image into the store, and say how it goes; NotFoundError, LabkitError."""

    def push(self, name: str, say: Callable[[Message], None]) -> None:
        """Send an image of the store to its registry; LabkitError."""

    def cache(self, name: str, is_stopped: Callable[[], bool]) -> "Place":
        """Return the place of a cache in a registry, by a name as an image has it."""

    def platform(self, text: str) -> Platform:
        """`linux/arm/v7` as it is meant; this machine's if empty.  InvalidParameterError."""

    def suits(self, found: Platform, wanted: Platform) -> bool:
        """Whether an image for the first runs where the second is."""

    def shown(self, platform: Platform) -> str:
        """`linux/arm/v7`."""


def _no_secret(_: str) -> bytes | None:
    return None


class Options(NamedTuple):
    """The parameters of `POST /build`."""

    dockerfile: str = "Dockerfile"
    dockerfile_path: str = ""
    """What errors call it, if it came along with the context and is no part of it."""
    is_context_whole: bool = False
    """Whether what `.dockerignore` names is still in the context: its sender leaves it out."""
    tags: Sequence[str] = ()
    build_args: Mapping[str, str | None] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    platform: str = ""
    """What machine the image is for, such as `linux/arm64`; empty for this one."""
    no_cache: bool = False
    pull: bool = False
    cache_from: Sequence[str] = ()
    """Images whose steps may be taken, too."""
    portable_caches: Sequence["PortableCache"] = ()
    host_config: HostConfig = HostConfig()
    """How the containers of RUN run: limits, network."""
    explain: bool = False
    """Say for each step why the cache was hit or missed."""
    secret: Callable[[str], bytes | None] = _no_secret
    """What `RUN --mount=type=secret` shows, by id; kept nowhere."""
    agents: Agents = NoAgents()
    """The SSH agents that `RUN --mount=type=ssh` leads to."""
    no_cache_stages: Sequence[str] = ()
    """The stages for which the cache does not count (--no-cache-filter)."""


def epoch(options: Options) -> datetime | None:
    """Return the time that SOURCE_DATE_EPOCH sets; InvalidParameterError.

    Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".
    """
    text = options.build_args.get(EPOCH)
    if not text:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidParameterError(
            f"invalid {EPOCH}: {text}: it must be a number of seconds since 1970"
        ) from None
