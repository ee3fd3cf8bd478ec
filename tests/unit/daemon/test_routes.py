"""Each request of the API against a stand-in engine: statuses, bodies, what the engine heard."""

import json
import shutil
import signal
import threading
import time
from functools import partial
from urllib.parse import quote

import pytest

from labkit.daemon.routes import TABLE, streams
from tests.unit.daemon.stand_in import IMAGE_ID, StandIn, container


@pytest.fixture
def engine():
    made = StandIn(
        container(5, "nosuch"),
        container(4, "broken"),
        container(3, "stopped", "exited"),
        container(2, "other", "running", labels={"a": "b", "c": ""}),
        container(1, "web", "running"),
    )
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture
def api(serve, engine):
    return serve(partial(TABLE.handle, engine))


def ask(api, method: str, path: str, body: object = None, **headers: str):
    content = b"" if body is None else json.dumps(body).encode()
    lines = {"Content-Length": str(len(content))} | headers
    if body is not None:
        lines.setdefault("Content-Type", "application/json")
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    status, got, text = api.exchange(head.encode() + b"\r\n" + content)
    return status, got, json.loads(text) if text.startswith((b"{", b"[")) else text


@pytest.mark.parametrize(("version", "word"), [("1.99", "new"), ("1.23", "old")])
def test_a_version_out_of_range_is_refused(api, version, word):
    status, _, answer = ask(api, "GET", f"/v{version}/info")
    assert status == 400
    assert f"client version {version} is too {word}" in answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_ping", 200),
        ("GET", "/v1.24/_ping", 200),
        ("GET", "/v1.47/version", 200),
        ("GET", "/info", 200),
        ("GET", "/containers/json", 200),
        ("GET", "/containers/web/json", 200),
        ("GET", "/containers/111/json", 200),
        ("GET", "/containers/nobody/json", 404),
        ("GET", "/containers/web/steps", 200),
        ("POST", "/containers/web/start", 304),
        ("POST", "/containers/stopped/start", 204),
        ("POST", "/containers/nosuch/start", 400),
        ("POST", "/containers/broken/start", 500),
        ("POST", "/containers/web/stop", 204),
        ("POST", "/containers/web/stop?t=x", 400),
        ("POST", "/containers/web/kill?signal=NONSENSE", 400),
        ("DELETE", "/containers/stopped", 204),
        ("GET", "/images/json", 200),
        ("GET", "/images/someone/tool:1.0/json", 200),
        ("GET", "/images/someone%2Ftool:1.0/json", 200),
        ("GET", "/images/nobody/json", 404),
        ("POST", "/images/create?fromImage=localhost:1/busybox&tag=latest", 500),
        ("POST", "/images/create?fromSrc=http://127.0.0.1:1/x.tar", 400),
        ("POST", "/images/create?fromSrc=/etc/passwd", 400),
        ("GET", "/", 404),
        ("GET", "/nosuch", 404),
        ("POST", "/_ping", 404),
        ("GET", "/containers/web", 404),
        ("GET", "/containers//json", 404),
        ("GET", "/containers/web/nosuch", 404),
        ("GET", "/containers/web/logs", 400),
        ("GET", "/containers/web/logs?stdout=1&tail=x", 200),
        ("GET", "/containers/web/logs?stdout=1&since=x", 400),
        ("GET", "/containers/json?filters=%7B", 400),
        ("GET", "/containers/json?filters=[]", 400),
        ("GET", "/containers/json?limit=x", 400),
        ("POST", "/containers/web/wait?condition=x", 400),
        ("POST", "/containers/nobody/wait", 404),
        ("POST", "/containers/nobody/attach?stream=1", 404),
        ("POST", "/containers/web/attach?stdout=1", 400),
    ],
)
def test_status(api, method, path, status):
    got, _, body = ask(api, method, path)
    assert got == status, body
    if status >= 400:
        assert next(iter(body)) == "message"
        assert "\n" not in body["message"]


def test_unknown_paths_are_told_in_dockers_words(api):
    assert ask(api, "GET", "/nosuch")[2] == {"message": "page not found"}


def test_ping_tells_the_api_version_also_to_head(api):
    client = api.connect()
    client.send(b"HEAD /_ping HTTP/1.1\r\n\r\n")
    _, headers = client.head()
    assert headers["api-version"] == "1.51"
    assert headers["ostype"] == "linux"
    assert headers["docker-experimental"] == "false"
    assert headers["server"].startswith("labkit/")
    assert ask(api, "GET", "/_ping")[2] == b"OK"


