"""The requests and the output of the verbs that a container's life is made of."""

import json

import pytest

from labkit.cli.show.usage import HEADINGS, binary_size, cpu_percent, memory_bytes, usage
from tests.unit.client.stand_in import CLOSE, chunk, chunked_head, response

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("words", "request_line", "query"),
    [
        (["pause", "a"], "POST /containers/a/pause", ""),
        (["unpause", "a"], "POST /containers/a/unpause", ""),
        (["restart", "-t", "3", "a"], "POST /containers/a/restart", "t=3"),
        (["restart", "-s", "INT", "a"], "POST /containers/a/restart", "signal=INT"),
        (["container", "kill", "a"], "POST /containers/a/kill", ""),
        (["volume", "rm", "-f", "a"], "DELETE /volumes/a", "force=1"),
    ],
)
def test_each_is_named_when_it_is_done(labkit, words, request_line, query) -> None:
    labkit.routes[request_line] = NO_CONTENT
    assert labkit(*words) == (0, "a\n", "")
    assert labkit.requests == [request_line]
    assert labkit.daemon.requests[0].target.partition("?")[2] == query


def test_rename(labkit) -> None:
    labkit.routes["POST /containers/a/rename"] = NO_CONTENT
    assert labkit("rename", "a", "b") == (0, "", "")
    assert labkit.daemon.requests[0].target.endswith("?name=b")


def test_update(labkit) -> None:
    labkit.routes["POST /containers/a/update"] = {"Warnings": ["no swap here"]}
    result = labkit("update", "-m", "1m", "--cpus", "0.5", "--restart", "always", "a")
    assert result == (0, "a\n", "WARNING: no swap here\n")
    assert labkit.daemon.requests[0].json == {
        "Memory": 1 << 20,
        "NanoCpus": 500_000_000,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    }
    assert labkit("update", "a").code == 1


def test_top(labkit) -> None:
    labkit.routes["GET /containers/a/top"] = {"Titles": ["PID", "CMD"], "Processes": [["1", "sh"]]}
    assert labkit("top", "a", "-o", "pid,cmd").out == "PID       CMD\n1         sh\n"
    assert labkit.daemon.requests[0].target.endswith("?ps_args=-o%20pid%2Ccmd")


PORTS = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/udp": None}


@pytest.mark.parametrize(
    ("words", "out"),
    [([], "80/tcp -> 0.0.0.0:8080\n"), (["80"], "0.0.0.0:8080\n"), (["80/tcp"], "0.0.0.0:8080\n")],
)
def test_port(labkit, words, out) -> None:
    labkit.routes["GET /containers/a/json"] = {"NetworkSettings": {"Ports": PORTS}}
    assert labkit("port", "a", *words) == (0, out, "")


def test_port_that_is_not_published(labkit) -> None:
    labkit.routes["GET /containers/a/json"] = {"NetworkSettings": {"Ports": PORTS}}
    assert labkit("port", "a", "90/udp").err == (
        "labkit: no public port '90/udp' published for a\n"
    )


def test_diff(labkit) -> None:
    labkit.routes["GET /containers/a/changes"] = response(
        body=[{"Kind": 0, "Path": "/a"}, {"Kind": 1, "Path": "/b"}, {"Kind": 2, "Path": "/c"}]
    )
    assert labkit("diff", "a").out == "C /a\nA /b\nD /c\n"
    labkit.routes["GET /containers/a/changes"] = response(body=b"null")
    assert labkit("diff", "a") == (0, "", "")


def test_export_that_is_cut_off_leaves_no_file(labkit, tmp_path) -> None:
    pieces = (chunked_head(), chunk(b"half"), CLOSE)
    labkit.routes["GET /containers/a/export"] = lambda _: pieces
    (tmp_path / "out").mkdir()
    result = labkit("export", "-o", str(tmp_path / "out" / "root.tar"), "a")
    assert result.code == 1
    assert list((tmp_path / "out").iterdir()) == []


EVENT = {
    "Type": "container",
    "Action": "die",
    "Actor": {"ID": "ab", "Attributes": {"name": "web", "exitCode": "0"}},
    "time": 1700000000,
    "timeNano": 1700000000000000042,
}


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ([], "2023-11-14T22:13:20.000000042+00:00 container die ab (exitCode=0, name=web)\n"),
        (["--format", "{{.Action}} {{.Actor.Attributes.name}}"], "die web\n"),
        (["--format", "json"], json.dumps(EVENT, separators=(",", ":")) + "\n"),
    ],
)
def test_events(labkit, monkeypatch, words, out) -> None:
    monkeypatch.setenv("TZ", "UTC")
    line = json.dumps(EVENT).encode() + b"\n"

    def stream(request):
        yield chunked_head()
        yield chunk(line[:30])
        yield chunk(line[30:]) + b"0\r\n\r\n"

    labkit.routes["GET /events"] = stream
    assert labkit("events", "-f", "event=die", "--until", "1700000001", *words) == (0, out, "")
    query = labkit.daemon.requests[0].target.partition("?")[2]
    assert query == "filters=%7B%22event%22%3A%20%5B%22die%22%5D%7D&until=1700000001.000000000"


def test_prune(labkit) -> None:
    answer = {"ContainersDeleted": ["ab", "cd"], "SpaceReclaimed": 2_500_000}
    labkit.routes["POST /containers/prune"] = answer
    result = labkit("container", "prune", "-f", "--filter", "label!=keep")
    assert result.out == "Deleted Containers:\nab\ncd\n\nTotal reclaimed space: 2.5MB\n"
    assert "label%21" in labkit.daemon.requests[0].target


