"""`--chmod`: octal and in letters, as chmod(1) itself changes a file."""

import os
import subprocess
from pathlib import Path

import pytest

from labkit.build.modes import change
from labkit.errors import InvalidParameterError


@pytest.mark.parametrize(
    "text",
    [
        *("0644", "4755", "7", "+x", "u+x", "go-rwx", "a=r", "u=rwX,go=rX", "g=u", "o=g,u+s"),
        *("+t", "ug+s", "-w", "+w", "u=rw,g=r,o=", "+X", "a+X", "u+x-w", "=r", "go=u-w"),
    ],
)
@pytest.mark.parametrize("mode", [0o640, 0o751, 0o600])
@pytest.mark.parametrize("is_folder", [True, False])
def test_as_chmod_does(tmp_path: Path, text: str, mode: int, is_folder: bool) -> None:
    path = tmp_path / "it"
    path.mkdir() if is_folder else path.touch()
    path.chmod(mode)
    chmod = ["sh", "-c", 'umask 022; exec chmod -- "$0" "$1"', text, str(path)]
    subprocess.run(chmod, check=True, stderr=subprocess.DEVNULL)
    assert oct(change(text)(mode, is_folder)) == oct(os.stat(path).st_mode & 0o7777)


@pytest.mark.parametrize(
    "text", ["", "8", "99999", "u", "rwx", "u+y", "z+x", "u=rw,", "0x7", "77777"]
)
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="invalid chmod parameter"):
        change(text)
