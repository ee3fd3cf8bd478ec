"""A hostile class: submissions that have solved 09.5 and then turn on what grades them.

None is a fault of the machine, and none harms another submission.  Each keeps the points of all
that it has left as it was.
"""

from tests.exercises.classroom import MEMORY

_ENGINE = """
import os, signal, socket, subprocess, sys, time
run = os.environ["LABKIT_RUN"]
pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
def words(pid):
    try: return open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError: return b""
engines = [p for p in pids if b"labkit.daemon" in words(p)]
def attempt(step, *given):
    try: return step(*given)
    except Exception as error: print(type(error).__name__, error)
"""

SPOILED = {"freezes all that it can move": 1, "kills all that it can": 0}
"""The points of those that turn on their own container as well; all others have 6."""
QUICK = (
    "stops the engine and fills its queue",
    "fills the inodes",
    "sends false messages",
    "forges the grader's words",
)
"""Those that every run of the tests grades."""
HOSTILE: dict[str, str] = {
    "freezes all that it can move": """
import glob
for procs in glob.glob("/sys/fs/cgroup/**/*-grade-*/box/cgroup.procs", recursive=True):
    folder = os.path.dirname(procs) + "/ice"
    attempt(os.makedirs, folder)
    for pid in pids:
        if pid != os.getpid():
            attempt(lambda: open(f"{folder}/cgroup.procs", "w").write(str(pid)))
    for name, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1"),
                       ("cpu.cfs_quota_us", "1000"), ("cpu.max", "1000 100000")):
        attempt(lambda: open(f"{folder}/{name}", "w").write(word))
""",
    "stops the engine and fills its queue": """
for pid in engines: os.kill(pid, signal.SIGSTOP)
kept = []
for _ in range(150):
    one = socket.socket(socket.AF_UNIX); one.setblocking(False)
    attempt(one.connect, run + "/labkit.sock"); kept.append(one)
""",
    "fills the inodes": """
try:
    for number in range(10**7): open(f"f{number}", "w").close()
except OSError as error: print(error)
os._exit(1)
""",
    "fills the disk and ends": """
try:
    with open("big", "wb") as f:
        while True: f.write(bytes(1 << 20)); f.flush()
except OSError as error: print(error)
os._exit(1)
""",
    "breaks the kernels after it": """
home = os.path.expanduser("~")
os.makedirs(home + "/.ipython/profile_default/startup", exist_ok=True)
for path in ("/.ipython/profile_default/startup/0.py", "/ipykernel_launcher.py", "/json.py",
             "/sitecustomize.py"):
    open(home + path, "w").write("import os; os._exit(0)")
os._exit(0)
""",
    "sends false messages": """
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance(); sender = app.iopub_socket
for part in ([b"x"], [b"x"] * 9, [b"a", b"<IDS|MSG>", b"s", b"{}", b"{}", b"{}", b"{}"]):
    attempt(sender.send_multipart, part)
for content in ({"execution_state": []}, {}, {"data": 3}, [1]):
    for kind in ("status", "display_data", "stream", "error"):
        attempt(app.session.send, sender, kind, content, get_ipython().parent_header)
""",
    "forges the grader's words": """
forged = b'{"marks": [], "score": 57, "number": 1, "request": 1, "findings": []}\\n'
for pid in (1, os.getppid(), *engines):
    for fd in range(12):
        attempt(lambda: os.write(os.open(f"/proc/{pid}/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK),
                                 forged))
os.makedirs("labkit/course/exercises", exist_ok=True)
open("labkit/__init__.py", "w").write("raise SystemExit")
for name in ("result.json", "grades.csv", "../result.json"):
    attempt(lambda: open(name, "wb").write(forged))
os.environ.update(PATH="/lab/home", PYTHONPATH="/lab/home", LABKIT_RUN="/lab/home")
""",
    "leaves processes": """
for _ in range(20):
    subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM INT HUP; while :; do sleep 9; done"])
if os.fork() == 0:
    os.setsid()
    while True: pass
""",
    "prints without end": """
line = "x" * 10_000
while True: print(line)
""",
    "sets the clock and the host's name": """
attempt(time.clock_settime, time.CLOCK_REALTIME, 0)
attempt(socket.sethostname, "mine")
for name in ("kernel/hostname", "vm/overcommit_memory", "kernel/core_pattern", "kernel/pid_max"):
    attempt(lambda: open(f"/proc/sys/{name}", "w").write("1"))
attempt(lambda: open("/proc/sysrq-trigger", "w").write("b"))
""",
    "kills all that it can": """
for pid in pids:
    if pid not in (1, os.getpid()): attempt(os.kill, pid, 9)
os.kill(1, 9); os.kill(-1, 15)
""",
}
"""What each does after it has solved 09.5."""


def answers(source: str) -> dict[str, str]:
    """The answer of a hostile submission."""
    return {"09.5": f"{MEMORY}\n{_ENGINE}{source}"}
