"""The state that the operations of one container share while the plan is executed."""

import socket

from labkit.kernel.network.netlink import RouteSocket


class Context:
    """The state of one execution: the shim's descriptors, and the user the process becomes.

    `stdio` are the three descriptors that become 0, 1 and 2.  A terminal is sent on
    `terminal_socket`, the sockets for names on `names_socket`, the executor's report on
    `report_fd`; `first_pidfd` is the container's first process, for one that joins it; -1 for none.
    `environment` may gain HOME when the user is looked up; `uid`, `gid`, `groups` are numbers from
    the container's own files; `trees` are the mounts taken from the host, by their place inside.
    `owned` are namespaces made beforehand, by flag: the user namespace and those that belong to it.
    `host_links` reaches the links of the host from a process that has left its network, `held`
    are the sockets that hold published ports, and `null_fd` is the container's own /dev/null.
    """

    __slots__ = (
        "environment",
        "first_pidfd",
        "gid",
        "groups",
        "held",
        "host_links",
        "names_socket",
        "null_fd",
        "owned",
        "report_fd",
        "stdio",
        "terminal_socket",
        "trees",
        "uid",
    )

    def __init__(
        self,
        stdio: tuple[int, int, int],
        environment: dict[str, str],
        terminal_socket: int = -1,
        first_pidfd: int = -1,
    ) -> None:
        self.stdio = stdio
        self.environment = environment
        self.terminal_socket = terminal_socket
        self.first_pidfd = first_pidfd
        self.names_socket = -1
        self.report_fd = -1
        self.null_fd = -1
        self.uid = 0
        self.gid = 0
        self.groups: list[int] = []
        self.trees: dict[str, int] = {}
        self.owned: dict[int, int] = {}
        self.host_links: RouteSocket | None = None
        self.held: list[socket.socket] = []
