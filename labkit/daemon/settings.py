"""The administrator's settings, in `daemon.json` and by flags; their names are Docker's.

A key that Docker does not have is an error that names it.  A key without effect here causes a
warning with the reason (`labkit.dialect.daemon_options`).
"""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from labkit.containers.given import log_options
from labkit.containers.given.defaults import Defaults as ContainerDefaults
from labkit.containers.records.model import LogConfig, Ulimit
from labkit.dialect.daemon_options import INT, LIST, MAP, OPTIONS, WITHOUT_EFFECT
from labkit.dialect.numbers import whole
from labkit.dialect.sizes import parse_size
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.kernel import files
from labkit.networks.defaults import Defaults as NetworkDefaults
from labkit.networks.defaults import check_bip, pool
from labkit.networks.subnets import POOLS

FILE = "daemon.json"
Values = dict[str, object]
UNCONFINED, BUILTIN = "unconfined", "builtin"
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
LOWEST_IPV6_MTU = 1280


class AddressPool(msgspec.Struct):
    """A range of addresses, and the prefix length of the subnets taken from it."""

    base: str
    size: int


class Proxies(msgspec.Struct, rename="kebab"):
    """The proxies for access to registries."""

    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""


class DefaultUlimit(msgspec.Struct, rename=str.capitalize):
    """`{"Name": "nofile", "Soft": 1024, "Hard": 2048}`."""

    name: str
    soft: int = 0
    hard: int = 0


