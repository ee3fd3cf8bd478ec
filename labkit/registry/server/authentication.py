"""The client's identity and its rights: by a password each time, or by a token.

The token service is the distribution project's ("Token Authentication Specification"): a refused
client learns where to ask for a token (`realm`) and for what (`scope`), shows its password there,
and returns with a token that is valid for a few minutes.
"""

import base64
import binascii
import re
import secrets
import time
from urllib.parse import parse_qs

import jwt

from labkit.http.requests import Request
from labkit.http.responses import Answer, Response, json_response
from labkit.registry.server.errors import RegistryError
from labkit.registry.server.guards import May, anyone
from labkit.registry.server.names import is_name
from labkit.registry.server.passwords import Passwords
from labkit.registry.server.requests import small_body

SERVICE = "labkit-registry"
TOKEN_PATH = "/token"  # noqa: S105 a path
TOKEN_TIME_S = 300
FORM_LIMIT_BYTES = 16 * 1024
SCOPES_MAX = 100
ACTIONS = ("pull", "push", "delete", "*")

_HOST = re.compile(r"[A-Za-z0-9.\-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?")


class Basic:
    """A user and a password with each request (RFC 7617)."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    def answer(self, request: Request) -> Answer | None:
        """Return None: this guard answers no request itself."""
        return None

    def admit(self, request: Request, name: str, action: str) -> May:
        """Admit a client with a right password."""
        authenticate(self._passwords, request)
        return anyone


class Bearer:
    """A token with each request; passwords are only for the token service, and for the search."""

    def __init__(self, passwords: Passwords, key: bytes, scheme: str, host: str) -> None:
        """`scheme` and `host` are the service's address for a client that does not name it."""
        self._passwords = passwords
        self._key = key
        self._scheme = scheme
        self._host = host

    def answer(self, request: Request) -> Answer | None:
        """Serve tokens.  A client without a password gets a token that allows nothing."""
        if request.path != TOKEN_PATH:
            return None
        if request.method == "GET":
            if "authorization" not in request.headers:
                # As Docker Hub: docker retries for a minute if it gets no token at all.
                return self._token("", [])
            user = authenticate(self._passwords, request)
            return self._token(user, request.query.texts("scope"))
        if request.method == "POST":
            return self._token_by_form(request)
        raise RegistryError("UNSUPPORTED", "this page accepts only GET and POST", status=405)

    def admit(self, request: Request, name: str, action: str) -> May:
        """Admit a client with a token for this."""
        if request.path.startswith("/v1/"):  # older than tokens
            authenticate(self._passwords, request)
            return anyone
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise self._challenge(request, name, action, "")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key,
                ["HS256"],
                audience=SERVICE,
                options={"require": ["exp"]},
            )
        except jwt.InvalidTokenError:
            raise self._challenge(request, name, action, "invalid_token") from None
        may = _granted(claims.get("access"))
        wanted = ("", "*") if action == "catalog" else (name, action)
        if action and not may(*wanted):
            raise self._challenge(request, name, action, "insufficient_scope")
        return may

    def _challenge(self, request: Request, name: str, action: str, error: str) -> RegistryError:
        host = request.headers.get("host", "")
        host = host if _HOST.fullmatch(host) else self._host
        words = [f'realm="{self._scheme}://{host}{TOKEN_PATH}"', f'service="{SERVICE}"']
        if action == "catalog":
            words.append('scope="registry:catalog:*"')
        elif action:
            wanted = "pull,push" if action == "push" else action
            words.append(f'scope="repository:{name}:{wanted}"')
        if error:
            words.append(f'error="{error}"')
        return _unauthorized("a token is required", f"Bearer {','.join(words)}")

    def _token_by_form(self, request: Request) -> Response:
        """Answer OAuth2's form of the request (RFC 6749 §4.3), which containerd tries first."""
        text = small_body(request, FORM_LIMIT_BYTES).decode("utf-8", "replace")
        form = parse_qs(text, max_num_fields=20)
        if form.get("grant_type") != ["password"]:
            return json_response({"error": "unsupported_grant_type"}, 400)
        user, password = form.get("username", [""])[0], form.get("password", [""])[0]
        if not self._passwords.are_right(user, password):
            raise _unauthorized("unknown user or wrong password", _BASIC)
        return self._token(user, form.get("scope", []))

    def _token(self, user: str, scopes: list[str]) -> Response:
        words = [word for scope in scopes for word in scope.split()][:SCOPES_MAX]
        now = int(time.time())
        claims = {
            "iss": SERVICE,
            "sub": user,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 5,
            "exp": now + TOKEN_TIME_S,
            "jti": secrets.token_hex(16),
            "access": [entry for word in words if (entry := _access(word))],
        }
        token = jwt.encode(claims, self._key, "HS256")
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return json_response(
            {
                "token": token,
                "access_token": token,
                "expires_in": TOKEN_TIME_S,
                "issued_at": issued,
            },
            headers=(("Cache-Control", "no-store"),),
        )


_BASIC = f'Basic realm="{SERVICE}"'


def authenticate(passwords: Passwords, request: Request) -> str:
    """Return the user whose password is in the request; UNAUTHORIZED."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("authentication required", _BASIC)
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _unauthorized("the Authorization header cannot be read", _BASIC) from None
    if not passwords.are_right(user, password):
        raise _unauthorized("unknown user or wrong password", _BASIC)
    return user


def _unauthorized(message: str, challenge: str) -> RegistryError:
    return RegistryError("UNAUTHORIZED", message, headers=[("WWW-Authenticate", challenge)])


def _access(scope: str) -> dict[str, object] | None:
    """Return `repository:tool:pull,push` as a token's entry; None if no token grants it."""
    kind, _, rest = scope.partition(":")
    name, _, words = rest.rpartition(":")
    actions = [word for word in words.split(",") if word in ACTIONS]
    known = (kind == "repository" and is_name(name)) or (kind, name) == ("registry", "catalog")
    return {"type": kind, "name": name, "actions": actions} if known and actions else None


def _granted(access: object) -> May:
    """Return the check for a token's `access`; the name "" is the catalog."""
    granted: set[tuple[str, str]] = set()
    for entry in access if isinstance(access, list) else []:
        name = "" if entry["type"] == "registry" else entry["name"]
        granted.update((name, action) for action in entry["actions"])

    def may(name: str, action: str) -> bool:
        return (name, action) in granted or (name, "*") in granted

    return may
