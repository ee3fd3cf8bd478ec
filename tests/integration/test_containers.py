"""Real containers, through the engine itself."""

import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from labkit.containers import ContainerConfig, Engine, HostConfig
from labkit.containers.specification import limits_of
from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    NotModifiedError,
    StartError,
)
from labkit.kernel import processes
from labkit.paths import Paths
from tests import leaks
from tests.lab import template_root

pytestmark = pytest.mark.root


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as name:
        subprocess.run(["cp", "-al", template_root(), f"{name}/root"], check=True)
        yield name


@pytest.fixture
def open_engine(folder, monkeypatch):
    monkeypatch.setenv("LABKIT_CGROUP_PARENT", "labkit-" + os.path.basename(folder))
    engines = []

    def open_one():
        engines.append(Engine.open(Paths(f"{folder}/root", f"{folder}/run")))
        return engines[-1]

    yield open_one
    engine = engines[-1]
    for container in engine.list():
        engine.remove(container.id, force=True)
    assert engine.layout.leftovers() == []
    assert os.listdir(f"{folder}/run/containers") == []
    assert os.listdir(f"{folder}/root/containers") == []
    engine.close()
    engine.layout.tear_down()


@pytest.fixture
def engine(open_engine):
    return open_engine()


def create(engine, *command, name="", without=(), **options):
    fields = {
        key: options.pop(key) for key in list(options) if key in ContainerConfig.__annotations__
    }
    config = ContainerConfig(image="busybox", cmd=list(command) or None, **fields)
    container, _ = engine.create(config, HostConfig(**options), name=name, without=without)
    return container.id


def run(engine, *command, **options):
    """Run to the end; the output and the exit code."""
    container_id = create(engine, *command, **options)
    engine.start(container_id)
    state = engine.wait(container_id, timeout_s=60)
    output = b"".join(line.text for line in engine.logs(container_id)).decode()
    return output, state.exit_code


def shell(engine, script, **options):
    return run(engine, "sh", "-c", script, **options)


# What a container is


def test_it_runs_and_says_hi(engine):
    assert run(engine, "echo", "hi") == ("hi\n", 0)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$; :", 0)]
)
def test_exit_codes_pass_through(engine, script, code):
    # As process 1 of its namespace the shell cannot be killed from inside, not even by itself.
    assert shell(engine, script)[1] == code


def test_its_own_namespaces(engine):
    output, _ = shell(
        engine, "cd /proc/1/ns; for n in mnt uts ipc pid net cgroup; do readlink $n; done"
    )
    for line in output.split():
        kind = line.split(":")[0]
        assert line != os.readlink(f"/proc/self/ns/{kind}"), line
    assert len(output.split()) == 6


def test_first_process_host_name_and_root(engine):
    container_id = create(engine, "sh", "-c", "echo $$; hostname; cat /etc/hostname; ls -1 /")
    engine.start(container_id)
    engine.wait(container_id, timeout_s=60)
    lines = b"".join(line.text for line in engine.logs(container_id)).decode().split()
    assert lines[:3] == ["1", container_id[:12], container_id[:12]]
    assert {"bin", "dev", "etc", "proc", "sys", "tmp"} <= set(lines[3:])
    assert "work" not in lines


def test_nothing_of_the_host_is_mounted_inside(engine, folder):
    output, _ = shell(engine, "cat /proc/mounts")
    for line in output.splitlines():
        _, target, kind = line.split()[:3]
        assert kind != "ext4" or target in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf"), line


def test_the_container_writes_into_its_own_layer_only(engine, folder):
    first = create(engine, "sh", "-c", "echo changed > /etc/passwd; rm /bin/ls")
    engine.start(first)
    engine.wait(first, timeout_s=60)
    upper = Path(folder, "root/containers", first, "upper")
    assert (upper / "etc/passwd").read_text() == "changed\n"
    assert (upper / "bin/ls").is_char_device()  # a whiteout
    assert shell(engine, "ls /bin/ls; head -c4 /etc/passwd")[0] == "/bin/ls\nroot"


def test_environment_user_and_working_directory(engine):
    output, code = shell(
        engine,
        "echo $A $HOME $(id -u):$(id -g) $(pwd); echo > /x",
        env=["A=b=c", "EMPTY="],
        user="daemon",
        working_dir="/some/where",
    )
    assert output.splitlines()[0] == "b=c /usr/sbin 1:1 /some/where"
    assert "Permission denied" in output
    assert code == 1


def test_any_user_may_open_its_own_stdout_again(engine):
    assert shell(engine, "echo hi > /dev/stdout", user="1000:1000") == ("hi\n", 0)


