"""Messages between two releases: later fields are dropped, missing ones have their default."""

from typing import NamedTuple

import pytest

from labkit.kernel import messages
from labkit.runtime.exec_process import ExecRequest
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.shim import Started


class Earlier(NamedTuple):
    name: str


class Later(NamedTuple):
    name: str
    size: int = 0
    words: tuple[str, ...] = ()


def test_a_later_release_sends_an_earlier_one_what_it_knows() -> None:
    assert messages.plain(Later("a")) == ("a",)
    assert messages.plain(Later("a", 1)) == ("a", 1)
    assert messages.plain(Later("a", 0, ("b",))) == ("a", 0, ("b",))
    assert messages.known(Earlier, messages.plain(Later("a", 1))) == Earlier("a")


def test_an_earlier_release_sends_fewer() -> None:
    assert messages.known(Later, Earlier("a")) == Later("a")


@pytest.mark.parametrize(("kind", "least"), [(ExecRequest, 6), (ExitStatus, 4), (Started, 4)])
def test_what_0_1_0_did_not_send_has_a_default(kind: type, least: int) -> None:
    assert len(kind._fields) - len(kind._field_defaults) == least  # type: ignore[attr-defined]
