"""Containers that serve a word at port 80, and others that ask for it, for tests of networks."""

import socket

from tests.lab import Lab

SERVE = "exec nc -ll -p 80 -e echo {0}"


def start(lab: Lab, name: str, *options: str, serve: str = "") -> str:
    """Start a container that serves a word at port 80; return its first address."""
    script = SERVE.format(serve or name)
    lab.cli("run", "-d", "--name", name, *options, "busybox", "sh", "-c", script, check=True)
    inside(lab, name, "until nc -w 1 127.0.0.1 80 < /dev/null; do :; done")
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return lab.cli("inspect", "-f", form, name, check=True).stdout.split()[0]


def fetch(address: str, port: int = 80) -> str:
    with socket.create_connection((address, port), timeout=5) as connection:
        return connection.makefile().read().strip()


def inside(lab: Lab, name: str, command: str) -> str:
    """Return the output of a command in a container; empty if it fails."""
    done = lab.cli("exec", name, "sh", "-c", command)
    return done.stdout.strip() if done.returncode == 0 else ""


def ask(lab: Lab, name: str, address: str, port: int = 80) -> str:
    return inside(lab, name, f"nc -w 2 {address} {port} < /dev/null")


def create(lab: Lab, name: str, **fields: object) -> None:
    status, answer = lab.api("POST", "/networks/create", {"Name": name, **fields})
    assert status == 201, answer
