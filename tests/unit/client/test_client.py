"""The public client: requests it sends, objects it makes, errors it raises."""

import io
import json
import threading
from collections.abc import Callable

import pytest

import labkit.client
from labkit.client import Client, exit_code
from labkit.client.containers import ContainerError
from labkit.errors import (
    ConflictError,
    DaemonUnavailableError,
    InvalidParameterError,
    LabkitError,
    NotFoundError,
    NotModifiedError,
    StartError,
)
from tests.unit.client.stand_in import CLOSE, chunk, chunked_head, frame, response

ID = "ab" * 32
INSPECT = {
    "Id": ID,
    "Name": "/web",
    "Image": "sha256:" + "cd" * 32,
    "State": {"Status": "exited", "Pid": 0},
    "Config": {"Labels": {"course": "09"}},
}


def engine(routes: dict[str, object]) -> Callable[[object], object]:
    """Answers by `METHOD /path`; a callable is asked, bytes go as they are, the rest as JSON."""

    def answer(request):
        found = {"GET /_ping": {}, **routes}.get(f"{request.method} {request.path}")
        if found is None:
            return response("404 Not Found", {"message": f"no route {request.path}"})
        if callable(found):
            found = found(request)
        return found if isinstance(found, bytes) else response(body=found)

    return answer


@pytest.fixture
def client_for(serve):
    clients = []

    def make(routes: dict[str, object]):
        stand_in = serve(engine(routes))
        clients.append(Client(stand_in.path))
        return clients[-1], stand_in

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", InvalidParameterError),
        ("404 Not Found", NotFoundError),
        ("409 Conflict", ConflictError),
        ("500 Internal Server Error", LabkitError),
    ],
)
def test_errors_by_status(client_for, status, kind) -> None:
    client, _ = client_for({"GET /info": lambda _: response(status, {"message": "why not"})})
    with pytest.raises(LabkitError) as caught:
        client.info()
    assert type(caught.value) is kind
    assert str(caught.value) == "why not"


def test_an_error_that_is_not_json_is_shown_as_it_is(client_for) -> None:
    client, _ = client_for({"GET /info": lambda _: response("502 Bad Gateway", b"plain\n")})
    with pytest.raises(LabkitError, match=r"^plain$"):
        client.info()
    client, _ = client_for({"GET /info": lambda _: response("502 Bad Gateway", b"[1]")})
    with pytest.raises(LabkitError, match=r"^\[1\]$"):
        client.info()


def test_start_errors_keep_their_exit_code_and_step(client_for) -> None:
    body = {"message": "no such file", "labkit": {"exit_code": 127, "step": "exec"}}
    client, _ = client_for(
        {
            f"GET /containers/{ID}/json": INSPECT,
            f"POST /containers/{ID}/start": lambda _: response("400 Bad Request", body),
        }
    )
    with pytest.raises(StartError) as caught:
        client.containers.get(ID).start()
    assert (caught.value.exit_code, caught.value.step) == (127, "exec")


def test_not_modified(client_for) -> None:
    client, _ = client_for(
        {
            f"GET /containers/{ID}/json": INSPECT,
            f"POST /containers/{ID}/stop": b"HTTP/1.1 304 Not Modified\r\n\r\n",
        }
    )
    with pytest.raises(NotModifiedError):
        client.containers.get(ID).stop(timeout=3)


def test_no_daemon(tmp_path) -> None:
    with pytest.raises(DaemonUnavailableError, match=r"no labkitd answers on .*labkit daemon"):
        Client(str(tmp_path / "none.sock")).ping()


