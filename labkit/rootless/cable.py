"""What connects the network of an engine without root with the machine's.

Making a cable into the machine's network needs the power over it.  pasta(1) and slirp4netns(1) do
without: the packets that come out at their end of a tap device become calls of an ordinary program.
"""


def connect(network: int, run: str) -> None:
    """Connect a network namespace, as far as this machine has a program for it."""
