"""Demo 09c: how fast a container writes, past the page cache and through it, with a limit."""

from labkit.course.demos.canvas import CRIMSON, NAVY, PALE, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Choice, Press
from labkit.course.demos.demo import Demo
from labkit.course.limits.disk_result import Transfer
from labkit.course.limits.disk_run import BLOCK_MIB, BLOCKS, lab_disk, transfer

DIRECT, CACHED = "direct", "cached"
LIMIT_MIB = 10
LIMITED, FREE = f"{LIMIT_MIB} MiB/s", "none"
LEFT, RIGHT = 20.0, 880.0
SIZE_MIB = BLOCK_MIB * BLOCKS


class DiskDemo(Demo):
    """Bars of time: what dd takes, and what the disk still has to do after it."""

    number = "09c"
    title = "A disk's rate, direct and cached"
    say = f"--device-write-bps limits what reaches the disk: {SIZE_MIB} MiB are written each time."
    surprise = "Through the cache dd is done at once, limit or not: it has written into memory."
    controls = (
        Choice("limit", "--device-write-bps", (LIMITED, FREE)),
        Press(DIRECT, "dd oflag=direct"),
        Press(CACHED, "dd (through the cache)"),
    )

    def begin(self) -> None:
        """Make the lab disk, if there is none."""
        self._done: dict[tuple[str, str], Transfer] = {}
        self._disk = self.hold(lab_disk())

    def act(self, key: str) -> None:
        """Write, and wait until all of it is on the disk."""
        if key == "limit":
            return
        limit = str(self.values["limit"])
        self._done[key, limit] = transfer(
            self.crew,
            self._disk,
            is_direct=key == DIRECT,
            limit_mib=LIMIT_MIB if limit == LIMITED else 0,
        )

    def draw(self) -> Canvas:
        """A row for each way and limit; dark is dd, pale what the disk does after dd's end."""
        longest_s = max([2.5, *(one.until_on_disk_s for one in self._done.values())])
        said = [f"{way}, limit {limit}: {_rate(one)}" for (way, limit), one in self._done.items()]
        canvas = Canvas(f"Writing {SIZE_MIB} MiB. {'; '.join(said) or 'Nothing written yet.'}")
        rows = [(way, limit) for limit in (LIMITED, FREE) for way in (DIRECT, CACHED)]
        for row, (way, limit) in enumerate(rows):
            y = 30.0 + row * 108
            canvas.words((LEFT, y), f"{way}, limit {limit}", bold=limit == self.values["limit"])
            found = self._done.get((way, limit))
            canvas.box((LEFT, y + 12), (RIGHT - LEFT, 46), face="#FFFFFF", edge=PALE)
            if found is None:
                continue
            scale = (RIGHT - LEFT) / longest_s
            canvas.box((LEFT, y + 12), (found.until_on_disk_s * scale, 46), face=PALE, edge=PALE)
            ink = CRIMSON if limit == LIMITED else TEAL
            canvas.box((LEFT, y + 12), (found.took_s * scale, 46), face=ink, edge=ink)
            canvas.words((RIGHT, y), _rate(found), anchor="end", ink=NAVY, bold=True)
        canvas.words((LEFT, 484), "coloured: until dd says that it is done", ink=QUIET)
        canvas.words((LEFT, 512), "pale: until the disk has all of it", ink=QUIET)
        return canvas


def _rate(one: Transfer) -> str:
    return f"dd says {one.seen_mib:,.0f} MiB/s, the disk {one.disk_mib:,.0f}"
