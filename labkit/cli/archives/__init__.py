"""Tar archives that a command sends or receives."""
