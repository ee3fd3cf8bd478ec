"""What goes wrong in a build, with its place in the Dockerfile."""

from labkit.errors import InvalidParameterError, LabkitError


class DockerfileError(InvalidParameterError):
    """The Dockerfile cannot be read: which file, which line, what it says, and what is wrong."""

    def __init__(self, why: str, file: str, line: int, source: str) -> None:
        shown = f"\n{file}:{line}: {source.strip()}" if source.strip() else ""
        super().__init__(f"dockerfile parse error on line {line}: {why}{shown}")
        self.line = line


class BuildError(LabkitError):
    """An instruction failed; `code` is its command's exit code, or 1."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class CancelledError(LabkitError):
    """The client that asked for the build has gone."""
