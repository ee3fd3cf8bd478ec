"""`labkit update`: change the limits and the restart policy of containers."""

import sys

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.cli.values.options import restart_policy
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("blkio-weight", "", "int", "Weight on disks beside other containers: 10 to 1000"),
        Flag("cpu-period", "", "int", "Period of the CPU quota in microseconds"),
        Flag("cpu-quota", "", "int", "CPU time it may use in each period, in microseconds"),
        Flag("cpu-shares", "c", "int", "CPU shares: the weight beside other containers"),
        Flag("cpus", "", "decimal", "Number of CPUs it may use, such as 1.5", word="number"),
        Flag("cpuset-cpus", "", "string", "The CPUs it may run on (0-3, 0,1)"),
        Flag("cpuset-mems", "", "string", "The memory nodes it may use (0-3, 0,1)"),
        Flag("memory", "m", "bytes", "Memory limit, such as 200m"),
        Flag("memory-reservation", "", "bytes", "Memory it keeps when the machine is short of it"),
        Flag("memory-swap", "", "bytes", "Limit of memory plus swap; -1 for unlimited swap"),
        Flag("pids-limit", "", "int", "How many processes it may have; -1 for any number"),
        Flag("restart", "", "string", "Restart it: no, on-failure[:times], always, unless-stopped"),
    ),
    at_least=1,
)
FIELDS = {
    "blkio_weight": "BlkioWeight",
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpus": "NanoCpus",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "pids_limit": "PidsLimit",
}


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each that is changed; warnings go to stderr."""
    body = {field: options[key] for key, field in FIELDS.items() if options[key]}
    policy = restart_policy(options["restart"])
    if policy:
        body["RestartPolicy"] = policy
    if not body:
        raise UsageError("you must provide one or more flags when using this command")
    api = context.api()

    def update(name: str) -> None:
        answer = api.post(f"{container_path(name)}/update", body) or {}
        sys.stderr.writelines(f"WARNING: {text}\n" for text in answer.get("Warnings") or [])

    return for_each(arguments, update)