def test_system_prune(labkit) -> None:
    labkit.routes["POST /containers/prune"] = {"ContainersDeleted": ["a"], "SpaceReclaimed": 1000}
    labkit.routes["POST /networks/prune"] = {"NetworksDeleted": ["n"]}
    labkit.routes["POST /volumes/prune"] = {"VolumesDeleted": None, "SpaceReclaimed": 0}
    labkit.routes["POST /images/prune"] = {
        "ImagesDeleted": [{"Untagged": "x:1"}, {"Deleted": "sha256:b"}],
        "SpaceReclaimed": 2000,
    }
    result = labkit("system", "prune", "-af", "--volumes", "--filter", "label=x")
    assert result.out.splitlines() == [
        *("Deleted Containers:", "a", ""),
        *("Deleted Networks:", "n", ""),
        *("Deleted Images:", "untagged: x:1", "deleted: sha256:b", ""),
        "Total reclaimed space: 3kB",
    ]
    assert [line.split()[1] for line in labkit.requests] == [
        "/containers/prune",
        "/networks/prune",
        "/volumes/prune",
        "/images/prune",
    ]
    assert "dangling" in labkit.daemon.requests[-1].target


def test_volume_create_and_ls(labkit) -> None:
    labkit.routes["POST /volumes/create"] = {"Name": "data"}
    assert labkit("volume", "create", "--label", "a=b", "data").out == "data\n"
    sent = labkit.daemon.requests[0].json
    assert sent == {"Name": "data", "Driver": "local", "Labels": {"a": "b"}}
    labkit.routes["GET /volumes"] = {
        "Volumes": [{"Name": "b", "Driver": "local"}, {"Name": "a", "Driver": "local"}]
    }
    assert labkit("volume", "ls").out == "DRIVER    VOLUME NAME\nlocal     a\nlocal     b\n"
    assert labkit("volume", "list", "-q").out == "a\nb\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["volume", "nosuch"], "unknown command: labkit volume nosuch"),
        (["container", "volume"], "unknown command: labkit container volume"),
        (["rename", "a"], "'labkit rename' requires 2 arguments"),
        (["container", "prune", "x"], "'labkit container prune' accepts no arguments"),
        (["start", "-a", "x", "y"], "you cannot start and attach multiple containers at once"),
        (["run", "-a", "stdin", "-d", "busybox"], "Conflicting options: -a and -d"),
        (["run", "--detach-keys", "ctrl-?", "busybox"], "unknown key"),
    ],
)
def test_mistakes(labkit, words, message) -> None:
    labkit.routes["POST /containers/create"] = {"Id": "a", "Warnings": []}
    labkit.routes["POST /containers/a/attach"] = (
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    result = labkit(*words)
    assert result.code in (1, 125)
    assert message in result.err
    assert result.err.count("\n") == 1


# stats

SAMPLE = {
    "cpu_stats": {
        "cpu_usage": {"total_usage": 3_000},
        "system_cpu_usage": 20_000,
        "online_cpus": 2,
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 12_000},
    "memory_stats": {"usage": 300 << 20, "limit": 1 << 30, "stats": {"inactive_file": 44 << 20}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 1000},
            {"op": "write", "value": 2000},
            {"op": "Total", "value": 3000},
        ]
    },
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 4, "tx_bytes": 5}},
    "pids_stats": {"current": 7},
}


def test_usage_is_dockers_arithmetic() -> None:
    assert cpu_percent(SAMPLE) == pytest.approx(50.0)
    assert memory_bytes(SAMPLE) == 256 << 20
    assert usage(SAMPLE) == {
        "CPUPerc": "50.00%",
        "MemUsage": "256MiB / 1GiB",
        "MemPerc": "25.00%",
        "NetIO": "5B / 7B",
        "BlockIO": "1kB / 2kB",
        "PIDs": "7",
    }


@pytest.mark.parametrize("missing", [{}, {"cpu_stats": {}, "memory_stats": {}, "blkio_stats": {}}])
def test_usage_of_what_is_not_measured(missing) -> None:
    assert usage(missing)["CPUPerc"] == "0.00%"
    assert usage(missing)["MemUsage"] == "0B / 0B"


def test_the_first_measurement_is_no_share_of_the_cpu() -> None:
    assert cpu_percent(SAMPLE | {"precpu_stats": {"cpu_usage": {"total_usage": 0}}}) == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1 << 20, "1MiB"), (1_234_567, "1.177MiB"), (1 << 41, "2TiB")],
)
def test_binary_sizes(size, text) -> None:
    assert binary_size(size) == text


def test_stats_once(labkit) -> None:
    name = "ab" * 32
    labkit.routes["GET /containers/json"] = response(body=[{"Id": name, "Names": ["/web"]}])

    def stream(request):
        yield chunked_head()
        for _ in range(2):
            yield chunk(json.dumps(SAMPLE).encode() + b"\n")

    labkit.routes[f"GET /containers/{name}/stats"] = stream
    result = labkit("stats", "--no-stream")
    assert result.out.splitlines()[1].split() == (
        "abababababab web 50.00% 256MiB / 1GiB 25.00% 5B / 7B 1kB / 2kB 7".split()
    )
    form = " ".join(f"{{{{.{field}}}}}" for field in HEADINGS)
    assert labkit("stats", "--no-stream", "--format", form).out.startswith("abababababab web web")
