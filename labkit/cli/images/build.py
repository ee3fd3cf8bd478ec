"""`labkit build`: make an image from a Dockerfile and the files beside it."""

import json
import os
import select
import sys
from contextlib import nullcontext

from labkit.cli.archives import build_context
from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import BuildFailedError, bad_value
from labkit.cli.base.flags import Flag
from labkit.cli.images.build_output import Output, export
from labkit.cli.show.build_progress import Plain, Quiet
from labkit.client import building, proxies
from labkit.dialect.references import canonical
from labkit.errors import InvalidParameterError, LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from labkit.client.api import Api
    from labkit.client.http import Response

PROGRESS = ("auto", "plain", "tty", "quiet")
TICK_MS = 200

COMMAND = Command(
    "[OPTIONS] PATH|URL|-",
    (
        Flag("add-host", "", "list", "Add a host name for RUN (name:address)"),
        Flag("build-arg", "", "list", "Set an ARG (NAME=value, or NAME to pass ours on)"),
        Flag("build-context", "", "list", "A context by a name (NAME=FOLDER, docker-image://I)"),
        Flag("cache-from", "", "list", "Reuse steps of an image, or of type=local,src=FOLDER"),
        Flag("cache-to", "", "list", "Write a cache (type=local,dest=FOLDER[,mode=max])"),
        Flag("cgroup-parent", "", "string", "The group above the containers of RUN"),
        Flag("compress", "", "bool", "Without effect: the context goes through a Unix socket"),
        Flag("cpu-period", "", "int", "Length of a CPU period in microseconds, for RUN"),
        Flag("cpu-quota", "", "int", "CPU time in a period in microseconds, for RUN"),
        Flag("cpu-shares", "c", "int", "CPU shares, for RUN"),
        Flag("cpuset-cpus", "", "string", "The CPUs RUN may use (0-3, 0,1)"),
        Flag("cpuset-mems", "", "string", "The memory nodes RUN may use (0-3, 0,1)"),
        Flag("explain-cache", "", "bool", "Say for each step why the cache was hit or missed"),
        Flag("file", "f", "string", "The Dockerfile (default PATH/Dockerfile)", word="path"),
        Flag("force-rm", "", "bool", "Without effect: containers of RUN are always removed"),
        Flag("iidfile", "", "string", "Write the image's ID to this file", word="path"),
        Flag("label", "", "list", "Attach a label to the image (name=value)"),
        Flag("memory", "m", "bytes", "Memory limit, for RUN"),
        Flag("memory-swap", "", "bytes", "Limit of memory plus swap, for RUN"),
        Flag("metadata-file", "", "string", "Write the result's facts to this file", word="path"),
        Flag("network", "", "string", "Network of RUN", initial="default"),
        Flag("no-cache", "", "bool", "Build every step, and use no cache"),
        Flag("output", "o", "list", "Where the result goes (FOLDER, type=tar,dest=FILE)"),
        Flag("platform", "", "string", "Build for another machine (linux/arm64)"),
        Flag("progress", "", "string", "auto, plain, tty or quiet", initial="auto"),
        Flag("pull", "", "bool", "Get newer versions of the images it begins with"),
        Flag("quiet", "q", "bool", "Print only the image's ID"),
        Flag("rm", "", "bool", "Without effect: containers of RUN are always removed"),
        Flag("secret", "", "list", "A secret for RUN --mount (id=name,src=path|env=NAME)"),
        Flag("security-opt", "", "list", "Without effect: RUN has a container's limits"),
        Flag("shm-size", "", "bytes", "Size of /dev/shm, for RUN"),
        Flag("squash", "", "bool", "Without effect: use a stage with COPY --from"),
        Flag("ssh", "", "list", "An SSH agent for RUN --mount=type=ssh (default, NAME=SOCKET)"),
        Flag("tag", "t", "list", "Name the image (name:tag)", word="name"),
        Flag("target", "", "string", "The stage to build (default the last)"),
        Flag("ulimit", "", "list", "Limit each of RUN's processes (nofile=1024:2048)"),
    ),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Return 0, or the exit code of the failed command."""
    (source,) = arguments
    if options["progress"] not in PROGRESS:
        why = f"it must be one of {', '.join(PROGRESS)}"
        raise bad_value(options["progress"], "--progress", why)
    outputs = [Output(text) for text in options["output"]]
    request = _request(options)
    request.build_args = {**proxies.variables(context.paths.socket), **request.build_args}
    if build_context.is_remote(source):
        request.remote, request.dockerfile = source, options["file"] or "Dockerfile"
        pieces: Iterator[bytes] = iter(())
    else:
        sent = _context(source, options["file"])
        request.dockerfile, request.dockerfile_path = sent.dockerfile, sent.path
        pieces = sent.pieces
    for name in ("squash", "security_opt"):
        if options[name]:
            flag = name.replace("_", "-")
            print(f"WARNING: --{flag} has no effect", file=sys.stderr)
    to_stdout = any(output.is_on_stdout for output in outputs)
    is_quiet = options["quiet"] or options["progress"] == "quiet" or to_stdout
    view = _view("quiet" if is_quiet else options["progress"])
    image_id = _built(context.api(), request, pieces, view, options)
    for output in outputs:
        export(context.api(), image_id, output)
    if options["iidfile"]:
        _write(options["iidfile"], image_id)
    if options["metadata_file"]:
        _write(options["metadata_file"], _facts(image_id, options["tag"]))
    if is_quiet and not to_stdout:
        print(image_id)
    return 0


def _built(
    api: "Api",
    request: building.BuildRequest,
    pieces: "Iterator[bytes]",
    view: Plain,
    options: "dict[str, Any]",
) -> str:
    """Build, with a session if the options need one; return the image's id."""
    if not any(options[name] for name in ("build_context", "cache_to", "ssh")) and all(
        "=" not in text for text in options["cache_from"]
    ):
        return _follow(building.start(api, request, pieces), view).image_id
    from labkit.cli.images.build_session import BuildSession  # noqa: PLC0415 it imports HTTP/2

    beside = BuildSession(options, request)
    with beside.session.open(api) if request.session else nullcontext():
        result = _follow(building.start(api, request, pieces), view)
    beside.finish(result.cache)
    return result.image_id


def _context(source: str, file: str) -> build_context.Context:
    if source != "-":
        return build_context.of_folder(source, file)
    if sys.stdin.isatty():
        raise InvalidParameterError(
            "build - reads a Dockerfile or an archive from a pipe: labkit build - < Dockerfile"
        )
    return build_context.of_stdin("" if file == "-" else file)


def _view(progress: str) -> Plain:
    """Return the view of a build; `auto` is steps on a terminal, and plain text elsewhere."""
    if progress == "auto":
        is_dumb = os.environ.get("TERM") == "dumb"
        progress = "tty" if sys.stdout.isatty() and not is_dumb else "plain"
    if progress == "tty":
        from labkit.cli.show.build_steps import Steps  # noqa: PLC0415 it compiles patterns

        return Steps()
    return Quiet() if progress == "quiet" else Plain()


class Result:
    """The facts that the daemon reports of a build."""

    def __init__(self) -> None:
        self.image_id = ""
        self.cache: dict[str, Any] | None = None
        """The descriptor of the cache that was written."""

    def note(self, facts: "dict[str, Any]") -> None:
        """Note the facts of one message."""
        self.image_id = facts.get("ID", self.image_id)
        if facts.get("CacheManifest"):
            self.cache = json.loads(facts["CacheManifest"])


def _follow(response: "Response", view: Plain) -> Result:
    """Show the daemon's messages; BuildFailedError."""
    result, unfinished, failed = Result(), b"", True
    try:
        for piece in _ticking(response):
            *lines, unfinished = (unfinished + piece).split(b"\n")
            for line in filter(bytes.strip, lines):
                event = json.loads(line)
                if "errorDetail" in event:
                    detail = event["errorDetail"]
                    raise BuildFailedError(str(detail["message"]), int(detail.get("code") or 1))
                result.note(event.get("aux", {}))
                view.text(_shown(event))
            view.tick()
        failed = False
    finally:
        view.close(failed=failed)
        response.close()
    return result


def _shown(event: "dict[str, Any]") -> str:
    if "stream" in event:
        return str(event["stream"])
    if "status" in event and "progress" not in event:
        name = f"{event['id']}: " if event.get("id") else ""
        return f"{name}{event['status']}\n"
    return ""


def _ticking(response: "Response") -> "Iterator[bytes]":
    """Yield the body in pieces; an empty one after each moment without data."""
    pieces = iter(response)
    while True:
        if not response.has_received and not select.select([response], [], [], TICK_MS / 1000)[0]:
            yield b""
            continue
        piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _request(options: "dict[str, Any]") -> building.BuildRequest:
    request = building.BuildRequest()
    request.tags = options["tag"]
    request.build_args = dict(map(_argument, options["build_arg"]))
    request.labels = dict(text.partition("=")[::2] for text in options["label"])
    request.target, request.platform = options["target"], options["platform"]
    request.no_cache, request.pull = options["no_cache"], options["pull"]
    request.explain_cache = options["explain_cache"]
    request.cache_from = options["cache_from"]
    request.secrets = dict(map(_secret, options["secret"]))
    request.limits = {
        "memory": options["memory"],
        "memswap": options["memory_swap"],
        "cpushares": options["cpu_shares"],
        "cpuperiod": options["cpu_period"],
        "cpuquota": options["cpu_quota"],
        "cpusetcpus": options["cpuset_cpus"],
        "cpusetmems": options["cpuset_mems"],
        "shmsize": options["shm_size"],
        "cgroupparent": options["cgroup_parent"],
        "networkmode": options["network"],
        "extrahosts": options["add_host"],
        "ulimits": _ulimits(options["ulimit"]),
    }
    return request


def _ulimits(given: list[str]) -> str:
    """Return the API's list as JSON; empty without limits."""
    if not given:
        return ""
    from labkit.cli.values import options as option_values  # noqa: PLC0415 seldom needed

    return json.dumps([option_values.ulimit(text) for text in given])


def _argument(text: str) -> "tuple[str, str | None]":
    name, equals, value = text.partition("=")
    if not name:
        raise bad_value(text, "--build-arg", "it must be NAME[=value]")
    return name, value if equals else os.environ.get(name)


def _secret(text: str) -> tuple[str, bytes]:
    """Read `id=name,src=path`, or `env=NAME` in place of the path; the id alone serves as both."""
    given = dict(part.partition("=")[::2] for part in text.split(","))
    name = given.get("id", "")
    unknown = given.keys() - {"id", "src", "source", "env", "type"}
    if not name or unknown:
        raise bad_value(text, "--secret", "it must be id=NAME[,src=PATH|env=NAME]")
    path = given.get("src") or given.get("source")
    variable = given.get("env", name)
    if path is None and variable in os.environ:
        return name, os.environ[variable].encode("utf-8", "surrogateescape")
    if path is None and "env" in given:
        raise InvalidParameterError(f"secret {name}: there is no variable {variable}")
    try:
        with open(path or name, "rb") as file:
            return name, file.read()
    except OSError as error:
        raise InvalidParameterError(f"secret {name}: {path or name}: {error.strerror}") from error


def _facts(image_id: str, tags: list[str]) -> str:
    """Return the facts of a result as buildx writes them."""
    facts = {"containerimage.config.digest": image_id, "containerimage.digest": image_id}
    if tags:
        facts["image.name"] = ",".join(map(canonical, tags))
    return json.dumps(facts, indent=2) + "\n"


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise LabkitError(f"cannot write to {path}: {error.strerror}") from error