def test_docker_s_default_capabilities_and_filter(engine):
    output, _ = shell(engine, "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/1/status")
    status = dict(line.split(":\t") for line in output.splitlines())
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert status[name] == "00000000a80425fb"
    assert status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["Seccomp"] == "2"
    for command in ("mount -t tmpfs x /mnt", "unshare -U true", "hostname x", "swapoff -a"):
        output, code = shell(engine, f"{command} 2>&1")
        assert code != 0, command
    output, _ = shell(engine, "grep Cap /proc/1/status", user="1000")
    assert "CapEff:\t0000000000000000" in output


@pytest.mark.parametrize(
    "script",
    [
        "cat /proc/kcore | head -c1 | grep .",
        "cat /proc/timer_list | grep .",
        "ls /sys/firmware | grep .",
        "echo 1 > /proc/sysrq-trigger",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo x > /proc/sys/kernel/hostname",
        "mkdir /sys/fs/cgroup/memory/x",
        "echo 1 > /sys/kernel/profiling",
        "mknod /dev/host b 254 0 && head -c1 /dev/host",
        "ls /proc/1/root/../../../../etc/labkit-nosuch",
    ],
)
def test_what_is_hidden_or_read_only(engine, script):
    _, code = shell(engine, f"({script}) 2>/dev/null")
    assert code != 0


def test_no_descriptor_of_the_engine_is_open_inside(engine):
    output, _ = shell(engine, "ls -l /proc/1/fd")
    open_files = [line.split(" -> ") for line in output.splitlines() if " -> " in line]
    assert sorted(line[0].split()[-1] for line in open_files) == ["0", "1", "2"]
    assert {line[1].split(":")[0] for line in open_files} == {"/dev/null", "pipe"}


def test_network_none_has_a_loopback_that_works_and_host_is_the_host_s(engine):
    output, _ = shell(
        engine, "ls /sys/class/net; cat /sys/class/net/lo/operstate; ping -c1 127.0.0.1"
    )
    assert output.split()[0] == "lo"
    assert "1 packets received" in output
    output, _ = shell(engine, "readlink /proc/1/ns/net; hostname", network_mode="host")
    assert output.split() == [os.readlink("/proc/self/ns/net"), os.uname().nodename]


def test_read_only_root(engine):
    output, code = shell(engine, "echo > /x 2>&1 || echo > /dev/shm/x", readonly_rootfs=True)
    assert code == 0
    assert "Read-only file system" in output


def test_init_reaps_and_passes_signals_on(engine):
    output, _ = shell(engine, "tr '\\0' ' ' < /proc/1/cmdline; echo $$", init=True)
    first_process, own_pid = output.split(" sh ")[0], output.split()[-1]
    assert first_process == "/dev/init --"
    assert own_pid != "1"


def test_limits_are_files_and_hold(engine):
    container_id = create(
        engine, "sleep", "60", memory=64 << 20, cpu_shares=512, pids_limit=7, cpuset_cpus="0"
    )
    engine.start(container_id)
    usage = engine.layout.usage(container_id)
    assert usage.pids == 1
    pid = engine.get(container_id).state.pid
    assert os.sched_getaffinity(pid) == {0}
    limits = limits_of(engine.get(container_id).host_config)
    written = {
        (group.controller, file): value
        for group in engine.layout.place(container_id, limits).groups
        for file, value in group.files
        if group.controller in ("cpu", "memory", "pids", "cpuset")
    }
    assert {controller for controller, _ in written} == {"cpu", "cpuset", "memory", "pids"}
    for (controller, file), value in written.items():
        assert engine.layout.read(container_id, controller, file).split() == value.split(), file
    engine.stop(container_id, timeout_s=0)


def test_pids_limit_at_its_number(engine):
    output, _ = shell(engine, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait", pids_limit=4)
    assert "can't fork" in output


def test_out_of_memory_is_told(engine):
    container_id = create(engine, "sh", "-c", "tail -c 200m /dev/zero", memory=20 << 20)
    engine.start(container_id)
    state = engine.wait(container_id, timeout_s=60)
    assert (state.exit_code, state.oom_killed) == (137, True)


# What goes wrong


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["nosuch"], 127, "not found"),
        (["/nosuch/program"], 127, "no such program"),
        (["/etc/passwd"], 126, "not executable"),
        (["/etc"], 126, "folder"),
    ],
)
def test_a_command_that_cannot_run(engine, command, code, words):
    container_id = create(engine, *command)
    with pytest.raises(StartError, match=words) as caught:
        engine.start(container_id)
    assert (caught.value.exit_code, caught.value.step) == (code, "exec")
    state = engine.get(container_id).state
    assert (state.status, state.exit_code) == ("created", code)
    steps = engine.steps(container_id)
    assert steps[-1]["Errno"] and not any(step["Errno"] for step in steps[:-1])


