"""A process on its way into a container: what the container's processes can see, take and hold up.

The way is the plan, and the tests stop it at each step: a gate is put in between, two pipes by
which the process tells that it has come, and at which it waits to be let through.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest

from labkit.cgroups import freezer
from labkit.containers.inside.execs import ExecConfig
from labkit.containers.records import id_ranges
from labkit.errors import StartError
from labkit.runtime import operations as op
from labkit.runtime import plan as planning
from labkit.runtime import plan_exec
from labkit.runtime.step import Step
from tests.containers import create, execute, run, wait_until
from tests.integration.security.test_escapes_descriptors import HANDS, PYTHON, processes_in

pytestmark = pytest.mark.root

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
USUAL_CAPABILITIES = 0xA80425FB


class Gate:
    """A place in a plan; the same path leads to it on the host and in the container."""

    def __init__(self, folder) -> None:
        self.folder = str(folder)
        self.binds = [f"{self.folder}:{self.folder}"]
        os.chmod(self.folder, 0o755)
        for name in ("come", "go"):
            os.mkfifo(f"{self.folder}/{name}")
            os.chmod(f"{self.folder}/{name}", 0o666)

    def steps(self) -> list[Step]:
        names = ("come", "go")
        return [Step("gate", "", op.WriteCgroupFile(f"{self.folder}/{n}", "x")) for n in names]

    def wait(self) -> None:
        """Until the process has come."""
        with open(f"{self.folder}/come") as pipe:
            assert pipe.read() == "x"

    def open(self) -> None:
        with open(f"{self.folder}/go") as pipe:
            assert pipe.read() == "x"


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


@contextmanager
def beside(work) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


class Seen(NamedTuple):
    """What /proc says of a process."""

    namespaces: set[str]
    capabilities: int
    has_filter: bool
    root: tuple[int, int]
    open_files: list[str]
    looks_like_root: bool
    """Whether its files in /proc are root's, as they are when it may not be looked into."""


