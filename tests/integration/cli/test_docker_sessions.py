"""docker's own commands at a terminal: run -it, exec -it, attach, and leaving by ctrl-p ctrl-q."""

import json
import threading
import time

import pytest

from tests.api import Raw, joined
from tests.integration.docker_command import DockerCommand
from tests.peers.clients import docker_commands
from tests.terminal import DETACH

pytestmark = pytest.mark.root
NETWORK = ("--network", "none")


@pytest.fixture(params=docker_commands() or ["docker"])
def docker(request, lab, tmp_path):
    return DockerCommand(request.param, lab, str(tmp_path))


def see_size(screen, size: bytes) -> None:
    """Ask until that is the size: docker sends it when it likes."""
    deadline = time.monotonic() + 20
    shown = b""
    while size not in shown:
        assert time.monotonic() < deadline, shown
        screen.type(b"stty size; echo $((40 + 2))\n")
        shown = screen.see(b"42\r\n")


def test_run_it(docker):
    with docker.terminal("run", "-it", "--rm", *NETWORK, "busybox", "sh", size=(31, 77)) as screen:
        screen.see(b"# ")
        screen.type(b"stty size; tty; echo $TERM\n")
        shown = screen.see(b"xterm\r\n")
        assert b"31 77" in shown
        assert b"/dev/pts/0" in shown
        screen.resize(20, 50)
        screen.window_changes()
        see_size(screen, b"20 50")
        screen.type(b"awk '{ print \"answer:\" $0 }'\n")
        screen.see(b"}'\r\n")
        screen.type(b"hello\n")
        screen.see(b"answer:hello\r\n")  # it is in the foreground
        screen.type(b"\x03")
        screen.see(b"# ")
        screen.type(b"exit 5\n")
        assert screen.end() == 5
    assert docker("ps", "-aq") == (0, "", "")


def test_leave_and_come_back(docker):
    with docker.terminal("run", "-it", "--name", "tt", *NETWORK, "busybox", "sh") as screen:
        screen.see(b"# ")
        screen.type(b"echo before\n")
        screen.see(b"before\r\n")
        screen.type(DETACH)
        assert screen.end() == 0
    assert docker.out("inspect", "-f", "{{.State.Status}} {{.Config.Tty}}", "tt") == "running true"
    with docker.terminal("attach", "tt") as screen:
        screen.type(b"echo $((40 + 2))\n")
        screen.see(b"42\r\n")
        screen.type(b"exit 7\n")
        assert screen.end() == 7
    assert "before" in docker.out("logs", "tt")
    with docker.terminal("start", "-ai", "tt") as screen:
        screen.type(b"exit 3\n")
        assert screen.end() == 3
    assert docker("rm", "tt")[0] == 0


def test_own_detach_keys(docker):
    docker.out("run", "-itd", "--name", "keyed", *NETWORK, "busybox", "cat")
    with docker.terminal("attach", "--detach-keys", "a,b", "keyed") as screen:
        screen.type(b"hello\n")
        screen.see(b"hello\r\nhello\r\n")
        screen.type(b"ab")
        assert screen.end() == 1  # docker's own code for "read escape sequence"
    assert docker.out("inspect", "-f", "{{.State.Running}}", "keyed") == "true"


def test_exec_it(docker):
    docker.run("--name", "ex", "busybox", "sleep", "100")
    with docker.terminal("exec", "-it", "ex", "sh", size=(33, 99)) as screen:
        screen.see(b"# ")
        see_size(screen, b"33 99")
        screen.type(b"exit 9\n")
        assert screen.end() == 9
    with docker.terminal("exec", "-it", "ex", "sh") as screen:
        screen.see(b"# ")
        screen.type(DETACH)
        screen.end()
    pids = docker.out("exec", "ex", "ls", "/proc").split()
    assert sum(pid.isdigit() for pid in pids) >= 3  # the first process, the one left alone, and ls


def test_exec(docker):
    docker.run("--name", "ex", "busybox", "sleep", "100")
    assert docker("exec", "ex", "sh", "-c", "echo out; echo err >&2; exit 4") == (
        4, "out\n", "err\n",
    )  # fmt: skip
    assert docker("exec", "-i", "ex", "wc", "-c", text_in=b"x" * 300_000)[1] == "300000\n"
    assert docker.out("exec", "-e", "A=1", "-w", "/etc", "-u", "daemon", "ex", "sh", "-c",
                      "echo $A $PWD $(id -un)") == "1 /etc daemon"  # fmt: skip
    code, out, err = docker("exec", "ex", "nosuch")
    assert code in (126, 127)
    assert "nosuch" in out + err
    assert docker("exec", "-d", "ex", "sh", "-c", "echo 1 > /tmp/done")[0] == 0
    deadline = time.monotonic() + 20
    while docker("exec", "ex", "cat", "/tmp/done")[1] != "1\n":
        assert time.monotonic() < deadline
    for _ in range(20):
        assert docker("exec", "ex", "sh", "-c", "exit 6")[0] == 6
    docker.out("pause", "ex")
    code, _, err = docker("exec", "ex", "true")
    assert (code, "is paused" in err) == (1, True)
    docker.out("unpause", "ex")
    docker.out("kill", "ex")
    code, _, err = docker("exec", "ex", "true")
    assert (code, "is not running" in err) == (1, True)


def test_attach_replays_the_log(docker, lab):
    """The command has no flag for it, the API has."""
    key = docker.run("busybox", "sh", "-c", "echo one; echo two >&2; sleep 1; echo three")
    time.sleep(0.5)
    query = "stream=1&logs=1&stdout=1&stderr=1"
    request = f"POST /containers/{key}/attach?{query} HTTP/1.1\r\nUpgrade: tcp\r\n\r\n"
    with Raw(lab, request.encode()) as raw:
        raw.head()
        assert joined(raw.rest()) == {1: b"one\nthree\n", 2: b"two\n"}


