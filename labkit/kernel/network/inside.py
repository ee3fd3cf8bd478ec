"""Being in another network namespace for a while (setns(2))."""

import contextlib
import os
from collections.abc import Iterator

from labkit.kernel import namespaces

OWN = "/proc/thread-self/ns/net"


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Have the calling thread in the network namespace of a process during the block.

    A namespace is a thread's own, so other threads stay where they are.  OSError (ENOENT if the
    process has ended).
    """
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.setns(theirs, namespaces.CLONE_NEWNET)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            namespaces.setns(own, namespaces.CLONE_NEWNET)
    finally:
        os.close(own)
