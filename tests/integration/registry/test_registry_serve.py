"""`labkit registry serve` and `passwd`: what they print, refuse and write down."""

import base64
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jwt
import pytest

from tests import leaks
from tests.lab import PROJECT
from tests.registries import LabkitRegistry, digest_of, with_digest

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as name:
        yield name


@pytest.fixture
def serve(folder):
    """Start a registry with flags; it is ended with the test."""
    servers = []

    def start(*flags: str) -> LabkitRegistry:
        servers.append(LabkitRegistry(folder, *flags))
        return servers[-1]

    yield start
    for server in servers:
        assert server.end() == 0


def labkit(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "labkit.cli", "registry", *words],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **{"cwd": PROJECT} | options,
    )


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def passwd(path: str, user: str, password: str) -> subprocess.CompletedProcess[str]:
    return labkit("passwd", "--password-stdin", path, user, input=f"{password}\n")


def test_the_first_line_says_where(serve, folder):
    server = serve()
    line = server.output.read_text().splitlines()[0]
    assert line == (
        f"labkit registry listens on http://127.0.0.1:{server.port}, "
        f"keeps its images in {folder}/registry"
    )


def test_a_port_in_use_names_who_holds_it(serve, folder):
    server = serve()
    refused = labkit("serve", "--listen", server.address, "--root", f"{folder}/other")
    assert refused.returncode == 1
    assert f"port {server.port} is in use by " in refused.stderr
    assert f"(pid {server.process.pid})" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--listen", "5000"), "ADDRESS:PORT is needed"),
        (("--listen", "127.0.0.1:99999"), "ADDRESS:PORT is needed"),
        (("--listen", "203.0.113.7:5000"), "cannot listen on 203.0.113.7:5000"),
        (("--token",), "--token needs --auth FILE"),
        (("--auth", "/nonexistent"), "labkit registry passwd FILE USER"),
        (("--auth", "/etc/passwd"), "/etc/passwd, line 1"),
        (("--tls-cert", "/etc/hostname"), "give both --tls-cert and --tls-key"),
        (("--tls-cert", "/etc/hostname", "--tls-key", "/etc/hostname"), "cannot be used"),
        (("--log", "/nonexistent/log"), "No such file or directory"),
        (("--root", "/proc/registry"), "cannot keep its images in /proc/registry"),
    ],
)
def test_what_cannot_be(folder, flags, words):
    given = ("--listen", "127.0.0.1:0", "--root", f"{folder}/r", *flags)
    refused = labkit("serve", *given)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_who_serves_everyone_is_warned(folder):
    class Anywhere(LabkitRegistry):
        def start(self, port: int) -> None:
            self.flags = (*self.flags, "--listen", "0.0.0.0:0")
            super().start(port)

    server = Anywhere(folder)
    try:
        assert "warning: all who reach" in server.output.read_text()
    finally:
        server.end()


def test_the_log_is_the_story_of_a_push(serve, folder):
    server = serve("--log", f"{folder}/log")
    digest = server.push_blob("lab/tool", b"x" * 1000)
    server.ask("GET", f"/v2/lab/tool/blobs/{digest}", Range="bytes=0-9")
    server.ask("GET", "/v2/", Authorization=basic("me", "secret word"))
    deadline = time.monotonic() + 20
    while len(lines := Path(folder, "log").read_text().splitlines()) < 4:
        assert time.monotonic() < deadline
    story = [json.loads(line) for line in lines]
    assert [(line["method"], line["status"]) for line in story] == [
        *(("POST", 202), ("PUT", 201), ("GET", 206), ("GET", 200)),
    ]
    assert story[1]["received_bytes"] == 1000
    assert story[1]["response_headers"]["Docker-Content-Digest"] == digest
    assert story[2]["request_headers"]["range"] == "bytes=0-9"
    assert story[2]["sent_bytes"] == 10
    assert story[3]["request_headers"]["authorization"] == "Basic …"
    assert all(line["seconds"] >= 0 and line["time"] > 1e9 for line in story)
    assert "secret" not in "".join(lines)


def test_no_layer_is_in_memory(serve):
    server = serve()
    server.push_image("lab/small", "v1")
    before = peak_bytes(server.process.pid)
    data = os.urandom(100_000_000)
    answer = server.ask("PATCH", server.start_upload("lab/big"), data)
    answer = server.ask("PUT", with_digest(answer.location, digest_of(data)), b"")
    assert len(server.ask("GET", answer.location).body) == len(data)
    assert peak_bytes(server.process.pid) - before < 8_000_000


def peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


# Passwords and tokens


@pytest.fixture
def passwords(folder):
    path = f"{folder}/htpasswd"
    assert passwd(path, "alice", "first").returncode == 0
    return path


def test_passwd_writes_what_apache_reads(passwords):
    (line,) = Path(passwords).read_text().splitlines()
    assert line.startswith("alice:$2y$10$")
    assert os.stat(passwords).st_mode & 0o777 == 0o600
    assert passwd(passwords, "bob", "b").returncode == 0
    assert passwd(passwords, "alice", "second").returncode == 0
    assert [line.partition(":")[0] for line in Path(passwords).read_text().splitlines()] == [
        *("bob", "alice"),
    ]


