"""Known ways out through what the engine has open: descriptors, its own program, keys, sockets.

Each test is named by the public number of the hole, tries it for real, and shows by a control that
it would be seen: with the step left out, or with more power, the same attempt gets further.
"""

import ctypes
import os
import socket
import stat
import sys
import time
from contextlib import closing, suppress

import pytest

from labkit.containers.inside.execs import ExecConfig
from labkit.containers.records.model import DeviceMapping
from labkit.errors import StartError
from labkit.images.models import Healthcheck
from labkit.kernel import libc
from labkit.runtime import operations as op
from tests.containers import create, run, shell, wait_until

pytestmark = pytest.mark.root

NUMBERS = range(3, 16)
"""More descriptors than a container's first process has ever had open."""
HANDS = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.isdir(path)]
"""Binds that bring the host's Python into a container, to make system calls with."""
PYTHON = os.path.realpath(sys.executable)


def start(engine, *command, **options):
    container_id = create(engine, *(command or ("sleep", "60")), **options)
    engine.start(container_id)
    return container_id


def execute(engine, container_id, *command, **options):
    """Run an exec to its end; what it printed and its exit code."""
    config = ExecConfig(cmd=list(command), attach_stdout=True, attach_stderr=True, **options)
    made = engine.execs.create(container_id, config)
    ours, theirs = socket.socketpair()
    with ours:
        engine.execs.start(made.id, theirs.fileno(), b"")
        theirs.close()
        data = b""
        while part := ours.recv(65536):
            data += part
    with made.changed:
        assert made.changed.wait_for(lambda: made.exit_code is not None, 30)
    return data, made.exit_code


def processes_in(first: int) -> list[int]:
    """The processes of a PID namespace that it is the last namespace of, by the host's numbers."""
    mine = os.readlink(f"/proc/{first}/ns/pid")
    found = []
    for name in os.listdir("/proc"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if name.isdigit() and os.readlink(f"/proc/{name}/ns/pid") == mine:
                found.append(int(name))
    return sorted(found)


def devices_in(pid: int) -> set[int]:
    """The numbers of the file systems that are mounted where a process is."""
    with open(f"/proc/{pid}/mountinfo") as file:
        numbers = (line.split()[2].split(":") for line in file)
        return {os.makedev(int(major), int(minor)) for major, minor in numbers}


def files_of_the_host(first: int) -> list[str]:
    """What a container's processes have open that is neither its own nor a pipe made for it."""
    own = devices_in(first) - devices_in(os.getpid())
    found = []
    for pid in processes_in(first):
        for name in (*(f"fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")), "cwd", "root", "exe"):
            file = os.stat(f"/proc/{pid}/{name}")
            is_pipe = stat.S_ISFIFO(file.st_mode) or stat.S_ISSOCK(file.st_mode)
            if not is_pipe and file.st_dev not in own:
                found.append(f"{name} {os.readlink(f'/proc/{pid}/{name}')}")
    return found


STARTS = {
    "run -d": {},
    "run -i": {"open_stdin": True},
    "run -t": {"tty": True},
    "run -it": {"open_stdin": True, "tty": True},
    "run --init": {"init": True},
    "run --privileged": {"privileged": True},
    "run --cap-drop ALL": {"cap_drop": ["ALL"]},
    "run --userns private": {"userns_mode": "private"},
    "run -v tmpfs:/dev": {"tmpfs": {"/dev": ""}},
}


@pytest.mark.parametrize("way", STARTS)
def test_nothing_open_is_a_file_of_the_hosts(engine, way):
    container_id = start(engine, **STARTS[way])
    first = engine.get(container_id).state.pid
    for again in (False, True):
        if again:
            engine.restart(container_id, timeout_s=0)
            first = engine.get(container_id).state.pid
        wait_until(lambda first=first: comm_of(first) in ("sleep", "init"))
        # --init is a program of the host's, shown read-only; a container cannot change it.
        expected = ["exe /dev/init"] if way == "run --init" else []
        # The program that the init starts is the init itself until it runs its own program.
        wait_until(lambda first=first, expected=expected: files_of_the_host(first) == expected)
    engine.kill(container_id)


