"""Reading logs, also while they are written."""

import errno
import threading
import time

import pytest

from labkit.containers.inside import logs
from labkit.containers.inside.log_changes import Watches
from labkit.kernel import inotify
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


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 1 << 16])
def test_a_tail_is_read_from_the_end(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(logs, "BLOCK_BYTES", block_bytes)
    path = str(tmp_path / "log")
    pieces = [("stdout" if n % 3 else "stderr", b"%d" % n * (n % 5) + b"\n") for n in range(50)]
    write(path, *pieces)
    with open(path, "ab") as file:
        file.write(b'{"log":"half')
    for streams in (BOTH, {"stdout"}, {"stderr"}, set()):
        whole = texts(logs.read(path, streams=streams))
        for tail in (0, 1, 3, len(whole), 10**30):
            got = texts(logs.read(path, streams=streams, tail=tail))
            assert got == (whole[-tail:] if tail else [])


def test_a_tail_of_a_long_log_takes_no_time(tmp_path):
    path = tmp_path / "log"
    write(path, ("stdout", b"some words\n" * 10_000))
    path.write_bytes(path.read_bytes() * 50)
    started = time.process_time()
    assert len(texts(logs.read(str(path), streams=BOTH, tail=3))) == 3
    assert time.process_time() - started < 0.2


def test_a_line_that_is_no_json_is_left_out(tmp_path):
    path = tmp_path / "log"
    write(path, ("stdout", b"a\n"))
    path.write_bytes(path.read_bytes() + b"\0" * 100 + b"\n" + path.read_bytes())
    assert texts(logs.read(str(path), streams=BOTH)) == [b"a\n", b"a\n"]
    assert texts(logs.read(str(path), streams=BOTH, tail=2)) == [b"a\n", b"a\n"]


def test_followers_that_wait_cost_nothing(tmp_path):
    running = threading.Event()
    asked = []

    def is_running():
        asked.append(1)
        return not running.is_set()

    found = []
    paths = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        paths.append(str(tmp_path / str(number) / "log"))
        write(paths[-1], ("stdout", b"before\n"))
    threads = [
        threading.Thread(
            target=lambda path=path: found.extend(
                texts(logs.read(path, streams=BOTH, is_running=is_running))
            )
        )
        for path in paths * 50
    ]
    for thread in threads:
        thread.start()
    time.sleep(2)  # they ask less and less often
    asked.clear()
    started = time.process_time()
    time.sleep(2)
    assert len(asked) <= 150 * 3
    assert time.process_time() - started < 0.5
    for path in paths:
        write(path, ("stdout", b"after\n"))
    running.set()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == [b"after\n"] * 150 + [b"before\n"] * 150


def test_without_a_watch_the_log_is_looked_at(tmp_path, monkeypatch):
    def refuse():
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(inotify, "create", refuse)
    monkeypatch.setattr(logs, "WATCHES", Watches())
    test_follow_gives_what_comes_and_ends_with_the_container(tmp_path)
