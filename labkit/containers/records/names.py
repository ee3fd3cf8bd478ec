"""Random names for containers: an adjective and a surname, as in Docker.

The surnames are of people who shaped operating systems, networks and programming.
"""

import random
import re
from collections.abc import Container

from labkit.errors import InvalidParameterError

_ADJECTIVES = """
    able amber brave bright brisk calm candid clever cosy curious daring deft eager early fair fond
    frank fresh gentle glad golden graceful handy honest humble jolly keen kind lively lucid lucky
    mellow merry mild modest neat nimble noble patient placid polite proud quick quiet ready robust
    serene sharp silver sincere sleek smart snug sober steady sturdy sunny swift tender tidy trusty
    upbeat vivid warm wise witty zesty
""".split()

_SURNAMES = """
    allen aho babbage backus bartik berners cerf church codd corbato dahl dijkstra engelbart
    feinler floyd goldberg granville hamilton hamming hoare holberton hopper iverson johnson kahn
    karp keller kernighan kleinrock knuth lamport lampson landin liskov lovelace mauchly mccarthy
    mcilroy milner minsky moore naur neumann nygaard ousterhout perlis perlman pike postel ritchie
    sammet shannon simon sparck stallman steele sutherland tanenbaum thompson torvalds turing
    wilkes wilkinson wirth wozniak zuse
""".split()

_ALLOWED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def choose(taken: Container[str]) -> str:
    """A random name that is not in use; with a number at its end if the first tries fail."""
    for attempt in range(1000):
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_SURNAMES)}"  # noqa: S311 not a secret
        if attempt >= 10:
            name += str(random.randrange(10, 10_000))  # noqa: S311 not a secret
        if name not in taken:
            return name
    raise InvalidParameterError("no free name was found; give one with --name")


def check(name: str) -> None:
    """InvalidParameterError for a name that Docker refuses."""
    if not _ALLOWED.fullmatch(name):
        raise InvalidParameterError(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