def comm_of(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


EXECS = {
    "exec": {"attach_stdout": True},
    "exec -d": {},
    "exec -i": {"attach_stdin": True, "attach_stdout": True},
    "exec -t": {"tty": True, "attach_stdout": True},
    "exec --privileged": {"privileged": True},
    "exec -u": {"user": "1000:1000"},
}


@pytest.mark.parametrize("way", EXECS)
def test_nothing_open_in_an_exec_is_a_file_of_the_hosts(engine, way):
    container_id = start(engine)
    first = engine.get(container_id).state.pid
    made = engine.execs.create(container_id, ExecConfig(cmd=["sleep", "60"], **EXECS[way]))
    engine.execs.start(made.id, None, b"")
    assert len(processes_in(first)) == 2
    assert files_of_the_host(first) == []
    engine.kill(container_id)


def test_nothing_open_in_a_healthcheck_is_a_file_of_the_hosts(engine):
    check = Healthcheck(test=["CMD", "sleep", "50"], interval=10**9)
    container_id = start(engine, healthcheck=check)
    first = engine.get(container_id).state.pid
    wait_until(lambda: len(processes_in(first)) == 2 and comm_of(processes_in(first)[1]) == "sleep")
    assert files_of_the_host(first) == []
    engine.kill(container_id)


@pytest.mark.parametrize("options", [{}, {"cap_drop": ["ALL"]}, {"tty": True}, {"user": "1000"}])
def test_dev_null_of_the_host_stays_as_it_is(engine, options):
    before = os.stat("/dev/null")
    script = "for n in 0 1 2; do chmod 667 /proc/self/fd/$n; chown 1000 /proc/self/fd/$n; done"
    shell(engine, script, **options)
    container_id = start(engine, **options)
    execute(engine, container_id, "sh", "-c", script)
    after = os.stat("/dev/null")
    try:
        assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    finally:
        os.chmod("/dev/null", 0o666)
        os.chown("/dev/null", 0, 0)
        engine.kill(container_id)


NULL_AS_STDIN = 'stat -L -c "%t:%T" /proc/self/fd/0; cmp -s /dev/stdin /dev/null && echo empty'


def test_stdin_is_the_containers_own_null(engine):
    assert shell(engine, NULL_AS_STDIN) == ("1:3\nempty\n", 0)
    container_id = start(engine, "sh", "-c", "rm /dev/null; mkfifo /dev/null; exec sleep 60")
    wait_until(lambda: comm_of(engine.get(container_id).state.pid) == "sleep")
    # What the container has put there instead is not opened: it could never answer.
    output, code = execute(engine, container_id, "cat")
    assert (output, code) == (b"", 0)
    engine.kill(container_id)


def test_a_terminal_that_is_none_is_refused(engine):
    container_id = start(engine, "sh", "-c", "rm /dev/ptmx; mkfifo /dev/ptmx; exec sleep 60")
    wait_until(lambda: comm_of(engine.get(container_id).state.pid) == "sleep")
    with pytest.raises(StartError, match="not the multiplexer"):
        execute(engine, container_id, "true", tty=True)
    engine.kill(container_id)


def started_somewhere(attempt) -> list[int]:
    """The numbers with which the attempt was not refused."""
    found = []
    for number in NUMBERS:
        try:
            attempt(number)
        except StartError:
            continue
        found.append(number)
    return found


@pytest.fixture
def open_doors(monkeypatch):
    """The control: an engine that closes its descriptors only at the end."""
    return lambda: monkeypatch.setattr(op, "CloseDescriptors", op.CloseDescriptorsOnExec)


def test_cve_2024_21626_a_working_directory_of_the_hosts(engine, open_doors):
    """`-w /proc/self/fd/7`: a folder that the engine has open is a way to the host's root."""

    def attempt(number):
        run(engine, "true", working_dir=f"/proc/self/fd/{number}")

    assert started_somewhere(attempt) == []
    open_doors()
    assert started_somewhere(attempt) != []


def test_cve_2024_21626_in_exec_too(engine):
    container_id = start(engine)

    def attempt(number):
        execute(engine, container_id, "true", working_dir=f"/proc/self/fd/{number}")

    assert started_somewhere(attempt) == []
    assert execute(engine, container_id, "pwd", working_dir="/proc/self/root")[1] == 0


def test_cve_2024_21626_a_program_of_the_hosts(engine, open_doors):
    """The same door as the way to a program, whose file could then be written to."""
    up = "/.." * 12

    def attempt(number):
        run(engine, f"/proc/self/fd/{number}{up}/bin/busybox", "true", binds=HANDS)

    assert started_somewhere(attempt) == []
    open_doors()
    assert started_somewhere(attempt) != []


def test_cve_2024_21626_a_device_made_through_a_door(engine, folder, open_doors):
    """`--device`: the folders above the device's place are made; a link must not lead them out."""

    def made():
        return [path for path, _, _ in os.walk(f"{folder}/root/containers") if "/made" in path]

    def attempt(number):
        device = DeviceMapping("/dev/zero", f"/proc/self/fd/{number}/made/zero", "r")
        run(engine, "true", devices=[device])

    assert (started_somewhere(attempt), made()) == ([], [])
    open_doors()
    assert started_somewhere(attempt) != []
    assert made() != []


def test_cve_2019_5736_the_engines_program_through_proc_self_exe(engine):
    """A process that enters a container is made to run itself, and could be written to."""
    container_id = start(engine, binds=HANDS)
    program = (
        "import os; flags = os.statvfs('/proc/self/exe').f_flag; print(flags & os.ST_RDONLY)\n"
        "os.open('/proc/self/exe', os.O_WRONLY)"
    )
    output, code = execute(engine, container_id, "/proc/self/exe", "-c", program)
    assert code == 1
    assert b"1\n" in output
    assert b"OSError" in output
    # It is the mount that forbids it, and not the file system that the program is in.
    assert not os.statvfs(PYTHON).f_flag & os.ST_RDONLY


SPY = """
while :; do for p in /proc/[0-9]*; do
    [ $p = /proc/1 ] && continue
    read comm < $p/comm; seen=nothing; [ -e $p/fd/0 ] && seen=open
    read after < $p/comm
    [ "$after" = sleep ] || [ "$comm" != "$after" ] || echo "$comm $seen"
done; done 2>/dev/null >> /v/seen
"""


def seen_by_a_spy(engine, enough, **options) -> list[str]:
    """What a process of the container sees of those that enter it, before they are its own."""
    container_id = start(engine, "sh", "-c", SPY, binds=["spied:/v"], **options)
    path = f"{engine.volumes.find('spied').data}/seen"
    deadline = time.monotonic() + 20
    lines: list[str] = []
    while not enough(lines) and time.monotonic() < deadline:
        execute(engine, container_id, "sleep", "0")
        with open(path) as file:
            lines = [line.strip() for line in file]
    engine.remove(container_id, force=True)
    os.unlink(path)
    return lines


def looked_into(lines: list[str]) -> list[str]:
    return [line for line in lines if line.endswith(" open")]


def test_cve_2016_9962_looking_into_who_enters(engine):
    """Between entering and its own exec a process holds what is the engine's: nobody may look.

    What is asked here is what ptrace(2) asks too: who may not look may not attach either.
    """
    lines = seen_by_a_spy(engine, lambda lines: len(lines) > 20)
    assert lines  # it was there to be seen
    assert looked_into(lines) == []
    assert looked_into(seen_by_a_spy(engine, looked_into, privileged=True))


SEARCH = """
import ctypes, sys
call = ctypes.CDLL(None, use_errno=True).syscall
print(call(int(sys.argv[1]), 10, -3, b"user", sys.argv[2].encode(), 0))
"""
"""keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, …): the key's number, or -1."""


@pytest.fixture
def host_key():
    """A key in the session keyring that the engine was started with."""
    name, add_key, unlink = f"labkit-{os.getpid()}", 248 if libc.SYS_KEYCTL == 250 else 217, 9
    call = ctypes.CDLL(None, use_errno=True).syscall
    number = call(add_key, b"user", name.encode(), b"secret", 6, -3)
    assert number > 0, os.strerror(ctypes.get_errno())
    yield name
    call(libc.SYS_KEYCTL, unlink, number, -3)


def test_the_hosts_keys_are_out_of_reach(host_key, engine):
    """A keyring is in no namespace; privileged, so that no filter hides the calls."""
    words = (PYTHON, "-c", SEARCH, str(libc.SYS_KEYCTL), host_key)
    options = {"binds": HANDS, "privileged": True}
    assert run(engine, *words, **options) == ("-1\n", 0)
    found, code = run(engine, *words, without=["keyring"], **options)
    assert (int(found) > 0, code) == (True, 0)
    container_id = start(engine, **options)
    output, code = execute(engine, container_id, *words)
    assert (output[8:], code) == (b"-1\n", 0)


def test_cve_2020_15257_no_socket_of_the_engines_without_a_file(engine, folder):
    """With the host's network a container reaches every socket that is a mere name."""
    with closing(socket.socket(socket.AF_UNIX)) as control:
        control.bind("\0labkit-control")
        shown, _ = shell(engine, "grep -o '@.*' /proc/net/unix", network_mode="host")
    ours = [
        name for name in shown.splitlines() if "labkit" in name or os.path.basename(folder) in name
    ]
    assert ours == ["@labkit-control"]
