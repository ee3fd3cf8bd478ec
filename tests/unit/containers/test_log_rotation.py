"""A log in several files: cut by the writer, put together by the reader, followed across cuts."""

import os
import threading
import time

import pytest

from labkit.containers.given import log_options
from labkit.containers.inside import logs
from labkit.containers.records.model import LogConfig
from labkit.errors import InvalidParameterError
from labkit.runtime.log import LogWriter

BOTH = {"stdout", "stderr"}


def text(path, **more):
    return b"".join(line.text for line in logs.read(str(path), streams=BOTH, **more))


def numbers(first, last):
    return b"".join(b"line %04d\n" % number for number in range(first, last))


def test_files_have_their_size_and_the_last_ones_are_kept(tmp_path):
    path = tmp_path / "x.log"
    writer = LogWriter(str(path), 1000, 3)
    for first in range(0, 100, 10):
        writer.write("stdout", numbers(first, first + 10))
    writer.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["x.log", "x.log.1", "x.log.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    got = text(path)
    assert got.endswith(b"line 0099\n")
    first = int(got[5:9])
    assert got == numbers(first, 100)
    assert 60 < first < 90
    assert text(path, tail=20) == numbers(80, 100)


def test_one_file_begins_anew(tmp_path):
    path = tmp_path / "x.log"
    writer = LogWriter(str(path), 1000)
    writer.write("stdout", numbers(0, 100))
    writer.close()
    assert [file.name for file in tmp_path.iterdir()] == ["x.log"]
    assert path.stat().st_size <= 1000
    assert text(path).endswith(b"line 0099\n")


def test_a_line_that_is_too_long_is_written_all_the_same(tmp_path):
    path = tmp_path / "x.log"
    writer = LogWriter(str(path), 100, 2)
    writer.write("stdout", b"a" * 500 + b"\nb\n")
    writer.close()
    assert text(path) == b"a" * 500 + b"\nb\n"


def test_a_new_writer_goes_on_where_the_last_one_stopped(tmp_path):
    path = tmp_path / "x.log"
    for first in (0, 5, 10, 15):
        writer = LogWriter(str(path), 1000, 9)
        writer.write("stdout", numbers(first, first + 5))
        writer.close()
    assert text(path) == numbers(0, 20)
    assert (tmp_path / "x.log.1").exists()


def test_following_across_cuts(tmp_path):
    path = tmp_path / "x.log"
    writer = LogWriter(str(path), 2000, 50)
    writer.write("stdout", numbers(0, 1))
    over = threading.Event()

    def write():
        for first in range(1, 301, 10):
            writer.write("stdout", numbers(first, first + 10))
            time.sleep(0.005)
        writer.close()
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert text(path, is_running=lambda: not over.is_set()) == numbers(0, 301)
    thread.join()


@pytest.mark.parametrize(
    ("options", "limits"),
    [({}, (20_000_000, 5)), ({"max-file": "2"}, (20_000_000, 2)),
     ({"max-size": "10m", "max-file": "3"}, (10_000_000, 3)),
     ({"max-size": "1.5KB"}, (1500, 1)), ({"max-size": "-1"}, (0, 1))],
)  # fmt: skip
def test_options(options, limits):
    assert log_options.limits(LogConfig(config=options)) == limits


@pytest.mark.parametrize(
    "config",
    [LogConfig(type="nosuch"), *(LogConfig(config=options) for options in (
        {"max-size": "ten"}, {"max-size": "0"}, {"max-file": "0"}, {"max-file": "9" * 5000},
        {"max-file": "2", "max-size": "-1"}, {"max-size": "9" * 400 + "g"}, {"nosuch": "x"},
    ))],
)  # fmt: skip
def test_options_that_make_no_sense(config):
    with pytest.raises(InvalidParameterError):
        log_options.limits(config)


def test_a_look_in_the_middle_of_a_rotation_sees_every_file(tmp_path):
    """The files get other names one after the other; whoever looks then misses none."""
    path = str(tmp_path / "x-json.log")
    over = threading.Event()

    def rotate():
        writer = LogWriter(path, 200, 3)
        number = 0
        while not over.is_set():
            writer.write("stdout", b"line-%d\n" % number)
            number += 1
        writer.close()

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        while not os.path.exists(f"{path}.2"):
            time.sleep(0.001)
        for _ in range(300):
            lines = [line.text for line in logs.read(path, streams={"stdout"})]
            numbers = [int(line[5:]) for line in lines]
            assert len(numbers) > 1
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    finally:
        over.set()
        thread.join()
