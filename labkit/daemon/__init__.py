"""labkitd: the Docker Engine REST API on a Unix socket, over `labkit.containers`.

`server` documents the handling of a request.  The table in `routes` lists every request of the API.
The general part of the server is `labkit.http`.
"""
