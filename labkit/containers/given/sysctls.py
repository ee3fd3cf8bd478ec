"""`--sysctl`: the kernel's parameters that a network or IPC namespace has for itself.

A container on a network of its own gets two of Docker's: each of its users may open low ports, and
send pings, for in there nothing of the machine's is protected by that.
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


def check(host: HostConfig) -> None:
    """InvalidParameterError, in Docker's words, for a parameter that is the whole machine's."""
    for name in map(_dotted, host.sysctls or {}):
        if name.startswith(_OF_NETWORK):
            if host.network_mode == HOST:
                raise InvalidParameterError(
                    f'sysctl "{name}" not allowed in host network namespace: leave it out, or '
                    "give the container a network of its own"
                )
        elif name in _OF_IPC or name.startswith(_OF_QUEUES):
            if host.ipc_mode == HOST:
                raise InvalidParameterError(
                    f'sysctl "{name}" is not allowed in the hosts ipc namespace: leave it out, or '
                    "give the container an IPC namespace of its own"
                )
        else:
            raise InvalidParameterError(
                f'sysctl "{name}" is not in a separate kernel namespace: it is set on the host'
            )


def of(host: HostConfig) -> Iterator[tuple[str, str, str]]:
    """The step's name, the file and the value of each parameter that is set."""
    asked = {_dotted(name): value for name, value in (host.sysctls or {}).items()}
    for name, value in {**_usual(host), **asked}.items():
        # A step of the network is left out with the namespace, one of IPC as well.
        step = "network.sysctl" if name.startswith(_OF_NETWORK) else "namespace.ipc.sysctl"
        yield step, f"{_FOLDER}/{_path(name)}", value


def _usual(host: HostConfig) -> Mapping[str, str]:
    if host.network_mode == HOST or host.network_mode.startswith(CONTAINER):
        return {}
    if not power.IS_LIMITED:
        return {_LOW_PORTS: "0", _PINGS: "0 2147483647"}
    # The kernel takes groups alone that the engine's own namespace has.
    pings = {_PINGS: f"0 {_LAST_GROUP}"} if power.has_group(_LAST_GROUP) else {}
    return {_LOW_PORTS: "0", **pings}


def _dotted(name: str) -> str:
    """`net/ipv4/conf/eth0.1/forwarding` and `net.ipv4.conf.eth0/1.forwarding` are one (sysctl(8)):
    the first of the two signs separates, and the other is a part of a word.
    """
    dot, slash = name.find("."), name.find("/")
    if slash >= 0 and (slash < dot or dot < 0):
        return name.translate(str.maketrans("./", "/."))
    return name


def _path(dotted: str) -> str:
    return dotted.translate(str.maketrans("./", "/."))
