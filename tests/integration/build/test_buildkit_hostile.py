"""Build clients that lie, stop, or go away: a clear error each, and nothing stays."""

import http.client
import io
import json
import os
import signal
import socket
import tarfile
import threading
import time
from pathlib import Path

import pytest

from labkit.buildkit.messages import (
    DATA,
    STAT,
    BridgeSolveRequest,
    BridgeSolveResponse,
    Empty,
    Packet,
    Ref,
    Result,
    ReturnRequest,
    SecretResponse,
    SolveResponse,
    Stat,
    StatusRequest,
    StatusResponse,
)
from labkit.rpc import errors
from labkit.rpc.errors import CallError
from tests.buildkit import client_of
from tests.doors import DIFF_COPY, door, files, session, solve_request, upgraded
from tests.lab import running_lab

pytestmark = pytest.mark.root

SLOW = b"FROM busybox\nRUN echo begun; sleep 300\n"


@pytest.fixture(scope="module")
def built():
    with running_lab() as lab:
        yield lab


@pytest.fixture(autouse=True)
def nothing_stays(built):
    """No container, no workroom, and a daemon that still builds."""
    pid = built.daemon_pid()
    yield
    deadline = time.monotonic() + 15
    while left(built) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(built) == []
    assert built.daemon_pid() == pid
    log = Path(built.folder, "labkitd.log").read_text()
    assert "Traceback" not in log, log


def left(lab):
    rooms = Path(lab.root, "build/rooms")
    found = [str(path) for path in (rooms.iterdir() if rooms.exists() else ())]
    return found + os.listdir(f"{lab.root}/containers")


def code_of(made, kind=SolveResponse):
    """The status of a call that fails."""
    with pytest.raises(CallError) as found:
        while made.receive(kind, 30) is not None:
            pass
    return found.value.code


def begun(opened, ref):
    """Wait until a build's command has printed something."""
    status = opened.control("Status", StatusRequest(ref))
    while (news := status.receive(StatusResponse, 30)) is not None:
        if news.logs:
            return
    raise AssertionError("the build ended before its command had begun")


def test_doors_are_for_http2_alone(built):
    for path in ("/grpc", "/session"):
        status, answer = built.api("POST", path)
        assert status == 400
        assert "Upgrade: h2c" in answer["message"]


def test_a_probe_that_closes_at_once_is_nothing(built):
    before = Path(built.folder, "labkitd.log").read_text()
    for _ in range(20):
        upgraded(built, "/grpc").close()
    assert Path(built.folder, "labkitd.log").read_text() == before


def test_calls_for_builds_that_are_not_there(built):
    with door(built) as opened:
        assert code_of(opened.control("Status", StatusRequest("none"))) == errors.NOT_FOUND
        assert code_of(opened.bridge("Ping", Empty(), "none")) == errors.NOT_FOUND
        assert code_of(opened.bridge("Ping", Empty(), "")) == errors.INVALID_ARGUMENT
        assert code_of(opened.call("/moby.buildkit.v1.Control/No")) == errors.UNIMPLEMENTED


def test_a_session_that_does_not_come(built):
    with door(built) as opened:
        assert code_of(opened.control("Solve", solve_request("r1", "none"))) == errors.UNAVAILABLE


def test_two_builds_of_one_name_and_two_sessions_of_one_id(built):
    with (
        door(built) as opened,
        session(built, {DIFF_COPY: files({"Dockerfile": SLOW})}, "u") as uuid,
    ):
        first = opened.control("Solve", solve_request("same", uuid))
        begun(opened, "same")
        assert code_of(opened.control("Solve", solve_request("same", uuid))) == 6
        with pytest.raises(AssertionError, match="409 Conflict"), session(built, {}, "u"):
            pass
        first.cancel()


def test_what_is_returned_twice_or_was_never_made(built):
    with door(built) as opened:
        solve = opened.control("Solve", solve_request("ret", "", frontend=""))
        given = ReturnRequest(Result(ref=Ref("no-such-result")))
        returned = opened.bridge("Return", given, "ret")
        assert returned.receive(Empty, 30) == Empty()
        assert code_of(solve) == errors.NOT_FOUND
        assert code_of(opened.bridge("Return", given, "ret")) == errors.NOT_FOUND


def test_a_build_that_says_nothing_succeeds(built):
    with door(built) as opened:
        solve = opened.control("Solve", solve_request("nothing", "", frontend="", internal=True))
        opened.bridge("Return", ReturnRequest(Result(ref=Ref())), "nothing")
        assert solve.receive(SolveResponse, 30) == SolveResponse()
        status = opened.control("Status", StatusRequest("nothing"))
        assert status.receive(StatusResponse, 30) is None


@pytest.mark.parametrize("how", ["call", "connection", "session"])
def test_a_client_that_goes_while_a_command_runs(built, how):
    with door(built) as opened, door(built) as looking:
        serving = session(built, {DIFF_COPY: files({"Dockerfile": SLOW})})
        uuid = serving.__enter__()
        solve = opened.control("Solve", solve_request(f"gone-{how}", uuid))
        begun(looking, f"gone-{how}")
        if how == "call":
            solve.cancel()
        elif how == "connection":
            opened.close()
        else:
            serving.__exit__(None, None, None)
            assert code_of(solve) in (errors.CANCELLED, errors.UNAVAILABLE)
            return
        deadline = time.monotonic() + 15
        while left(built) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left(built) == []
        serving.__exit__(None, None, None)


def stubborn(*packets):
    """A client's `DiffCopy` that says this for the context, and then nothing more."""
    good = files({"Dockerfile": b"FROM busybox\nCOPY . /c\n"})

    def serve(call):
        if call.metadata.get("followpaths"):
            good(call)
            return
        call.send(*packets)
        call.receive(Packet)
        call.receive(Packet)

    return serve


