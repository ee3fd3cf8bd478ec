"""`RUN --mount`: files that one command sees while it runs, and that no image contains.

cache: a folder kept from build to build, at first empty or what `from` has; bind: files of the
context, of a stage or of an image; tmpfs: memory; secret: a file that only the command sees; ssh: a
socket that leads to the client's SSH agent.
"""

import contextlib
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping

from labkit.build.agents import listening
from labkit.build.dockerfile.model import Instruction
from labkit.build.secrets import SecretFiles
from labkit.build.sources import content_key, packed, select
from labkit.build.stage import StageBuild
from labkit.build.workroom import CACHE_MOUNTS
from labkit.containers.records.mount_model import Mount, TmpfsOptions
from labkit.containers.trees.copying import FILE, FOLDER
from labkit.containers.trees.launch import Worker
from labkit.containers.trees.views import Folder
from labkit.errors import InvalidParameterError

Settings = dict[str, str]

_ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly"}
_ALIASES |= {"rw": "readwrite"}
_SWITCHES = frozenset({"readonly", "readwrite", "required"})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_COMMON = frozenset({"type", "target"})
_KEYS: Mapping[str, frozenset[str]] = {
    "bind": _COMMON | {"source", "from", "readonly", "readwrite"},
    "cache": _COMMON
    | {"id", "from", "source", "sharing", "mode", "uid", "gid", "readonly", "readwrite"},
    "tmpfs": _COMMON | {"size"},
    "secret": _COMMON | {"id", "required", "mode", "uid", "gid", "env"},
    "ssh": _COMMON | {"id", "required", "mode", "uid", "gid"},
}
DEFAULT_AGENT = "default"
AGENT_SOCKET = "/run/buildkit/ssh_agent.0"
"""As with BuildKit."""
SHARING = ("shared", "private", "locked")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class Mounts:
    """The mounts of one RUN."""

    def __init__(self, stage: StageBuild, instruction: Instruction) -> None:
        """Read the flags; InvalidParameterError."""
        self._stage = stage
        self._secrets = SecretFiles(stage.site.engine)
        self.secret_environment: list[str] = []
        """The secrets that the command finds in its environment (`env=NAME`), once `ready`."""
        expand = stage.expander(instruction).expand
        self._settings = [_read(expand(text)) for text in instruction.flag_values("mount")]

    def content_keys(self) -> list[str]:
        """Return the cache's key for the mounted files: their hash, or the image's id."""
        return [
            _content_key(self._stage, settings)
            for settings in self._settings
            if settings["type"] == "bind"
        ]

    @contextlib.contextmanager
    def ready(self) -> Iterator[list[Mount]]:
        """Have everything that is to be mounted, for the time of the block."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._secrets.forget)
            found: list[Mount] = []
            self.secret_environment = [
                word for settings in self._settings for word in _secret_words(self._stage, settings)
            ]
            for settings in self._settings:
                maker = _MAKERS[settings["type"]]
                mount = stack.enter_context(maker(self._stage, settings, self._secrets))
                if mount is not None:
                    found.append(mount)
            yield found

    def environment(self) -> list[str]:
        """Return the variables that the mounts add to the command's environment."""
        agents = [settings for settings in self._settings if settings["type"] == "ssh"]
        return [
            f"SSH_AUTH_SOCK={_target(self._stage, settings, AGENT_SOCKET)}"
            for settings in agents[:1]
        ]

    def are_mounted(self) -> None:
        """The command has begun."""
        self._secrets.forget()


def _read(text: str) -> Settings:
    settings: Settings = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if not equals and key not in _SWITCHES:
            raise InvalidParameterError(f"--mount={text}: '{key}' needs a value: {key}=…")
        settings[key] = value if equals else "true"
    kind = settings.setdefault("type", "bind")
    keys = _KEYS.get(kind)
    if keys is None:
        known = ", ".join(_KEYS)
        raise InvalidParameterError(f"--mount={text}: type {kind} is not known here ({known} are)")
    for key in settings:
        if key not in keys:
            raise InvalidParameterError(f"--mount={text}: unexpected key '{key}' for type {kind}")
    if "target" not in settings and kind not in ("secret", "ssh"):
        raise InvalidParameterError(f"--mount={text}: target is required")
    return settings


def _target(stage: StageBuild, settings: Settings, default: str = "") -> str:
    written = settings.get("target", default)
    return posixpath.normpath(posixpath.join("/", stage.config.working_dir, written))


def _is_true(settings: Settings, key: str) -> bool:
    text = settings.get(key, "false").lower()
    if text not in _BOOLEANS:
        raise InvalidParameterError(
            f"--mount: invalid value for {key}: {text}: it must be true or false"
        )
    return _BOOLEANS[text]


def _number(settings: Settings, key: str, default: int, base: int = 10) -> int:
    text = settings.get(key)
    if text is None:
        return default
    try:
        return int(text, base)
    except ValueError:
        raise InvalidParameterError(f"--mount: invalid value for {key}: {text}") from None


def _content_key(stage: StageBuild, settings: Settings) -> str:
    site, origin = stage.site, settings.get("from", "")
    if origin:
        image = site.origin_image(stage.number, stage.tell, origin)
        return f"dir:{image.id.removeprefix('sha256:')}"
    return content_key(select(site.context, [settings.get("source", "")], ()))


def _fill(stage: StageBuild, settings: Settings, folder: str) -> str:
    """Copy what `from` and `source` name to a folder; where it is: there, or a file in there."""
    source = settings.get("source", "")
    with stage.site.origin(stage.number, stage.tell, settings.get("from", ""), [source]) as archive:
        (found,) = select(archive, [source], ())
        kind = FOLDER if found.node.is_folder else FILE
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            worker = Worker("copy", ("/", [kind], ""), Folder(), [root], takes_input=True)
        finally:
            os.close(root)
        with worker:
            worker.ready()
            worker.feed(packed([found]))
    return folder if kind == FOLDER else f"{folder}/{found.name}"


