"""Running the `labkit` command for a notebook; Python prints its output as it comes."""

import codecs
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import TextIO

READ_BYTES = 65536
INTERRUPTED_TIMEOUT_S = 3.0


def run_printing(words: Sequence[str], stdin: str = "") -> int:
    """Run `labkit WORDS…`, print its output as it comes, and return its exit status.

    The command's stdin is the text `stdin`.  A status other than 0 is printed too.  An interrupt
    (the notebook's stop button) is passed on to the command; if it does not end, it is killed.
    """
    with tempfile.TemporaryFile() as source:
        source.write(stdin.encode())
        source.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", *words],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The notebook's interrupt reaches its whole process group; this process passes it on.
            process_group=0,
        )
    try:
        _copy(process)
        status = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        status = _wait_or_kill(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if status < 0:
        status = 128 - status
    if status:
        print(f"(exit status {status})", file=sys.stderr, flush=True)
    return status


def _copy(process: "subprocess.Popen[bytes]") -> None:
    """Print both streams until both have ended."""
    with selectors.DefaultSelector() as selector:
        targets: tuple[tuple[object, TextIO], ...] = (
            (process.stdout, sys.stdout),
            (process.stderr, sys.stderr),
        )
        for pipe, target in targets:
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            selector.register(pipe, selectors.EVENT_READ, (decoder, target))  # type: ignore[arg-type]  # both are PIPE, never None
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, READ_BYTES)
                decoder, target = key.data
                target.write(decoder.decode(data, final=not data))
                target.flush()
                if not data:
                    selector.unregister(key.fileobj)


def _wait_or_kill(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(INTERRUPTED_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
