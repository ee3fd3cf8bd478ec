"""Logs that are sent to syslog, journald, fluentd and Graylog: as those would receive them."""

import contextlib
import json
import socket
import zlib
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import pytest

from labkit.containers.inside import log_senders
from tests.lab import Lab

pytestmark = pytest.mark.root

PATIENCE_S = 20.0


@pytest.fixture
def logging(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.remove_containers()


@contextlib.contextmanager
def udp() -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE_S)
        yield server, f"udp://127.0.0.1:{server.getsockname()[1]}"


def run(lab: Lab, driver: str, *options: str, script: str = "echo hi; echo bad >&2") -> str:
    words = [word for option in options for word in ("--log-opt", option)]
    image = ("--network", "none", "busybox", "sh", "-c", script)
    return lab.cli("run", "-d", "--log-driver", driver, *words, *image, check=True).stdout.strip()


def test_syslog(logging):
    lab = logging
    with udp() as (server, address):
        container = run(lab, "syslog", f"syslog-address={address}", "syslog-facility=local3")
        first, second = sorted(server.recv(4096) for _ in range(2))
        assert first.startswith(b"<155>")  # 8 * 19 + 3
        assert first.endswith(b": bad")
        assert second.startswith(b"<158>")
        assert f" {container[:12]}[".encode() in second
        options = (f"syslog-address={address}", "syslog-format=rfc5424", "tag=mine/{{.ID}}")
        container = run(lab, "syslog", *options, script="echo new")
        text = server.recv(4096).decode()
        assert text.startswith("<30>1 2")
        assert text.endswith("- new")
        assert f" mine/{container[:12]} " in text
    # What is sent is kept as well.
    lab.cli("wait", container, check=True)
    assert lab.cli("logs", container).stdout == "new\n"


def test_graylog(logging):
    with udp() as (server, address):
        container = run(logging, "gelf", f"gelf-address={address}", script="echo hi")
        message = json.loads(zlib.decompress(server.recv(65536)))
        assert message["short_message"] == "hi"
        assert (message["level"], message["_container_id"]) == (6, container)
        assert message["_image_name"] == "busybox"


def test_fluentd_gets_what_was_printed_while_it_was_away_and_what_comes_after(logging):
    lab = logging
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    script = "for n in 1 2 3; do echo $n; sleep 0.2; done; sleep 600"
    container = run(lab, "fluentd", f"fluentd-address=127.0.0.1:{port}", script=script)
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(PATIENCE_S)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            texts, data = [], b""
            while len(texts) < 3:
                data += connection.recv(4096)
                texts = _messages(data)
            assert [text["log"] for text in texts] == ["1", "2", "3"]
            assert texts[0]["container_id"] == container
        lab.kill_daemon()
        lab.start_daemon()
        lab.cli("exec", container, "sh", "-c", "echo 4 > /proc/1/fd/1", check=True)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            later = [text["log"] for text in _messages(connection.recv(4096))]
            # The last line may come twice, if the daemon was killed before it noted it.
            assert later in (["4"], ["3", "4"])


def _messages(data: bytes) -> list[dict[str, str]]:
    """The records of a stream of messages, as far as they are whole."""
    found = []
    for end in range(len(data) + 1):
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.msgpack.decode(data[:end])[2])
            return [*found, *_messages(data[end:])]
    return found


def test_journald_by_its_own_protocol(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    line = log_senders.LogLine("stderr", "2026-01-02T03:04:05.000000006Z", b"two\nlines\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        monkeypatch.setattr(log_senders, "JOURNAL", str(path))
        config = SimpleNamespace(type="journald", config={"tag": "t"})
        fake = SimpleNamespace(
            id="a" * 64, name="web", image_id="sha256:1", command=["x"], created="",
            config=SimpleNamespace(image="busybox"), host_config=SimpleNamespace(log_config=config),
        )  # fmt: skip
        with log_senders.connect(fake) as send:
            send(line)
        data = server.recv(4096)
    assert b"MESSAGE\n" + (9).to_bytes(8, "little") + b"two\nlines\n" in data
    assert b"CONTAINER_NAME\n" + (3).to_bytes(8, "little") + b"web\n" in data
    assert b"PRIORITY\n" + (1).to_bytes(8, "little") + b"3\n" in data


@pytest.mark.parametrize(
    ("driver", "options"),
    [("gelf", {}), ("syslog", {"syslog-facility": "odd"}),
     ("fluentd", {"fluentd-address": "a:b:c"}),
     ("syslog", {"syslog-address": "http://x"}), ("journald", {"syslog-address": "udp://x"})],
)  # fmt: skip
def test_where_no_log_can_be_sent(logging, driver, options):
    body = {"Image": "busybox", "HostConfig": {"LogConfig": {"Type": driver, "Config": options}}}
    assert logging.api("POST", "/containers/create", body)[0] == 400
