"""`labkit run`: the order of its requests, its output, its exit code, with a stand-in daemon."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.client.stand_in import CLOSE, StandIn, chunk, chunked_head, frame, response

ID = "ab" * 32
SHORT = ID[:12]
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
STEP = {
    "Step": "exec",
    "Phase": "child",
    "Call": "execve()",
    "Why": "it runs",
    "DurationNs": 1000,
    "Errno": 0,
    "Error": "",
}
EMPTY_LISTS = (
    *("BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps"),
    *("BlkioWeightDevice", "Devices", "Dns", "DnsOptions", "DnsSearch", "Ulimits"),
)
"""Docker's command sends these also where nothing is asked of them."""


class Engine:
    """A container that prints `output` (pieces of the stream) when started, and ends."""

    def __init__(self, terminal) -> None:
        self.started = threading.Event()
        self.output: list[object] = [frame(1, b"hi\n")]
        self.status: object = {"StatusCode": 0}
        self.attached = threading.Event()
        terminal.routes |= {
            "POST /containers/create": {"Id": ID, "Warnings": []},
            f"POST /containers/{ID}/attach": self.attach,
            f"POST /containers/{ID}/wait": self.wait,
            f"POST /containers/{ID}/start": self.start,
            f"GET /containers/{ID}/steps": [STEP],
            f"POST /containers/{ID}/kill": NO_CONTENT,
        }

    def start(self, request):
        self.started.set()
        return NO_CONTENT

    def attach(self, request):
        yield UPGRADED
        self.started.wait(5)
        yield from self.output
        yield CLOSE

    def wait(self, request):
        yield chunked_head()
        self.started.wait(5)
        yield chunk(json.dumps(self.status).encode()) + b"0\r\n\r\n"


@pytest.fixture
def engine(labkit) -> Iterator[Engine]:
    made = Engine(labkit)
    yield made
    made.started.set()


def test_everything_is_ready_before_the_start(labkit, engine) -> None:
    assert labkit("run", "busybox", "echo", "hi") == (0, "hi\n", "")
    assert [line.rpartition("/")[2] for line in labkit.requests] == [
        "create",
        "attach",
        "wait",
        "start",
    ]
    attach, wait = labkit.daemon.requests[1:3]
    assert attach.target.endswith("?stream=1&stdout=1&stderr=1")
    assert wait.target.endswith("?condition=next-exit")
    body = labkit.daemon.requests[0].json
    assert (body["Image"], body["Cmd"]) == ("busybox", ["echo", "hi"])


def test_removal_is_waited_for(labkit, engine) -> None:
    labkit("run", "--rm", "busybox")
    assert labkit.daemon.requests[2].target.endswith("?condition=removed")
    assert labkit.daemon.requests[0].json["HostConfig"]["AutoRemove"] is True


@pytest.mark.parametrize("code", [0, 1, 42, 137, 255])
def test_the_exit_code_is_the_containers(labkit, engine, code) -> None:
    engine.status = {"StatusCode": code}
    assert labkit("run", "busybox").code == code


def test_both_streams_byte_for_byte(labkit, engine) -> None:
    stream = frame(1, b"out ") + frame(2, b"err\n") + frame(1, bytes(range(1, 128)))
    engine.output = [stream[i : i + 3] for i in range(0, len(stream), 3)]
    result = labkit("run", "busybox")
    assert result.out.encode() == b"out " + bytes(range(1, 128))
    assert result.err == "err\n"


def test_the_flags_become_the_request(labkit, engine, monkeypatch) -> None:
    monkeypatch.setenv("PASSED", "on")
    monkeypatch.delenv("NOT_SET", raising=False)
    line = (
        "run --rm --name web -c 512 --cpus 1.5 --cpuset-cpus 0-1 -m 200m --memory-swap 300m "
        "--pids-limit 50 -e A=1 -e PASSED -e NOT_SET -w /tmp -u 1000:1000 -h box --network host "
        "--entrypoint /bin/sh --read-only --init -l a=b --without pivot_root --without seccomp "
        "busybox -c true"
    )
    labkit(*line.split())
    request = labkit.daemon.requests[0]
    assert request.target.endswith("/create?name=web")
    host = request.json.pop("HostConfig")
    assert host == {
        "AutoRemove": True,
        "CpuShares": 512,
        "CpusetCpus": "0-1",
        "Init": True,
        "Memory": 200 << 20,
        "MemorySwap": 300 << 20,
        "NanoCpus": 1_500_000_000,
        "NetworkMode": "host",
        "PidsLimit": 50,
        "ReadonlyRootfs": True,
        **{name: [] for name in EMPTY_LISTS},
    }
    assert {key: request.json[key] for key in request.json if key != "HostConfig"} == {
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": False,
        "StdinOnce": False,
        "Tty": False,
        "Image": "busybox",
        "Cmd": ["-c", "true"],
        "Entrypoint": ["/bin/sh"],
        "Env": ["A=1", "PASSED=on", "NOT_SET"],
        "Hostname": "box",
        "Labels": {"a": "b"},
        "StopSignal": "",
        "User": "1000:1000",
        "WorkingDir": "/tmp",
        "Labkit": {"Without": ["pivot_root", "seccomp"]},
    }


