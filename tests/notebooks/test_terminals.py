"""Terminals on a page, with a real engine: what is typed into them, what they leave."""

import time

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit.client import Client
from labkit.course.page.terminal_panel import TerminalPanel

pytestmark = pytest.mark.root

LIMIT_S = 60.0


def await_screen(panel: TerminalPanel, words: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while words not in panel.screen:
        assert time.monotonic() < deadline, panel.screen
        time.sleep(0.05)


def await_end(panel: TerminalPanel) -> None:
    deadline = time.monotonic() + LIMIT_S
    while panel.is_open:
        assert time.monotonic() < deadline, panel.screen
        time.sleep(0.05)


def test_a_panel_starts_nothing_until_it_is_opened(client: Client) -> None:
    panel = TerminalPanel(["run", "-it", "--rm", "busybox", "sh"])
    assert "run this cell in JupyterLab" in repr(panel)
    assert panel._repr_mimebundle_()
    panel.press(b"echo lost\n")
    assert client.containers.list(all=True) == []


def test_keys_reach_the_shell_and_its_words_the_screen(client: Client) -> None:
    panel = TerminalPanel(["run", "-it", "--rm", "busybox", "sh"])
    panel._repr_mimebundle_()
    panel.open()
    panel.press(b"echo $((6 * 7))\n")
    await_screen(panel, "42")
    assert "42" in panel._view._screen.value
    panel.press(b"exit\n")
    await_end(panel)
    assert panel._view._line.disabled
    assert client.containers.list(all=True) == []


def test_an_older_terminal_is_closed(client: Client) -> None:
    box = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    first, second = (TerminalPanel(["exec", "-it", box.id, "sh"]) for _ in range(2))
    first.open()
    second.open()
    assert not first.is_open
    second.press(b"echo here; exit\n")
    await_screen(second, "here")
    await_end(second)
    second.close()
    box.remove(force=True)


def test_a_cell_types_its_lines_into_attach_and_exec(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "labkit.course")
    shell.run_line_magic("docker", "run -dit --name talk busybox sh")
    capsys.readouterr()
    shell.run_cell_magic("terminal", "docker attach talk", "echo I am $$\n")
    assert capsys.readouterr().out == (
        "$ docker attach talk\n# echo I am $$\nI am 1\n(ctrl-p ctrl-q)\n"
    )
    shell.run_cell_magic("terminal", "docker exec -it talk sh", "tty\nexit\n")
    assert "/dev/pts/1" in capsys.readouterr().out
    talk = client.containers.get("talk")
    assert talk.status == "running"
    talk.remove(force=True)
