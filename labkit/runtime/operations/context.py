"""What the operations of one container hand to each other while the plan is executed."""


class Context:
    """The state of one execution: the stdio that waits, and who the container's process will be.

    `stdio` are the three descriptors that become 0, 1 and 2.  `environment` may gain HOME when the
    user is looked up.  `uid`, `gid`, `groups` are numbers found in the container's own files.
    """

    __slots__ = ("environment", "gid", "groups", "stdio", "uid")

    def __init__(self, stdio: tuple[int, int, int], environment: dict[str, str]) -> None:
        self.stdio = stdio
        self.environment = environment
        self.uid = 0
        self.gid = 0
        self.groups: list[int] = []
