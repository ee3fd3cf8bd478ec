"""Where a build's files come from: Docker's own command, a Dockerfile elsewhere, git, a URL."""

import contextlib
import http.server
import os
import socket
import subprocess
import threading
import time

import pytest

from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab():
    with running_lab() as lab:
        yield lab


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a").write_text("x\n")
    return folder


def files_in(lab, image):
    return lab.cli("run", "--rm", "--network", "none", image, "ls", "-A", "/c", check=True).stdout


# A Dockerfile that is no part of the context


COPIES_ALL = "FROM busybox\nCOPY . /c\n"


@pytest.fixture(params=["stdin", "file"])
def elsewhere(request, tmp_path):
    """What `-f` is given for a Dockerfile that copies everything, and does not lie there."""
    (tmp_path / "Elsewhere").write_text(COPIES_ALL)
    return "-" if request.param == "stdin" else str(tmp_path / "Elsewhere")


def test_a_dockerfile_elsewhere_is_no_part_of_the_context(lab, context, elsewhere):
    words = ("build", "-t", "elsewhere", "-f", elsewhere, str(context))
    lab.cli(*words, input=COPIES_ALL, check=True)
    assert files_in(lab, "elsewhere") == "a\n"


def test_dockers_command_with_a_dockerfile_elsewhere(lab, context, elsewhere):
    """It ends the archive right after the last file, in the middle of a block."""
    done = subprocess.run(
        ["docker", "build", "-t", "dockers", "-f", elsewhere, str(context)],
        env=os.environ | {"DOCKER_HOST": f"unix://{lab.socket}", "DOCKER_BUILDKIT": "0"},
        input=COPIES_ALL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files_in(lab, "dockers") == "a\n"


def test_errors_name_a_dockerfile_elsewhere_as_the_user_does(lab, context):
    elsewhere = context.parent / "Elsewhere"
    elsewhere.write_text("FROM busybox\nRUN exit 3\n")
    done = lab.cli("build", "-f", str(elsewhere), str(context))
    assert done.stderr.endswith(f"{elsewhere}:2\n")
    elsewhere.write_text("FROM busybox\nRUNN x\n")
    done = lab.cli("build", "-f", str(elsewhere), str(context))
    assert f"{elsewhere}:2: RUNN x" in done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "sub/Mine"])
def test_an_ignore_file_of_the_dockerfiles_own_goes_before_the_contexts(lab, context, name):
    (context / "sub").mkdir()
    (context / name).write_text("FROM busybox\nCOPY a* /c/\n")
    (context / "ab").write_text("y")
    (context / ".dockerignore").write_text("a\n")
    (context / f"{name}.dockerignore").write_text("ab\n")
    flags = [] if name == "Dockerfile" else ["-f", str(context / name)]
    lab.cli("build", "-t", "ignoring", *flags, str(context), check=True)
    assert files_in(lab, "ignoring") == "a\n"


# git


def git(folder, *words):
    names = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", "-C", folder, *names, *words], check=True, capture_output=True)


@contextlib.contextmanager
def serving(folder):
    """The repositories below a folder, by `git daemon`; how its URLs begin."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ("--listen=127.0.0.1", f"--port={port}", "--reuseaddr", f"--base-path={folder}")
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", *where],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Branches main and other, a tag of an earlier commit, a subfolder and a submodule."""
    folder = tmp_path_factory.mktemp("git")
    folder.chmod(0o755)
    with serving(folder) as base:
        for name in ("inner", "outer"):
            (folder / name).mkdir()
            git(folder / name, "init", "-q", "-b", "main")
        (folder / "inner/in").write_text("x")
        git(folder / "inner", "add", ".")
        git(folder / "inner", "commit", "-qm", "1")
        outer = folder / "outer"
        for number, place in enumerate((".", "sub")):
            (outer / place).mkdir(exist_ok=True)
            (outer / place / "Dockerfile").write_text("FROM busybox\nCOPY . /c\n")
            (outer / place / f"f{number}").write_text("x")
        git(outer, "add", ".")
        git(outer, "commit", "-qm", "1")
        git(outer, "tag", "v1")
        git(outer, "checkout", "-q", "-b", "other")
        (outer / "only-other").write_text("x")
        git(outer, "add", ".")
        git(outer, "commit", "-qm", "2")
        git(outer, "checkout", "-q", "-b", "ignoring")
        (outer / ".dockerignore").write_text("*\n!sub/f1\n")
        git(outer, "add", ".")
        git(outer, "commit", "-qm", "3")
        git(outer, "checkout", "-q", "main")
        git(outer, "submodule", "--quiet", "add", f"{base}/inner", "module")
        git(outer, "commit", "-qm", "4")
        yield f"{base}/outer"


@pytest.mark.host_power("host network")
@pytest.mark.parametrize(
    ("fragment", "found"),
    [
        ("", ".gitmodules Dockerfile f0 module sub"),
        ("#v1", "Dockerfile f0 sub"),
        ("#other", "Dockerfile f0 only-other sub"),
        ("#refs/heads/other", "Dockerfile f0 only-other sub"),
        ("#ignoring", "sub"),
        ("#:sub", "Dockerfile f1"),
        ("#other:sub", "Dockerfile f1"),
    ],
)
def test_a_branch_a_tag_and_a_folder_of_a_repository(lab, repository, fragment, found):
    lab.cli("build", "-t", "git", repository + fragment, check=True)
    assert files_in(lab, "git").split() == found.split()


@pytest.mark.host_power("host network")
def test_a_commit_of_a_repository_and_its_submodules(lab, repository):
    listed = subprocess.run(
        ["git", "ls-remote", repository, "v1"], capture_output=True, text=True, check=True
    )
    commit = listed.stdout.split()[0]
    lab.cli("build", "-t", "git", f"{repository}#{commit}", check=True)
    assert files_in(lab, "git").split() == ["Dockerfile", "f0", "sub"]
    lab.cli("build", "-t", "git", repository, check=True)
    words = ("run", "--rm", "--network", "none", "git", "ls", "/c/module/in")
    assert lab.cli(*words).returncode == 0


@pytest.mark.host_power("host network")
@pytest.mark.parametrize(
    ("fragment", "why"),
    [
        ("#none", "git fetch: fatal: couldn't find remote ref none"),
        ("#--upload-pack=x", "git fetch: fatal: "),
        ("#:none", "has no folder none"),
        ("none", "git clone: fatal: remote error"),
    ],
)
def test_what_a_repository_has_not(lab, repository, fragment, why):
    done = lab.cli("build", repository + fragment)
    assert done.returncode == 1
    assert why in done.stderr


# URLs


class Untyped(http.server.BaseHTTPRequestHandler):
    """Says of everything that it is bytes, as many servers do of a file without an extension."""

    def do_GET(self):
        body = b"FROM busybox\nLABEL from=url\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_dockerfile_at_a_url_is_told_by_what_it_is(lab):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Untyped) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/Dockerfile"
        done = lab.cli("build", url)
        server.shutdown()
    assert "LABEL from=url" in done.stdout, done.stderr
    assert done.returncode == 0
