"""A Jupyter kernel in a sandbox, reached over Unix sockets: it has no network with the grader.

A cell that takes too long or prints too much is interrupted; a kernel that does not hear that, or
has ended, is replaced by a new one, so that the cells after it still run.
"""

import queue
import secrets
import signal
import sys
import time
from contextlib import suppress
from typing import Any

import nbformat
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from labkit.course.grading import tree
from labkit.course.grading.sandbox import Sandbox, SandboxError

READY_TIMEOUT_S = 60.0
INTERRUPT_TIMEOUT_S = 4.0
LOOK_S = 0.25
DONE, TOO_LONG, TOO_MUCH, ENDED = "done", "too long", "too much output", "the kernel ended"
_KEPT = ("stream", "display_data", "execute_result", "error")


class Kernel:
    """One kernel at a time; `env` is what its programs find besides the sandbox's own."""

    def __init__(self, sandbox: Sandbox, env: dict[str, str]) -> None:
        self.sandbox, self.env = sandbox, env
        self.pid = 0
        """Its number in the sandbox."""
        self._client: BlockingKernelClient | None = None

    def start(self) -> None:
        """Start one if none runs; SandboxError."""
        if self._client is not None and self.sandbox.runs(self.pid):
            return
        self.close()
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
        deadline = time.monotonic() + READY_TIMEOUT_S
        has_answered = False
        while time.monotonic() < deadline:
            client.kernel_info()
            with suppress(queue.Empty):
                client.get_shell_msg(timeout=1)
                has_answered = True
            with suppress(queue.Empty):
                client.get_iopub_msg(timeout=LOOK_S)
                if has_answered:
                    return
        raise SandboxError(f"the notebook's kernel does not start: {self.sandbox.words()}")

    def run(self, source: str, timeout_s: float) -> tuple[str, list[Any]]:
        """Run a cell: how it ended (`DONE`, …), and its outputs as nbformat keeps them."""
        self.start()
        client = self._client
        if client is None:
            raise SandboxError("the notebook's kernel does not start")
        request = client.execute(source, allow_stdin=False, stop_on_error=False)
        deadline = time.monotonic() + timeout_s
        outputs: list[Any] = []
        size = 0
        while True:
            try:
                message = client.get_iopub_msg(timeout=LOOK_S)
            except queue.Empty:
                if not self.sandbox.runs(self.pid):
                    return ENDED, outputs
            else:
                if message["parent_header"].get("msg_id") != request:
                    continue
                if (
                    message["msg_type"] == "status"
                    and message["content"]["execution_state"] == "idle"
                ):
                    return DONE, outputs
                size += len(repr(message["content"]))
                if message["msg_type"] in _KEPT and size < self.sandbox.limits.output_bytes:
                    outputs.append(nbformat.v4.output_from_msg(message))  # type: ignore[no-untyped-call]  # nbformat has no types
            if size >= self.sandbox.limits.output_bytes:
                return self._interrupt(client, request, TOO_MUCH), outputs
            if time.monotonic() > deadline:
                return self._interrupt(client, request, TOO_LONG), outputs

    def _interrupt(self, client: BlockingKernelClient, request: str, why: str) -> str:
        self.sandbox.send_signal(self.pid, signal.SIGINT)
        deadline = time.monotonic() + INTERRUPT_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(queue.Empty):
                message = client.get_iopub_msg(timeout=LOOK_S)
                state = message["content"].get("execution_state", "")
                if message["parent_header"].get("msg_id") == request and state == "idle":
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
