"""`%docker`, `%%docker`, `%%terminal`, `%%dockerfile`: the notes' commands, letter for letter.

    %docker run --rm busybox echo hi

    %%docker
    docker run -d --name web busybox sleep 100
    docker ps

    %%docker --fresh web
    docker run -d --name web busybox sleep 100

    %%terminal docker run -it --rm busybox sh
    tty
    exit

    %%dockerfile -t greeting
    FROM busybox
    CMD echo hello

The `labkit` command runs every line in a new process.  The magic prints the command's output
itself, because a notebook that runs without a browser loses text that a child process writes to the
terminal.  `{name}` means the Python variable of that name, if there is one; all other braces,
Docker's own `{{.ID}}` too, stay as they are.  `--fresh` removes the containers with these names
first, so that the cell can run twice.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    magics_class,
    no_var_expand,
)

from labkit.course.page.command import run_printing
from labkit.course.page.leftovers import clear
from labkit.course.page.terminal import DETACH, Terminal

_VARIABLE = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\}(?!\})")
_LONG_DASH = re.compile(r"[\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}]+(?=\w)")
"""A dash that a text processor puts in the place of the hyphen before an option."""
_SHELL_WORDS = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


@magics_class
class DockerMagics(Magics):
    """The magics of `%load_ext labkit.course`."""

    @no_var_expand
    @line_cell_magic
    def docker(self, line: str, cell: str | None = None) -> None:
        """Run one Docker command (`%docker ps`), or one on each line (`%%docker`), with labkit.

        `%%docker --fresh NAME…` removes these containers first, without an error if there are none.
        An exit status other than 0 is printed; the status of the last command is in the variable
        `_exit_code`, as it is after `!command`.
        """
        if cell is None:
            self._run(line)
            return
        if line.strip():
            clear(containers=fresh_names(words_of(line, self._variables())))
        for command in commands_of(cell):
            print(f"$ docker {command}", flush=True)
            self._run(command)

    @no_var_expand
    @cell_magic
    def dockerfile(self, line: str, cell: str) -> None:
        """Build an image from the cell's Dockerfile: `%%dockerfile -t NAME [OPTIONS] [FOLDER]`.

        The options are those of `docker build`.  The context is the last word, if it is a path that
        begins with `/` or `.`; otherwise there is none, as in `docker build - < Dockerfile`.
        The progress is printed in the form of `docker build`, the exit status kept as by `%docker`.
        """
        variables = self._variables()
        words = build_words(words_of(line, variables))
        variables["_exit_code"] = run_printing(words, stdin=cell)

    @no_var_expand
    @cell_magic
    def terminal(self, line: str, cell: str) -> None:
        """Run a command that has `-it`, or `attach`, in a terminal, and type the cell's lines.

        The shell in the container gets the lines, one after the other.  A last line `exit` ends the
        shell; after any other last line the keys ctrl-p ctrl-q detach from it.
        """
        command = next(commands_of(line), "")
        words = words_of(command, self._variables())
        lines = [one.strip() for one in cell.splitlines() if one.strip()]
        print(f"$ docker {command}", flush=True)
        with Terminal(words) as terminal:
            for one in lines:
                print(f"# {one}", flush=True)
                if one == "exit":
                    terminal.press(b"exit\n")
                    break
                answer = terminal.ask(one)
                if answer:
                    print(answer, flush=True)
            else:
                terminal.press(DETACH)
                print("(ctrl-p ctrl-q)", flush=True)
            terminal.end()

    def _variables(self) -> dict[str, Any]:
        return {} if self.shell is None else self.shell.user_ns

    def _run(self, command: str) -> None:
        variables = self._variables()
        words = words_of(command, variables)
        if not words:
            raise UsageError("%docker needs a command, such as: %docker run --rm busybox echo hi")
        if wants_terminal(words):
            self._show_terminal(words)
            return
        variables["_exit_code"] = run_printing(words)

    def _show_terminal(self, words: list[str]) -> None:
        from IPython.display import display  # noqa: PLC0415 only a terminal on the page needs it

        from labkit.course.page.terminal_panel import TerminalPanel  # noqa: PLC0415 needs widgets

        display(TerminalPanel(words))  # type: ignore[no-untyped-call]  # IPython has no types


def wants_terminal(words: list[str]) -> bool:
    """Whether a command asks for keys and a terminal: `run -it`, `exec -it`, but not `run -dit`."""
    return words[0] in ("run", "exec") and any(word in ("-it", "-ti") for word in words[1:])


def fresh_names(words: list[str]) -> list[str]:
    """The names after `%%docker --fresh`; UsageError for any other words on that line."""
    if len(words) < 2 or words[0] != "--fresh":
        raise UsageError(
            "after %%docker only --fresh NAME… may follow; write the commands below that line"
        )
    return words[1:]


def commands_of(cell: str) -> Iterator[str]:
    """The commands in a cell: one on each line, `\\` joins lines, `#` begins a comment line.

    The word `docker` in front is optional.
    """
    for line in cell.replace("\\\n", " ").splitlines():
        command = line.strip()
        if command and not command.startswith("#"):
            yield re.sub(r"^docker\s+", "", command)


def build_words(words: list[str]) -> list[str]:
    """The arguments of `docker build` for those of `%%dockerfile`; the Dockerfile is on stdin."""
    # Of build's options only --iidfile can have a value like this: names begin with a letter.
    has_folder = words[-1:] != [] and words[-1].startswith(("/", "."))
    return ["build", "-f", "-", *words] if has_folder else ["build", *words, "-"]


def words_of(command: str, variables: Mapping[str, Any]) -> list[str]:
    """Split a command as a shell would, and then put in the values of `{name}`.

    So a value with spaces in it stays one word.  Raises `UsageError` for an open quote, for syntax
    of a shell, and for an option with a long dash, as some pages of text have it.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"cannot read this command ({error}): {command}") from None
    for word in words:
        if word in _SHELL_WORDS:
            raise UsageError(
                f"%docker runs one docker command, and '{word}' is the shell's: use a terminal, "
                "or put what belongs into the container in quotes: sh -c '…'"
            )
        if dash := _LONG_DASH.match(word):
            option = word[dash.end() :]
            meant = f"--{option}" if len(option.partition("=")[0]) > 1 else f"-{option}"
            raise UsageError(
                f"'{word}' begins with a long dash ({dash[0]}), as printed text has it: "
                f"type '{meant}', with hyphens"
            )
    return [_VARIABLE.sub(_value_from(variables), word) for word in words]


def _value_from(variables: Mapping[str, Any]) -> Callable[[re.Match[str]], str]:
    def value(match: re.Match[str]) -> str:
        name, *attributes = match[1].split(".")
        if name not in variables:
            return match[0]
        found = variables[name]
        for attribute in attributes:
            found = getattr(found, attribute)
        return str(found)

    return value
