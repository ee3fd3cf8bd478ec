"""The names of containers: the server that every container on a network of its own asks.

A container asks 127.0.0.11, in its own network namespace.  The socket there was bound by the
container's plan and is held by its shim; labkitd has a copy and answers.  By the socket that a
query came in on it knows who asks, and so which networks the names are looked for on.

    table.py       who is called what on each network; pure
    queries.py     a query read, and the answer written (RFC 1035); pure
    asking.py      the same question put to other servers, one after the other
    clients.py     one container's sockets: its queries in, the answers out
    budget.py      how much a container may ask; pure
    loop.py        the one thread in which all of this happens
    server.py      what the daemon uses

What writes and reads messages is imported when the first container needs it.
"""
