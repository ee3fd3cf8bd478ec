"""A Jupyter kernel in a sandbox, reached over Unix sockets: it has no network with the grader.

A cell that takes too long or prints too much is interrupted; a kernel that does not hear that, or
has ended, is replaced by a new one, so that the cells after it still run.
"""

import secrets
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import nbformat
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from labkit.course.grading import tree
from labkit.course.grading.birth import SandboxError
from labkit.course.grading.sandbox import Sandbox, SpoiledError

READY_TIMEOUT_S = 60.0
INTERRUPT_TIMEOUT_S = 4.0
LOOK_S = 0.25
DONE, TOO_LONG, TOO_MUCH, ENDED = "done", "too long", "too much output", "the kernel ended"
_KEPT = ("stream", "display_data", "execute_result", "error")


class Said(NamedTuple):
    """A message of a kernel."""

    request: str
    """The id of the request that it answers."""
    is_idle: bool
    size: int
    output: Any
    """As nbformat keeps it; None for a message that is no output."""


def _hear(get: Callable[..., dict[str, Any]], timeout_s: float) -> Said | None:
    """The next message; None if there is none in time, or one that is no message.

    The submission's programs have the key of the kernel, and may send whatever they want.
    """
    try:
        message = get(timeout=timeout_s)
        kind, content = str(message["msg_type"]), dict(message["content"])
        return Said(
            str(message["parent_header"].get("msg_id")),
            kind == "status" and content["execution_state"] == "idle",
            len(repr(content)),
            nbformat.v4.output_from_msg(message) if kind in _KEPT else None,  # type: ignore[no-untyped-call]  # nbformat has no types
        )
    except (
        Exception
    ):  # queue.Empty; false signatures, false shapes: as jupyter_client and nbformat meet them
        return None


class Kernel:
    """One kernel at a time; `env` is what its programs find besides the sandbox's own."""

    def __init__(self, sandbox: Sandbox, env: dict[str, str]) -> None:
        self.sandbox, self.env = sandbox, env
        self.pid = 0
        """Its number in the sandbox."""
        self._client: BlockingKernelClient | None = None
        self.has_run = False

    def start(self) -> None:
        """Start one if none runs; SandboxError, or SpoiledError if it is not the first one."""
        if self._client is not None and self.sandbox.runs(self.pid):
            return
        self.close()
        try:
            self._start()
        except (OSError, SandboxError) as error:
            if not self.has_run or not self.sandbox.is_alive():
                raise SandboxError(str(error)) from error
            self.close()
            raise SpoiledError(str(error)) from error
        self.has_run = True

    def _start(self) -> None:
        name = secrets.token_hex(4)
        inside, outside = f"{tree.JUPYTER}/{name}", f"{self.sandbox.place}{tree.JUPYTER}/{name}"
        key = secrets.token_hex(16)
        ports = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
        info: dict[str, Any] = {f"{channel}_port": port for channel, port in ports.items()}
        info |= {"transport": "ipc", "key": key, "signature_scheme": "hmac-sha256"}
        self.sandbox.write(f"{inside}.json", {**info, "ip": inside})
        words = [sys.executable, "-m", "ipykernel_launcher", "-f", f"{inside}.json"]
        self.pid = self.sandbox.run(words, env=self.env, is_learners=True)
        context = zmq.Context()
        context.setsockopt(zmq.MAXMSGSIZE, 8 * self.sandbox.limits.output_bytes)
        self._client = BlockingKernelClient(context=context)
        connection: Any = {**info, "ip": outside, "key": key.encode()}
        self._client.load_connection_info(connection)
        self._client.start_channels(stdin=False, hb=False)
        self._await_ready(self._client)

    def _await_ready(self, client: BlockingKernelClient) -> None:
        """Ask until it answers.  Its output is heard only after that: a subscription takes time."""
        deadline = self.sandbox.clock.now() + READY_TIMEOUT_S
        has_answered = False
        while self.sandbox.clock.now() < deadline and self.sandbox.runs(self.pid):
            client.kernel_info()
            if _hear(client.get_shell_msg, 1):
                has_answered = True
            if _hear(client.get_iopub_msg, LOOK_S) and has_answered:
                return
        raise SandboxError(f"the notebook's kernel does not start: {self.sandbox.words()}")

    def run(self, source: str, timeout_s: float) -> tuple[str, list[Any]]:
        """Run a cell: how it ended (`DONE`, …), and its outputs as nbformat keeps them.

        The seconds are those of the submission's clock.  SandboxError.
        """
        self.start()
        client = self._client
        if client is None:
            raise SandboxError("the notebook's kernel does not start")
        request = client.execute(source, allow_stdin=False, stop_on_error=False)
        deadline = self.sandbox.clock.now() + timeout_s
        outputs: list[Any] = []
        size = 0
        while True:
            said = _hear(client.get_iopub_msg, LOOK_S)
            if said is None and not self.sandbox.runs(self.pid):
                return ENDED, outputs
            if said is not None and said.request == request:
                if said.is_idle:
                    return DONE, outputs
                size += said.size
                if said.output is not None and size < self.sandbox.limits.output_bytes:
                    outputs.append(said.output)
            if size >= self.sandbox.limits.output_bytes:
                return self._interrupt(client, request, TOO_MUCH), outputs
            if self.sandbox.clock.now() > deadline:
                return self._interrupt(client, request, TOO_LONG), outputs

    def _interrupt(self, client: BlockingKernelClient, request: str, why: str) -> str:
        self.sandbox.send_signal(self.pid, signal.SIGINT)
        deadline = self.sandbox.clock.now() + INTERRUPT_TIMEOUT_S
        while self.sandbox.clock.now() < deadline:
            said = _hear(client.get_iopub_msg, LOOK_S)
            if said is not None and said.request == request and said.is_idle:
                return why
        self.close()
        return why

    def close(self) -> None:
        """Kill it, with all that it has started."""
        if self._client is not None:
            self._client.stop_channels()
            self._client.context.destroy(linger=0)
            self._client = None
        if self.pid:
            self.sandbox.end(self.pid)
            self.pid = 0
