"""The grader's side of the judge beside a sandbox (`labkit.course.grading.judge`)."""

import json
import os
import select
import socket
import subprocess
import sys
from typing import Any, NamedTuple

from labkit.course.exercises.finding import Finding
from labkit.course.grading.birth import SandboxError
from labkit.course.grading.result import finding_of
from labkit.course.grading.sandbox import Sandbox

ANSWER_TIMEOUT_S = 180.0
ANSWER_BYTES = 1 << 20


class Judgement(NamedTuple):
    """The judge's words about one exercise."""

    findings: tuple[Finding, ...] = ()
    fault: str = ""
    """Why the machine could not judge; it costs no points, and the learner reads it."""
    gone: str = ""
    """Why there is no engine to ask: the submission has ended it, or replaced it."""


class Judging:
    """A judge for one sandbox and one learner."""

    def __init__(self, sandbox: Sandbox, token: str, exercises_folder: str = "") -> None:
        self.sandbox = sandbox
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = ["-P", "-m", "labkit.course.grading.judge", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *words, str(sandbox.keeper_pid)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=os.environ | {"LABKIT_LINK_PREFIX": "labkit"},
            )
        self._socket = ours
        self._asked = 0
        self._send(
            {
                "token": token,
                "place": sandbox.place,
                "uid": sandbox.uid,
                "disk": sandbox.disk,
                "group": sandbox.group,
                "exercises": exercises_folder,
            }
        )

    def lay(self, number: str, kernel: int) -> Judgement:
        """Lay the scene of an exercise."""
        return self._ask({"scene": number, "kernel": kernel})

    def judge(self, number: str, kernel: int) -> Judgement:
        """Look at an exercise now."""
        return self._ask({"judge": number, "kernel": kernel})

    def tidy(self, number: str, kernel: int) -> Judgement:
        """Remove what an exercise has made, so that the next one has the machine for itself."""
        return self._ask({"tidy": number, "kernel": kernel})

    def close(self) -> None:
        """End the judge."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def _ask(self, request: dict[str, Any]) -> Judgement:
        self._asked += 1
        self._send(request | {"engine": self.sandbox.engine_pid, "request": self._asked})
        answer = self._answer()
        if not answer:
            if self.sandbox.is_alive():
                raise SandboxError(f"the judge does not answer: {self._last_words()}")
            return Judgement(gone="the submission has ended")
        findings = tuple(finding_of(fields) for fields in answer.get("findings", ()))
        return Judgement(findings, answer.get("fault", ""), answer.get("gone", ""))

    def _answer(self) -> dict[str, Any]:
        """The answer to the last request, {} if there is none in time.

        An answer to an earlier request, which was late, is about another exercise.
        """
        clock = self.sandbox.clock
        deadline = clock.now() + ANSWER_TIMEOUT_S
        while clock.now() < deadline:
            if select.select([self._socket], [], [], 1.0)[0]:
                said = self._socket.recv(ANSWER_BYTES)
                answer = dict(json.loads(said)) if said else {}
                if not said or answer["request"] == self._asked:
                    return answer
        return {}

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(request).encode())
        except OSError:
            if self.sandbox.is_alive():
                raise SandboxError(f"the judge has ended: {self._last_words()}") from None

    def _last_words(self) -> str:
        self._process.kill()
        text = self._process.stderr.read() if self._process.stderr else b""
        return text[-600:].decode("utf-8", "replace").strip() or "it said nothing"
