"""A registry for one page: `labkit registry serve` on a free port, in a temporary folder."""

import contextlib
import subprocess
import sys
import tempfile
import weakref

from labkit.course.page.scratch import scratch
from labkit.errors import LabkitError

STOP_TIMEOUT_S = 10.0


class Hub:
    """A running registry.

    `address` is its `127.0.0.1:PORT`, `log` the file of its requests, `root` the folder of its
    images; `options` are more arguments for `labkit registry serve`.  It ends, and its images are
    removed, with `close`, with the last reference to it, or with this process.
    """

    def __init__(self, *options: str) -> None:
        folder = scratch("hub")
        self.root = f"{folder.name}/images"
        self.log = f"{folder.name}/requests.jsonl"
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "TERM"),  # it ends with the page's kernel
                *(sys.executable, "-m", "labkit.cli", "registry", "serve"),
                *("--listen", "127.0.0.1:0", "--root", self.root),
                *("--log", self.log),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # The notebook's stop button must end only the cell's command, not the registry.
            process_group=0,
        )
        self._end = weakref.finalize(self, _end, process, folder)
        said = process.stdout.readline() if process.stdout else ""
        self.address = said.partition("://")[2].partition(",")[0]
        if not self.address:
            self.close()
            raise LabkitError("the registry did not start: `labkit registry serve` says why")

    def close(self) -> None:
        """End the registry and remove its images; a second call is no error."""
        self._end()


def _end(process: "subprocess.Popen[str]", folder: "tempfile.TemporaryDirectory[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    with contextlib.suppress(FileNotFoundError):
        folder.cleanup()
