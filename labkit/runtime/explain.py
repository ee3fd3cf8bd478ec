"""The content of `--explain`: a plan with the time that each step took, as plain data for JSON.

Each step is `{"Step", "Phase", "Call", "Why", "DurationNs", "Errno", "Error"}`; the `DurationNs`
of a step that did not run is null.
"""

import errno
from collections.abc import Sequence

from labkit.errors import NO_SPACE
from labkit.kernel import power, reserve
from labkit.runtime.launch import StepFailure
from labkit.runtime.plan import Plan

Rows = list[dict[str, object]]

_CAUSES = (
    ("exec", errno.ENOENT, "the image has no such program, or its interpreter is missing"),
    ("exec", errno.EACCES, "the file is not executable (chmod +x), or it is a folder"),
    ("exec", errno.ENOEXEC, "the file is for another architecture, or a script without #! line"),
    (
        "namespace",
        errno.EPERM,
        "labkitd lacks the capability for it (CAP_SYS_ADMIN)",
    ),
    ("namespace", errno.ENOSPC, "the limit in /proc/sys/user/max_*_namespaces is reached"),
    ("namespace", errno.EINVAL, "this kernel was built without that namespace"),
    (
        "mount.root",
        errno.EINVAL,
        "the data root's file system cannot hold an overlay's upper layer",
    ),
    (
        "mount.idmap",
        errno.EINVAL,
        "the data root's file system cannot show files with other owners, so user namespaces "
        "do not work: use ext4, xfs or btrfs, or --userns=host",
    ),
    ("mount.root", errno.ENODEV, "this kernel has no overlay file system"),
    ("pivot_root", errno.EINVAL, "the new root is not a mount: was mount.root left out?"),
    ("cgroup", errno.EBUSY, "the group already holds processes"),
    ("cgroup", errno.ENOENT, "the controller is not enabled for this group"),
    ("cgroup", errno.EINVAL, "the kernel does not accept that value for this limit"),
    ("oom_score", errno.EACCES, "a lower score than labkitd's own needs CAP_SYS_RESOURCE"),
    (
        "apparmor",
        errno.ENOENT,
        "no profile of that name is loaded: `apparmor_parser -r FILE` loads one",
    ),
    ("seccomp", errno.EINVAL, "this kernel was built without seccomp filters"),
    ("user", errno.EINVAL, "the container's user namespace has no such user or group"),
    ("device", errno.EEXIST, "the folder is not the fresh /dev that mount.dev makes"),
)


_CAUSES_WITHOUT_ROOT = (
    (
        "user",
        errno.EINVAL,
        "labkitd runs without root and has only the users and groups that /etc/subuid and "
        "/etc/subgid give it; `labkit doctor` says how to get more",
    ),
)


def usual_cause(step_name: str, number: int) -> str:
    """Return the usual cause of this errno at this step; empty if none is known."""
    causes = (*_CAUSES_WITHOUT_ROOT, *_CAUSES) if power.IS_LIMITED else _CAUSES
    for prefix, known, cause in causes:
        if number == known and (step_name == prefix or step_name.startswith(f"{prefix}.")):
            return cause
    return NO_SPACE if number in reserve.FULL else ""


def rows(plan: Plan, durations_ns: Sequence[int], failure: StepFailure | None = None) -> Rows:
    """Return the steps of a plan, each with its duration and its error."""
    result: Rows = []
    for index, (phase, step) in enumerate(plan.steps()):
        failed = failure is not None and failure.step_index == index
        result.append(
            {
                "Step": step.name,
                "Phase": phase,
                "Call": step.operation.call(),
                "Why": step.why,
                "DurationNs": durations_ns[index] if index < len(durations_ns) else None,
                "Errno": failure.errno if failure and failed else 0,
                "Error": failure.text if failure and failed else "",
            }
        )
    return result
