"""Restart policies: the wait before each restart, and the containers that restart at all."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.lifecycle.endings import told
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

NS_PER_S = 1e9
FIRST_WAIT_S = 0.1
SLACK_S = 0.5
"""How much longer a wait may take on a machine with other work."""
SETTLED_S = 0.4
END_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class BackOff:
    """The waits between an end and the next start, in seconds."""

    waits_s: tuple[float, ...]

    @property
    def expected_s(self) -> tuple[float, ...]:
        """100 ms, and each time twice as much."""
        return tuple(FIRST_WAIT_S * 2**number for number in range(len(self.waits_s)))

    @property
    def holds(self) -> bool:
        """Whether no wait was shorter than the rule, and none much longer.

        The excess of the first wait is the time of a start here: it is long on a slow machine.
        """
        late_s = SLACK_S + max(0.0, self.waits_s[0] - self.expected_s[0])
        pairs = zip(self.waits_s, self.expected_s, strict=True)
        return all(due - 0.02 <= wait <= due + late_s for wait, due in pairs)

    def table(self) -> Table:
        """A row for each restart."""
        return Table(
            ("restart", "waited (s)", "expected (s)"),
            tuple(
                (str(number), f"{wait:.2f}", f"{due:.1f}")
                for number, (wait, due) in enumerate(
                    zip(self.waits_s, self.expected_s, strict=True), 1
                )
            ),
        )

    def plot(self) -> "Figure":
        """Draw a bar for each wait, with a dashed mark at its expected end."""
        return plot_back_off(self)


def back_off(restarts: int = 5, *, client: Client | None = None) -> BackOff:
    """Run a program that fails at once, with `--restart on-failure:N`, and time its restarts."""
    client = client or connect()
    with Crew(client, "back-off", lifetime_s=60) as crew:
        policy = {"Name": "on-failure", "MaximumRetryCount": restarts}
        container = crew.hire_plain("failing", ["false"], restart_policy=policy)
        _await(lambda: _count(container) == restarts and container.status == "exited", container)
        events = [(one["Action"], one["timeNano"]) for one in told(client, container)]
    ends = [time_ns for action, time_ns in events if action == "die"]
    starts = [time_ns for action, time_ns in events if action == "start"]
    # The last end has no restart after it, and the first start has no end before it.
    waits = zip(ends[:-1], starts[1:], strict=True)
    return BackOff(tuple((start - end) / NS_PER_S for end, start in waits))


class End(NamedTuple):
    """A way to end: the program, and its user's action (None for programs that end themselves)."""

    name: str
    command: list[str]
    options: dict[str, Any]
    act: Callable[[Container], None] | None
    is_failure: bool


ENDS = (
    End("exit 0: done", ["true"], {}, None, False),
    End("exit 1: an error", ["false"], {}, None, True),
    End("out of memory", ["tail", "/dev/zero"], {"mem_limit": "16m"}, None, True),
    End("docker kill", ["sleep", "1000"], {}, lambda one: one.kill(), True),
    End("docker stop", ["sleep", "1000"], {}, lambda one: one.stop(timeout=0), True),
)
POLICIES = ("no", "on-failure", "always", "unless-stopped")


class Verdict(NamedTuple):
    """The result for one container; exit code and OOMKilled are those of its first end."""

    end: End
    policy: str
    is_restarted: bool
    exit_code: int
    is_oom: bool

    @property
    def is_expected(self) -> bool:
        """Whether it should restart: never after a user's command, otherwise by the policy."""
        if self.end.act is not None or self.policy == "no":
            return False
        return self.policy != "on-failure" or self.end.is_failure


