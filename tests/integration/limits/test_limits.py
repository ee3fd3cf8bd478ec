"""Limits by their effect: what a container gets, and what it is told of."""

import resource
import time
from collections.abc import Callable

import pytest

from labkit.cgroups import v1
from labkit.containers import ContainerConfig, HostConfig
from labkit.containers.life.updating import FIXED, UpdateConfig
from labkit.containers.records.model import ThrottleDevice, Ulimit
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities
from tests.containers import create, shell
from tests.integration.containers.test_exec_and_terminals import execute
from tests.lab import Lab

pytestmark = pytest.mark.root
MIB = 1 << 20


def cpu_share(engine, container_id, at_least):
    """How much of one CPU the container uses, in the first window in which it got `at_least`.

    A quota is no promise of as much: a busy machine may give less in any one window.
    """
    for _ in range(40):
        began, before = time.monotonic(), engine.layout.usage(container_id).cpu_ns
        time.sleep(1.5)
        used_ns = engine.layout.usage(container_id).cpu_ns - before
        share = used_ns / 1e9 / (time.monotonic() - began)
        if share > at_least:
            break
    return share


def test_a_quota_holds_and_can_be_changed(engine):
    container_id = create(
        engine, "sh", "-c", "while :; do :; done", cpu_period=20_000, cpu_quota=4_000
    )
    engine.start(container_id)
    assert 0.1 < cpu_share(engine, container_id, 0.1) < 0.22
    engine.update(container_id, UpdateConfig(cpu_quota=2_000))
    assert 0.05 < cpu_share(engine, container_id, 0.05) < 0.13
    engine.kill(container_id)


def test_the_size_of_shared_memory(engine):
    output, _ = shell(engine, "df -k /dev/shm | tail -1", shm_size=3 * MIB)
    assert output.split()[1] == str(3 * 1024)
    output, _ = shell(engine, "df -k /dev/shm | tail -1")
    assert output.split()[1] == str(64 * 1024)


def test_memory_files(engine):
    host_config = HostConfig(
        memory=64 * MIB, memory_reservation=32 * MIB, memory_swappiness=0, cpuset_mems="0"
    )
    config = ContainerConfig(image="busybox", cmd=["sleep", "60"])
    container, warnings = engine.create(config, host_config)
    engine.start(container.id)
    version = engine.layout.hierarchies["memory"].version
    soft = "memory.soft_limit_in_bytes" if version == v1.VERSION else "memory.low"

    def read(file):
        return engine.layout.read(container.id, "memory", file)

    assert read(soft) == str(32 * MIB)
    assert engine.layout.read(container.id, "cpuset", "cpuset.mems") == "0"
    if version == v1.VERSION:
        assert (read("memory.swappiness"), warnings) == ("0", [])
    else:
        assert [word for word in warnings if "swappiness discarded" in word]
    engine.update(container.id, UpdateConfig(memory_reservation=16 * MIB))
    assert read(soft) == str(16 * MIB)
    engine.kill(container.id)


def test_without_the_oom_killer_it_waits(engine):
    if engine.layout.hierarchies["memory"].version != v1.VERSION:
        pytest.skip("needs cgroup v1")
    # A system call would fail for lack of memory (EFAULT); who touches it in its own code waits.
    script = 'BEGIN { s = "x"; while (1) s = s s }'
    container_id = create(engine, "awk", script, memory=20 * MIB, oom_kill_disable=True)
    engine.start(container_id)
    deadline = time.monotonic() + 20
    while "under_oom 1" not in engine.layout.read(container_id, "memory", "memory.oom_control"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert engine.is_running(container_id)
    engine.kill(container_id)
    assert not engine.get(container_id).state.oom_killed


def test_limits_of_each_process_and_of_an_exec(engine):
    limits = [Ulimit("nofile", 40, 50), Ulimit("core", 0, 0)]
    script = "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj"
    output, _ = shell(engine, script, ulimits=limits, oom_score_adj=321)
    assert output.split() == ["40", "50", "0", "321"]
    container_id = create(engine, "sleep", "60", ulimits=limits, oom_score_adj=321)
    engine.start(container_id)
    assert execute(engine, container_id, "sh", "-c", script)[0].split() == output.split()
    engine.kill(container_id)


def test_a_limit_that_cannot_be_raised_is_a_warning_and_as_high_as_may_be(engine):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    asked = HostConfig(ulimits=[Ulimit("nofile", 2**30, 2**30)])
    config = ContainerConfig(image="busybox", cmd=["sh", "-c", "ulimit -Hn"])
    container, warnings = engine.create(config, asked)
    engine.start(container.id)
    if capabilities.permitted() >> capabilities.NAMES.index("SYS_RESOURCE") & 1:
        return  # the kernel's own fs.nr_open may still be less
    assert engine.wait(container.id, timeout_s=20).exit_code == 0
    assert [line.text for line in engine.logs(container.id)] == [f"{most}\n".encode()]
    assert "CAP_SYS_RESOURCE" in warnings[0]


def test_what_makes_no_sense_is_refused(engine):
    for options in (
        {"ulimits": [Ulimit("nosuch", 1, 1)]},
        {"ulimits": [Ulimit("nofile", 3, 2)]},
        {"ulimits": [Ulimit("nofile", -1, 2)]},
        {"oom_score_adj": 1001},
        {"shm_size": -1},
        {"cpuset_mems": "63"},
        {"memory_swappiness": 200},
    ):
        with pytest.raises(InvalidParameterError):
            create(engine, "true", **options)


def test_an_update_says_what_it_cannot_change(engine):
    container_id = create(engine, "true", memory=64 * MIB)
    rates = [ThrottleDevice("/dev/nosuch", MIB)]
    asked = UpdateConfig(memory_reservation=32 * MIB, blkio_device_read_bps=rates)
    assert engine.update(container_id, asked) == [FIXED.format("BlkioDeviceReadBps")]
    assert engine.get(container_id).host_config.memory_reservation == 32 * MIB
    assert engine.update(container_id, UpdateConfig(blkio_device_read_bps=[])) == []


def test_by_command(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    flags = "--cpu-period 50000 --cpu-quota 25000 --cpuset-mems 0 --memory 64m --shm-size 2m"
    flags += " --ulimit nofile=100:200 --oom-score-adj 5"
    flags += " --memory-reservation 32m"
    assert lab.cli("create", "--name", "little", *flags.split(), "busybox", "true").returncode == 0
    shown = lab.cli(
        *("inspect", "-f", "{{json .HostConfig}}", "little"),
    ).stdout
    for field in (
        '"CpuPeriod":50000',
        '"CpuQuota":25000',
        '"CpusetMems":"0"',
        '"MemoryReservation":33554432',
        '"ShmSize":2097152',
        '"Ulimits":[{"Name":"nofile","Soft":100,"Hard":200}]',
        '"OomScoreAdj":5',
    ):
        assert field in shown.replace(" ", ""), field
    done = lab.cli("update", "--cpu-quota", "30000", "--memory-reservation", "16m", "little")
    assert done.returncode == 0, done.stderr
    assert '"CpuQuota":30000' in lab.cli("inspect", "little").stdout.replace(" ", "")
    done = lab.cli("run", "--rm", "--cpus", "1", "--cpu-quota", "5000", "busybox", "true")
    assert (done.returncode, "Nano CPUs" in done.stderr) == (125, True)
