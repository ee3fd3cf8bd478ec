"""The oracle is a real dockerd with labkit's image, and it ends without a trace."""

import pytest

from labkit.images import ImageStore
from tests.lab import template_root
from tests.oracle import running_oracle

pytestmark = pytest.mark.root


def test_it_is_docker_and_has_the_image(oracle):
    assert b"containerd:" in oracle.docker("version").stdout
    shown = oracle.docker("inspect", "-f", "{{.Id}}", "busybox").stdout.decode().strip()
    assert shown == ImageStore(template_root()).resolve("busybox").id


def test_it_runs_containers(oracle):
    ran = oracle.docker("run", "--rm", "--network", "none", "busybox", "echo", "hi")
    assert (ran.returncode, ran.stdout) == (0, b"hi\n")


def test_a_container_that_runs_at_the_end_is_cleared_away(oracle):
    """What it leaves would fail the whole run (tests/leaks.py)."""
    with running_oracle() as other:
        started = other.docker("run", "-d", "--network", "none", "busybox", "sleep", "100")
        assert started.returncode == 0, started.stderr
