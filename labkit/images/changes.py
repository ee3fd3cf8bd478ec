"""Changes to an image's configuration by a Dockerfile's instructions: `import --change`."""

import posixpath
import re
from collections.abc import Callable, Sequence

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.images import healthchecks
from labkit.images import shell_words as words
from labkit.images.models import RuntimeConfig
from labkit.images.shell_words import Expander
from labkit.signals import parse_signal

Change = Callable[[RuntimeConfig, str, Expander], None]
"""A function that changes a config by an instruction's arguments; InvalidParameterError."""

SHELL = ["/bin/sh", "-c"]
PROTOCOLS = ("tcp", "udp", "sctp")
PORT_MAX = 65535
NO_TRIGGERS = {
    "ONBUILD": "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
    "FROM": "FROM isn't allowed as an ONBUILD trigger",
    "MAINTAINER": "MAINTAINER isn't allowed as an ONBUILD trigger",
}
"""The instructions that cannot follow ONBUILD, with Docker's messages."""

_PORT = re.compile(
    r"(?:(?:[0-9.]*:|\[[0-9a-f:.]*\]:)?[0-9-]*:)?"
    r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?",
    re.ASCII,
)
"""A port or a range; an address or port before it, as in `-p` (`127.0.0.1:80:8080`), is ignored."""


def apply(changes: Sequence[str], config: RuntimeConfig) -> None:
    """Change `config` by the instructions, in their order.

    InvalidParameterError, which names the instruction, if one is not allowed here or is invalid.
    """
    for change in changes:
        name, arguments = [*change.split(None, 1), "", ""][:2]
        instruction = INSTRUCTIONS.get(name.upper())
        if instruction is None:
            raise InvalidParameterError(
                f"{name} is not a valid change command; valid are {', '.join(INSTRUCTIONS)}"
            )
        if not arguments.strip():
            raise InvalidParameterError(f"{name.upper()} requires at least one argument")
        try:
            instruction(config, arguments.strip(), Expander(environment_of(config)))
        except InvalidParameterError as error:
            raise InvalidParameterError(f"{change.strip()}: {error}") from None


def environment_of(config: RuntimeConfig) -> dict[str, str]:
    """Return the `NAME=value` list as a mapping."""
    return dict(entry.partition("=")[::2] for entry in config.env or [])


def _cmd(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    config.cmd = _command(config, arguments)


def _entrypoint(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    config.entrypoint = _command(config, arguments)


def _env(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    environment = environment_of(config)
    environment.update(pairs("ENV", arguments, expander))
    config.env = [f"{name}={value}" for name, value in environment.items()]


def _label(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    config.labels = (config.labels or {}) | pairs("LABEL", arguments, expander)


def _expose(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    for word in " ".join(expander.split(arguments)).split():  # a variable may hold several
        match = _PORT.fullmatch(word.lower())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        protocol = word.lower().rpartition("/")[2] if "/" in word else "tcp"
        if protocol not in PROTOCOLS:
            raise InvalidParameterError(f"invalid proto: {protocol}")
        if not match or not first <= last <= PORT_MAX:
            raise InvalidParameterError(f"invalid containerPort: {word}")
        ports: dict[str, dict[str, str]] = {
            f"{port}/{match[3] or 'tcp'}": {} for port in range(first, last + 1)
        }
        config.exposed_ports = (config.exposed_ports or {}) | ports


def _volume(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    listed = _json_list(arguments)
    paths = [expander.expand(path) for path in listed] if listed else expander.split(arguments)
    if "" in paths:
        raise InvalidParameterError("a volume needs a path")
    config.volumes = (config.volumes or {}) | {path: {} for path in paths}


def _workdir(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    path = expander.expand(arguments)
    config.working_dir = posixpath.normpath(posixpath.join("/", config.working_dir, path))


def _user(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    config.user = expander.expand(arguments)


def _stop_signal(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    name = expander.expand(arguments)
    parse_signal(name)
    config.stop_signal = name


def _healthcheck(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    config.healthcheck = healthchecks.read(arguments)


def _on_build(config: RuntimeConfig, arguments: str, expander: Expander) -> None:
    trigger = arguments.split(maxsplit=1)[0].upper()
    if trigger in NO_TRIGGERS:
        raise InvalidParameterError(NO_TRIGGERS[trigger])
    config.on_build = [*(config.on_build or []), arguments]


INSTRUCTIONS: dict[str, Change] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _on_build,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(config: RuntimeConfig, arguments: str) -> list[str]:
    """Return the exec form (a JSON list) as it is, and the shell form as a call of the shell."""
    listed = _json_list(arguments)
    if listed is not None:
        return listed
    return [*(config.shell or SHELL), *([arguments] if arguments else [])]


def _json_list(arguments: str) -> list[str] | None:
    if not arguments.startswith("["):
        return None
    try:
        return msgspec.json.decode(arguments.encode(), type=list[str])
    except UNREADABLE:
        return None


def pairs(instruction: str, arguments: str, expander: Expander) -> dict[str, str]:
    """Return the names and values of ENV and LABEL, with variables replaced."""
    written = words.pairs(instruction, arguments, expander.escape)
    found = {expander.expand(name): expander.expand(value) for name, value in written}
    if "" in found:
        raise InvalidParameterError(f"{instruction} names can not be blank")
    return found