def look(pid: int) -> Seen:
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    masks = [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    root = os.stat(f"/proc/{pid}/root")
    return Seen(
        {os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES},
        masks[0] | masks[1] | masks[2] | masks[3] | masks[4],
        int(status["Seccomp"]) == 2,
        (root.st_dev, root.st_ino),
        [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")],
        os.stat(f"/proc/{pid}/mem").st_uid == 0,
    )


def check_powerless(seen: Seen, others: Seen) -> None:
    assert seen.namespaces == others.namespaces
    assert seen.root == others.root
    assert seen.capabilities & ~others.capabilities == 0
    assert seen.has_filter == others.has_filter
    assert [name for name in seen.open_files if not name.startswith(("pipe:", "/dev/"))] == []
    assert seen.looks_like_root


WAYS = {
    "root": {},
    "user": {"user": "1000:1000"},
    "terminal": {"tty": True},
    "working directory": {"working_dir": "/proc/self/root"},
    "tracer beside": {"cap_add": ["SYS_PTRACE"]},
    "users of its own": {"userns_mode": "private"},
}


def split_ways(way: str) -> tuple[dict[str, object], dict[str, object]]:
    """The options of the container, and those of the exec."""
    options = dict(WAYS[way])
    of_exec = {
        name: options.pop(name) for name in ("user", "tty", "working_dir") if name in options
    }
    return options, of_exec


@pytest.mark.parametrize("way", WAYS)
def test_who_enters_by_exec_is_seen_only_when_it_is_powerless(engine, monkeypatch, gate, way):
    if "userns_mode" in WAYS[way]:
        id_ranges.find(id_ranges.DEFAULT)
    compute, at = plan_exec.compute, [0]

    def with_gate(spec):
        clone, steps = compute(spec)
        return clone, (*steps[: at[0]], *gate.steps(), *steps[at[0] :])

    options, of_exec = split_ways(way)
    container_id = create(engine, "sleep", "600", binds=gate.binds, **options)
    engine.start(container_id)
    first = engine.get(container_id).state.pid
    others = look(first)
    config = ExecConfig(cmd=["true"], attach_stdout=True, **of_exec)
    names: list[str] = []
    seen_at = set()
    monkeypatch.setattr(plan_exec, "compute", with_gate)
    while not names or at[0] < len(names):
        made = engine.execs.create(container_id, config)
        with beside(lambda made=made: engine.execs.start(made.id, None, b"")):
            names = [step.name for step in compute(engine.execs._spec(made, (0, 0)))[1]]
            gate.wait()
            entering = [pid for pid in processes_in(first) if pid != first]
            for pid in entering:
                seen_at.add(names[at[0]])
                check_powerless(look(pid), others)
            gate.open()
        with made.changed:
            assert made.changed.wait_for(lambda made=made: made.exit_code is not None, 30)
        assert made.exit_code == 0
        at[0] += 1
    assert {"die_with_shim", "descriptors", "exec"} <= seen_at
    engine.kill(container_id)


def test_who_joins_the_processes_of_another_is_seen_only_when_it_is_powerless(
    engine, monkeypatch, gate
):
    compute, at = planning.compute, [0]
    plans: list[planning.Plan] = []

    def with_gate(spec, without=()):
        plan = compute(spec, without)
        if not spec.pid.joins:
            return plan
        plans.append(plan)
        return plan._replace(child=(*plan.child[: at[0]], *gate.steps(), *plan.child[at[0] :]))

    donor = create(engine, "sleep", "600", cap_add=["SYS_PTRACE"])
    engine.start(donor)
    first = engine.get(donor).state.pid
    monkeypatch.setattr(planning, "compute", with_gate)
    seen_at, names = set(), ["the first"]
    host = {os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
    while at[0] < len(names):
        options = {"pid_mode": f"container:{donor}", "binds": gate.binds}
        guest = create(engine, "sleep", "600", **options)
        with beside(lambda guest=guest: engine.start(guest)):
            gate.wait()
            names = [step.name for step in plans[-1].child]
            for pid in (pid for pid in processes_in(first) if pid != first):
                seen_at.add(names[at[0]])
                mine = look(pid)
                assert mine.capabilities & ~USUAL_CAPABILITIES == 0
                assert mine.has_filter
                assert not os.path.samefile(f"/proc/{pid}/root", "/")
                assert len(mine.namespaces & host) == 1  # the users
                assert all(name.startswith(("pipe:", "/dev/null")) for name in mine.open_files)
            gate.open()
        engine.remove(guest, force=True)
        at[0] += 1
        if names[at[0] - 1] == "pivot_root":
            # The gate is no place in the container before its folder is mounted there.
            at[0] = len(names) - names[::-1].index("mount.bind")
    assert seen_at == {"die_with_shim", "descriptors", "exec"}
    engine.kill(donor)


TRACER = """
import os, sys
for name in os.listdir("/proc"):
    if not name.isdigit() or int(name) in (1, os.getpid()):
        continue
    one, mine = os.stat(f"/proc/{name}/root"), os.stat("/")
    print("root", (one.st_dev, one.st_ino) == (mine.st_dev, mine.st_ino))
    print("mounts", os.readlink(f"/proc/{name}/ns/mnt") == os.readlink("/proc/self/ns/mnt"))
    with open(f"/proc/{name}/status") as status:
        print([line.split()[1] for line in status if line.startswith("CapPrm")][0])
    print("environment", len(open(f"/proc/{name}/environ").read()))
    print("read-only", bool(os.statvfs(f"/proc/{name}/exe").f_flag & os.ST_RDONLY))
"""


def test_a_tracer_catches_nothing_but_what_it_has_itself(engine, monkeypatch, gate):
    """What may be read here is what ptrace(2) asks for: what may be traced may be taken over."""
    compute = plan_exec.compute

    def with_gate(spec):
        clone, steps = compute(spec)
        return clone, (*steps[:-1], *gate.steps(), steps[-1]) if spec.command[
            0
        ] == "true" else steps

    container_id = create(
        engine, "sleep", "600", binds=[*gate.binds, *HANDS], cap_add=["SYS_PTRACE"]
    )
    engine.start(container_id)
    monkeypatch.setattr(plan_exec, "compute", with_gate)
    made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))
    with beside(lambda: engine.execs.start(made.id, None, b"")):
        gate.wait()
        output, code = execute(engine, container_id, PYTHON, "-c", TRACER)
        gate.open()
    mask = f"{USUAL_CAPABILITIES | 1 << 19:016x}"
    expected = ["root True", "mounts True", mask, "environment 0", "read-only True"]
    assert (output.splitlines(), code) == (expected, 0)
    engine.kill(container_id)


STOPPER = """
while :; do for p in /proc/[0-9]*; do
    n=${p#/proc/}; [ $n = 1 ] || [ $n = $$ ] || kill -STOP $n
done; done 2>/dev/null
"""


@contextmanager
def stopping(engine, gate, **options) -> Iterator[str]:
    """A container that stops whatever comes; the gate gives it the time."""
    container_id = create(engine, "sh", "-c", f"echo first; {STOPPER}", binds=gate.binds, **options)
    engine.start(container_id)
    yield container_id
    engine.kill(container_id)


def test_who_stops_what_enters_holds_up_only_that(engine, monkeypatch, gate):
    compute = plan_exec.compute

    def with_gate(spec):
        clone, steps = compute(spec)
        return clone, (*steps[:-1], *gate.steps(), steps[-1]) if spec.command[
            0
        ] == "held" else steps

    monkeypatch.setattr(plan_exec, "compute", with_gate)
    with stopping(engine, gate) as container_id:
        first = engine.get(container_id).state.pid
        made = engine.execs.create(container_id, ExecConfig(cmd=["held"]))
        began = time.monotonic()
        with pytest.raises(StartError, match="SIGSTOP"):
            engine.execs.start(made.id, None, b"")
        assert time.monotonic() - began < 5
        assert made.exit_code == 126
        assert processes_in(first) == [first]
        # The log, a client's terminal and the end are served as ever.
        assert [line.text for line in engine.logs(container_id)] == [b"first\n"]
        assert engine.top(container_id)
    assert engine.wait(container_id, timeout_s=10).exit_code == 137


def test_a_start_among_hostile_processes_fails_at_once_and_leaves_nothing(
    engine, monkeypatch, gate
):
    compute = planning.compute

    def with_gate(spec, without=()):
        plan = compute(spec, without)
        child = (*plan.child[:-1], *gate.steps(), plan.child[-1])
        return plan._replace(child=child) if spec.pid.joins else plan

    monkeypatch.setattr(planning, "compute", with_gate)
    with stopping(engine, gate) as hostile:
        before = processes_in(engine.get(hostile).state.pid)
        options = {"pid_mode": f"container:{hostile}", "binds": gate.binds}
        guest = create(engine, "sleep", "600", **options)
        began = time.monotonic()
        with pytest.raises(StartError, match="SIGSTOP"):
            engine.start(guest)
        assert time.monotonic() - began < 5
        assert guest not in engine.layout.leftovers()
        assert not os.path.exists(engine.paths.container_run(guest))
        assert processes_in(engine.get(hostile).state.pid) == before
        assert engine.get(guest).state.status == "created"


def test_a_forged_report_is_not_believed(engine, monkeypatch, gate):
    """Who has CAP_SYS_PTRACE can write to the pipe by which the process reports."""
    compute = plan_exec.compute

    def with_gate(spec):
        clone, steps = compute(spec)
        return clone, (*steps[:-1], *gate.steps(), steps[-1]) if spec.command[
            0
        ] == "true" else steps

    monkeypatch.setattr(plan_exec, "compute", with_gate)
    container_id = create(engine, "sleep", "600", cap_add=["SYS_PTRACE"], binds=gate.binds)
    engine.start(container_id)
    first = engine.get(container_id).state.pid
    for forged in (b"p 1\n", b"p %d\n" % first, b"t 9 x\n", b"e 99 0 x\n", b"\n"):
        made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))
        errors: list[Exception] = []

        def start(made=made, errors=errors):
            try:
                engine.execs.start(made.id, None, b"")
            except StartError as error:
                errors.append(error)

        with beside(start):
            gate.wait()
            (entered,) = (pid for pid in processes_in(first) if pid != first)
            (report,) = (fd for fd in os.listdir(f"/proc/{entered}/fd") if int(fd) > 2)
            with open(f"/proc/{entered}/fd/{report}", "wb") as pipe:
                pipe.write(forged)
            gate.open()
        assert len(errors) == (not forged.startswith(b"p "))
        assert execute(engine, container_id, "echo", "on")[0] == "on\n"
    engine.kill(container_id)
    assert engine.wait(container_id, timeout_s=10).exit_code == 137


