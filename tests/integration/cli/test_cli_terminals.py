"""`labkit` at a terminal: run -it, exec -it, attach, detach, sizes, and the terminal restored."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

TIMEOUT_S = 20.0
PROMPT = b"# "
DETACH = b"\x10\x11"
CTRL_C = b"\x03"
CTRL_D = b"\x04"


class Terminal:
    """A terminal of 24 lines and 80 columns on which `labkit WORDS` runs as the foreground job."""

    def __init__(self, lab: Lab, *words: str) -> None:
        self.main, self.fd = pty.openpty()
        self.set_size(24, 80)
        self.before = termios.tcgetattr(self.fd)
        self.seen = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *lab.argv(*words)],
            env=lab.env | {"TERM": "xterm"},
            cwd=PROJECT,
            stdin=self.fd,
            stdout=self.fd,
            stderr=self.fd,
        )

    def set_size(self, lines: int, columns: int) -> None:
        """The kernel tells the foreground job (SIGWINCH) when this changes it."""
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.main, keys)

    def expect(self, text: bytes) -> bytes:
        """Read until the text has come; what came, with it."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.seen:
            assert time.monotonic() < deadline, f"never {text!r}; there is {self.seen!r}"
            self._read(0.2)
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def _read(self, wait_s: float) -> bool:
        if not select.select([self.main], [], [], wait_s)[0]:
            return False
        self.seen += os.read(self.main, 65536)
        return True

    def end(self) -> tuple[int, bytes]:
        """Wait for the command's end; its exit code, and what came at last."""
        code = self.process.wait(TIMEOUT_S)
        while self._read(0.1):
            pass
        return code, self.seen

    @property
    def is_restored(self) -> bool:
        return termios.tcgetattr(self.fd) == self.before

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.main)
        os.close(self.fd)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(*words: str) -> Terminal:
        opened.append(Terminal(lab, *words))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def shell(lab: Lab) -> Lab:
    """A container `shell` whose first process is a shell at a terminal."""
    lab.cli("run", "-dit", "--name", "shell", "busybox", "sh", check=True)
    return lab


def status(lab: Lab, name: str) -> str:
    return lab.cli("inspect", "-f", "{{.State.Status}}", name).stdout.strip()


def test_run_it(lab: Lab, terminal: Open) -> None:
    term = terminal("run", "-it", "--rm", "busybox", "sh")
    term.expect(PROMPT)
    assert term.is_raw
    term.type(b"stty size; tty; echo two$((1+1))\r")
    shown = term.expect(b"two2")
    assert b"24 80" in shown
    assert b"/dev/pts/0" in shown
    term.type(b"exit 42\r")
    code, _ = term.end()
    assert (code, term.is_restored) == (42, True)


def test_keys_reach_the_container_as_they_are(lab: Lab, terminal: Open) -> None:
    term = terminal("run", "-it", "--rm", "busybox", "sh")
    term.expect(PROMPT)
    term.type(b"awk '{ print \"answer:\" $0 }'; echo interrupted $?\r")
    term.expect(b"\n")
    term.type(b"hello\n")
    term.expect(b"answer:hello\r\n")  # it is in the foreground
    term.type(CTRL_C)
    term.expect(b"^C")
    term.expect(PROMPT)
    term.type(CTRL_D)
    assert term.end()[0] == 130


def expect_size(term: Terminal, size: bytes) -> None:
    """Ask until that is the size: it follows, but nobody says when."""
    deadline = time.monotonic() + TIMEOUT_S
    shown = b""
    while size not in shown:
        assert time.monotonic() < deadline, f"the size did not follow: {shown!r}"
        term.type(b"stty size\r")
        shown = term.expect(PROMPT)


def test_the_size_follows(lab: Lab, terminal: Open) -> None:
    term = terminal("run", "-it", "--rm", "busybox", "sh")
    term.expect(PROMPT)
    term.set_size(40, 100)
    expect_size(term, b"40 100")
    term.type(b"exit\r")
    assert term.end()[0] == 0


def test_detach_and_attach(shell: Lab, terminal: Open) -> None:
    first = terminal("attach", "shell")
    first.expect(PROMPT)
    first.type(b"mine=7\r")
    first.expect(PROMPT)
    first.type(DETACH)
    code, shown = first.end()
    assert (code, first.is_restored) == (0, True)
    assert b"read escape sequence" in shown
    assert status(shell, "shell") == "running"
    again = terminal("attach", "--detach-keys", "ctrl-x,x", "shell")
    again.expect(PROMPT)  # drawn for who has just come
    again.type(b"echo still$mine\r")
    again.expect(b"still7")
    again.type(b"\x18x")
    assert again.end()[0] == 0
    last = terminal("attach", "shell")
    last.expect(PROMPT)
    last.type(b"exit 4\r")
    assert last.end()[0] == 4
    assert status(shell, "shell") == "exited"


