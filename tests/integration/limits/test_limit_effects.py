"""Every limit measured by its effect, within what was asked of it (`tests/effects.py`)."""

from collections.abc import Iterator

import pytest

from tests.effects import EFFECTS, Effect, swap, version
from tests.lab import Lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def has_swap() -> Iterator[bool]:
    with swap() as has_swap:
        yield has_swap


@pytest.mark.parametrize("effect", EFFECTS, ids=[one.limit for one in EFFECTS])
def test_what_was_asked_is_what_comes(
    lab: Lab, has_swap: bool, effect: Effect, monkeypatch: pytest.MonkeyPatch
) -> None:
    if effect.only not in (0, version()):
        pytest.skip(f"needs cgroup v{effect.only}")
    if effect.needs_swap and not has_swap:
        pytest.skip("needs swap")
    for name, value in lab.env.items():
        monkeypatch.setenv(name, value)
    found = effect.measure(lab, effect)
    assert effect.holds(found), f"{effect.flags}: {found:g} {effect.unit}, not {effect.wanted:g}"
