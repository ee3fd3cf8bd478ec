"""Flags of `run` and `create` with structured values: mounts, policies, checks, logs."""

import os

from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value
from labkit.dialect.numbers import whole
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RATE_FORM = "The correct format is <device-path>:<number>"
MOUNT_KEYS = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "destination": "Target",
    "dst": "Target",
    "readonly": "ReadOnly",
    "ro": "ReadOnly",
    "consistency": "Consistency",
    "bind-propagation": "BindOptions.Propagation",
    "bind-nonrecursive": "BindOptions.NonRecursive",
    "volume-nocopy": "VolumeOptions.NoCopy",
    "volume-driver": "VolumeOptions.DriverConfig.Name",
    "volume-label": "VolumeOptions.Labels",
    "volume-opt": "VolumeOptions.DriverConfig.Options",
    "volume-subpath": "VolumeOptions.Subpath",
    "image-subpath": "ImageOptions.Subpath",
    "tmpfs-size": "TmpfsOptions.SizeBytes",
    "tmpfs-mode": "TmpfsOptions.Mode",
}
"""The keys of `--mount`, and their fields in the API's Mount."""
SWITCHES = ("readonly", "ro", "bind-nonrecursive", "volume-nocopy")
PAIRS = ("volume-label", "volume-opt")


def restart_policy(text: str) -> "dict[str, Any] | None":
    """Return `on-failure:3` in the API's form; None for an empty text; UsageError."""
    if not text:
        return None
    name, colon, times = text.partition(":")
    most = whole(times, 0) if colon else 0
    if most is None:
        raise _invalid("restart", text, "maximum retry count must be an integer: on-failure:3")
    return {"Name": name, "MaximumRetryCount": most}


def device(text: str) -> "dict[str, str]":
    """Return `/dev/x[:/place][:rwm]` as the API's DeviceMapping; UsageError."""
    source, *rest = text.split(":")
    # Two parts are a device and its place, or a device and the allowed access.
    access = rest.pop() if rest and not rest[-1].startswith("/") else "rwm"
    if len(rest) > 1 or not source:
        raise _invalid("device", text, f"bad format for path: {text}")
    if not access or not set(access) <= set("rwm"):
        raise _invalid("device", text, f"bad mode specified: {access}")
    place = rest[0] if rest else source
    return {"PathOnHost": source, "PathInContainer": place, "CgroupPermissions": access}


def disk_limit(name: str, text: str) -> "dict[str, Any]":
    """Return `/dev/x:5mb` of the option `name` in the API's form; UsageError."""
    flag = name.replace("_", "-")
    path, _, value = text.rpartition(":")
    if not path:
        raise _invalid(flag, text, f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise _invalid(flag, text, f"bad format for device path: {text}")
    if name == "blkio_weight_device":
        if not (_is_number(value) and (not int(value) or 10 <= int(value) <= 1000)):
            raise _invalid(flag, text, f"invalid weight for device: {text}")
        return {"Path": path, "Weight": int(value)}
    if name.endswith("bps"):
        from labkit.dialect.sizes import parse_size  # noqa: PLC0415 only here

        form = f"{RATE_FORM}[<unit>]. Unit is optional and can be kb, mb, or gb"
        try:
            rate = parse_size(value)
        except InvalidParameterError:
            rate = -1
    else:
        form = RATE_FORM
        rate = int(value) if _is_number(value) else -1
    if rate < 0:
        raise _invalid(flag, text, f"invalid rate for device: {text}. {form}")
    return {"Path": path, "Rate": rate}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def ulimit(text: str) -> "dict[str, Any]":
    """Return `nofile=1024:2048` or `nofile=1024` as the API's Ulimit; UsageError."""
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    try:
        numbers = int(soft), int(hard if colon else soft)
    except ValueError:
        raise _invalid("ulimit", text, "it must be NAME=SOFT[:HARD], in numbers") from None
    if not (name and equals):
        raise _invalid("ulimit", text, "it must be NAME=SOFT[:HARD]")
    return {"Name": name, "Soft": numbers[0], "Hard": numbers[1]}


def volume(text: str) -> str:
    """Return a `-v` value with the path of the host made absolute, as `./data:/data`."""
    here, colon, rest = text.partition(":")
    if colon and here.startswith("."):
        return f"{os.path.abspath(here)}:{rest}"
    if not here or (not colon and not here.startswith("/")):
        raise _invalid("-v, --volume", text, "it must be [name:|/path:]/place[:options]")
    return text


def mount(text: str) -> "dict[str, Any]":
    """Return a `--mount` value as the API's Mount; UsageError."""
    result: dict[str, Any] = {"Type": "volume"}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        key = key.lower()
        place = MOUNT_KEYS.get(key)
        if place is None:
            raise _invalid("mount", text, f"unexpected key '{key}'")
        if not equals and key not in SWITCHES:
            raise _invalid("mount", text, f"'{key}' needs a value: {key}=…")
        *outer, name = place.split(".")
        inner = result
        for level in outer:
            inner = inner.setdefault(level, {})
        if key in PAIRS:
            pair, _, content = value.partition("=")
            inner.setdefault(name, {})[pair] = content
        else:
            inner[name] = _mount_value(text, key, value)
    if not result.get("Target"):
        raise _invalid("mount", text, "target is required")
    if result["Type"] == "bind" and result.get("Source", "").startswith("."):
        result["Source"] = os.path.abspath(result["Source"])
    return result


def _mount_value(text: str, key: str, value: str) -> object:
    try:
        if key in SWITCHES:
            return {"": True, "true": True, "1": True, "false": False, "0": False}[value.lower()]
        if key == "tmpfs-mode":
            return int(value, 8)
    except (KeyError, ValueError):
        raise _invalid("mount", text, f"invalid value for {key}: {value}") from None
    if key == "tmpfs-size":
        from labkit.dialect.sizes import parse_size  # noqa: PLC0415 only here

        return parse_size(value)
    return value


def log_config(driver: str, given: list[str]) -> "dict[str, Any] | None":
    """Return `--log-driver` and `--log-opt` in the API's form; None without them; UsageError."""
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise _invalid("log-opt", text, "it must be NAME=VALUE")
        options[name] = value
    return {"Type": driver or "json-file", "Config": options} if driver or options else None


def healthcheck(options: "dict[str, Any]") -> "dict[str, Any] | None":
    """Return the `--health-…` flags in the API's form, times in nanoseconds; None without them."""
    check = {
        "Test": ["CMD-SHELL", options["health_cmd"]] if options["health_cmd"] else None,
        "Interval": options["health_interval"],
        "Timeout": options["health_timeout"],
        "StartPeriod": options["health_start_period"],
        "StartInterval": options["health_start_interval"],
        "Retries": options["health_retries"],
    }
    given = {name: value for name, value in check.items() if value}
    if options["no_healthcheck"]:
        if given:
            raise UsageError("--no-healthcheck conflicts with --health-* options", BAD_FLAG)
        return {"Test": ["NONE"]}
    return given or None


def _invalid(flag: str, text: str, why: str) -> UsageError:
    spelling = flag if flag.startswith("-") else f"--{flag}"
    return bad_value(text, spelling, why)
