"""What a container is, seen from inside; and what cannot be one."""

import os
from pathlib import Path

import pytest

from labkit.containers import ContainerConfig, HostConfig
from labkit.containers.life.specification import limits_of
from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    StartError,
)
from tests.containers import create, run, shell

pytestmark = pytest.mark.root


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
        engine,
        "ls /sys/class/net; cat /sys/class/net/lo/operstate; ping -c1 127.0.0.1",
        network_mode="none",
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
    with pytest.raises(InvalidParameterError, match="no such step"):
        create(engine, "true", without=["nosuch"])
    create(engine, "true", name="taken")
    with pytest.raises(ConflictError, match="already in use"):
        create(engine, "true", name="taken")
    assert len(engine.list()) == 1


def test_a_network_is_looked_for_at_the_start(engine):
    container_id = create(engine, "true", network_mode="bridge2")
    with pytest.raises(NotFoundError, match="network bridge2 not found"):
        engine.start(container_id)
    assert [each.id for each in engine.list()] == [container_id]


def test_others_may_not_write_what_it_makes(engine):
    script = "umask; touch /f; mkdir /d; stat -c %a /f /d"
    assert shell(engine, script) == ("0022\n644\n755\n", 0)
