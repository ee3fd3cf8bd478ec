"""The answers of the Docker API: HTTP answers, and the headers that each of them has."""

from labkit import API_VERSION, __version__
from labkit.http.responses import (
    JSON,
    RAW_STREAM,
    TEXT,
    Answer,
    Hijack,
    Response,
    Stream,
    json_response,
)

__all__ = [
    "JSON",
    "MINIMUM_API_VERSION",
    "MULTIPLEXED_STREAM",
    "RAW_STREAM",
    "STANDING_HEADERS",
    "TEXT",
    "Answer",
    "Hijack",
    "Response",
    "Stream",
    "json_response",
]

MINIMUM_API_VERSION = "1.24"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
STANDING_HEADERS = (
    f"Api-Version: {API_VERSION}\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
    f"Server: labkit/{__version__} (linux)\r\n"
)
