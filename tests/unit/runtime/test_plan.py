"""The plan is data: it is computed without root, compared, and cut."""

import dataclasses
import marshal

import pytest

from labkit.errors import InvalidParameterError
from labkit.kernel import namespaces
from labkit.runtime import operations as op
from labkit.runtime import plan as planning
from labkit.runtime import plan_users
from labkit.runtime.spec import (
    BindMount,
    CgroupPart,
    ContainerSpec,
    Device,
    Network,
    Sharing,
    UserNamespace,
)

SPEC = ContainerSpec(
    container_id="c0ffee",
    command=("/bin/echo", "hi"),
    hostname="c0ffee",
    layers=("/layers/b", "/layers/a"),
    upper="/c/upper",
    work="/c/work",
    root_mount="/c/merged",
    seccomp_program=b"\0" * 16,
    cgroup_parts=(
        CgroupPart("cpu", "/sys/fs/cgroup/cpu/labkit/c0ffee", (("cpu.shares", "512"),)),
        CgroupPart("memory", "/sys/fs/cgroup/memory/labkit/c0ffee"),
    ),
    cgroup_join=("/sys/fs/cgroup/cpu/labkit/c0ffee", "/sys/fs/cgroup/memory/labkit/c0ffee"),
)


def names(plan: planning.Plan) -> list[str]:
    return [step.name for _, step in plan.steps()]


def test_equal_specifications_give_equal_plans():
    assert planning.compute(SPEC) == planning.compute(dataclasses.replace(SPEC))


def test_the_order_is_the_design():
    steps = names(planning.compute(SPEC))
    milestones = [
        "cgroup.cpu",
        "namespace.pid",
        "descriptors",
        "namespace.mount",
        "mount.private",
        "mount.root",
        "mount.proc",
        "pivot_root",
        "pivot_root.detach",
        "masked_paths",
        "seccomp",
        "capabilities.bounding",
        "capabilities.effective",
        "die_with_shim",
        "exec",
    ]
    positions = [steps.index(name) for name in milestones]
    assert positions == sorted(positions)
    assert steps[-2:] == ["descriptors", "exec"]


def test_nothing_of_the_container_is_mounted_before_pivot_root():
    # A link in the image could lead such a mount out of the container's root.
    plan = planning.compute(SPEC)
    operations = [step.operation for step in plan.child]
    before = operations[: operations.index(op.PivotRoot("/c/merged"))]
    assert [o.target for o in before if isinstance(o, op.Mount)] == ["/", "/c/merged"]


def test_the_host_is_out_of_reach_before_anything_is_looked_up_inside():
    mounts = (BindMount("mount.volume", "why", "/v/_data", "/a", read_only=True),)
    plan = planning.compute(dataclasses.replace(SPEC, mounts=mounts))
    operations = [step.operation for step in plan.child]
    pivot = operations.index(op.PivotRoot("/c/merged"))
    assert operations[pivot + 1] == op.DetachOldRoot()
    assert operations.index(op.OpenTree("/v/_data", "/a", True)) < pivot
    assert operations.index(op.AttachTree("/a")) > pivot + 1
    assert "mount.volume" not in names(
        planning.compute(dataclasses.replace(SPEC, mounts=mounts), ["mount.volume"])
    )


LIMITED = dataclasses.replace(SPEC, limited=True)


def test_without_power_over_the_machine_it_differs_in_few_steps():
    usual, limited = ([step for _, step in planning.compute(s).steps()] for s in (SPEC, LIMITED))
    assert {step.name for step in set(limited) - set(usual)} == {"mount.root", "device"}
    (union,) = (step.operation for step in limited if step.name == "mount.root")
    assert union.data.endswith(",userxattr")
    assert not any(isinstance(step.operation, op.MakeDevice) for step in limited)


def test_what_shows_all_of_a_kind_is_made_before_the_hosts_is_gone():
    """A user namespace may mount a proc or a sysfs only where a whole one can be seen."""
    operations = [step.operation for step in planning.compute(LIMITED).child]
    pivot = operations.index(op.PivotRoot("/c/merged"))
    made = [o.kind for o in operations[:pivot] if isinstance(o, op.NewFileSystem)]
    assert made == ["proc", "sysfs"]
    of_host = dataclasses.replace(LIMITED, pid=Sharing(host=True))
    assert op.OpenTree("/proc", "/proc") in [s.operation for s in planning.compute(of_host).child]


def test_every_step_says_its_call_and_its_reason():
    for _, step in planning.compute(SPEC).steps():
        assert step.why
        assert "(" in step.operation.call()


