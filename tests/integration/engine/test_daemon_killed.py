"""kill -9 of the daemon at random moments of a build and of a load: what is there is whole.

Pull and push: `test_pull_crashes`.  The store by itself, without a daemon: `test_images_killed`.
"""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from labkit.images import ImageStore
from tests.images import archive, assert_consistent, entry, wait_for_helpers
from tests.lab import Lab, running_lab

pytestmark = pytest.mark.root

SEED = 4
ROUNDS = 6
STEPS = 6
TEXT = "FROM busybox\n" + "".join(
    f"RUN echo {number} > /f{number}\nCOPY <<a /c{number}\n{number}\na\n" for number in range(STEPS)
)
SETTLE_S = 10.0


@pytest.fixture
def lab():
    with running_lab() as one:
        yield one


def killed_after(lab: Lab, delay_s: float, *words: str, given: bytes = b"") -> bool:
    """Kill the daemon so long after the command has begun; whether it was not done by then."""
    with subprocess.Popen(
        lab.argv(*words),
        env=lab.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as command:
        command.stdin.write(given)
        command.stdin.close()
        time.sleep(delay_s)
        lab.kill_daemon()
        done = command.wait(20) == 0
    lab.start_daemon()
    return not done


def settled(lab: Lab) -> ImageStore:
    """The store, once the next daemon has cleaned up what the killed one has left."""
    assert lab.api("GET", "/containers/json?all=1")[1] == []
    assert not os.path.exists(f"{lab.root}/build/rooms") or not os.listdir(
        f"{lab.root}/build/rooms"
    )
    deadline = time.monotonic() + SETTLE_S
    while mounts := [
        line for line in Path("/proc/mounts").read_text().splitlines() if lab.folder in line
    ]:
        assert time.monotonic() < deadline, mounts
        time.sleep(0.05)
    wait_for_helpers(Path(lab.root))
    return assert_consistent(Path(lab.root))


def spent(lab: Lab, *words: str, given: bytes = b"") -> float:
    before = time.monotonic()
    subprocess.run(lab.argv(*words), env=lab.env, input=given, check=True, capture_output=True)
    return time.monotonic() - before


def test_build(lab: Lab) -> None:
    """Whenever it comes, every image that is there can be used, and a build goes through."""
    whole_s = spent(lab, "build", "--network", "none", "-t", "whole:1", "-", given=TEXT.encode())
    rnd, rounds, killed = random.Random(SEED), 0, False
    while rounds < ROUNDS or not killed:
        lab.cli("rmi", "whole:1", check=True)
        words = ("build", "--network", "none", "--no-cache", "-t", "whole:1", "-")
        delay_s = rnd.uniform(0, whole_s)
        if killed_after(lab, delay_s, *words, given=TEXT.encode()):
            killed = True
        else:
            whole_s = delay_s  # Done by then: a later round need not wait as long.
        rounds += 1
        for image in settled(lab).list():
            assert lab.cli("run", "--rm", "--network", "none", image.id, "true").returncode == 0
        lab.cli("build", "--network", "none", "-t", "whole:1", "-", input=TEXT, check=True)
        shown = lab.cli("run", "--rm", "--network", "none", "whole:1", "cat", "/f5", "/c5").stdout
        assert shown == "5\n5\n"


def test_load(lab: Lab) -> None:
    """An image of it is there whole, or not at all."""
    noise = random.Random(SEED)
    tar = archive(*(entry(f"d/{n}", content=noise.randbytes(20_000)) for n in range(400)))
    subprocess.run(
        lab.argv("import", "-", "large:1"),
        env=lab.env,
        input=tar.getvalue(),
        check=True,
        capture_output=True,
    )
    path = f"{lab.folder}/saved.tar"
    lab.cli("save", "-o", path, "large:1", "busybox", check=True)
    lab.cli("rmi", "large:1", check=True)
    whole_s = spent(lab, "load", "-i", path)
    rnd, rounds, killed = random.Random(SEED), 0, False
    while rounds < ROUNDS or not killed:
        lab.cli("rmi", "large:1", "busybox")
        delay_s = rnd.uniform(0, whole_s)
        if killed_after(lab, delay_s, "load", "-i", path):
            killed = True
        else:
            whole_s = delay_s
        rounds += 1
        names = {tag for image in settled(lab).list() for tag in image.tags}
        assert names <= {"large:1", "busybox:latest"}