COUNT = "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done"
WITH_LOG = "stream=1&logs=1&stdout=1&stderr=1"


def attached_with_log(lab, key: str) -> dict[int, bytes]:
    """What one gets who attaches now and wants the log as well."""
    request = f"POST /containers/{key}/attach?{WITH_LOG} HTTP/1.1\r\nUpgrade: tcp\r\n\r\n"
    with Raw(lab, request.encode()) as raw:
        raw.head()
        return joined(raw.rest())


@pytest.mark.parametrize("log_options", [(), ("--log-opt=max-size=40k", "--log-opt=max-file=3")])
def test_no_line_is_lost_or_repeated_between_log_and_stream(docker, lab, log_options):
    """Twenty clients attach at any moment while numbers are printed; each gets them in order."""
    key = docker.run(*log_options, "busybox", "sh", "-c", f"sleep 0.2; {COUNT}; sleep 0.2")
    heard: list[dict[int, bytes]] = []

    def listen(after_s: float) -> None:
        time.sleep(after_s)
        heard.append(attached_with_log(lab, key))

    threads = [threading.Thread(target=listen, args=(n / 60,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(heard) == 20
    for said in heard:
        numbers = [int(line) for line in said[1].splitlines()]
        # What the rotation has thrown away before a client came is lost for it.
        first = numbers[0] if log_options else 0
        assert numbers == list(range(first, 20000))


def test_attach_with_log_in_the_middle_of_a_line(docker, lab):
    key = docker.run("busybox", "sh", "-c", "printf be; sleep 1; echo gun")
    time.sleep(0.5)
    assert attached_with_log(lab, key) == {1: b"begun\n"}


def test_attach_with_log_before_a_start(docker, lab):
    """The log of the runs before, and then what the next one prints."""
    key = docker.run("busybox", "sh", "-c", "echo said")
    docker.out("wait", key)
    heard: list[dict[int, bytes]] = []
    thread = threading.Thread(target=lambda: heard.append(attached_with_log(lab, key)))
    thread.start()
    time.sleep(0.5)
    docker.out("start", key)
    thread.join(30)
    assert heard == [{1: b"said\nsaid\n"}]


def test_events(docker):
    since = str(time.time())
    made = docker("run", "--name", "ev", "-l", "a=b", *NETWORK, "busybox", "sh", "-c", "exit 3")
    assert made[0] == 3
    docker.out("rename", "ev", "ev2")
    docker.out("rm", "ev2")
    until = str(time.time())
    told = docker.out("events", "--since", since, "--until", until, "--format", "{{json .}}")
    events = [json.loads(line) for line in told.splitlines()]
    own = [event for event in events if event["Type"] == "container"]
    assert [event["Action"] for event in own] == [
        "create", "attach", "start", "die", "rename", "destroy",
    ]  # fmt: skip
    assert own[3]["Actor"]["Attributes"]["exitCode"] == "3"
    few = docker.out(
        "events", "--since", since, "--until", until, "--filter", "event=die", "--filter",
        "container=ev", "--filter", "label=a=b", "--filter", "image=busybox",
        "--format", "{{.Action}} {{.Actor.Attributes.name}}",
    )  # fmt: skip
    assert few == "die ev"


def test_events_as_they_come(docker):
    since = ("--since", str(time.time()))  # nobody says when it begins to listen
    listening = docker.popen("events", *since, "--filter", "type=container")

    def hear(count: int) -> list[str]:
        return [listening.stdout.readline().split()[2] for _ in range(count)]

    try:
        docker.run("--name", "live", "busybox", "sleep", "100")
        assert hear(2) == ["create", "start"]
        for verb in ("pause", "unpause"):
            docker.out(verb, "live")
            assert hear(1) == [verb]
        docker.out("rm", "-f", "live")
        assert hear(3) == ["kill", "die", "destroy"]
    finally:
        listening.terminate()
        listening.wait()
        listening.stdout.close()


def test_pause_restart_rename_and_ps(docker):
    docker.run("--name", "pp", "--restart", "always", "busybox", "sleep", "100")
    line = ("ps", "--format", "{{.Names}} {{.State}} {{.Status}}")
    assert docker.out(*line).startswith("pp running Up ")
    docker.out("pause", "pp")
    assert docker.out(*line).startswith("pp paused Up ")
    assert docker.out(*line).endswith("(Paused)")
    assert docker.out("inspect", "-f", "{{.State.Running}} {{.State.Paused}}", "pp") == "true true"
    docker.out("unpause", "pp")
    pid = docker.out("inspect", "-f", "{{.State.Pid}}", "pp")
    docker.out("restart", "-t", "0", "pp")
    assert docker.out("inspect", "-f", "{{.State.Pid}}", "pp") != pid
    docker.out("rename", "pp", "qq")
    assert docker.out("inspect", "-f", "{{.Name}} {{.HostConfig.RestartPolicy.Name}}", "qq") == (
        "/qq always"
    )
    code, _, err = docker("rename", "qq", "qq")
    assert code == 1, err


def test_a_container_that_keeps_failing(docker):
    docker.run("--name", "rr", "--restart", "on-failure:3", "busybox", "sh", "-c", "exit 2")
    seen = set()
    deadline = time.monotonic() + 20
    while not any(words.startswith("Exited (2)") for words in seen):
        seen.add(docker.out("ps", "-a", "--format", "{{.Status}}"))
        assert time.monotonic() < deadline, seen
    assert any(words.startswith("Restarting (2)") for words in seen), seen
    assert docker.out("inspect", "-f", "{{.RestartCount}} {{.State.ExitCode}}", "rr") == "3 2"