@dataclass(frozen=True)
class Policies:
    """The result of `policies`: a verdict for each way to end and each policy."""

    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether every container was treated as its policy says."""
        return all(one.is_restarted == one.is_expected for one in self.verdicts)

    def table(self) -> Table:
        """A row for each way to end, a column for each policy."""
        return Table(
            ("how it ended", "exit code", "OOMKilled", *POLICIES),
            tuple(self._row(end) for end in ENDS),
        )

    def _row(self, end: End) -> tuple[str, ...]:
        row = self.of(end)
        fates = ("restarted" if one.is_restarted else "left" for one in row)
        return end.name, str(row[0].exit_code), str(row[0].is_oom).lower(), *fates

    def of(self, end: End) -> tuple[Verdict, ...]:
        """The verdicts on one way to end, in the order of `POLICIES`."""
        return tuple(one for one in self.verdicts if one.end is end)

    def plot(self) -> "Figure":
        """Draw the same as a grid of squares."""
        return plot_policies(self)


def policies(*, client: Client | None = None) -> Policies:
    """End a container in every way under every policy, twenty in all, and see which restart."""
    client = client or connect()
    cases = [(end, policy) for end in ENDS for policy in POLICIES]
    with Crew(client, "policies", lifetime_s=60) as crew, ThreadPoolExecutor(4) as pool:
        return Policies(tuple(pool.map(lambda case: _judge(crew, *case), cases)))


def _judge(crew: Crew, end: End, policy: str) -> Verdict:
    options = {**end.options, "restart_policy": {"Name": policy}}
    container = crew.hire_plain("policy", end.command, **options)
    if end.act is not None:
        end.act(container)
    settled: list[float] = []

    def is_decided() -> bool:
        if _count(container):
            return True
        if container.status == "exited":
            settled.append(time.monotonic())
        return bool(settled) and time.monotonic() - settled[0] > SETTLED_S

    _await(is_decided, container)
    first = next(one for one in told(crew.client, container) if one["Action"] == "die")
    actions = {one["Action"] for one in told(crew.client, container)}
    verdict = Verdict(
        end,
        policy,
        bool(_count(container)),
        int(first["Actor"]["Attributes"]["exitCode"]),
        "oom" in actions,
    )
    container.remove(force=True)
    return verdict


def _count(container: Container) -> int:
    container.reload()
    return int(container.attrs["RestartCount"])


def _await(is_there: Callable[[], bool], container: Container) -> None:
    deadline = time.monotonic() + END_TIMEOUT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise LabkitError(f"{container.name} is still {container.status}")
        time.sleep(0.05)


def plot_back_off(result: BackOff) -> Figure:
    """Draw a bar for each wait, and a dashed mark at its expected end."""
    with style.picture(height_in=1.0 + 0.34 * len(result.waits_s)) as drawing:
        axes = drawing.subplots()
        for row, (wait, due) in enumerate(zip(result.waits_s, result.expected_s, strict=True)):
            axes.barh(row, wait, height=0.62, color=style.colour(0))
            mark = [row - 0.44, row + 0.44]
            axes.plot([due, due], mark, color=style.QUIET, linewidth=1.3, linestyle=style.DASHED)
            axes.annotate(
                f"{wait:.2f} s",
                (max(wait, due), row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold",
            )
        style.named_rows(
            axes, [f"restart {number}" for number in range(1, len(result.waits_s) + 1)]
        )
        axes.set(xlim=(0, max(*result.waits_s, *result.expected_s) * 1.18))
        axes.set_xlabel("wait between the end and the next start (s)")
        style.headline(drawing, "Each wait is twice as long as the one before", "dashed: expected")
    each = ", ".join(f"{wait:.2f} s" for wait in result.waits_s)
    rule = ", ".join(f"{wait:.1f} s" for wait in result.expected_s)
    alt = f"Bars of the waits before {len(result.waits_s)} restarts: {each}; expected {rule}."
    return Figure(drawing, alt=alt, table=result.table())


def plot_policies(result: Policies) -> Figure:
    """Draw a square for each way to end and each policy: full if the container was restarted."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    with style.picture(height_in=3.2) as drawing:
        axes = drawing.subplots()
        for row, end in enumerate(ENDS):
            for column, one in enumerate(result.of(end)):
                tone = style.colour(0) if one.is_restarted else "#EEF0F3"
                axes.add_patch(Rectangle((column + 0.04, row + 0.07), 0.92, 0.86, color=tone))
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    "restarted" if one.is_restarted else "left alone",
                    ha="center",
                    va="center",
                    color="white" if one.is_restarted else style.QUIET,
                    fontweight="bold" if one.is_restarted else "normal",
                )
        first = [result.of(end)[0] for end in ENDS]
        labels = [
            f"{one.end.name}\nexit code {one.exit_code}{', OOMKilled' if one.is_oom else ''}"
            for one in first
        ]
        axes.set_yticks([row + 0.5 for row in range(len(ENDS))], labels, color=style.INK)
        axes.set_xticks([column + 0.5 for column in range(len(POLICIES))], POLICIES)
        axes.tick_params(length=0, labelsize=8.5, top=False)
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", length=0, labelsize=9.5, labelcolor=style.INK)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set(xlim=(0, len(POLICIES)), ylim=(len(ENDS), 0))
        style.headline(
            drawing, "A policy restarts containers that die, not those that were stopped"
        )
    fates = "; ".join(
        f"{end.name}: "
        + ", ".join(
            f"{one.policy} {'restarted' if one.is_restarted else 'left'}" for one in result.of(end)
        )
        for end in ENDS
    )
    alt = f"A grid of five ways to end against four restart policies. {fates}."
    return Figure(drawing, alt=alt, table=result.table())