class Settings(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    """Every supported option, with its default."""

    bip: str = ""
    cgroup_parent: str = ""
    data_root: str = ""
    debug: bool = False
    default_address_pools: list[AddressPool] = msgspec.field(default_factory=list)
    default_cgroupns_mode: str = ""
    default_ipc_mode: str = ""
    default_runtime: str = ""
    default_shm_size: str | int = ""
    default_ulimits: dict[str, DefaultUlimit] = msgspec.field(default_factory=dict)
    dns: list[str] = msgspec.field(default_factory=list)
    dns_opts: list[str] = msgspec.field(default_factory=list)
    dns_search: list[str] = msgspec.field(default_factory=list)
    features: dict[str, bool] = msgspec.field(default_factory=dict)
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    group: str = ""
    host_gateway_ip: str = ""
    hosts: list[str] = msgspec.field(default_factory=list)
    icc: bool = True
    init: bool = False
    insecure_registries: list[str] = msgspec.field(default_factory=list)
    ip: str = ""
    ipv6: bool = False
    labels: list[str] = msgspec.field(default_factory=list)
    log_driver: str = ""
    log_level: str = ""
    log_opts: dict[str, str] = msgspec.field(default_factory=dict)
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    mtu: int = 0
    no_new_privileges: bool = False
    pidfile: str = ""
    proxies: Proxies = msgspec.field(default_factory=Proxies)
    registry_mirrors: list[str] = msgspec.field(default_factory=list)
    seccomp_profile: str = ""
    storage_driver: str = ""
    tls: bool = False
    tlscacert: str = ""
    tlscert: str = ""
    tlskey: str = ""
    tlsverify: bool = False
    userns_remap: str = ""

    @property
    def is_talkative(self) -> bool:
        """Whether to log every request."""
        return self.debug or self.log_level == "debug"

    @property
    def speaks_tls(self) -> bool:
        """Whether TCP connections use TLS."""
        return self.tls or self.tlsverify


def read_file(path: str, *, must_exist: bool = False) -> Values:
    """The values in the file, by key; none if it does not exist.  InvalidParameterError."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read() or b"{}", type=dict[str, object])
    except FileNotFoundError:
        if must_exist:
            raise InvalidParameterError(f"{path} is not there") from None
        return {}
    except UNREADABLE as error:
        raise InvalidParameterError(f"{path} cannot be read: {error}; correct it") from None


def settle(from_file: Values, from_flags: Values, path: str = FILE) -> tuple[Settings, list[str]]:
    """The settings, and a warning for each value without effect.

    InvalidParameterError, in Docker's words, for unknown keys and for keys in both places.
    """
    known = {option.name for option in OPTIONS} | {"proxies"} | WITHOUT_EFFECT.keys()
    if unknown := sorted(from_file.keys() - known):
        raise InvalidParameterError(
            f"unable to configure the daemon with file {path}: the following directives don't "
            f"match any configuration option: {', '.join(unknown)}"
        )
    both = [name for name in from_flags if name in from_file]
    if conflicts := [name for name in both if from_file[name] != from_flags[name]]:
        told = (
            f"{name}: (from flag: {from_flags[name]}, from file: {from_file[name]})"
            for name in conflicts
        )
        raise InvalidParameterError(
            f"unable to configure the daemon with file {path}: the following directives are "
            f"specified both as a flag and in the configuration file: {', '.join(told)}"
        )
    said = {**from_file, **from_flags}
    warnings = [
        f"{name} has no effect: {why}" for name, why in WITHOUT_EFFECT.items() if name in said
    ]
    given = {name: value for name, value in said.items() if name not in WITHOUT_EFFECT}
    proxies = {name: given.pop(name) for name in ("http-proxy", "https-proxy", "no-proxy")
               if name in given}  # fmt: skip
    if proxies:
        given["proxies"] = {**dict(given.get("proxies") or {}), **proxies}  # type: ignore[call-overload]  # any JSON
    try:
        settings = msgspec.convert(given, Settings)
    except UNREADABLE as error:
        raise InvalidParameterError(f"{path} cannot be read: {error}; correct it") from None
    _check(settings)
    return settings, warnings


def _check(settings: Settings) -> None:
    """InvalidParameterError for invalid values."""
    for name in ("max_concurrent_downloads", "max_concurrent_uploads"):
        if getattr(settings, name) < 1:
            raise InvalidParameterError(f"invalid {name.replace('_', '-')}: it must be 1 or more")
    if settings.mtu and whole(str(settings.mtu), 68, 65535) is None:
        raise InvalidParameterError(f"invalid mtu: {settings.mtu}")
    for label in settings.labels:
        name, equals, value = label.partition("=")
        if not (name and equals and value):
            raise InvalidParameterError(f"bad attribute format: {label}: use name=value")
    if settings.log_level and settings.log_level not in LOG_LEVELS:
        raise InvalidParameterError(f"invalid logging level: {settings.log_level}")
    network_defaults(settings)
    container_defaults(settings)


def network_defaults(settings: Settings) -> NetworkDefaults:
    """The settings of addresses; InvalidParameterError."""
    pools = [pool(each.base, each.size) for each in settings.default_address_pools]
    return NetworkDefaults(
        pools or POOLS,
        check_bip(settings.bip) if settings.bip else "",
        fixed_cidr=settings.fixed_cidr,
        ipv6=settings.ipv6,
        fixed_cidr_v6=settings.fixed_cidr_v6,
        mtu=settings.mtu,
        icc=settings.icc,
        binding=settings.ip,
    ).checked()


def container_defaults(settings: Settings) -> ContainerDefaults:
    """The defaults for containers; InvalidParameterError."""
    log = LogConfig(settings.log_driver or log_options.JSON_FILE, dict(settings.log_opts))
    log_options.limits(log)
    size = settings.default_shm_size
    return ContainerDefaults(
        cgroup_parent=settings.cgroup_parent,
        cgroupns_mode=settings.default_cgroupns_mode,
        ipc_mode=settings.default_ipc_mode,
        runtime=settings.default_runtime,
        shm_bytes=parse_size(size) if isinstance(size, str) and size else int(size or 0),
        ulimits=[Ulimit(u.name, u.soft, u.hard) for u in settings.default_ulimits.values()],
        dns=settings.dns,
        dns_options=settings.dns_opts,
        dns_search=settings.dns_search,
        host_gateway=settings.host_gateway_ip,
        init=settings.init,
        log=log,
        no_new_privileges=settings.no_new_privileges,
        seccomp=_seccomp(settings.seccomp_profile),
    ).checked()


def _seccomp(path: str) -> str:
    if path in ("", BUILTIN, UNCONFINED):
        return path.replace(BUILTIN, "")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"opening seccomp profile ({path}) failed: {error}") from None


# From flags


def from_flags(given: Mapping[str, Sequence[str]]) -> Values:
    """The values of flags, in the form of the file; InvalidParameterError.

    `given`: the texts of each flag, by its name.
    """
    found: Values = {}
    for option in OPTIONS:
        if texts := given.get(option.flag_name):
            found[option.name] = _READERS.get(option.name, _KINDS[option.kind])(option.name, texts)
    return found


def _truth(name: str, texts: Sequence[str]) -> bool:
    if texts[-1].lower() not in ("true", "false", "1", "0"):
        raise InvalidParameterError(
            f'invalid argument "{texts[-1]}" for "--{name}": it must be true or false'
        )
    return texts[-1].lower() in ("true", "1")


def _number(name: str, texts: Sequence[str]) -> int:
    number = whole(texts[-1])
    if number is None:
        raise InvalidParameterError(f'invalid argument "{texts[-1]}" for "--{name}": not a number')
    return number


def _pairs(name: str, texts: Sequence[str]) -> object:
    return dict(text.partition("=")[::2] for text in texts)


def _features(name: str, texts: Sequence[str]) -> object:
    return {
        text.partition("=")[0]: _truth(name, [text.partition("=")[2] or "true"]) for text in texts
    }


def _pools(name: str, texts: Sequence[str]) -> object:
    pairs = [dict(word.partition("=")[::2] for word in text.split(",")) for text in texts]
    return [
        {"base": pair.get("base", ""), "size": _number(name, [pair.get("size", "")])}
        for pair in pairs
    ]


def _ulimits(name: str, texts: Sequence[str]) -> object:
    found = {}
    for text in texts:
        kind, _, limits = text.partition("=")
        soft, _, hard = limits.partition(":")
        found[kind] = {"Name": kind, "Soft": _number(name, [soft]),
                       "Hard": _number(name, [hard or soft])}  # fmt: skip
    return found


def _text(name: str, texts: Sequence[str]) -> object:
    return texts[-1]


def _list(name: str, texts: Sequence[str]) -> object:
    return list(texts)


_Reader = Callable[[str, Sequence[str]], object]
_KINDS: Mapping[str, _Reader] = {
    "bool": _truth,
    INT: _number,
    "string": _text,
    LIST: _list,
    MAP: _pairs,
}
_READERS: Mapping[str, _Reader] = {
    "default-address-pools": _pools,
    "default-ulimits": _ulimits,
    "features": _features,
}


# In effect


class Source:
    """The source of an engine's settings: a file, which may change, and flags, which do not."""

    def __init__(self, path: str, flags: Values | None = None, *, must_exist: bool = False) -> None:
        self.path = path
        self._flags = flags or {}
        self._must_exist = must_exist

    def read(self) -> tuple[Settings, list[str]]:
        """The settings now, and warnings; InvalidParameterError."""
        said = read_file(self.path, must_exist=self._must_exist)
        return settle(said, self._flags, self.path)


_SOURCES: dict[str, Source] = {}
"""The sources by data root: one in a daemon, several in tests."""


def source(root: str, given: Mapping[str, Sequence[str]], config_file: str | None) -> Source:
    """The source of the settings of a daemon with these flags."""
    path = config_file or os.path.join(root, FILE)
    return Source(path, from_flags(given), must_exist=config_file is not None)


def use(root: str, source: Source) -> None:
    """Use this source for the engine with this data root."""
    _SOURCES[root] = source


def current(root: str) -> Settings:
    """The present settings of the engine with this data root; InvalidParameterError."""
    source = _SOURCES.get(root) or Source(os.path.join(root, FILE))
    return source.read()[0]


def engine_id(root: str) -> str:
    """A unique name for the engine with this data root, made once.

    On a full disk it differs each time, so that `info` still has an answer.
    """
    path = os.path.join(root, "engine-id")
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        made = str(uuid.uuid4())
        with suppress(OSError):
            files.write_atomically(path, made.encode())
        return made
