"""Who is called when files change hands within one round of events."""

import os

import pytest

from labkit.runtime.watcher import GONE, READABLE, Watcher


@pytest.fixture
def pipes():
    made = [os.pipe() for _ in range(2)]
    yield made
    for fd in (fd for pair in made for fd in pair):
        try:
            os.close(fd)
        except OSError:
            continue


def ready(pipes):
    for _, writer in pipes:
        os.write(writer, b"x")


def test_a_file_closed_by_an_earlier_call_is_not_called(pipes):
    watcher, called = Watcher(), []

    def close_the_other(mine, other):
        called.append(mine)
        watcher.forget(other)
        os.close(other)

    (one, _), (two, _) = pipes
    watcher.watch(one, READABLE, lambda _: close_the_other(one, two))
    watcher.watch(two, READABLE, lambda _: close_the_other(two, one))
    ready(pipes)
    watcher.serve(1)
    assert called in ([one], [two])


def test_nor_is_a_new_file_that_got_its_number(pipes):
    """Events of the old file must reach neither the old callback nor the new one."""
    watcher, called = Watcher(), []
    (one, _), (two, _) = pipes
    new = os.open("/dev/null", os.O_RDONLY)

    def replace(other):
        called.append("replaced")
        watcher.forget(other)
        fresh, _ = os.pipe()
        os.dup2(fresh, other)
        os.close(fresh)
        watcher.watch(other, READABLE, lambda _: called.append("new"))

    watcher.watch(one, READABLE, lambda _: replace(two))
    watcher.watch(two, READABLE, lambda _: replace(one))
    ready(pipes)
    watcher.serve(1)
    os.close(new)
    assert called == ["replaced"]


def test_a_callback_that_fails_is_dropped_and_the_others_are_called(pipes, capfd):
    watcher, called = Watcher(), []
    (one, _), (two, _) = pipes
    watcher.watch(one, READABLE, lambda _: 1 / 0)
    watcher.watch(two, READABLE, lambda _: called.append(os.read(two, 10)))
    ready(pipes)
    watcher.serve(1)
    watcher.serve(0)
    assert called == [b"x"]
    assert capfd.readouterr().err.count("ZeroDivisionError") == 1


def test_that_the_other_side_has_gone_is_told_to_who_watches_for_nothing(pipes):
    watcher, called = Watcher(), []
    (one, writer), _ = pipes
    watcher.watch(one, 0, called.append)
    os.write(writer, b"x")
    watcher.serve(0)
    assert called == []
    os.close(writer)
    watcher.serve(1)
    assert called and called[0] & GONE
