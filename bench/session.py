"""One session: every peer prepared, measured, and removed again."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence

from bench import build_clients, machine, memory, networking, report, rootfs, steps, timing
from bench.api import LabkitApi
from bench.building import CACHED_STEPS, RUN_STEPS, CachedBuild, RunBuild
from bench.engines import Docker, Engine, Labkit, Podman
from bench.exchange import FILE_BYTES, FILES, Commit, Load, Moving, Pull, Push
from bench.leftovers import clean_folder
from bench.memory import Memory
from bench.peer import MissingPeerError, Peer
from bench.registry import Registry
from bench.report import Aim, RateAim, Usage
from bench.running import PARALLEL, ExecApi, ExecCommand, ParallelStarts
from bench.runtimes import Runtime, accepted_cgroups

IN_PROCESS_AIMS = (Aim("labkit API", "crun run", 1.5), Aim("labkit API", "runc run", 1.0))
COMMAND_AIMS = (Aim("labkit run", "docker run", 0.35), Aim("labkit run", "podman run", 0.6))
EXEC_API_AIMS = (Aim("labkit API exec", "docker API exec", 0.4),)
EXEC_AIMS = (Aim("labkit exec", "docker exec", 0.8),)
CACHED_BUILD_AIMS = (Aim("labkit cached build", "docker cached build", 0.4),)
RUN_BUILD_AIMS = (Aim("labkit RUN build", "docker RUN build", 0.35),)
EXCHANGE_AIMS = tuple(
    Aim(f"labkit {what}", f"docker {what}", at_most)
    for what, at_most in (("push", 1.0), ("pull", 1.0), ("load", 1.0), ("commit", 0.7))
)
PARALLEL_AIMS = (RateAim("labkit API starts", "docker API starts", 4),)
SHIM_AIMS = (Aim("labkit: shim", "docker: shim", 1),)
# The longest of all: docker takes five seconds to start them, and as many to remove them.
PARALLEL_ROUNDS = 5
BUILD_ROUNDS = 10
EXCHANGE_ROUNDS = 8
IN_PROCESS_PAUSE_S = 0.02
COMMAND_PAUSE_S = 0.15
IDLE_CONTAINERS = 5
IDLE_SETTLES_S = 2.0

INTRODUCTION = """\
# The speed of labkit, beside its peers

Written by `make bench`. One run on one machine; the next run overwrites it. Times are medians of
{rounds} runs, interleaved; a ratio is of two medians, its interval from bootstrapping the rounds.
The command `labkit` is the one that `make lab` puts into the shell.
"""
BUSY = """\
**Other programs used the machine: the times are too long, and the ratios uncertain.**
"""
IN_PROCESS = """\
## A container, in process

`labkit API`: create, start, wait, remove of `true` by four requests on one open connection.
`crun run`, `runc run`: the program started for a prepared bundle with the same busybox, by its own
default specification. Those have neither log, overlay, seccomp filter nor a record of the
container; labkit's have.
"""
COMMANDS = """\
## A container, by command

`run --rm --network none IMAGE true`, from the start of the command to its end.
"""
EXEC_API = """\
## Another process in a running container, through the API

`exec` of `true` by the same client on both: create, start (attached, read to its end), inspect.
"""
EXEC = """\
## The same by command

`exec CONTAINER true`, from the start of the command to its end.
"""
CACHED_BUILD = """\
## A build with every step cached

`build` of {steps} steps, FROM among them, docker's by BuildKit, as its command does by default.
"""
RUN_BUILD = """\
## A build with every step run

`build --no-cache --network none` of {steps} times `RUN true`.
"""
PARALLEL_STARTS = """\
## Many at once

{count} containers (`sleep`, no network) that exist already, started through the API by
{count} clients at once: from the first request to the last answer.
"""
EXCHANGE = """\
## Images in transfer

One layer of {megabytes} MB in {files} files, half of each noise and half text: `push` to a
registry of Debian's without any part of it, `pull` of one image from there, `load` of one archive,
`commit` of a container into which they were copied. Before each run the disk is quiet (sync).
"""
PEAKS = """\
The daemons' peak of resident memory, before and after these:
"""
MEMORY = """\
## Memory

With {containers} idle containers (`sleep`); a shim is the parent of a container's first process,
and its line is the median. Proportional: a page that n processes share counts as 1/n for each.
"""
STEPS = """\
## The time of a start's steps

