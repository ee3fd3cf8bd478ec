"""Records on disk: whether labkit could read all of them."""

import os
from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, OK, UNKNOWN, Finding, Situation
from labkit.paths import SET_ASIDE


def check_records(situation: Situation) -> Iterator[Finding]:
    """The records that a daemon could not read at its start (`labkit.set_aside`)."""
    folder = f"{situation.paths.root}/{SET_ASIDE}"
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        names = []
    except PermissionError:
        yield Finding("records", UNKNOWN, "only root can look at them")
        return
    if not names:
        yield Finding("records", OK, "all that labkit keeps can be read")
    else:
        yield Finding(
            "records",
            LIMITED,
            f"set aside in {folder}, because they could not be read: {', '.join(names)}",
            "labkitd's log says why: repair them and move them back while labkitd does not run, or"
            " delete them",
        )
