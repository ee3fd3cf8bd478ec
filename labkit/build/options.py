"""What a build is asked for, beside its context."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from labkit.containers import HostConfig

Event = dict[str, object]
"""One message of the API's stream: `{"stream": "Step 1/3 : FROM busybox\\n"}`."""

Pull = Callable[[str, str, Callable[[Event], None]], None]
"""Brings an image into the store, for a platform or, if that is empty, for this machine, and says
how it goes; NotFoundError, LabkitError."""


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
    host_config: HostConfig = HostConfig()
    """How the containers of RUN run: limits, network."""
    explain: bool = False
    """Say for each step why the cache was hit or missed."""
    secrets: Mapping[str, bytes] = {}
    """What `RUN --mount=type=secret` shows, by id; kept nowhere."""
