"""`labkit login`: check a user's credentials at a registry, and keep them."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.client.credentials import CredentialFile
from labkit.dialect.references import server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] [SERVER]",
    (
        Flag("password", "p", "string", "Password; all users of this machine can read it here"),
        Flag("password-stdin", "", "bool", "Take the password from stdin"),
        Flag("username", "u", "string", "User name"),
    ),
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Ask for missing credentials, check them, and write them to the credential file."""
    server = server_of(arguments[0] if arguments else "")
    username, password = options["username"], _given_password(options)
    kept = CredentialFile()
    if not (username and password):
        _check_is_terminal()
        known = kept.get(server).get("username", "")
        username = username or _asked_username(known)
        password = password or _asked_password()
    auth = {"username": username, "password": password, "serveraddress": server}
    answer = context.api().post("/auth", auth)
    kept.store(server, username, password, answer.get("IdentityToken") or "")
    sys.stderr.write(f"The credentials are kept unencrypted in {kept.path}, mode 0600.\n")
    print(answer.get("Status") or "Login Succeeded")
    return 0


def _given_password(options: "dict[str, Any]") -> str:
    if options["password"] and options["password_stdin"]:
        raise UsageError("--password and --password-stdin are mutually exclusive")
    if options["password"]:
        sys.stderr.write("WARNING: --password is insecure: use --password-stdin.\n")
    if not options["password_stdin"]:
        return str(options["password"])
    if not options["username"]:
        raise UsageError("Must provide --username with --password-stdin")
    password = sys.stdin.read().rstrip("\r\n")
    if not password:
        raise UsageError("there is no password on stdin")
    return password


def _check_is_terminal() -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "Cannot perform an interactive login from a non TTY device: give --username and "
            "--password-stdin"
        )


def _asked_username(known: str) -> str:
    answer = input(f"Username ({known}): " if known else "Username: ").strip() or known
    if not answer:
        raise UsageError("a user name is needed")
    return answer


def _asked_password() -> str:
    from getpass import getpass  # noqa: PLC0415 only for a question

    password = getpass("Password: ")
    if not password:
        raise UsageError("a password is needed")
    return password
