"""`--sysctl`: kernel parameters that belong to a network or IPC namespace.

Docker sets two of them in every container with its own network: any user may open low ports and
send pings.  In that namespace this restriction protects nothing of the machine.
"""

from collections.abc import Iterator, Mapping

from labkit.containers.given.namespaces import CONTAINER, HOST
from labkit.containers.records.model import HostConfig
from labkit.errors import InvalidParameterError
from labkit.kernel import power

_FOLDER = "/proc/sys"
_LOW_PORTS = "net.ipv4.ip_unprivileged_port_start"
_PINGS = "net.ipv4.ping_group_range"
_OF_IPC = frozenset(
    f"kernel.{name}"
    for name in (
        *("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"),
        "shm_rmid_forced",
    )
)
_OF_QUEUES = "fs.mqueue."
_OF_NETWORK = "net."
_LAST_GROUP = 65535
_NO_NAMES = frozenset(("", ".", ".."))
"""`net/../kernel/core_pattern` begins as a parameter of a network, but is the whole machine's."""


def check(host: HostConfig) -> None:
    """InvalidParameterError, in Docker's words, for a parameter of the whole machine."""
    for name in map(_dotted, host.sysctls or {}):
        if not _NO_NAMES.isdisjoint(_path(name).split("/")):
            raise InvalidParameterError(
                f'sysctl "{name}" is not a name: a part of it is empty, . or ..'
            )
        if name.startswith(_OF_NETWORK):
            if host.network_mode == HOST:
                raise InvalidParameterError(
                    f'sysctl "{name}" not allowed in host network namespace: leave it out, or '
                    "give the container another network"
                )
        elif name in _OF_IPC or name.startswith(_OF_QUEUES):
            if host.ipc_mode == HOST:
                raise InvalidParameterError(
                    f'sysctl "{name}" is not allowed in the hosts ipc namespace: leave it out, or '
                    "give the container a private IPC namespace"
                )
        else:
            raise InvalidParameterError(
                f'sysctl "{name}" is not in a separate kernel namespace: set it on the host'
            )


def of(host: HostConfig) -> Iterator[tuple[str, str, str]]:
    """The step's name, the file and the value of each parameter that is set."""
    asked = {_dotted(name): value for name, value in (host.sysctls or {}).items()}
    for name, value in {**_usual(host), **asked}.items():
        # A network step is left out together with the network namespace; so is an IPC step.
        step = "network.sysctl" if name.startswith(_OF_NETWORK) else "namespace.ipc.sysctl"
        yield step, f"{_FOLDER}/{_path(name)}", value


def _usual(host: HostConfig) -> Mapping[str, str]:
    if host.network_mode == HOST or host.network_mode.startswith(CONTAINER):
        return {}
    if not power.IS_LIMITED:
        return {_LOW_PORTS: "0", _PINGS: "0 2147483647"}
    # The kernel accepts only groups that the engine's own namespace has.
    pings = {_PINGS: f"0 {_LAST_GROUP}"} if power.has_group(_LAST_GROUP) else {}
    return {_LOW_PORTS: "0", **pings}


def _dotted(name: str) -> str:
    """Return a parameter's name with dots (sysctl(8)).

    `net/ipv4/conf/eth0.1/forwarding` and `net.ipv4.conf.eth0/1.forwarding` are the same: the sign
    that comes first separates, the other belongs to a word.
    """
    dot, slash = name.find("."), name.find("/")
    if slash >= 0 and (slash < dot or dot < 0):
        return name.translate(str.maketrans("./", "/."))
    return name


def _path(dotted: str) -> str:
    return dotted.translate(str.maketrans("./", "/."))
