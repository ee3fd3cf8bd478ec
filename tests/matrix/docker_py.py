"""A command line said through docker-py: the same words, another client.

What the docker command works out for itself (tables, sizes, files, input) docker-py has no words
for: those command lines it does not say.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import docker
from docker.errors import APIError

from labkit.cli.base.errors import UsageError
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag, parse
from labkit.cli.main import find, one_verb
from labkit.cli.show.template import Template
from tests.matrix.answers import Answer

Options = dict[str, object]

KEYWORDS: Mapping[str, tuple[str, Callable[..., object]]] = {
    "env": ("environment", list),
    "entrypoint": ("entrypoint", str),
    "hostname": ("hostname", str),
    "init": ("init", bool),
    "label": ("labels", lambda words: dict(word.partition("=")[::2] for word in words)),
    "memory": ("mem_limit", int),
    "memory_swap": ("memswap_limit", int),
    "name": ("name", str),
    "network": ("network_mode", str),
    "pids_limit": ("pids_limit", int),
    "read_only": ("read_only", bool),
    "stop_signal": ("stop_signal", str),
    "tmpfs": ("tmpfs", lambda words: dict(word.partition(":")[::2] for word in words)),
    "tty": ("tty", bool),
    "user": ("user", str),
    "volume": ("volumes", list),
    "volumes_from": ("volumes_from", list),
    "workdir": ("working_dir", str),
}
"""A flag of `run` and `create`, and how docker-py calls it."""
OF_THE_COMMAND = ("detach", "pull", "rm")
DIFF_LETTERS = "CAD"


class NoWordsError(Exception):
    """docker-py cannot say this."""


class DockerPy:
    """docker-py, speaking to the engine on a socket."""

    def __init__(self, socket: str) -> None:
        self._client = docker.DockerClient(base_url=f"unix://{socket}", timeout=30)

    def say(self, words: Sequence[str], text_in: bytes | None) -> Answer | None:
        """Say a command line; None when docker-py has no words for it."""
        try:
            verb, *rest = one_verb(list(words))
            speak = VERBS[verb]
            command = find(verb).COMMAND
            options, arguments = parse(command.flags, rest, interspersed=command.interspersed)
            given = _given(command.flags, options)
            command.check_count(verb, arguments)
            if text_in is not None:
                raise NoWordsError
            return speak(self._client, given, arguments)
        except (KeyError, NoWordsError, UsageError):
            return None
        except APIError as error:
            return _failure(error)


def _given(flags: Sequence[Flag], options: Options) -> Options:
    """The flags that were given, with another value than they have anyway."""
    initial, _ = parse(flags, ())
    return {name: value for name, value in options.items() if value != initial[name]}


def _only(given: Options, *names: str) -> None:
    if not given.keys() <= set(names):
        raise NoWordsError


def _failure(error: APIError, code: int = 1, out: str = "") -> Answer:
    return Answer(code, out.encode(), f"Error response from daemon: {error.explanation}\n".encode())


def _said(text: object, code: int = 0) -> Answer:
    return Answer(code, f"{text}\n".encode() if text != "" else b"", b"")


def _make(client: docker.DockerClient, given: Options, arguments: list[str], **more: object):
    _only(given, *KEYWORDS, *OF_THE_COMMAND)
    keywords = {}
    for name, value in given.items():
        if name in KEYWORDS:
            keyword, convert = KEYWORDS[name]
            keywords[keyword] = convert(value)
    image, *command = arguments
    return client.containers.create(image, command or None, **keywords, **more)


def _create(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, *KEYWORDS, "pull")
    return _said(_make(client, given, arguments).id)


def _run(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    if "detach" in given:
        made = _make(client, given, arguments, detach=True, auto_remove="rm" in given)
        made.start()
        return _said(made.id)
    made = _make(client, given, arguments)
    try:
        made.start()
        code = made.wait()["StatusCode"]
        return Answer(code, made.logs(stderr=False), made.logs(stdout=False))
    finally:
        if "rm" in given:
            made.remove()


def _each(action: Callable[..., object], *flags: str):
    """A verb that does something to each container and prints its name, or what it returns."""

    def speak(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
        _only(given, *flags)
        out, err, code = [], [], 0
        for name in arguments:
            try:
                result = action(client.containers.get(name), given)
            except APIError as error:
                err.append(_failure(error).err.decode())
                code = 1
            else:
                out.append(f"{name if result is None else result}\n")
        return Answer(code, "".join(out).encode(), "".join(err).encode())

    return speak


def _rename(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    client.containers.get(arguments[0]).rename(arguments[1])
    return _said("")


def _exec(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, "detach", "env", "user", "workdir")
    name, *command = arguments
    container = client.containers.get(name)
    keywords = {
        "environment": given.get("env"),
        "user": given.get("user", ""),
        "workdir": given.get("workdir"),
    }
    if "detach" in given:
        container.exec_run(command, detach=True, **keywords)
        return _said("")
    code, (out, err) = container.exec_run(command, demux=True, **keywords)
    return Answer(code, out or b"", err or b"")


def _logs(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, "follow", "timestamps")
    keywords = {"follow": "follow" in given, "timestamps": "timestamps" in given}
    container = client.containers.get(arguments[0])
    return Answer(
        0,
        container.logs(stdout=True, stderr=False, **keywords),
        container.logs(stdout=False, stderr=True, **keywords),
    )


def _inspect(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, "format")
    template = Template(str(given["format"]))
    shown = [template.fill(client.containers.get(name).attrs) for name in arguments]
    return _said("\n".join(shown))


def _ps(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, "all", "filter", "format", "quiet")
    template = Template("{{.Id}}" if "quiet" in given else str(given["format"]))
    found = client.api.containers(all="all" in given, filters=filters_from(given.get("filter", ())))
    for each in found:
        each["Names"] = ",".join(name.removeprefix("/") for name in each["Names"])
    return _said("\n".join(template.fill(each) for each in found))


def _diff(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    found = client.containers.get(arguments[0]).diff() or ()
    return _said("\n".join(f"{DIFF_LETTERS[each['Kind']]} {each['Path']}" for each in found))


def _events(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given, "filter", "format", "since", "until")
    template = Template(str(given["format"]))
    now = time.time()
    found = client.api.events(
        since=int(now) - 60,
        until=now,
        filters=filters_from(given.get("filter", ())),
        decode=True,
    )
    return _said("\n".join(template.fill(each) for each in found))


def _volume_create(client: docker.DockerClient, given: Options, arguments: list[str]) -> Answer:
    _only(given)
    return _said(client.volumes.create(*arguments).name)


def _seconds(given: Options) -> Options:
    return {"timeout": given["timeout"]} if "timeout" in given else {}


VERBS: Mapping[str, Callable[[docker.DockerClient, Options, list[str]], Answer]] = {
    "create": _create,
    "run": _run,
    "start": _each(lambda container, given: container.start()),
    "stop": _each(lambda container, given: container.stop(**_seconds(given)), "timeout"),
    "restart": _each(lambda container, given: container.restart(**_seconds(given)), "timeout"),
    "kill": _each(lambda container, given: container.kill(given.get("signal")), "signal"),
    "pause": _each(lambda container, given: container.pause()),
    "unpause": _each(lambda container, given: container.unpause()),
    "wait": _each(lambda container, given: container.wait()["StatusCode"]),
    "rm": _each(
        lambda container, given: container.remove(v="volumes" in given, force="force" in given),
        *("force", "volumes"),
    ),
    "rename": _rename,
    "exec": _exec,
    "logs": _logs,
    "inspect": _inspect,
    "ps": _ps,
    "diff": _diff,
    "events": _events,
    "volume create": _volume_create,
}
