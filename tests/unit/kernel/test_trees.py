"""Look-ups inside a root, while files of the machine are renamed."""

import errno
import os

import pytest

from labkit.kernel import libc, trees


def failing(times: int):
    """A system call that fails as openat2(2) does, and then succeeds: no test can time a rename."""
    left = [errno.EAGAIN] * times
    real = libc.syscall

    def syscall(name, *arguments, path=None):
        if left:
            number = left.pop()
            raise OSError(number, os.strerror(number), path)
        return real(name, *arguments, path=path)

    return syscall


def test_a_rename_of_another_file_does_not_end_a_look_up(tmp_path, monkeypatch):
    (tmp_path / "var").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "var" / "run").symlink_to("../run")
    root = os.open(tmp_path, os.O_PATH)
    monkeypatch.setattr(libc, "syscall", failing(trees.TRIES - 1))
    found = trees.open_in_root(root, "/var/run")
    assert os.path.samestat(os.fstat(found), os.stat(tmp_path / "run"))
    monkeypatch.setattr(libc, "syscall", failing(trees.TRIES))
    with pytest.raises(BlockingIOError):
        trees.open_in_root(root, "/var/run")
    for fd in (found, root):
        os.close(fd)
