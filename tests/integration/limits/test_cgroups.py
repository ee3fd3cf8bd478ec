"""Real groups of this machine: every file of a placement is taken by the kernel and read back."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from labkit.cgroups import Layout, Limits, Placement, detect, groups
from tests.leaks import RUN_NAME

pytestmark = pytest.mark.root

MIB = 1024 * 1024
LIMITS = Limits(
    cpu_shares=512,
    nano_cpus=500_000_000,
    cpuset_cpus="0",
    memory_bytes=64 * MIB,
    memory_swap_bytes=96 * MIB,
    pids=20,
)


@pytest.fixture
def layout() -> Iterator[Layout]:
    layout = detect(f"labkit-{RUN_NAME}-cgroups")
    layout.prepare()
    yield layout
    for name in layout.leftovers():
        layout.remove(name)
    layout.tear_down()
    assert not any(os.path.exists(path) for path in parents(layout))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def parents(layout: Layout) -> list[str]:
    return [f"{hierarchy.directory}/{layout.parent}" for hierarchy in layout.hierarchies.values()]


def create(placement: Placement) -> None:
    """What the runtime does with a placement before the process exists."""
    for group in placement.groups:
        groups.make(group.directory)
        for file, text in group.files:
            groups.write(f"{group.directory}/{file}", text)


def join(placement: Placement, pid: int) -> None:
    for directory in (*placement.join, placement.clone_into):
        if directory:
            groups.write(f"{directory}/cgroup.procs", str(pid))


def test_the_kernel_takes_every_file_and_shows_the_value(layout: Layout) -> None:
    placement = layout.place("one", LIMITS)
    create(placement)
    checked = 0
    for group in placement.groups:
        for file, text in group.files:
            if group.controller != "devices":
                assert groups.read(f"{group.directory}/{file}") == text
                checked += 1
    assert checked >= 4
    missing = {"cpu", "cpuset", "memory", "pids"} - set(layout.controllers)
    assert bool(placement.warnings) == bool(missing)


def test_devices_are_the_default_list(layout: Layout) -> None:
    if layout.hierarchies["devices"].version != 1:
        pytest.skip("needs cgroup v1")
    create(layout.place("one", Limits()))
    shown = layout.read("one", "devices", "devices.list").splitlines()
    assert "a *:* rwm" not in shown
    assert "c 1:3 rwm" in shown


def test_a_process_joins_uses_and_is_counted(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    placement = layout.place("one", LIMITS)
    create(placement)
    join(placement, sleeper.pid)
    usage = layout.usage("one")
    assert usage.pids == 1
    assert usage.memory_bytes < 64 * MIB


def start_when_told(script: str) -> subprocess.Popen[bytes]:
    """A shell that runs `script` after its first line of input: time to put it into a group."""
    return subprocess.Popen(["sh", "-c", f"read go; {script}"], stdin=subprocess.PIPE)


def test_cpu_time_moves(layout: Layout) -> None:
    placement = layout.place("one", Limits())
    create(placement)
    with start_when_told("while :; do :; done") as loop:
        join(placement, loop.pid)
        began_ns, before = time.monotonic_ns(), layout.usage("one").cpu_ns
        assert loop.stdin
        loop.stdin.write(b"go\n")
        loop.stdin.flush()
        spent = 0
        while spent < 20_000_000:
            assert time.monotonic_ns() - began_ns < 20_000_000_000
            time.sleep(0.05)
            spent = layout.usage("one").cpu_ns - before
        loop.kill()
    assert spent <= time.monotonic_ns() - began_ns  # one process has one CPU at most


def test_remove_kills_what_is_left_and_leaves_nothing(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    placement = layout.place("one", LIMITS)
    create(placement)
    join(placement, sleeper.pid)
    layout.remove("one")
    assert sleeper.wait(timeout=30) == -9
    assert layout.leftovers() == []
    assert not any(os.path.exists(group.directory) for group in placement.groups)
    layout.remove("one")


def test_remove_reaches_frozen_and_nested_groups(
    layout: Layout, sleeper: subprocess.Popen[bytes]
) -> None:
    placement = layout.place("one", Limits())
    create(placement)
    join(placement, sleeper.pid)
    freezer = layout.path("one", "freezer", "")
    groups.make(f"{freezer}/nested")
    groups.write(f"{freezer}/nested/cgroup.procs", str(sleeper.pid))
    state = "freezer.state" if layout.hierarchies["freezer"].version == 1 else "cgroup.freeze"
    groups.write(f"{freezer}/{state}", "FROZEN" if state == "freezer.state" else "1")
    layout.remove("one")
    assert sleeper.wait(timeout=30) == -9
    assert layout.leftovers() == []


def test_leftovers_are_found_in_any_hierarchy(layout: Layout) -> None:
    create(layout.place("one", Limits()))
    groups.make(os.path.dirname(layout.path("two", "pids", "x")))
    assert layout.leftovers() == ["one", "two"]
    assert detect(layout.parent).leftovers() == ["one", "two"]


def test_usage_of_nobody(layout: Layout) -> None:
    with pytest.raises(FileNotFoundError):
        layout.usage("nobody")


def test_prepare_twice_is_prepare_once(layout: Layout) -> None:
    controllers = layout.controllers
    assert layout.prepare() == []
    assert layout.controllers == controllers


def test_the_out_of_memory_killer_is_counted(layout: Layout) -> None:
    placement = layout.place("one", Limits(memory_bytes=8 * MIB, memory_swap_bytes=8 * MIB))
    create(placement)
    with start_when_told("head -c 50m /dev/zero | tail -c 50m | wc -c") as eater:
        join(placement, eater.pid)
        eater.communicate(b"go\n", timeout=60)
    path, key = placement.oom_counter
    counts = dict(line.split() for line in groups.read(path).splitlines())
    assert int(counts[key]) >= 1


@pytest.fixture
def unit() -> Iterator[str]:
    """A v2 group as systemd makes it for a unit with Delegate=yes."""
    if detect().version != "v2":
        pytest.skip("needs cgroup v2")
    unit = f"/sys/fs/cgroup/labkit-{RUN_NAME}.service"
    for name in ("memory", "pids", "cpu"):
        groups.enable("/sys/fs/cgroup", name)
    os.mkdir(unit)
    os.setxattr(unit, "trusted.delegate", b"1")
    yield unit
    groups.remove([unit])


def run_daemon(start: str) -> dict[str, object]:
    """Prepare and place in a process that begins with `start`: what it found and did."""
    result = subprocess.run(
        [sys.executable, "-c", start + DAEMON], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


DAEMON = """
import json, os, sys
from labkit.cgroups import Limits, detect, groups
layout = detect("labkit")
answer = {"directories": sorted({h.directory for h in layout.hierarchies.values()})}
answer["warnings"] = layout.prepare()
answer["group"] = open("/proc/self/cgroup").read().strip()
for group in layout.place("one", Limits(memory_bytes=200 << 20, pids=9, cpu_shares=512)).groups:
    groups.make(group.directory)
    for file, text in group.files:
        groups.write(f"{group.directory}/{file}", text)
