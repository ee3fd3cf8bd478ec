"""Every demo on a real engine: it opens, each control can be used, and nothing is left behind."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.client import Client
from labkit.course.demos import DEMOS, demo_class, show
from labkit.course.demos.canvas import HEIGHT, WIDTH
from labkit.course.demos.controls import Choice, Slide
from labkit.course.demos.demo import ClosedError, Demo
from labkit.course.demos.view import DemoView
from labkit.errors import NotFoundError
from tests.lab import Lab, running_lab
from tests.notebooks.notebooks import DEMOS as NOTEBOOKS
from tests.notebooks.notebooks import code_cells, read

SLOW = {"01", "02", "03", "04", "08b", "09b", "09c", "12b"}
"""What a control of these does takes seconds; `make test-demos` uses them."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One engine for all demos: each must leave it as it was."""
    with running_lab() as one:
        yield one


def kept_by(client: Client) -> dict[str, Any]:
    """What an engine has that a demo could leave."""
    return {
        "containers": [one.name for one in client.containers.list(all=True)],
        "networks": sorted(one["Name"] for one in client.api.get("/networks")),
        "images": sorted(tag for one in client.images.list() for tag in one.tags),
        "volumes": client.volumes.list(),
    }


def values_of(control: Any) -> list[Any]:
    if isinstance(control, Choice):
        return [control.options[1]]
    return [control.high] if isinstance(control, Slide) else [""]


def test_each_has_a_notebook_of_one_line() -> None:
    asked = {path.stem.split("_")[0]: list(code_cells(read(path))) for path in NOTEBOOKS}
    assert list(asked) == sorted(DEMOS)
    for number, (cell,) in asked.items():
        assert cell.source.splitlines()[-1] == f'show("{number}")'


@pytest.mark.parametrize("number", DEMOS)
def test_it_says_what_to_say_and_what_surprises(number: str) -> None:
    demo = demo_class(number)
    assert demo.number == number
    for words in (demo.title, demo.say, demo.surprise):
        assert words
    assert len(f"{demo.say} {demo.surprise}") < 190, "two lines at 20 px"
    assert demo.controls
    keys = [control.key for control in demo.controls]
    assert len(set(keys)) == len(keys)


def test_no_demo_hides_a_part_of_the_frame() -> None:
    meant = {"begin", "act", "draw", "number", "title", "say", "surprise", "controls", "every_s"}
    frame = {name for name in vars(Demo) if not name.startswith("__")} - meant
    for number in DEMOS:
        assert not frame & vars(demo_class(number)).keys(), number


def test_there_is_no_other_demo() -> None:
    with pytest.raises(NotFoundError, match="no demo 99"):
        show("99")


@pytest.mark.root
@pytest.mark.parametrize("number", DEMOS)
def test_it_opens_and_leaves_nothing(client: Client, number: str) -> None:
    before = kept_by(client)
    demo = show(number)
    try:
        view = demo._view = demo._make_view()
        assert isinstance(view, DemoView)
        assert f'viewBox="0 0 {WIDTH} {HEIGHT}"' in view._picture.value
        for control in demo.controls if number not in SLOW else ():
            for value in values_of(control):
                use(view, control.key, value)
                settle(demo)
                assert demo.values[control.key] == value or demo.note
        settle(demo)
        assert demo.draw().alt
        began_s = time.monotonic()
        demo.restart()
        assert time.monotonic() - began_s < 15, "a second, on a machine that does nothing else"
    finally:
        demo.close()
    assert kept_by(client) == before
    demo.close()
    with pytest.raises(ClosedError):
        demo.use(demo.controls[0].key)


@pytest.mark.root
def test_a_new_demo_closes_the_last(client: Client) -> None:
    first = show("11")
    second = show("08")
    assert not first.is_open
    assert client.containers.list(all=True) == []
    second.close()


@pytest.mark.root
def test_a_refused_choice_is_not_shown_as_chosen(client: Client) -> None:
    demo = show("11")
    view = demo._view = demo._make_view()
    for kind, mode in (("pid", "host"), ("user", "own")):
        use(view, kind, mode)
        settle(demo)
    assert "user namespaces" in view._note.value
    assert (demo.values["user"], view._inputs["user"].value) == ("host", "host")
    demo.close()


@pytest.mark.root
def test_what_fails_is_said_on_the_page(client: Client) -> None:
    demo = show("11")
    view = demo._view = demo._make_view()
    for one in client.containers.list():
        one.remove(force=True)
    use(view, "pid", "one")
    settle(demo)
    said = view._note.value
    assert "No such container" in said or "press Restart" in said
    demo.restart()
    assert len(client.containers.list()) == 2
    assert demo.is_open
    demo.close()


def use(view: DemoView, key: str, value: Any) -> None:
    """Do with a control what the browser does."""
    field = view._inputs[key]
    if value == "":
        field.click()
    else:
        field.value = value


def settle(demo: Demo) -> None:
    """Wait until the demo's own thread has done what it was asked for."""
    deadline = time.monotonic() + 120
    while demo._work.unfinished_tasks and demo._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not demo._work.unfinished_tasks
