"""`%docker`, `%%docker` and `%%dockerfile`: the notes' commands, letter for letter, in a notebook.

    %docker run --rm busybox echo hi

    %%docker
    docker run -d --name web busybox sleep 100
    docker ps

    %%dockerfile -t greeting
    FROM busybox
    CMD echo hello

Every line goes to the `labkit` command, in a process of its own.  What it prints is printed again
from here, since text that a child writes straight to the terminal is lost to a notebook that is
run without a browser.  `{name}` stands for the Python variable of that name, if there is one; all
other braces, Docker's own `{{.ID}}` too, stay as they are.
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

_VARIABLE = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\}(?!\})")
_SHELL_WORDS = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


@magics_class
class DockerMagics(Magics):
    """The magics that `%load_ext labkit.course` brings."""

    @no_var_expand
    @line_cell_magic
    def docker(self, line: str, cell: str | None = None) -> None:
        """Run one Docker command (`%docker ps`), or one a line (`%%docker`), with labkit.

        A command that ends with another status than 0 says so; the status of the last one is in
        the variable `_exit_code`, as it is after `!command`.
        """
        if cell is None:
            self._run(line)
            return
        if line.strip():
            raise UsageError("%%docker stands alone on its line; the commands follow below it")
        for command in commands_of(cell):
            print(f"$ docker {command}", flush=True)
            self._run(command)

    @no_var_expand
    @cell_magic
    def dockerfile(self, line: str, cell: str) -> None:
        """Build an image from the cell's Dockerfile: `%%dockerfile -t NAME [OPTIONS] [FOLDER]`.

        The options are `docker build`'s.  The context is the folder that stands last, as a path
        that begins with `/` or `.`; without one there is none, as in `docker build - < Dockerfile`.
        The progress is printed as `docker build` prints it, the exit status kept as for `%docker`.
        """
        variables = self._variables()
        words = build_words(words_of(line, variables))
        variables["_exit_code"] = run_printing(words, stdin=cell)

    def _variables(self) -> dict[str, Any]:
        return {} if self.shell is None else self.shell.user_ns

    def _run(self, command: str) -> None:
        variables = self._variables()
        words = words_of(command, variables)
        if not words:
            raise UsageError("%docker needs a command, such as: %docker run --rm busybox echo hi")
        variables["_exit_code"] = run_printing(words)


def commands_of(cell: str) -> Iterator[str]:
    """The commands in a cell: one a line, `\\` joins lines, `#` begins a comment line.

    The word `docker` in front may be there or not.
    """
    for line in cell.replace("\\\n", " ").splitlines():
        command = line.strip()
        if command and not command.startswith("#"):
            yield re.sub(r"^docker\s+", "", command)


def build_words(words: list[str]) -> list[str]:
    """`docker build`'s words for those after `%%dockerfile`; the Dockerfile is on stdin."""
    # No value of build's options but --iidfile's looks like this: a name begins with a letter.
    has_folder = words[-1:] != [] and words[-1].startswith(("/", "."))
    return ["build", "-f", "-", *words] if has_folder else ["build", *words, "-"]


def words_of(command: str, variables: Mapping[str, Any]) -> list[str]:
    """The words of a command as a shell would split them, with `{name}` put in afterwards.

    So a value with spaces in it stays one word.  Raises `UsageError` for an open quote, and for
    what only a shell can do.
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
