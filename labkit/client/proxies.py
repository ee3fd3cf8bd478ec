"""The proxies that a user's containers and builds should use: Docker's `config.json`.

    {"proxies": {"default": {"httpProxy": "http://proxy:3128", "noProxy": "localhost"}}}

`proxies` may also have an entry for one daemon, by its address.  The command sets the variables, in
capital and small letters; a daemon knows nothing of them.
Source: https://docs.docker.com/engine/cli/proxy/
"""

import json
import os

from labkit.paths import user_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}
"""The words in the file, and the variables."""


def variables(socket_path: str = "") -> dict[str, str]:
    """Return the variables for a daemon's containers, {} if no file names proxies.

    labkit's own file comes before Docker's.  A file that cannot be read names none.
    """
    docker = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    for path in (user_config(), f"{docker}/config.json"):
        proxies = _proxies(path)
        given = proxies.get(f"unix://{socket_path}") or proxies.get("default")
        if isinstance(given, dict):
            return {
                variable: value
                for word, name in NAMES.items()
                if isinstance(value := given.get(word), str) and value
                for variable in (name, name.lower())
            }
    return {}


def with_variables(words: list[str], socket_path: str) -> list[str]:
    """Return `NAME=value` words, with the proxies' variables that they do not name after them."""
    given = {word.partition("=")[0] for word in words}
    found = variables(socket_path).items()
    return [*words, *(f"{name}={value}" for name, value in found if name not in given)]


def _proxies(path: str) -> "dict[str, Any]":
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    found = content.get("proxies") if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}
