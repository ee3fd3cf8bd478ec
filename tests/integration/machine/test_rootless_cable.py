"""The two cables of an engine without root: each leads to the machine's neighbours."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests import leaks
from tests.hosts import Host, enter, running_host
from tests.rootless import RootlessLab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

HIDE = 'for p in /usr/bin/{name}*; do mount --bind /dev/null $p; done; exec "$@"'
"""What shutil.which passes over, because nothing can run it."""
PAGE = "while :; do printf 'from outside\\n' | busybox nc -l -p 80; done"


@pytest.fixture
def host() -> Iterator[Host]:
    with running_host() as host:
        lan = host.lans[0]
        host.run("ip", "route", "add", "default", "via", lan.address)
        with subprocess.Popen([*enter(lan.pid), "sh", "-c", PAGE], start_new_session=True) as page:
            yield host
            subprocess.run(["kill", "--", f"-{page.pid}"], check=True)


@pytest.mark.parametrize(("cable", "hidden"), [("pasta", "slirp4netns"), ("slirp4netns", "pasta")])
def test_a_container_reaches_the_machines_neighbours(host: Host, cable: str, hidden: str) -> None:
    if not shutil.which(cable):
        pytest.skip(f"needs {cable}")
    lab = RootlessLab()
    hide = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HIDE.format(name=hidden)]
    lab.enter = [*host.enter(), *hide, "sh", *lab.enter]
    try:
        lab.start_daemon()
        lab.load()
        words = ("run", "--rm", "busybox", "nc", "-w", "5", host.lans[0].address, "80")
        answer = lab.cli(*words)
        assert (answer.returncode, answer.stdout) == (0, "from outside\n"), answer.stderr
        running = "\n".join(leaks.processes().values())
        assert (f": {cable} " in running, f": {hidden} " in running) == (True, False)
    finally:
        lab.close()
