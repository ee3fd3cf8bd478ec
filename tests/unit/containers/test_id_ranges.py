"""/etc/subuid and /etc/subgid, and what `--userns-remap` takes from them."""

import os
import pwd

import pytest

from labkit.containers.records import id_ranges
from labkit.containers.records.id_ranges import COUNT, FIRST_FREE, IdRanges
from labkit.errors import InvalidParameterError

ME = pwd.getpwuid(os.getuid()).pw_name


def folder(tmp_path, subuid, subgid=None):
    (tmp_path / "subuid").write_text(subuid)
    (tmp_path / "subgid").write_text(subuid if subgid is None else subgid)
    return str(tmp_path)


def test_ranges_follow_one_another(tmp_path):
    lines = f"other:1:2\n{ME}:200000:1000\n# no line\n{ME}:x:5\n{ME}:400000:0\n{ME}:300000:64536\n"
    ids = ((0, 200000, 1000), (1000, 300000, 64536))
    assert id_ranges.find(ME, folder(tmp_path, lines)) == IdRanges(ids, ids)


@pytest.mark.parametrize("user", [ME, str(os.getuid())])
def test_by_name_or_number_and_with_a_group(tmp_path, user):
    at = folder(tmp_path, f"{ME}:5000:10\n", f"{ME}:6000:10\ndaemon:7000:10\n")
    assert id_ranges.find(user, at) == IdRanges(((0, 5000, 10),), ((0, 6000, 10),))
    assert id_ranges.find(f"{user}:daemon", at).gids == ((0, 7000, 10),)


def test_a_number_in_the_files_is_the_same_user(tmp_path):
    at = folder(tmp_path, f"{os.getuid()}:5000:10\n")
    assert id_ranges.find(ME, at).uids == ((0, 5000, 10),)


def test_default_is_docker_s_user_or_what_is_free(tmp_path):
    assert id_ranges.find("default", str(tmp_path)).uids == ((0, FIRST_FREE, COUNT),)
    at = folder(tmp_path, "a:100000:65536\n", "b:200000:65536\n")
    assert id_ranges.find("default", at).gids == ((0, 265536, COUNT),)
    at = folder(tmp_path, "dockremap:500000:65536\n")
    assert id_ranges.find("default", at).uids == ((0, 500000, COUNT),)


@pytest.mark.parametrize(
    ("remap", "words"),
    [
        (ME, f"no ranges for {ME} in .*/subuid"),
        ("nobody-at-all", "no user nobody-at-all"),
        (f"{ME}:no-such-group", "no group no-such-group"),
    ],
)
def test_nobody_and_nothing(tmp_path, remap, words):
    with pytest.raises(InvalidParameterError, match=words):
        id_ranges.find(remap, folder(tmp_path, "a:1:1\n"))