def test_an_unknown_user_fails_before_anything_runs(engine):
    with pytest.raises(StartError, match="unable to find user nosuch") as caught:
        engine.start(create(engine, "true", user="nosuch"))
    assert caught.value.exit_code == 125


def test_a_failed_start_of_an_auto_removed_container_leaves_nothing(engine):
    with pytest.raises(StartError):
        engine.start(create(engine, "nosuch", auto_remove=True))
    assert engine.list() == []


def test_what_cannot_be_created(engine):
    with pytest.raises(NotFoundError, match="No such image: nosuch:latest"):
        engine.create(ContainerConfig(image="nosuch"), HostConfig())
    with pytest.raises(InvalidParameterError, match="6MB"):
        create(engine, "true", memory=1)
    with pytest.raises(InvalidParameterError, match="network bridge2 not found"):
        create(engine, "true", network_mode="bridge2")
    with pytest.raises(InvalidParameterError, match="no such step"):
        create(engine, "true", without=["nosuch"])
    create(engine, "true", name="taken")
    with pytest.raises(ConflictError, match="already in use"):
        create(engine, "true", name="taken")
    assert len(engine.list()) == 1


# A life


def test_names_ids_and_prefixes_mean_one_container(engine):
    container_id = create(engine, "true", name="web")
    for ref in (container_id, container_id[:12], container_id[:4], "web", "/web"):
        assert engine.get(ref).id == container_id
    with pytest.raises(NotFoundError, match="No such container: we"):
        engine.get("we")
    with pytest.raises(NotFoundError):
        engine.get("")


def test_start_stop_start_again(engine):
    container_id = create(engine, "sh", "-c", "echo run >> /runs; cat /runs; exec sleep 60")
    engine.start(container_id)
    with pytest.raises(NotModifiedError):
        engine.start(container_id)
    next(engine.logs(container_id, follow=True))
    engine.stop(container_id, timeout_s=0)
    assert engine.get(container_id).state.exit_code == 137
    with pytest.raises(NotModifiedError):
        engine.stop(container_id)
    engine.start(container_id)
    for _, _ in zip(range(3), engine.logs(container_id, follow=True), strict=False):
        pass
    engine.kill(container_id)
    engine.wait(container_id, timeout_s=60)
    assert [line.text for line in engine.logs(container_id)] == [b"run\n", b"run\n", b"run\n"]


