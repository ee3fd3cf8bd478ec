"""Exercises of chapter 9: limits.  The judge reads the files of the containers' control groups."""

import time

from labkit.cgroups import v2
from labkit.cgroups.shares import io_weight_from_blkio
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson, MachineFaultError
from labkit.course.exercises.looks import missed, running
from labkit.course.exercises.place import Place, Seen, numbers
from labkit.course.exercises.processes import status

MIB = 1024 * 1024
MEASURED_S = 3.0
TOLERANCE = 0.05
LEAST_CPU_S = 0.3
"""Seconds: less CPU time than this in a measurement means that the machine was too busy."""

BUSY = ["md5sum", "/dev/zero"]

_LIFE = Lesson(
    "A limit is a file of a running container's group; when the container ends, it is gone.",
    "chapter 9, section Two containers, one CPU",
    "the state that the engine lists for it",
)
_WEIGHT = Lesson(
    "A weight says nothing by itself: only the proportion of two weights counts.",
    "chapter 9, section Two containers, one CPU",
    "the file cpu.shares (cgroup v2: cpu.weight) of both groups",
)
_ONE_CPU = Lesson(
    "Weights decide only while the containers want the same CPU.",
    "chapter 9, section The host sees processes",
    "the file cpuset.cpus of both groups",
)
_MEASURED = Lesson(
    "Time is divided among those that want it at that moment.",
    "chapter 9, section Two containers, one CPU",
    "the file cpuacct.usage (cgroup v2: cpu.stat), read twice",
)
_SAME = Lesson(
    "A limit can be changed while a container runs: the kernel looks at the file each time.",
    "chapter 9, section The limit is a file",
    "the process number of the containers, before and after",
)
_QUOTA = Lesson(
    "A ceiling is CPU time for each period, also when no other process wants the CPU.",
    "chapter 9, section A ceiling",
    "the files cpu.cfs_quota_us and cpu.cfs_period_us (cgroup v2: cpu.max)",
)
_THROTTLED = Lesson(
    "A process that hits its ceiling has to wait for the next period, and the kernel counts that.",
    "chapter 9, section A ceiling",
    "the line nr_throttled of the file cpu.stat",
)
_MEMORY = Lesson(
    "The kernel ends a container that needs more memory than its limit; files in a tmpfs count.",
    "chapter 9, section Memory up to the limit",
    "the files memory.limit_in_bytes and memory.stat (cgroup v2: memory.max and memory.stat)",
)
_SWAP = Lesson(
    "The second limit is the sum of memory and swap, not swap alone.",
    "chapter 9, section Memory up to the limit",
    "the flag that names both, and the difference of the two numbers",
)
_DISK = Lesson(
    "Rates are set for one device, for reading and writing apart, in bytes or in operations.",
    "chapter 9, section So many bytes a second, and the cache",
    "the files blkio.throttle.* of the group (cgroup v2: io.max)",
)
_WEIGHTS = Lesson(
    "A weight counts when both want the disk: then each gets its part of the sum.",
    "chapter 9, section A disk 2:1",
    "the file blkio.bfq.weight of each group (cgroup v2: io.bfq.weight, io.weight)",
)
_PIDS = Lesson(
    "A limit on processes makes the next fork fail; the machine stays as it was.",
    "chapter 9, section How many processes",
    "the files pids.max and pids.events of the group",
)


def cpu_s(seen: Seen) -> float:
    """CPU time that a container has used so far, in seconds."""
    text = seen.read("cpuacct", "cpuacct.usage", "cpu.stat")
    if text.isdigit():
        return int(text) / 1e9
    return dict(numbers(text)).get("usage_usec", 0) / 1e6


def weight(seen: Seen) -> int:
    """The number in its weight file, 0 if there is none."""
    return int(seen.read("cpu", "cpu.shares", "cpu.weight") or 0)


def _draw_shares(dice: Dice) -> dict[str, object]:
    more, less = dice.choice([(3, 1), (4, 1), (5, 2), (5, 3), (3, 2)])
    return {"heavy": dice.name("heavy"), "light": dice.name("light"), "more": more, "less": less}


