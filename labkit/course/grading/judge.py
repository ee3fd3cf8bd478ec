"""The judge beside a sandbox: a process with the machine's power, in the sandbox's numbers.

    python -m labkit.course.grading.judge DESCRIPTOR KEEPER

It joins the sandbox's PID, network and IPC namespaces, so that its /proc, its links and the engine
speak of the same processes; but neither its users nor its files.  So a submission that changes
files and programs does not touch this process, and none of its processes may look into it.  It has
the values, the notes of the scenes and the points; the submission's kernel never has them.

Requests on the descriptor, JSON: {"scene": "09.2"}, {"judge": "09.2", "kernel": 7, "engine": 2};
{"tidy": …} removes what an exercise has made; the first request says who it is for.  The number
"request" of each is in its answer.
"""

import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any

from labkit.client import http
from labkit.client.client import Client
from labkit.course.cgroups.groups import place_of
from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import processes as processes_seen
from labkit.course.exercises.check import judge, lay
from labkit.course.exercises.exercise import Memo
from labkit.course.exercises.place import Place
from labkit.course.exercises.tidying import tidy
from labkit.course.grading import tree
from labkit.course.grading.result import finding_json
from labkit.errors import DaemonUnavailableError, LabkitError
from labkit.kernel import mounts, namespaces, processes

REQUEST_BYTES = 1 << 16
ENGINE_TIMEOUT_S = 60.0
MEMORY_BYTES = 1 << 30
"""The address space of the judge: it is not in the submission's group, and reads what that made."""
_CREDENTIALS = "iII"
"""struct ucred (unix(7), SO_PEERCRED): pid, uid, gid."""


class Judge:
    """The judge's facts about one submission."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.token = str(told["token"])
        self.place_root = str(told["place"])
        self._socket_path = f"{self.place_root}{tree.RUN}/labkit.sock"
        self.uid = int(told["uid"])
        self.disk = str(told["disk"])
        self.group = str(told["group"])
        self.exercises_folder = str(told["exercises"])
        self.engine = 0
        """labkitd's process: the only one that is believed to be the engine."""
        self.notes: dict[str, Memo] = {}
        http.connect = self._connect

    def _connect(self, path: str) -> socket.socket:
        """Connect to labkitd itself: not to what a submission has put in its place."""
        connection = _PLAIN_CONNECT(path)
        size = struct.calcsize(_CREDENTIALS)
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, uid, _ = struct.unpack(_CREDENTIALS, told)
        if uid != self.uid or pid != self.engine:
            connection.close()
            raise ConnectionRefusedError("another program answers in the place of labkitd")
        return connection

    def place(self, kernel: int) -> Place:
        """Return the place of the submission's exercises."""
        client = Client(self._socket_path, ENGINE_TIMEOUT_S)
        return Place(
            client,
            folder=tree.HOME,
            kernel_pid=kernel,
            root=self.place_root,
            uid=self.uid,
            disk=self.disk,
            groups_below=self.group,
        )

    def _is_slow(self) -> bool:
        """Whether labkitd is there and is not held: then it is the machine that is too slow."""
        try:
            self._connect(self._socket_path).close()
            state = processes_seen.status(self.engine)["State"]
            return not (state.startswith("T") or is_frozen(self.engine))
        except (OSError, LabkitError, KeyError):
            return False

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request; `fault` says why the machine could not judge."""
        number = request.get("scene") or request.get("tidy") or request["judge"]
        try:
            exercise = exercises.find(number, self.exercises_folder)
            self.engine = int(request["engine"])
            place = self.place(int(request["kernel"]))
            if "tidy" in request:
                tidy(exercise, place, exercise.values(self.token))
                return {}
            if "scene" in request:
                self.notes[number] = lay(exercise, place, self.token)
                return {}
            found = judge(exercise, place, self.token, self.notes.get(number, {}))
        except DaemonUnavailableError as error:
            return {"fault" if self._is_slow() else "gone": str(error)}
        except Exception as error:  # the judge lives on for the other exercises
            return {"fault": f"{type(error).__name__}: {error}"}
        return {"findings": [finding_json(each) for each in found]}


_PLAIN_CONNECT = http.connect


def is_frozen(pid: int) -> bool:
    """Whether a process's control group is frozen; OSError or LabkitError if it has ended."""
    place = place_of(pid, "freezer")
    if place.version == 1:
        return place.read("freezer.state") != "THAWED"
    return "frozen 1" in place.read("cgroup.events").splitlines()


def main() -> None:
    """Join, and answer until the grader closes its end."""
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    grader = socket.socket(fileno=int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _join(int(sys.argv[2]))
    # A submission may stop labkitd and fill its queue: then connect(2) would wait without end.
    socket.setdefaulttimeout(ENGINE_TIMEOUT_S)
    message = grader.recv(REQUEST_BYTES)
    judging = Judge(json.loads(message))
    while message := grader.recv(REQUEST_BYTES):
        request = json.loads(message)
        answer = judging.answer(request) | {"request": request["request"]}
        grader.sendall(json.dumps(answer).encode())


def _join(keeper: int) -> None:
    """Enter the namespaces, and continue in a child: only a child is in another PID namespace."""
    for kind in ("pid", "net", "ipc"):
        with open(f"/proc/{keeper}/ns/{kind}") as file:
            namespaces.setns(file.fileno())
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
    namespaces.unshare(namespaces.CLONE_NEWNS)
    tree.be_private()
    mounts.mount("proc", "/proc", "proc", mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC)


if __name__ == "__main__":
    main()