def test_start_error_tells_exit_code_and_step(api):
    assert ask(api, "POST", "/containers/nosuch/start")[2] == {
        "message": "exec: no such file",
        "labkit": {"exit_code": 127, "step": "exec", "steps": []},
    }
    assert ask(api, "POST", "/containers/broken/start")[2]["labkit"] == {
        "exit_code": 125,
        "step": "mount.root",
        "steps": [],
    }


def test_start_takes_no_configuration(api):
    status, _, body = ask(api, "POST", "/containers/stopped/start", {"Binds": ["/:/host"]})
    assert status == 400
    assert "removed in v1.24" in body["message"]


def test_create(api, engine):
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "HostConfig": {"NetworkMode": "none", "Memory": 200 << 20},
        "Labkit": {"Without": ["pivot_root"]},
        "SomethingOfTheFuture": {"a": 1},
    }
    status, _, answer = ask(api, "POST", "/v1.47/containers/create?name=mine", body)
    assert status == 201
    made = engine.get("mine")
    assert answer == {"Id": made.id, "Warnings": ["a warning of the engine"]}
    assert made.config.cmd == ["true"]
    assert made.host_config.memory == 200 << 20
    assert made.without == ["pivot_root"]


def test_create_of_an_unknown_image(api):
    status, _, body = ask(api, "POST", "/containers/create", {"Image": "nosuch"})
    assert (status, body) == (404, {"message": "No such image: nosuch:latest"})


def test_create_wants_json(api):
    status, _, body = ask(
        api, "POST", "/containers/create", {"Image": "busybox"}, **{"Content-Type": "text/plain"}
    )
    assert status == 400
    assert body["message"] == "Content-Type specified (text/plain) must be 'application/json'"
    status, _, _ = ask(
        api,
        "POST",
        "/containers/create",
        {"Image": "busybox"},
        **{"Content-Type": "application/json; charset=utf-8"},
    )
    assert status == 201


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"{}", b"", b"[" * 100_000])
def test_create_with_a_body_that_is_no_object(api, body):
    head = b"POST /containers/create HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    status, _, _ = api.exchange(head + body)
    assert status == 400


def test_the_list_shows_running_containers_the_newest_first(api):
    names = [entry["Names"] for entry in ask(api, "GET", "/containers/json")[2]]
    assert names == [["/other"], ["/web"]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("all=1", ["nosuch", "broken", "stopped", "other", "web"]),
        ("all=0", ["other", "web"]),
        ("all=false", ["other", "web"]),
        ("limit=2", ["nosuch", "broken"]),
        ("limit=0", ["other", "web"]),
        ("limit=-1&all=1", ["nosuch", "broken", "stopped", "other", "web"]),
        ({"status": ["exited"]}, ["stopped"]),
        ({"status": ["exited", "created"]}, ["nosuch", "broken", "stopped"]),
        ({"status": {"exited": True, "created": False}}, ["stopped"]),
        ({"name": ["web"]}, ["web"]),
        ({"name": ["^/web$"]}, ["web"]),
        ({"name": ["e"]}, ["other", "web"]),
        ({"id": ["22"]}, ["other"]),
        ({"id": ["33"]}, []),
        ({"label": ["a"]}, ["other"]),
        ({"label": ["a=b", "c"]}, ["other"]),
        ({"label": ["a=x"]}, []),
        ({"ancestor": ["busybox"]}, ["other", "web"]),
        ({"ancestor": ["nosuch"]}, []),
        ({"name": ["web"], "label": ["a"]}, []),
    ],
)
def test_the_list_is_filtered(api, query, names):
    if isinstance(query, dict):
        query = "filters=" + quote(json.dumps(query))
    status, _, entries = ask(api, "GET", f"/containers/json?{query}")
    assert status == 200, entries
    assert [entry["Names"][0].removeprefix("/") for entry in entries] == names


