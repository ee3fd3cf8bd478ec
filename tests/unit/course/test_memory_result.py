"""What the kernel says of a kill, and what a result of memory says of itself."""

import pytest

from labkit.course.limits.kernel_log import killed_for_memory
from labkit.course.limits.memory_result import MIB, MemorySample, MemoryToTheLimit

OURS, OTHERS = "a" * 64, "b" * 64


def said(group: str, pid: int) -> list[str]:
    return [
        "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/labkit/{group},task=tail",
        f"Memory cgroup out of memory: Killed process {pid} (tail) total-vm:1050856kB",
    ]


def test_a_neighbours_kill_is_not_ours() -> None:
    lines = [*said(OTHERS, 7), *said(OURS, 8), *said(OTHERS, 9)]
    assert "Killed process 8 (tail)" in killed_for_memory(iter(lines), OURS)
    assert killed_for_memory(iter(said(OTHERS, 7)), OURS) == ""
    assert killed_for_memory(iter([]), OURS) == ""


def result(
    memory_mib: float, swap_mib: float, *, kills: int = 1, code: int = 137
) -> MemoryToTheLimit:
    most = MemorySample(1.0, int(memory_mib * MIB), int(swap_mib * MIB))
    samples = (MemorySample(0.0, MIB, 0), most, MemorySample(1.5, MIB, 0))
    return MemoryToTheLimit(64 * MIB, 32 * MIB, samples, most.memory_bytes, kills, code, "")


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (result(64, 31.9), True),
        (result(62, 30), True),
        (result(60, 32), False),
        (result(64, 0), False),
        (result(64, 32, kills=0), False),
        (result(64, 32, code=0), False),
    ],
)
def test_it_holds_at_the_limit_and_with_its_swap_used_up(
    found: MemoryToTheLimit, holds: bool
) -> None:
    assert found.holds is holds


def test_words_of_the_picture() -> None:
    figure = result(64, 32).plot()
    assert figure.png.startswith(b"\x89PNG")
    assert "the limit of 64 MiB" in figure.alt
    assert "swap, at most 32.0 MiB of 32 allowed" in figure.alt
    texts = {text.get_text() for text in figure.drawing.axes[0].texts}
    assert texts == {"swap", "memory", "-m 64m", "--memory-swap 96m", "killed"}


def test_without_swap_the_picture_says_why_one_line_is_missing() -> None:
    samples = (MemorySample(0.0, 0, 0), MemorySample(1.0, 64 * MIB, 200_000))
    found = MemoryToTheLimit(64 * MIB, 0, samples, 64 * MIB, 1, 137, "", asked_swap_bytes=32 * MIB)
    assert found.swap_peak_bytes == 0, "what the two counters differ by is no swap"
    assert found.holds
    figure = found.plot()
    texts = [text.get_text() for text in figure.drawing.axes[0].texts]
    assert "swap" not in texts
    assert any("--memory-swap 96m: this machine has no swap" in text for text in texts)
