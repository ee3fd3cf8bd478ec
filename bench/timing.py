"""Rounds in which every peer runs once, in changing order."""

import gc
import time
from collections.abc import Callable, Sequence

from bench.peer import Peer

WARM_UP_ROUNDS = 3


def measure(
    peers: Sequence[Peer],
    rounds: int,
    pause_s: float,
    progress: Callable[[str], None],
    warm_up_rounds: int = WARM_UP_ROUNDS,
) -> dict[str, list[float]]:
    """Return each peer's times in seconds, by name, one a round.

    The first peer of a round changes from round to round.  After each run there is a pause, so that
    a peer's background work (podman's clean-up process) ends before the next one runs.
    """
    times: dict[str, list[float]] = {peer.name: [] for peer in peers}
    gc.collect()
    gc.disable()
    try:
        for number in range(-warm_up_rounds, rounds):
            first = number % len(peers) if peers else 0
            for peer in (*peers[first:], *peers[:first]):
                peer.prepare()
                begin = time.perf_counter()
                peer.run_once()
                took = time.perf_counter() - begin
                peer.clean_up()
                if number >= 0:
                    times[peer.name].append(took)
                time.sleep(pause_s)
            progress(f"{', '.join(times)}: round {max(number + 1, 0)} of {rounds}")
    finally:
        gc.enable()
    return times
