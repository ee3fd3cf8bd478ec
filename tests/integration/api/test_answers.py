"""Answers that clients other than Docker's own command depend on."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root


@pytest.fixture
def answers(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()


def raw(lab: Lab, request: str, body: bytes = b"") -> bytes:
    """What a request that takes the connection over gets, to the connection's end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(lab.socket)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"{request} HTTP/1.1\r\nHost: d\r\n{kind}{length}\r\n"
        connection.sendall(head.encode() + body)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def created(lab: Lab, **fields: object) -> str:
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}, **fields}
    status, answer = lab.api("POST", "/containers/create", body)
    assert status == 201, answer
    return str(answer["Id"])


def test_an_attach_may_have_a_body(answers):
    lab = answers
    container = created(lab, Cmd=["echo", "hi"], OpenStdin=True)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(lab.socket)
        body = json.dumps({"stream": True, "stdout": True}).encode()
        path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1"
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.1)
        assert lab.api("POST", f"/containers/{container}/start")[0] == 204
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.endswith(b"\x01\0\0\0\0\0\0\x03hi\n")


@pytest.mark.parametrize(("made", "started"), [(True, False), (False, True), (True, True)])
def test_the_start_of_an_exec_says_whether_its_output_is_framed(answers, made, started):
    lab = answers
    container = created(lab, Cmd=["sleep", "60"])
    lab.api("POST", f"/containers/{container}/start")
    asked = {"Cmd": ["echo", "x"], "AttachStdout": True, "Tty": made}
    exec_id = lab.api("POST", f"/containers/{container}/exec", asked)[1]["Id"]
    body = json.dumps({"Tty": started}).encode()
    received = raw(lab, f"POST /exec/{exec_id}/start", body).partition(b"\r\n\r\n")[2]
    text = b"x\r\n" if made else b"x\n"
    frame = b"" if started else bytes([1, 0, 0, 0, 0, 0, 0, len(text)])
    assert received == frame + text


def test_names_of_fields_may_be_in_any_case(answers):
    lab = answers
    body = {"image": "busybox", "CMD": ["true"], "labels": {"Kept": "As Is"},
            "hostconfig": {"networkmode": "none", "memory": 8000000,
                           "restartPOLICY": {"name": "always"}}}  # fmt: skip
    status, answer = lab.api("POST", "/containers/create", body)
    assert status == 201, answer
    shown = lab.api("GET", f"/containers/{answer['Id']}/json")[1]
    host = shown["HostConfig"]
    assert (host["NetworkMode"], host["Memory"]) == ("none", 8000000)
    assert host["RestartPolicy"]["Name"] == "always"
    assert shown["Config"]["Labels"]["Kept"] == "As Is"
    status, _ = lab.api("POST", "/containers/create", {"image": "busybox", "hostconfig":
                                                       {"storageopt": {"size": "1"}}})  # fmt: skip
    assert status == 501


def test_the_first_of_a_repeated_parameter_counts(answers):
    lab = answers
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}}
    lab.api("POST", "/containers/create?name=one&name=two", body)
    assert lab.api("GET", "/containers/one/json")[0] == 200
    assert lab.api("GET", "/containers/two/json")[0] == 404


def test_garbage_to_load_is_told_in_the_stream(answers):
    received = raw(answers, "POST /images/load", b"garbage" * 100)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b'"errorDetail"' in received


def test_a_commit_changes_by_several_lines_and_from_the_images_folder(answers):
    lab = answers
    container = created(lab, Cmd=["true"], WorkingDir="/base")
    query = "changes=ENV+A%3D1%0AENV+B%3D2&changes=WORKDIR+sub&repo=changed"
    status, answer = lab.api("POST", f"/commit?container={container}&{query}")
    assert status == 201, answer
    config = lab.api("GET", "/images/changed/json")[1]["Config"]
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert config["WorkingDir"] == "/base/sub"
    assert {"Hostname", "Tty", "OnBuild", "Image", "AttachStdin"} <= config.keys()
    lab.cli("rmi", "changed", check=True)


@pytest.mark.parametrize("path", ["swarm", "nodes", "services", "tasks", "secrets", "configs/x"])
def test_there_is_no_swarm(answers, path):
    status, answer = answers.api("GET", f"/{path}")
    assert status == 503
    assert answer["message"].startswith("This node is not a swarm manager.")


def test_there_are_no_plugins(answers):
    assert answers.api("GET", "/plugins") == (200, [])
    status, answer = answers.api("GET", "/plugins/me/it:latest/json")
    assert (status, answer["message"]) == (404, 'plugin "me/it:latest" not found')


def test_an_image_for_another_machine_is_refused(answers):
    lab = answers
    body = {"Image": "busybox"}
    status, answer = lab.api("POST", "/containers/create?platform=linux/s390x", body)
    assert status == 404
    assert "does not match the specified platform: wanted linux/s390x" in answer["message"]
    own = lab.api("GET", "/images/busybox/json")[1]["Architecture"]
    assert lab.api("POST", f"/containers/create?platform=linux/{own}", body)[0] == 201


@pytest.mark.parametrize("name", ["sha256:abc", "sha512", "x:", "x:-"])
def test_names_that_no_image_may_have(answers, name):
    assert answers.cli("tag", "busybox", name).returncode == 1
    repository, _, tag = name.partition(":")
    for query in (f"repo={name}", f"repo={repository}&tag={tag or '!'}"):
        assert answers.api("POST", f"/images/busybox/tag?{query}")[0] == 400


@pytest.mark.parametrize("pattern", ["^/?a[bc]+$", "b+c", "^ab", "(x|abc)$"])
def test_names_are_found_by_regular_expressions(answers, pattern):
    lab = answers
    for name in ("abbc", "zzz"):
        body = {"Image": "busybox", "HostConfig": {"NetworkMode": "none"}}
        lab.api("POST", f"/containers/create?name={name}", body)
    found = lab.cli("ps", "-a", "--filter", f"name={pattern}", "--format", "{{.Names}}").stdout
    assert found == ("abbc\n" if pattern != "(x|abc)$" else "")
    assert lab.cli("ps", "-a", "-q", "--filter", "name=(").stdout == ""
    began = time.monotonic()
    lab.cli("ps", "-a", "-q", "--filter", f"name=({'a*' * 500})*$", check=True)
    assert time.monotonic() - began < 10


def test_prune_says_what_it_removed_as_docker_does(answers):
    lab = answers
    for kind, name, nothing in (
        ("containers", "ContainersDeleted", None),
        ("volumes", "VolumesDeleted", []),
        ("networks", "NetworksDeleted", None),
        ("build", "CachesDeleted", None),
    ):
        assert lab.api("POST", f"/{kind}/prune")[1][name] == nothing
