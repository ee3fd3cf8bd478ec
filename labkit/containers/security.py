"""What a container may do: `--cap-add`, `--cap-drop`, `--security-opt` and `--privileged`.

Docker's rules: capabilities are named with CAP_ or without, in any case; ALL is every one of them.
A container that drops ALL has what it adds; one that adds ALL lacks what it drops.
"""

from collections.abc import Sequence
from typing import NamedTuple

from labkit.containers.model import HostConfig
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities, seccomp_file, seccomp_profile
from labkit.runtime.spec import DEFAULT_CAPABILITIES, MASKED_PATHS, READ_ONLY_PATHS

ALL = "ALL"
TRUE_WORDS = ("1", "t", "true")
FALSE_WORDS = ("0", "f", "false")
NO_NEW_PRIVILEGES = "no-new-privileges"
BUILTIN, UNCONFINED = "builtin", "unconfined"
NOT_HERE = ("apparmor", "label")
"""Options of security modules that labkit does not drive."""


class SecurityOptions(NamedTuple):
    """What `--security-opt` says."""

    no_new_privileges: bool = False
    seccomp: str = ""
    """`unconfined`, `builtin`, the text of a profile, or empty for what is usual."""


def check(host: HostConfig) -> list[str]:
    """InvalidParameterError for what has no meaning; the warnings for what has no effect."""
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        for word, name in zip(names or (), _bare(names), strict=True):
            if name not in capabilities.NAMES and word.upper() != ALL:
                raise InvalidParameterError(f'invalid {field}: unknown capability: "CAP_{name}"')
    profile = _options(host).seccomp
    if profile not in ("", BUILTIN, UNCONFINED):
        _parse(profile)
    return [
        f"--security-opt {text} has no effect: labkit does not load profiles of {name}."
        for text in host.security_opt or ()
        for name in NOT_HERE
        if text.startswith((f"{name}=", f"{name}:")) and not text.endswith((UNCONFINED, "disable"))
    ]


def fill_in(host: HostConfig) -> None:
    """Complete the paths of the kernel's that are covered or read-only, as `inspect` shows them."""
    if host.privileged:
        host.masked_paths = host.readonly_paths = None
        host.security_opt = host.security_opt or ["label=disable"]
        return
    if host.masked_paths is None:
        host.masked_paths = list(MASKED_PATHS)
    if host.readonly_paths is None:
        host.readonly_paths = list(READ_ONLY_PATHS)


def kept_capabilities(host: HostConfig) -> tuple[str, ...]:
    """The pieces of root's power that the container's root keeps."""
    added, dropped = _bare(host.cap_add), _bare(host.cap_drop)
    if host.privileged:
        return capabilities.NAMES
    if ALL in added:
        return tuple(name for name in capabilities.NAMES if name not in dropped)
    usual = () if ALL in dropped else DEFAULT_CAPABILITIES
    return tuple(dict.fromkeys([*(name for name in usual if name not in dropped), *added]))


def may_mount(host: HostConfig) -> bool:
    """Whether the container's root keeps the piece of root's power that mount(2) asks for."""
    return "SYS_ADMIN" in kept_capabilities(host)


def seccomp_program(host: HostConfig) -> bytes:
    """The filter of the container's system calls; empty for none."""
    chosen, kept = _options(host).seccomp, kept_capabilities(host)
    if chosen == UNCONFINED or (host.privileged and not chosen):
        return b""
    if chosen in ("", BUILTIN):
        return seccomp_profile.compile_filter(kept)
    try:
        return seccomp_file.compile_profile(_parse(chosen), kept)
    except OSError as error:
        raise InvalidParameterError(
            f"--security-opt seccomp: libseccomp refuses the profile: {error.strerror}"
        ) from error


def no_new_privileges(host: HostConfig) -> bool:
    """Whether no program may give more power than its caller has."""
    return _options(host).no_new_privileges


def _bare(names: Sequence[str] | None) -> list[str]:
    return [seccomp_profile.bare(name) for name in names or ()]


def _options(host: HostConfig) -> SecurityOptions:
    found = SecurityOptions()
    for text in host.security_opt or ():
        name, separator, value = _split(text)
        if name == NO_NEW_PRIVILEGES:
            found = found._replace(no_new_privileges=_truth(text, value) if separator else True)
        elif name == "seccomp" and separator:
            found = found._replace(seccomp=value)
        elif not (name in NOT_HERE and separator) and text != "disable":
            raise _unknown(text)
    return found


def _split(text: str) -> tuple[str, str, str]:
    """Name and value at `=`, or as Docker once had it at `:`."""
    return text.partition("=") if "=" in text else text.partition(":")


def _truth(text: str, value: str) -> bool:
    if value.lower() not in TRUE_WORDS + FALSE_WORDS:
        raise _unknown(text)
    return value.lower() in TRUE_WORDS


def _unknown(text: str) -> InvalidParameterError:
    return InvalidParameterError(f'invalid --security-opt 2: "{text}"')


def _parse(text: str) -> seccomp_file.Profile:
    try:
        return seccomp_file.parse(text)
    except ValueError as error:
        raise InvalidParameterError(f"Decoding seccomp profile failed: {error}") from None