def test_what_is_not_given_is_left_to_the_engine(labkit, engine) -> None:
    labkit("run", "busybox")
    body = labkit.daemon.requests[0].json
    assert (body["Cmd"], body["Entrypoint"], body["Env"]) == (None, None, None)
    assert (body["HostConfig"]["Init"], body["HostConfig"]["PidsLimit"]) == (None, None)
    assert labkit.daemon.requests[0].target.endswith("/create")


def test_detached(labkit, engine) -> None:
    assert labkit("run", "-d", "busybox") == (0, f"{ID}\n", "")
    assert [line.rpartition("/")[2] for line in labkit.requests] == ["create", "start"]


def test_create_only(labkit, engine) -> None:
    labkit.routes["POST /containers/create"] = {"Id": ID, "Warnings": ["no swap here"]}
    assert labkit("create", "busybox") == (0, f"{ID}\n", "WARNING: no swap here\n")


def test_no_such_image(labkit, engine) -> None:
    labkit.routes["POST /containers/create"] = response(
        "404 Not Found", {"message": "No such image: nosuch:latest"}
    )
    assert labkit("run", "--pull", "never", "nosuch") == (
        125,
        "",
        "labkit: No such image: nosuch:latest\n",
    )
    assert len(labkit.requests) == 1


def test_a_missing_image_is_pulled(labkit, engine) -> None:
    answers = [response("404 Not Found", {"message": "No such image: tool:latest"})]
    made = response("201 Created", {"Id": ID, "Warnings": []})
    labkit.routes["POST /containers/create"] = lambda _: answers.pop() if answers else made
    labkit.routes["POST /images/create"] = {"status": "Status: Downloaded", "id": "x"}
    assert labkit("create", "tool") == (
        0,
        f"{ID}\n",
        "Unable to find image 'tool:latest' locally\nx: Status: Downloaded\n",
    )
    assert "fromImage=tool%3Alatest" in labkit.daemon.requests[1].target


def test_always_pull(labkit, engine) -> None:
    labkit.routes["POST /images/create"] = {"status": "Status: up to date"}
    assert labkit("create", "--pull", "always", "-q", "tool:1") == (0, f"{ID}\n", "")
    assert "fromImage=tool%3A1" in labkit.daemon.requests[0].target


@pytest.mark.parametrize(
    ("status", "labkit_part", "code"),
    [
        ("400 Bad Request", {"exit_code": 127, "step": "exec"}, 127),
        ("400 Bad Request", {"exit_code": 126, "step": "exec"}, 126),
        ("500 Error", {"exit_code": 125, "step": "mount.root"}, 125),
        ("409 Conflict", None, 125),
    ],
)
def test_failed_starts(labkit, engine, status, labkit_part, code) -> None:
    body = {"message": "cannot start"} | ({"labkit": labkit_part} if labkit_part else {})
    labkit.routes[f"POST /containers/{ID}/start"] = lambda _: response(status, body)
    assert labkit("run", "busybox", "x") == (code, "", "labkit: cannot start\n")


# --explain


def test_explain_goes_to_stderr_before_the_output(labkit, engine) -> None:
    result = labkit("run", "--explain", "busybox")
    assert result.out == "hi\n"
    assert "execve()" in result.err
    assert "0.001 ms" in result.err


def test_explain_as_json(labkit, engine) -> None:
    result = labkit("run", "-d", "--explain=json", "busybox")
    assert json.loads(result.err) == [STEP]
    assert result.out == f"{ID}\n"


def test_explain_of_a_failed_start(labkit, engine) -> None:
    failed = STEP | {"DurationNs": None, "Errno": 2, "Error": "not found"}
    body = {"message": "cannot start", "labkit": {"exit_code": 127, "steps": [failed]}}
    labkit.routes[f"POST /containers/{ID}/start"] = lambda _: response("400 Bad", body)
    result = labkit("run", "--rm", "--explain", "busybox", "x")
    assert result.code == 127
    assert "✗ ENOENT" in result.err
    assert result.err.endswith("labkit: cannot start\n")


def test_explain_of_one_that_is_gone_already(labkit, engine) -> None:
    del labkit.routes[f"GET /containers/{ID}/steps"]
    assert labkit("run", "--rm", "--explain", "busybox") == (0, "hi\n", "")


# Signals


