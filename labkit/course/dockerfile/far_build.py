"""A build that needs images from a registry: tried only if it answers, and within a time limit."""

import socket
import subprocess
import sys
from collections.abc import Sequence

from labkit.course.dockerfile.build_graph import SAYS
from labkit.course.page.lab import connect
from labkit.errors import NotFoundError
from labkit.registry.client.endpoints import DEFAULT_HOST

LOOK_TIMEOUT_S = 2.0
HTTPS = 443


def far_build(folder: str, tag: str, needs: Sequence[str], limit_s: float = 45) -> str:
    """Build a folder if the images that it `needs` are here or can be pulled; returns the result.

    A build that takes longer than `limit_s` is ended.  None of these results is an error.
    """
    missing = missing_of(needs)
    if missing and not is_reachable():
        return (
            f"Not tried: {' and '.join(missing)} would have to be pulled, and no registry answers "
            "from here. Nothing on this page needs them."
        )
    try:
        done = subprocess.run(
            [*(sys.executable, "-m", "labkit.cli", "build", "-q", "-t", tag), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return (
            f"Ended after {limit_s:g} s: some hundred megabytes have to be pulled. In a terminal "
            f"it may take its time: labkit build -t {tag} FOLDER"
        )
    said = done.stdout.strip()
    if done.returncode:
        return f"It does not build any more: {said.rpartition(SAYS)[2]}"
    return f"Built: {said}"


def missing_of(names: Sequence[str]) -> list[str]:
    """The images of the list that are not here."""
    images = connect().images
    missing = []
    for name in names:
        try:
            images.get(name)
        except NotFoundError:
            missing.append(name)
    return missing


def is_reachable(host: str = DEFAULT_HOST, port: int = HTTPS) -> bool:
    """Whether a server accepts a connection; by default, the registry of names without a domain."""
    try:
        socket.create_connection((host, port), LOOK_TIMEOUT_S).close()
    except OSError:
        return False
    return True
