"""The two cables of an engine without root: each leads to the machine's neighbours."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests import leaks
from tests.hosts import Host, enter, inside, running_host
from tests.rootless import RootlessLab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

HIDE = 'for p in /usr/bin/{name}*; do mount --bind /dev/null $p; done; exec "$@"'
"""What shutil.which passes over, because nothing can run it."""
PAGE = "while :; do busybox nc -l -p 80 -e cat; done"
LATE = """
table ip late {
    chain arrive {
        type filter hook input priority filter
        tcp dport 80 ip length > 60 numgen inc mod 2 == 0 drop
    }
}
"""
"""A network far away: the first piece of data is lost, so that its acknowledgement comes late."""


@pytest.fixture
def host() -> Iterator[Host]:
    with running_host() as host:
        lan = host.lans[0]
        host.run("ip", "route", "add", "default", "via", lan.address)
        inside(lan.pid, "nft", "-f", "-", given=LATE)
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
        # pasta of Debian 12 sends segments without flags as long as nothing is acknowledged.
        script = f"(echo there and back; sleep 2) | nc -w 5 {host.lans[0].address} 80"
        answer = lab.cli("run", "--rm", "busybox", "sh", "-c", script)
        assert answer.stdout == "there and back\n", answer
        running = "\n".join(leaks.processes().values())
        assert (f": {cable} " in running, f": {hidden} " in running) == (True, False)
    finally:
        lab.close()
