"""The pure parts of update, top and stats."""

import os

import pytest

from labkit.cgroups import Group
from labkit.containers.inside import stats, top
from labkit.containers.life import updating
from labkit.containers.life.updating import UpdateConfig
from labkit.containers.records.model import HostConfig, RestartPolicy
from labkit.errors import InvalidParameterError

PS = """UID        PID  PPID  C STIME TTY          TIME CMD
root         1     0  0 18:20 ?        00:00:25 /sbin/init --with words
root       812     1  0 18:20 ?        00:00:00 sleep 100
"""


def test_top_keeps_the_container_s_lines():
    found = top.parse(PS, {1, 99})
    assert found.titles[1] == "PID"
    assert found.rows == [
        ["root", "1", "0", "0", "18:20", "?", "00:00:25", "/sbin/init --with words"]
    ]
    with pytest.raises(InvalidParameterError, match="PID"):
        top.parse("COMMAND\nsh\n", {1})


def test_update_changes_what_was_asked_and_nothing_else():
    present = HostConfig(memory=100, cpu_shares=512, pids_limit=5)
    merged = updating._merged(
        present, UpdateConfig(cpu_shares=1024, restart_policy=RestartPolicy())
    )
    assert (merged.memory, merged.cpu_shares, merged.pids_limit) == (100, 1024, 5)
    assert updating._merged(present, UpdateConfig(pids_limit=0)).pids_limit == 0
    with pytest.raises(InvalidParameterError, match="memoryswap"):
        updating._merged(HostConfig(memory=10, memory_swap=20), UpdateConfig(memory=30))


def test_only_files_that_change_are_written():
    before = (Group("pids", "/p", (("pids.max", "5"),)), Group("cpu", "/c", (("w", "1"),)))
    after = (Group("pids", "/p", ()), Group("cpu", "/c", (("w", "2"), ("q", "3"))))
    assert updating._changes(before, after) == [
        ("/c/w", "2"),
        ("/c/q", "3"),
        ("/p/pids.max", "max"),
    ]
    assert updating._changes(after, after) == []


@pytest.mark.parametrize("raise_both", [True, False])
def test_what_is_refused_first_is_tried_again_and_failure_puts_back(tmp_path, raise_both):
    (tmp_path / "a").write_text("1")
    target = str(tmp_path / "a")
    if raise_both:
        updating._write([(target, "2")])
        assert (tmp_path / "a").read_text() == "2"
        return
    with pytest.raises(OSError):
        updating._write([(target, "2"), (str(tmp_path / "missing"), "x")])
    assert (tmp_path / "a").read_text() == "1"


def test_system_cpu_counts_guest_time_once():
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert stats.system_cpu_ns("cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 …") == 36 * tick


def test_io_of_both_versions():
    wanted = [
        {"major": 8, "minor": 0, "op": "read", "value": 4096},
        {"major": 8, "minor": 0, "op": "write", "value": 7},
    ]
    assert stats._io_entries_v1("8:0 Read 4096\n8:0 Write 7\nTotal 4103\n") == wanted
    assert stats._io_entries_v2("8:0 rbytes=4096 wbytes=7 rios=1 wios=1\n") == wanted
