"""docker update, top and stats on real containers."""

import time
from pathlib import Path

import pytest

from tests.integration.docker_command import DockerCommand
from tests.peers.clients import docker_commands

pytestmark = pytest.mark.root
MIB = 1 << 20


@pytest.fixture(params=docker_commands() or ["docker"])
def docker(request, lab, tmp_path):
    return DockerCommand(request.param, lab, str(tmp_path))


def limit(lab, key):
    status, stats = lab.api("GET", f"/containers/{key}/stats?stream=0&one-shot=1")
    assert status == 200
    return stats["memory_stats"]["limit"]


def test_update_raises_and_lowers_a_running_container(docker, lab):
    key = docker.run("-m", "64m", "--name", "up", "busybox", "sleep", "100")
    assert limit(lab, key) == 64 * MIB
    for memory, both in (("256m", "300m"), ("32m", "32m"), ("512m", "-1"), ("16m", "20m")):
        docker.out("update", "-m", memory, "--memory-swap", both, "up")
        assert limit(lab, key) == int(memory[:-1]) * MIB
    docker.out("update", "-c", "512", "--cpus", "0.5", "--pids-limit", "40", "up")
    docker.out("update", "--restart", "unless-stopped", "up")
    shown = docker.out(
        "inspect", "-f", "{{with .HostConfig}}{{.Memory}} {{.CpuShares}} {{.NanoCpus}} "
        "{{.PidsLimit}} {{.RestartPolicy.Name}}{{end}}", "up",
    )  # fmt: skip
    assert shown == f"{16 * MIB} 512 500000000 40 unless-stopped"
    code, _, err = docker("update", "-m", "1m", "up")
    assert (code, "Minimum memory" in err) == (1, True)
    docker.out("restart", "-t", "0", "up")
    assert limit(lab, key) == 16 * MIB


def test_the_kernel_is_told(docker, lab):
    key = docker.run("--pids-limit", "50", "busybox", "sleep", "100")
    docker.out("update", "--pids-limit", "7", key)
    assert lab.api("GET", f"/containers/{key}/stats?stream=0&one-shot=1")[1]["pids_stats"] == {
        "current": 1, "limit": 7,
    }  # fmt: skip
    docker.out("update", "--pids-limit", "-1", key)
    assert "limit" not in lab.api("GET", f"/containers/{key}/stats?stream=0")[1]["pids_stats"]


def test_top(docker):
    docker.run("--name", "tp", "busybox", "sh", "-c", "sleep 100 & wait")
    head, *rows = docker.out("top", "tp").splitlines()
    assert head.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(row.split(maxsplit=7)[7].split()[0] for row in rows) == ["sh", "sleep"]
    head, *rows = docker.out("top", "tp", "-o", "pid,comm").splitlines()
    assert head.split() == ["PID", "COMMAND"]
    assert len(rows) == 2
    code, _, err = docker("top", "tp", "-o", "comm")
    assert (code, "PID field" in err) == (1, True)
    docker.out("kill", "tp")
    code, _, err = docker("top", "tp")
    assert (code, "is not running" in err) == (1, True)


def test_stats(docker):
    docker.run("--name", "busy", "-m", "64m", "--cpus", "0.5", "busybox", "sh", "-c",
               "while :; do :; done")  # fmt: skip
    line = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}"
    for _ in range(40):  # half a CPU is what it may have: a busy machine gives less at times
        name, cpu, used, _, most, pids = docker.out(
            "stats", "--no-stream", "--format", line
        ).split()
        assert (name, most, pids) == ("busy", "64MiB", "1")
        assert float(cpu.rstrip("%")) < 80
        if float(cpu.rstrip("%")) > 20:
            break
    else:
        pytest.fail(f"the loop never used more than {cpu} of a CPU")
    assert used.endswith(("KiB", "MiB"))
    docker.out("kill", "busy")
    assert docker.out("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.PIDs}}") in (
        "busy 0",
        "busy --",
    )


def test_a_log_in_several_files(docker, lab):
    script = "i=0; while [ $i -lt 500 ]; do echo line-$i; i=$((i+1)); done"
    key = docker.run("--log-opt", "max-size=5k", "--log-opt", "max-file=3", "busybox", "sh", "-c",
                     script)  # fmt: skip
    following = docker.out("logs", "-f", key)
    docker.out("wait", key)
    lines = docker.out("logs", key).splitlines()
    assert lines == [f"line-{number}" for number in range(500 - len(lines), 500)]
    assert 60 < len(lines) < 300
    assert following.endswith("line-499")
    sizes = [file.stat().st_size for file in Path(lab.root, "containers", key).glob("*-json.log*")]
    assert len(sizes) == 3
    assert max(sizes) <= 5000
    assert docker.out("inspect", "-f", "{{json .HostConfig.LogConfig}}", key) == (
        '{"Type":"json-file","Config":{"max-file":"3","max-size":"5k"}}'
    )


def wait_for_health(docker, name, status):
    deadline = time.monotonic() + 60
    while docker.out("inspect", "-f", "{{.State.Health.Status}}", name) != status:
        assert time.monotonic() < deadline, docker.out("inspect", name)
        time.sleep(0.1)


def test_health(docker):
    since = str(time.time())
    docker.run(
        "--name", "well", "--health-cmd", "echo looking; test -e /tmp/well", "--health-interval",
        "200ms", "--health-retries", "2", "--health-timeout", "20s", "--health-start-period", "5m",
        "busybox", "sleep", "1000",
    )  # fmt: skip
    assert "(health: starting)" in docker.out("ps", "--format", "{{.Status}}")
    docker.out("exec", "well", "touch", "/tmp/well")
    wait_for_health(docker, "well", "healthy")
    assert "(healthy)" in docker.out("ps", "--filter", "health=healthy", "--format", "{{.Status}}")
    docker.out("exec", "well", "rm", "/tmp/well")
    wait_for_health(docker, "well", "unhealthy")
    last = "{{with index .State.Health.Log 4}}{{.ExitCode}} {{.Output}}{{end}}"
    deadline = time.monotonic() + 60
    while docker("inspect", "-f", last, "well")[1].strip() != "1 looking":
        assert time.monotonic() < deadline, docker.out("inspect", "well")
    assert docker.out("inspect", "-f", "{{len .State.Health.Log}}", "well") == "5"
    told = docker.out("events", "--since", since, "--until", str(time.time()), "--filter",
                      "event=health_status", "--format", "{{.Action}}")  # fmt: skip
    assert told.splitlines() == ["health_status: healthy", "health_status: unhealthy"]


def test_a_healthcheck_that_hangs_is_killed(docker):
    docker.run(
        "--name", "hangs", "--health-cmd", "sleep 50", "--health-interval", "100ms",
        "--health-timeout", "300ms", "--health-retries", "1", "busybox", "sleep", "100",
    )  # fmt: skip
    wait_for_health(docker, "hangs", "unhealthy")
    first = "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}"
    assert docker.out("inspect", "-f", first, "hangs") == "-1 Health check exceeded timeout (0.3s)"
    docker.out("stop", "-t", "0", "hangs")
