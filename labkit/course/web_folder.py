"""A folder served over HTTP, for who fetches something on a page: apt-get, or ADD."""

import atexit
import functools
import http.server
import threading
from typing import Any


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """The page's output is not for the server's log."""


class WebFolder:
    """A running server on a free port of 127.0.0.1; `url` is its address, without a slash.

    It ends with `close`, or with this process; the folder stays.
    """

    def __init__(self, folder: str) -> None:
        handler = functools.partial(_Quiet, directory=folder)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        atexit.register(self.close)

    def close(self) -> None:
        """End it; again is no error."""
        atexit.unregister(self.close)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
