"""An update: what an earlier release made and started, today's labkitd reads, serves and ends."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import PROJECT, Lab
from tests.releases import FOLDER

pytestmark = pytest.mark.root


@pytest.fixture(params=sorted(FOLDER.glob("*.tar.xz")), ids=lambda path: path.name)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab whose labkitd is the earlier release's; the next one that is started is today's."""
    lab = Lab()
    try:
        code = Path(lab.folder, "release")
        code.mkdir()
        with tarfile.open(request.param) as archive:  # a small Debian has no program xz
            # The archive is ours.  Python 3.11.2 has no filters; newer ones ask for one.
            archive.extraction_filter = lambda member, _: member
            archive.extractall(code)
        lab.code = code
        lab.start_daemon()
        yield lab
    finally:
        lab.close()


def update(lab: Lab) -> None:
    """End the earlier release's labkitd as a crash would, and start today's."""
    lab.kill_daemon()
    lab.code = PROJECT
    lab.start_daemon()


def said(lab: Lab, *words: str) -> str:
    done = lab.cli(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_containers_that_run_are_served_by_the_next_release(lab: Lab) -> None:
    code = Path(f"/proc/{lab.daemon_pid()}/cwd").resolve()
    assert code == lab.code, "the earlier release's labkitd"
    said(lab, "network", "create", "net1")
    Path(lab.folder, "file").write_text("a file")
    said(lab, "create", "--name", "copied", "busybox")
    said(lab, "cp", f"{lab.folder}/file", "copied:/")  # a body in pieces
    said(lab, "run", "-d", "--name", "one", "--network", "net1", "busybox", "sleep", "1000")
    said(lab, "run", "-d", "-i", "-t", "--name", "two", "busybox", "sh")
    said(lab, "run", "-d", "--name", "three", "busybox", "sh", "-c", "sleep 1; exit 7")
    update(lab)
    assert said(lab, "exec", "one", "echo", "inside") == "inside"
    assert lab.cli("exec", "one", "false").returncode == 1
    assert said(lab, "wait", "three") == "7"
    said(lab, "pause", "one")
    said(lab, "unpause", "one")
    assert said(lab, "run", "--rm", "--network", "net1", "busybox", "ping", "-c1", "one")
    said(lab, "stop", "-t", "0", "one")
    assert said(lab, "inspect", "-f", "{{.State.ExitCode}}", "one") == "137"
    said(lab, "exec", "two", "sh", "-c", "echo typed > /dev/pts/0")
    assert "typed" in said(lab, "logs", "two")
    said(lab, "start", "one")
    assert said(lab, "exec", "one", "echo", "again") == "again"


def test_what_is_kept_is_read_by_the_next_release(lab: Lab) -> None:
    said(lab, "volume", "create", "kept")
    said(lab, "run", "-v", "kept:/v", "--name", "one", "busybox", "sh", "-c", "echo hi | tee /v/a")
    said(lab, "commit", "one", "made")
    said(lab, "create", "--name", "two", "--cpu-shares", "512", "-p", "0:80", "made", "cat", "/v/a")
    update(lab)
    assert said(lab, "logs", "one") == "hi"
    assert said(lab, "run", "--rm", "-v", "kept:/v", "made", "cat", "/v/a") == "hi"
    assert said(lab, "inspect", "-f", "{{.HostConfig.CpuShares}}", "two") == "512"
    assert lab.cli("start", "-a", "two").returncode == 1, "no volume, no file"
    assert said(lab, "diff", "one") == "A /v"


def test_a_data_root_of_a_later_release_is_refused_by_name(lab: Lab) -> None:
    lab.stop_daemon()
    lab.code = PROJECT
    lab.start_daemon()
    lab.stop_daemon()
    path = Path(lab.root, "storage.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"Version": 99}))
    with pytest.raises(
        AssertionError, match=r"in format 99, and this one knows format 1.*LABKIT_ROOT"
    ):
        lab.start_daemon()
    path.write_text(json.dumps(record))
