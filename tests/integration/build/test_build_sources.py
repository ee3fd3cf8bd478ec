"""What only BuildKit knows: ADD of git, `--parents`, `--unpack`, secrets by variable, times."""

import functools
import http.server
import shutil
import subprocess
import tarfile
import threading

import pytest

from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab():
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def client(lab):
    return client_of(lab)


def shown(client, folder, text, *flags):
    """Build a Dockerfile whose last step prints something; the lines of its output."""
    (folder / "Dockerfile").write_text(text)
    output = client.build(folder, "--no-cache", "--network", "none", *flags)
    found = [line.split(" ", 2)[2] for line in output.splitlines() if " 0." in line[:8]]
    return [line for line in found if line and "transferring" not in line]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A git repository behind HTTP: its URL, and the id of its first commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    folder = tmp_path_factory.mktemp("git")

    def git(*words, place="work"):
        command = ["git", "-C", str(folder / place), "-c", "user.name=a", "-c", "user.email=b"]
        done = subprocess.run([*command, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    work = folder / "work"
    (work / "sub").mkdir(parents=True)
    (work / "top").write_text("one\n")
    (work / "sub" / "below").write_text("below\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    first = git("rev-parse", "HEAD")
    git("tag", "v1")
    (work / "top").write_text("two\n")
    git("commit", "-q", "-a", "-m", "second")
    git("clone", "-q", "--bare", "work", "repository.git", place=".")
    git("update-server-info", place="repository.git")
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/repository.git", first
        server.shutdown()


@pytest.mark.parametrize(
    ("flags", "fragment", "expected"),
    [
        ("", "", ["/g/sub/below", "/g/top", "two"]),
        ("", "#v1", ["/g/sub/below", "/g/top", "one"]),
        ("", "#main:sub", ["/g/below"]),
        ("--checksum={first}", "#v1", ["/g/sub/below", "/g/top", "one"]),
    ],
)
def test_add_of_a_git_repository(client, repository, tmp_path, flags, fragment, expected):
    url, first = repository
    text = f"FROM busybox\nADD {flags} {url}{fragment} /g/\nRUN find /g -type f | sort; cat /g/top"
    if "sub" in fragment:
        text = text.replace("; cat /g/top", "")
    assert shown(client, tmp_path, text.replace("{first}", first) + "\n") == expected


def test_add_of_a_git_repository_with_its_folder(client, repository, tmp_path):
    url, _ = repository
    text = f"FROM busybox\nADD --keep-git-dir=true {url} /g\nRUN cat /g/.git/HEAD /g/top\n"
    assert shown(client, tmp_path, text)[-1] == "two"


def test_a_git_repository_of_another_commit_is_refused(client, repository, tmp_path):
    url, first = repository
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nADD --checksum={first} {url} /g\n")
    assert "expected checksum to match" in client.build(tmp_path, code=1)


def test_parents_are_kept(client, tmp_path):
    for name in ("a/b/one", "a/c/two", "a/b/d/three"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    (tmp_path / "a" / "b").chmod(0o711)
    text = (
        "FROM busybox AS s\n"
        "COPY --parents a/b/one a/*/two /x\n"
        "COPY --parents a/./b/d /y/\n"
        "COPY --parents ./a/b/d/./three /z/\n"
        "FROM busybox\n"
        "COPY --from=s --parents /x/./a/b/one /v/\n"
        "COPY --from=s / /s\n"
        "RUN cd /s; find x y z /v -type f | sort; stat -c %a x/a/b /s/y/b\n"
    )
    assert shown(client, tmp_path, text) == [
        "/v/a/b/one",
        "x/a/b/one",
        "x/a/c/two",
        "y/b/d/three",
        "z/three",
        "711",
        "711",
    ]


def test_archives_are_unpacked_or_not_as_asked(client, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add("/etc/hostname", "inside")
    text = (
        "FROM busybox\nADD --unpack=false a.tar /no/\nADD --unpack a.tar /yes/\n"
        "ADD a.tar /default/\nRUN ls /no /yes /default\n"
    )
    names = [line for line in shown(client, tmp_path, text) if not line.startswith("/")]
    assert sorted(names) == ["a.tar", "inside", "inside"]


def test_a_secret_as_a_variable_is_in_no_record(client, lab, tmp_path):
    (tmp_path / "secret").write_text("hidden-words")
    flags = ["--secret", f"id=one,src={tmp_path}/secret"]
    for mount, command, expected in (
        ("id=one,env=TOKEN", "echo ${#TOKEN}; ls /run/secrets 2>/dev/null | wc -l", ["12", "0"]),
        ("id=one,env=TOKEN,target=/s", "echo ${#TOKEN}; cat /s | wc -c", ["12", "12"]),
        ("id=none,env=TOKEN", "echo ${TOKEN-unset}", ["unset"]),
    ):
        text = f"FROM busybox\nRUN --mount=type=secret,{mount} {command}\n"
        assert shown(client, tmp_path, text, *flags) == expected
    found = subprocess.run(
        ["grep", "-rl", "hidden-words", lab.root, lab.run], stdout=-1, check=False
    )
    assert found.stdout == b""
    text = "FROM busybox\nRUN --mount=type=secret,id=none,env=TOKEN,required true\n"
    (tmp_path / "Dockerfile").write_text(text)
    assert "secret none is required" in client.build(tmp_path, code=1)


def test_insecure_commands_are_refused(client, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN --security=insecure true\n")
    assert "security.insecure is not allowed" in client.build(tmp_path, code=1)
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN --security=sandbox true\n")
    client.build(tmp_path)


def test_the_time_of_an_image_can_be_given(client, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN touch /a\nLABEL a=b\n")
    client.build(tmp_path)  # the cache has other times
    client.build(tmp_path, "--build-arg", "SOURCE_DATE_EPOCH=1000000000", "-t", "epoch:1")
    form = "{{.Created}}"
    assert client.docker("inspect", "-f", form, "epoch:1").stdout.startswith("2001-09-09T01:46:40")
    wrong = client.build(tmp_path, "--build-arg", "SOURCE_DATE_EPOCH=yesterday", code=1)
    assert "a number of seconds" in wrong
