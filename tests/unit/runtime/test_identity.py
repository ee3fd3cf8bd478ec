"""Looking a user up in the container's own files."""

import tracemalloc

import pytest

from labkit.runtime import operations as op
from labkit.runtime.operations import identity

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:44:web:/srv:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:web,other\nwww:x:44:\n"


@pytest.fixture
def etc(tmp_path, monkeypatch):
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    real = identity._records
    monkeypatch.setattr(
        identity, "_records", lambda path, n: real(path.replace("/etc", str(tmp_path)), n)
    )
    return tmp_path


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, [0], "/root"),
        ("web", 33, 44, [44, 50], "/srv"),
        ("33", 33, 44, [44, 50], "/srv"),
        ("web:staff", 33, 50, [50], "/srv"),
        ("web:7", 33, 7, [7], "/srv"),
        ("1000", 1000, 0, [0], "/"),
        ("1000:1000", 1000, 1000, [1000], "/"),
    ],
)
def test_look_up(etc, user, uid, gid, groups, home):
    context = op.Context((0, 1, 2), {})
    op.LookUpUser(user).execute(context)
    assert (context.uid, context.gid, context.groups) == (uid, gid, groups)
    assert context.environment["HOME"] == home


@pytest.mark.parametrize("user", ["nosuch", "web:nosuch"])
def test_an_unknown_name_is_an_error(etc, user):
    with pytest.raises(OSError, match="unable to find"):
        op.LookUpUser(user).execute(op.Context((0, 1, 2), {}))


def test_home_of_the_request_is_kept(etc):
    context = op.Context((0, 1, 2), {"HOME": "/mine"})
    op.LookUpUser("web").execute(context)
    assert context.environment["HOME"] == "/mine"


def test_a_file_of_empty_lines_takes_little_memory(etc):
    (etc / "passwd").write_text("\n" * 300_000 + "web:x:7:8::/home:/bin/sh\n")
    tracemalloc.start()
    try:
        assert identity._find_user("web") == ("web", 7, 8, "/home")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
