"""Two trees compared: what a container's copy has changed, and how deep that is looked at."""

import os
from contextlib import ExitStack

import pytest

from labkit.snapshots import comparing
from labkit.snapshots.comparing import DEPTH_MAX, TooDeepError


def nested(folder, depth):
    path = folder
    for _ in range(depth):
        path = path / "d"
    path.mkdir(parents=True)
    (path / "new").write_text("four")


@pytest.mark.parametrize(("depth", "found_bytes"), [(3, 4), (DEPTH_MAX, 4), (DEPTH_MAX + 50, 0)])
def test_what_is_new_in_a_deep_tree(tmp_path, depth, found_bytes):
    for name in ("new", "old", "out"):
        (tmp_path / name).mkdir()
    nested(tmp_path / "new", depth)
    with ExitStack() as stack:
        fds = [os.open(tmp_path / name, os.O_RDONLY) for name in ("new", "old", "out")]
        for fd in fds:
            stack.callback(os.close, fd)
        assert comparing.changed_bytes(*fds[:2]) == found_bytes
        if not found_bytes:
            with pytest.raises(TooDeepError):
                comparing.gather(*fds)
            return
        comparing.gather(*fds)
    assert (tmp_path / "out").joinpath(*["d"] * depth, "new").read_text() == "four"
