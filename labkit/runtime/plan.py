"""The plan of a container: the list of operations that make it, each with a name and a reason.

Planning is pure.  It opens nothing, needs no root, and gives equal plans for equal specifications;
so a plan can be explained (`--explain`), tested as data, and run with a step left out
(`--without`).  The order is the design:

1. *host*, in the shim: the cgroups and their limits, so that the process is limited from its start;
2. *clone*: the container's first process;
3. *child*, in that process: its namespaces, the root file system and pivot_root, then the mounts
   inside the new root, then giving up power step by step, and last the exec.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities, namespaces
from labkit.runtime import operations as op
from labkit.runtime import plan_network, plan_root, plan_users
from labkit.runtime.spec import ContainerSpec, ResourceLimit, Sharing, UserNamespace
from labkit.runtime.step import Step


class Plan(NamedTuple):
    """The steps of one start, by the process that executes them."""

    host: tuple[Step, ...]
    clone: Step
    child: tuple[Step, ...]

    def steps(self) -> list[tuple[str, Step]]:
        """Return every step in order, with its phase."""
        return [
            *(("host", step) for step in self.host),
            ("clone", self.clone),
            *(("child", step) for step in self.child),
        ]


INDISPENSABLE = {
    "clone": "without it there is no process to be the container",
    "namespace.mount": "without it pivot_root would change the root of the host itself; "
    "leave out pivot_root instead",
    "mount.private": "without it the container's mounts would appear on the host and stay there",
    "stdio": "without it the container's output would be lost",
    "descriptors": "without it labkit's own open files would be open to the container",
    "die_with_shim": "without it a container could run on after its shim was killed",
    "exec": "without it the container's program would not run",
}
"""The steps that cannot be left out, with the reason for the message."""


def compute(spec: ContainerSpec, without: Sequence[str] = ()) -> Plan:
    """Compute the plan of a container; steps whose names or groups are in `without` are left out.

    InvalidParameterError if a name in `without` matches no step, or an indispensable one.
    """
    host, clone, child = list(_host(spec)), _clone(spec), list(_child(spec))
    _check(without, [*host, clone, *child])
    if spec.user_namespace and "namespace.user" in without:
        # The mapping, and the namespaces that belong to it, have no meaning without it.
        return compute(
            replace(spec, user_namespace=None), [n for n in without if n != "namespace.user"]
        )
    if spec.pid.joins and "namespace.pid" in without:
        # The other container's /proc has no meaning without its PID namespace.
        kept = [name for name in without if name != "namespace.pid"]
        return compute(replace(spec, pid=Sharing(host=True)), kept)
    if _is_left_out(clone, without):
        flags = clone.operation.flags if isinstance(clone.operation, op.Clone) else 0
        remaining = op.Clone(flags & ~namespaces.CLONE_NEWPID, spec.cgroup_clone_into)
        clone = Step(
            "clone", "the container's first process, in the host's PID namespace", remaining
        )
    if "cgroup" in without and isinstance(clone.operation, op.Clone):
        clone = clone._replace(operation=clone.operation._replace(cgroup_directory=""))
    if any(step.name == "namespace.network" and _is_left_out(step, without) for step in child):
        # The steps that connect the container would act on the host's own interfaces and routes.
        child = [step for step in child if not step.belongs_to("network")]
    return Plan(_kept(host, without), clone, _kept(child, without))


def _kept(steps: Iterable[Step], without: Sequence[str]) -> tuple[Step, ...]:
    return tuple(step for step in steps if not _is_left_out(step, without))


def _is_left_out(step: Step, without: Sequence[str]) -> bool:
    return any(step.belongs_to(name) for name in without)


def _check(without: Sequence[str], steps: Sequence[Step]) -> None:
    for name in without:
        taken = [step for step in steps if step.belongs_to(name)]
        if not taken:
            known = sorted({step.name for step in steps} - INDISPENSABLE.keys())
            raise InvalidParameterError(
                f"--without {name}: the plan of this container has no such step; "
                f"it has {', '.join(known)}"
            )
        for step in taken:
            if step.name in INDISPENSABLE:
                raise InvalidParameterError(
                    f"--without {name}: {step.name} cannot be left out: {INDISPENSABLE[step.name]}"
                )


def _host(spec: ContainerSpec) -> Iterator[Step]:
    yield from plan_users.host(spec)
    yield from plan_root.copy(spec)
    made: set[str] = set()
    shared = len({part.directory for part in spec.cgroup_parts}) < len(spec.cgroup_parts)
    for part in spec.cgroup_parts:
        name = f"cgroup.{part.controller}"
        if part.directory not in made:
            made.add(part.directory)
            yield Step(
                "cgroup.directory" if shared else name,
                f"the container's own group; its name is the container's id ({part.controller})",
                op.MakeCgroup(part.directory),
            )
        for file, value in part.files:
            why = f"a limit is a number in a file of the {part.controller} controller"
            yield Step(name, why, op.WriteCgroupFile(f"{part.directory}/{file}", value))
        if part.device_rules:
            why = "v2 has no file for this: a small program is asked about each use of a device"
            yield Step(name, why, op.AttachDeviceFilter(part.directory, part.device_rules))
    yield from plan_network.host(spec.network)


def _clone(spec: ContainerSpec) -> Step:
    if spec.pid != Sharing():
        why = "the process that becomes the container; it is in the host's PID namespace"
        return Step("clone", why, op.Clone(0, spec.cgroup_clone_into))
    return Step(
        "namespace.pid",
        "the new process is number 1 inside; it sees no process of the host",
        op.Clone(namespaces.CLONE_NEWPID, spec.cgroup_clone_into),
    )


def _child(spec: ContainerSpec) -> Iterator[Step]:
    yield Step("stdio", "the container's output goes to the shim", op.ConnectStdio())
    yield Step(
        "descriptors",
        "the paths to come are the image's and the user's: none may find a door to the host open",
        op.CloseDescriptors(),
    )
    yield from of_kernels_files(spec.oom_score_adj, spec.apparmor_profile)
    yield Step("shield", "no process may look into this one until the exec", op.Shield())
    yield from _enter_cgroups(spec)
    yield from plan_users.act_as_root(spec.user_namespace)
    yield from _namespaces(spec)
    yield Step(
        "keyring",
        "the kernel's keys are in no namespace: a new, empty ring keeps the host's out of reach",
        op.JoinSessionKeyring(spec.container_id),
    )
    yield from plan_root.steps(spec)
    yield from give_up_power(
        user=op.LookUpUser(spec.user, spec.more_groups),
        working_directory=op.EnterDirectory(spec.working_directory),
        seccomp_program=spec.seccomp_program,
        keep=capabilities.mask(spec.capabilities),
        last_capability=spec.last_capability,
        resource_limits=spec.resource_limits,
        no_new_privileges=spec.no_new_privileges,
        user_namespace=spec.user_namespace,
        joins_processes=spec.pid.joins is not None,
        tty=spec.tty,
    )
    yield Step("exec", "from here on it is the container's program", op.Exec(spec.command))


def of_kernels_files(oom_score: int | None, apparmor_profile: str) -> Iterator[Step]:
    """The steps that write files in /proc, while that is the host's and not the container's."""
    if oom_score is not None:
        why = "how soon it is killed when the whole machine is out of memory"
        yield Step("oom_score", why, op.SetOomScore(oom_score))
    if apparmor_profile:
        why = "from the exec on AppArmor confines it: a second wall behind the capabilities"
        yield Step("apparmor", why, op.ConfineByAppArmor(apparmor_profile))


def _enter_cgroups(spec: ContainerSpec) -> Iterator[Step]:
    controllers = {part.directory: part.controller for part in spec.cgroup_parts}
    for directory in spec.cgroup_join:
        controller = controllers[directory]
        yield Step(
            f"cgroup.{controller}",
            f"from here on the {controller} controller counts and limits this process",
            op.EnterCgroup(directory),
        )


def _namespaces(spec: ContainerSpec) -> Iterator[Step]:
    yield Step(
        "namespace.mount",
        "mounts made from here on are this process's alone",
        op.Unshare(namespaces.CLONE_NEWNS),
    )
    own = "its own host name"
    own_uts = plan_users.own(spec, namespaces.CLONE_NEWUTS)
    yield from _namespace("uts", own, own_uts, namespaces.CLONE_NEWUTS, spec.uts)
    if spec.pid.joins is not None:
        why = "another container's processes: from here on the children of this process join them"
        join = op.JoinNamespace(namespaces.CLONE_NEWPID, *spec.pid.joins)
        yield Step("namespace.pid", why, join)
    own = "its own shared memory, semaphores and message queues"
    others = "another container's shared memory, semaphores and message queues"
    own_ipc = plan_users.own(spec, namespaces.CLONE_NEWIPC)
    yield from _namespace("ipc", own, own_ipc, namespaces.CLONE_NEWIPC, spec.ipc, others=others)
    own_network = plan_users.own(spec, namespaces.CLONE_NEWNET)
    yield from plan_network.namespace(spec.network, own_network)
    own = "its own group looks like the root of all groups"
    own_cgroup = op.Unshare(namespaces.CLONE_NEWCGROUP)
    yield from _namespace("cgroup", own, own_cgroup, namespaces.CLONE_NEWCGROUP, spec.cgroup)
    if not spec.uts.host:
        why = "the default is the container's short id"
        yield Step("namespace.uts.hostname", why, op.SetHostname(spec.hostname))
        if spec.domainname:
            why = "--domainname: the name that domainname(1) shows"
            yield Step("namespace.uts.domainname", why, op.SetDomainname(spec.domainname))
    yield from plan_network.interfaces(spec.network)
    for name, path, value in spec.sysctls:
        why = "a kernel parameter that each namespace has separately"
        yield Step(name, why, op.WriteSysctl(path, value))


def _namespace(
    name: str, why: str, own: op.Operation, flag: int, sharing: Sharing, *, others: str = ""
) -> Iterator[Step]:
    """Give its own namespace, for the reason `why`, or another container's, or the host's."""
    if sharing.joins is not None:
        yield Step(f"namespace.{name}", others, op.JoinNamespace(flag, *sharing.joins))
    elif not sharing.host:
        yield Step(f"namespace.{name}", why, own)


def give_up_power(
    *,
    user: op.LookUpUser,
    working_directory: op.EnterDirectory,
    seccomp_program: bytes,
    keep: int,
    last_capability: int,
    resource_limits: Sequence[ResourceLimit],
    no_new_privileges: bool,
    user_namespace: UserNamespace | None,
    joins_processes: bool,
    tty: bool,
) -> Iterator[Step]:
    """The steps by which a process with all power becomes the container's user.

    `keep` is the mask of the capabilities that root keeps in the container.  A process that joins
    an existing PID namespace becomes visible to its processes only after it has lost its power.
    """
    yield Step(
        "user",
        "names and numbers come from the container's own /etc/passwd and /etc/group",
        user,
    )
    start = Step("working_directory", "where the program starts", working_directory)
    # That namespace's /proc shows this process only after it has entered.
    is_late = joins_processes and working_directory.path.startswith("/proc/")
    if not is_late:
        yield start
    for name, soft, hard in resource_limits:
        why = "the kernel refuses this process, and each of its children, more than that"
        yield Step(f"ulimit.{name}", why, op.SetResourceLimit(name, soft, hard))
    yield from plan_users.enter(user_namespace)
    if no_new_privileges:
        why = "no program gives more power than its caller has, also not a setuid one"
        yield Step("no_new_privileges", why, op.ForbidNewPrivileges())
    if seccomp_program:
        yield Step(
            "seccomp",
            "calls that no ordinary program needs are refused by a filter",
            op.LoadSeccomp(seccomp_program),
        )
    yield Step(
        "capabilities.bounding",
        "root is cut into pieces: these can never be gained again, not even by a setuid program",
        op.LimitCapabilities(keep, last_capability),
    )
    yield Step("user", "become the container's user", op.SwitchUser())
    yield Step(
        "capabilities.effective",
        "the rest of root's power inside the container",
        op.SetCapabilities(keep),
    )
    if joins_processes:
        yield Step(
            "namespace.pid.enter",
            "the others see it from here on: nothing is left of it that one of them could misuse",
            op.EnterPidNamespace(),
        )
        if tty:
            yield plan_root.control_terminal()
    if is_late:
        yield start
    yield Step(
        "die_with_shim",
        "without the shim the output is lost: if it is killed, so is this process",
        op.DieWithShim(),
    )
    yield Step(
        "descriptors",
        "no open file of the engine may be open in the container",
        op.CloseDescriptorsOnExec(),
    )
