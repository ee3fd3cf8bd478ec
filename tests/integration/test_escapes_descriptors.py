"""Known ways out through what the engine has open: descriptors, its own program, keys, sockets.

Each test is named by the public number of the hole, tries it for real, and shows by a control that
it would be seen: with the step left out, or with more power, the same attempt gets further.
"""

import ctypes
import os
import socket
import sys
import time
from contextlib import closing

import pytest

from labkit.containers.execs import ExecConfig
from labkit.containers.model import DeviceMapping
from labkit.errors import StartError
from labkit.kernel import libc
from labkit.runtime import operations as op
from tests.containers import create, run, shell

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
    # A subnet is claimed by such a name: nobody listens there, and nothing is read.
    names = [name for name in shown.splitlines() if not name.startswith("@labkit subnet ")]
    ours = [name for name in names if "labkit" in name or os.path.basename(folder) in name]
    assert ours == ["@labkit-control"]
