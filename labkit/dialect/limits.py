"""The limits of a container that have one value each: a row for each, which both sides read.

A row names the flag of the command line, the field of the API, and the field of the engine's
`Limits`.  The flags of `run`, `create` and `update`, the bodies of their requests, and what
`update` may change follow from it.  `cgroups/v1.py` and `v2.py` name the file of each limit.
"""


class Limit:
    """One limit.  `option` and `model` are the Python names of the flag and the API's field."""

    __slots__ = (
        *("can_change", "field", "flag", "help", "keyword", "kind", "letter", "limit"),
        *("model", "option", "unset", "word"),
    )

    def __init__(
        self,
        flag: str,
        kind: str,
        field: str,
        help: str,  # noqa: A002 its real name
        *,
        letter: str = "",
        limit: str = "",
        model: str = "",
        keyword: str = "",
        can_change: bool = True,
        word: str = "",
        unset: object = 0,
    ) -> None:
        self.flag = flag
        self.letter = letter
        """The flag's short form, or ""."""
        self.kind = kind
        """The reader of the flag's value (`cli/base/flags.py`)."""
        self.field = field
        self.help = help
        self.option = flag.replace("-", "_")
        self.model = model or self.option
        self.limit = limit or self.model
        """The field of `labkit.cgroups.limits.Limits`, which has its unit."""
        self.keyword = keyword or self.model
        """The argument of docker-py and of labkit's client."""
        self.can_change = can_change
        """Whether `update` changes it."""
        self.word = word
        """The help's word for the value; "" for that of its kind."""
        self.unset = unset
        """The value that means no limit."""


LIMITS = (
    Limit(
        *("blkio-weight", "int", "BlkioWeight"),
        "Weight on disks beside other containers: 10 to 1000",
    ),
    Limit(
        *("cpu-period", "int", "CpuPeriod"),
        "Period of the CPU quota in microseconds (default 100000)",
        limit="cpu_period_us",
    ),
    Limit(
        *("cpu-quota", "int", "CpuQuota"),
        "CPU time it may use in each period, in microseconds",
        limit="cpu_quota_us",
    ),
    Limit(
        *("cpu-shares", "int", "CpuShares"),
        "CPU shares: the weight beside other containers (default 1024)",
        letter="c",
    ),
    Limit(
        *("cpus", "decimal", "NanoCpus"),
        "Number of CPUs it may use, such as 1.5",
        model="nano_cpus",
        word="number",
    ),
    Limit(*("cpuset-cpus", "string", "CpusetCpus"), "The CPUs it may run on (0-3, 0,1)", unset=""),
    Limit(
        *("cpuset-mems", "string", "CpusetMems"),
        "The memory nodes it may use (0-3, 0,1)",
        unset="",
    ),
    Limit(
        *("memory", "bytes", "Memory"),
        "Memory limit, such as 200m",
        letter="m",
        limit="memory_bytes",
        keyword="mem_limit",
    ),
    Limit(
        *("memory-reservation", "bytes", "MemoryReservation"),
        "Memory it keeps when the machine is short of it",
        limit="memory_reservation_bytes",
        keyword="mem_reservation",
    ),
    Limit(
        *("memory-swap", "bytes", "MemorySwap"),
        "Limit of memory plus swap; -1 for unlimited swap",
        limit="memory_swap_bytes",
        keyword="memswap_limit",
    ),
    Limit(
        *("memory-swappiness", "int", "MemorySwappiness"),
        "How readily it is swapped out: 0 to 100",
        keyword="mem_swappiness",
        can_change=False,
        unset=None,
    ),
    Limit(
        *("oom-kill-disable", "bool", "OomKillDisable"),
        "Let it wait for memory at its limit, and kill none",
        can_change=False,
        unset=False,
    ),
    Limit(
        *("pids-limit", "int", "PidsLimit"),
        "How many processes it may have; -1 for any number",
        limit="pids",
        unset=None,
    ),
)
