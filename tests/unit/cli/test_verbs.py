"""Each verb's requests and what it prints of the answers."""

import io
import json
import time
from types import SimpleNamespace

import pytest

from tests.unit.client.stand_in import CLOSE, chunk, chunked_head, frame, response

ID = "ab" * 32
IMAGE_ID = "sha256:" + "cd" * 32
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\n\r\n"


def container(**more: object) -> dict[str, object]:
    fields = {
        "Id": ID,
        "Names": ["/web"],
        "Image": "busybox",
        "Command": "sh -c 'while true; do date; done'",
        "Created": int(time.time()) - 125,
        "State": "running",
        "Status": "Up 2 minutes",
    }
    return fields | more


def no_such(request):
    name = request.path.split("/")[2]
    return response("404 Not Found", {"message": f"No such container: {name}"})


# ps, images


def test_ps(labkit) -> None:
    labkit.routes["GET /containers/json"] = [container()]
    assert labkit("ps").out == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS"
        "     NAMES\n"
        'abababababab   busybox   "sh -c \'while true; …"   2 minutes ago   Up 2 minutes'
        "             web\n"
    )


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ([], ""),
        (["-a"], "all=1"),
        (["-n", "2"], "limit=2"),
        (["-l"], "limit=1"),
        (["-f", "status=exited"], "filters=%7B%22status%22%3A%20%5B%22exited%22%5D%7D"),
    ],
)
def test_ps_asks(labkit, words, query) -> None:
    labkit.routes["GET /containers/json"] = []
    labkit("ps", *words)
    assert labkit.daemon.requests[0].target.partition("?")[2] == query


def test_ps_quiet_and_in_full(labkit) -> None:
    labkit.routes["GET /containers/json"] = [container()]
    assert labkit("ps", "-q").out == "abababababab\n"
    assert labkit("ps", "-q", "--no-trunc").out == f"{ID}\n"
    full = labkit("ps", "--no-trunc").out
    assert ID in full
    assert "\"sh -c 'while true; do date; done'\"" in full


def listed_images() -> list[dict[str, object]]:
    """Made two hours, and three days, before this moment: a whole run takes long, too."""
    return [
        {
            "Id": IMAGE_ID,
            "RepoTags": ["busybox:latest", "host:5000/b:1"],
            "Created": int(time.time()) - 7200,
            "Size": 4_262_000,
        },
        {
            "Id": "sha256:" + "ef" * 32,
            "RepoTags": [],
            "Created": int(time.time()) - 259210,
            "Size": 1000,
        },
    ]


def test_images(labkit) -> None:
    labkit.routes["GET /images/json"] = listed_images()
    assert labkit("images").out == (
        "REPOSITORY    TAG       IMAGE ID       CREATED       SIZE\n"
        "busybox       latest    cdcdcdcdcdcd   2 hours ago   4.26MB\n"
        "host:5000/b   1         cdcdcdcdcdcd   2 hours ago   4.26MB\n"
        "<none>        <none>    efefefefefef   3 days ago    1kB\n"
    )
    assert labkit("images", "-q").out == "cdcdcdcdcdcd\nefefefefefef\n"
    assert labkit("images", "-q", "--no-trunc").out.startswith(f"{IMAGE_ID}\n")


