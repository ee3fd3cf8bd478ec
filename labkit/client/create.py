"""The body of `POST /containers/create`, from the words docker-py and the command line use."""

from labkit.client.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def create_body(
    image: str,
    command: "str | Sequence[str] | None" = None,
    *,
    auto_remove: bool = False,
    cpu_shares: int = 0,
    cpuset_cpus: str = "",
    entrypoint: "str | Sequence[str] | None" = None,
    environment: "dict[str, str | None] | Sequence[str] | None" = None,
    hostname: str = "",
    init: bool | None = None,
    labels: "dict[str, str] | Sequence[str] | None" = None,
    mem_limit: int | str = 0,
    memswap_limit: int | str = 0,
    nano_cpus: int = 0,
    network_mode: str = "default",
    pids_limit: int | None = None,
    read_only: bool = False,
    stop_signal: str = "",
    user: str = "",
    without: "Sequence[str]" = (),
    working_dir: str = "",
) -> dict[str, object]:
    """What docker-py's arguments of the same names mean in the API.

    Memory is in bytes or as `"200m"`, with `memswap_limit` memory *plus* swap; `nano_cpus` is in
    10⁻⁹ CPUs.  A command or entrypoint that is one string is split as a shell would.  `without` is
    labkit's own: names of steps to leave out of the plan.  InvalidParameterError for a bad size.
    """
    body: dict[str, object] = {
        "Image": image,
        "Cmd": _words(command),
        "Entrypoint": _words(entrypoint),
        "Env": _pairs(environment),
        "Hostname": hostname,
        "Labels": _labels(labels),
        "StopSignal": stop_signal,
        "User": user,
        "WorkingDir": working_dir,
        "HostConfig": {
            "AutoRemove": auto_remove,
            "CpuShares": cpu_shares,
            "CpusetCpus": cpuset_cpus,
            "Init": init,
            "Memory": _bytes(mem_limit),
            "MemorySwap": _bytes(memswap_limit),
            "NanoCpus": nano_cpus,
            "NetworkMode": network_mode,
            "PidsLimit": pids_limit,
            "ReadonlyRootfs": read_only,
        },
    }
    if without:
        body["Labkit"] = {"Without": list(without)}
    return body


def _words(given: "str | Sequence[str] | None") -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str):
        import shlex  # noqa: PLC0415 only for this convenience, which the command line lacks

        return shlex.split(given)
    return list(given)


def _pairs(given: "dict[str, str | None] | Sequence[str] | None") -> list[str] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return list(given)
    # As docker-py: a name without a value takes the variable out of the image's environment.
    return [name if value is None else f"{name}={value}" for name, value in given.items()]


def _labels(given: "dict[str, str] | Sequence[str] | None") -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return {label.partition("=")[0]: label.partition("=")[2] for label in given}
    return dict(given)


def _bytes(given: int | str) -> int:
    return parse_size(given) if isinstance(given, str) else given
