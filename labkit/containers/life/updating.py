"""Changing the limits and the restart policy of a container, also while it runs."""

import msgspec

from labkit.cgroups import Group, groups
from labkit.containers.given import disks
from labkit.containers.life import restarts, specification
from labkit.containers.parts import Parts
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import HostConfig, Resources, RestartPolicy, docker_name
from labkit.dialect.limits import LIMITS
from labkit.errors import ConflictError, InvalidParameterError, LabkitError


class UpdateConfig(Resources, rename=docker_name):
    """The changes; 0, "" and null change nothing (Engine API, "ContainerUpdate")."""

    restart_policy: RestartPolicy | None = None


FIXED = "A container's {} cannot be changed after its creation. Field discarded."
_FIXED = (
    *("blkio_weight_device", "blkio_device_read_bps", "blkio_device_write_bps"),
    *("blkio_device_read_iops", "blkio_device_write_iops"),
)
"""Limits that the API's body may have (Docker's `Resources`), but that no engine changes."""
_LIMITS = tuple(row.model for row in LIMITS if row.can_change)


def update(parts: Parts, entry: Entry, asked: UpdateConfig) -> list[str]:
    """Apply the changes; returns the warnings for the user.

    InvalidParameterError for a bad value, ConflictError for a container that is being removed.
    If the kernel refuses a value (LabkitError; EBUSY: the container uses more memory than that),
    the values written before are restored, and nothing has changed.
    """
    with entry.lock:
        container = entry.container
        if entry.removed or container.state.status in ("removing", "dead"):
            raise ConflictError(f"Container {container.id} is marked for removal")
        try:
            wanted = _merged(container.host_config, asked)
            specification.check_limits(wanted)
            restarts.check(wanted.restart_policy, auto_remove=False)
        except InvalidParameterError as error:
            raise InvalidParameterError(
                f"Cannot update container {container.id}: {error}"
            ) from None
        placement = parts.layout.place(container.id, specification.limits_of(wanted))
        if container.state.status in states.ALIVE:
            before = parts.layout.place(
                container.id, specification.limits_of(container.host_config)
            )
            try:
                _write(_changes(before.groups, placement.groups))
            except FileNotFoundError:
                pass  # it has just ended; its next start applies the limits
            except OSError as error:
                raise LabkitError(
                    f"Cannot update container {container.id}: the kernel refuses the value "
                    f"({error.strerror}). A memory limit must be above the memory in use"
                ) from error
        container.host_config = wanted
        parts.records.save(container)
        parts.publish("update", entry)
        fixed = [FIXED.format(docker_name(name)) for name in _FIXED if getattr(asked, name)]
        weights = disks.check(wanted, ()) if asked.blkio_weight else ()
        return [*placement.warnings, *weights, *fixed]


def _merged(present: HostConfig, asked: UpdateConfig) -> HostConfig:
    values = {name: getattr(asked, name) for name in _LIMITS}
    changes = {name: value for name, value in values.items() if value not in (0, "", None)}
    if asked.pids_limit == 0:
        changes["pids_limit"] = 0
    if asked.memory and not asked.memory_swap and 0 < present.memory_swap < asked.memory:
        raise InvalidParameterError(
            "Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time"
        )
    policy = asked.restart_policy
    if policy is not None and policy.name:
        if present.auto_remove and policy.name != "no":
            raise InvalidParameterError(
                "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        changes["restart_policy"] = policy
    return msgspec.structs.replace(present, **changes)


def _changes(before: tuple[Group, ...], after: tuple[Group, ...]) -> list[tuple[str, str]]:
    """The files (path, text) to write, in order; a limit that is removed becomes `max`."""
    old = {f"{group.directory}/{name}": text for group in before for name, text in group.files}
    new = {f"{group.directory}/{name}": text for group in after for name, text in group.files}
    gone = [(path, "max") for path in old if path not in new]
    return [*((path, text) for path, text in new.items() if old.get(path) != text), *gone]


def _write(changes: list[tuple[str, str]]) -> None:
    """Write the files, and try those that the kernel refuses again after the others.

    v1 always keeps the limit of memory at or below that of memory plus swap.  So the sum must be
    written first when both are raised, and last when both are lowered.
    """
    undo: list[tuple[str, str]] = []
    try:
        refused = [change for change in changes if not _try(change, undo)]
        for path, text in refused:
            undo.append((path, groups.read(path)))
            groups.write(path, text)
    except OSError:
        for path, text in reversed(undo):
            _try((path, text), [])
        raise


def _try(change: tuple[str, str], undo: list[tuple[str, str]]) -> bool:
    path, text = change
    present = groups.read(path)
    try:
        groups.write(path, text)
    except OSError:
        return False
    undo.append((path, present))
    return True