def test_images_by_their_digests(labkit) -> None:
    """As Docker's command: a line for each tag, one for a repository with digests alone."""
    one, two = ("sha256:" + digit * 64 for digit in "12")
    labkit.routes["GET /images/json"] = [
        listed_images()[0]
        | {"RepoDigests": [f"busybox@{one}", f"busybox@{two}", f"c@{one}", f"c@{two}"]},
        listed_images()[1] | {"RepoDigests": []},
    ]
    assert labkit("images", "--format", "{{.Repository}} {{.Tag}}").out.splitlines() == [
        "busybox latest",
        "host:5000/b 1",
        "c <none>",
        "<none> <none>",
    ]
    shown = labkit("images", "--digests").out.splitlines()
    assert [line.split()[:3] for line in shown[1:]] == [
        ["busybox", "latest", one],
        ["busybox", "latest", two],
        ["host:5000/b", "1", "<none>"],
        ["c", "<none>", one],
        ["c", "<none>", two],
        ["<none>", "<none>", "<none>"],
    ]
    assert (
        f"c <none> {two}"
        in labkit("images", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").out
    )


def test_images_of_one_name(labkit) -> None:
    labkit.routes["GET /images/json"] = []
    labkit("images", "-a", "busybox")
    target = labkit.daemon.requests[0].target
    assert target.endswith("?all=1&filters=%7B%22reference%22%3A%20%5B%22busybox%22%5D%7D")


# stop, kill, rm, start, wait: several at a time


@pytest.mark.parametrize(
    ("words", "request_line", "query"),
    [
        (["stop"], "POST /containers/{}/stop", ""),
        (["stop", "-t", "3", "-s", "INT"], "POST /containers/{}/stop", "t=3&signal=INT"),
        (["stop", "-t", "0"], "POST /containers/{}/stop", "t=0"),
        (["kill"], "POST /containers/{}/kill", ""),
        (["kill", "--signal=HUP"], "POST /containers/{}/kill", "signal=HUP"),
        (["rm"], "DELETE /containers/{}", ""),
        (["rm", "-v"], "DELETE /containers/{}", "v=1"),
        (["start"], "POST /containers/{}/start", ""),
    ],
)
def test_each_is_done_and_an_error_stops_no_other(labkit, words, request_line, query) -> None:
    for name in ("a", "c"):
        labkit.routes[request_line.format(name)] = NO_CONTENT
    labkit.routes[request_line.format("b")] = no_such
    result = labkit(*words, "a", "b", "c")
    assert result == (1, "a\nc\n", "labkit: No such container: b\n")
    assert labkit.requests == [request_line.format(name) for name in "abc"]
    assert labkit.daemon.requests[0].target.partition("?")[2] == query


def test_to_remove_by_force_what_is_not_there_is_no_failure(labkit) -> None:
    labkit.routes["DELETE /containers/a"] = NO_CONTENT
    labkit.routes["DELETE /containers/b"] = no_such
    assert labkit("rm", "-f", "b", "a") == (0, "a\n", "labkit: No such container: b\n")
    assert labkit.daemon.requests[0].target.partition("?")[2] == "force=1"


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_what_is_so_already_is_no_error(labkit, verb) -> None:
    labkit.routes[f"POST /containers/web/{verb}"] = NOT_MODIFIED
    assert labkit(verb, "web") == (0, "web\n", "")


def test_wait(labkit) -> None:
    labkit.routes["POST /containers/a/wait"] = {"StatusCode": 3}
    labkit.routes["POST /containers/b/wait"] = no_such
    assert labkit("wait", "a", "b") == (1, "3\n", "labkit: No such container: b\n")


# logs


def test_logs_come_apart_and_are_asked_for(labkit) -> None:
    def logs(request):
        yield chunked_head()
        yield chunk(frame(1, b"out\n") + frame(2, b"err\n"))
        yield chunk(frame(1, b"\xff\x00 more")) + b"0\r\n\r\n"

    labkit.routes["GET /containers/web/logs"] = logs
    now = int(time.time())
    result = labkit("logs", "-ft", "-n", "5", "--since", "10m", "--until", "1700000000", "web")
    assert (result.code, result.err) == (0, "err\n")
    assert result.out.encode("utf-8", "surrogateescape").endswith(b"\x00 more")
    query = dict(
        pair.split("=") for pair in labkit.daemon.requests[0].target.partition("?")[2].split("&")
    )
    assert abs(float(query.pop("since")) - (now - 600)) < 5
    assert query == {
        "stdout": "1",
        "stderr": "1",
        "follow": "1",
        "tail": "5",
        "timestamps": "1",
        "until": "1700000000.000000000",
    }


def test_logs_of_a_terminal_are_not_framed(labkit) -> None:
    raw = response(body=b"\x01raw", headers=["Content-Type: application/vnd.docker.raw-stream"])
    labkit.routes["GET /containers/web/logs"] = raw
    assert labkit("logs", "web").out == "\x01raw"


def test_logs_that_are_cut_off_say_so(labkit) -> None:
    pieces = (chunked_head(), chunk(frame(1, b"half\n")), CLOSE)
    labkit.routes["GET /containers/web/logs"] = lambda _: pieces
    result = labkit("logs", "-f", "web")
    assert (result.code, result.out) == (1, "half\n")
    assert "ended in the middle of its answer" in result.err


# inspect, version, info


def test_inspect_finds_containers_and_images(labkit) -> None:
    labkit.routes["GET /containers/web/json"] = {"Id": ID, "State": {"Pid": 1}}
    labkit.routes["GET /images/busybox/json"] = {"Id": IMAGE_ID}
    result = labkit("inspect", "web", "busybox", "nosuch")
    assert (result.code, result.err) == (1, "labkit: No such object: nosuch\n")
    assert json.loads(result.out) == [{"Id": ID, "State": {"Pid": 1}}, {"Id": IMAGE_ID}]
    assert '    {\n        "Id": ' in result.out
    assert labkit("inspect", "-f", "{{.State.Pid}}", "web") == (0, "1\n", "")
    labkit.routes["GET /images/web/json"] = response(
        "404 Not Found", {"message": "No such image: web:latest"}
    )
    assert labkit("inspect", "--type", "image", "web") == (
        1,
        "[]\n",
        "labkit: No such image: web:latest\n",
    )


def test_fields_that_docker_leaves_out_are_in_templates_and_not_in_json(labkit) -> None:
    config = {"Cmd": ["sh"]}
    labkit.routes["GET /containers/web/json"] = {"Config": config, "State": {}, "HostConfig": {}}
    form = "{{.Config.StopSignal}}|{{.Config.Shell}}|{{.State.Health}}|{{.HostConfig.Tmpfs}}"
    assert labkit("inspect", "-f", form, "web").out == "|[]|<nil>|map[]\n"
    assert labkit("inspect", "-f", "{{json .Config}}", "web").out == '{"Cmd":["sh"]}\n'
    labkit.routes["GET /containers/web/json"] = {"Config": config | {"StopSignal": "SIGINT"}}
    assert labkit("inspect", "-f", "{{.Config.StopSignal}}", "web").out == "SIGINT\n"
    assert "no field Nosuch" in labkit("inspect", "-f", "{{.Config.Nosuch}}", "web").err


def test_version_with_and_without_a_daemon(labkit, tmp_path) -> None:
    labkit.routes["GET /version"] = {
        "Version": "9.9",
        "ApiVersion": "1.47",
        "MinAPIVersion": "1.24",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.18",
    }
    result = labkit("version")
    assert result.code == 0
    assert "Server:\n Version:      9.9\n API version:  1.47 (minimum version 1.24)" in result.out
    alone = labkit("--run", str(tmp_path / "none"), "version")
    assert alone.code == 1
    assert alone.out.startswith("Client:\n Version:")
    assert not (tmp_path / "none").exists()


# import


def test_import_from_a_file_and_from_a_pipe(labkit, tmp_path, monkeypatch) -> None:
    labkit.routes["POST /images/create"] = {"status": IMAGE_ID}
    archive = tmp_path / "root.tar"
    archive.write_bytes(b"tar" * 100_000)
    result = labkit("import", "-c", "ENV A=1", "-c", "CMD sh", "-m", "mine", str(archive), "a/b:1")
    assert result == (0, f"{IMAGE_ID}\n", "")
    request = labkit.daemon.requests[1]  # the first asks for the daemon's version
    assert request.body == b"tar" * 100_000
    assert request.target.partition("?")[2] == (
        "fromSrc=-&repo=a%2Fb&tag=1&changes=ENV%20A%3D1&changes=CMD%20sh&message=mine"
    )
    with archive.open("rb") as file:
        stdin = SimpleNamespace(buffer=file, isatty=lambda: False)
        monkeypatch.setattr("sys.stdin", stdin)
        assert labkit("import", "-").out == f"{IMAGE_ID}\n"
    assert labkit.daemon.requests[-1].body == b"tar" * 100_000


def test_import_from_a_terminal_says_what_to_do(labkit, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: True))
    assert "labkit import - NAME" in labkit("import", "-").err


def test_import_of_a_url_is_the_daemons_to_fetch(labkit) -> None:
    labkit.routes["POST /images/create"] = {"status": IMAGE_ID}
    assert labkit("import", "-m", "mine", "https://x/y.tar", "a:1") == (0, f"{IMAGE_ID}\n", "")
    request = labkit.daemon.requests[-1]
    assert request.target.endswith("?fromSrc=https%3A%2F%2Fx%2Fy.tar&repo=a&tag=1&message=mine")
    assert request.body == b""


def test_import_shows_progress_on_a_terminal_only(labkit, tmp_path, monkeypatch) -> None:
    labkit.routes["POST /images/create"] = {"status": IMAGE_ID}
    (tmp_path / "root.tar").write_bytes(b"x" * 1_500_000)
    monkeypatch.setattr("labkit.cli.images.import_.sys.stderr.isatty", lambda: True)
    result = labkit("import", str(tmp_path / "root.tar"))
    assert "Sending the archive: " in result.err
    assert "of 1.5MB" in result.err
    assert result.err.endswith("Sent 1.5MB; unpacking\r\x1b[K")
