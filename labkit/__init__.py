"""labkit: a container engine small enough to read, and the course that teaches from it."""

__version__ = "0.1.0"