def test_stop_is_sigterm_then_sigkill(engine):
    polite = create(
        engine, "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    )
    stubborn = create(engine, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for container_id in (polite, stubborn):
        engine.start(container_id)
        next(engine.logs(container_id, follow=True))
    engine.stop(polite, timeout_s=30)
    assert engine.get(polite).state.exit_code == 3
    begin = time.monotonic()
    engine.stop(stubborn, timeout_s=0.3)
    assert engine.get(stubborn).state.exit_code == 137
    assert 0.3 <= time.monotonic() - begin < 10


def test_kill_and_remove_by_the_rules(engine):
    container_id = create(engine, "sleep", "60")
    with pytest.raises(ConflictError, match="is not running"):
        engine.kill(container_id)
    engine.start(container_id)
    with pytest.raises(ConflictError, match="container is running"):
        engine.remove(container_id)
    engine.remove(container_id, force=True)
    with pytest.raises(NotFoundError):
        engine.get(container_id)


def test_auto_remove_and_who_waits_for_it(engine):
    container_id = create(engine, "sh", "-c", "sleep 0.2; exit 5", auto_remove=True)
    engine.start(container_id)
    assert engine.wait(container_id, "removed", timeout_s=60).exit_code == 5
    assert engine.list() == []


def test_wait_conditions(engine):
    container_id = create(engine, "sh", "-c", "exit 4")
    assert engine.wait(container_id).exit_code == 0  # it is not running: at once
    with pytest.raises(TimeoutError):
        engine.wait(container_id, "next-exit", timeout_s=0.1)
    codes = []
    waiter = threading.Thread(
        target=lambda: codes.append(engine.wait(container_id, "next-exit", 60).exit_code)
    )
    waiter.start()
    time.sleep(0.1)
    engine.start(container_id)
    waiter.join()
    assert codes == [4]
    with pytest.raises(InvalidParameterError, match="condition"):
        engine.wait(container_id, "nosuch")


def read_frames(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    frames = []
    while data:
        number, length = struct.unpack(">BxxxL", data[:8])
        frames.append((number, data[8 : 8 + length]))
        data = data[8 + length :]
    return frames


def test_attached_before_the_start_misses_nothing(engine):
    container_id = create(engine, "sh", "-c", "echo out; sleep 0.1; echo err >&2")
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    assert read_frames(ours) == [(1, b"out\n"), (2, b"err\n")]


def test_stdin_of_an_attached_client(engine):
    container_id = create(engine, "cat", open_stdin=True, stdin_once=True)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    ours.sendall(b"through the container")
    ours.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in read_frames(ours)) == b"through the container"
    assert engine.wait(container_id, timeout_s=60).exit_code == 0


def test_attach_while_it_runs(engine):
    container_id = create(engine, "sh", "-c", "read line; echo got $line", open_stdin=True)
    engine.start(container_id)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    ours.sendall(b"it\n")
    assert read_frames(ours) == [(1, b"got it\n")]


def test_much_output_arrives_whole(engine):
    container_id = create(engine, "sh", "-c", "seq 1 200000")
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    expected = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert b"".join(data for _, data in read_frames(ours)) == expected
    assert b"".join(line.text for line in engine.logs(container_id)) == expected


# --without


@pytest.mark.parametrize(
    ("step", "script", "expected"),
    [
        ("namespace.pid", "test $$ != 1", 0),
        ("namespace.uts", "hostname", 0),
        ("pivot_root", "test -e /proc/1/root/usr/bin/python3 -o -e /usr/bin/env", 0),
        ("seccomp", "grep -q 'Seccomp:.0' /proc/self/status", 0),
        ("masked_paths", "head -c1 /proc/interrupts | grep .", 0),
        ("readonly_paths", "test -w /proc/sys/kernel/domainname", 0),
        ("namespace.network.loopback", "ping -c1 -W1 127.0.0.1", 1),
        ("mount.proc", "ls /proc | grep .", 1),
        ("cgroup", "true", 0),
        ("capabilities", "grep -q CapEff:.00000000a8 /proc/self/status", 1),
        ("namespace.network", "ls /sys/class/net | grep -v '^lo$'", 0),
    ],
)
def test_without_a_brick(engine, step, script, expected):
    _, code = shell(engine, f"({script}) >/dev/null 2>&1", without=[step], hostname="inside")
    assert code == expected


def test_without_uts_does_not_rename_the_host(engine):
    before = os.uname().nodename
    shell(engine, "true", without=["namespace.uts"], hostname="renamed")
    assert os.uname().nodename == before


# When something dies


def test_the_daemon_dies_and_its_successor_adopts(open_engine, folder):
    engine = open_engine()
    container_id = create(engine, "sh", "-c", "echo one; read x; echo two; exit 6", open_stdin=True)
    engine.start(container_id)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.close()  # as far as the shim can see, the daemon is gone
    engine = open_engine()
    state = engine.get(container_id).state
    assert state.status == "running"
    assert processes.start_time(state.pid)
    ours.sendall(b"\n")
    assert engine.wait(container_id, timeout_s=60).exit_code == 6
    assert b"".join(line.text for line in engine.logs(container_id)) == b"one\ntwo\n"
    assert (1, b"two\n") in read_frames(ours)


def test_it_ends_while_no_daemon_is_there(open_engine):
    engine = open_engine()
    container_id = create(engine, "sh", "-c", "sleep 0.3; echo late; exit 8")
    gone = create(engine, "sh", "-c", "sleep 0.3", auto_remove=True)
    engine.start(container_id)
    engine.start(gone)
    engine.close()
    time.sleep(0.8)
    engine = open_engine()
    state = engine.get(container_id).state
    assert (state.status, state.exit_code) == ("exited", 8)
    assert [line.text for line in engine.logs(container_id)] == [b"late\n"]
    assert [container.id for container in engine.list()] == [container_id]


def find_shim(engine, container_id):
    with open(f"/proc/{engine.get(container_id).state.pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_a_shim_that_is_killed_takes_its_container_along(engine):
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    pid = engine.get(container_id).state.pid
    os.kill(find_shim(engine, container_id), signal.SIGKILL)
    state = engine.wait(container_id, timeout_s=60)
    assert state.exit_code == 137
    assert "shim was killed" in state.error
    with suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        assert file.read().rpartition(")")[2].split()[0] in "ZX"
    assert engine.layout.leftovers() == []
    engine.start(container_id)
    engine.stop(container_id, timeout_s=0)


def test_a_spawner_that_is_killed_is_replaced(engine):
    os.kill(engine.parts.spawner._process.pid, signal.SIGKILL)
    assert run(engine, "echo", "still")[0] == "still\n"


def test_many_at_once(engine):
    results = []

    def client(number):
        for turn in range(5):
            output, code = shell(engine, f"echo {number}.{turn}; exit {number}")
            results.append((output, code) == (f"{number}.{turn}\n", number))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