@pytest.mark.parametrize(
    "asked",
    [
        {"colour": ["x"]},
        {"status": ["happy"]},
        {"exited": ["x"]},
        {"health": ["ill"]},
        {"is-task": ["x"]},
        {"name": "web"},
    ],
)
def test_unknown_filters_are_refused(api, asked):
    status, _, body = ask(api, "GET", "/containers/json?filters=" + quote(json.dumps(asked)))
    assert status == 400, body


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 2),
        ({"reference": ["busybox"]}, 1),
        ({"reference": ["busy*"]}, 1),
        ({"reference": ["*"]}, 1),
        ({"reference": ["some*/*"]}, 1),
        ({"reference": ["busybox:lat*"]}, 1),
        ({"reference": ["busybox:1"]}, 0),
        ({"reference": ["someone/tool"]}, 1),
        ({"label": ["a=b"]}, 1),
        ({"label": ["a=c"]}, 0),
        ({"dangling": ["true"]}, 1),
        ({"dangling": ["false"]}, 1),
    ],
)
def test_images_are_filtered(api, asked, count):
    status, _, entries = ask(api, "GET", "/images/json?filters=" + quote(json.dumps(asked)))
    assert status == 200, entries
    assert len(entries) == count


def test_stop_and_kill_pass_signals_and_times(api, engine):
    ask(api, "POST", "/containers/web/stop")
    ask(api, "POST", "/containers/web/stop?t=3&signal=INT")
    ask(api, "POST", "/containers/web/kill")
    ask(api, "POST", "/containers/web/kill?signal=SIGUSR1")
    assert engine.calls == [
        ("stop", "web", None, None),
        ("stop", "web", 3, signal.SIGINT),
        ("kill", "web", signal.SIGKILL),
        ("kill", "web", signal.SIGUSR1),
    ]


@pytest.mark.parametrize(
    ("query", "force"), [("", False), ("?force=1", True), ("?v=1&link=0&force=False", False)]
)
def test_remove(api, engine, query, force):
    assert ask(api, "DELETE", f"/containers/stopped{query}")[0] == 204
    assert engine.calls == [("remove", "stopped", force)]


