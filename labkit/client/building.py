"""`POST /build`: a build's request, as the classic builder's parameters."""

import binascii
import json

from labkit.client.api import Api
from labkit.client.credentials import CredentialFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from labkit.client.http import Response

SECRETS_HEADER = "X-Labkit-Build-Secrets"


class BuildRequest:
    """The parameters of one build; those that are not set have the daemon's defaults."""

    def __init__(self) -> None:
        self.dockerfile = "Dockerfile"
        self.dockerfile_path = ""
        """The user's path of a Dockerfile that is not in the context."""
        self.remote = ""
        self.tags: list[str] = []
        self.build_args: dict[str, str | None] = {}
        self.labels: dict[str, str] = {}
        self.target = ""
        self.platform = ""
        self.no_cache = False
        self.pull = False
        self.explain_cache = False
        self.cache_from: list[str] = []
        self.secrets: dict[str, bytes] = {}
        self.session = ""
        """The id of a session (`labkit.client.session`) that serves this build."""
        self.contexts: dict[str, str] = {}
        """The contexts that have a name, with their meanings: `docker-image://…`, a URL."""
        self.cache_imports: list[dict[str, object]] = []
        self.cache_exports: list[dict[str, object]] = []
        self.limits: dict[str, Any] = {}
        """Limits of RUN's containers, by the API's names: `memory`, `cpushares`, …"""

    def query(self) -> "dict[str, object]":
        """Return the query's parameters; None for those that are not set."""
        return {
            "dockerfile": self.dockerfile,
            "dockerfilepath": self.dockerfile_path or None,
            "remote": self.remote or None,
            "t": self.tags or None,
            "buildargs": json.dumps(self.build_args) if self.build_args else None,
            "labels": json.dumps(self.labels) if self.labels else None,
            "cachefrom": json.dumps(self.cache_from) if self.cache_from else None,
            "session": self.session or None,
            "contexts": json.dumps(self.contexts) if self.contexts else None,
            "cacheimports": json.dumps(self.cache_imports) if self.cache_imports else None,
            "cacheto": json.dumps(self.cache_exports) if self.cache_exports else None,
            "target": self.target or None,
            "platform": self.platform or None,
            "nocache": self.no_cache,
            "pull": self.pull,
            "explaincache": self.explain_cache,
            **{name: value or None for name, value in self.limits.items()},
        }


def start(api: Api, request: BuildRequest, pieces: "Iterable[bytes]") -> "Response":
    """Send the context; return the build's stream, one JSON object a line."""
    headers = {"X-Registry-Config": CredentialFile().header_for_all()}
    if request.secrets:
        encoded = {name: _base64(data) for name, data in request.secrets.items()}
        headers[SECRETS_HEADER] = _base64(json.dumps(encoded).encode())
    return api.upload("/build", pieces, "POST", headers, **request.query())


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
