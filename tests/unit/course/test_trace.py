"""A trace of requests: what is read off the wire, what is handed on, and how it is drawn."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from labkit.course.architecture.trace import Trace, arrows, from_log, record, route
from labkit.course.architecture.wire import Exchange

CREATE = b"POST /v1.43/containers/create?name=a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
CREATED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
CREATED += b"3\r\n{ }\r\n0\r\n\r\n"
ATTACH = b"POST /containers/a/attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
ATTACHED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
STREAM = b"GET / HTTP/1.1 is no request here\n"


def receive(end: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (part := end.recv(count - len(got))):
        got += part
    return got


def engine(listener: socket.socket) -> None:
    """Answers a create, and then an attach, which says back what it was told."""
    end, _ = listener.accept()
    with end:
        assert receive(end, len(CREATE)) == CREATE
        end.sendall(CREATED)
        assert receive(end, len(ATTACH)) == ATTACH
        end.sendall(ATTACHED)
        end.sendall(receive(end, len(STREAM)))


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Recorded with real sockets, and with what a client gets compared byte for byte."""
    monkeypatch.setenv("LABKIT_RUN", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "labkit.sock"))
        listener.listen()
        thread = threading.Thread(target=engine, args=(listener,))
        thread.start()
        with record() as trace, socket.socket(socket.AF_UNIX) as client:
            path = os.environ["DOCKER_HOST"].removeprefix("unix://")
            assert path == f"{os.environ['LABKIT_RUN']}/labkit.sock"
            client.settimeout(10)
            client.connect(path)
            for asked, answer in ((CREATE, CREATED), (ATTACH, ATTACHED), (STREAM, STREAM)):
                client.sendall(asked)
                assert receive(client, len(answer)) == answer
            assert client.recv(1) == b""
        thread.join()
    assert not os.path.exists(path)
    assert os.environ["LABKIT_RUN"] == str(tmp_path)
    assert "DOCKER_HOST" not in os.environ
    return trace


def test_what_is_read_off_the_wire(trace: Trace) -> None:
    assert trace.requests() == ["POST /containers/create", "POST /containers/a/attach"]
    assert [(one.status, one.sent_bytes, one.received_bytes) for one in trace.exchanges] == [
        (201, 2, 3),
        (101, len(STREAM), len(STREAM)),
    ]
    assert all(one.asked_s <= one.answered_s <= one.ended_s for one in trace.exchanges)


def test_words_of_the_picture(trace: Trace) -> None:
    figure = trace.plot()
    assert "client to daemon: POST /containers/create → 201" in figure.alt
    assert figure.table.column("status") == ("201", "101")
    texts = {text.get_text() for text in figure.drawing.axes[0].texts}
    assert {"POST /containers/a/attach", "101, and stays open", "client", "daemon"} <= texts
    assert f"end of attach: {len(STREAM)} B" in texts


def test_ids_are_shortened() -> None:
    assert route(f"/v1.43/containers/{'0123456789ab' * 5}cdef/wait?x=1") == (
        "/containers/0123456789ab/wait"
    )


def test_the_registrys_log_is_a_third_lane() -> None:
    line = {"time": 5.0, "seconds": 1.0, "method": "GET", "target": "/v2/", "status": 200}
    logged = from_log(json.dumps(line | {"received_bytes": 0, "sent_bytes": 3}) + "\n")
    trace = Trace()
    asked = Exchange("POST", "/images/create", 3.0, status=200, answered_s=3.5, ended_s=6.0)
    trace.exchanges = [asked, *logged]
    assert trace.lanes == ("client", "daemon", "registry")
    assert [(arrow.time_s, arrow.words) for arrow in arrows(trace)] == [
        (3.0, "POST /images/create"),
        (3.5, "200, and stays open"),
        (4.0, "GET /v2/"),
        (5.0, "200"),
        (6.0, "end of create: 0 B"),
    ]
