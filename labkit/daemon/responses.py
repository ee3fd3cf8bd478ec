"""The answers of the Docker API: HTTP answers, and the headers that each of them has."""

import labkit
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
    "API_VERSION",
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

API_VERSION = "1.51"
MINIMUM_API_VERSION = "1.24"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
STANDING_HEADERS = (
    f"Api-Version: {API_VERSION}\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
    f"Server: labkit/{labkit.__version__} (linux)\r\n"
)
