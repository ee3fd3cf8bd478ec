"""The errors of a build, with their place in the Dockerfile."""

from labkit.errors import InvalidParameterError, LabkitError


class DockerfileError(InvalidParameterError):
    """The Dockerfile cannot be read: which file, which line, what it says, and what is wrong."""

    def __init__(self, why: str, file: str, line: int, source: str) -> None:
        shown = f"\n{file}:{line}: {source.strip()}" if source.strip() else ""
        super().__init__(f"dockerfile parse error on line {line}: {why}{shown}")
        self.why = why
        self.line = self.last_line = line


class TextError(DockerfileError):
    """No instruction is wrong, but the file's text: a client gets its message alone."""


class BuildError(LabkitError):
    """An instruction failed; `code` is its command's exit code, or 1.

    `why` is what went wrong, without the place; `line` and `last_line` are of the Dockerfile, from
    1, or 0 if it is of none.
    """

    def __init__(
        self,
        message: str,
        code: int = 1,
        *,
        why: Exception | None = None,
        line: int = 0,
        last_line: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.why = why
        self.line = line
        self.last_line = last_line


class MissingSourceError(InvalidParameterError):
    """COPY or ADD names a file that is not in the context."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"file not found in build context or excluded by .dockerignore: stat {path}: "
            "file does not exist"
        )
        self.path = path


class CommandError(BuildError):
    """The command of a RUN ended with another code than 0."""

    def __init__(self, message: str, code: int, command: str) -> None:
        super().__init__(message, code)
        self.command = command


class CancelledError(LabkitError):
    """The client that asked for the build has gone."""
