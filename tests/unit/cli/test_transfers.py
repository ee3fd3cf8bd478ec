"""What pull and push show: lines in place on a terminal, a log elsewhere."""

import io

from labkit.cli.show import transfers

EVENTS = [
    {"status": "Pulling from x", "id": "latest"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bb"},
    {
        "status": "Downloading",
        "progressDetail": {"current": 1, "total": 2},
        "progress": "[=>]",
        "id": "aa",
    },
    {"status": "Pull complete", "progressDetail": {}, "id": "bb"},
    {"progressDetail": {}, "aux": {"Tag": "1"}},
    {"status": "Digest: sha256:0"},
]


class Screen(io.StringIO):
    """A terminal of so many columns."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


def rows(text: str) -> list[str]:
    """What stands on the screen in the end, by the three movements that are used."""
    screen: list[str] = [""]
    row = 0
    position = 0
    while position < len(text):
        if text.startswith("\x1b[", position):
            end = next(i for i in range(position + 2, len(text)) if text[i].isalpha())
            count = int(text[position + 2 : end])
            if text[end] == "K":
                screen[row] = ""
            else:
                row += {"A": -count, "B": count}[text[end]]
            position = end + 1
            continue
        if text[position] == "\n":
            row += 1
            screen += [""] * (row + 1 - len(screen))
        elif text[position] != "\r":
            screen[row] += text[position]
        position += 1
    return screen


def test_a_log_tells_states_and_no_bytes() -> None:
    output = io.StringIO()
    transfers.show(EVENTS, output)
    assert output.getvalue().splitlines() == [
        "latest: Pulling from x",
        "aa: Pulling fs layer",
        "bb: Pulling fs layer",
        "bb: Pull complete",
        "Digest: sha256:0",
    ]


def test_a_terminal_has_a_line_for_each_layer(monkeypatch) -> None:
    monkeypatch.setattr(transfers, "width", lambda fd: 80)
    screen = Screen()
    screen.fileno = lambda: 1
    transfers.show(EVENTS, screen)
    assert rows(screen.getvalue()) == [
        "latest: Pulling from x",
        "aa: Downloading [=>]",
        "bb: Pull complete",
        "Digest: sha256:0",
        "",
    ]


def test_lines_fit_the_terminal(monkeypatch) -> None:
    monkeypatch.setattr(transfers, "width", lambda fd: 11)
    screen = Screen()
    screen.fileno = lambda: 1
    transfers.show([{"status": "x" * 50, "progressDetail": {}, "id": "a"}], screen)
    assert screen.getvalue() == "a: xxxxxxx\n"


def test_a_narrow_terminal_has_the_numbers_and_no_bar(monkeypatch) -> None:
    monkeypatch.setattr(transfers, "width", lambda fd: 40)
    screen = Screen()
    screen.fileno = lambda: 1
    event = EVENTS[3] | {"progress": f"[{'=' * 20}>{' ' * 29}]    1.2MB/3MB"}
    transfers.show([EVENTS[1], event], screen)
    assert rows(screen.getvalue()) == ["aa: Downloading 1.2MB/3MB", ""]


def test_what_stays_is_shown_whole(monkeypatch) -> None:
    monkeypatch.setattr(transfers, "width", lambda fd: 40)
    screen = Screen()
    screen.fileno = lambda: 1
    digest = f"Digest: sha256:{'0' * 64}"
    transfers.show([EVENTS[1], {"status": digest}], screen)
    assert rows(screen.getvalue()) == ["aa: Pulling fs layer", digest, ""]
