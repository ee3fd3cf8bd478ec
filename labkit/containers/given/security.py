"""The rights of a container: `--cap-add`, `--cap-drop`, `--security-opt` and `--privileged`.

Docker's rules: a capability is named with CAP_ or without, in upper or lower case; ALL is every
capability.  A container that drops ALL has only those it adds; one that adds ALL has all but those
it drops.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from labkit.containers.records.model import HostConfig
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities, processes, seccomp_file, seccomp_profile
from labkit.runtime.spec import DEFAULT_CAPABILITIES, MASKED_PATHS, READ_ONLY_PATHS

ALL = "ALL"
TRUE_WORDS = ("1", "t", "true")
FALSE_WORDS = ("0", "f", "false")
NO_NEW_PRIVILEGES = "no-new-privileges"
BUILTIN, UNCONFINED = "builtin", "unconfined"
MODULES = ("apparmor", "label")
"""The options of AppArmor, and of SELinux, which labkit does not support."""
APPARMOR_PROFILES = "/sys/kernel/security/apparmor/profiles"
APPARMOR_DEFAULT = "labkit-default"
"""The profile in vagrant/labkit-default; the provisioning loads it."""
CPUS = "/sys/devices/system/cpu"


class SecurityOptions(NamedTuple):
    """The values of `--security-opt`."""

    no_new_privileges: bool = False
    seccomp: str = ""
    """`unconfined`, `builtin`, the text of a profile, or empty for the default."""
    apparmor: str = ""
    """`unconfined`, a profile's name, or empty for the default."""


def check(host: HostConfig) -> list[str]:
    """InvalidParameterError for an unknown value; a warning for each option without effect."""
    for field, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        for word, name in zip(names or (), _bare(names), strict=True):
            if name not in capabilities.NAMES and word.upper() != ALL:
                raise InvalidParameterError(f'invalid {field}: unknown capability: "CAP_{name}"')
    profile = _options(host).seccomp
    if profile not in ("", BUILTIN, UNCONFINED):
        _parse(profile)
    profile = _options(host).apparmor
    loaded = loaded_apparmor_profiles()
    if loaded and profile not in ("", UNCONFINED, *loaded):
        raise InvalidParameterError(
            f"--security-opt apparmor={profile}: no profile of that name is loaded: load it with "
            "apparmor_parser, or name another"
        )
    without_effect = {"label": "labkit does not drive SELinux"}
    if not loaded:
        without_effect["apparmor"] = "this kernel has no AppArmor, or no profile is loaded"
    return [
        f"--security-opt {text} has no effect: {why}."
        for text in host.security_opt or ()
        for name, why in without_effect.items()
        if text.startswith((f"{name}=", f"{name}:")) and not text.endswith((UNCONFINED, "disable"))
    ]


def loaded_apparmor_profiles() -> set[str]:
    """The names of the profiles that AppArmor has loaded; empty if the kernel runs without it."""
    try:
        with open(APPARMOR_PROFILES) as file:
            return {line.rpartition(" (")[0] for line in file}
    except OSError:
        return set()


def apparmor_profile(host: HostConfig) -> str:
    """The profile that confines the container's processes; empty for none.

    The default profile is used if it is loaded.  A profile that was asked for is always used, so
    that the start fails if it is no longer loaded.
    """
    chosen, loaded = _options(host).apparmor, loaded_apparmor_profiles()
    if not loaded or chosen == UNCONFINED or (host.privileged and not chosen):
        return ""
    return chosen or (APPARMOR_DEFAULT if APPARMOR_DEFAULT in loaded else "")


def oom_score(host: HostConfig) -> int | None:
    """The score to set; None if a container may have the same score as labkitd.

    A low score protects labkitd (its unit sets it), and no container may inherit that.
    """
    own = processes.oom_score()
    return host.oom_score_adj if host.oom_score_adj or own < 0 else None


def fill_in(host: HostConfig) -> None:
    """Fill in the masked and read-only paths of the kernel, as `inspect` shows them."""
    if host.privileged:
        host.masked_paths = host.readonly_paths = None
        host.security_opt = host.security_opt or ["label=disable"]
        return
    if host.masked_paths is None:
        host.masked_paths = [*MASKED_PATHS, *thermal_paths()]
    if host.readonly_paths is None:
        host.readonly_paths = list(READ_ONLY_PATHS)


def thermal_paths(cpus: str = CPUS) -> list[str]:
    """The folders that tell how hot each CPU runs, from which its work can be guessed.

    Docker covers them where the machine has them.
    """
    names = (name for name in os.listdir(cpus) if name[:3] == "cpu" and name[3:].isdecimal())
    paths = (f"{cpus}/{name}/thermal_throttle" for name in sorted(names, key=lambda n: int(n[3:])))
    return list(filter(os.path.exists, paths))


def kept_capabilities(host: HostConfig) -> tuple[str, ...]:
    """The capabilities that the container's root keeps."""
    added, dropped = _bare(host.cap_add), _bare(host.cap_drop)
    if host.privileged:
        return capabilities.NAMES
    if ALL in added:
        return tuple(name for name in capabilities.NAMES if name not in dropped)
    usual = () if ALL in dropped else DEFAULT_CAPABILITIES
    return tuple(dict.fromkeys([*(name for name in usual if name not in dropped), *added]))


def may_mount(host: HostConfig) -> bool:
    """Whether the container's root keeps the capability that mount(2) needs."""
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
    """Whether a program may never give its process more rights than its caller has."""
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
        elif name == "apparmor" and separator:
            found = found._replace(apparmor=value)
        elif not (name in MODULES and separator) and text != "disable":
            raise _unknown(text)
    return found


def _split(text: str) -> tuple[str, str, str]:
    """Split name and value at `=`, or at `:` as older releases of Docker did."""
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
