"""Restart policies: whether a container that has ended by itself starts again.

`no`: never.  `on-failure[:n]`: after an exit code other than 0, at most n times.  `always` and
`unless-stopped`: after every end.  A container that its user stopped or killed does not start
again until the daemon restarts; then `always` starts it and `unless-stopped` does not.  The delay
before a restart is 100 ms and doubles up to a minute; after ten seconds of running it is 100 ms
again (Docker's rules).
"""

from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container, RestartPolicy
from labkit.dialect.moments import unix_s
from labkit.errors import InvalidParameterError

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
LONG_ENOUGH_S = 10.0
_NAMES = ("no", "on-failure", "always", "unless-stopped")


def check(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Fill in the default policy; InvalidParameterError for one that Docker refuses."""
    policy.name = policy.name or "no"
    if policy.name not in _NAMES:
        raise InvalidParameterError(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    count = policy.maximum_retry_count
    if count and policy.name != "on-failure":
        raise InvalidParameterError(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
            + (" and cannot be negative" if count < 0 else "")
        )
    if count < 0:
        raise InvalidParameterError(
            "invalid restart policy: maximum retry count cannot be negative"
        )
    if auto_remove and policy.name != "no":
        raise InvalidParameterError("can't create 'AutoRemove' container with restart policy")


def has_policy(container: Container) -> bool:
    """Whether the container has a policy that may restart it."""
    # An earlier release wrote "" into the records of containers without a policy.
    return container.host_config.restart_policy.name not in ("", "no")


def delay_s(entry: Entry) -> float | None:
    """The delay until a container that has just ended starts again; None: it does not.

    Its state is that of the end; `restart_count` is the number of restarts in a row.
    """
    container = entry.container
    policy, state = container.host_config.restart_policy, container.state
    if container.stopped_by_user or not has_policy(container):
        return None
    if policy.name == "on-failure":
        most = policy.maximum_retry_count
        if state.exit_code == 0 or (most and container.restart_count >= most):
            return None
    if unix_s(state.finished_at) - unix_s(state.started_at) >= LONG_ENOUGH_S:
        entry.restart_delay_s = 0.0
    entry.restart_delay_s = min(max(2 * entry.restart_delay_s, FIRST_DELAY_S), LONGEST_DELAY_S)
    return entry.restart_delay_s


def starts_with_daemon(entry: Entry) -> bool:
    """Whether a container that does not run starts together with the daemon."""
    policy = entry.container.host_config.restart_policy
    if entry.container.state.status == "created":
        return False
    return policy.name == "always" or (
        policy.name == "unless-stopped" and not entry.container.stopped_by_user
    )
