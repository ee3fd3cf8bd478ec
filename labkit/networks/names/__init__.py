"""The names of containers: the DNS server of every container on a user's network.

A container asks 127.0.0.11, in its own network namespace.  Its plan has bound the socket there,
and its shim holds it; labkitd has a copy and answers.  The socket tells labkitd which container
asks, and so on which networks to look for the name.

    table.py       the names on each network; pure
    queries.py     reads a query and writes the answer (RFC 1035); pure
    asking.py      sends a question to other servers, one after the other
    clients.py     one container's sockets: receives queries, sends answers
    budget.py      the limit of one container's queries; pure
    loop.py        the one thread in which all of this happens
    server.py      the interface for the daemon

The module that reads and writes messages is imported when the first container needs it.
"""
