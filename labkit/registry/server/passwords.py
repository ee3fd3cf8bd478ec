"""The users and their passwords: an htpasswd file with bcrypt hashes, as of `htpasswd -B`.

alice:$2y$10$…
"""

import hmac
import os
import secrets
import threading

import bcrypt

from labkit.errors import InvalidParameterError
from labkit.kernel.files import write_atomically

ROUNDS = 10
"""bcrypt's cost: about 50 ms a guess."""
PASSWORD_MAX_BYTES = 72
"""The part of a password that bcrypt reads."""
BCRYPT = (b"$2y$", b"$2b$", b"$2a$")


class Passwords:
    """The users of a file, which is read again after a change."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._users: dict[str, bytes] = {}
        self._version: tuple[int, int] = (0, 0)
        self._known: dict[str, bytes] = {}
        self._salt = secrets.token_bytes(32)
        self._reading = threading.Lock()
        self._guessing = threading.Lock()
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(ROUNDS))
        self._read()

    def are_right(self, user: str, password: str) -> bool:
        """Whether it is this user's password.  An unknown user takes as long as a known one.

        bcrypt is slow on purpose, and a client sends its password with each request: so a right
        password is remembered, as a keyed hash.  Only wrong ones wait for one another.
        """
        given = password.encode()
        if len(given) > PASSWORD_MAX_BYTES or b"\0" in given:
            return False
        with self._reading:
            self._read()
            stored = self._users.get(user)
        seen = hmac.digest(self._salt, (stored or b"") + b":" + given, "sha256")
        if hmac.compare_digest(self._known.get(user, b""), seen):
            return True
        with self._guessing:
            is_right = bool(bcrypt.checkpw(given, stored or self._nobody)) and stored is not None
        if is_right:
            self._known[user] = seen
        return is_right

    def _read(self) -> None:
        try:
            found = os.stat(self.path)
            version = (found.st_ino, found.st_mtime_ns)
            if version == self._version:
                return
            with open(self.path, "rb") as file:
                self._users = parse(file.read(), self.path)
        except OSError as error:
            raise InvalidParameterError(
                f"the password file {self.path} cannot be read ({error.strerror}); "
                "`labkit registry passwd FILE USER` makes one"
            ) from None
        self._version = version


def parse(text: bytes, path: str) -> dict[str, bytes]:
    """Return the hashes of an htpasswd file by user; InvalidParameterError for a bad line."""
    users: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith(b"#"):
            continue
        user, colon, stored = entry.partition(b":")
        if not colon or not user or not stored.startswith(BCRYPT) or len(stored) != 60:
            raise InvalidParameterError(
                f"{path}, line {number}: USER:HASH with bcrypt's hash was expected; "
                "`labkit registry passwd FILE USER` and `htpasswd -B` write such lines"
            )
        users[user.decode(errors="replace")] = stored
    return users


def set_password(path: str, user: str, password: str) -> None:
    """Write a user's new password into the file, which is made (0600) if it is missing."""
    if not user or ":" in user or not user.isprintable():
        raise InvalidParameterError(
            f"invalid user name {user!r}: it must not be empty, "
            "and not have a colon or a control character"
        )
    given = password.encode()
    if not given or len(given) > PASSWORD_MAX_BYTES or b"\0" in given:
        raise InvalidParameterError(f"a password has 1 to {PASSWORD_MAX_BYTES} bytes")
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        text = b""
    parse(text, path)
    kept = [line for line in text.splitlines() if line.partition(b":")[0] != user.encode()]
    stored = bcrypt.hashpw(given, bcrypt.gensalt(ROUNDS, prefix=b"2b"))
    kept.append(user.encode() + b":$2y" + stored[3:])
    write_atomically(path, b"\n".join(kept) + b"\n")
