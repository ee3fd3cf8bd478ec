"""labkit: a container engine small enough to read, and the course that teaches from it."""

__version__ = "0.1.0"
API_VERSION = "1.51"
"""The version of the Docker Engine API that the daemon serves and `labkit` speaks."""