answer["limit"] = layout.read("one", "memory", "memory.max")
layout.remove("one")
layout.tear_down()
json.dump(answer, sys.stdout)
"""

ENTER = """
import os
from labkit.cgroups import groups
groups.make("{group}")
groups.write("{group}/cgroup.procs", str(os.getpid()))
"""


def test_in_a_leaf_of_a_delegated_unit_that_subtree_is_used(unit: str) -> None:
    assert run_daemon(ENTER.format(group=f"{unit}/labkitd")) == {
        "directories": [unit],
        "warnings": [],
        "group": f"0::/{os.path.basename(unit)}/labkitd",
        "limit": "209715200",
    }


def test_in_a_container_the_daemon_moves_to_a_leaf_first(unit: str) -> None:
    """With a cgroup namespace, as inside Docker, the top that is seen is an inner group."""
    isolated = """
from labkit.kernel import mounts, namespaces
namespaces.unshare(namespaces.CLONE_NEWCGROUP | namespaces.CLONE_NEWNS)
mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
mounts.mount("cgroup", "/sys/fs/cgroup", "tmpfs")
mounts.mount("cgroup", "/sys/fs/cgroup", "cgroup2")
"""
    assert run_daemon(ENTER.format(group=unit) + isolated) == {
        "directories": ["/sys/fs/cgroup"],
        "warnings": [],
        "group": "0::/labkitd",
        "limit": "209715200",
    }