class Interrupting(Engine):
    """A container that prints, and runs until it has got the signals it waits for."""

    def __init__(self, terminal, count: int) -> None:
        super().__init__(terminal)
        self.got: list[str] = []
        self.count = count
        self.enough = threading.Event()
        terminal.routes[f"POST /containers/{ID}/kill"] = self.kill

    def kill(self, request):
        self.got.append(request.target.partition("signal=")[2])
        if len(self.got) >= self.count:
            self.enough.set()
        return NO_CONTENT

    def attach(self, request):
        yield UPGRADED
        self.started.wait(20)
        self.enough.wait(20)
        yield CLOSE


def send_in_turn(engine: Interrupting, *signals: int) -> threading.Thread:
    """Send each signal when the one before has come to the daemon, once the container has begun."""

    def send() -> None:
        assert engine.started.wait(20)
        for so_far, number in enumerate(signals):
            while len(engine.got) < so_far:
                time.sleep(0.01)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_signals_are_passed_on(labkit) -> None:
    engine = Interrupting(labkit, 3)
    engine.status = {"StatusCode": 130}
    before = signal.getsignal(signal.SIGINT)
    thread = send_in_turn(engine, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)
    assert labkit("run", "busybox").code == 130
    thread.join()
    assert engine.got == [str(int(n)) for n in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)]
    assert signal.getsignal(signal.SIGINT) == before


def test_a_signal_before_the_start_is_kept(labkit) -> None:
    engine = Interrupting(labkit, 1)

    def create(request):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        return response("201 Created", {"Id": ID, "Warnings": []})

    labkit.routes["POST /containers/create"] = create
    labkit("run", "busybox")
    assert engine.got == ["15"]


def test_the_third_ctrl_c_leaves(labkit) -> None:
    engine = Interrupting(labkit, 100)
    thread = send_in_turn(engine, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    result = labkit("run", "busybox")
    thread.join()
    engine.enough.set()
    assert result.code == 125
    assert result.err == (
        "labkit: got 3 signals to end, and detaches; if the container still runs: "
        f"labkit kill {SHORT}\n"
    )
    assert engine.got == ["2", "2"]


# When the daemon dies


def test_the_exit_code_is_asked_for_again(labkit, engine) -> None:
    def die(request):
        yield chunked_head()
        engine.started.wait(5)
        labkit.routes[f"POST /containers/{ID}/wait"] = {"StatusCode": 9}
        yield CLOSE

    def slowly(request):
        yield UPGRADED
        engine.started.wait(5)
        yield frame(1, b"before ")
        time.sleep(0.3)
        yield frame(1, b"after\n")
        yield CLOSE

    labkit.routes[f"POST /containers/{ID}/wait"] = die
    labkit.routes[f"POST /containers/{ID}/attach"] = slowly
    assert labkit("run", "busybox") == (9, "before after\n", "")
    waits = [r.target.partition("?")[2] for r in labkit.daemon.requests if "wait" in r.path]
    assert waits == ["condition=next-exit", "condition=not-running"]


def test_an_exit_code_that_is_lost_is_an_error(labkit, engine) -> None:
    def die(request):
        yield chunked_head()
        engine.started.wait(5)
        labkit.routes[f"POST /containers/{ID}/wait"] = response(
            "404 Not Found", {"message": "No such container"}
        )
        yield CLOSE

    labkit.routes[f"POST /containers/{ID}/wait"] = die
    result = labkit("run", "--rm", "busybox")
    assert result.code == 125
    assert result.err.endswith("its exit code is lost\n")


def test_a_daemon_that_was_stopped_is_started_when_the_exit_code_is_needed(
    labkit, engine, monkeypatch
) -> None:
    others: list[StandIn] = []

    def stop_daemon(request):
        yield chunked_head()
        engine.started.wait(5)
        os.unlink(labkit.daemon.path)
        yield CLOSE

    def slowly(request):
        yield UPGRADED
        engine.started.wait(5)
        time.sleep(1.0)
        assert others == []
        yield frame(1, b"hi\n")
        yield CLOSE

    def ensure(paths) -> None:
        answer = response(body={"StatusCode": 7})
        others.append(StandIn(paths.socket, lambda request: answer))

    labkit.routes[f"POST /containers/{ID}/wait"] = stop_daemon
    labkit.routes[f"POST /containers/{ID}/attach"] = slowly
    monkeypatch.setattr("labkit.client.daemon.ensure", ensure)
    assert labkit("run", "busybox") == (7, "hi\n", "")
    [other] = others
    other.close()
    open(labkit.daemon.path, "w").close()


def test_a_failed_wait_is_an_error(labkit, engine) -> None:
    engine.status = {"StatusCode": 0, "Error": {"Message": "it got lost"}}
    assert labkit("run", "busybox") == (125, "hi\n", "labkit: it got lost\n")
