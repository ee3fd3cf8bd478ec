"""The first process of a submission: it starts programs for the grader, and reaps them.

    python -m labkit.course.grading.keeper DESCRIPTOR

Requests come over a socket of the grader: {"run": [...], "env": {...}, "cwd": "...", "log": "..."}
is answered with {"pid": ...}, {"alive": 12} with {"is_alive": true}, {"signal": 2, "pid": 12}
with {}; the number of the request is in the answer.  When the keeper ends, the kernel ends all
other processes of the submission with it (pid_namespaces(7)).

Its programs have no CAP_SYS_PTRACE, and cannot get it: so a program of the notebook cannot take
over the engine or this process, which have it (ptrace(2), "Ptrace access mode checking").
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from labkit.kernel import capabilities

OOM_FIRST, OOM_ENGINE = 800, 0
"""Which programs the kernel ends first for lack of memory; the keeper itself is the last."""
ROUNDS = 5
_STARTED: set[int] = set()
"""The programs that were started for the grader and have not ended."""
MESSAGE_BYTES = 1 << 20


def main() -> None:
    """Serve until the grader closes its end of the socket."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    last = capabilities.last_capability()
    with socket.socket(fileno=int(sys.argv[1])) as grader:
        poll = select.poll()
        poll.register(grader, select.POLLIN)
        while True:
            if poll.poll(200):
                message = grader.recv(MESSAGE_BYTES)
                if not message:
                    return
                request = json.loads(message)
                answer = {"number": request["number"], **_answer(request, last)}
                grader.send(json.dumps(answer).encode())
            _reap()


def _answer(request: dict[str, Any], last: int) -> dict[str, Any]:
    try:
        if "run" in request:
            return {"pid": _run(request, last)}
        if "alive" in request:
            _reap()
            return {"is_alive": request["alive"] in _STARTED}
        if "end" in request:
            _end(request["end"])
            return {}
        os.kill(request["pid"], request["signal"])
    except OSError as error:
        return {"error": str(error)}
    return {}


def _end(session: int) -> None:
    """Kill a program with all that it has started: those in its session (credentials(7)).

    Stopped first, so that none can fork while the others are looked for.
    """
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for _ in range(ROUNDS):
            members = [pid for pid in _processes() if _session(pid) == session]
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            _reap()


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != 1]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _run(request: dict[str, Any], last: int) -> int:
    pid = os.fork()
    if pid:
        _STARTED.add(pid)
        return pid
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        with suppress(PermissionError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OOM_FIRST if request.get("is_learners") else OOM_ENGINE))
        if request.get("is_learners"):
            everything = (1 << (last + 1)) - 1
            capabilities.drop_from_bounding_set(
                everything & ~capabilities.mask(["SYS_PTRACE"]), last
            )
        os.chdir(request["cwd"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        log = os.open(request["log"], flags, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 64)
        os.execve(request["run"][0], request["run"], request["env"])
    finally:
        os._exit(127)


def _reap() -> None:
    try:
        while ended := os.waitpid(-1, os.WNOHANG)[0]:
            _STARTED.discard(ended)
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
