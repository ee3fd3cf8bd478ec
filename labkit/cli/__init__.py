"""The `labkit` command."""

from labkit.cli.main import main

__all__ = ["main"]