def test_import_reads_a_chunked_body_of_any_size(api, engine):
    client = api.connect()
    query = "fromSrc=-&repo=mine&tag=1&changes=CMD+sh&changes=ENV+A=b&message=hello"
    client.send(
        f"POST /images/create?{query} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    archive = bytes(range(256)) * 4096 * 10
    for start in range(0, len(archive), 32768):
        client.send(b"8000\r\n" + archive[start : start + 32768] + b"\r\n")
    client.send(b"0\r\n\r\n")
    assert client.head()[0] == 200
    assert b'{"status":"' + IMAGE_ID.encode() + b'"}' in client.until(b"0\r\n\r\n")
    assert engine.images.imported == [(archive, "mine:1", ("CMD sh", "ENV A=b"), "hello")]


def test_import_cut_off_half_way(api, engine):
    client = api.connect()
    client.send(b"POST /images/create?fromSrc=- HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"8000\r\nabc")
    client.close()
    assert ask(api, "GET", "/_ping")[0] == 200
    assert engine.images.imported == []


def test_image_removal_names_the_container_that_stands_on_it(api):
    assert ask(api, "DELETE", "/images/busybox")[0] == 409
    assert ask(api, "DELETE", "/images/busybox?force=1")[2] == [{"Untagged": "busybox"}]


class TestWait:
    def wait(self, api, name, condition):
        client = api.connect()
        client.send(f"POST /containers/{name}/wait?condition={condition} HTTP/1.1\r\n\r\n".encode())
        return client

    def test_the_head_comes_before_the_end(self, api, engine):
        client = self.wait(api, "web", "not-running")
        status, headers = client.head()
        assert status == 200
        assert headers["transfer-encoding"] == "chunked"
        engine.end("web", 7)
        assert b'{"StatusCode":7}' in client.until(b"0\r\n\r\n")

    def test_removed(self, api, engine):
        client = self.wait(api, "web", "removed")
        client.head()
        engine.end("web", 9, remove=True)
        assert b'{"StatusCode":9}' in client.until(b"0\r\n\r\n")

    def test_a_client_that_goes_away_frees_its_thread(self, api, monkeypatch):
        monkeypatch.setattr(streams, "LOOK_AFTER_S", 0.02)

        def waiters():
            return sum("_converse" in thread.name for thread in threading.enumerate())

        client = self.wait(api, "web", "removed")
        client.head()
        assert waiters() >= 1
        client.close()
        deadline = time.monotonic() + 5
        while waiters() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waiters() == 0


class TestAttach:
    def test_is_handed_over(self, api, engine):
        client = api.connect()
        client.send(
            b"POST /containers/web/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        status, headers = client.head()
        assert status == 101
        assert headers["content-type"] == "application/vnd.docker.multiplexed-stream"
        assert client.rest() == b"from the shim"
        # The container has no open stdin, and detach keys mean something to a terminal only.
        assert engine.calls == [("attach", "web", False, True, False, b"")]

    def test_a_body_is_passed_over(self, api):
        status, _, _ = ask(api, "POST", "/containers/web/attach?stream=1", {"a": 1})
        assert status == 200

    def test_an_old_client_is_told_the_old_type(self, api):
        client = api.connect()
        client.send(
            b"POST /v1.41/containers/web/attach?stream=1&stdout=1 HTTP/1.1\r\nUpgrade: tcp\r\n\r\n"
        )
        assert client.head()[1]["content-type"] == "application/vnd.docker.raw-stream"


LOG = "".join(
    f'{{"log":"{text}\\n","stream":"{stream}","time":"2024-05-01T12:00:0{second}.000000001Z"}}\n'
    for second, stream, text in ((0, "stdout", "a"), (1, "stderr", "b"), (2, "stdout", "c"))
)


class TestLogs:
    @pytest.fixture(autouse=True)
    def log(self, engine):
        for number in ("1111", "3333"):
            with open(f"{engine.folder}/{number}.log", "w") as file:
                file.write(LOG)

    def body(self, api, query, path="/containers/stopped/logs"):
        client = api.connect()
        client.send(f"GET {path}?{query} HTTP/1.0\r\n\r\n".encode())
        status, headers = client.head()
        assert status == 200
        return headers["content-type"], client.rest()

    @pytest.mark.parametrize(
        ("query", "frames"),
        [
            ("stdout=1&stderr=1", b"\1\0\0\0\0\0\0\2a\n\2\0\0\0\0\0\0\2b\n\1\0\0\0\0\0\0\2c\n"),
            ("stderr=1", b"\2\0\0\0\0\0\0\2b\n"),
            ("stdout=1&tail=1", b"\1\0\0\0\0\0\0\2c\n"),
            ("stdout=1&tail=0", b""),
            ("stdout=1&tail=all", b"\1\0\0\0\0\0\0\2a\n\1\0\0\0\0\0\0\2c\n"),
            ("stdout=1&since=1714564801", b"\1\0\0\0\0\0\0\2c\n"),
            ("stdout=1&until=1714564801.5", b"\1\0\0\0\0\0\0\2a\n"),
            (
                "stderr=1&timestamps=1",
                b"\2\0\0\0\0\0\0\x212024-05-01T12:00:01.000000001Z b\n",
            ),
        ],
    )
    def test_frames(self, api, query, frames):
        content_type, body = self.body(api, query)
        assert content_type == "application/vnd.docker.multiplexed-stream"
        assert body == frames

    def test_a_terminal_has_no_frames(self, api, engine):
        engine.get("stopped").config.tty = True
        assert self.body(api, "stdout=1") == ("application/vnd.docker.raw-stream", b"a\nc\n")

    def test_the_type_before_1_42(self, api):
        content_type, _ = self.body(api, "stdout=1", "/v1.41/containers/stopped/logs")
        assert content_type == "application/vnd.docker.raw-stream"

    def test_follow_until_the_end(self, api, engine):
        client = api.connect()
        client.send(b"GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\n\r\n")
        client.head()
        assert client.until(b"c\n\r\n").count(b"\x00\x02") == 2
        with open(f"{engine.folder}/1111.log", "a") as file:
            file.write('{"log":"late\\n","stream":"stdout","time":"2024-05-01T12:01:00Z"}\n')
        assert client.until(b"late\n\r\n").endswith(b"late\n\r\n")
        engine.end("web", 0)
        assert client.until(b"0\r\n\r\n") == b"0\r\n\r\n"

    def test_follow_ends_when_the_client_goes(self, api):
        client = api.connect()
        client.send(b"GET /containers/web/logs?stdout=1&follow=1 HTTP/1.1\r\n\r\n")
        client.head()
        client.close()
        deadline = time.monotonic() + 5
        while any("_converse" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
