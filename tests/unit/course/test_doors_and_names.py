"""The pictures of chapter 7 say what they show, from made-up results."""

from typing import Any

import pytest

from labkit.client.containers import Container
from labkit.course.running.doors import Door, Doors, Process
from labkit.course.running.names import least_digits, names

FIRST = Process("sh", 900, 1, "/dev/pts/0")
GUEST = Process("sh", 950, 3, "/dev/pts/1")
ATTACH = Door("attach", 1, "/dev/pts/0", (FIRST,), "exited")
EXEC = Door("exec", 3, "/dev/pts/1", (FIRST, GUEST), "running")


def test_words_of_the_doors() -> None:
    result = Doors(ATTACH, EXEC)
    assert result.holds
    figure = result.plot()
    assert "exec reaches process 3; in the container: sh 1 on /dev/pts/0, sh 3" in figure.alt
    assert figure.table.column("process") == ("sh (you)", "sh", "sh (you)")
    assert figure.png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [
        Doors(ATTACH._replace(status_after_exit="running"), EXEC),
        Doors(ATTACH, EXEC._replace(status_after_exit="exited")),
        Doors(ATTACH, EXEC._replace(answered_pid=1)),
        Doors(ATTACH, EXEC._replace(answered_terminal="/dev/pts/0")),
    ],
)
def test_doors_do_not_hold_otherwise(wrong: Doors) -> None:
    assert not wrong.holds


def test_the_digits_that_are_enough() -> None:
    assert least_digits(["abcd", "abef", "cdef"]) == [3, 3, 1]
    assert least_digits(["abcd"]) == [1]


def test_words_of_the_names() -> None:
    api: Any = None
    ids = {"ant": "ab" * 32, "bee": "ac" * 32}
    every = [Container(api, {"Id": digits, "Name": f"/{name}"}) for name, digits in ids.items()]
    figure = names(every)
    assert "ant: short id abababababab, 2 digits are enough" in figure.alt
    assert figure.table.column("digits that are enough") == ("ab", "ac")
    assert len(figure.drawing.axes[0].texts) == 3 + 2 * (1 + 64)
