"""The plan of one more process in a running container, for `exec`.

It is the last part of a container's own plan.  The namespaces exist, so one step enters them.  The
PID namespace is last: the container's processes can see, stop and, with CAP_SYS_PTRACE, take over
a process in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.kernel import capabilities
from labkit.kernel.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
)
from labkit.runtime import operations as op
from labkit.runtime import plan_users
from labkit.runtime.plan import give_up_power, of_kernels_files
from labkit.runtime.spec import ResourceLimit, UserNamespace
from labkit.runtime.step import Step

_JOINED = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """All values that the plan of an exec depends on."""

    container_id: str
    command: tuple[str, ...]
    user: str
    working_directory: str
    open_stdin: bool
    tty: bool
    console_size: tuple[int, int]
    """Height and width of the terminal; (0, 0) leaves the kernel's default."""
    capabilities: tuple[str, ...]
    seccomp_program: bytes
    cgroup_join: tuple[str, ...]
    cgroup_clone_into: str
    last_capability: int
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    more_groups: tuple[str, ...] = ()
    resource_limits: tuple[ResourceLimit, ...] = ()
    no_new_privileges: bool = False
    user_namespace: UserNamespace | None = None


def compute(spec: ExecSpec) -> tuple[Step, tuple[Step, ...]]:
    """Return the clone, and the steps of the new process."""
    clone = Step(
        "clone",
        "a process that enters the container; it is still in the host's PID namespace",
        op.Clone(0, spec.cgroup_clone_into),
    )
    return clone, tuple(_child(spec))


def _child(spec: ExecSpec) -> Iterator[Step]:
    yield Step("stdio", "the process's output goes to the shim", op.ConnectStdio())
    yield Step(
        "descriptors",
        "the paths to come are the image's and the user's: none may find a door to the host open",
        op.CloseDescriptors(),
    )
    yield from of_kernels_files(spec.oom_score_adj, spec.apparmor_profile)
    yield Step("shield", "the container's processes must not reach into this one", op.Shield())
    for directory in spec.cgroup_join:
        yield Step(
            "cgroup", "the container's limits hold for it as well", op.EnterCgroup(directory)
        )
    yield from plan_users.act_as_root(spec.user_namespace)
    yield Step(
        "namespace",
        "from here on it sees what the container's first process sees; its children are seen, too",
        op.JoinNamespaces(_JOINED),
    )
    yield Step(
        "keyring",
        "the kernel's keys are in no namespace: the container's ring keeps the host's out of reach",
        op.JoinSessionKeyring(spec.container_id),
    )
    if spec.tty:
        yield Step("terminal", "its own terminal", op.OpenTerminal(*spec.console_size))
    elif not spec.open_stdin:
        yield Step("stdio.null", "stdin is empty, and no file of the host's", op.OpenNull())
    keep = capabilities.mask(spec.capabilities)
    yield from give_up_power(
        user=op.LookUpUser(spec.user, spec.more_groups),
        working_directory=op.EnterDirectory(spec.working_directory, make=False),
        seccomp_program=spec.seccomp_program,
        keep=keep,
        last_capability=spec.last_capability,
        resource_limits=spec.resource_limits,
        no_new_privileges=spec.no_new_privileges,
        user_namespace=spec.user_namespace,
        joins_processes=True,
        tty=spec.tty,
    )
    yield Step("exec", "from here on it is the program that was asked for", op.Exec(spec.command))