def test_passwd_takes_a_name_in_this_folder(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    done = labkit("passwd", "--password-stdin", "here", "alice", input="secret\n", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(folder, "here").read_text().startswith("alice:")


@pytest.mark.parametrize(
    ("user", "password"), [("a:b", "x"), ("", "x"), ("a", ""), ("a", "x" * 73)]
)
def test_passwd_refuses(passwords, user, password):
    before = Path(passwords).read_text()
    assert passwd(passwords, user, password).returncode == 1
    assert Path(passwords).read_text() == before


def test_a_password_each_time(serve, passwords):
    server = serve("--auth", passwords)
    answer = server.ask("GET", "/v2/")
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="labkit-registry"'
    for header in (
        basic("alice", "wrong"),
        basic("eve", "first"),
        "Basic %%%",
        "Basic",
        "Bearer x",
    ):
        assert server.ask("GET", "/v2/_catalog", Authorization=header).status == 401
    assert server.ask("GET", "/v2/", Authorization=basic("alice", "first")).status == 200
    # A new password holds at once.
    assert passwd(passwords, "alice", "second").returncode == 0
    assert server.ask("GET", "/v2/", Authorization=basic("alice", "first")).status == 401
    assert server.ask("GET", "/v2/", Authorization=basic("alice", "second")).status == 200


def token(server, *scopes: str) -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    answer = server.ask(
        "GET", f"/token?service=labkit-registry&{query}", Authorization=basic("alice", "first")
    )
    assert answer.status == 200
    assert answer.json["token"] == answer.json["access_token"]
    return answer.json["token"]


def test_tokens_are_for_what_was_asked(serve, passwords):
    server = serve("--auth", passwords, "--token")
    answer = server.ask("POST", "/v2/lab/a/blobs/uploads/")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="http://{server.address}/token",service="labkit-registry",'
        'scope="repository:lab/a:pull,push"'
    )
    reads = "Bearer " + token(server, "repository:lab/a:pull")
    writes = "Bearer " + token(server, "repository:lab/a:pull,push", "registry:catalog:*")
    assert server.ask("POST", "/v2/lab/a/blobs/uploads/", Authorization=writes).status == 202
    refused = server.ask("POST", "/v2/lab/a/blobs/uploads/", Authorization=reads)
    assert refused.status == 401
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert server.ask("POST", "/v2/lab/b/blobs/uploads/", Authorization=writes).status == 401
    assert server.ask("GET", "/v2/_catalog", Authorization=writes).status == 200
    assert server.ask("GET", "/v2/_catalog", Authorization=reads).status == 401
    # Only who may read a repository mounts from it.
    digest = digest_of(b"mine")
    place = server.ask("POST", "/v2/lab/a/blobs/uploads/", Authorization=writes).location
    pushed = server.ask("PUT", with_digest(place, digest), b"mine", Authorization=writes)
    assert pushed.status == 201
    target = f"/v2/lab/c/blobs/uploads/?mount={digest}&from=lab/a"
    only_c = "Bearer " + token(server, "repository:lab/c:push")
    both = "Bearer " + token(server, "repository:lab/c:push", "repository:lab/a:pull")
    assert server.ask("POST", target, Authorization=only_c).status == 202
    assert server.ask("POST", target, Authorization=both).status == 201


def test_forged_and_old_tokens_are_refused(serve, passwords):
    server = serve("--auth", passwords, "--token")
    good = token(server, "registry:catalog:*")
    key = Path(server.root, "token.key").read_bytes()
    assert os.stat(f"{server.root}/token.key").st_mode & 0o777 == 0o600
    claims = jwt.decode(good, key, ["HS256"], audience="labkit-registry")
    assert claims["sub"] == "alice"
    forged = [
        jwt.encode(claims, "another key, and this one is long enough", "HS256"),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims | {"exp": time.time() - 60}, key, "HS256"),
        jwt.encode({name: claims[name] for name in claims if name != "exp"}, key, "HS256"),
        jwt.encode(claims | {"aud": "another"}, key, "HS256"),
        good[:-3] + "abc",
        "nothing",
    ]
    for each in forged:
        answer = server.ask("GET", "/v2/_catalog", Authorization=f"Bearer {each}")
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert server.ask("GET", "/v2/_catalog", Authorization=f"Bearer {good}").status == 200
    server.kill_and_start()
    assert server.ask("GET", "/v2/_catalog", Authorization=f"Bearer {good}").status == 200


def test_the_token_service_by_form(serve, passwords):
    server = serve("--auth", passwords, "--token")
    form = "grant_type=password&username=alice&password={}&scope=registry:catalog:*&service=x"
    kind = "application/x-www-form-urlencoded"
    answer = server.ask("POST", "/token", form.format("first").encode(), Content_Type=kind)
    access = f"Bearer {answer.json['access_token']}"
    assert server.ask("GET", "/v2/_catalog", Authorization=access).status == 200
    refused = server.ask("POST", "/token", form.format("wrong").encode(), Content_Type=kind)
    assert refused.status == 401
    other = server.ask("POST", "/token", b"grant_type=refresh_token", Content_Type=kind)
    assert (other.status, other.json) == (400, {"error": "unsupported_grant_type"})


def test_guesses_hold_nobody_up(serve, passwords):
    server = serve("--auth", passwords)
    assert server.ask("GET", "/v2/", Authorization=basic("alice", "first")).status == 200
    host, _, port = server.address.rpartition(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(10)]
    for number, client in enumerate(clients):
        guess = basic("alice", f"guess {number}")
        client.sendall(f"GET /v2/ HTTP/1.1\r\nAuthorization: {guess}\r\n\r\n".encode())
    started = time.monotonic()
    assert server.ask("GET", "/v2/", Authorization=basic("alice", "first")).status == 200
    took = time.monotonic() - started
    waiting = len(clients) - len(select.select(clients, [], [], 0)[0])
    for client in clients:
        assert client.recv(100).startswith(b"HTTP/1.1 401")
        client.close()
    assert took < 1.5 or waiting  # on a slow machine the guesses took longer still