From `labkit run --explain=json`; each step's operations together, median of {rounds} starts.
"""

Progress = Callable[[str], None]


def measure(rounds: int, progress: Progress) -> str:
    """Measure everything that works here; return the report, in Markdown."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(clean_folder())
        described, busy = machine.description(), machine.is_busy()
        tar = rootfs.write_tar(f"{folder}/root.tar")
        note = stack.enter_context(accepted_cgroups(tar, folder))
        missing: dict[str, str] = {}

        def ready(peers: Sequence[Peer]) -> list[Peer]:
            return [peer for peer in peers if _set_up(peer, folder, stack, missing, progress)]

        labkit = Labkit(tar)
        engines: list[Engine] = [labkit, Docker(tar), Podman(tar)]
        ready(engines)
        commands = [engine for engine in engines if engine.is_up]
        in_process = ready([LabkitApi(labkit), Runtime("crun", tar), Runtime("runc", tar)])

        fast = timing.measure(in_process, rounds, IN_PROCESS_PAUSE_S, progress)
        slow = timing.measure(commands, rounds, COMMAND_PAUSE_S, progress)
        exec_api = timing.measure(
            ready([ExecApi(engine) for engine in engines if engine.socket]),
            rounds,
            IN_PROCESS_PAUSE_S,
            progress,
        )
        exec_command = timing.measure(
            ready([ExecCommand(engine) for engine in engines]), rounds, COMMAND_PAUSE_S, progress
        )
        at_once = timing.measure(
            ready([ParallelStarts(engine) for engine in engines if engine.socket]),
            min(rounds, PARALLEL_ROUNDS),
            COMMAND_PAUSE_S,
            progress,
            warm_up_rounds=1,
        )
        builders = [engine for engine in engines if engine.builds]
        cached_build = timing.measure(
            ready([CachedBuild(engine) for engine in builders]),
            rounds,
            COMMAND_PAUSE_S,
            progress,
        )
        run_build = timing.measure(
            ready([RunBuild(engine) for engine in builders]),
            min(rounds, BUILD_ROUNDS),
            COMMAND_PAUSE_S,
            progress,
            warm_up_rounds=1,
        )
        by_clients = build_clients.measure(
            ready,
            [engine for engine in commands if isinstance(engine, Labkit | Docker)],
            min(rounds, build_clients.ROUNDS),
            progress,
        )
        moved = _exchange(
            [engine for engine in engines if engine.builds], folder, stack, missing, progress
        )
        networked = networking.measure(ready, folder, rounds, progress)
        usages = [row for engine in commands for row in _memory(engine)]
        parts = [
            INTRODUCTION.format(rounds=rounds),
            report.table(["", "this machine"], described),
            *(f"{name} was not measured: {why}." for name, why in missing.items()),
            f"For crun {note}." if note else "",
            BUSY if busy else "",
            IN_PROCESS,
            report.times(fast),
            report.ratios(fast, IN_PROCESS_AIMS),
            COMMANDS,
            report.times(slow),
            report.ratios(slow, COMMAND_AIMS),
            EXEC_API,
            report.times(exec_api),
            report.ratios(exec_api, EXEC_API_AIMS),
            EXEC,
            report.times(exec_command),
            report.ratios(exec_command, EXEC_AIMS),
            PARALLEL_STARTS.format(count=PARALLEL),
            report.rates(at_once, PARALLEL, "containers/s"),
            report.rate_ratios(at_once, PARALLEL_AIMS),
            CACHED_BUILD.format(steps=CACHED_STEPS),
            report.times(cached_build),
            report.ratios(cached_build, CACHED_BUILD_AIMS),
            RUN_BUILD.format(steps=RUN_STEPS),
            report.times(run_build),
            report.ratios(run_build, RUN_BUILD_AIMS),
            *by_clients,
            *moved,
            *networked,
            MEMORY.format(containers=IDLE_CONTAINERS),
            report.memory(usages),
            report.ratios({row.kind: row.sample for row in usages if row.sample}, SHIM_AIMS),
        ]
        if labkit in commands:
            measured = steps.medians(labkit.run_explained, rounds)
            parts += [STEPS.format(rounds=rounds), report.steps(measured)]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _exchange(
    engines: Sequence[Engine],
    folder: str,
    stack: contextlib.ExitStack,
    missing: dict[str, str],
    progress: Progress,
) -> list[str]:
    """Measure images in transfer; return the report's parts."""
    registry, archive = Registry(), f"{folder}/bench-loaded.tar"
    stack.callback(registry.stop)
    kinds: tuple[Callable[[Engine], Moving], ...] = (
        lambda engine: Push(engine, registry),
        lambda engine: Pull(engine, registry),
        lambda engine: Load(engine, archive),
        Commit,
    )
    daemons = {name: pid for engine in engines for name, pid in engine.daemons().items()}
    before = {name: memory.peak(pid) for name, pid in daemons.items()}
    measured: dict[str, list[float]] = {}
    for kind in kinds:
        # Docker is first: the others read its archive, and its image in the registry.
        peers = [kind(engine) for engine in reversed(engines)]
        ready = [peer for peer in peers if _set_up(peer, folder, stack, missing, progress)]
        measured |= timing.measure(
            ready, EXCHANGE_ROUNDS, COMMAND_PAUSE_S, progress, warm_up_rounds=1
        )
    after = {name: memory.peak(pid) for name, pid in daemons.items()}
    return [
        EXCHANGE.format(megabytes=FILES * FILE_BYTES // 1_000_000, files=FILES),
        report.times(measured),
        report.ratios(measured, EXCHANGE_AIMS),
        PEAKS,
        report.peaks(before, after),
    ]


def _set_up(
    peer: Peer,
    folder: str,
    stack: contextlib.ExitStack,
    missing: dict[str, str],
    progress: Progress,
) -> bool:
    progress(f"{peer.name}: setting up")
    own = f"{folder}/{peer.name.replace(' ', '-')}"
    os.makedirs(own)
    stack.callback(peer.teardown)
    try:
        peer.setup(own)
    except MissingPeerError as error:
        missing[peer.name] = str(error)
        return False
    return True


def _memory(engine: Engine) -> list[Usage]:
    containers = [engine.start_idle() for _ in range(IDLE_CONTAINERS)]
    try:
        time.sleep(IDLE_SETTLES_S)
        shims = [engine.shim(container) for container in containers]
        name, each = shims[0][0], [used for _, used in shims]
        sample = [one.proportional for one in each]
        kind = f"{engine.program}: shim"
        usages = [Usage(kind, f"{kind} ({name})", _median(each), sample)]
        usages += [
            Usage("", f"{engine.program}: {daemon}", memory.of(pid))
            for daemon, pid in engine.daemons().items()
        ]
    finally:
        for container in containers:
            engine.remove(container)
    return usages


def _median(each: Sequence[Memory]) -> Memory:
    columns = zip(*each, strict=True)
    return Memory(*(round(statistics.median(column)) for column in columns))