def test_the_wire_form_is_plain_and_comes_back_equal():
    plan = planning.compute(SPEC)
    operations = [step.operation for _, step in plan.steps()]
    sent = marshal.loads(marshal.dumps(op.encode(operations)))
    assert op.decode(sent) == operations


@pytest.mark.parametrize("name", ["pivot_root", "seccomp", "mount.proc", "cgroup.memory", "mount"])
def test_without_leaves_out_the_step_and_nothing_else(name):
    if name == "mount":
        with pytest.raises(InvalidParameterError, match=r"mount\.private cannot be left out"):
            planning.compute(SPEC, [name])
        return
    whole, cut = names(planning.compute(SPEC)), names(planning.compute(SPEC, [name]))
    gone = [step for step in whole if step == name or step.startswith(f"{name}.")]
    assert gone
    assert cut == [step for step in whole if step not in gone]


def test_without_the_pid_namespace_there_is_still_a_process():
    clone = planning.compute(SPEC, ["namespace.pid"]).clone
    assert clone.name == "clone"
    assert clone.operation == op.Clone(0, "")
    assert planning.compute(SPEC).clone.operation == op.Clone(namespaces.CLONE_NEWPID, "")


@pytest.mark.parametrize("name", sorted(planning.INDISPENSABLE.keys() - {"clone"}))
def test_what_would_harm_the_host_cannot_be_left_out(name):
    with pytest.raises(InvalidParameterError, match="cannot be left out"):
        planning.compute(SPEC, [name])


def test_a_step_that_does_not_exist_is_an_error_that_names_the_others():
    with pytest.raises(InvalidParameterError, match=r"no such step.*namespace\.uts"):
        planning.compute(SPEC, ["namespace.nosuch"])


def test_host_network_makes_no_network_namespace():
    steps = names(planning.compute(dataclasses.replace(SPEC, network=Network(host=True))))
    assert "namespace.network" not in steps
    assert "namespace.network.loopback" not in steps


def test_cgroup_v2_is_entered_at_birth():
    group = "/sys/fs/cgroup/labkit/c0ffee"
    spec = dataclasses.replace(
        SPEC,
        cgroup_parts=(
            CgroupPart("cpu", group, (("cpu.weight", "50"),)),
            CgroupPart("memory", group, (("memory.max", "1048576"),)),
        ),
        cgroup_join=(),
        cgroup_clone_into=group,
    )
    plan = planning.compute(spec)
    assert [step.name for step in plan.host] == ["cgroup.directory", "cgroup.cpu", "cgroup.memory"]
    assert plan.clone.operation == op.Clone(namespaces.CLONE_NEWPID, group)
    without = planning.compute(spec, ["cgroup"])
    assert without.host == ()
    assert without.clone.operation == op.Clone(namespaces.CLONE_NEWPID, "")


def test_read_only_root_changes_only_the_mount_not_the_file_system():
    # MS_REMOUNT without MS_BIND would make the host's own file system read-only when pivot_root
    # is left out.
    plan = planning.compute(dataclasses.replace(SPEC, read_only_root=True), ["pivot_root"])
    (step,) = [step for step in plan.child if step.name == "readonly_root"]
    assert "MS_BIND" in step.operation.call()


def test_devices_and_limits_of_a_process_are_steps():
    spec = dataclasses.replace(
        SPEC,
        oom_score_adj=5,
        resource_limits=(("nofile", 10, 20),),
        devices=(Device("/dev/null", "c", 1, 3, 0o600, 0, 6), Device("/srv/d", "b", 7, 0, 0, 0, 0)),
    )
    operations = [step.operation for step in planning.compute(spec).child]
    made = [o for o in operations if isinstance(o, op.MakeDevice)]
    # The given /dev/null is in the place of the usual one.
    assert [(o.path, o.kind) for o in made[-2:]] == [("/dev/null", "c"), ("/srv/d", "b")]
    assert [o.path for o in made].count("/dev/null") == 1
    steps = names(planning.compute(spec))
    assert steps.index("oom_score") < steps.index("namespace.mount")
    assert steps.index("pivot_root") < steps.index("ulimit.nofile") < steps.index("seccomp")


def test_privileged_hides_nothing():
    spec = dataclasses.replace(
        SPEC, privileged=True, seccomp_program=b"", masked_paths=(), readonly_paths=()
    )
    steps = set(names(planning.compute(spec)))
    assert not steps & {"masked_paths", "readonly_paths", "seccomp"}
    sys = next(s.operation for s in planning.compute(spec).child if s.name == "mount.sys")
    assert "MS_RDONLY" not in sys.call()


