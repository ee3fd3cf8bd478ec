"""labkitd: the Docker Engine REST API on a Unix socket, over `labkit.containers`.

What happens to a request is written down in `server`; the list of everything one can ask for is the
table in `routes`; the server itself is `labkit.http`.
"""
