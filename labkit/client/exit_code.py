"""The exit code of an exec; separate from `labkit.client.execs`, whose imports take time."""

import time

from labkit.client.api import Api

ASK_AGAIN_S = 0.005
STARTED_S = 5.0
"""An exec that neither runs nor has an exit code by then never started."""
NEVER_STARTED = 126


def exec_exit_code(api: Api, exec_path: str) -> int:
    """Return the exit code of an exec whose output has ended.

    The output ends a moment before the engine knows of the end, or long before, if the process
    closes its output and continues.
    """
    wait_s = ASK_AGAIN_S
    deadline = time.monotonic() + STARTED_S
    while True:
        state = api.get(f"{exec_path}/json")
        if not state["Running"]:
            if state["ExitCode"] is not None:
                return int(state["ExitCode"])
            if time.monotonic() > deadline:
                return NEVER_STARTED
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, 1.0)