def _judge_shares(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    heavy = running(found, place, values.heavy, 1, _LIFE)
    light = running(found, place, values.light, 1, _LIFE)
    what, wanted = "their weights", f"{values.more}:{values.less}"
    measured = "the CPU time of both, measured over 3 s"
    if heavy is None or light is None:
        return missed(
            found,
            (what, wanted, 3, _WEIGHT),
            ("the CPUs they may use", "one, the same", 1, _ONE_CPU),
            (measured, wanted, 4, _MEASURED),
        )
    ratio = weight(heavy) / max(1, weight(light))
    asked = values.more / values.less
    is_near = abs(ratio / asked - 1) <= TOLERANCE
    text = f"{weight(heavy)}:{weight(light)}"
    found.add(what, wanted, text, 3, _WEIGHT, met=is_near)
    cpus = {status(each.pid).get("Cpus_allowed_list", "") for each in (heavy, light)}
    is_one = len(cpus) == 1 and next(iter(cpus)).isdigit()
    text = " and ".join(sorted(cpus))
    found.add("the CPUs they may use", "one, the same", text, 1, _ONE_CPU, met=is_one)
    if not (is_near and is_one):  # a busy machine may divide its time like this all the same
        return missed(found, (measured, wanted, 4, _MEASURED))
    before = cpu_s(heavy), cpu_s(light)
    time.sleep(MEASURED_S)
    used = cpu_s(heavy) - before[0], cpu_s(light) - before[1]
    if 0 < sum(used) < LEAST_CPU_S and min(used) > 0:
        raise MachineFaultError("the machine was too busy to measure CPU time")
    share = used[0] / max(1e-9, used[1])
    is_met = min(used) > 0.05 and abs(share / asked - 1) <= 2 * TOLERANCE
    text = f"{used[0]:.2f} s and {used[1]:.2f} s"
    found.add(measured, wanted, text, 4, _MEASURED, met=is_met)
    return found.all


def _draw_changed(dice: Dice) -> dict[str, object]:
    more, less = dice.choice([(3, 1), (4, 1), (1, 3), (1, 4)])
    return {"first": dice.name("first"), "second": dice.name("second"), "more": more, "less": less}


def _scene_changed(place: Place, values: Values) -> Memo:
    memo: Memo = {}
    for name in (values.first, values.second):
        container = place.client.containers.run(
            "busybox", BUSY, name=name, detach=True, cpu_shares=1024, cpuset_cpus="0"
        )
        seen = Seen(place.client.containers.get(container.id).attrs)
        memo[name] = [seen.id, seen.pid, seen.began]
    return memo


def _judge_changed(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    names = values.first, values.second
    seen = [running(found, place, name, 0, _LIFE) for name in names]
    what, wanted = "their weights", f"{values.more}:{values.less}"
    first, second = seen
    if first is None or second is None:
        return missed(
            found,
            (what, wanted, 4, _WEIGHT),
            ("their processes", "the same as at the start", 2, _SAME),
        )
    ratio = weight(first) / max(1, weight(second))
    is_near = abs(ratio * values.less / values.more - 1) <= TOLERANCE
    found.add(what, wanted, f"{weight(first)}:{weight(second)}", 4, _WEIGHT, met=is_near)
    same = all(memo.get(each.name) == [each.id, each.pid, each.began] for each in (first, second))
    text = "the same as at the start" if same else "other processes than at the start"
    # Untouched containers keep their processes, too: this counts only with the change.
    found.add("their processes", "the same as at the start", text, 2, _SAME, met=same and is_near)
    return found.all


def _draw_ceiling(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("capped"), "percent": dice.choice([15, 20, 25, 30, 35, 40])}


def quota(seen: Seen) -> float:
    """The ceiling as a part of one CPU; infinite without one."""
    if seen.version("cpu") == 1:
        text = seen.read("cpu", "cpu.cfs_quota_us", "") or "-1"
        period = seen.read("cpu", "cpu.cfs_period_us", "") or "100000"
    else:
        text, _, period = seen.read("cpu", "", "cpu.max").partition(" ")
    return int(text) / int(period) if text.isdigit() else float("inf")


def throttled(seen: Seen) -> int:
    """How often the container had to wait for its next period."""
    return dict(numbers(seen.read("cpu", "cpu.stat", "cpu.stat"))).get("nr_throttled", 0)


def _judge_ceiling(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    wanted = f"{values.percent} % of one CPU"
    waits = "how often it had to wait in 1.5 s"
    if seen is None:
        return missed(
            found,
            ("its ceiling", wanted, 3, _QUOTA),
            (waits, "more than once", 3, _THROTTLED),
        )
    part = quota(seen)
    text = "none" if part == float("inf") else f"{100 * part:.0f} % of one CPU"
    is_met = abs(100 * part - values.percent) < 0.5
    found.add("its ceiling", wanted, text, 3, _QUOTA, met=is_met)
    before, used_s = throttled(seen), cpu_s(seen)
    time.sleep(1.5)
    times, used_s = throttled(seen) - before, cpu_s(seen) - used_s
    if is_met and times < 2 and used_s > 0.03:  # it wants the CPU, and does not even get its part
        raise MachineFaultError("the machine was too busy to reach the ceiling")
    has_waited = times > 1 and is_met
    found.add(waits, "more than once", f"{times} times", 3, _THROTTLED, met=has_waited)
    return found.all


def _draw_memory(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("tight"), "size": dice.randrange(24, 48)}


ROOM_MIB = 5
"""For the shell, the page tables and what the kernel charges in advance."""


def _judge_memory(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    held_name = "the files in its tmpfs"
    most = values.size + ROOM_MIB
    wanted, holds = f"at most {most} MiB", f"{values.size} MiB"
    if seen is None:
        return missed(
            found,
            (held_name, holds, 2, _MEMORY),
            ("its memory limit", wanted, 4, _MEMORY),
        )
    stat = dict(numbers(seen.read("memory", "memory.stat", "memory.stat")))
    held = stat.get("total_shmem", stat.get("shmem", 0)) / MIB
    has_file = held >= values.size - 0.5
    found.add(held_name, holds, f"{held:.0f} MiB", 2, _MEMORY, met=has_file)
    text = seen.read("memory", "memory.limit_in_bytes", "memory.max")
    limit = int(text) / MIB if text.isdigit() else float("inf")
    is_small = has_file and limit <= most
    shown = "none" if limit > 1 << 30 else f"{limit:.0f} MiB"
    found.add("its memory limit", wanted, shown, 4, _MEMORY, met=is_small)
    return found.all


def _draw_swap(dice: Dice) -> dict[str, object]:
    memory = dice.choice([48, 64, 80, 96])
    return {"name": dice.name("swapper"), "memory": memory, "swap": dice.choice([32, 64, 96])}


def _judge_swap(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    wanted = f"{values.memory} MiB", f"{values.swap} MiB"
    if seen is None:
        return missed(
            found,
            ("its memory limit", wanted[0], 2, _MEMORY),
            ("the swap it may use", wanted[1], 3, _SWAP),
        )
    text = seen.read("memory", "memory.limit_in_bytes", "memory.max")
    limit = int(text) if text.isdigit() else 0
    shown = f"{limit / MIB:.0f} MiB" if 0 < limit < 1 << 40 else "none"
    found.add("its memory limit", wanted[0], shown, 2, _MEMORY)
    swap = swap_bytes(seen, limit)
    shown = "not limited" if swap is None else f"{swap / MIB:.0f} MiB"
    found.add("the swap it may use", wanted[1], shown, 3, _SWAP)
    return found.all


def swap_bytes(seen: Seen, limit: int) -> int | None:
    """The swap that a container may use, in bytes; None without a limit.

    A kernel that does not count swap has no file for it: then the engine's record has the number.
    """
    text = seen.read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    if text.isdigit():
        both = int(text)
        return None if both > 1 << 50 else both - limit * (seen.version("memory") == 1)
    if text:
        return None
    given = seen.attrs["HostConfig"]
    both = int(given.get("MemorySwap") or 0)
    return both - int(given["Memory"]) if both > 0 else None


def _draw_disk(dice: Dice) -> dict[str, object]:
    return {
        "name": dice.name("slow"),
        "read_mb": dice.randrange(3, 20),
        "write_mb": dice.randrange(20, 40),
        "reads": dice.randrange(40, 90),
        "writes": dice.randrange(100, 190),
    }


def _judge_disk(place: Place, values: Values, memo: Memo) -> list[Finding]:
    if not place.disk:
        raise MachineFaultError("there is no lab disk: make one first (labkit lab-disk make)")
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    asked = {
        "bytes read in a second": ("read_bps", "rbps", values.read_mb * MIB),
        "bytes written in a second": ("write_bps", "wbps", values.write_mb * MIB),
        "reads in a second": ("read_iops", "riops", values.reads),
        "writes in a second": ("write_iops", "wiops", values.writes),
    }
    for what, (old, new, wanted) in asked.items():
        rate = 0 if seen is None else _rate(seen, old, new, place.device_number)
        text = "nothing to look at" if seen is None else str(rate or "no limit")
        found.add(f"{what} from the lab disk", wanted, text, 2, _DISK, met=rate == wanted)
    return found.all


def _draw_weights(dice: Dice) -> dict[str, object]:
    less = dice.randrange(10, 40) * 10
    return {"fast": dice.name("fast"), "slow": dice.name("slow"), "more": 2 * less, "_less": less}


def _judge_weights(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    wanted = {values.fast: values.more, values.slow: values["_less"]}
    every = [running(found, place, name, 1, _LIFE) for name in wanted]
    for (name, weight), seen in zip(wanted.items(), every, strict=True):
        what = f"the disk weight of {name}"
        asked = str(weight) if name == values.fast else f"half of {values.more}"
        text = "nothing to look at" if seen is None else str(_disk_weight(seen))
        found.add(what, asked, text, 2, _WEIGHTS, met=text == str(weight) and None not in every)
    return found.all


def _disk_weight(seen: Seen) -> int:
    """The weight of a container on disks, as `--blkio-weight` has it."""
    for version_1, version_2 in (
        ("blkio.bfq.weight", "io.bfq.weight"),
        ("blkio.weight", "io.weight"),
    ):
        words = seen.read("blkio", version_1, version_2).split()
        if not words:
            continue
        given = int(seen.attrs["HostConfig"].get("BlkioWeight") or 0)
        is_converted = seen.version("blkio") == v2.VERSION and version_2 == v2.IO_WEIGHT
        if is_converted and words[-1] == str(io_weight_from_blkio(given or 500)):
            return given
        return int(words[-1])
    raise MachineFaultError("this kernel has no weights for disks: see `labkit doctor`")


def _rate(seen: Seen, version_1: str, version_2: str, device: str) -> int:
    text = seen.read("blkio", f"blkio.throttle.{version_1}_device", "io.max")
    for line in text.splitlines():
        name, *fields = line.split()
        if name == device:
            pairs = dict(field.split("=") for field in fields if "=" in field)
            value = pairs.get(version_2, "") if pairs else fields[0]
            return int(value) if value.isdigit() else 0
    return 0


def _draw_bomb(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("bomb"), "most": dice.randrange(12, 40)}


def _judge_bomb(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    limit_name, refused_name = "the most processes it may have", "forks that were refused"
    if seen is None:
        return missed(
            found,
            (limit_name, values.most, 2, _PIDS),
            (refused_name, "one or more", 3, _PIDS),
        )
    text = seen.read("pids", "pids.max", "pids.max") or "no limit"
    is_met = found.add(limit_name, str(values.most), text, 2, _PIDS)
    refused = dict(numbers(seen.read("pids", "pids.events", "pids.events"))).get("max", 0)
    found.add(refused_name, "one or more", refused, 3, _PIDS, met=is_met and refused > 0)
    return found.all


EXERCISES = (
    Exercise(
        "09.1",
        "Two parts of one CPU",
        "Start two containers from `busybox`, `{heavy}` and `{light}`, that both compute without "
        "end on the same CPU.  `{heavy}` gets {more} parts of its time, `{light}` gets {less}.  "
        "Leave both running.",
        10,
        _draw_shares,
        _judge_shares,
    ),
    Exercise(
        "09.2",
        "Changed while they run",
        "`{first}` and `{second}` run already, with the same weight, on CPU 0.  Divide the CPU "
        "{more}:{less} between them while they run: their processes stay the same.",
        6,
        _draw_changed,
        _judge_changed,
        _scene_changed,
    ),
    Exercise(
        "09.3",
        "A ceiling",
        "Start `{name}`, which computes without end.  It never gets more than {percent} % of one "
        "CPU, also when no other process wants it.",
        7,
        _draw_ceiling,
        _judge_ceiling,
    ),
    Exercise(
        "09.4",
        "The least memory in which it lives",
        "Start `{name}` with a file of {size} MiB in its own tmpfs (a file system in memory), "
        "and keep it running.  Give it as little memory as it can live with: at most 5 MiB more "
        "than the file.",
        7,
        _draw_memory,
        _judge_memory,
    ),
    Exercise(
        "09.5",
        "Memory, and swap beside it",
        "Start `{name}`, and keep it running.  It may use {memory} MiB of memory and, beside that, "
        "exactly {swap} MiB of swap.",
        6,
        _draw_swap,
        _judge_swap,
    ),
    Exercise(
        "09.6",
        "A slow disk",
        "Start `{name}`, and keep it running.  From the lab disk `{disk}` it reads at most "
        "{read_mb} MiB and {reads} times in a second, and it writes at most {write_mb} MiB and "
        "{writes} times in a second.",
        9,
        _draw_disk,
        _judge_disk,
    ),
    Exercise(
        "09.7",
        "A fork bomb that stays inside",
        "Start `{name}` with a limit of {most} processes, and let something in it start processes "
        "until the kernel refuses one.  The container keeps running.",
        6,
        _draw_bomb,
        _judge_bomb,
    ),
    Exercise(
        "09.8",
        "A disk for two",
        "Start `{fast}` and `{slow}`, and keep them running.  `{fast}` has the disk weight {more}; "
        "when both want a disk, it gets twice as much of it as `{slow}`.",
        6,
        _draw_weights,
        _judge_weights,
    ),
)