@pytest.mark.parametrize(
    ("packets", "wanted"),
    [
        ([Packet(STAT, Stat(b"../x", 0o644)), Packet(STAT)], "is in no folder"),
        ([Packet(STAT, Stat(b"/x", 0o644)), Packet(STAT)], "is in no folder"),
        ([Packet(STAT, Stat(b"a", 1 << 26)), Packet(STAT)], "device"),
        ([Packet(DATA, id=3, data=b"x")], "which nothing asked for"),
    ],
)
def test_contexts_that_lie(built, packets, wanted):
    with door(built) as opened, session(built, {DIFF_COPY: stubborn(*packets)}) as uuid:
        made = opened.control("Solve", solve_request("lies", uuid))
        with pytest.raises(CallError, match=wanted):
            made.receive(SolveResponse, 30)


def test_a_context_that_never_comes_ends_with_its_session(built):
    stuck = stubborn(Packet(STAT, Stat(b"a", 0o644, size=5)), Packet(STAT))
    with door(built) as opened:
        with session(built, {DIFF_COPY: stuck}) as uuid:
            made = opened.control("Solve", solve_request("stuck", uuid))
            time.sleep(1)
        assert code_of(made) in (errors.CANCELLED, errors.UNKNOWN)


def test_a_secret_that_is_too_large(built):
    text = b"FROM busybox\nRUN --mount=type=secret,id=s true\n"
    handlers = {
        DIFF_COPY: files({"Dockerfile": text}),
        "/moby.buildkit.secrets.v1.Secrets/GetSecret": lambda call: call.send(
            SecretResponse(bytes(600 << 10))
        ),
    }
    with door(built) as opened, session(built, handlers) as uuid:
        made = opened.control("Solve", solve_request("secret", uuid))
        with pytest.raises(CallError, match="larger than 500 KiB"):
            made.receive(SolveResponse, 30)


def test_a_client_that_does_not_read_its_progress_costs_little(built):
    """A step prints 60 MB, and nobody reads the Status stream."""
    text = b"FROM busybox\nRUN yes 0123456789012345678901234567890 | head -c 60000000\n"
    with door(built) as opened, session(built, {DIFF_COPY: files({"Dockerfile": text})}) as uuid:
        opened.control("Status", StatusRequest("loud"))
        before = resident_bytes(built)
        made = opened.control("Solve", solve_request("loud", uuid))
        assert made.receive(SolveResponse, 120) is not None
        assert resident_bytes(built) - before < 40 << 20


def resident_bytes(lab):
    for line in Path(f"/proc/{lab.daemon_pid()}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_frontends_that_labkit_does_not_have(built):
    with door(built) as opened, session(built, {DIFF_COPY: files({"Dockerfile": SLOW})}) as uuid:
        for number, (name, attributes) in enumerate(
            [("other.v1", {}), ("gateway.v0", {"source": "example.org/mine"})]
        ):
            request = solve_request(
                f"f{number}", uuid, frontend=name, frontend_attributes=attributes
            )
            assert code_of(opened.control("Solve", request)) == errors.UNIMPLEMENTED


def test_the_bridge_after_the_end(built):
    with door(built) as opened, session(built, {DIFF_COPY: files({"Dockerfile": SLOW})}) as uuid:
        solve = opened.control("Solve", solve_request("late", uuid, frontend=""))
        asked = BridgeSolveRequest("dockerfile.v0", {}, allow_result_return=True)
        answer = opened.bridge("Solve", asked, "late").receive(BridgeSolveResponse, 30)
        solve.cancel()
        time.sleep(0.3)
        given = ReturnRequest(answer.result)
        assert code_of(opened.bridge("Return", given, "late")) == errors.NOT_FOUND


# The same with real clients


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_real_client_that_is_ended(built, number, tmp_path):
    client = client_of(built)
    (tmp_path / "Dockerfile").write_bytes(SLOW)
    with client.started("build", str(tmp_path)) as process:
        deadline = time.monotonic() + 30
        while not os.listdir(f"{built.root}/containers") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert os.listdir(f"{built.root}/containers")
        os.killpg(process.pid, number)
        said = process.communicate(timeout=20)[0].decode()
        if number == signal.SIGINT:
            assert "context canceled" in said
        deadline = time.monotonic() + 15
        while left(built) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left(built) == []


def test_builds_go_on_beside_each_other(built, tmp_path):
    client = client_of(built)
    texts = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "f").write_text(str(number))
        (folder / "Dockerfile").write_text(
            f"FROM busybox\nRUN echo {number}\nCOPY f /f\nCMD cat /f\n"
        )
    threads = [
        threading.Thread(
            target=lambda n=n: texts.append(
                client.build(tmp_path / str(n), "-q", "-t", f"side:{n}")
            )
        )
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(texts)) == 3
    for n in range(3):
        shown = client.docker("run", "--rm", "--network", "none", f"side:{n}").stdout
        assert shown == str(n)


def test_version_2_with_the_context_in_the_request(built, tmp_path):
    """As clients send it that know BuildKit by Docker's API alone."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in {"Dockerfile": b"FROM busybox\nCOPY f /f\n", "f": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    class Unix(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(built.socket)

    connection = Unix("x")
    connection.request("POST", "/build?version=2&t=v2", packed.getvalue())
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    events = [json.loads(line) for line in lines if line]
    assert events[0]["id"] == "moby.buildkit.trace"
    assert events[-1]["id"] == "moby.image.id"
    assert built.api("GET", "/images/v2/json")[1]["Id"] == events[-1]["aux"]["ID"]
