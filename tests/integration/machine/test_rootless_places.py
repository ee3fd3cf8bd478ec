"""An engine without root in unprivileged containers: of dockerd, of podman, and of labkit itself.

The outer container is given what README asks for: no filter of system calls, a whole /proc, and one
line in /etc/subuid.  Its user is its root, who has Docker's default capabilities and so no power
over mounts.
"""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.engines import PODMAN_CONF
from bench.rooms import Room
from bench.systems import newest
from tests import leaks
from tests.lab import PROJECT, running_lab
from tests.oracle import Oracle
from tests.sweep import sweep

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `docker WORDS` or its like, in an outer engine that has the image `place`."""

LINKS = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
FOLDERS = ("usr", "etc", "proc", "sys", "dev", "run", "var", "root")
FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nlearner:x:1000:1000::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nlearner:x:1000:\n",
    "etc/subuid": "root:100000:65536\nlearner:200000:65536\n",
    "etc/subgid": "root:100000:65536\nlearner:200000:65536\n",
}
UNCONFINED = {
    "docker": ("seccomp=unconfined", "systempaths=unconfined"),
    "podman": ("seccomp=unconfined", "unmask=ALL"),
}
LABKIT = f"{sys.executable} -P -m labkit"
SCRIPT = f"""
set -e
labkit() {{ {LABKIT}.cli "$@"; }}
docker() {{ DOCKER_CONFIG=/tmp DOCKER_HOST=unix:///run/labkit/docker.sock /usr/bin/docker "$@"; }}
{LABKIT}.rootless {LABKIT}.images.base busybox > /dev/null
labkit run --rm busybox sh -c 'id -u; touch /f; chown 7:8 /f; stat -c %u:%g /f'
docker run -d --name web -p 8080:80 -m 64m busybox httpd -f -h /etc > /dev/null
docker exec web hostname > /dev/null
{sys.executable} -c 'import time, urllib.request as u
for _ in range(100):
    try:
        print(len(u.urlopen("http://127.0.0.1:8080/passwd").read()) > 9)
        break
    except OSError:
        time.sleep(0.05)'
docker info -f '{{{{.SecurityOptions}}}}' 2> /dev/null
docker rm -f web
"""


def image() -> bytes:
    """A root file system whose programs are this machine's, bound to /usr."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in LINKS.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, mode in (*((name, 0o755) for name in FOLDERS), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        tar.add("/etc/ld.so.cache", "etc/ld.so.cache")
        for name, text in FILES.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Outer:
    """An engine in which the outer container runs."""

    kind = "docker"

    def __init__(self, folder: str, command: list[str], run: Run, more: tuple[str, ...] = ()):
        self.command, self._run, self.more = command, run, more
        # An engine in a system of its own sees of this machine the folder alone.
        self.shown = {
            path: f"{folder}/shown{path}"
            for path in dict.fromkeys(["/usr", str(PROJECT), sys.prefix])
        }

    def run(self, *words: str, user: str = "0:0") -> "subprocess.CompletedProcess[str]":
        """`run --rm` of the image in which this machine's programs and the project are."""
        return self._run(
            *(*self.command, "run", "--rm", "--network", "none", "--user", user, *self.more),
            *("-e", "HOME=/tmp", "-e", f"PYTHONPATH={PROJECT}"),
            *(word for path, seen in self.shown.items() for word in ("-v", f"{seen}:{path}:ro")),
            *words,
        )

    def unconfined(self, *names: str) -> list[str]:
        return [word for name in names for word in ("--security-opt", name)]


@contextmanager
def shown(folder: str) -> Iterator[None]:
    """This machine's programs and the project, once more below a folder of the test's own."""
    mounted = []
    try:
        for path in dict.fromkeys(["/usr", str(PROJECT), sys.prefix]):
            place = f"{folder}/shown{path}"
            os.makedirs(place, exist_ok=True)
            subprocess.run(["mount", "--bind", path, place], check=True)
            mounted.append(place)
        yield
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", place], check=True)


def runner(env: dict[str, str] | None = None) -> Run:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, env=env, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@contextmanager
def in_dockerd() -> Iterator[Outer]:
    oracle = Oracle(newest())
    try:
        with shown(oracle.folder):
            oracle.start()
            assert oracle.docker("import", "-", "place", input=image()).returncode == 0
            yield Outer(oracle.folder, [oracle.program], runner(oracle.env))
    finally:
        oracle.close()


@contextmanager
def in_podman() -> Iterator[Outer]:
    folder = leaks.new_folder()
    parent = f"labkit-{os.path.basename(folder)}"
    room = Room(newest())
    try:
        with shown(folder):
            room.open()
            Path(folder, "containers.conf").write_text(PODMAN_CONF)
            Path(folder, "place.tar").write_bytes(image())
            places = [f"--{name}={folder}/{name}" for name in ("root", "runroot", "tmpdir")]
            # crun refuses this machine's mix of cgroup v1 and v2, runc does not.
            command = ["podman", *places, "--runtime", "runc", "--runtime-flag", f"root={folder}/r"]
            call = runner(os.environ | {"CONTAINERS_CONF": f"{folder}/containers.conf"})

            def run(*words: str) -> "subprocess.CompletedProcess[str]":
                return room.do(call, *words)

            made = run(*command, "import", f"{folder}/place.tar", "place")
            assert made.returncode == 0, made.stderr
            outer = Outer(folder, command, run, ("--cgroup-parent", f"/{parent}"))
            outer.kind = "podman"
            yield outer
    finally:
        room.close()
        sweep(folder, parent, "")


@contextmanager
def in_labkit() -> Iterator[Outer]:
    with running_lab() as lab, shown(lab.folder):
        path = f"{lab.folder}/place.tar"
        Path(path).write_bytes(image())
        lab.cli("import", path, "place", check=True)
        yield Outer(lab.folder, lab.argv(), runner(lab.env))


ENGINES = {"dockerd": in_dockerd, "podman": in_podman, "labkit": in_labkit}


@pytest.fixture(scope="module", params=ENGINES)
def outer(request: pytest.FixtureRequest) -> Iterator[Outer]:
    with ENGINES[request.param]() as engine:
        yield engine


def test_containers_in_an_unprivileged_container(outer: Outer) -> None:
    options = outer.unconfined(*UNCONFINED[outer.kind])
    done = outer.run(*options, "place", "sh", "-c", SCRIPT)
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert lines[:3] == ["0", "7:8", "True"], done.stderr
    assert "rootless" in lines[3]
    assert "discarded" in done.stderr  # the outer engine gives no groups


def test_what_the_outer_container_forbids_is_named(outer: Outer) -> None:
    for missing in UNCONFINED[outer.kind]:
        others = (name for name in UNCONFINED[outer.kind] if name != missing)
        done = outer.run(*outer.unconfined(*others), "place", "sh", "-c", f"{LABKIT}.doctor")
        assert done.returncode == 1
        assert missing in done.stderr


def test_a_user_of_the_outer_container_learns_how_to_have_ids(outer: Outer) -> None:
    """A setuid program has no power over a namespace that a user made, but for its ids."""
    options = outer.unconfined(*UNCONFINED[outer.kind])
    words = (*options, "place", "sh", "-c", f"{LABKIT}.cli run busybox")
    said = outer.run(*words, user="1000:1000").stderr
    assert "setcap cap_setuid+ep" in said, said
