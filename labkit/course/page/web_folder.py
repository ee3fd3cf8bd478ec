"""A folder served over HTTP, for programs on a page that fetch files: apt-get, or ADD."""

import functools
import http.server
import threading
import weakref
from typing import Any


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing: the page's output must not contain the server's log."""


class WebFolder:
    """A running server on a free port of 127.0.0.1; `url` is its address, without a slash.

    It ends with `close`, with the last reference to it, or with this process; the folder stays.
    """

    def __init__(self, folder: str) -> None:
        handler = functools.partial(_Quiet, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        self._end = weakref.finalize(self, _end, server, thread)

    def close(self) -> None:
        """Stop the server; a second call is no error."""
        self._end()


def _end(server: http.server.ThreadingHTTPServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
