"""labkit itself: the users who may use it, and whether its daemon answers."""

import grp
import socket
from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, MISSING, OK, Finding, Situation

GROUP = "labkit"
PING_TIMEOUT_S = 0.5


def check_group(_: Situation) -> Iterator[Finding]:
    """The group whose members may use the socket."""
    try:
        members = grp.getgrnam(GROUP).gr_mem
    except KeyError:
        remedy = f"groupadd --system {GROUP} && usermod -aG {GROUP} USER"
        yield Finding("group labkit", LIMITED, "none: only root may use labkit", remedy)
        return
    yield Finding("group labkit", OK, f"root and {', '.join(members) or 'no other user'}")


def check_daemon(situation: Situation) -> Iterator[Finding]:
    """The socket, and whether a daemon answers on it as Docker's would.

    For users other than root this decides whether they can run containers at all.
    """
    path = situation.paths.socket
    try:
        version = ping(path)
    except PermissionError:
        yield Finding(
            "daemon",
            MISSING,
            f"{path} may be used by root and the group {GROUP} only",
            f"sudo usermod -aG {GROUP} $USER, then log in again",
            required=not situation.is_root,
        )
    except (FileNotFoundError, ConnectionRefusedError):
        yield _not_running()
    except (OSError, ValueError) as error:
        yield Finding(
            "daemon",
            MISSING,
            f"{path} does not answer: {error}",
            f"look into {situation.paths.run}/labkitd.log, and end the daemon that hangs",
            required=True,
        )
    else:
        yield Finding("daemon", OK, f"answers on {path} (API {version})", required=True)


def _not_running() -> Finding:
    return Finding("daemon", OK, "not running: the first command starts it")


def ping(path: str) -> str:
    """The API version of the daemon on this socket (GET /_ping); OSError or ValueError if none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PING_TIMEOUT_S)
        connection.connect(path)
        connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: labkit\r\n\r\n")
        with connection.makefile("rb") as answer:
            status = answer.readline(1024).split()
            headers = dict(_headers(answer.read(65536).decode(errors="replace")))
    if len(status) < 2 or status[1] != b"200":
        raise ValueError(f"it says {b' '.join(status).decode(errors='replace') or 'nothing'}")
    return headers.get("api-version", "unknown")


def _headers(text: str) -> Iterator[tuple[str, str]]:
    for line in text.partition("\r\n\r\n")[0].split("\r\n"):
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
