"""A server ends by a signal, whichever thread the kernel gives it to."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import signal, socket, sys, threading, time
from labkit.http.end_signals import EndSignals
from labkit.http.server import Server, Service

def tell():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[2]))
    time.sleep(60)

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
server = Server(listener, Service("test", "", None, None, None))
end = EndSignals()
threading.Thread(target=tell, daemon=True).start()
server.serve(end)
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_another_thread_gets_ends_the_server(tmp_path, number):
    """accept(2) in the main thread sleeps on: what is asked must not wait for the next client."""
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "s"), str(int(number))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