@contextlib.contextmanager
def _cache(stage: StageBuild, settings: Settings, _: SecretFiles) -> Iterator[Mount]:
    target = _target(stage, settings)
    sharing = settings.get("sharing", "shared")
    if sharing not in SHARING:
        known = ", ".join(SHARING)
        raise InvalidParameterError(
            f'unsupported sharing value "{sharing}": it must be one of {known}'
        )
    if "source" in settings and "from" not in settings:
        raise InvalidParameterError("--mount=type=cache: source says where in from: give from too")
    name = settings.get("id", target)
    with (
        stage.site.workroom.folder() as spare,
        CACHE_MOUNTS.folder(stage.site.engine.paths, name, sharing, spare) as path,
    ):
        if path == spare or not os.path.isdir(path):
            if "from" in settings:
                _fill(stage, settings, spare)
            os.chown(spare, _number(settings, "uid", 0), _number(settings, "gid", 0))
            os.chmod(spare, _number(settings, "mode", 0o755, 8))
            with contextlib.suppress(OSError):  # another build has been quicker
                os.rename(spare, path)
        read_only = _is_true(settings, "readonly")
        yield Mount(type="bind", source=path, target=target, read_only=read_only)


@contextlib.contextmanager
def _bind(stage: StageBuild, settings: Settings, _: SecretFiles) -> Iterator[Mount]:
    """A copy of the files, so that nothing that the command writes there stays."""
    with stage.site.workroom.folder() as folder:
        os.chmod(folder, 0o755)
        path = _fill(stage, settings, folder)
        read_only = not _is_true(settings, "readwrite")
        yield Mount(type="bind", source=path, target=_target(stage, settings), read_only=read_only)


@contextlib.contextmanager
def _tmpfs(stage: StageBuild, settings: Settings, _: SecretFiles) -> Iterator[Mount]:
    size = settings.get("size", "0").lower().removesuffix("b")
    number = size.rstrip("kmg")
    if not number.isdecimal() or size[len(number) :] not in _UNITS:
        raise InvalidParameterError(f"--mount: invalid value for size: {settings['size']}")
    size_bytes = int(number) * _UNITS[size[len(number) :]]
    options = TmpfsOptions(size_bytes=size_bytes, mode=0o1777)
    yield Mount(type="tmpfs", target=_target(stage, settings), tmpfs_options=options)


@contextlib.contextmanager
def _secret(stage: StageBuild, settings: Settings, files: SecretFiles) -> Iterator[Mount | None]:
    """The secret as a file; with `env` there is one only if `target` asks for it."""
    name = _secret_name(settings)
    data = _secret_data(stage, settings)
    if data is None or ("env" in settings and "target" not in settings):
        yield None
        return
    ids = _number(settings, "uid", 0), _number(settings, "gid", 0)
    owner = stage.site.engine.owner_on_host(*ids)
    path = files.make(data, owner, _number(settings, "mode", 0o400, 8))
    target = _target(stage, settings, f"/run/secrets/{name}")
    yield Mount(type="bind", source=path, target=target, read_only=True)


@contextlib.contextmanager
def _ssh(stage: StageBuild, settings: Settings, _: SecretFiles) -> Iterator[Mount | None]:
    agents, name = stage.site.options.agents, settings.get("id") or DEFAULT_AGENT
    if not agents.check(name):
        if _is_true(settings, "required"):
            raise InvalidParameterError(f"unset ssh forward key {name}: give it with --ssh {name}")
        yield None
        return
    target = _target(stage, settings, AGENT_SOCKET)
    with stage.site.workroom.folder() as folder:
        path = f"{folder}/agent"
        with listening(agents, name, path):
            ids = _number(settings, "uid", 0), _number(settings, "gid", 0)
            os.chown(path, *stage.site.engine.owner_on_host(*ids))
            os.chmod(path, _number(settings, "mode", 0o600, 8))
            yield Mount(type="bind", source=path, target=target)


def _secret_name(settings: Settings) -> str:
    """The id of a secret, by default the name of its file, or of its variable."""
    name = settings.get("id") or posixpath.basename(settings.get("target", ""))
    name = name or settings.get("env", "")
    if not name:
        raise InvalidParameterError("--mount=type=secret: id or target is required")
    return name


def _secret_data(stage: StageBuild, settings: Settings) -> bytes | None:
    name = _secret_name(settings)
    data = stage.site.options.secret(name)
    if data is None and _is_true(settings, "required"):
        raise InvalidParameterError(f"secret {name} is required: give it with --secret id={name}")
    return data


def _secret_words(stage: StageBuild, settings: Settings) -> Iterator[str]:
    """A secret as a word of the environment; InvalidParameterError if it has a NUL byte."""
    name = settings.get("env", "")
    if settings["type"] != "secret" or not name:
        return
    data = _secret_data(stage, settings)
    if data is not None and b"\0" in data:
        raise InvalidParameterError(f"secret {_secret_name(settings)} has a NUL byte: mount a file")
    if data is not None:
        yield f"{name}={data.decode('utf-8', 'surrogateescape')}"


_MAKERS: Mapping[
    str,
    Callable[[StageBuild, Settings, SecretFiles], contextlib.AbstractContextManager[Mount | None]],
] = {"bind": _bind, "cache": _cache, "secret": _secret, "ssh": _ssh, "tmpfs": _tmpfs}