def test_what_was_given_up_and_ends_later_holds_up_no_end(engine, monkeypatch, gate):
    """A frozen process (cgroup v1) ends when it is thawed: long after it was killed."""
    compute = plan_exec.compute

    def with_gate(spec):
        clone, steps = compute(spec)
        return clone, (*steps[:-1], *gate.steps(), steps[-1])

    monkeypatch.setattr(plan_exec, "compute", with_gate)
    container_id = create(engine, "sleep", "600", binds=gate.binds)
    engine.start(container_id)
    first = engine.get(container_id).state.pid
    made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))

    def start():
        with pytest.raises(StartError):
            engine.execs.start(made.id, None, b"")

    with beside(start):
        gate.wait()
        (entered,) = (pid for pid in processes_in(first) if pid != first)
        (report,) = (fd for fd in os.listdir(f"/proc/{entered}/fd") if int(fd) > 2)
        with suppress(BrokenPipeError), open(f"/proc/{entered}/fd/{report}", "wb", 0) as pipe:
            freezer.freeze(engine.layout, container_id)
            while True:  # more than is read: it is given up
                pipe.write(b"p 1\n" * 1024)
    time.sleep(0.5)
    freezer.thaw(engine.layout, container_id)
    engine.kill(container_id)
    assert engine.wait(container_id, timeout_s=10).exit_code == 137


def test_the_proc_of_shared_processes_is_a_new_one(engine):
    """Covered and read-only as ever, whatever the other container has done to its own."""
    script = "mount -t tmpfs none /proc/sys && umount /proc/keys; exec sleep 600"
    donor = create(engine, "sh", "-c", script, privileged=True)
    engine.start(donor)
    wait_until(lambda: execute(engine, donor, "ls", "/proc/sys")[0] == "")
    look_around = "head -c 1 /proc/keys | wc -c; cat /proc/1/comm; : > /proc/sys/kernel/hostname"
    output, _ = run(engine, "sh", "-c", look_around, pid_mode=f"container:{donor}")
    assert output.split()[:2] == ["0", "sleep"]
    assert "Read-only file system" in output
    engine.kill(donor)


def test_a_proc_that_is_none_is_refused(engine):
    donor = create(engine, "sh", "-c", "mount -t tmpfs none /proc; exec sleep 600", privileged=True)
    engine.start(donor)
    wait_until(lambda: not execute(engine, donor, "ls", "/proc")[0])
    guest = create(engine, "true", pid_mode=f"container:{donor}")
    with pytest.raises(StartError, match="not a proc file system"):
        engine.start(guest)
    engine.kill(donor, signal.SIGKILL)
