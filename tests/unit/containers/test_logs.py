"""Reading logs, also while they are written."""

import threading
import time

from labkit.containers import logs
from labkit.runtime.log import LogWriter

BOTH = {"stdout", "stderr"}


def write(path, *pieces):
    writer = LogWriter(str(path))
    for stream, data in pieces:
        writer.write(stream, data)
    writer.close()


def texts(lines):
    return [line.text for line in lines]


def test_what_was_written_is_read(tmp_path):
    write(
        tmp_path / "log", ("stdout", b"a\nb\n"), ("stderr", "\u00e4\n".encode()), ("stdout", b"end")
    )
    lines = list(logs.read(str(tmp_path / "log"), streams=BOTH))
    assert texts(lines) == [b"a\n", b"b\n", "ä\n".encode(), b"end"]
    assert [line.stream for line in lines] == ["stdout", "stdout", "stderr", "stdout"]


def test_streams_tail_and_times(tmp_path):
    path = str(tmp_path / "log")
    write(path, ("stdout", b"1\n"), ("stderr", b"2\n"), ("stdout", b"3\n"))
    assert texts(logs.read(path, streams={"stdout"})) == [b"1\n", b"3\n"]
    assert texts(logs.read(path, streams=BOTH, tail=1)) == [b"3\n"]
    assert texts(logs.read(path, streams=BOTH, tail=0)) == []
    now = time.time()
    assert texts(logs.read(path, streams=BOTH, since=now + 60)) == []
    assert texts(logs.read(path, streams=BOTH, until=now - 60)) == []
    assert len(texts(logs.read(path, streams=BOTH, since=now - 60, until=now + 60))) == 3


def test_no_log_is_an_empty_log(tmp_path):
    assert list(logs.read(str(tmp_path / "nosuch"), streams=BOTH)) == []


def test_follow_gives_what_comes_and_ends_with_the_container(tmp_path):
    path = str(tmp_path / "log")
    running = True
    write(path, ("stdout", b"before\n"))

    def container():
        nonlocal running
        time.sleep(0.15)
        write(path, ("stdout", b"during\n"))
        time.sleep(0.15)
        write(path, ("stdout", b"last\n"))
        running = False

    thread = threading.Thread(target=container)
    thread.start()
    found = texts(logs.read(path, streams=BOTH, is_running=lambda: running))
    thread.join()
    assert found == [b"before\n", b"during\n", b"last\n"]


def test_a_line_that_is_half_written_waits_for_its_end(tmp_path):
    path = tmp_path / "log"
    write(path, ("stdout", b"whole\n"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert texts(logs.read(str(path), streams=BOTH)) == [b"whole\n"]