def test_the_environment_names_the_socket_and_docker_host_does_not(
    serve, tmp_path, monkeypatch
) -> None:
    stand_in = serve(lambda request: response(body=b"OK"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "labkit.sock").symlink_to(stand_in.path)
    monkeypatch.setenv("LABKIT_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with labkit.client.from_env() as client:
        assert client.ping()


def test_one_connection_serves_many_requests(client_for) -> None:
    client, stand_in = client_for({"GET /version": {"Version": "1"}})
    for _ in range(5):
        assert client.version() == {"Version": "1"}
    assert stand_in.connections == 1


def test_a_connection_closed_meanwhile_is_replaced(serve) -> None:
    stand_in = serve(lambda request: [response(body={"Version": "1"}), CLOSE])
    client = Client(stand_in.path)
    for _ in range(3):
        assert client.version() == {"Version": "1"}
        stand_in.wait_for_closes()
    assert stand_in.connections == 3


def test_threads_share_a_client(client_for) -> None:
    client, _ = client_for({f"GET /containers/{i}/json": {"Id": str(i)} for i in range(8)})
    seen: dict[int, set[str]] = {i: set() for i in range(8)}

    def ask(number: int) -> None:
        for _ in range(20):
            seen[number].add(client.containers.get(str(number)).id)

    threads = [threading.Thread(target=ask, args=(i,)) for i in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {i: {str(i)} for i in range(8)}


def test_container_attributes(client_for) -> None:
    client, _ = client_for({"GET /containers/web/json": INSPECT})
    container = client.containers.get("web")
    assert (container.name, container.short_id, container.status) == ("web", ID[:12], "exited")
    assert container.labels == {"course": "09"}
    assert client.containers.get("/web") == container


def test_an_empty_name_is_refused_here(client_for) -> None:
    client, stand_in = client_for({})
    with pytest.raises(InvalidParameterError, match="value is empty"):
        client.containers.get("")
    assert stand_in.requests == []


def test_list_asks_for_each_and_leaves_out_what_went_meanwhile(client_for) -> None:
    client, stand_in = client_for(
        {
            "GET /containers/json": [{"Id": ID}, {"Id": "gone"}],
            f"GET /containers/{ID}/json": INSPECT,
        }
    )
    filters = {"label": "course", "status": ["exited", "created"]}
    containers = client.containers.list(all=True, limit=3, filters=filters)
    assert [c.id for c in containers] == [ID]
    query = stand_in.requests[0].target.partition("?")[2]
    assert "all=1" in query
    assert "limit=3" in query
    assert "filters=%7B%22label%22%3A%20%5B%22course%22%5D" in query


def running(status: int = 0, stdout: bytes = b"hi\n", stderr: bytes = b"") -> dict[str, object]:
    def logs(request):
        out = frame(1, stdout) if "stdout=1" in request.target else b""
        return response(body=out + (frame(2, stderr) if "stderr=1" in request.target else b""))

    return {
        "POST /containers/create": {"Id": ID, "Warnings": []},
        f"GET /containers/{ID}/json": INSPECT,
        f"POST /containers/{ID}/start": b"HTTP/1.1 204 No Content\r\n\r\n",
        f"POST /containers/{ID}/wait": {"StatusCode": status},
        f"GET /containers/{ID}/logs": logs,
        f"DELETE /containers/{ID}": b"HTTP/1.1 204 No Content\r\n\r\n",
    }


def test_run_gives_the_output_and_removes_when_asked(client_for) -> None:
    client, stand_in = client_for(running())
    assert client.containers.run("busybox", "echo hi", remove=True, name="web") == b"hi\n"
    create = stand_in.requests[0]
    assert create.target.endswith("/create?name=web")
    assert create.json["Cmd"] == ["echo", "hi"]
    assert stand_in.requests[-1].method == "DELETE"


def test_run_detached_gives_the_container(client_for) -> None:
    client, stand_in = client_for(running())
    container = client.containers.run("busybox", detach=True, remove=True)
    assert container.id == ID
    assert stand_in.requests[0].json["HostConfig"]["AutoRemove"] is True
    assert [r.method for r in stand_in.requests] == ["POST", "GET", "POST"]


def test_run_raises_when_the_container_fails(client_for) -> None:
    client, _ = client_for(running(status=3, stderr=b"bad thing\n"))
    with pytest.raises(ContainerError, match="ended with status 3: bad thing") as caught:
        client.containers.run("busybox", ["false"])
    assert caught.value.exit_status == 3
    assert caught.value.stderr == b"bad thing\n"


def test_run_leaves_nothing_when_it_cannot_start(client_for) -> None:
    failed = response("500 Error", {"message": "no", "labkit": {"exit_code": 125}})
    client, stand_in = client_for(running() | {f"POST /containers/{ID}/start": failed})
    with pytest.raises(StartError):
        client.containers.run("busybox", remove=True)
    assert stand_in.requests[-1].method == "DELETE"


def test_logs_streamed_and_abandoned(client_for) -> None:
    def endless(request):
        yield chunked_head()
        while True:
            yield chunk(frame(1, b"again\n"))

    routes = running()
    client, stand_in = client_for(routes)
    stand_in.answer = lambda request: (
        endless(request) if "logs" in request.path else engine(routes)(request)
    )
    lines = client.containers.get(ID).logs(stream=True, follow=True)
    assert next(lines) == b"again\n"
    lines.close()
    stand_in._threads[-1].join(5)
    assert not stand_in._threads[-1].is_alive()


def test_import_image_sends_the_archive_and_asks_for_the_image(client_for) -> None:
    events = b'{"status":"unpacking"}\r\n{"status":"sha256:11"}'
    client, stand_in = client_for(
        {
            "POST /images/create": response(body=events),
            "GET /images/sha256:11/json": {"Id": "sha256:11", "RepoTags": ["a:b"]},
        }
    )
    image = client.images.import_image(io.BytesIO(b"tar" * 200_000), "a", "b", ['CMD ["sh"]'])
    assert image.tags == ["a:b"]
    asked, request = stand_in.requests[:2]
    assert asked.target.endswith("/_ping")  # the version, before what cannot be sent twice
    assert request.body == b"tar" * 200_000
    assert "fromSrc=-&repo=a&tag=b&changes=CMD%20%5B%22sh%22%5D" in request.target
    assert request.headers["content-type"] == "application/x-tar"


def test_import_image_that_fails_in_the_middle(client_for) -> None:
    events = json.dumps({"error": "not a tar archive"}).encode() + b"\n"
    client, _ = client_for({"POST /images/create": response(body=events)})
    with pytest.raises(LabkitError, match="not a tar archive"):
        client.images.import_image(io.BytesIO(b"zip"))


def test_an_exec_that_never_started_is_not_waited_for(client_for, monkeypatch) -> None:
    monkeypatch.setattr(exit_code, "STARTED_S", 0.0)
    client, _ = client_for({"GET /exec/e1/json": {"Running": False, "ExitCode": None}})
    assert exit_code.exec_exit_code(client.api, "/exec/e1") == exit_code.NEVER_STARTED
