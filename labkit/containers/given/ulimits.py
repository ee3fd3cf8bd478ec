"""`--ulimit` and `--oom-score-adj`: limits of a single process, outside of cgroups."""

from labkit.containers.records.model import HostConfig
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities, processes
from labkit.kernel.processes import RESOURCES, lower_limit
from labkit.runtime.spec import ResourceLimit

_MAY_RAISE = 1 << capabilities.NAMES.index("SYS_RESOURCE")


def resource_limits(host: HostConfig) -> tuple[ResourceLimit, ...]:
    """The limits for the plan; if a name is given twice, the last one counts, as in Docker."""
    limits = {u.name: (u.name, u.soft, u.hard) for u in host.ulimits or ()}
    return tuple(limits.values())


def check(host: HostConfig) -> list[str]:
    """InvalidParameterError for a bad value; a warning for each limit that labkitd cannot set.

    The kernel lets a process raise a hard limit only with CAP_SYS_RESOURCE, which labkitd lacks in
    some containers and machines.  The container then gets the highest limit that labkitd has.
    """
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameterError(
            f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    warnings = []
    may_raise = capabilities.permitted() & _MAY_RAISE
    for name, soft, hard in resource_limits(host):
        if name not in RESOURCES:
            raise InvalidParameterError(
                f"invalid ulimit type: {name}: it must be one of {', '.join(sorted(RESOURCES))}"
            )
        if lower_limit(soft, hard) != soft:
            raise InvalidParameterError(
                f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )
        most = processes.hard_limit(name)
        if not may_raise and lower_limit(hard, most) != hard:
            warnings.append(
                f"labkitd may not raise the limit {name} (it lacks CAP_SYS_RESOURCE): "
                f"the container gets {most} where {hard} was asked for."
            )
    return warnings