def test_the_device_filter_comes_with_its_group_and_can_be_left_out():
    part = CgroupPart("devices", "/cg/labkit/c0ffee", (), ("c 1:3 rwm",))
    spec = dataclasses.replace(SPEC, cgroup_parts=(part,), cgroup_join=())
    made, attached = (step.operation for step in planning.compute(spec).host)
    assert made == op.MakeCgroup("/cg/labkit/c0ffee")
    assert attached == op.AttachDeviceFilter("/cg/labkit/c0ffee", ("c 1:3 rwm",))
    assert "bpf(BPF_PROG_ATTACH" in attached.call()
    assert planning.compute(spec, ["cgroup.devices"]).host == ()


def test_shared_namespaces_are_entered_or_left_as_they_are():
    spec = dataclasses.replace(
        SPEC,
        pid=Sharing(joins=(77, 1234)),
        ipc=Sharing(joins=(77, 1234)),
        uts=Sharing(host=True),
        cgroup=Sharing(host=True),
    )
    made = planning.compute(spec)
    steps = {step.name: step.operation for _, step in made.steps()}
    assert steps["namespace.pid"] == op.JoinNamespace(namespaces.CLONE_NEWPID, 77, 1234)
    assert steps["namespace.ipc"] == op.JoinNamespace(namespaces.CLONE_NEWIPC, 77, 1234)
    assert not {"namespace.uts", "namespace.uts.hostname", "namespace.cgroup"} & steps.keys()
    assert made.clone.name == "clone"
    taken = [step.operation.call() for step in made.child if step.name == "mount.shm"]
    assert 'setns(open("/proc/77/ns/mnt")' in taken[0]
    assert taken[1] == 'move_mount(…, "/dev/shm")'


def test_no_new_privileges_is_a_step():
    steps = names(planning.compute(dataclasses.replace(SPEC, no_new_privileges=True)))
    assert steps.index("no_new_privileges") < steps.index("seccomp")
    assert "no_new_privileges" not in names(planning.compute(SPEC))


def test_users_of_its_own():
    ids = ((0, 100000, 1000), (1000, 300000, 64536))
    spec = dataclasses.replace(SPEC, user_namespace=UserNamespace(ids, ids, "/data"), tty=True)
    plan = planning.compute(spec)
    steps = names(plan)
    others = namespaces.CLONE_NEWNET | namespaces.CLONE_NEWUTS | namespaces.CLONE_NEWIPC
    assert plan.host[0].operation == op.MakeUserNamespace(ids, ids, others)
    assert 'write("uid_map", "0 100000 1000; 1000 300000 64536")' in plan.host[0].operation.call()
    of_users = [s.operation for s in plan.child if s.name == "namespace.user"]
    assert of_users == [op.ActAs(100000, 100000), op.EnterUserNamespace(100000, 100000)]
    assert steps.index("mount.idmap") + 1 == steps.index("mount.root")
    # The last of the host's power goes before the filter is loaded, after all mounts.
    last_mount = max(i for i, step in enumerate(steps) if step.startswith("mount."))
    entered = len(steps) - 1 - steps[::-1].index("namespace.user")
    assert last_mount < entered < steps.index("seccomp")
    terminals = next(s.operation for s in plan.child if s.name == "mount.devpts")
    assert "gid=100005" in terminals.call()


def test_a_tmpfs_s_owner_is_one_of_the_container_s():
    ids = ((0, 100000, 1000),)
    users = UserNamespace(ids, ids, "/data")
    options = "size=1m,uid=5,mode=700,gid=4000,uid=x"
    mapped = "size=1m,uid=100005,mode=700,gid=4000,uid=x"
    assert plan_users.tmpfs_options(users, options) == mapped
    assert plan_users.tmpfs_options(users, "") == ""
    assert plan_users.tmpfs_options(None, options) == options


def test_users_of_its_own_left_out_is_a_container_without():
    spec = dataclasses.replace(SPEC, user_namespace=UserNamespace((), (), "/data"))
    assert planning.compute(spec, ["namespace.user"]) == planning.compute(SPEC)
    kept = planning.compute(spec, ["mount.idmap", "namespace.uts"])
    assert not {"mount.idmap", "namespace.uts"} & set(names(kept))


def test_users_of_its_own_with_the_namespaces_of_others():
    joins = Sharing(joins=(77, 1234))
    spec = dataclasses.replace(
        SPEC,
        user_namespace=UserNamespace(((0, 1, 1),), ((0, 1, 1),), "/data"),
        network=Network(joins=(77, 1234)),
        ipc=joins,
        uts=Sharing(host=True),
    )
    assert planning.compute(spec).host[0].operation.others == 0
