"""`labkit registry serve`: a registry in the foreground, until ctrl-C."""

import os

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.registry.server import serving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("listen", "", "string", "Where", initial="127.0.0.1:5000", word="address:port"),
        Flag("root", "", "string", "The folder of images", word="folder"),
        Flag("auth", "", "string", "Users and their passwords (registry passwd)", word="file"),
        Flag("token", "", "bool", "Exchange passwords for tokens, as Docker Hub does"),
        Flag("tls-cert", "", "string", "Speak TLS with this certificate", word="file"),
        Flag("tls-key", "", "string", "The certificate's key", word="file"),
        Flag("tls-self-signed", "", "bool", "Speak TLS with a certificate made for the lab"),
        Flag("log", "", "string", "Write each request as a line of JSON", word="file"),
    ),
    at_most=0,
)


def root_of(context: Context, options: "dict[str, Any]") -> str:
    """Return the registry's folder: `--root`, else `registry` in labkit's data root."""
    return os.path.abspath(options["root"] or f"{context.paths.root}/registry")


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Serve; return 0 after a request to end."""
    serving.serve(
        serving.Options(
            root=root_of(context, options),
            listen=options["listen"],
            password_file=options["auth"],
            use_tokens=options["token"],
            certificate=options["tls_cert"],
            key=options["tls_key"],
            self_signed=options["tls_self_signed"],
            log_file=options["log"],
        )
    )
    return 0
