"""The credentials for registries, as `labkit login` keeps them: Docker's `config.json`, mode 0600.

The file is in `$LABKIT_CONFIG`, else in `~/.labkit`.  The daemon keeps none: each request brings
its own, in the header `X-Registry-Auth`.
"""

import binascii  # `base64` would import more: half a millisecond of every build
import json
import os

from labkit.dialect.references import domain_of, server_of
from labkit.errors import InvalidParameterError, LabkitError
from labkit.paths import user_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CredentialFile:
    """One user's credentials; fields of the file that labkit does not know stay in it."""

    def __init__(self, folder: str = "") -> None:
        """`folder` holds `config.json`; by default the one that the environment names."""
        self.path = user_config(folder)

    def get(self, server: str) -> "dict[str, str]":
        """Return the API's AuthConfig for a server, {} if there is none; InvalidParameterError."""
        entry = self._read().get("auths", {}).get(server_of(server), {})
        try:
            pair = binascii.a2b_base64(entry.get("auth", ""), strict_mode=True).decode()
        except ValueError:
            raise self._damaged(f"the credentials for {server} are not base64") from None
        username, _, password = pair.partition(":")
        found = {
            "username": username,
            "password": password,
            "identitytoken": entry.get("identitytoken", ""),
        }
        given = {name: value for name, value in found.items() if value}
        return given | {"serveraddress": server_of(server)} if given else {}

    def header_for(self, image: str) -> str:
        """Return `X-Registry-Auth` for the registry of this image, empty without credentials.

        Raises `InvalidParameterError` for anything that is not an image's name.
        """
        return _header(self.get(domain_of(image)))

    def header_for_all(self) -> str:
        """Return `X-Registry-Config`: all credentials, for a build that may pull from anywhere."""
        return _header({server: self.get(server) for server in self._read().get("auths", {})})

    def store(self, server: str, username: str, password: str, identity_token: str = "") -> None:
        """Keep credentials for a server; with a token the password is not kept."""
        pair = f"{username}:{'' if identity_token else password}".encode()
        entry = {"auth": binascii.b2a_base64(pair, newline=False).decode("ascii")}
        if identity_token:
            entry["identitytoken"] = identity_token
        content = self._read()
        content.setdefault("auths", {})[server_of(server)] = entry
        self._write(content)

    def erase(self, server: str) -> bool:
        """Forget the credentials for a server; return whether there were any."""
        content = self._read()
        if content.get("auths", {}).pop(server_of(server), None) is None:
            return False
        self._write(content)
        return True

    def _read(self) -> "dict[str, Any]":
        try:
            with open(self.path, encoding="utf-8") as file:
                content = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise self._damaged(str(error)) from None
        except OSError as error:
            raise LabkitError(f"cannot read {self.path}: {error.strerror}") from error
        auths = content.get("auths", {}) if isinstance(content, dict) else None
        if not isinstance(auths, dict) or not all(isinstance(one, dict) for one in auths.values()):
            raise self._damaged("it does not have the form that `labkit login` writes")
        return content  # type: ignore[no-any-return]

    def _write(self, content: "dict[str, Any]") -> None:
        folder = os.path.dirname(self.path)
        temporary = f"{self.path}.{os.getpid()}.tmp"
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump(content, file, indent="\t")
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.path)
        except OSError as error:
            raise LabkitError(f"cannot write {self.path}: {error.strerror}") from error

    def _damaged(self, why: str) -> InvalidParameterError:
        return InvalidParameterError(
            f"{self.path} cannot be read: {why}. Correct it, or remove it and log in again"
        )


def _header(value: object) -> str:
    """Return JSON in base64 for URLs (RFC 4648, section 5), the form of the API's headers."""
    text = binascii.b2a_base64(json.dumps(value).encode(), newline=False).decode("ascii")
    return text.replace("+", "-").replace("/", "_")