def test_exec_it_is_another_process(shell: Lab, terminal: Open) -> None:
    term = terminal("exec", "-it", "-e", "A=b", "-w", "/tmp", "shell", "sh")
    term.expect(PROMPT)
    assert term.is_raw
    term.type(b"echo $$ $A $(pwd) $(tty)\r")
    shown = term.expect(b"/dev/pts/1")
    assert b"b /tmp" in shown
    term.expect(PROMPT)
    term.set_size(30, 90)
    expect_size(term, b"30 90")
    term.type(b"exit 3\r")
    assert (term.end()[0], term.is_restored) == (3, True)
    assert status(shell, "shell") == "running"


def test_exec_is_left_by_its_keys(shell: Lab, terminal: Open) -> None:
    term = terminal("exec", "-it", "shell", "sh")
    term.expect(PROMPT)
    term.type(DETACH)
    code, shown = term.end()
    assert (code, term.is_restored) == (0, True)
    assert b"read escape sequence" in shown


def test_start_ai(lab: Lab, terminal: Open) -> None:
    lab.cli("create", "-it", "--name", "later", "busybox", "sh", check=True)
    for code in (5, 6):
        term = terminal("start", "-ai", "later")
        term.expect(PROMPT)
        term.type(b"exit %d\r" % code)
        assert term.end()[0] == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_restores_the_terminal(shell: Lab, terminal: Open, number: int) -> None:
    term = terminal("attach", "shell")
    term.expect(PROMPT)
    assert term.is_raw
    term.process.send_signal(number)
    code, shown = term.end()
    assert (code, term.is_restored) == (128 + number, True)
    assert b"the container still runs" in shown
    assert status(shell, "shell") == "running"


def test_a_container_that_is_killed_restores_the_terminal(shell: Lab, terminal: Open) -> None:
    term = terminal("attach", "shell")
    term.expect(PROMPT)
    shell.cli("kill", "shell", check=True)
    assert term.end()[0] == 137
    assert term.is_restored


def test_kill_9_of_the_daemon_and_the_terminal_goes_on(
    make_lab: Callable[[], Lab],
) -> None:
    lab = make_lab()
    term = Terminal(lab, "run", "-it", "--rm", "busybox", "sh")
    try:
        term.expect(PROMPT)
        lab.kill_daemon()
        term.type(b"echo on$((1+1)); exit 9\r")
        term.expect(b"on2")
        assert term.end()[0] == 9
        assert term.is_restored
    finally:
        term.close()


def test_a_terminal_without_input(lab: Lab, terminal: Open) -> None:
    term = terminal("run", "-t", "--rm", "busybox", "sh", "-c", "tty; sleep 100")
    term.expect(b"/dev/pts/0")
    assert not term.is_raw
    term.process.send_signal(signal.SIGKILL)
    term.process.wait()
    lab.remove_containers()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-it", "--rm", "busybox", "sh"),
        ("exec", "-it", "shell", "sh"),
        ("attach", "shell"),
    ],
    ids=lambda words: words[0],
)
def test_a_pipe_is_no_terminal(shell: Lab, words: tuple[str, ...]) -> None:
    done = shell.cli(*words, input="exit\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("labkit: the input device is not a TTY")
    assert len(shell.cli("ps", "-aq").stdout.split()) == 1


def test_stats_are_drawn_again_in_place(shell: Lab, terminal: Open) -> None:
    term = terminal("stats")
    term.expect(b"\x1b[H\x1b[2J")
    for _ in range(3):
        assert b"CPU %" in term.expect(b"\x1b[J")
    term.type(CTRL_C)  # this terminal is not raw: the kernel makes it a SIGINT
    assert term.end()[0] == 0


def test_who_detaches_is_an_event(shell: Lab, terminal: Open) -> None:
    for words in (("attach", "shell"), ("exec", "-it", "shell", "sh")):
        opened = terminal(*words)
        opened.expect(PROMPT)
        opened.type(DETACH)
        assert opened.end()[0] == 0
    made = shell.cli("inspect", "-f", "{{.Id}}", "shell").stdout.strip()
    wanted = ("--filter", f"container={made}", "--filter", "event=detach")
    told = shell.cli("events", "--since", "1m", "--until=-1s", *wanted, "--filter",
                     "event=exec_detach", "--format", "{{.Action}}")  # fmt: skip
    assert told.stdout.splitlines() == ["detach", "exec_detach"], told
