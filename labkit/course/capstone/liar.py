"""A registry that changes one bit of some blobs before it sends them.

`python -m labkit.course.capstone.liar HOST:PORT layers` (or `config`) forwards to the registry
there; it prints its own address.
"""

import http.client
import http.server
import sys

LARGE_BYTES = 4096
"""Only layers are this large; a configuration is smaller."""


class _Handler(http.server.BaseHTTPRequestHandler):
    target = ""
    changes_layers = True

    def do_GET(self) -> None:
        connection = http.client.HTTPConnection(self.target, timeout=20)
        connection.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
        answer = connection.getresponse()
        body, kind = bytearray(answer.read()), answer.headers.get("Content-Type", "")
        connection.close()
        is_layer = len(body) >= LARGE_BYTES
        if "/blobs/" in self.path and is_layer == self.changes_layers:
            body[-1] ^= 1
        self.send_response(answer.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Log nothing: the output belongs to the judge."""


def main() -> None:
    """Serve until killed."""
    _Handler.target, _Handler.changes_layers = sys.argv[1], sys.argv[2] == "layers"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(f"127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
