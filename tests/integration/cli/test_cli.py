"""`labkit` as a user types it, with a real daemon and real containers."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.client import Client
from labkit.client.containers import ContainerError
from labkit.client.daemon import ensure
from labkit.errors import StartError
from labkit.paths import Paths
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

TIMEOUT_S = 20.0
COUNTING = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done; exit 9"
COUNTED = "1\n2\n3\n4\n5\n6\n7\n8\n"


def containers(lab: Lab) -> list[str]:
    _, found = lab.api("GET", "/containers/json?all=1")
    return [container["Id"] for container in found]


def start(lab: Lab, *words: str, **more: object) -> subprocess.Popen[str]:
    """`labkit WORDS` in the background, its output in pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    return subprocess.Popen(lab.argv(*words), env=lab.env, cwd=PROJECT, **options)


def wait_until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


# run


def test_echo_hi(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "busybox", "echo", "hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
    assert containers(lab) == []


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_exit_codes_pass_through(lab: Lab, code: int) -> None:
    assert lab.cli("run", "--rm", "busybox", "sh", "-c", f"exit {code}").returncode == code


def test_killed_by_a_signal(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?")
    assert done.returncode == 137


def test_stdout_and_stderr_are_kept_apart(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_much_output_arrives_whole(lab: Lab) -> None:
    script = "head -c 20000000 /dev/zero | tr '\\0' x; echo end"
    done = lab.cli("run", "--rm", "busybox", "sh", "-c", script)
    assert len(done.stdout) == 20_000_004
    assert done.stdout.endswith("xend\n")


def test_output_comes_as_it_is_printed(lab: Lab) -> None:
    script = "echo first; read go; echo last"
    process = start(lab, "run", "-i", "--rm", "busybox", "sh", "-c", script, stdin=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == "first\n"  # and only then is it told to go on
    assert process.poll() is None
    assert process.communicate("go\n", timeout=TIMEOUT_S) == ("last\n", "")


INSIDE = (
    ("-h box", "hostname", "box"),
    ("-e A=1 -e B", "echo $A $B", "1 from-outside"),
    ("-w /tmp", "pwd", "/tmp"),
    ("-u 1000:1001", "id -u; id -g", "1000\n1001"),
    ("--network none", "ls /sys/class/net", "lo"),
    ("--init", "cat /proc/1/comm", "init"),
    ("--entrypoint echo", "", "-c "),
)


@pytest.mark.parametrize(("flags", "script", "printed"), INSIDE, ids=[f for f, _, _ in INSIDE])
def test_flags_reach_the_container(lab: Lab, flags: str, script: str, printed: str) -> None:
    shell = [] if "entrypoint" in flags else ["sh"]
    env = lab.env | {"B": "from-outside"}
    done = lab.cli("run", "--rm", *flags.split(), "busybox", *shell, "-c", script, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == printed.strip()


def test_read_only(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "--read-only", "busybox", "touch", "/x")
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_detached_is_found_by_id_short_id_and_name(lab: Lab) -> None:
    done = lab.cli("run", "-d", "--name", "web", "busybox", "sleep", "100", check=True)
    container_id = done.stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", container_id)
    for name in ("web", container_id, container_id[:12], container_id[:5]):
        status = lab.cli("inspect", "-f", "{{.State.Status}}", name, check=True)
        assert status.stdout == "running\n"
    assert lab.cli("stop", "-t", "0", "web").stdout == "web\n"
    assert lab.cli("wait", "web").stdout == "137\n"


# Mistakes: one clear line each, and nothing left behind

MISTAKES = (
    ("run --pull never nosuch", 125, "No such image: nosuch:latest"),
    ("run -m 1 busybox true", 125, "Minimum memory limit allowed is 6MB"),
    ("run -c -1 busybox true", 125, "shares"),
    ("run --cpus 1000 busybox true", 125, "CPUs"),
    ("run --cpuset-cpus 999 busybox true", 125, "Requested CPUs are not available"),
    ("run --memory-swap 100m busybox true", 125, "Memory limit"),
    ("run -m 1x busybox true", 125, "invalid size: '1x'"),
    ("run --nosuch busybox true", 125, "unknown flag: --nosuch"),
    ("run --name a/b busybox true", 125, "Invalid container name (a/b)"),
    ("run --name taken busybox true", 125, "taken"),
    ("run --without nosuch busybox true", 125, "--without nosuch"),
    ("run --without exec busybox true", 125, "cannot be left out"),
    ("run --rm busybox nosuch", 127, "nosuch: executable file not found in $PATH"),
    ("run --rm busybox /etc/passwd", 126, "permission denied"),
    ("run --rm -u nosuch busybox true", 125, "unable to find user nosuch"),
    ("run --rm -w /etc/passwd busybox true", 125, "/etc/passwd"),
    ("run --rm -d busybox nosuch", 127, "executable file not found"),
    ("logs nosuch", 1, "No such container: nosuch"),
    ("stop nosuch", 1, "No such container: nosuch"),
    ("rm taken", 1, "container is running"),
    ("kill -s NOSUCH taken", 1, "cannot kill container: taken: invalid signal: NOSUCH"),
    ("inspect nosuch", 1, "No such object: nosuch"),
)


@pytest.fixture
def taken(lab: Lab) -> Lab:
    lab.cli("run", "-d", "--name", "taken", "busybox", "sleep", "1000", check=True)
    return lab


@pytest.mark.parametrize(("line", "code", "message"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_mistakes(taken: Lab, line: str, code: int, message: str) -> None:
    before = containers(taken)
    done = taken.cli(*line.split())
    assert done.returncode == code, done
    assert done.stderr.startswith("labkit: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert done.stdout in ("", "[]\n")
    assert containers(taken) == before


def test_an_image_that_cannot_be_pulled(lab: Lab) -> None:
    """As Docker does, it first says that it has to look elsewhere."""
    done = lab.cli("run", "127.0.0.1:1/nosuch", "true")
    first, second = done.stderr.splitlines()
    assert done.returncode == 125
    assert first == "Unable to find image '127.0.0.1:1/nosuch:latest' locally"
    assert second.startswith("labkit: cannot reach the registry at http")
    assert containers(lab) == []


def test_fewest_shares(lab: Lab) -> None:
    """Docker takes `-c 1` for the least the kernel knows; labkit says so."""
    done = lab.cli("run", "--rm", "-c", "1", "busybox", "true")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "CPU shares" in done.stderr
    assert "1 is taken as " in done.stderr


def test_not_root(lab: Lab) -> None:
    done = lab.cli_as_nobody("ps")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("labkit: you may not use ")
    assert "sudo" in done.stderr
    assert done.stderr.count("\n") == 1


# Signals and pipes


def test_ctrl_c_reaches_the_container(lab: Lab) -> None:
    script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    process = start(lab, "run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=TIMEOUT_S) == ("caught\n", "")
    assert process.returncode == 3


def test_a_reader_that_leaves_ends_the_container(lab: Lab) -> None:
    process = start(lab, "run", "--rm", "busybox", "yes")
    assert process.stdout
    assert process.stdout.readline() == "y\n"
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 141
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()
    wait_until(lambda: containers(lab) == [], "the container is removed")


# The daemon dies


@pytest.mark.parametrize("flags", [[], ["--rm"]], ids=["kept", "removed"])
def test_kill_9_of_the_daemon_while_attached(make_lab: Callable[[], Lab], flags: list[str]) -> None:
    lab = make_lab()
    process = start(lab, "run", *flags, "--name", "counting", "busybox", "sh", "-c", COUNTING)
    assert process.stdout
    assert process.stdout.readline() == "1\n"
    before = lab.daemon_pid()
    lab.kill_daemon()
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, "1\n" + out, err) == (9, COUNTED, "")
    assert lab.daemon_pid() != before
    left = lab.cli("ps", "-a", "--filter", "name=counting", check=True).stdout
    if flags:
        assert "counting" not in left
    else:
        assert "Exited (9)" in left
        assert lab.cli("logs", "counting").stdout == COUNTED


def test_a_daemon_that_was_stopped_stays_so_until_the_exit_code_is_needed(
    make_lab: Callable[[], Lab],
) -> None:
    lab = make_lab()
    process = start(lab, "run", "--name", "counting", "busybox", "sh", "-c", COUNTING)
    assert process.stdout
    assert process.stdout.readline() == "1\n"
    lab.stop_daemon()
    for number in range(2, 6):
        assert process.stdout.readline() == f"{number}\n"
    assert not lab.answers()
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (9, "6\n7\n8\n", "")
    assert lab.answers()


def test_a_container_outlives_the_daemon_and_the_next_command_finds_it(
    make_lab: Callable[[], Lab],
) -> None:
    lab = make_lab()
    waiting = "echo begins; until [ -e /go ]; do sleep 0.05; done; echo ends; exit 9"
    lab.cli("run", "-d", "--name", "waiting", "busybox", "sh", "-c", waiting, check=True)
    lab.kill_daemon()
    assert "waiting" in lab.cli("ps", check=True).stdout
    lab.cli("exec", "waiting", "touch", "/go", check=True)
    assert lab.cli("wait", "waiting", check=True).stdout == "9\n"
    assert lab.cli("logs", "waiting", check=True).stdout == "begins\nends\n"


# Starting the daemon


def test_the_first_command_starts_it_once(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    lab.stop_daemon()
    processes = [start(lab, "run", "--rm", "busybox", "echo", str(i)) for i in range(6)]
    printed = [process.communicate(timeout=60) for process in processes]
    assert printed == [(f"{i}\n", "") for i in range(6)]
    log = Path(lab.run, "labkitd.log").read_text()
    assert log.count(" listens on ") == 1, log
    session = os.getsid(lab.daemon_pid())
    assert session == lab.daemon_pid() or session != os.getsid(0)


def test_ensure_and_a_daemon_that_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("this is no folder")
    where = ["--root", f"{tmp_path}/root", "--run", f"{tmp_path}/run"]
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", *where, "ps"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("labkit: labkitd did not start: ")
    assert done.stderr.count("\n") == 1


def test_ensure_leaves_a_running_one_alone(lab: Lab) -> None:
    before = lab.daemon_pid()
    ensure(Paths(lab.root, lab.run))
    assert lab.daemon_pid() == before


def test_daemon_in_the_foreground(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    lab.stop_daemon()
    process = start(lab, "daemon")
    wait_until(lab.answers, "the daemon answers")
    assert lab.daemon_pid() == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


# --explain and --without


def test_explain_on_a_terminal_fits_it(lab: Lab) -> None:
    main_fd, terminal_fd = pty.openpty()
    with os.fdopen(main_fd, "rb", 0) as terminal:
        env = {k: v for k, v in lab.env.items() if k != "COLUMNS"} | {"TERM": "xterm"}
        subprocess.run(["stty", "columns", "80", "rows", "24"], stdin=terminal_fd, check=True)
        process = subprocess.Popen(
            lab.argv("run", "--rm", "--explain", "busybox", "echo", "hi"),
            env=env,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=terminal_fd,
        )
        os.close(terminal_fd)
        text = b""
        while select.select([terminal], [], [], TIMEOUT_S)[0]:
            try:
                part = terminal.read(65536)
            except OSError:  # EIO: nobody has the terminal open any more
                break
            if not part:
                break
            text += part
        assert process.communicate()[0] == b"hi\n"
    assert b"\x1b[1m" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80
    assert any("pivot_root" in line for line in lines)
    assert any(line.startswith("host: ") and line.endswith(" ms") for line in lines)


def test_explain_as_json_tells_every_step(lab: Lab) -> None:
    done = lab.cli("run", "--rm", "--explain=json", "busybox", "echo", "hi")
    assert done.stdout == "hi\n"
    steps = json.loads(done.stderr)
    names = [step["Step"] for step in steps]
    for expected in ("namespace.pid", "namespace.mount", "pivot_root", "seccomp", "exec"):
        assert expected in names
    assert {step["Phase"] for step in steps} == {"host", "clone", "child"}
    assert all(step["DurationNs"] > 0 for step in steps)


def test_explain_of_a_start_that_fails(lab: Lab) -> None:
    done = lab.cli("run", "--explain", "busybox", "nosuch")
    assert done.returncode == 127
    assert "✗ ENOENT" in done.stderr
    assert "pivot_root" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("labkit: cannot start the container: ")


def test_without_is_what_it_says(lab: Lab) -> None:
    whole = lab.cli("run", "--rm", "busybox", "hostname")
    done = lab.cli("run", "--rm", "--without", "namespace.uts", "busybox", "hostname")
    assert whole.stdout.strip() != os.uname().nodename
    assert done.stdout.strip() == os.uname().nodename
    assert done.stderr.startswith("WARNING: ")


# ps, images, logs, inspect, import


def test_ps_and_rm(lab: Lab) -> None:
    lab.cli("run", "-d", "--name", "one", "busybox", "sleep", "100", check=True)
    lab.cli("run", "--name", "two", "busybox", "true", check=True)
    running = lab.cli("ps").stdout.splitlines()
    assert running[0].split("  ")[0] == "CONTAINER ID"
    assert len(running) == 2
    assert re.search(r'"sleep 100" .* Up .* one$', running[1])
    everything = lab.cli("ps", "-a").stdout.splitlines()
    assert len(everything) == 3
    assert re.search(r"Exited \(0\) .* two$", everything[1])
    assert lab.cli("ps", "-q", "-l").stdout == everything[1][:12] + "\n"
    assert len(lab.cli("ps", "-q", "-f", "status=exited").stdout.splitlines()) == 1
    done = lab.cli("rm", "one", "two")
    assert (done.returncode, done.stdout) == (1, "two\n")
    assert lab.cli("rm", "-f", "one").stdout == "one\n"
    assert containers(lab) == []


def test_create_and_start(lab: Lab) -> None:
    lab.cli("create", "--name", "later", "busybox", "sh", "-c", "echo again", check=True)
    for _ in range(2):
        assert lab.cli("start", "later").stdout == "later\n"
        assert lab.cli("wait", "later").stdout == "0\n"
    assert lab.cli("logs", "later").stdout == "again\nagain\n"


def test_logs(lab: Lab) -> None:
    script = "echo one; echo two >&2; sleep 0.3; echo three"
    lab.cli("run", "-d", "--name", "talker", "busybox", "sh", "-c", script, check=True)
    done = lab.cli("logs", "-f", "talker")
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    assert lab.cli("logs", "-n", "1", "talker").stdout == "three\n"
    stamped = lab.cli("logs", "-t", "talker").stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z three", stamped[-1])
    assert lab.cli("logs", "--since", "1h", "talker").stdout == "one\nthree\n"
    assert lab.cli("logs", "--until", "1h", "talker").stdout == ""


def test_inspect(lab: Lab) -> None:
    lab.cli("run", "--name", "asked", "-m", "64m", "busybox", "true", check=True)
    [container] = json.loads(lab.cli("inspect", "asked").stdout)
    assert container["HostConfig"]["Memory"] == 64 << 20
    assert lab.cli("inspect", "-f", "{{json .Config.Cmd}}", "asked").stdout == '["true"]\n'
    [image] = json.loads(lab.cli("inspect", "busybox").stdout)
    assert image["RepoTags"] == ["busybox:latest"]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "hello").write_text("from the archive\n")
    path = str(tmp_path / "root.tar")
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "hello", "hello")
    yield path


def test_import(make_lab: Callable[[], Lab], archive: str) -> None:
    lab = make_lab()
    done = lab.cli("import", "-c", 'CMD ["/hello"]', archive, "mine:1")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.stdout)
    assert done.stderr == ""
    rows = lab.cli("images").stdout.splitlines()
    assert any(row.split()[:2] == ["mine", "1"] for row in rows)
    assert lab.cli("images", "-q", "mine").stdout == done.stdout[7:19] + "\n"
    with open(archive, "rb") as file:
        piped = lab.cli("import", "-", "piped", stdin=file)
    assert piped.returncode == 0
    assert "piped" in lab.cli("images", "piped").stdout
    not_tar = lab.cli("import", "/etc/passwd", "bad")
    assert not_tar.returncode == 1
    assert not_tar.stderr.startswith("labkit: ")
    assert not_tar.stderr.count("\n") == 1


def test_version_info_doctor(lab: Lab) -> None:
    assert "Server:\n Version: " in lab.cli("version", check=True).stdout
    info = lab.cli("info", check=True).stdout
    assert f" Docker Root Dir: {lab.root}\n" in info
    assert max(map(len, lab.cli("doctor").stdout.splitlines())) <= 80


# The Python client


def test_the_python_client(lab: Lab) -> None:
    with Client(lab.socket) as client:
        assert client.ping()
        assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"
        with pytest.raises(ContainerError, match="ended with status 3: bad"):
            client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
        with pytest.raises(StartError) as caught:
            client.containers.run("busybox", ["nosuch"], remove=True)
        assert (caught.value.exit_code, caught.value.step) == (127, "exec")
        assert client.containers.list(all=True) == []
        container = client.containers.run(
            "busybox", ["sleep", "100"], detach=True, name="py", labels={"a": "b"}, mem_limit="64m"
        )
        assert (container.status, container.name) == ("created", "py")
        container.reload()
        assert container.status == "running"
        assert client.containers.list(filters={"label": "a=b"}) == [container]
        assert [step["Step"] for step in container.steps()][-1] == "exec"
        container.kill("KILL")
        assert container.wait()["StatusCode"] == 137
        container.remove()
        assert "busybox:latest" in [tag for image in client.images.list() for tag in image.tags]
